"""A system mirrored here: its groups and rights first, then what has changed in it, page by page.

Killed anywhere, the next sync goes on at the last page that was taken. Nothing here is ever readable by more people
than there: where a source does not tell who may read, nobody may.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from sqlalchemy.orm import Session

from core.attachments import carried, holder
from core.errors import FootnoteError, LeaseLost
from core.principals import LOCAL_ISSUER, Grantee, GranteeKind
from governance.access.mirrored import held_back
from governance.access.rules import AccessLists, AccessRules, Decision, read_rules
from ingest.arrivals import Arrivals, Expected
from ingest.connections import Connection, Connections, Notice
from ingest.connectors.protocol import Connector, CursorExpired, Listed, Page, denied
from ingest.items import Item, Listing, differs, same_revision, stands_elsewhere
from ingest.ledger import Known, Ledger
from ingest.pipeline import Ingestion
from ingest.report import IngestReport
from ingest.sync import PRUNE_COUNT, PRUNE_SHARE

_ROOT = Path("/")


@dataclass(frozen=True)
class Change:
    """A document whose bytes are to be read, and who may read it then."""

    listed: Listed
    decision: Decision


Commit = Callable[[Session], None]
Take = Callable[[Sequence[Change], Commit], None]
"""Brings the changes of one page in, or puts them down to be brought in, and commits with the page's own record."""


@dataclass
class Synced:
    """What one sync found; `warnings` are for the operator."""

    changed: int = 0
    unchanged: int = 0
    deleted: int = 0
    moved: int = 0
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class OperatorsRules:
    """Who may read the documents of a source that does not say: the operator's rules, else their `--allow`."""

    allow: AccessLists
    rules: AccessRules | None = None

    @classmethod
    def of(cls, allow: Sequence[Grantee], access_file: str | None) -> OperatorsRules:
        """Rules are relative to the source: `host/path` of an address, a bucket's key, the path in a repository."""
        rules = read_rules(Path(access_file), folder=_ROOT) if access_file else None
        return cls(AccessLists(frozenset(allow)), rules)

    def decide(self, external_id: str) -> Decision:
        if self.rules is not None:
            # Parts that lead upwards would match the rules of another place.
            parts = [part for part in external_id.partition("://")[2 if "://" in external_id else 0].split("/") if part]
            if ".." in parts or not parts:
                return denied("its place in the source cannot be told")
            return self.rules.decide(_ROOT / PurePosixPath(*parts))
        return Decision(
            self.allow, "--allow of the source" if self.allow.allow else "nothing names it: nobody may read it"
        )


