"""The people and groups of a Google Workspace."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from core.errors import NotFound, SourceRefused
from core.principals import Grantee
from ingest.connectors.api import Patience
from ingest.connectors.google_client import DIRECTORY, Delegation, ServiceAccount, google_api, listed
from ingest.connectors.google_settings import GoogleDriveSettings
from ingest.connectors.google_sharing import Readers
from ingest.connectors.protocol import Account, Group

_USER_FIELDS = "nextPageToken,users(id,primaryEmail,name/fullName,suspended,archived,aliases,nonEditableAliases)"
_GROUP_FIELDS = "nextPageToken,groups(id,email,name,aliases,nonEditableAliases)"
_MEMBER_FIELDS = "nextPageToken,members(id,type,status)"


@dataclass(frozen=True)
class Person:
    """Somebody with an account that is neither suspended nor archived."""

    id: str
    email: str = field(repr=False)
    name: str = field(repr=False)
    addresses: tuple[str, ...] = field(repr=False)

    @property
    def domain(self) -> str:
        return self.email.rpartition("@")[2]


class Directory:
    """Who is there, asked once until `forget`."""

    def __init__(self, account: ServiceAccount, settings: GoogleDriveSettings, patience: Patience) -> None:
        self._settings = settings
        auth = Delegation(account, DIRECTORY, settings.admin)
        self._api = google_api("Google's directory", settings.directory_url, auth, patience)
        self._people: dict[str, Person] | None = None
        self._groups: list[Mapping[str, Any]] | None = None

    def forget(self) -> None:
        self._people = self._groups = None

    def close(self) -> None:
        self._api.close()

    def people(self) -> Mapping[str, Person]:
        """Every account that is in use, by its id."""
        if self._people is None:
            params = {"customer": self._settings.customer, "maxResults": 500, "fields": _USER_FIELDS}
            entries = listed(self._api, "users", "users", params)
            used = (one for one in entries if not one.get("suspended") and not one.get("archived"))
            self._people = {person.id: person for person in map(_person, used)}
        return self._people

    def readers(self) -> Readers:
        settings, people = self._settings, self.people().values()
        return Readers(
            settings.issuer,
            {address: person.id for person in people for address in person.addresses},
            {address: str(group["id"]) for group in self._listed_groups() for address in _addresses(group, "email")},
            frozenset(person.domain for person in people),
            settings.link_sharing,
            settings.organization_links,
        )

    def accounts(self) -> Iterator[Account]:
        readers = self.readers()
        for person in self.people().values():
            yield Account(readers.user(person.id), person.name, person.email)

    def groups(self) -> Iterator[Group]:
        """The organization's groups with their direct members, and everybody of each of its domains."""
        readers, people = self.readers(), self.people()
        for domain in sorted(readers.domains):
            members = tuple(readers.user(one.id) for one in people.values() if one.domain == domain)
            yield Group(readers.domain(domain), members, f"Everyone at {domain}")
        customer = readers.group("customer")
        yield Group(customer, tuple(map(readers.user, people)), "Everyone in the organization")
        known = {str(group["id"]) for group in self._listed_groups()}
        for group in self._listed_groups():
            name, key = str(group.get("name") or ""), str(group["id"])
            params = {"maxResults": 200, "fields": _MEMBER_FIELDS}
            try:
                entries = list(listed(self._api, f"groups/{key}/members", "members", params))
            except (SourceRefused, NotFound) as error:
                yield Group(readers.group(key), name=name, problem=f"the directory does not tell its members: {error}")
                continue
            yield Group(readers.group(key), tuple(self._members(entries, readers, known)), name)

    def _members(self, entries: Iterable[Mapping[str, Any]], readers: Readers, known: set[str]) -> Iterator[Grantee]:
        people = self.people()
        for one in entries:
            kind, key = one.get("type"), str(one.get("id") or "")
            if kind == "USER" and key in people:
                yield readers.user(key)
            elif kind == "GROUP" and key in known:
                yield readers.group(key)
            elif kind == "CUSTOMER" and key == self._settings.customer:
                yield readers.group("customer")

    def _listed_groups(self) -> list[Mapping[str, Any]]:
        if self._groups is None:
            params = {"customer": self._settings.customer, "maxResults": 200, "fields": _GROUP_FIELDS}
            self._groups = list(listed(self._api, "groups", "groups", params))
        return self._groups


def _person(entry: Mapping[str, Any]) -> Person:
    name = str((entry.get("name") or {}).get("fullName") or "")
    return Person(str(entry["id"]), str(entry["primaryEmail"]).lower(), name, _addresses(entry, "primaryEmail"))


def _addresses(entry: Mapping[str, Any], own: str) -> tuple[str, ...]:
    aliases = [*(entry.get("aliases") or ()), *(entry.get("nonEditableAliases") or ())]
    return tuple(str(address).lower() for address in [entry[own], *aliases])
