"""Near-duplicates are found and linked, for whoever may read both."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import pytest
from docx import Document as WordDocument
from organization import ANA, BEN, bring_in, write_files
from prose import page, prose, with_words_changed
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.platypus import Paragraph, SimpleDocTemplate
from sqlalchemy import delete, func, select

from catalog.models import Document
from catalog.signatures import BandRow, SignatureRow
from core.principals import parse_grantee
from governance.access import sets
from governance.near_duplicates import NearDuplicates
from inference.minhash import BANDS, Signature, band_keys
from wiring.home import Home
from wiring.lifecycle import upgrade_home

PLAN = prose(1)


def near(home: Home, name: str, who: object = ANA) -> dict[str, float]:
    """What is like a document, by external id, as somebody is told."""
    views = {view.document_id: view for view in home.gate.documents(ANA)}
    asked = next(view.document_id for view in views.values() if view.external_id == name)
    found = home.near_duplicates.readable(who, asked)  # type: ignore[arg-type]
    return {views[one.document_id].external_id: one.similarity for one in found}


def rows(home: Home) -> tuple[int, int]:
    """How many signatures there are, and how many keys."""
    with home.catalog.read() as session:
        signatures, keys = (
            session.scalars(select(func.count()).select_from(table)).one() for table in (SignatureRow, BandRow)
        )
    return signatures, keys


def as_word(sentences: list[str]) -> bytes:
    document = WordDocument()
    document.add_heading("Plan", level=1)
    for at in range(0, len(sentences), 4):
        document.add_paragraph(" ".join(sentences[at : at + 4]))
    kept = BytesIO()
    document.save(kept)
    return kept.getvalue()


def as_pdf(sentences: list[str]) -> bytes:
    styles, kept = getSampleStyleSheet(), BytesIO()
    flow = [Paragraph("Plan", styles["Heading1"])]
    flow += [Paragraph(" ".join(sentences[at : at + 4]), styles["BodyText"]) for at in range(0, len(sentences), 4)]
    SimpleDocTemplate(kept).build(flow)
    return kept.getvalue()


def as_web(sentences: list[str]) -> bytes:
    paragraphs = "".join(f"<p>{' '.join(sentences[at : at + 4])}</p>" for at in range(0, len(sentences), 4))
    return f"<html><body><h1>Plan</h1>{paragraphs}</body></html>".encode()


EDITS: dict[str, list[str]] = {
    "a few words changed": with_words_changed(PLAN, every=12),
    "a paragraph added": [*PLAN[:12], *prose(2, sentences=3), *PLAN[12:]],
    "a paragraph taken out": PLAN[:21],
    "two paragraphs changed places": [*PLAN[12:], *PLAN[:12]],
}


@pytest.mark.parametrize("edit", EDITS)
def test_a_document_that_was_edited_a_little_is_linked_with_its_origin(home: Home, tmp_path: Path, edit: str) -> None:
    files = {"plan.md": page("Plan", PLAN), "edited.md": page("Other", EDITS[edit]), "else.md": page("Else", prose(3))}
    bring_in(home, write_files(tmp_path / "org", files))

    assert list(near(home, "plan.md")) == ["edited.md"]
    assert near(home, "edited.md") == {"plan.md": near(home, "plan.md")["edited.md"]}
    assert 0.8 <= near(home, "plan.md")["edited.md"] <= 1
    assert near(home, "else.md") == {}


def test_the_same_text_in_other_formats_is_linked(home: Home, tmp_path: Path) -> None:
    folder = write_files(tmp_path / "org", {"plan.md": page("Plan", PLAN)})
    for suffix, render in {"docx": as_word, "pdf": as_pdf, "html": as_web}.items():
        (folder / f"plan.{suffix}").write_bytes(render(PLAN))
    bring_in(home, folder)

    everything = {"plan.md", "plan.docx", "plan.pdf", "plan.html"}
    for name in everything:
        assert set(near(home, name)) == everything - {name}
    best = home.searcher.search(" ".join(PLAN[1].split()[:6]), ANA, 1).hits[0]
    assert {best.passage.external_id, *(one.external_id for one in best.also_in)} == everything, "and ranked once"


def test_a_document_of_which_more_was_rewritten_is_not_linked_though_it_is_compared(home: Home, tmp_path: Path) -> None:
    files = {"plan.md": page("Plan", PLAN), "other.md": page("Other", with_words_changed(PLAN, every=2))}
    bring_in(home, write_files(tmp_path / "org", files))

    with home.catalog.read() as session:
        assert session.scalars(select(func.count(BandRow.key.distinct()))).one() < 2 * BANDS
    assert near(home, "plan.md") == near(home, "other.md") == {}


def test_different_documents_of_one_template_are_not_linked(home: Home, tmp_path: Path) -> None:
    head, foot = prose(10, sentences=6), prose(11, sentences=4)
    letters = {f"{n}.md": page("Letter", [*head, *prose(20 + n, sentences=12), *foot]) for n in range(4)}
    bring_in(home, write_files(tmp_path / "org", letters))

    assert [near(home, name) for name in letters] == [{}] * 4


def test_what_says_too_little_to_be_compared_is_linked_with_nothing(home: Home, tmp_path: Path) -> None:
    bring_in(home, write_files(tmp_path / "org", {"a.md": "Nothing to report.\n", "b.md": "Nothing to report.\n"}))

    assert near(home, "a.md") == {}
    assert rows(home) == (0, 0)


def test_who_may_read_one_of_two_is_told_nothing_of_the_other(home: Home, tmp_path: Path) -> None:
    folder = write_files(tmp_path / "org", {name: page(name, PLAN) for name in ("a.md", "b.md", "c.md")})
    (folder / "access.yaml").write_text(
        'default: {allow: ["user:ana", "user:ben"]}\nrules: [{path: b.md, allow: ["user:ana"]}]\n'
    )
    bring_in(home, folder, allow=None)
    ids = {view.external_id: view.document_id for view in home.gate.documents(ANA)}

    assert set(near(home, "a.md")) == {"b.md", "c.md"}
    assert set(near(home, "a.md", BEN)) == {"c.md"}
    assert near(home, "b.md", BEN) == {}, "of what he may not read he is not told its likes either"
    with_hidden = json.dumps([vars(one) for one in home.near_duplicates.readable(BEN, ids["a.md"])])
    home.ingestion.delete([ids["b.md"]])
    assert json.dumps([vars(one) for one in home.near_duplicates.readable(BEN, ids["a.md"])]) == with_hidden

    with home.catalog.write() as session:
        sets.revoke(session, parse_grantee("user:ben"), ids["c.md"])
    assert near(home, "a.md", BEN) == {}
    assert len(home.near_duplicates.all(ids["a.md"])) == 1, "an administrator sees all of them"


def test_who_loses_the_document_that_was_asked_for_meanwhile_is_told_nothing(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On PostgreSQL, where each statement sees what is committed; on SQLite both see one moment."""
    bring_in(home, write_files(tmp_path / "org", {name: page(name, PLAN) for name in ("a.md", "b.md")}))
    assert set(near(home, "a.md", BEN)) == {"b.md"}
    asked = next(view.document_id for view in home.gate.documents(ANA) if view.external_id == "a.md")

    def while_it_is_taken(found: Signature) -> list[int]:
        with home.catalog.write() as session:
            sets.revoke(session, parse_grantee("user:ben"), asked)
        return band_keys(found)

    monkeypatch.setattr("governance.near_duplicates.band_keys", while_it_is_taken)
    told = home.near_duplicates.readable(BEN, asked)
    assert told == [] or not home.settings.database_url
    assert home.near_duplicates.readable(BEN, asked) == []


