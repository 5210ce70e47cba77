"""How a Google Workspace is reached, and which of its drives are brought in."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ingest.connectors.address import Address


class GoogleDriveSettings(BaseModel):
    """How a Google Workspace is reached, and which of its drives are brought in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    customer: str = Field(pattern="^C[0-9a-z]+$", description="the organization's id, as its Admin console shows it")
    admin: str = Field(description="the address of an administrator, in whose name the directory is read")
    reader: str = Field(
        "", description="the address of the account in whose name shared drives are read; the administrator's if empty"
    )
    shared_drives: tuple[str, ...] = Field(
        (), description="shared drives that are brought in: an id, or `*` for all that the reader is a member of"
    )
    users: tuple[str, ...] = Field(
        (), description="whose own files are brought in: an address, an id, or `*` for everybody's"
    )
    link_sharing: Literal["nobody", "everyone"] = Field(
        "nobody", description="whom sharing with anyone lets in, with or without a link"
    )
    organization_links: Literal["nobody", "organization"] = Field(
        "nobody", description="whom a link lets in that works within the organization; what can be found there, all may"
    )
    drive_url: Address = Field("https://www.googleapis.com/drive/v3", description="the address of the Drive API")
    directory_url: Address = Field(
        "https://admin.googleapis.com/admin/directory/v1", description="the address of the Directory API"
    )
    token_url: Address = Field("https://oauth2.googleapis.com/token", description="where tokens are given")
    page_files: int = Field(100, ge=1, le=1000, description="files listed at once")

    @model_validator(mode="after")
    def _names_something(self) -> GoogleDriveSettings:
        if not self.shared_drives and not self.users:
            raise ValueError("name the shared drives or the users whose files are to be brought in; `*` is all of them")
        return self

    @property
    def issuer(self) -> str:
        """Whose the people and groups are."""
        return f"google:{self.customer}"
