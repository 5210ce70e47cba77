"""How a Microsoft 365 tenant is reached, and which of its libraries are brought in."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ingest.connectors.address import Address

GUID = r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"

LinkSharing = Literal["nobody", "everyone"]
OrganizationLinks = Literal["nobody", "organization"]


class GraphSettings(BaseModel):
    """How a Microsoft 365 tenant is reached, and which of its libraries are brought in."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tenant: str = Field(pattern=f"^{GUID}$", description="the directory's id, a GUID")
    client_id: str = Field(pattern=f"^{GUID}$", description="the application's id; its secret or certificate is apart")
    sites: tuple[str, ...] = Field(
        (), description="sites whose libraries are brought in: an address, an id, or `*` for all that are no OneDrive"
    )
    users: tuple[str, ...] = Field(
        (), description="whose OneDrives are brought in: an id, a sign-in name, or `*` for everybody's"
    )
    pages: bool = Field(True, description="bring in the pages of the sites too")
    sharepoint_urls: tuple[Address, ...] = Field(
        (),
        description="addresses of the tenant's SharePoint, https://NAME.sharepoint.com and https://NAME-my.sharepoint"
        ".com, whose site groups are read; the secret has to be a certificate then",
    )
    link_sharing: LinkSharing = Field("nobody", description="whom a link lets in that works for anyone")
    organization_links: OrganizationLinks = Field(
        "nobody", description="whom a link lets in, beside those who have opened it, that works within the organization"
    )
    permissions: Literal["hierarchy", "every_item"] = Field(
        "hierarchy", description="ask for permissions where they differ from the folder's, or for every single item"
    )
    graph_url: Address = Field(
        "https://graph.microsoft.com/v1.0", description="Graph's address, another one in national clouds"
    )
    login_url: Address = Field(
        "https://login.microsoftonline.com", description="where tokens are given, another one in national clouds"
    )
    page_items: int = Field(200, ge=1, le=999, description="items listed at once")

    @model_validator(mode="after")
    def _names_something(self) -> GraphSettings:
        if not self.sites and not self.users:
            raise ValueError("name the sites or the users whose libraries are to be brought in; `*` is all of them")
        return self

    @property
    def issuer(self) -> str:
        """Whose the people and groups are."""
        return f"graph:{self.tenant.lower()}"
