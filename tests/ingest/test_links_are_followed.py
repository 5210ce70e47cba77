"""What others call a document finds it: for those who may read both, and as if it were not there for everybody else."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
from organization import ANA, BEN, bring_in, write_files
from sqlalchemy import select

from catalog.links import LinkRow
from core.answers import Hit
from core.principals import Principal
from retrieval.filters import NO_FILTERS, Filters
from retrieval.links import Links, named_links
from wiring.home import Home

FOR_ANA = "default: {allow: ['user:ana']}\n"
FORM = "# HR-17\n\nFill in both pages, and hand them to your lead before the first of the month.\n"
OTHERS = {
    f"notes/{number}.md": f"# Meeting {number}\n\nWe spoke about the roof, the {word} and the parking lot.\n"
    for number, word in enumerate(("garden", "kitchen", "sabbatical", "request", "canteen", "lift", "cellar", "doors"))
}


def written(folder: Path, files: dict[str, str]) -> Path:
    return write_files(folder, OTHERS | {"forms/hr17.md": FORM} | files)


def hits(home: Home, query: str, principal: Principal = ANA) -> Sequence[Hit]:
    return home.searcher.search(query, principal, 20).hits


def found(home: Home, query: str, principal: Principal = ANA) -> list[str]:
    return [hit.passage.external_id for hit in hits(home, query, principal)]


def seen(home: Home, query: str, principal: Principal) -> list[tuple[str, float]]:
    return [(hit.passage.external_id, hit.score) for hit in hits(home, query, principal)]


def document_of(home: Home, external_id: str) -> str:
    return next(one.document_id for one in home.gate.documents(ANA) if one.external_id == external_id)


def is_found(home: Home, query: str, principal: Principal = ANA, document: str = "forms/hr17.md") -> bool:
    """Whether a document that says none of the question's words comes right behind the one that links to it."""
    return document in found(home, query, principal)[:2]


@pytest.mark.parametrize(
    ("place", "target"),
    [
        ("handbook/leave.md", "../forms/hr17.md"),
        ("handbook/leave.md", "../forms/HR17#page-2"),
        ("handbook/leave.md", "/forms/hr17/"),
        ("forms/all.md", "hr17.md"),
        ("elsewhere/forms/all.md", "hr17.md"),
    ],
)
def test_a_document_is_found_by_what_another_calls_it(home: Home, tmp_path: Path, place: str, target: str) -> None:
    bring_in(home, written(tmp_path / "org", {place: f"# Leave\n\nTo go, hand in a [sabbatical request]({target}).\n"}))

    assert is_found(home, "How do I hand in a sabbatical request?")
    assert is_found(home, "request of a sabbatical")
    assert not is_found(home, "roof and parking lot")


def test_without_the_link_it_is_not(home: Home, tmp_path: Path) -> None:
    bring_in(home, written(tmp_path / "org", {"handbook/leave.md": "# Leave\n\nHand in a sabbatical request.\n"}))

    assert not is_found(home, "sabbatical request")


def test_a_link_says_nothing_to_whom_its_document_is_hidden_from(home: Home, tmp_path: Path) -> None:
    secret = {
        "secret/access.yaml": FOR_ANA,
        "secret/leave.md": "# Leave\n\nA [sabbatical request](../forms/hr17.md), or a [canteen](../notes/1.md).\n",
    }
    folder = written(tmp_path / "org", {})
    bring_in(home, folder)
    queries = ("sabbatical request", "canteen", "sabbatical request canteen")
    before = [seen(home, query, BEN) for query in queries]

    bring_in(home, write_files(folder, secret))

    assert is_found(home, "sabbatical request")
    assert [seen(home, query, BEN) for query in queries] == before


def test_a_link_to_what_is_hidden_leads_nowhere(home: Home, tmp_path: Path) -> None:
    files = {"handbook/leave.md": "# Leave\n\nHand in a [sabbatical request](../forms/hr17.md).\n"}
    folder = write_files(tmp_path / "org", OTHERS | files)
    bring_in(home, folder)
    before = seen(home, "sabbatical request", BEN)

    bring_in(home, write_files(folder, {"forms/hr17.md": FORM, "forms/access.yaml": FOR_ANA}))

    assert is_found(home, "sabbatical request")
    assert seen(home, "sabbatical request", BEN) == before


