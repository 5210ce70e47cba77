"""Administrative actions, for the command line and the web alike: each is on record before it is done."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any

from sqlalchemy import or_, select

from catalog.models import Document, Source
from core.errors import NotFound, WrongUsage
from core.principals import Grantee, GranteeKind, Principal
from governance import labels, redaction
from governance.access import membership, sets
from governance.access.explain import Explanation, explain
from governance.access.rules import AccessLists, Decision
from governance.audit import Kind, new_audit_id
from governance.doors import DocumentView, document_records, document_view
from governance.identity import KeyView, create_key, revoke_key
from governance.safety.sensitive import Policy
from ingest.items import Item, Listing
from ingest.ledger import Ledger
from ingest.report import IngestReport
from ingest.sources import find_source
from wiring.home import Home


@dataclass(frozen=True)
class Administration:
    """What an administrator may do, as `actor`; raises `AuditUnavailable`, and changes nothing, without a record."""

    home: Home
    principal: Principal
    actor: str

    def record(self, action: str, **facts: Any) -> str:
        """Put an action on record; returns the id of the record."""
        audit_id = new_audit_id()
        content = {"action": action, "actor": self.actor, **facts}
        self.home.audit.append(Kind.ADMIN, self.principal, content, audit_id)
        return audit_id

    def set_group(self, group: Grantee, members: Sequence[Grantee]) -> None:
        """Replace a group's members; raises `WrongUsage` naming a cycle."""
        self.record("groups.set", group=str(group), members=[str(member) for member in members])
        with self.home.catalog.write() as session:
            membership.set_members(session, group, members)

    def load_roster(self, people: Mapping[Grantee, str], groups: Mapping[Grantee, Sequence[Grantee]]) -> None:
        """Make people known by their names and replace the members of groups, all of it or nothing.

        Who is inactive stays so. Raises `WrongUsage` naming a cycle.
        """
        self.record(
            "groups.load",
            people={str(user): name for user, name in people.items()},
            groups={str(group): [str(m) for m in members] for group, members in groups.items()},
        )
        with self.home.catalog.write() as session:
            for user, name in people.items():
                membership.define_user(session, user, name)
            # Emptied first: groups that traded places would look like a cycle half-way.
            for group in groups:
                membership.set_members(session, group, ())
            for group, members in groups.items():
                membership.set_members(session, group, members)

    def delete_group(self, group: Grantee) -> None:
        self.record("groups.delete", group=str(group))
        with self.home.catalog.write() as session:
            membership.delete_group(session, group)
            # A group that is made anew under this name is another one.
            with suppress(NotFound):
                redaction.unset_policy(session, group)

    def set_redaction(self, group: Grantee, policy: Policy) -> None:
        """Mask by this policy for the group's members; raises `WrongUsage` for what is no group."""
        require_group(group)
        self.record("redaction.set", group=str(group), policy=policy)
        with self.home.catalog.write() as session:
            redaction.set_policy(session, group, policy)

    def unset_redaction(self, group: Grantee) -> None:
        """Let a group have no policy of its own; raises `NotFound` if it has none."""
        require_group(group)
        self.record("redaction.unset", group=str(group))
        with self.home.catalog.write() as session:
            redaction.unset_policy(session, group)

    def define_user(self, user: Grantee, name: str, active: bool | None) -> membership.UserView:
        """Make a person known, or change what is given of them: an empty name and None leave what was."""
        self.record("users.set", user=str(user), name=name, active=active)
        with self.home.catalog.write() as session:
            return membership.define_user(session, user, name, active)

    def create_key(
        self, name: str, principal: Principal, scopes: Sequence[str], lifetime: timedelta | None
    ) -> tuple[KeyView, str]:
        """Make an API key; the second value is its text, to be shown once."""
        self.record("keys.create", name=name, principal=str(principal), scopes=list(scopes))
        with self.home.catalog.write() as session:
            return create_key(session, name, principal, scopes, lifetime)

    def revoke_key(self, key_id: str) -> KeyView:
        self.record("keys.revoke", key_id=key_id)
        with self.home.catalog.write() as session:
            return revoke_key(session, key_id)

    def grant(self, grantee: Grantee, document: str) -> Explanation:
        """Let a grantee read a document; returns what holds for them afterwards."""
        document_id = self.resolve(document)
        self.record("access.grant", grantee=str(grantee), document_id=document_id)
        with self.home.catalog.write() as session:
            sets.grant(session, grantee, document_id)
            return explain(session, grantee, document_id)

    def revoke(self, grantee: Grantee, document: str) -> Explanation:
        """Take a document from a grantee; returns what holds for them afterwards."""
        document_id = self.resolve(document)
        self.record("access.revoke", grantee=str(grantee), document_id=document_id)
        with self.home.catalog.write() as session:
            sets.revoke(session, grantee, document_id)
            return explain(session, grantee, document_id)

    def explain(self, grantee: Grantee, document: str) -> Explanation:
        """Whether a grantee may read a document, and the rule that decided."""
        document_id = self.resolve(document)
        self.record("access.explain", grantee=str(grantee), document_id=document_id)
        with self.home.catalog.write() as session:
            return explain(session, grantee, document_id)

    def documents(self, document: str | None = None) -> list[DocumentView]:
        """The records (no text) of every document, or of one; raises `NotFound` for one that is not there."""
        self.record("documents.list" if document is None else "documents.show", document_id=document)
        query = document_records()
        if document is not None:
            query = query.where(Document.id == self.resolve(document))
        with self.home.catalog.read() as session:
            views = [document_view(record) for record in session.execute(query)]
        policy = self.home.settings.redaction
        return [replace(view, title=redaction.masked_line(view.title, policy)) for view in views]

    def delete_documents(self, documents: Sequence[str]) -> list[str]:
        """Delete documents; returns their ids."""
        ids = [self.resolve(document) for document in documents]
        self.record("documents.delete", document_ids=ids)
        self.home.ingestion.delete(ids)
        return ids

    def label_document(self, document: str, add: Sequence[str], remove: Sequence[str]) -> list[str]:
        """Give a document labels and take some from it; returns all it has, its source's among them.

        Raises `NotFound`, and `WrongUsage` for what can be no label.
        """
        document_id = self.resolve(document)
        self.record("documents.label", document_id=document_id, add=list(add), remove=list(remove))
        with self.home.catalog.write() as session:
            if add or remove:
                labels.label_document(session, document_id, add, remove)
            return labels.labels_of(session, document_id)

    def label_source(self, source: str, add: Sequence[str], remove: Sequence[str]) -> list[str]:
        """Give all documents of a source labels, also those to come, and take some from them; returns the source's.

        Raises `NotFound`, and `WrongUsage` for what can be no label.
        """
        source_id = find_source(self.home.catalog, source).source_id
        self.record("sources.label", source=source, add=list(add), remove=list(remove))
        with self.home.catalog.write() as session:
            return labels.label_source(session, source_id, add, remove)

    def upload(self, source: str, external_id: str, data: bytes, lists: AccessLists) -> tuple[IngestReport, str | None]:
        """Bring one document in from its bytes; returns the report and, unless it failed, the document's id."""
        checked_name(external_id)
        self.record("documents.upload", source=source, external_id=external_id, size_bytes=len(data))
        uri = f"upload:{source}/{external_id}"
        decision = Decision(lists, f"set at upload by {self.actor}")
        listing = Listing([Item(external_id, uri, decision, lambda: data)], lambda _: decision, complete=False)
        ledger = Ledger(self.home.catalog, source, f"upload:{source}")
        allow, access_file = ledger.remembered()
        ledger.register(allow, access_file)
        self.call_off(source, [external_id])
        report = self.home.ingestion.run(ledger, source, listing, prune=False, progress=lambda *_: None)
        known = ledger.known().get(external_id)
        return report, known.document_id if known else None

    def call_off(self, source: str, external_ids: Collection[str] | None = None) -> None:
        """Call off what workers were to bring in of a source, all of it or these documents.

        Whoever brings it in now does so under the rules of now, which those of then must not replace afterwards.
        """
        arrivals = self.home.arrivals
        waiting = arrivals.waiting(source) if external_ids is None else external_ids
        if waiting:
            with self.home.catalog.write() as session:
                arrivals.withdraw(session, source, waiting)

    def resolve(self, document: str) -> str:
        """The id of a document named by its id, its external id, or `SOURCE:EXTERNAL_ID`; raises `NotFound`."""
        source, _, external_id = document.rpartition(":")
        named = or_(
            Document.id == document,
            Document.external_id == document,
            (Source.name == source) & (Document.external_id == external_id),
        )
        query = (
            select(Document.id).join(Source, Source.id == Document.source_id).where(Document.state != "deleted", named)
        )
        with self.home.catalog.read() as session:
            found = session.scalars(query).all()
        if len(found) > 1:
            raise WrongUsage(
                f"{len(found)} documents are called {document!r}; name one as SOURCE:{document} or by its id."
            )
        if not found:
            raise NotFound("document", document)
        return found[0]


def checked_name(external_id: str) -> str:
    """What can name an uploaded document: a relative path; raises `WrongUsage` for anything else."""
    if PurePosixPath(external_id).is_absolute() or ".." in PurePosixPath(external_id).parts or not external_id:
        raise WrongUsage(f"{external_id!r} cannot name a document: write a relative path such as policies/leave.md.")
    return external_id


def require_group(grantee: Grantee) -> Grantee:
    """The grantee, which must be a group; raises `WrongUsage`."""
    if grantee.kind is not GranteeKind.GROUP:
        raise WrongUsage(f"{grantee} is not a group.")
    return grantee
