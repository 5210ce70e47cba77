"""A system of documents that tests write themselves: what it holds, who may read it, and how it fails."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from core.errors import NotFound, SourceRefused
from core.principals import Grantee, parse_grantee
from governance.access.rules import AccessLists, Decision
from ingest.connectors.protocol import Account, Connector, CursorExpired, Group, Listed, Page, denied
from wiring.connectors import Kind

ISSUER = "scripted:one"


class ScriptedSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    site: str = "one"


@dataclass
class Paper:
    """A document of the system; `readers` None: the system does not tell."""

    text: str
    readers: str | None = "person:ana"
    denied: str = ""
    revision: int = 1
    place: str = ""


def grantee(who: str) -> Grantee:
    """`person:ana` and `group:team` are names of this system, anything else is one of ours."""
    kind, _, name = who.partition(":")
    kind = "user" if kind == "person" else kind
    return parse_grantee(f"{kind}:{ISSUER}|{name}") if who.startswith(("person:", "group:")) else parse_grantee(who)


@dataclass
class ScriptedSystem:
    """What all its connectors see; `fetched` counts what was asked of it."""

    papers: dict[str, Paper] = field(default_factory=dict)
    groups: dict[str, str | None] = field(default_factory=dict)
    mirrors_permissions: bool = True
    page: int = 3
    fetched: list[str] = field(default_factory=list)
    pages: int = 0
    fails_at: dict[str, Exception] = field(default_factory=dict)
    stops_after: int | None = None
    log: list[tuple[str, str]] = field(default_factory=list)
    expired: bool = False
    refused: list[tuple[str, str]] = field(default_factory=list)
    refused_at_first: list[tuple[str, str]] = field(default_factory=list)
    hashed: bool = False
    silent: bool = False
    always_whole: bool = False
    silent_about_content: set[str] = field(default_factory=set)

    def put(self, name: str, text: str, readers: str | None = "person:ana", denied: str = "") -> None:
        before = self.papers.get(name)
        self.papers[name] = Paper(text, readers, denied, before.revision + 1 if before else 1)
        self.log.append(("put", name))

    def remove(self, name: str) -> None:
        del self.papers[name]
        self.log.append(("gone", name))

    def kind(self) -> Kind:
        return Kind(ScriptedSettings, "", lambda settings, secret, means: self.connector())

    def connector(self) -> Connector:
        return _ScriptedConnector(self)


class _ScriptedConnector:
    """Lists everything in pages, then what its log has gained."""

    def __init__(self, system: ScriptedSystem) -> None:
        self._system = system

    @property
    def mirrors_permissions(self) -> bool:
        return self._system.mirrors_permissions

    def changes(self, cursor: str | None) -> Iterator[Page]:
        system = self._system
        self._fail("changes")
        if cursor is not None and system.expired:
            system.expired = False
            raise CursorExpired
        begun = json.loads(cursor) if cursor else {"after": "", "log": len(system.log)}
        if "after" in begun or system.always_whole:
            yield from self._listing(begun.get("after", ""), begun["log"])
            return
        new = system.log[begun["log"] :]
        names = dict.fromkeys(name for _, name in new)
        yield self._counted(
            Page(
                [self._listed(name) for name in names if name in system.papers],
                json.dumps({"log": len(system.log)}),
                gone=[name for name in names if name not in system.papers],
                last=True,
            )
        )

    def _listing(self, after: str, log: int) -> Iterator[Page]:
        silent = self._system.silent_about_content
        names = sorted(name for name in self._system.papers if name > after and name not in silent)
        for at in range(0, max(len(names), 1), self._system.page):
            some, last = names[at : at + self._system.page], at + self._system.page >= len(names)
            cursor = {"log": log} if last else {"after": some[-1], "log": log}
            yield self._counted(
                Page(
                    [self._listed(name) for name in some],
                    json.dumps(cursor),
                    whole=True,
                    last=last,
                    refused=self._system.refused if last else self._system.refused_at_first if at == 0 else (),
                )
            )

    def _counted(self, page: Page) -> Page:
        if self._system.stops_after == 0:
            raise KeyboardInterrupt
        if self._system.stops_after is not None:
            self._system.stops_after -= 1
        self._system.pages += 1
        return page

    def fetch(self, document: Listed) -> bytes:
        self._fail("fetch")
        self._system.fetched.append(document.external_id)
        if document.external_id not in self._system.papers:
            raise NotFound("paper", document.external_id)
        return self._system.papers[document.external_id].text.encode()

    def permissions(self) -> Iterator[Sequence[tuple[str, Decision]]]:
        self._fail("permissions")
        if self.mirrors_permissions and not self._system.silent:
            yield [(name, self._decision(paper)) for name, paper in self._system.papers.items()]

    def groups(self) -> Iterator[Group]:
        self._fail("groups")
        for name, members in self._system.groups.items():
            if members is None:
                # What came before the directory fell silent is no list of members.
                yield Group(grantee(name), (grantee("person:ana"),), problem="the directory did not answer")
            else:
                yield Group(grantee(name), tuple(map(grantee, members.split())))

    def accounts(self) -> Iterator[Account]:
        yield Account(grantee("person:ana"), "Ana", "ana@example.org")

    def close(self) -> None:
        pass

    def _listed(self, name: str) -> Listed:
        paper = self._system.papers[name]
        told = self.mirrors_permissions and not self._system.silent
        access = self._decision(paper) if told else None
        uri = f"https://scripted.example/{paper.place or name}"
        return Listed(name, f"{paper.place or name}.md", uri, str(paper.revision), access, hashed=self._system.hashed)

    def _decision(self, paper: Paper) -> Decision:
        if paper.readers is None:
            return denied("its permissions could not be read")
        allow, deny = (frozenset(map(grantee, words.split())) for words in (paper.readers, paper.denied))
        return Decision(AccessLists(allow, deny), "shared in the scripted system")

    def _fail(self, where: str) -> None:
        if error := self._system.fails_at.get(where):
            raise error


REFUSED = SourceRefused("The scripted system refused the credential. Renew it.")
