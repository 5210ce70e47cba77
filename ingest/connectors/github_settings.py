"""What is said of GitHub's repositories to bring in: which they are, and what of them."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}")


class GitHubSettings(BaseModel):
    """Which repositories' issues, pull requests and releases are brought in; their files are a source of Git."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    repositories: tuple[str, ...] = Field((), description="repositories, `owner/name`")
    organizations: tuple[str, ...] = Field((), description="organizations whose repositories are all brought in")
    exclude: tuple[str, ...] = Field((), description="patterns of `owner/name` to leave out")
    issues: bool = Field(True, description="bring in issues with their comments")
    pull_requests: bool = Field(True, description="bring in pull requests with their comments and reviews")
    releases: bool = Field(True, description="bring in releases with their notes")
    whole_listing_hours: float = Field(24, ge=0, description="hours after which a sync lists everything again")
    page_size: int = Field(100, ge=1, le=100, description="issues listed at once")
    base_url: str = Field("https://api.github.com/", description="the REST API; `https://HOST/api/v3/` of a server")

    @field_validator("repositories")
    @classmethod
    def _are_full_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            owner, slash, rest = name.partition("/")
            if not slash or not all(_NAME.fullmatch(part) and set(part) != {"."} for part in (owner, rest)):
                raise ValueError(f"{name!r} is no repository: write owner/name")
        return names

    @field_validator("organizations")
    @classmethod
    def _are_logins(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not _NAME.fullmatch(name) or set(name) == {"."}:
                raise ValueError(f"{name!r} is no organization's name")
        return names

    @property
    def host(self) -> str:
        """The host that people open: its accounts are `github:HOST|ID`."""
        host = urlsplit(self.base_url).hostname or ""
        return host.removeprefix("api.") if host == "api.github.com" or host.endswith(".ghe.com") else host