@dataclass
class Mirror:
    """One source's system during one sync, by one thread."""

    ingestion: Ingestion
    arrivals: Arrivals
    connections: Connections
    connection: Connection
    connector: Connector
    ledger: Ledger
    operator: OperatorsRules
    _sync: int = 0
    _told: set[Grantee] = field(default_factory=set)
    _known: dict[str, Known] = field(default_factory=dict)
    _carried: dict[str, list[Known]] = field(default_factory=dict)
    _waiting: Mapping[str, str] = field(default_factory=dict)
    _decided: set[str] = field(default_factory=set)
    _unknown: dict[str, tuple[Known, Decision]] = field(default_factory=dict)
    _done: Synced = field(default_factory=Synced)

    def sync(self, take: Take, force: bool = False) -> Synced:
        """Let the rights of now hold, then take what has changed; `force` lets a listing that has shrunk delete much.

        Raises what the connector does, and `LeaseLost` once another sync of the source has begun; what was taken stays
        taken. While the rights of a source could not be found
        out, nobody reads it.
        """
        self._sync = self.connections.begin_sync(self.connection.source_id, self.ledger.fence)
        try:
            self._take_rights()
        except LeaseLost:
            raise  # whoever has overtaken this sync says what there is to say
        except Exception as error:
            self.connections.failed(
                self.connection.source_id, _in_words(error), rights_unknown=self.connector.mirrors_permissions
            )
            raise
        try:
            for page in self._pages():
                self._take_page(page, take, force)
            warnings = " ".join(self._done.warnings) or None
            self.connections.took_content(self.connection.source_id, warnings, self.ledger.fence)
        except LeaseLost:
            raise  # whoever has overtaken this sync says what there is to say
        except Exception as error:
            self.connections.failed(self.connection.source_id, _in_words(error), rights_unknown=False)
            raise
        return self._done

    def _take_rights(self) -> None:
        """Let groups and lists be as the source tells them now."""
        source_id, fence = self.connection.source_id, self.ledger.fence
        groups: dict[Grantee, tuple[Grantee, ...]] = {}
        unopened: list[Notice] = []
        for group in self.connector.groups():
            groups[group.group] = () if group.problem else group.members
            if group.problem:
                unopened.append(Notice("group", str(group.group), group.problem))
        self.connections.take_groups(source_id, groups, unopened, fence)
        self._told = {group for group in groups if str(group) not in {one.subject for one in unopened}}
        self._know()
        if not self.connector.mirrors_permissions:
            self._narrow([(one, self.operator.decide(holder(one))) for one in self._known.values()])
            arriving = self.arrivals.waiting(self.connection.name)
            self.arrivals.readdress(self.connection.name, {one: self.operator.decide(one) for one in arriving}, fence)
            return
        hidden: list[Notice] = []
        for some in self.connector.permissions():
            decisions = {external_id: self._closed(decision) for external_id, decision in some}
            hidden += [
                Notice("permissions", external_id, decision.rule)
                for external_id, decision in decisions.items()
                if _is_denied(decision)
            ]
            self._narrow(self._concerned(decisions))
            self.arrivals.readdress(self.connection.name, decisions, fence)
        self.connections.took_permissions(source_id, hidden, fence)

    def _know(self) -> None:
        self._known = self.ledger.known()
        self._carried = carried(self._known.values())
        self._waiting = self.arrivals.waiting_revisions(self.connection.name)

    def _with_carried(self, external_id: str) -> Iterator[Known]:
        known = self._known.get(external_id)
        if known is not None:
            yield known
        yield from self._carried.get(external_id, ())

    def _concerned(self, decisions: Mapping[str, Decision]) -> list[tuple[Known, Decision]]:
        return [(one, decisions[key]) for key in decisions for one in self._with_carried(key)]

    def _narrow(self, decisions: Sequence[tuple[Known, Decision]]) -> None:
        """Take rights at once, and keep in mind which are to be given once the content is known."""
        other = [(one, rule) for one, rule in decisions if one.external_id in self._decided or differs(one, rule)]
        waiting = self.ledger.narrow_access(other, self._hold).waiting
        for one, decision in other:
            self._decided.add(one.external_id)
            self._unknown.pop(one.external_id, None)
            if one.external_id in waiting:
                self._unknown[one.external_id] = (one, decision)

    def _let_in(self, known: Iterable[Known]) -> None:
        """Give the rights that have waited for the content of these documents: it is what the source has."""
        ready = [one.external_id for one in known if one.state == "ready"]
        given = [self._unknown.pop(external_id) for external_id in ready if external_id in self._unknown]
        self.ledger.apply_access(given, self._hold)

    def _let_unnamed_in(self, whole: bool) -> None:
        """Give the rights to what no page of this sync has named, and what is as it was nevertheless.

        Nothing has changed it, or an earlier sync whose listing this one has ended has named it. What is on its way
        in, or would not be listed, keeps the narrower rules.
        """
        if not self._unknown:
            return
        source_id = self.connection.source_id
        freshness = self.connections.freshness(source_id)
        refused = {one.subject for one in freshness.notices if one.about == "content"} if freshness else set()
        uncertain = self.arrivals.waiting(self.connection.name) | refused
        with self.ledger.writing() as session:
            named = self.connections.listed(session, source_id)
        self._know()
        self._let_in(
            [
                one
                for one in self._known.values()
                if holder(one) not in uncertain and (not whole or holder(one) in named)
            ]
        )

    def _hold(self, session: Session) -> None:
        self.connections.hold_sync(session, self.connection.source_id, self._sync)

    def _closed(self, decision: Decision) -> Decision:
        """A decision of the source, made safe against what it did not tell: it lets in nobody it may mean to deny."""
        unknown = [one for one in decision.lists.deny if one.kind is GranteeKind.GROUP and not self._is_told(one)]
        if unknown:
            return denied(f"it is closed to {unknown[0]}, and who belongs to that is not known")
        if not decision.lists.allow:
            return decision
        deny = decision.lists.deny | {held_back(self.connection.source_id)}
        return replace(decision, lists=AccessLists(decision.lists.allow, deny))

    def _is_told(self, group: Grantee) -> bool:
        return group.issuer == LOCAL_ISSUER or group in self._told

    def _decision(self, listed: Listed) -> Decision:
        if not self.connector.mirrors_permissions:
            return self.operator.decide(listed.external_id)
        return self._closed(listed.access or denied("the source does not say who may"))

    def _pages(self) -> Iterator[Page]:
        try:
            yield from self.connector.changes(self.connection.cursor)
        except CursorExpired:
            self.connections.list_anew(self.connection.source_id, self.ledger.fence)
            yield from self.connector.changes(None)

    def _take_page(self, page: Page, take: Take, force: bool) -> None:
        decisions = {one.external_id: self._decision(one) for one in page.listed}
        moved = self._move(page, decisions)
        self._narrow(self._concerned(decisions))
        changes: list[Change] = []
        standing: list[Known] = []
        for one in page.listed:
            if one.external_id in moved:
                self._done.unchanged += 1
            elif self._stands(one):
                self._done.unchanged += 1
                standing += self._with_carried(one.external_id)
            else:
                self._leave_waiting(one.external_id)
                if self._waiting.get(one.external_id) != one.revision:
                    changes.append(Change(one, decisions[one.external_id]))
        self._let_in(standing)
        self._done.changed += len(changes)
        self._delete([self._known[external_id] for external_id in page.gone if external_id in self._known])
        take(changes, lambda session: self._turn(session, page))
        if page.whole and page.last:
            self._delete(self._unlisted(force))
        if page.last:
            self._let_unnamed_in(page.whole)

    def _leave_waiting(self, external_id: str) -> None:
        """Whoever brings a document in gives its rights."""
        for one in self._with_carried(external_id):
            self._unknown.pop(one.external_id, None)

    def _stands(self, listed: Listed) -> bool:
        """Whether the catalog has a document's bytes already; its new name or place is noted."""
        known, item = self._known.get(listed.external_id), _item(listed, denied(""), b"".join)
        if known is None or not same_revision(known, item, self._carried.get(listed.external_id, ())):
            return False
        if stands_elsewhere(known, item):
            self.ledger.relocate(known, item.uri, item.name, item.revision)
        return True

    def _move(self, page: Page, decisions: Mapping[str, Decision]) -> set[str]:
        """Let a document that is gone and listed elsewhere with the same bytes be the same one; returns its new ids."""
        left = {
            (known.revision, PurePosixPath(known.name).suffix): known
            for external_id in page.gone
            if (known := self._known.get(external_id)) is not None and known.revision and known.state == "ready"
        }
        moved: set[str] = set()
        for one in page.listed:
            if not one.hashed or one.external_id in self._known:
                continue
            before = left.pop((one.revision, PurePosixPath(one.name).suffix), None)
            if before is None:
                continue
            self.ledger.move(before, one.external_id, one.uri, decisions[one.external_id])
            self.ledger.relocate(before, one.uri, one.name, one.revision)
            self._known.pop(before.external_id)
            moved.add(one.external_id)
        self._done.moved += len(moved)
        return moved

    def _turn(self, session: Session, page: Page) -> None:
        source_id = self.connection.source_id
        if page.gone:
            self.arrivals.withdraw(session, self.connection.name, page.gone)
        refused = [Notice("content", external_id, reason) for external_id, reason in page.refused]
        begins = page.whole and not self.connections.is_listing(session, source_id)
        self.connections.note_refused(session, source_id, refused, anew=begins)
        # What the source has and would not list is not gone.
        listed = [*(one.external_id for one in page.listed), *(external_id for external_id, _ in page.refused)]
        self.connections.turn_page(session, source_id, self._sync, page.cursor, listed, page.whole, page.last)

    def _unlisted(self, force: bool) -> list[Known]:
        """What a listing of everything has not named, unless that is so much that it looks like an accident."""
        # Others have brought documents in meanwhile.
        self._know()
        with self.ledger.writing() as session:
            self.connections.hold_sync(session, self.connection.source_id, self._sync)
        gone = self.connections.unlisted(self.connection.source_id, self._known)
        own = len(self._known) - sum(map(len, self._carried.values()))
        if force or len(gone) <= PRUNE_COUNT or len(gone) <= PRUNE_SHARE * own:
            self._withdraw_unlisted()
            return gone
        warning = (
            f"{self.connection.name} no longer lists {len(gone)} of its {own} documents, which looks like an accident: "
            "none was deleted. If they are meant to go: "
            f"footnote sources sync {self.connection.name} --prune=force"
        )
        self._done.warnings.append(warning)
        return []

    def _withdraw_unlisted(self) -> None:
        with self.ledger.writing() as session:
            named = self.connections.listed(session, self.connection.source_id)
            left = sorted(self._waiting.keys() - named)
            self.arrivals.withdraw(session, self.connection.name, left)

    def _delete(self, gone: Sequence[Known]) -> None:
        if gone:
            self.ingestion.delete([one.document_id for one in gone], self.ledger.fence)
            self._done.deleted += len(gone)
        for one in gone:
            self._known.pop(one.external_id, None)


