"""The people and groups of a Microsoft 365 tenant, and the groups of its sites."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from core.errors import NotFound, SourceRefused
from core.principals import Grantee
from ingest.connectors.api import Api, Patience
from ingest.connectors.graph_client import BATCH, CREDENTIAL, Graph, SignIn
from ingest.connectors.graph_settings import GraphSettings
from ingest.connectors.graph_sharing import ALL_USERS, ORGANIZATION, Readers
from ingest.connectors.protocol import Account, Group

_USERS = "users?$select=id,displayName,mail,userPrincipalName,userType,accountEnabled&$top=999"
_GROUPS = "groups?$select=id,displayName,groupTypes&$top=999"
_PERSON = "#microsoft.graph.user"
_GROUP = "#microsoft.graph.group"
# SharePoint's own numbers and words for what a principal is (SP.Utilities.PrincipalType, claims encoding).
_SP_USER = 1
_MEMBERSHIP = "i:0#.f|membership|"


@dataclass(frozen=True)
class Person:
    """An account of the directory that is enabled. `sign_in` is its user principal name, which may change."""

    id: str
    sign_in: str = field(repr=False)
    name: str = field(repr=False)
    email: str = field(repr=False)
    is_guest: bool = False


@dataclass(frozen=True)
class Site:
    """A collection of sites, which has groups of its own."""

    id: str
    url: str


class Directory:
    """Who is there, asked once until `forget`."""

    def __init__(self, graph: Graph, sign_in: SignIn, settings: GraphSettings, patience: Patience) -> None:
        self._graph, self._sign_in, self._settings, self._patience = graph, sign_in, settings, patience
        self._people: dict[str, Person] | None = None
        self._sharepoint: dict[str, Api] = {}

    def forget(self) -> None:
        self._people = None

    def close(self) -> None:
        for api in self._sharepoint.values():
            api.close()

    def people(self) -> Mapping[str, Person]:
        """Every account that is enabled, by its id."""
        if self._people is None:
            listed = (_person(one) for one in self._graph.listed(_USERS) if one.get("accountEnabled"))
            self._people = {person.id: person for person in listed}
        return self._people

    def readers(self) -> Readers:
        settings = self._settings
        return Readers(settings.issuer, frozenset(self.people()), settings.link_sharing, settings.organization_links)

    def accounts(self) -> Iterator[Account]:
        readers = self.readers()
        for person in self.people().values():
            yield Account(readers.user(person.id), person.name, person.email)

    def groups(self, sites: Iterable[Site]) -> Iterator[Group]:
        """The tenant's groups with their direct members, and those of the sites."""
        readers, people = self.readers(), self.people().values()
        members = tuple(readers.user(one.id) for one in people if not one.is_guest)
        yield Group(readers.group(ORGANIZATION), members, "Everyone except external users")
        yield Group(readers.group(ALL_USERS), tuple(readers.user(one.id) for one in people), "Everyone")
        some: list[Mapping[str, Any]] = []
        for group in self._graph.listed(_GROUPS):
            some.append(group)
            if len(some) == BATCH:
                yield from self._opened(some, readers)
                some = []
        yield from self._opened(some, readers)
        for site in sites:
            yield from self._site_groups(site, readers)

    def _opened(self, groups: Sequence[Mapping[str, Any]], readers: Readers) -> Iterator[Group]:
        owned = [group for group in groups if "Unified" in (group.get("groupTypes") or ())]
        told = [(readers.group(one["id"]), one, "members") for one in groups]
        told += [(readers.owners(one["id"]), one, "owners") for one in owned]
        replies = self._graph.answers([f"groups/{one['id']}/{which}?$select=id&$top=999" for _, one, which in told])
        for (group, one, which), reply in zip(told, replies, strict=True):
            name = str(one.get("displayName") or "") + (" (owners)" if which == "owners" else "")
            entries = self._graph.told(reply)
            if entries is None:
                yield Group(group, name=name, problem=f"Microsoft Graph does not tell its {which} ({reply.status})")
            else:
                yield Group(group, tuple(self._members(entries, readers)), name)

    def _members(self, entries: Iterable[Mapping[str, Any]], readers: Readers) -> Iterator[Grantee]:
        for one in entries:
            if one.get("@odata.type") == _GROUP:
                yield readers.group(one["id"])
            elif one.get("@odata.type") == _PERSON and str(one["id"]).lower() in readers.people:
                yield readers.user(one["id"])

    def _site_groups(self, site: Site, readers: Readers) -> Iterator[Group]:
        api = self._sharepoint_of(site)
        unopened = readers.site_group(site.id, "all")
        if api is None:
            why = "its groups are told to a certificate only, at an address that sharepoint_urls names"
            yield Group(unopened, problem=why)
            return
        path = f"{site.url}/_api/web/sitegroups?$select=Id,Title&$expand=Users"
        accept = {"Accept": "application/json;odata=nometadata"}
        try:
            entries = list(_pages(api, path, accept))
        except (SourceRefused, NotFound) as error:
            yield Group(unopened, problem=f"SharePoint does not tell the site's groups: {error}")
            return
        by_sign_in = {person.sign_in.lower(): person for person in self.people().values()}
        for entry in entries:
            members = (self._site_member(one, readers, by_sign_in) for one in entry.get("Users") or ())
            known = tuple(one for one in members if one is not None)
            yield Group(readers.site_group(site.id, str(entry["Id"])), known, str(entry.get("Title") or ""))

    def _site_member(
        self, member: Mapping[str, Any], readers: Readers, by_sign_in: Mapping[str, Person]
    ) -> Grantee | None:
        login = str(member.get("LoginName", "")).lower()
        if member.get("PrincipalType") == _SP_USER and login.startswith(_MEMBERSHIP):
            # A sign-in name belongs to one account at a time, and the directory of now says to which.
            person = by_sign_in.get(login.removeprefix(_MEMBERSHIP))
            return readers.user(person.id) if person else None
        return readers.of_claim(login)

    def _sharepoint_of(self, site: Site) -> Api | None:
        """The host of a site, asked with a token of its own; None where none may be sent there."""
        parts = urlsplit(site.url)
        base = f"{parts.scheme}://{parts.netloc}"
        if not self._sign_in.has_certificate or base not in self._settings.sharepoint_urls:
            return None
        if base not in self._sharepoint:
            auth = self._sign_in.bearer(base)
            self._sharepoint[base] = Api("SharePoint", base, {}, CREDENTIAL, self._patience, auth=auth)
        return self._sharepoint[base]


def _pages(api: Api, path: str, headers: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
    while path:
        page = api.request("GET", path, headers=headers).json
        yield from page["value"]
        path = page.get("odata.nextLink", "")


def _person(entry: Mapping[str, Any]) -> Person:
    return Person(
        id=str(entry["id"]).lower(),
        sign_in=str(entry.get("userPrincipalName") or ""),
        name=str(entry.get("displayName") or ""),
        email=str(entry.get("mail") or entry.get("userPrincipalName") or ""),
        is_guest=str(entry.get("userType") or "").lower() == "guest",
    )
