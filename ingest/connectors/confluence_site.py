"""A site of Confluence Cloud as one reading finds it: its spaces, the tree of its pages, and who passes each level."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from core.errors import NotFound, SourceRefused
from core.principals import Grantee, GranteeKind
from governance.access.rules import Decision
from ingest.connectors.answers import batched, one_page, records, told_of
from ingest.connectors.api import Api
from ingest.connectors.atlassian import ACCOUNTS_AT_ONCE
from ingest.connectors.levels import Levels
from ingest.connectors.protocol import Account, denied

_DEEPEST = 200
_PARENTS = {
    "page": "pages",
    "folder": "folders",
    "whiteboard": "whiteboards",
    "database": "databases",
    "embed": "embeds",
}
_RESTRICTIONS = "restrictions.read.restrictions.user,restrictions.read.restrictions.group"


@dataclass
class Space:
    """A space; `readers` are those whom its permissions let in, `problem` says why they are not known.

    `unopened` says that it lets in others too, whom Confluence names by a role alone.
    """

    key: str
    name: str
    readers: frozenset[Grantee] = frozenset()
    unopened: bool = False
    problem: str = ""


@dataclass(frozen=True)
class Content:
    """Something that stands in the tree of a space."""

    kind: str
    title: str
    space: str
    parent: tuple[str, str] | None
    version: int
    address: str


@dataclass
class Site:
    """What one reading of a site has found."""

    api: Api
    issuer: str
    spaces: dict[str, Space] = field(default_factory=dict)
    contents: dict[str, Content] = field(default_factory=dict)
    files: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    people: dict[Grantee, Account] = field(default_factory=dict)
    _above: dict[tuple[str, str], Content | None] = field(default_factory=dict)
    _restricted: dict[str, frozenset[Grantee] | None] = field(default_factory=dict)
    """By content: whom its own restriction lets in, None where it is unrestricted."""
    _untold: set[str] = field(default_factory=set)
    _members: dict[Grantee, frozenset[Grantee] | str] = field(default_factory=dict)

    _levels: Levels = field(init=False)

    def __post_init__(self) -> None:
        self._levels = Levels(self._known_members)

    def documents(self) -> Iterator[str]:
        for identity, content in self.contents.items():
            yield f"{content.kind}/{identity}"
        for identity in self.files:
            yield f"attachments/{identity}"

    def named_groups(self) -> set[Grantee]:
        return {one for space in self.spaces.values() for one in space.readers if one.kind is GranteeKind.GROUP}

    def decision(self, external_id: str) -> Decision:
        """Who passes the space's permissions and every restriction from the page upwards."""
        kind, _, identity = external_id.partition("/")
        if kind == "attachments":
            identity = self.files[identity][0]
        space = self.spaces[self.contents[identity].space]
        if space.problem:
            return denied(space.problem)
        levels = [space.readers]
        try:
            for one in [identity, *(above for above, _ in self._ancestors(identity))]:
                restricted = self._restriction(one)
                if restricted is not None:
                    levels.append(restricted)
        except (NotFound, SourceRefused):
            return denied("Confluence does not tell the restrictions of the page or of what stands above it")
        rule = f"Confluence: space {space.key}"
        if levels[1:]:
            rule += f" and {len(levels) - 1} restrictions"
        if space.unopened:
            rule += "; whom it lets in by a role may not read here"
        return self._levels.decided(levels, rule)

    def path(self, identity: str) -> list[str]:
        """The space and the titles above a page, from the top."""
        try:
            above = [content.title for _, content in self._ancestors(identity)]
        except (NotFound, SourceRefused):
            above = []
        return [self.spaces[self.contents[identity].space].name, *reversed(above)]

    def _ancestors(self, identity: str) -> Iterator[tuple[str, Content]]:
        """What stands above, the nearest first; raises where that cannot be told."""
        seen = {identity}
        parent = self.contents[identity].parent
        while parent is not None:
            if parent[1] in seen or len(seen) > _DEEPEST:
                raise NotFound("end of the tree above the Confluence page", identity)
            seen.add(parent[1])
            content = self._parent(*parent)
            yield parent[1], content
            parent = content.parent

    def _parent(self, kind: str, identity: str) -> Content:
        """Something above a page; what no listing of pages names, such as a folder, is asked for."""
        if identity in self.contents:
            return self.contents[identity]
        if (kind, identity) not in self._above:
            self._above[kind, identity] = None
            path = _PARENTS.get(kind)
            if path is not None:
                try:
                    self._above[kind, identity] = content_of(path, told_of(self.api, f"api/v2/{path}/{identity}"))
                except (NotFound, SourceRefused):
                    pass  # It stays unknown, and what stands below it nobody's.
        found = self._above[kind, identity]
        if found is None:
            raise NotFound("Confluence page above", identity)
        return found

    def read_space(self, space_id: str) -> None:
        space = self.spaces[space_id]
        try:
            found = list(self.all_of(f"api/v2/spaces/{space_id}/permissions", {}, of_one=True))
        except (NotFound, SourceRefused):
            space.problem = f"Confluence does not tell the permissions of the space {space.key}"
            return
        viewing = {"key": "read", "targetType": "space"}
        named = [self._grantee(one.get("principal")) for one in found if one.get("operation") == viewing]
        space.readers = frozenset(grantee for grantee in named if grantee is not None)
        space.unopened = None in named

    def read_restrictions(self, at_once: int) -> None:
        """The restrictions of as many pages as one search tells of; the rest is asked for page by page."""
        keys = ", ".join(json.dumps(space.key) for space in self.spaces.values())
        if not keys:
            return
        params: dict[str, Any] = {"cql": f"space in ({keys}) and type in (page, blogpost)", "expand": _RESTRICTIONS}
        try:
            for found in self.all_of("rest/api/content/search", params, min(at_once, 100), of_one=True):
                restrictions = (found.get("restrictions") or {}).get("read")
                told = self._told(restrictions)
                if told is not None and not told.more:
                    self._restricted[str(found.get("id"))] = told.grantees or None
        except (NotFound, SourceRefused):
            return

    def _restriction(self, identity: str) -> frozenset[Grantee] | None:
        """Whom a page's own restriction lets in, None where it has none; raises where that is not told."""
        if identity not in self._restricted and identity not in self._untold:
            try:
                self._restricted[identity] = self._asked_restriction(identity) or None
            except (NotFound, SourceRefused):
                # It may stand above many pages; once is enough.
                self._untold.add(identity)
        if identity in self._untold:
            raise NotFound("Confluence restrictions", identity)
        return self._restricted[identity]

    def _asked_restriction(self, identity: str) -> frozenset[Grantee]:
        grantees: frozenset[Grantee] = frozenset()
        path, start = f"rest/api/content/{identity}/restriction/byOperation/read", 0
        while True:
            params = {"expand": "restrictions.user,restrictions.group", "start": start, "limit": 100}
            told = self._told(told_of(self.api, path, params))
            if told is None:
                raise NotFound("Confluence restrictions", identity)
            grantees |= told.grantees
            start += told.count
            if not told.more or not told.count:
                return grantees

    def _told(self, read: Any) -> _Told | None:
        """What an answer says of who may read; None where it does not say: an empty list would mean everybody."""
        try:
            kinds = [read["restrictions"][kind] for kind in ("user", "group")]
            found = [one for kind in kinds for one in kind["results"]]
            grantees = frozenset(self._restricting(one) for one in found)
            more = any(len(kind["results"]) >= int(kind["limit"]) for kind in kinds)
            return _Told(grantees, max(len(kind["results"]) for kind in kinds), more)
        except (TypeError, KeyError, ValueError):
            return None

    def _restricting(self, one: Mapping[str, Any]) -> Grantee:
        kind, key = (GranteeKind.GROUP, "id") if one["type"] == "group" else (GranteeKind.USER, "accountId")
        return Grantee(kind, self.issuer, str(one[key]))

    def _grantee(self, principal: Any) -> Grantee | None:
        """A user or a group; what else a space may name, such as a role, lets nobody in here."""
        kinds = {"user": GranteeKind.USER, "group": GranteeKind.GROUP}
        if not isinstance(principal, dict) or principal.get("type") not in kinds or not principal.get("id"):
            return None
        return Grantee(kinds[principal["type"]], self.issuer, str(principal["id"]))

    def members_of(self, group: Grantee) -> frozenset[Grantee] | str:
        """The people of a group, or why they are not known; groups of Confluence Cloud hold no groups."""
        if group not in self._members:
            try:
                path = f"rest/api/group/{group.subject}/membersByGroupId"
                found = [person for person in self.all_of(path, {}, 200, of_one=True) if person.get("accountId")]
            except (NotFound, SourceRefused):
                self._members[group] = "Confluence does not tell who belongs to it"
            else:
                members = [self._person(person) for person in found]
                self._members[group] = frozenset(member.user for member in members)
        return self._members[group]

    def name_people(self) -> None:
        """Learn how those are called whom spaces name by themselves."""
        named = {one for space in self.spaces.values() for one in space.readers if one.kind is GranteeKind.USER}
        for some in batched(sorted(named - self.people.keys()), ACCOUNTS_AT_ONCE):
            found = self.api.post("api/v2/users-bulk", {"accountIds": [one.subject for one in some]})
            for person in records(found, "results"):
                self._person(person)

    def _person(self, person: Mapping[str, Any]) -> Account:
        user = Grantee(GranteeKind.USER, self.issuer, str(person["accountId"]))
        name = str(person.get("displayName") or person.get("publicName") or "")
        self.people[user] = Account(user, name, str(person.get("email") or ""))
        return self.people[user]

    def _known_members(self, group: Grantee) -> frozenset[Grantee] | None:
        members = self.members_of(group)
        return None if isinstance(members, str) else members

    def all_of(
        self, path: str, params: Mapping[str, Any], at_once: int = 250, of_one: bool = False
    ) -> Iterator[dict[str, Any]]:
        """Everything that a listing of either API names, page by page; `of_one` where it is about one object alone."""
        asked: dict[str, Any] = {**params, "limit": at_once}
        while True:
            found = told_of(self.api, path, asked) if of_one else self.api.get(path, asked)
            yield from one_page(found, "results", "Confluence")
            following = (found.get("_links") or {}).get("next") or ""
            onwards = parse_qs(urlsplit(str(following)).query)
            step: dict[str, Any] = {name: onwards[name][0] for name in ("cursor", "start") if name in onwards}
            if not step or step.items() <= asked.items():
                return
            asked |= step


@dataclass(frozen=True)
class _Told:
    grantees: frozenset[Grantee]
    count: int
    more: bool


def content_of(kind: str, found: Mapping[str, Any]) -> Content:
    parent = found.get("parentId")
    return Content(
        kind,
        str(found.get("title") or ""),
        str(found.get("spaceId") or ""),
        (str(found.get("parentType") or "page"), str(parent)) if parent else None,
        int((found.get("version") or {}).get("number") or 0),
        str((found.get("_links") or {}).get("webui") or ""),
    )