def test_the_gate_tells_nobody_of_links_and_places_that_they_may_not_read(home: Home, tmp_path: Path) -> None:
    files = {"secret/leave.md": "A [sabbatical request](../forms/hr17.md).\n", "secret/access.yaml": FOR_ANA}
    bring_in(home, written(tmp_path / "org", files))
    query = select(LinkRow.chunk_id, LinkRow.number)
    with home.catalog.read() as session:
        links = [(row, number) for row, number in session.execute(query)]
    keys = ["secret/leave", "forms/hr17"]

    assert [link.target for link in home.gate.links(ANA, links)] == ["../forms/hr17.md"]
    assert home.gate.links(BEN, links) == []
    assert [one.external_id for one in home.gate.placed(BEN, keys)] == ["forms/hr17.md"]
    assert sorted(one.external_id for one in home.gate.placed(ANA, keys)) == ["forms/hr17.md", "secret/leave.md"]


def test_what_is_hidden_decides_nothing_between_two_documents(home: Home, tmp_path: Path) -> None:
    """A link that could lead to either of two leads to none; who may read one of them knows of no other."""
    link = {"handbook/leave.md": "# Leave\n\nHand in a [sabbatical request](/forms/hr17).\n"}
    files = {"old/forms/hr17.md": FORM, "old/access.yaml": FOR_ANA}
    folder = write_files(tmp_path / "org", OTHERS | link | {"new/forms/hr17.md": FORM.replace("both", "all")})
    bring_in(home, folder)
    before = seen(home, "sabbatical request", BEN)
    assert is_found(home, "sabbatical request", BEN, "new/forms/hr17.md")

    bring_in(home, write_files(folder, files))

    assert seen(home, "sabbatical request", BEN) == before
    assert not {"new/forms/hr17.md", "old/forms/hr17.md"} & set(found(home, "sabbatical request")[:2])


def test_what_a_filter_leaves_out_decides_nothing_either(home: Home, tmp_path: Path) -> None:
    """Results are those of an index of these documents alone."""
    link = {"handbook/leave.md": "# Leave\n\nHand in a [sabbatical request](/forms/hr17).\n"}
    folder = write_files(tmp_path / "org", OTHERS | link | {"new/forms/hr17.md": FORM})
    bring_in(home, folder)
    some = Filters(paths=("handbook", "new", "notes"))

    def ranked(filters: Filters) -> list[tuple[str, float]]:
        hits = home.searcher.search("sabbatical request", ANA, 20, filters).hits
        return [(hit.passage.external_id, hit.score) for hit in hits]

    before = ranked(some)
    bring_in(home, write_files(folder, {"old/forms/hr17.md": FORM.replace("both", "all")}))

    assert ranked(some) == before
    assert "new/forms/hr17.md" in [name for name, _ in before[:2]]
    assert "new/forms/hr17.md" not in [name for name, _ in ranked(NO_FILTERS)[:2]]


@pytest.mark.parametrize(
    ("target", "places", "led_to"),
    [
        ("/forms/hr17", ["forms/hr17.md", "old/forms/hr17.md"], "forms/hr17.md"),
        ("/site/forms/hr17", ["new/forms/hr17.md"], None),
        ("/site/forms/hr17", ["new/site/forms/hr17.md", "old/forms/hr17.md"], "new/site/forms/hr17.md"),
        ("../../all/forms/hr17.md", ["new/all/forms/hr17.md"], "new/all/forms/hr17.md"),
        ("https://example.org/forms/hr17", ["forms/hr17.md"], None),
    ],
)
def test_a_link_leads_to_what_stands_there_or_else_to_what_ends_as_it_does(
    home: Home, tmp_path: Path, target: str, places: list[str], led_to: str | None
) -> None:
    link = {"handbook/leave.md": f"# Leave\n\nHand in a [sabbatical request]({target}).\n"}
    forms = {place: FORM.replace("both", f"all {number}") for number, place in enumerate(places)}
    bring_in(home, write_files(tmp_path / "org", OTHERS | link | forms))

    (second,) = found(home, "sabbatical request")[1:2]
    assert (second if second in places else None) == led_to


def test_a_path_leads_to_no_other_source(home: Home, tmp_path: Path) -> None:
    link = {"handbook/leave.md": "# Leave\n\nHand in a [sabbatical request](../forms/hr17.md).\n"}
    bring_in(home, write_files(tmp_path / "org", OTHERS | link))
    bring_in(home, write_files(tmp_path / "other", {"forms/hr17.md": FORM}), source="other")

    assert not is_found(home, "sabbatical request")


