"""The door for people: text of what they may read at this moment, at its current version, and of nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from shelf import ANA, BEN, Shelf
from sqlalchemy import select

from catalog.database import Catalog
from catalog.models import Document
from catalog.texts import VersionText
from core.errors import NotFound
from core.principals import Principal
from governance.doors import Gate, maintenance
from ingest.ledger import delete_documents

DOORS: dict[str, Callable[[Gate, Principal, str], object]] = {
    "document": lambda gate, principal, document_id: gate.document(principal, document_id),
    "text": lambda gate, principal, document_id: gate.text(principal, document_id)[1],
    "content": lambda gate, principal, document_id: gate.content_name(principal, document_id)[1],
}


@pytest.fixture
def shelf(catalog: Catalog) -> Shelf:
    return Shelf(catalog)


@pytest.fixture
def gate(catalog: Catalog) -> Gate:
    return Gate(catalog)


def refusal(gate: Gate, door: str, document_id: str) -> str:
    """What somebody is told, with the id they asked for left out."""
    with pytest.raises(NotFound) as refused:
        DOORS[door](gate, BEN, document_id)
    return str(refused.value).replace(document_id, "ID")


@pytest.mark.parametrize("door", DOORS)
def test_denied_absent_and_deleted_look_the_same(shelf: Shelf, gate: Gate, door: str) -> None:
    secret = shelf.put("secret.md", "The salaries.", allow="user:ana")
    gone = shelf.put("gone.md", "The old salaries.", allow="everyone")
    delete_documents(shelf.catalog, [gone.document_id])

    assert DOORS[door](gate, ANA, secret.document_id)
    assert (
        refusal(gate, door, secret.document_id)
        == refusal(gate, door, "0" * 32)
        == refusal(gate, door, gone.document_id)
    )


def test_passages_are_handed_to_whom_may_read_them_and_to_nobody_else(shelf: Shelf, gate: Gate) -> None:
    secret = shelf.put("secret.md", "The salaries.", allow="user:ana")
    open_ = shelf.put("open.md", "The menu.", allow="everyone")
    rows = [*secret.rows, *open_.rows]

    assert [passage.text for passage in gate.passages(ANA, rows)] == ["The salaries.", "The menu."]
    assert [passage.text for passage in gate.passages(BEN, rows)] == ["The menu."]


def test_the_list_of_documents_holds_what_may_be_read(shelf: Shelf, gate: Gate) -> None:
    shelf.put("secret.md", allow="user:ana")
    shelf.put("open.md", allow="everyone")
    gone = shelf.put("gone.md", allow="everyone")
    delete_documents(shelf.catalog, [gone.document_id])

    assert [view.external_id for view in gate.documents(ANA)] == ["open.md", "secret.md"]
    assert [view.external_id for view in gate.documents(BEN)] == ["open.md"]


@pytest.mark.parametrize("door", DOORS)
def test_a_change_holds_at_the_next_call(shelf: Shelf, gate: Gate, door: str) -> None:
    document = shelf.put("a.md", "The salaries.", allow="user:ana").document_id
    assert DOORS[door](gate, ANA, document)

    shelf.revoke("user:ana", document)
    with pytest.raises(NotFound):
        DOORS[door](gate, ANA, document)

    shelf.grant("user:ana", document)
    assert DOORS[door](gate, ANA, document)
    shelf.deactivate("user:ana")
    with pytest.raises(NotFound):
        DOORS[door](gate, ANA, document)


def test_only_the_current_version_is_handed_out(shelf: Shelf, gate: Gate) -> None:
    first = shelf.put("a.md", "First draft.", allow="everyone")
    second = shelf.stage("a.md", "Second draft.", allow="everyone")
    assert gate.text(ANA, first.document_id)[1] == "First draft."
    assert [passage.text for passage in gate.passages(ANA, [*first.rows, *second.rows])] == ["First draft."]

    shelf.ledger.publish([second])
    assert gate.text(ANA, first.document_id)[1] == "Second draft."
    assert [passage.text for passage in gate.passages(ANA, [*first.rows, *second.rows])] == ["Second draft."]
    assert gate.document(ANA, first.document_id).version == 2
    assert list(maintenance(shelf.catalog, "index building").chunks(first.rows)) == []


def test_a_deleted_documents_text_is_gone_for_people_and_machinery_alike(shelf: Shelf, gate: Gate) -> None:
    gone = shelf.put("a.md", "The old salaries.", allow="everyone")
    rows, _ = delete_documents(shelf.catalog, [gone.document_id])

    assert rows == list(gone.rows)
    assert gate.passages(ANA, rows) == []
    assert list(maintenance(shelf.catalog, "index building").chunks(rows)) == []
    with shelf.catalog.read() as session:
        assert session.scalars(select(VersionText)).all() == []
        assert session.get_one(Document, gone.document_id).version_id is None


def test_passages_come_in_the_order_asked_for_and_are_the_spans_they_name(shelf: Shelf, gate: Gate) -> None:
    text = "Zwölf Boxkämpfer 🥊 jagen Viktor 👩‍👩‍👧 quer über den Sylter Deich. 東京都 한국어 \U0001f3f4 ende"
    rows = shelf.put("a.md", text, allow="everyone", chunks=7).rows

    passages = gate.passages(ANA, list(reversed(rows)))

    assert [passage.row for passage in passages] == list(reversed(rows))
    assert all(passage.text == text[passage.start : passage.end] for passage in passages)
    assert "".join(passage.text for passage in reversed(passages)) == text


def test_more_rows_than_one_statement_takes_are_checked_alike(shelf: Shelf, gate: Gate) -> None:
    open_ = shelf.put("open.md", "o" * 1200, allow="everyone", chunks=600)
    secret = shelf.put("secret.md", "s" * 1200, allow="user:ana", chunks=600)
    rows = [*open_.rows, *secret.rows]

    assert len(gate.passages(ANA, rows)) == 1200
    assert {passage.text for passage in gate.passages(BEN, rows)} == {"oo"}
