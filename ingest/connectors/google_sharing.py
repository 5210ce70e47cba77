"""Who may read a file of Google Drive, from its permissions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from core.principals import EVERYONE, Grantee, GranteeKind
from governance.access.rules import AccessLists, Decision

READING = frozenset({"reader", "commenter", "writer", "fileOrganizer", "organizer", "owner"})
"""The roles that let the content be read (Drive API: roles and permissions)."""


@dataclass(frozen=True)
class Readers:
    """How those whom a permission names are called here.

    A permission names them by address; `people` and `groups` say whose id an address is in the organization's directory
    now, and an address that is nobody's lets nobody in. `domains` are the organization's own.
    """

    issuer: str
    people: Mapping[str, str] = field(repr=False)
    groups: Mapping[str, str] = field(repr=False)
    domains: frozenset[str]
    link_sharing: Literal["nobody", "everyone"] = "nobody"
    organization_links: Literal["nobody", "organization"] = "nobody"

    def user(self, subject: str) -> Grantee:
        return Grantee(GranteeKind.USER, self.issuer, subject)

    def group(self, subject: str) -> Grantee:
        return Grantee(GranteeKind.GROUP, self.issuer, subject)

    def domain(self, name: str) -> Grantee:
        """Everybody with an account in a domain of the organization."""
        return self.group(f"domain:{name.lower()}")

    def decide(self, permissions: Sequence[Mapping[str, Any]], now: datetime) -> Decision:
        """Who may read a file with these permissions."""
        allow: set[Grantee] = set()
        unresolved = 0
        for permission in permissions:
            if not self._holds(permission, now):
                continue
            one = self._named(permission)
            if one is not None:
                allow.add(one)
            elif permission.get("type") in ("user", "group"):
                unresolved += 1
        left_out = f", {unresolved} of those named left out: not in the directory" if unresolved else ""
        return Decision(AccessLists(frozenset(allow)), f"shared in Google Drive{left_out}")

    def _holds(self, permission: Mapping[str, Any], now: datetime) -> bool:
        """Whether a permission lets the whole content be read, now."""
        # One with a `view` shows a published copy, or that the file is there.
        if permission.get("role") not in READING or permission.get("deleted") or permission.get("view"):
            return False
        end = permission.get("expirationTime")
        if not end:
            return True
        try:
            until = datetime.fromisoformat(str(end))
        except ValueError:
            return False
        return (until if until.tzinfo else until.replace(tzinfo=UTC)) > now

    def _named(self, permission: Mapping[str, Any]) -> Grantee | None:
        kind, address = permission.get("type"), str(permission.get("emailAddress") or "").lower()
        if kind == "user":
            return self.user(self.people[address]) if address in self.people else None
        if kind == "group":
            return self.group(self.groups[address]) if address in self.groups else None
        if kind == "domain":
            found = bool(permission.get("allowFileDiscovery")) or self.organization_links == "organization"
            name = str(permission.get("domain") or "").lower()
            return self.domain(name) if found and name in self.domains else None
        return EVERYONE if kind == "anyone" and self.link_sharing == "everyone" else None
