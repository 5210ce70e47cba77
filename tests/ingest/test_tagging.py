"""A home from before texts were looked at: the upgrade tags them, and takes what is sensitive out of its indexes."""

from __future__ import annotations

from sqlalchemy import select

from apps.administration import Administration
from catalog.models import ChunkRow, Vector
from core.documents import content_hash
from core.principals import parse_grantee, parse_principal
from governance.access.rules import AccessLists
from governance.doors import maintenance
from governance.identity import ADMINISTRATOR
from governance.redaction import forget_spans
from wiring.home import Home
from wiring.lifecycle import upgrade_home

ANA = parse_principal("user:ana")
CARD = "4111 1111 1111 1111"


def as_from_before(home: Home) -> str:
    """Undo what looking at the texts left behind; the key of a vector that holds the card."""
    with home.catalog.write() as session:
        row = session.scalars(select(ChunkRow)).one()
        forget_spans(session, [row.version_id])
        old = content_hash(f"what was embedded, {CARD} included")
        vector = session.scalars(select(Vector).where(Vector.hash == row.vector_hash)).one()
        session.add(Vector(hash=old, fingerprint=vector.fingerprint, data=vector.data))
        session.delete(vector)
        row.vector_hash = old
    return old


def test_the_upgrade_tags_old_texts_and_embeds_them_without_what_nobody_may_search_for(home: Home) -> None:
    lists = AccessLists(frozenset({parse_grantee("user:ana")}))
    text = f"The corporate card is {CARD}.\n".encode()
    report, document_id = Administration(home, ADMINISTRATOR, "test").upload("handbook", "card.md", text, lists)
    assert not report.failures and document_id
    old = as_from_before(home)

    assert (upgrade_home(home.settings), upgrade_home(home.settings)) == (1, 0)

    with home.catalog.read() as session:
        row = session.scalars(select(ChunkRow)).one()
        assert session.scalars(select(Vector.hash)).all() == [row.vector_hash]
        (chunk,) = maintenance(home.catalog, "index building").chunks([row.id])
    assert row.vector_hash == content_hash(chunk.text) != old
    assert CARD not in chunk.text
    assert maintenance(home.catalog, "index building").unseen() == []
    found = home.search.search("corporate card", ANA, 1, "test")[0].hits
    assert [hit.passage.document_id for hit in found] == [document_id]
