"""Documents put straight into a catalog by the ledger, for the tests of who may read them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from sqlalchemy import select

from catalog.database import Catalog
from catalog.models import Document
from core.documents import Chunk, content_hash
from core.principals import Grantee, Principal, parse_grantee, parse_principal
from governance.access import membership, sets
from governance.access.rules import AccessLists, Decision
from governance.safety.sensitive import sensitive_spans
from ingest.ledger import Ledger, Prepared, Staged

ANA, BEN = parse_principal("user:ana"), parse_principal("user:ben")


def names(words: str) -> frozenset[Grantee]:
    return frozenset(map(parse_grantee, words.split()))


def decision(allow: str = "", deny: str = "") -> Decision:
    return Decision(AccessLists(names(allow), names(deny)), "access.yaml: default")


@dataclass(frozen=True)
class Shelf:
    """One source of a catalog, without files, parsers or an index."""

    catalog: Catalog

    @property
    def ledger(self) -> Ledger:
        ledger = Ledger(self.catalog, "org", "file:///org")
        ledger.register((), None)
        return ledger

    def stage(self, name: str, text: str, allow: str = "", deny: str = "", chunks: int = 1) -> Staged:
        """Write a version that readers do not see yet, cut into `chunks` of equal length."""
        ends = [len(text) * (n + 1) // chunks for n in range(chunks)]
        cut = tuple(
            Chunk(n, start, end, (), None) for n, (start, end) in enumerate(zip([0, *ends], ends, strict=False))
        )
        hashes = tuple(content_hash(f"{name} {text} {n}") for n in range(chunks))
        prepared = Prepared(
            external_id=name,
            uri=f"file:///org/{name}",
            decision=decision(allow, deny),
            content_hash=content_hash(text),
            parser="1",
            size_bytes=len(text),
            title=name,
            media_type="text/plain",
            language="en",
            text=text,
            chunks=cut,
            chunk_languages=("en",) * chunks,
            vector_hashes=hashes,
            sensitive=sensitive_spans(text),
        )
        vectors = {hash_: np.zeros(4, np.float16) for hash_ in hashes}
        return self.ledger.stage([prepared], vectors, "no model")[0]

    def put(self, name: str, text: str = "Nothing.", allow: str = "", deny: str = "", chunks: int = 1) -> Staged:
        """Bring a document in, or its next version."""
        staged = self.stage(name, text, allow, deny, chunks)
        self.ledger.publish([staged])
        return staged

    def group(self, group: str, members: str) -> None:
        with self.catalog.write() as session:
            membership.set_members(session, parse_grantee(group), [parse_grantee(one) for one in members.split()])

    def deactivate(self, user: str) -> None:
        with self.catalog.write() as session:
            membership.define_user(session, parse_grantee(user), active=False)

    def grant(self, grantee: str, document_id: str) -> None:
        with self.catalog.write() as session:
            sets.grant(session, parse_grantee(grantee), document_id)

    def revoke(self, grantee: str, document_id: str) -> None:
        with self.catalog.write() as session:
            sets.revoke(session, parse_grantee(grantee), document_id)

    def readers(self, document_id: str, among: Iterable[str]) -> list[str]:
        """Those who may read a document, by the statement that decides."""
        return [name for name in among if document_id in self.readable(parse_principal(name))]

    def readable(self, principal: Principal) -> set[str]:
        with self.catalog.read() as session:
            query = select(Document.id).where(Document.access_set_id.in_(sets.READABLE_SETS))
            return set(session.scalars(query, membership.asking(principal)))
