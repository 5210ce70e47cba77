"""Filters applied to what somebody may read: exact, following the catalog, and silent about what is hidden."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from itertools import product
from typing import Any

import pytest
from library import ANA, BEN, Library, readable_by
from sqlalchemy import Row, select, update
from sqlalchemy.orm import Session

from catalog.database import Catalog, bump_epoch
from catalog.labels import DocumentLabelRow
from catalog.models import ChunkRow, DocumentVersion
from core.errors import WrongUsage
from core.principals import Principal
from governance.access.readable import ReadableRows
from ingest.ledger import Staged, abandon_unpublished, delete_documents
from retrieval import facet_table, facets
from retrieval.facets import DocumentFacets
from retrieval.filters import Filters
from retrieval.path_patterns import paths_matching

PDF, HTML = "application/pdf", "text/html"


class Reader:
    """What a process that searches keeps of a catalog."""

    def __init__(self, catalog: Catalog) -> None:
        self.readable, self.facets = ReadableRows(catalog), DocumentFacets(catalog)

    def rows(self, filters: Filters, who: Principal = ANA) -> set[int]:
        view = self.readable.of(who)
        matching = self.facets.matching(view, filters)
        assert matching.epoch == view.epoch
        return set(matching.rows)


@pytest.fixture
def library(catalog: Catalog) -> Library:
    return Library(catalog)


@pytest.fixture
def reader(catalog: Catalog) -> Reader:
    return Reader(catalog)


def came_in(library: Library, document: Staged, moment: datetime) -> None:
    """Let a document's content have come in then, as the catalog has it."""
    with library.catalog.write() as session:
        bump_epoch(session)
        versions = update(DocumentVersion).where(DocumentVersion.id == document.version_id)
        session.execute(versions.values(created_at=moment))


