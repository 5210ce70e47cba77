"""What Confluence Cloud and Jira Cloud share: how a site is reached, signed in to, and its people are named."""

from __future__ import annotations

from base64 import b64encode
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from ingest.connectors.api import Api, Patience

ACCOUNTS_AT_ONCE = 100
"""People whose names are asked for in one call."""


class AtlassianSettings(BaseModel):
    """How a site is reached."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    base_url: str = Field(description="the site as people open it, `https://example.atlassian.net`")
    user: str = Field(
        "", description="the e-mail address of the account whose API token is the secret; empty: the secret is a bearer"
    )
    api_url: str = Field(
        "",
        description="where calls go for a token with scopes, `https://api.atlassian.com/ex/jira/CLOUD_ID`; else empty",
    )

    @field_validator("base_url", "api_url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query):
            raise ValueError("write an address such as https://example.atlassian.net, with no user or query in it")
        if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost"):
            raise ValueError("http would send the token in the clear: write https")
        # Where Confluence is opened, its address ends so; what is called stands below it either way.
        return value.rstrip("/").removesuffix("/wiki")

    @property
    def host(self) -> str:
        """What tells this site's people and groups from another's."""
        return urlsplit(self.base_url).netloc.lower()

    def open_api(self, system: str, secret: SecretStr, patience: Patience | None, below: str = "") -> Api:
        """The site's API below a path, signed in."""
        token = secret.get_secret_value()
        basic = b64encode(f"{self.user}:{token}".encode()).decode()
        header = f"Basic {basic}" if self.user else f"Bearer {token}"
        address = (self.api_url or self.base_url) + below
        return Api(system, address, {"Authorization": header}, f"the API token of {system}", patience)
