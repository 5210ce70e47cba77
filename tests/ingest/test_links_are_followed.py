"""What others call a document finds it: for those who may read both, and as if it were not there for everybody else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from organization import ANA, BEN, bring_in, write_files

from core.answers import Hit
from core.principals import Principal
from retrieval.links import named_links
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
    assert not is_found(home, "sabbatical request", ANA, "new/forms/hr17.md")


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


def test_only_a_whole_name_counts_and_more_the_more_of_the_question_it_is(home: Home, tmp_path: Path) -> None:
    text = "# Links\n\n[sabbatical request form](a.md), [request](b.md), [the sabbatical](c.md), [what is it](d.md)\n"
    bring_in(home, written(tmp_path / "org", {"links.md": text}))
    snapshot = home.index_reader.snapshot()
    selection = snapshot.select(snapshot.rows())

    named = named_links(selection, "What is a sabbatical request?", "en")

    assert sorted(one.number for one in named) == [2, 3]
    assert all(0.1 < one.share < 0.5 for one in named)
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
