"""Who may read a file of SharePoint or OneDrive, from the permissions that Microsoft Graph tells of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from core.principals import EVERYONE, Grantee, GranteeKind
from governance.access.rules import AccessLists, Decision
from ingest.connectors.graph_settings import GUID, LinkSharing, OrganizationLinks

READING = frozenset({"read", "write", "owner", "sp.full control"})
"""The roles that let the content be read. `sp.limited access` lets through to something below; others are unknown."""
ORGANIZATION = "organization"
"""Everybody of the tenant but its guests."""
ALL_USERS = "all-users"
"""Everybody of the tenant and its guests."""

# How SharePoint writes principals that are no single person (its claims encoding).
_EVERYONE_CLAIM = "c:0(.s|true"
_ORGANIZATION_CLAIM = "c:0-.f|rolemanager|spo-grid-all-users/"
_GROUP_CLAIM = re.compile(rf"c:0[to]\.c\|(?:tenant|federateddirectoryclaimprovider)\|({GUID})(_o)?", re.I)
_NEVER = 1
"""Graph writes an expiry in this year for none (permission: expirationDateTime)."""
_FRACTION = re.compile(r"\.\d+")


@dataclass(frozen=True)
class Readers:
    """How those whom a permission names are called here.

    `people` are the ids of the tenant's accounts that are there and enabled, by themselves; nobody else is let in.
    """

    issuer: str
    people: frozenset[str]
    link_sharing: LinkSharing = "nobody"
    organization_links: OrganizationLinks = "nobody"

    def user(self, subject: str) -> Grantee:
        return Grantee(GranteeKind.USER, self.issuer, subject.lower())

    def group(self, subject: str) -> Grantee:
        return Grantee(GranteeKind.GROUP, self.issuer, subject.lower())

    def owners(self, group_id: str) -> Grantee:
        """Those who own a Microsoft 365 group; they need not be its members."""
        return self.group(f"{group_id}:owners")

    def site_group(self, site: str, number: str) -> Grantee:
        """A group of a site; its number says something in that site only."""
        return self.group(f"site:{site}:{number}")

    def decide(self, permissions: Sequence[Mapping[str, Any]], site: str, now: datetime) -> Decision:
        """Who may read an item with these permissions, in the site with this id."""
        allow: set[Grantee] = set()
        unresolved = 0
        for permission in permissions:
            if not READING & {str(role).lower() for role in permission.get("roles") or ()}:
                continue
            if _expired(permission, now):
                continue
            for one in self._named(permission, site):
                if one is None:
                    unresolved += 1
                else:
                    allow.add(one)
        left_out = f", {unresolved} of those named left out: not in the directory" if unresolved else ""
        return Decision(AccessLists(frozenset(allow)), f"shared in Microsoft 365{left_out}")

    def of_claim(self, login: str) -> Grantee | None:
        """The group that SharePoint writes as a claim; None for a person or anything unknown."""
        login = login.lower()
        if login == _EVERYONE_CLAIM:
            return self.group(ALL_USERS)
        if login.startswith(_ORGANIZATION_CLAIM):
            return self.group(ORGANIZATION)
        found = _GROUP_CLAIM.fullmatch(login)
        if found is None:
            return None
        return self.owners(found[1]) if found[2] else self.group(found[1])

    def _named(self, permission: Mapping[str, Any], site: str) -> Iterator[Grantee | None]:
        link = permission.get("link")
        if link is None:
            granted = permission.get("grantedToV2")
            if granted:
                yield self._identity(granted, site)
            return
        if link.get("scope") == "anonymous" and self.link_sharing == "everyone":
            yield EVERYONE
        if link.get("scope") == "organization" and self.organization_links == "organization":
            yield self.group(ORGANIZATION)
        if link.get("scope") != "existingAccess":
            for granted in permission.get("grantedToIdentitiesV2") or ():
                yield self._identity(granted, site)

    def _identity(self, granted: Mapping[str, Any], site: str) -> Grantee | None:
        claimed = self.of_claim(str((granted.get("siteUser") or {}).get("loginName", "")))
        if claimed is not None:
            return claimed
        user, group = granted.get("user") or {}, granted.get("group") or {}
        if user.get("id"):
            return self.user(user["id"]) if str(user["id"]).lower() in self.people else None
        if group.get("id"):
            return self.group(group["id"])
        number = (granted.get("siteGroup") or {}).get("id")
        return self.site_group(site, str(number)) if number else None


def _expired(permission: Mapping[str, Any], now: datetime) -> bool:
    """Whether a permission is over; one whose end cannot be read is."""
    written = permission.get("expirationDateTime")
    if not written:
        return False
    try:
        # Graph writes seven digits after the point, of which Python reads six.
        end = datetime.fromisoformat(_FRACTION.sub("", str(written)))
    except ValueError:
        return True
    end = end if end.tzinfo else end.replace(tzinfo=UTC)
    return end.year != _NEVER and end <= now
