"""Documents of several sources, kinds and languages, put straight into a catalog, for the tests of filters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from catalog.database import Catalog
from catalog.models import Source
from core.documents import Chunk, content_hash
from core.principals import parse_grantee, parse_principal
from governance.access.rules import AccessLists, Decision
from governance.labels import label_document, label_source
from ingest.ledger import Ledger, Prepared, Staged

ANA, BEN = parse_principal("user:ana"), parse_principal("user:ben")


def readable_by(allow: str) -> Decision:
    return Decision(AccessLists(frozenset(map(parse_grantee, allow.split()))), "test")


@dataclass(frozen=True)
class Library:
    """A catalog without files, parsers or an index."""

    catalog: Catalog

    def ledger(self, source: str = "handbook") -> Ledger:
        ledger = Ledger(self.catalog, source, f"file:///{source}")
        ledger.register((), None)
        return ledger

    def put(
        self,
        name: str,
        source: str = "handbook",
        media_type: str = "text/plain",
        language: str = "en",
        allow: str = "everyone",
        chunks: int = 1,
        text: str = "What is written here.",
    ) -> Staged:
        """Bring a document in, or its next version."""
        ledger = self.ledger(source)
        ends = [len(text) * (n + 1) // chunks for n in range(chunks)]
        cut = tuple(
            Chunk(n, start, end, (), None) for n, (start, end) in enumerate(zip([0, *ends], ends, strict=False))
        )
        hashes = tuple(content_hash(f"{source} {name} {text} {n}") for n in range(chunks))
        prepared = Prepared(
            external_id=name,
            uri=f"file:///{source}/{name}",
            decision=readable_by(allow),
            content_hash=content_hash(text),
            parser="1",
            size_bytes=len(text),
            title=name,
            media_type=media_type,
            language=language,
            text=text,
            chunks=cut,
            chunk_languages=(language,) * chunks,
            vector_hashes=hashes,
            sensitive=(),
        )
        missing = ledger.missing_vectors(hashes, "no model")
        staged = ledger.stage([prepared], {one: np.zeros(4, np.float16) for one in missing}, "no model")[0]
        ledger.publish([staged])
        return staged

    def label(self, document: Staged, add: Sequence[str], remove: Sequence[str] = ()) -> list[str]:
        with self.catalog.write() as session:
            return label_document(session, document.document_id, add, remove)

    def label_source(self, source: str, add: Sequence[str], remove: Sequence[str] = ()) -> list[str]:
        with self.catalog.write() as session:
            found = session.query(Source).where(Source.name == source).one()
            return label_source(session, found.id, add, remove)
