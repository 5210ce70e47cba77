"""What several near-duplicates say is ranked once, and names the others; what differs is shown each time."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prose import page, prose, with_words_changed
from sqlalchemy import update

from apps.rendering import hit_json
from catalog.models import Document
from core.answers import Hit, Passage
from core.principals import parse_grantee, parse_principal
from governance.audit import Kind
from inference.statements import NAME, NEGATION
from ingest.sync import FolderRequest, sync_folder
from retrieval.repeats import Kin, once, say_the_same
from wiring.home import Home

ANA, BEN = parse_principal("user:ana"), parse_principal("user:ben")
PLAN = prose(1)
QUESTION = " ".join(PLAN[1].split()[:6])


def shelve(home: Home, folder: Path, files: dict[str, str], access: str = 'default: {allow: ["everyone"]}\n') -> None:
    """Bring texts in, each a Markdown file, in place of what was there."""
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "access.yaml").write_text(access)
    request = FolderRequest(folder, "org", (parse_grantee("everyone"),), None, "force")
    sync_folder(home.ingestion, home.layout.folder, replace(request, allow=None), 10_000_000, lambda *_: None)


def search(home: Home, k: int = 10, who: object = ANA, question: str = QUESTION) -> tuple[Hit, ...]:
    return home.searcher.search(question, who, k).hits  # type: ignore[arg-type]


def names(hits: tuple[Hit, ...]) -> list[str]:
    return [hit.passage.external_id for hit in hits]


def one_page(title: str, sentences: list[str]) -> str:
    return page(title, sentences[:8])


def test_copies_are_ranked_once_and_the_first_names_the_others(home: Home, tmp_path: Path) -> None:
    others = {f"else-{n}.md": one_page(f"Else {n}", prose(40 + n)) for n in range(4)}
    copies = {f"copy-{n}.md": one_page("Plan", PLAN) for n in range(3)}
    shelve(home, tmp_path / "org", copies | others)

    for k in (1, 3, 5):
        hits = search(home, k)
        assert len(hits) == k
        first, *rest = hits
        assert first.passage.external_id in copies
        assert not any(hit.passage.external_id in copies for hit in rest), "k is filled with what says something else"
        assert [hit.rank for hit in hits] == list(range(1, k + 1))
    named = [one.external_id for one in first.also_in]
    assert sorted([first.passage.external_id, *named]) == sorted(copies)
    assert not any(hit.also_in for hit in rest)
    assert hit_json(first)["also_in"] == [
        {"document_id": one.document_id, "title": "Plan", "uri": one.uri, "chunk_id": one.chunk_id}
        for one in first.also_in
    ]


def test_where_nothing_else_is_left_the_copies_fill_k_and_no_score_rises(home: Home, tmp_path: Path) -> None:
    others = {f"else-{n}.md": one_page(f"Else {n}", prose(40 + n)) for n in range(2)}
    shelve(home, tmp_path / "org", {f"copy-{n}.md": one_page("Plan", PLAN) for n in range(3)} | others)

    hits = search(home, 10)

    assert [name.split("-")[0] for name in names(hits)] == ["copy", "else", "else", "copy", "copy"]
    assert len(set(names(hits))) == 5
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert [hit.rank for hit in hits] == [1, 2, 3, 4, 5]


def test_behind_many_copies_there_is_still_what_is_different(home: Home, tmp_path: Path) -> None:
    copies = {f"copy-{n:02}.md": one_page("Plan", PLAN) for n in range(50)}
    shelve(home, tmp_path / "org", copies | {"else.md": one_page("Else", prose(40))})

    hits = search(home, 2)
    assert names(hits)[1] == "else.md"
    assert len(hits[0].also_in) == 49


def test_a_passage_that_differs_in_a_number_keeps_its_place(home: Home, tmp_path: Path) -> None:
    rest = " ".join(PLAN[2:8])
    files = {
        f"{days}.md": f"# Leave\n\n{PLAN[0]} {PLAN[1]} Everybody has {days} days of leave. {rest}\n"
        for days in (27, 30)
    }
    shelve(home, tmp_path / "org", files | {"copy.md": files["27.md"], "else.md": one_page("Else", prose(40))})
    first, second, *_ = search(home, 3)

    assert {first.passage.external_id, second.passage.external_id} in ({"27.md", "30.md"}, {"copy.md", "30.md"})
    assert "else.md" in names(search(home, 3))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("", "", True),
        ("Everybody has 27 days of leave.", "Everybody has 30 days of leave.", False),
        ("The office in Lyon opens at eight.", "The office in Porto opens at eight.", False),
        ("The office in Lyon opens at eight.", "The office here opens at eight.", False),
        ("Expenses are paid.", "Expenses are not paid.", False),
        ("Set max_batch_size first.", "Set max_queue_size first.", False),
        ("Write to ana@example.org now.", "Write to ben@example.org now.", False),
        ("Everybody has leave, and may take it in spring.", "Everybody has leave, and can take it in spring.", True),
        ("Everybody   has\nleave.", "Everybody has leave.", True),
    ],
)
def test_passages_say_the_same_where_numbers_names_and_negation_are_the_same(one: str, other: str, same: bool) -> None:
    around = " ".join(PLAN)
    assert say_the_same(f"{around} {one}", f"{around} {other}") is same
    assert say_the_same(f"{around} {other}", f"{around} {one}") is same


def test_passages_that_share_little_do_not_say_the_same() -> None:
    one, other = (
        " ".join(word for word in " ".join(sentences).lower().replace(".", "").split() if word not in ("no", "nu"))
        for sentences in (PLAN, [*PLAN[:12], *prose(9, 12)])
    )
    assert not NAME.search(one + other) and not NEGATION.search(one + other), "nothing else may tell them apart"
    assert not say_the_same(one, other)


def test_what_different_documents_say_alike_keeps_its_place_in_each(home: Home, tmp_path: Path) -> None:
    """The same clause in two contracts is two statements, of two contracts."""
    clause = " ".join(PLAN[:8])
    files = {f"{n}.md": page(f"Contract {n}", prose(60 + n, 40)) + f"\n## Term\n\n{clause}\n" for n in range(2)}
    shelve(home, tmp_path / "org", files)

    first, second = search(home, 2)
    assert {first.passage.external_id, second.passage.external_id} == {"0.md", "1.md"}
    assert not first.also_in and not second.also_in


def test_of_equal_scores_the_document_that_changed_last_keeps_the_place(home: Home, tmp_path: Path) -> None:
    shelve(home, tmp_path / "org", {f"{n}.md": one_page("Plan", PLAN) for n in range(3)})
    for latest in ("0.md", "1.md", "2.md"):
        with home.catalog.write() as session:
            session.execute(update(Document).values(updated_at=datetime.now(UTC) - timedelta(days=2)))
            session.execute(update(Document).where(Document.external_id == latest).values(updated_at=datetime.now(UTC)))
        hits = search(home, 1)
        assert names(hits) == [latest]
        assert {one.external_id for one in hits[0].also_in} == {"0.md", "1.md", "2.md"} - {latest}


def passage(name: str, words: str = " ".join(PLAN)) -> Passage:
    return Passage(1, name, name, 1, "org", name, name, name, (), None, 0, 1, words)


def test_of_unequal_scores_the_best_keeps_the_place_however_old() -> None:
    old, new = passage("old"), passage("new")
    now = datetime.now(UTC)
    kin = Kin({"old": {"new"}, "new": {"old"}}, {"old": now - timedelta(days=9), "new": now})

    [best] = once([(old, 0.9), (new, 0.8)], kin)
    assert (best.passage, best.repeats) == (old, [(new, 0.8)])
    [newest] = once([(old, 0.9), (new, 0.9)], kin)
    assert (newest.passage, newest.repeats) == (new, [(old, 0.9)])


def test_of_near_duplicates_what_says_something_else_keeps_its_place() -> None:
    """Each passage is compared by its own words, with however many others."""
    kin = Kin({one: {"a", "b", "c"} - {one} for one in "abc"})
    soup = "soup is brought to the hall when the bell rings and everyone is seated before the meal begins"
    train = "trains are slow during the winter months because the tracks are cleared of snow each morning"
    texts = {"a": soup, "b": train, "c": f"{soup} "}

    ranked = once([(passage(name, words), 1 - at / 10) for at, (name, words) in enumerate(texts.items())], kin)

    assert [(one.passage.document_id, [again.document_id for again, _ in one.repeats]) for one in ranked] == [
        ("a", ["c"]),
        ("b", []),
    ]


def test_what_a_hit_names_says_what_the_hit_says() -> None:
    """A newer copy takes no place in which it would name what says something else."""
    early, late = " ".join(f"{'x' * n}a" for n in range(1, 19)), " ".join(f"{'y' * n}b" for n in range(1, 19))
    plain = " ".join(word for word in " ".join(PLAN[:9]).lower().replace(".", "").split() if word not in ("no", "nu"))
    first, other, newest = (
        passage("first", plain),
        passage("other", f"{early} {plain}"),
        passage("new", f"{plain} {late}"),
    )
    assert say_the_same(first.text, other.text) and say_the_same(first.text, newest.text)
    assert not say_the_same(other.text, newest.text)
    now, everything = datetime.now(UTC), {"first", "other", "new"}
    near = {name: everything - {name} for name in everything}
    kin = Kin(near, {"first": now, "other": now, "new": now + timedelta(days=1)})

    [best] = once([(first, 0.9), (other, 0.9), (newest, 0.9)], kin)

    assert (best.passage, [one for one, _ in best.repeats]) == (first, [other, newest])
    assert once([(first, 0.9), (newest, 0.9), (other, 0.9)], kin)[0].passage == newest


def test_a_hidden_near_duplicate_changes_no_byte_of_what_others_find(home: Home, tmp_path: Path) -> None:
    shown = {"plan.md": one_page("Plan", PLAN), "edited.md": one_page("Plan", with_words_changed(PLAN, 9))}
    shown |= {f"else-{n}.md": one_page(f"Else {n}", prose(40 + n)) for n in range(3)}
    hidden = {f"a-hidden-{n}.md": one_page("Plan", PLAN) for n in range(3)}
    rule = 'default: {allow: ["everyone"]}\nrules: [{path: "*hidden*", allow: ["user:ana"]}]\n'
    shelve(home, tmp_path / "org", shown | hidden, rule)

    def found() -> list[str]:
        return [json.dumps([hit_json(hit) for hit in search(home, k, BEN)]) for k in (1, 2, 3, 5, 10)]

    with_hidden = found()
    assert any(one.external_id in hidden for hit in search(home, 1) for one in (hit.passage, *hit.also_in))
    assert '"also_in": [{' in with_hidden[0], "what Ben may read is ranked once for him too"
    home.ingestion.delete([view.document_id for view in home.gate.documents(ANA) if "hidden" in view.external_id])

    assert found() == with_hidden


def test_what_a_hit_names_is_on_record_with_it(home: Home, tmp_path: Path) -> None:
    shelve(home, tmp_path / "org", {f"{n}.md": one_page("Plan", PLAN) for n in range(2)})

    result, audit_id = home.search.search(QUESTION, ANA, 1, "test")

    [hit] = result.hits
    [evidence] = [one for one in home.audit_reader.show(audit_id) if one.record.kind == Kind.EVIDENCE]
    [chunk] = evidence.content["chunks"]
    assert (chunk["chunk_id"], chunk["also_in"]) == (hit.passage.chunk_id, [hit.also_in[0].chunk_id])


def test_an_answer_quotes_once_what_two_copies_say(home: Home, tmp_path: Path) -> None:
    text = "# Leave\n\nEverybody has thirty days of paid holiday in each year of work. " + " ".join(PLAN[:6]) + "\n"
    shelve(home, tmp_path / "org", {"a.md": text, "b.md": text, "else.md": one_page("Else", prose(40))})

    answer = home.ask.ask("How many days of paid holiday does everybody have?", ANA, "test")

    assert not answer.abstained
    assert len([one for one in answer.citations if "thirty days" in one.quote]) == 1
