"""What is said of a mailbox to bring in: how it is reached, and which of its folders."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

Use = Literal["junk", "trash", "drafts"]


class ImapSettings(BaseModel):
    """How a mailbox is reached, and which of its folders are brought in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(description="the server's name, which its certificate must bear")
    user: str = Field(description="who signs in; the password is the secret")
    port: int | None = Field(None, ge=1, le=65535, description="993 with TLS from the start, else 143")
    security: Literal["tls", "starttls", "plain"] = Field(
        "tls", description="TLS from the start, TLS by STARTTLS, or none, which only this machine is spoken to in"
    )
    ca_file: Path | None = Field(None, description="PEM certificates to trust instead of the system's")
    allow_plain: bool = Field(False, description="send the password in the clear to another machine")
    folders: tuple[str, ...] = Field(("*",), description="patterns of folders' names to bring in, `Projects/*`")
    exclude: tuple[str, ...] = Field((), description="patterns of folders' names to leave out")
    leave_out: tuple[Use, ...] = Field(("junk", "trash", "drafts"), description="folders to leave out by their use")
    oauth_token_url: str | None = Field(None, description="where a token to sign in with is asked for, for OAuth 2.0")
    oauth_client_id: str = Field("", description="the application that asks; its client secret is the secret")
    oauth_scope: str = Field("https://outlook.office365.com/.default", description="what the token is to be good for")
    page_messages: int = Field(200, ge=1, le=1000, description="messages listed at once")

    @model_validator(mode="after")
    def _in_the_clear_only_at_home(self) -> ImapSettings:
        if self.security == "plain" and not self.allow_plain and not _is_this_machine(self.host):
            raise ValueError(
                "security 'plain' sends the password in the clear: use 'tls' or 'starttls', or set allow_plain"
            )
        issuer = urlsplit(self.oauth_token_url or "https:")
        if issuer.scheme != "https" and not _is_this_machine(issuer.hostname or ""):
            raise ValueError("oauth_token_url would send the client secret in the clear: write https://…")
        return self

    @property
    def reached_at(self) -> int:
        """The port."""
        return self.port or (993 if self.security == "tls" else 143)


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