def queueing(mirror: Mirror, group_id: str, ring: Callable[[Sequence[str]], None]) -> Take:
    """Puts changes down with a job each, so that all workers bring them in."""

    def take(changes: Sequence[Change], commit: Commit) -> None:
        with mirror.ledger.writing() as session:
            ids = mirror.arrivals.expect(
                session, mirror.connection.name, [_expected(change) for change in changes], group_id
            )
            commit(session)
        ring(ids)

    return take


def ingesting(mirror: Mirror, report: IngestReport, progress: Callable[[int, int, int], None]) -> Take:
    """Brings changes in at once, in this process; `report` adds up what the pages come to."""

    def take(changes: Sequence[Change], commit: Commit) -> None:
        if changes:
            name, connector, before = mirror.connection.name, mirror.connector, report.done
            items = [_item(one.listed, one.decision, _Fetch(connector, one.listed)) for one in changes]
            listing = Listing(items, {item.external_id: item.decision for item in items}.get, complete=False)
            report.add(
                mirror.ingestion.run(
                    mirror.ledger,
                    name,
                    listing,
                    prune=False,
                    progress=lambda done, total, failed: progress(
                        before + done, before + total, report.failed + failed
                    ),
                )
            )
        with mirror.ledger.writing() as session:
            commit(session)

    return take


@dataclass(frozen=True)
class _Fetch:
    connector: Connector
    listed: Listed

    def __call__(self) -> bytes:
        return self.connector.fetch(self.listed)


def _item(listed: Listed, decision: Decision, load: Callable[..., bytes]) -> Item:
    return Item(listed.external_id, listed.uri, decision, load, listed.name, listed.revision)


def _expected(change: Change) -> Expected:
    one = change.listed
    return Expected(one.external_id, one.uri, change.decision, None, one.name, one.revision, one.reference)


def _is_denied(decision: Decision) -> bool:
    return not decision.lists.allow and decision.rule.startswith(denied("").rule)


def _in_words(error: Exception) -> str:
    """A problem for the operator; the words of a foreign error may quote a document."""
    return str(error) if isinstance(error, FootnoteError) else f"a bug: {type(error).__name__}"