def test_of_a_long_document_that_links_lead_to_the_best_passage_is_raised(home: Home, tmp_path: Path) -> None:
    filler = "The committee met, spoke of many things and went home without a decision on any of them. " * 12
    long = "".join(f"## Part {part}\n\n{filler}\n\n" for part in range(6)) + "## Pay\n\nPay stops meanwhile. " + filler
    link = {"handbook/leave.md": "# Leave\n\nHand in a [sabbatical request](../forms/hr17.md).\n"}
    bring_in(home, write_files(tmp_path / "org", OTHERS | link | {"forms/hr17.md": f"# HR-17\n\n{long}"}))
    query, ranker = "Does pay stop with a sabbatical request?", home.searcher.ranker
    vector, rows = ranker.embed(query), home.readable.of(ANA).rows
    of_the_form = set(home.readable.rows_of(document_of(home, "forms/hr17.md")).tolist())
    follow = partial(Links(home.gate, home.readable).follow, ANA)

    plain, linked = (dict(ranker.rank(query, vector, rows, 100, one).hits) for one in (None, follow))

    raised = [row for row in linked if linked[row] > plain[row] / (1 + ranker.method.link_weight) + 1e-9]
    assert raised == [max(of_the_form, key=lambda row: plain[row])]
    assert raised != [min(of_the_form)]


def test_a_link_is_followed_to_where_its_document_stands_now(home: Home, tmp_path: Path) -> None:
    files = {"handbook/leave.md": "# Leave\n\nHand in a [sabbatical request](../forms/hr17.md).\n"}
    folder = write_files(tmp_path / "org", OTHERS | files)
    bring_in(home, folder)
    assert not is_found(home, "sabbatical request")

    bring_in(home, write_files(folder, {"forms/hr17.md": FORM}))
    assert is_found(home, "sabbatical request")

    (folder / "handbook").rename(folder / "forms/handbook")
    bring_in(home, folder, prune="yes")
    # `../forms/hr17.md` is `forms/forms/hr17.md` now: no document, and that one ends as the link does.
    assert is_found(home, "sabbatical request")


def test_links_are_named_among_readable_rows_alone(home: Home, tmp_path: Path) -> None:
    files = {"secret/a.md": "A [sabbatical request](b.md).\n", "secret/access.yaml": FOR_ANA}
    bring_in(home, written(tmp_path / "org", files | {"open/a.md": "A [sabbatical request](b.md).\n"}))
    snapshot = home.index_reader.snapshot()

    for person, links in ((ANA, 2), (BEN, 1)):
        selection = snapshot.select(home.readable.of(person).rows)
        assert len(named_links(selection, "sabbatical request", "en")) == links


def test_only_a_whole_name_counts_and_more_the_more_of_the_question_it_is(home: Home, tmp_path: Path) -> None:
    text = "# Links\n\n[sabbatical request form](a.md), [request](b.md), [the sabbatical](c.md), [what is it](d.md)\n"
    bring_in(home, written(tmp_path / "org", {"links.md": text}))
    snapshot = home.index_reader.snapshot()
    selection = snapshot.select(snapshot.rows())

    named = named_links(selection, "What is a sabbatical request?", "en")

    assert sorted(one.number for one in named) == [2, 3]
    assert all(0.1 < one.share < 0.5 for one in named)
    assert (
        named_links(selection, "Who spoke to the garden committee of lifts and doors about some request?", "en") == []
    )
    (whole,) = named_links(selection, "form of a sabbatical request", "en")[:1]
    assert (whole.number, whole.share) == (1, 1.0)


def test_what_is_masked_names_nothing(home: Home, tmp_path: Path) -> None:
    card = "4111 1111 1111 1111"
    bring_in(home, written(tmp_path / "org", {"links.md": f"# Links\n\nPay with [{card}](forms/hr17.md).\n"}))
    snapshot = home.index_reader.snapshot()

    assert named_links(snapshot.select(snapshot.rows()), card, "en") == []


def test_an_index_written_anew_has_the_links_too(home: Home, tmp_path: Path) -> None:
    files = {"handbook/leave.md": "# Leave\n\nHand in a [sabbatical request](../forms/hr17.md).\n"}
    bring_in(home, written(tmp_path / "org", files))
    before = seen(home, "sabbatical request", ANA)

    home.publisher.rebuild()

    assert seen(home, "sabbatical request", ANA) == before
