"""The rows that are ranked: what a principal may read now, kept up with the catalog by its epoch."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from uuid import uuid4

import pytest
from shelf import ANA, BEN, Shelf, decision
from sqlalchemy import Connection, delete, insert, select, update

from catalog.database import Catalog, bump_epoch
from catalog.models import ChunkRow, Document
from core.principals import Principal, parse_principal
from governance.access import readable as access_readable
from governance.access.membership import asking
from governance.access.readable import ReadableRows
from governance.access.sets import READABLE_SETS
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
    cem = parse_principal("user:cem")

    assert set(readable.of(ANA).rows) - set(readable.of(BEN).rows) == set(secret.rows)
    assert readable.of(BEN).view == readable.of(cem).view != readable.of(ANA).view

    shelf.put("c.md", "Three.", allow="user:ben")
    views = {readable.of(one).view for one in (ANA, BEN, cem)}
    assert len(views) == 3, "as many access sets, and others"
    shelf.grant("user:cem", secret.document_id)
    assert readable.of(cem).view == readable.of(ANA).view


def test_kept_views_are_bounded_and_stay_right(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access_readable, "_KEPT_VIEWS", 3)
    readable = ReadableRows(shelf.catalog)
    people = [f"user:{number}" for number in range(8)]
    rows = {name: set(shelf.put(f"{name}.md", name, allow=name).rows) for name in people}

    for name in people * 2:
        assert set(readable.of(parse_principal(name)).rows) == rows[name]
        assert len(readable._views) <= 3


PEOPLE = [parse_principal(f"user:{name}") for name in ("ana", "ben", "eva")]
NAMES = ("user:ana", "user:ben", "group:staff", "group:board", "everyone")


def changes(random: Random, count: int) -> Iterator[tuple[object, ...]]:
    """Documents brought in, changed, granted, revoked and deleted, groups filled, nested and emptied, people left."""
    for _ in range(count):
        document, one = random.choice(["a.md", "b.md", "c.md"]), random.choice(NAMES)
        allow, deny = (" ".join(random.sample(NAMES, random.choice([0, 1, 1, 2]))) for _ in range(2))
        yield random.choice(
            [
                ("put", document, allow, random.choice(["", deny]), random.randint(1, 4)),
                ("interleaved", allow, one),
                ("grant", document, one),
                ("revoke", document, one),
                ("delete", document),
                ("group", random.choice(["group:staff", "group:board"]), random.choice(["user:ana user:ben", ""])),
                ("nest", random.choice(["group:board", ""])),
                *([("deactivate", "user:eva")] if random.random() < 0.2 else []),
            ]
        )


def by_statement(shelf: Shelf, principal: Principal) -> set[int]:
    """The rows of what the statement that decides lets somebody read."""
    current = select(ChunkRow.id).join(Document, Document.version_id == ChunkRow.version_id)
    with shelf.catalog.read() as session:
        return set(session.scalars(current.where(Document.access_set_id.in_(READABLE_SETS)), asking(principal)))


def change(shelf: Shelf, kind: str, *words: object) -> None:
    documents = shelf.ledger.known()
    if kind == "put":
        name, allow, deny, chunks = words
        shelf.put(str(name), f"Words {uuid4()}.", str(allow), str(deny), int(str(chunks)))
    elif kind == "interleaved":
        interleaved(shelf, *map(str, words))
    elif kind == "group":
        shelf.group(str(words[0]), str(words[1]))
    elif kind == "nest":
        shelf.group("group:staff", str(words[0]))
    elif kind == "deactivate":
        shelf.deactivate(str(words[0]))
    elif words[0] in documents:
        document_id = documents[str(words[0])].document_id
        if kind == "delete":
            delete_documents(shelf.catalog, [document_id])
        else:
            getattr(shelf, kind)(str(words[1]), document_id)


def interleaved(shelf: Shelf, first: str, second: str) -> None:
    """Two documents written at the same time, so that the rows of each do not follow one another."""
    staged = [shelf.put(name, f"Words {uuid4()}.", allow, chunks=4) for name, allow in (("x", first), ("y", second))]
    with shelf.catalog.write() as session:
        rows = sorted(row for one in staged for row in one.rows)
        session.execute(delete(ChunkRow).where(ChunkRow.id.in_(rows)))
        for at, row in enumerate(rows):
            version = staged[at % 2].version_id
            values = {"start": 0, "end": 1, "heading": [], "language": "en", "vector_hash": f"{row}"}
            session.execute(insert(ChunkRow).values(id=row, version_id=version, ordinal=at // 2, **values))
        epoch = bump_epoch(session)
        ids = [one.document_id for one in staged]
        session.execute(update(Document).where(Document.id.in_(ids)).values(changed_epoch=epoch))


@pytest.mark.parametrize("seed", range(3))
def test_what_is_kept_says_the_same_as_the_statement_that_decides(shelf: Shelf, seed: int) -> None:
    readable, met = ReadableRows(shelf.catalog), set()
    for one in changes(Random(seed), 40):
        change(shelf, str(one[0]), *one[1:])
        for person in PEOPLE:
            assert set(readable.of(person).rows) == by_statement(shelf, person), one
            met.add(readable.of(person).rows)
    assert {person: readable.of(person) for person in PEOPLE} == {
        person: ReadableRows(shelf.catalog).of(person) for person in PEOPLE
    }
    assert len(met) > 10


def test_who_somebody_is_and_where_documents_lie_are_of_one_moment(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ben leaves the staff, and then a secret goes to them: he could never read it."""
    secret = shelf.put("secret.md", allow="user:ana")
    shelf.group("group:staff", "user:ben")
    readable, other = ReadableRows(shelf.catalog), []
    follow = readable._follow

    def change_before_following(connection: Connection, epoch: int) -> None:
        if not other:
            other.append(True)
            connection.rollback()  # as on a database where each statement sees what was committed before it
            shelf.group("group:staff", "")
            shelf.grant("group:staff", secret.document_id)
        follow(connection, epoch)

    monkeypatch.setattr(readable, "_follow", change_before_following)

    assert set(readable.of(BEN).rows) == set()
