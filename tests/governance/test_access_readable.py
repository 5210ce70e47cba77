"""The rows that are ranked: what a principal may read now, kept up with the catalog by its epoch."""

from __future__ import annotations

import pytest
from shelf import ANA, BEN, Shelf, decision

from catalog.database import Catalog
from governance.access.readable import ReadableRows
from ingest.ledger import abandon_unpublished, delete_documents


@pytest.fixture
def shelf(catalog: Catalog) -> Shelf:
    return Shelf(catalog)


def test_the_rows_follow_every_change_at_the_next_question(shelf: Shelf) -> None:
    readable = ReadableRows(shelf.catalog)
    first = shelf.put("a.md", "One two.", allow="user:ana", chunks=2)
    assert set(readable.of(ANA).rows) == set(first.rows)
    assert set(readable.of(BEN).rows) == set()

    shelf.grant("user:ben", first.document_id)
    assert set(readable.of(BEN).rows) == set(first.rows)

    second = shelf.put("a.md", "Three four.", allow="user:ana")
    assert set(readable.of(ANA).rows) == set(readable.of(BEN).rows) == set(second.rows)

    shelf.revoke("user:ana", first.document_id)
    assert set(readable.of(ANA).rows) == set()

    shelf.ledger.apply_access([(shelf.ledger.known()["a.md"], decision("group:staff"))])
    shelf.revoke("user:ben", first.document_id)
    assert set(readable.of(BEN).rows) == set()
    shelf.group("group:staff", "user:ben")
    assert set(readable.of(BEN).rows) == set(second.rows)

    delete_documents(shelf.catalog, [first.document_id])
    assert set(readable.of(BEN).rows) == set()


def test_what_is_staged_is_not_readable_yet(shelf: Shelf) -> None:
    current = shelf.put("a.md", "One.", allow="everyone")
    shelf.stage("a.md", "Two.", allow="everyone")
    shelf.stage("b.md", "Three.", allow="everyone")

    assert set(ReadableRows(shelf.catalog).of(ANA).rows) == set(current.rows)


def test_a_reader_that_slept_through_a_deletion_and_an_interrupted_return_keeps_no_old_rows(shelf: Shelf) -> None:
    readable = ReadableRows(shelf.catalog)
    gone = shelf.put("a.md", "One.", allow="everyone")
    kept = shelf.put("b.md", "Two.", allow="everyone")
    assert set(readable.of(ANA).rows) == {*gone.rows, *kept.rows}

    delete_documents(shelf.catalog, [gone.document_id])
    shelf.stage("a.md", "One.", allow="everyone")
    abandon_unpublished(shelf.catalog)

    assert set(readable.of(ANA).rows) == set(kept.rows)


def test_two_people_with_the_same_rights_share_one_view_and_others_do_not(shelf: Shelf) -> None:
    readable = ReadableRows(shelf.catalog)
    shelf.put("a.md", "One.", allow="everyone")
    secret = shelf.put("b.md", "Two.", allow="user:ana")

    assert set(readable.of(ANA).rows) - set(readable.of(BEN).rows) == set(secret.rows)