def test_many_copies_are_told_up_to_a_number_however_many_are_hidden(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_files(tmp_path / "org", {f"{n:02}.md": page(f"Copy {n}", PLAN) for n in range(26)})
    (folder / "access.yaml").write_text('default: {allow: ["everyone"]}\nrules: [{path: "1*", allow: ["user:ana"]}]\n')
    bring_in(home, folder, allow=None)

    assert len(near(home, "00.md")) == 20
    assert set(near(home, "00.md", BEN)) == {f"{n:02}.md" for n in range(26) if not 10 <= n < 20} - {"00.md"}


@pytest.mark.parametrize("unlink", ["edited", "deleted"])
def test_a_document_that_says_something_else_or_is_gone_is_linked_no_more(
    home: Home, tmp_path: Path, unlink: str
) -> None:
    folder = write_files(tmp_path / "org", {"a.md": page("A", PLAN), "b.md": page("B", PLAN)})
    bring_in(home, folder)
    assert set(near(home, "a.md")) == {"b.md"}

    if unlink == "edited":
        write_files(folder, {"b.md": page("B", prose(4))})
    else:
        (folder / "b.md").unlink()
    bring_in(home, folder, prune="yes")

    assert near(home, "a.md") == {}
    left = 2 if unlink == "edited" else 1
    assert rows(home) == (left, left * BANDS), "of what was replaced or deleted no signature is left"


def test_a_document_that_is_moved_stays_linked(home: Home, tmp_path: Path) -> None:
    folder = write_files(tmp_path / "org", {"a.md": page("A", PLAN), "b.md": page("B", PLAN)})
    bring_in(home, folder)
    (folder / "b.md").rename(folder / "c.md")
    assert bring_in(home, folder, prune="yes").moved == 1

    assert set(near(home, "a.md")) == {"c.md"}


def test_a_version_that_is_not_published_is_linked_with_nothing_and_leaves_nothing(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_files(tmp_path / "org", {"a.md": page("A", PLAN)})
    bring_in(home, folder)
    write_files(folder, {"b.md": page("B", PLAN)})
    with monkeypatch.context() as broken, pytest.raises(ZeroDivisionError):
        broken.setattr("ingest.ledger.Ledger.publish", lambda *_, **__: 1 // 0)
        bring_in(home, folder)
    assert rows(home) == (2, 2 * BANDS)
    assert near(home, "a.md") == {}

    home.ingestion.recover()
    assert rows(home) == (1, BANDS)


def test_the_upgrade_of_an_older_home_links_what_it_holds(home: Home, tmp_path: Path) -> None:
    bring_in(home, write_files(tmp_path / "org", {"a.md": page("A", PLAN), "b.md": page("B", PLAN)}))
    with home.catalog.write() as session:
        session.execute(delete(BandRow))
        session.execute(delete(SignatureRow))
    assert near(home, "a.md") == {}

    upgrade_home(home.settings)
    upgrade_home(home.settings)

    assert set(near(home, "a.md")) == {"b.md"}
    assert rows(home) == (2, 2 * BANDS)


def test_a_title_is_told_as_the_policy_of_its_reader_shows_it(home: Home, tmp_path: Path) -> None:
    card = "4111 1111 1111 1111"
    files = {"a.md": page("A", PLAN), "b.md": page(f"Card {card}", PLAN)}
    bring_in(home, write_files(tmp_path / "org", files))
    with home.catalog.read() as session:
        asked = session.scalars(select(Document.id).where(Document.external_id == "a.md")).one()

    doors: list[Callable[[NearDuplicates], list[str]]] = [
        lambda found: [one.title for one in found.readable(ANA, asked)],
        lambda found: [one.title for one in found.all(asked)],
    ]
    for told in doors:
        assert told(home.near_duplicates)[0].startswith("Card ")
        assert card not in told(home.near_duplicates)[0]
        assert told(NearDuplicates(home.catalog, "open")) == [f"Card {card}"]
