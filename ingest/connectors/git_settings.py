"""What is said of a Git repository to bring in: its address, its branch and its files."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ingest.connectors.setting_types import Patterns, link_with

_SCHEMES = ("https", "http", "ssh", "git", "file")
# What git-check-ref-format(1) takes for a branch, less what only a command line or a refspec would see in it.
_BRANCH = re.compile(
    r"(?!.*(?:\.\.|//|@\{|/\.|\.lock(?:/|$)))[^\s\x00-\x20\x7f~^:?*\[\\/.-][^\x00-\x20\x7f~^:?*\[\\]*(?<![/.])"
)
_SCP = re.compile(r"(?P<user>[\w.-]+@)?(?P<host>[A-Za-z0-9][\w.-]*):(?P<path>[^/\\:].*)")


class GitSettings(BaseModel):
    """Which files of which repository; the credential is given apart."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    url: str = Field(description="Address: https://, ssh://, git://, file:// or user@host:path, without a password.")
    branch: str | None = Field(None, description="Branch; by default the one that the server's HEAD names.")
    include: Patterns = Field(
        (),
        description="Patterns as in .gitignore of the files to bring in, the last that fits deciding; none means all.",
    )
    username: str = Field("git", description="User name that goes with a token over https (most servers take any).")
    known_hosts: str = Field("", description="Lines of known_hosts for ssh; by default the machine's own.")
    ca_file: Path | None = Field(None, description="Certificates (PEM) that an https server is trusted by.")
    web_link: Annotated[str | None, link_with("commit", "path")] = Field(
        None, description="Where a person opens a file, with {commit} and {path}; known for the large hosts."
    )
    page_size: int = Field(500, ge=1, description="Files in one page.")
    timeout_s: float = Field(3600, gt=0, description="The longest that one transfer may take, in seconds.")
    mirror_limit_bytes: int = Field(
        20_000_000_000, gt=0, description="The most that the mirror may hold, in bytes; a transfer beyond it ends."
    )

    @field_validator("url")
    @classmethod
    def _known_address(cls, url: str) -> str:
        if re.search(r"[\x00-\x20\x7f]", url) or url.startswith("-"):
            raise ValueError("an address holds no white space and does not begin with a dash")
        if "://" not in url:
            if not _SCP.fullmatch(url):
                raise ValueError(f"write an address that begins with {', '.join(f'{name}://' for name in _SCHEMES)}")
            return url
        parts = urlsplit(url)
        if parts.scheme not in _SCHEMES:
            raise ValueError(f"write an address that begins with {', '.join(f'{name}://' for name in _SCHEMES)}")
        if parts.password is not None or (parts.username and not parts.scheme == "ssh"):
            raise ValueError("no user and no password in the address: give `username`, and the secret apart")
        if (parts.hostname or "").startswith("-") or (parts.scheme != "file" and not parts.hostname):
            raise ValueError("the address names no host")
        return url

    @field_validator("branch")
    @classmethod
    def _a_branch(cls, branch: str | None) -> str | None:
        if branch is not None and not _BRANCH.fullmatch(branch):
            raise ValueError("no branch can have this name (git-check-ref-format)")
        return branch

    @field_validator("username")
    @classmethod
    def _one_line(cls, username: str) -> str:
        if re.search(r"[\x00\r\n]", username):
            raise ValueError("a user name is one line")
        return username

    @property
    def scheme(self) -> str:
        return urlsplit(self.url).scheme if "://" in self.url else "ssh"

    @property
    def host(self) -> str:
        """The host, with its port where one is written; empty for a file."""
        if "://" in self.url:
            return urlsplit(self.url).netloc.rpartition("@")[2]
        found = _SCP.fullmatch(self.url)
        return found["host"] if found else ""

    @property
    def repository(self) -> str:
        """The path on the host, without what only git needs of it."""
        found = _SCP.fullmatch(self.url) if "://" not in self.url else None
        path = found["path"] if found else urlsplit(self.url).path
        return path.strip("/").removesuffix(".git")