def test_every_filter_finds_what_sorting_all_documents_by_hand_finds(library: Library, reader: Reader) -> None:
    """Each alone and all pairs of them, over documents of every combination; half of them only Ben may read."""
    began = datetime(2026, 1, 1, tzinfo=UTC)
    shelf: dict[tuple[str, str, str, str], Staged] = {}
    for number, made in enumerate(product(("handbook", "wiki"), (PDF, HTML), ("en", "de"), ("legal/", "legal-old/"))):
        source, media_type, language, folder = made
        allow = "user:ben" if number % 2 == (number // 4) % 2 else "everyone"
        one = library.put(f"{folder}{number}.x", source, media_type, language, allow, chunks=1 + number % 3)
        came_in(library, one, began + timedelta(days=number))
        if number % 3 == 0:
            library.label(one, ["Policy"])
        shelf[(*made[:3], f"{folder}{number}.x")] = one
    library.label_source("wiki", ["draft"])
    day = began + timedelta(days=9)

    def plain(test: Callable[[int, tuple[str, str, str, str]], bool]) -> set[int]:
        readable = set(reader.readable.of(ANA).rows)
        chosen = (one for number, (made, one) in enumerate(shelf.items()) if test(number, made))
        return {row for one in chosen for row in one.rows} & readable

    second = list(shelf.values())[1].document_id
    assert set(list(shelf.values())[1].rows) <= set(reader.readable.of(ANA).rows)
    cases: list[tuple[dict[str, object], Callable[[int, tuple[str, str, str, str]], bool]]] = [
        ({"sources": ("wiki",)}, lambda _, made: made[0] == "wiki"),
        ({"sources": ("wiki", "handbook")}, lambda *_: True),
        ({"media_types": (PDF, "image/png")}, lambda _, made: made[1] == PDF),
        ({"languages": ("de",)}, lambda _, made: made[2] == "de"),
        ({"paths": ("legal",)}, lambda _, made: made[3].startswith("legal/")),
        ({"paths": ("*1?.x",)}, lambda _, made: fnmatchcase(made[3].rpartition("/")[2], "1?.x")),
        ({"paths": ("file:///wiki/legal",)}, lambda _, made: made[0] == "wiki" and made[3].startswith("legal/")),
        ({"labels": ("policy",)}, lambda number, _: number % 3 == 0),
        ({"labels": ("draft",)}, lambda _, made: made[0] == "wiki"),
        ({"labels": ("draft", "policy")}, lambda number, made: number % 3 == 0 or made[0] == "wiki"),
        ({"document_ids": (second, "0" * 32)}, lambda number, _: number == 1),
        ({"document_ids": (f"{second}0", second[:-1], "\ud800")}, lambda *_: False),
        ({"changed_from": day}, lambda number, _: number >= 9),
        ({"changed_before": day}, lambda number, _: number < 9),
        ({"sources": ("nowhere",)}, lambda *_: False),
    ]
    for asked, test in cases:
        assert reader.rows(Filters(**asked)) == plain(test), asked  # type: ignore[arg-type]
    for (one, first_test), (other, second_test) in product(cases, cases):
        if not one.keys() & other.keys():
            both = Filters(**one, **other)  # type: ignore[arg-type]
            assert reader.rows(both) == plain(lambda n, m, a=first_test, b=second_test: a(n, m) and b(n, m))  # type: ignore[misc]


def test_the_rows_follow_every_change_at_the_next_question(library: Library, reader: Reader) -> None:
    """New versions, other kinds, moves, labels given and taken, addresses, deletion, an interrupted return."""
    legal, pdf, policy = Filters(paths=("legal",)), Filters(media_types=(PDF,)), Filters(labels=("policy",))
    there, draft = Filters(paths=("file:///new",)), Filters(labels=("draft",))
    other = library.put("other.txt", chunks=2)
    one = library.put("legal/nda.txt", chunks=2)
    assert reader.rows(legal) == set(one.rows)
    assert reader.rows(pdf) == reader.rows(policy) == set()

    one = library.put("legal/nda.txt", media_type=PDF, chunks=3, text="Otherwise.")
    assert reader.rows(legal) == reader.rows(pdf) == set(one.rows)

    assert library.label(one, ["  Policy "]) == ["policy"]
    assert reader.rows(policy) == set(one.rows)
    library.label_source("handbook", ["policy", "draft"])
    assert reader.rows(policy) == reader.rows(draft) == {*one.rows, *other.rows}
    library.label_source("handbook", [], ["POLICY"])
    assert reader.rows(policy) == set(one.rows)
    assert library.label(one, ["kept"], ["policy"]) == ["kept"]
    assert reader.rows(policy) == set()

    ledger = library.ledger()
    known = ledger.known()["legal/nda.txt"]
    ledger.relocate(known, "file:///new/nda.txt", "", "2")
    assert reader.rows(there) == set(one.rows)
    ledger.move(known, "sales/nda.txt", "file:///handbook/sales/nda.txt", readable_by("everyone"))
    assert reader.rows(legal) == reader.rows(there) == set()
    assert reader.rows(pdf) == set(one.rows)

    delete_documents(library.catalog, [one.document_id])
    assert reader.rows(pdf) == set()
    with library.catalog.read() as session:
        assert session.scalars(select(DocumentLabelRow.label)).all() == [], "what is deleted leaves no labels"
    ledger.stage([one.prepared], {}, "no model")
    never = ledger.stage([replace(one.prepared, external_id="never.txt")], {}, "no model")[0]
    for interrupted in (one, never):
        library.label(interrupted, ["again"])
    abandon_unpublished(library.catalog)
    assert reader.rows(draft) == set(other.rows)


def test_two_views_two_filters_and_two_epochs_have_answers_of_their_own(library: Library, reader: Reader) -> None:
    """What an answer is kept under: each part of it is asked about while the others stay the same."""
    open_, secret = library.put("open.txt"), library.put("secret.txt", allow="user:ben", media_type=PDF)
    texts, all_types = Filters(media_types=("text/plain",)), Filters(media_types=("text/plain", PDF))

    assert reader.rows(all_types, ANA) == set(open_.rows)
    assert reader.rows(all_types, BEN) == {*open_.rows, *secret.rows}
    assert reader.rows(texts, BEN) == set(open_.rows)
    more = library.put("more.txt")
    assert reader.rows(texts, BEN) == {*open_.rows, *more.rows}


def test_kept_answers_are_bounded(library: Library, reader: Reader) -> None:
    library.put("open.txt")
    for number in range(300):
        reader.rows(Filters(sources=(f"source {number}",)))

    assert len(reader.facets._answers) <= 256


def test_rows_that_do_not_follow_one_another_are_found_too(library: Library, reader: Reader) -> None:
    """Writers of PostgreSQL take their row numbers in turns."""
    one = library.put("one.txt", chunks=4)
    other = library.put("other.txt", media_type=PDF)
    with library.catalog.write() as session:
        bump_epoch(session)
        session.execute(update(ChunkRow).where(ChunkRow.id == one.rows[1]).values(id=1_000))
    rows = {one.rows[0], 1_000, *one.rows[2:]}

    assert reader.rows(Filters(media_types=("text/plain",))) == rows
    assert reader.rows(Filters(media_types=(PDF,))) == set(other.rows)
    assert reader.facets.of(reader.readable.of(ANA)).sources == {"handbook": 2}, "each document once"


def test_what_piles_up_of_replaced_versions_is_let_go(
    library: Library, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facet_table, "_STALE_RUNS", 5)
    for number in range(25):
        last = library.put("one.txt", text=f"Version {number}.")
        assert reader.rows(Filters(sources=("handbook",))) == set(last.rows)

    assert len(reader.facets._table.runs) < 15


def test_of_many_documents_those_that_have_changed_are_read_and_keep_their_place(
    library: Library, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(facet_table, "_STALE_RUNS", 2)
    shelf = [library.put(f"{number}.txt") for number in range(8)]
    reader.rows(Filters(labels=("new",)))
    table, read = reader.facets._table, list[str]()
    runs_of = table._runs_of

    def recorded(session: Session, changed: Sequence[Row[Any]], since: int) -> object:
        read.extend(one.id for one in changed)
        return runs_of(session, changed, since)

    monkeypatch.setattr(table, "_runs_of", recorded)
    for number in range(5):
        library.label(shelf[3], [f"label {number}"])
        reader.rows(Filters(labels=("new",)))

    assert read == [shelf[3].document_id] * 5
    assert len(table.runs) == 1 + len(shelf)


def test_a_view_from_before_a_change_is_told_by_its_epoch_and_nothing_of_it_is_kept(
    library: Library, reader: Reader
) -> None:
    filters = Filters(sources=("handbook",))
    library.put("one.txt")
    old = reader.readable.of(ANA)
    new = library.put("one.txt", text="Otherwise.")

    assert reader.facets.matching(old, filters).epoch != old.epoch
    assert reader.rows(filters) == set(new.rows)


@pytest.mark.parametrize("commits", [1, 100])
def test_what_was_committed_while_the_catalog_was_read_is_of_no_epoch_before_it(
    library: Library, reader: Reader, monkeypatch: pytest.MonkeyPatch, commits: int
) -> None:
    """Once, or at every reading: what is known of documents is then of no single moment, and nothing of it is kept."""
    filters = Filters(sources=("handbook",))
    library.put("one.txt")
    view, follow, versions = reader.readable.of(ANA), reader.facets._table.follow, iter(range(commits))

    def commit_before_following(session: Session, since: int) -> None:
        if (version := next(versions, None)) is not None:
            session.rollback()  # as on a database where each statement sees what was committed before it
            library.put("one.txt", text=f"Version {version}.")
        follow(session, since)

    monkeypatch.setattr(reader.facets._table, "follow", commit_before_following)
    matching = reader.facets.matching(view, filters)

    assert matching.epoch != view.epoch
    assert (matching.epoch is None) == (commits > 1)
    assert reader.facets._answers == {}
    monkeypatch.undo()
    assert reader.rows(filters) == set(reader.readable.of(ANA).rows) != set(view.rows)


def test_a_row_that_is_gone_since_matches_nothing(library: Library, reader: Reader) -> None:
    """What is of no document any more did not come in early."""
    gone, kept = library.put("gone.txt"), library.put("kept.txt")
    view = reader.readable.of(ANA)
    delete_documents(library.catalog, [gone.document_id])

    for filters in (Filters(changed_before=datetime(9999, 1, 1, tzinfo=UTC)), Filters(sources=("handbook",))):
        assert set(reader.facets.matching(view, filters).rows) == set(kept.rows)


def test_a_pattern_is_tried_on_paths_of_readable_documents_alone(
    library: Library, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How long it takes would tell of the others."""
    library.put("open.txt")
    library.put("merger/plan.txt", allow="user:ben")
    tried: list[str] = []

    class Recorded:
        def __init__(self, patterns: Sequence[str]) -> None:
            self._pattern = paths_matching(patterns)

        def search(self, path: str) -> re.Match[str] | None:
            tried.append(path.partition("\n")[0])
            return self._pattern.search(path)

    monkeypatch.setattr(facets, "paths_matching", Recorded)
    for who, readable in ((ANA, ["open.txt"]), (BEN, ["merger/plan.txt", "open.txt"])):
        tried.clear()
        reader.rows(Filters(paths=("*.txt",)), who)
        assert sorted(tried) == readable


def test_values_that_only_hidden_documents_have_are_as_absent_ones(library: Library, reader: Reader) -> None:
    """In what is found, and in what there is to ask for; whoever may read the documents is told of them."""
    library.put("open.txt")
    secret = library.put("merger/plan.pdf", source="board", media_type=PDF, language="de", allow="user:ben")
    library.label(secret, ["merger"])
    library.label_source("board", ["confidential"])
    hidden = {
        "sources": "board",
        "media_types": PDF,
        "languages": "de",
        "labels": "merger",
        "paths": "merger/**",
        "document_ids": secret.document_id,
    }

    for name, value in hidden.items():
        asked, absent = Filters(**{name: (value,)}), Filters(**{name: ("0" * 32,)})  # type: ignore[arg-type]
        assert reader.rows(asked) == reader.rows(absent) == set()
        assert reader.rows(asked, BEN) == set(secret.rows)
    seen, all_ = (reader.facets.of(reader.readable.of(who)) for who in (ANA, BEN))
    assert vars(seen) == {
        "sources": {"handbook": 1},
        "media_types": {"text/plain": 1},
        "languages": {"en": 1},
        "labels": {},
    }
    assert all_.sources == {"board": 1, "handbook": 1}
    assert all_.labels == {"confidential": 1, "merger": 1}


def test_a_value_that_no_document_has_is_none_of_the_others() -> None:
    codes = facet_table.Codes[str]()
    known = codes.of("wiki")

    assert codes.flags([codes.known("mail")]).tolist() == [False, False]
    assert codes.flags([codes.known("mail"), known]).tolist() == [False, True]


def test_documents_are_counted_once_however_many_passages_they_have(library: Library, reader: Reader) -> None:
    library.put("long.txt", chunks=5)
    short = library.put("short.txt")
    library.label_source("handbook", ["a", "b"])
    library.label(short, ["a"])

    found = reader.facets.of(reader.readable.of(ANA))

    assert (found.sources, found.labels) == ({"handbook": 2}, {"a": 2, "b": 2})


def test_the_most_frequent_values_come_first_and_equal_ones_by_name(library: Library, reader: Reader) -> None:
    for number, language in enumerate(("fr", "de", "de", "en", "en", "en", "da")):
        library.label(library.put(f"{number}.txt", language=language), [language])

    found = reader.facets.of(reader.readable.of(ANA))

    assert list(found.languages) == list(found.labels) == ["en", "de", "da", "fr"]


@pytest.mark.parametrize("label", ["", "  ", "x" * 65, "tab\x07bell"])
def test_what_can_be_no_label_is_refused_and_changes_nothing(library: Library, label: str) -> None:
    one = library.put("one.txt")
    library.label(one, ["kept"])

    with pytest.raises(WrongUsage, match="can be no label"):
        library.label(one, ["new", label])

    assert library.label(one, ()) == ["kept"]


def test_a_document_takes_no_more_than_fifty_labels(library: Library) -> None:
    one = library.put("one.txt")
    library.label(one, [str(number) for number in range(50)])

    with pytest.raises(WrongUsage, match="at most 50"):
        library.label(one, ["one more"])


def test_a_row_that_is_gone_is_of_no_day(library: Library, reader: Reader) -> None:
    one = library.put("one.txt")
    moment = datetime(2026, 3, 1, 12, tzinfo=UTC)
    came_in(library, one, moment)

    assert reader.facets.changed_us([one.rows[0], 999]).tolist() == [facet_table.in_microseconds(moment), 0]
