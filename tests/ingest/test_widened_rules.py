"""Rules that widen while a document's content changes: nobody new reads what it said before, not for a moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from organization import ANA, BEN, bring_in, counts, write_files
from test_attachments import mail

import ingest.pipeline
from apps.administration import Administration
from apps.cli.documents import _ingest_one
from apps.why import explained
from apps.work import Work
from core.errors import NotFound
from core.principals import Principal, parse_grantee
from governance.access.rules import AccessLists
from governance.identity import ADMINISTRATOR
from ingest.indexing import IndexPublisher
from ingest.ledger import Ledger
from ingest.sources import SourceRequest
from ingest.sync import FolderRequest
from wiring.home import Home
from workers.run import run_next

SECRET, SHARED = "# Plan\n\nThe merger is called Aardvark.\n", "# Plan\n\nThe merger has been announced.\n"
FOR_ANA, FOR_BEN = 'default: {allow: ["user:ana"]}\n', 'default: {allow: ["user:ben"]}\n'
FOR_BOTH = 'default: {allow: ["user:ana", "user:ben"]}\n'
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def read(home: Home, who: Principal) -> dict[str, str]:
    """Every text that somebody can open, by its external id."""
    texts = {}
    for view in home.gate.documents(who):
        try:
            texts[view.external_id] = home.gate.text(who, view.document_id)[1]
        except NotFound:
            continue
    return texts


@pytest.fixture
def seen(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[dict[str, str], dict[str, str]]]]:
    """What Ana and Ben could open before and after each step of an ingest."""
    moments: list[tuple[dict[str, str], dict[str, str]]] = []

    def watched(step: Callable[..., Any]) -> Callable[..., Any]:
        def stepping(*arguments: Any, **named: Any) -> Any:
            moments.append((read(home, ANA), read(home, BEN)))
            result = step(*arguments, **named)
            moments.append((read(home, ANA), read(home, BEN)))
            return result

        return stepping

    for owner, name in (
        (Ledger, "narrow_access"), (Ledger, "apply_access"), (Ledger, "stage"), (Ledger, "publish"),
        (Ledger, "fail"), (Ledger, "move"), (IndexPublisher, "publish"),
    ):  # fmt: skip
        monkeypatch.setattr(owner, name, watched(getattr(owner, name)))
    yield moments
    monkeypatch.undo()


def texts_of(seen: Sequence[tuple[dict[str, str], dict[str, str]]], who: int) -> set[str]:
    return {text for moment in seen for text in moment[who].values()}


def in_this_process(home: Home, folder: Path) -> None:
    bring_in(home, folder, allow=None)


def by_jobs(home: Home, folder: Path) -> None:
    """As a standing source whose documents workers bring in."""
    work = Work(Administration(home, ADMINISTRATOR, "test"))
    names = {view.external_id for view in work.administration.documents()}
    if not names:
        work.add_source(SourceRequest("org", folder, (), None, None, False))
    else:
        work.sync_source("org")
    run_all(home)


def run_all(home: Home) -> None:
    while run_next(home, ["ingest"]):
        pass


either_way = pytest.mark.parametrize("bring", [in_this_process, by_jobs])
Bring = Callable[[Home, Path], None]


@either_way
def test_what_was_taken_out_before_sharing_is_seen_by_nobody_new(
    home: Home, tmp_path: Path, seen: list[Any], bring: Bring
) -> None:
    folder = write_files(tmp_path / "org", {"plan.md": SECRET, "access.yaml": FOR_ANA})
    bring(home, folder)
    seen.clear()
    write_files(folder, {"plan.md": SHARED, "access.yaml": FOR_BOTH})

    bring(home, folder)

    assert "announced" in read(home, BEN)["plan.md"]
    assert "announced" in read(home, ANA)["plan.md"]
    assert not any("Aardvark" in text for text in texts_of(seen, 1))
    assert all(moment[0] for moment in seen), "who may read it before and after reads it all the while"
    assert len(seen) > 6


@either_way
def test_rules_that_give_to_one_and_take_from_another_show_each_only_their_own(
    home: Home, tmp_path: Path, seen: list[Any], bring: Bring
) -> None:
    folder = write_files(tmp_path / "org", {"plan.md": SECRET, "access.yaml": FOR_ANA})
    bring(home, folder)
    seen.clear()
    write_files(folder, {"plan.md": SHARED, "access.yaml": FOR_BEN})

    bring(home, folder)

    assert set(read(home, BEN)) == {"plan.md"} and read(home, ANA) == {}
    assert not any("Aardvark" in text for text in texts_of(seen, 1))
    assert not any("announced" in text for text in texts_of(seen, 0))


@either_way
def test_content_that_is_what_it_was_is_read_by_everybody_new_in_the_same_run(
    home: Home, tmp_path: Path, bring: Bring
) -> None:
    files = {f"{number}.md": f"# Note {number}\n\nTrains leave at {number}.\n" for number in range(4)}
    folder = write_files(tmp_path / "org", files)
    (folder / "mail.eml").write_bytes(mail(berths_csv="harbour,berths\nTrieste,14\n"))
    (folder / "access.yaml").write_text(FOR_ANA)
    bring(home, folder)
    (folder / "access.yaml").write_text(FOR_BOTH)

    bring(home, folder)

    assert read(home, BEN) == read(home, ANA)
    assert set(read(home, BEN)) == {*files, "mail.eml", "mail.eml/berths.csv"}
    assert "until its content" not in explained(administration(home), "0.md")["why"]


def test_a_run_counts_whose_readers_have_changed_once(home: Home, tmp_path: Path) -> None:
    files = {"kept.md": "# Kept\n\nTrains.\n", "plan.md": SECRET}
    folder = write_files(tmp_path / "org", {**files, "access.yaml": 'default: {allow: ["user:ana", "user:cleo"]}\n'})
    bring_in(home, folder, allow=None)
    write_files(folder, {"plan.md": SHARED, "access.yaml": FOR_BOTH})
    assert counts(bring_in(home, folder, allow=None)) == {"unchanged": 1, "updated": 1, "access_changed": 2}
    assert counts(bring_in(home, folder, allow=None)) == {"unchanged": 2}


def test_many_unchanged_documents_get_their_rights_in_a_few_steps(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingest.pipeline, "BATCH_CHUNKS", 10)
    folder = write_files(tmp_path / "org", {f"{n}.txt": f"note {n}" for n in range(25)} | {"access.yaml": FOR_ANA})
    bring_in(home, folder, allow=None)
    generation = home.index_reader.snapshot().generation
    (folder / "access.yaml").write_text(FOR_BOTH)
    steps: list[int] = []
    publish = Ledger.publish

    def counted(self: Ledger, *arguments: Any, **named: Any) -> list[int]:
        steps.append(len(named["known"]))
        return publish(self, *arguments, **named)

    monkeypatch.setattr(Ledger, "publish", counted)
    assert counts(bring_in(home, folder, allow=None)) == {"unchanged": 25, "access_changed": 25}
    assert steps == [10, 10, 5]
    assert home.index_reader.snapshot().generation == generation
    assert len(read(home, BEN)) == 25


@either_way
def test_where_the_new_content_cannot_be_read_the_old_keeps_its_readers_until_it_can(
    home: Home, tmp_path: Path, bring: Bring
) -> None:
    folder = write_files(tmp_path / "org", {"plan.md": SECRET, "access.yaml": FOR_ANA})
    bring(home, folder)
    (folder / "access.yaml").write_text(FOR_BOTH)
    (folder / "plan.md").write_bytes(b"\x00\x01\x02\xff" * 500)

    for _ in range(2):
        bring(home, folder)
        assert read(home, BEN) == {}
        assert "Aardvark" in read(home, ANA)["plan.md"]
    assert "until its content is known again" in explained(administration(home), "plan.md")["why"]

    write_files(folder, {"plan.md": SHARED})
    bring(home, folder)
    assert "announced" in read(home, BEN)["plan.md"]


@either_way
def test_a_file_that_is_gone_is_opened_to_nobody_and_closed_to_whom_it_may(
    home: Home, tmp_path: Path, bring: Bring
) -> None:
    files = {"plan.md": SECRET, "kept.md": "# Kept\n\nTrains.\n", "access.yaml": FOR_ANA}
    folder = write_files(tmp_path / "org", files)
    bring(home, folder)
    (folder / "plan.md").unlink()
    (folder / "access.yaml").write_text(FOR_BOTH)
    bring(home, folder)
    assert (set(read(home, ANA)), set(read(home, BEN))) == ({"plan.md", "kept.md"}, {"kept.md"})

    (folder / "access.yaml").write_text(FOR_BEN)
    bring(home, folder)
    assert (set(read(home, ANA)), set(read(home, BEN))) == (set(), {"kept.md"})

    write_files(folder, {"plan.md": SECRET})
    bring(home, folder)
    assert set(read(home, BEN)) == {"plan.md", "kept.md"}


@either_way
def test_what_was_taken_out_of_an_attachment_is_seen_by_nobody_new(
    home: Home, tmp_path: Path, seen: list[Any], bring: Bring
) -> None:
    folder = write_files(tmp_path / "org", {"access.yaml": FOR_ANA})
    (folder / "mail.eml").write_bytes(mail(plan_md=SECRET, ferry_txt="The ferry leaves at nine.", old_txt="Aardvark"))
    bring(home, folder)
    assert len(read(home, ANA)) == 4
    seen.clear()
    (folder / "access.yaml").write_text(FOR_BOTH)
    (folder / "mail.eml").write_bytes(mail(plan_md=SHARED, ferry_txt="The ferry leaves at nine."))

    bring(home, folder)

    assert read(home, BEN) == read(home, ANA)
    assert set(read(home, BEN)) == {"mail.eml", "mail.eml/plan.md", "mail.eml/ferry.txt"}
    assert not any("Aardvark" in text for text in texts_of(seen, 1))


def test_an_earlier_version_is_not_opened_by_whom_the_new_rules_let_in(home: Home, tmp_path: Path) -> None:
    folder = write_files(tmp_path / "org", {"plan.md": SECRET, "access.yaml": FOR_ANA})
    bring_in(home, folder, allow=None)
    write_files(folder, {"plan.md": SHARED, "access.yaml": FOR_BOTH})
    bring_in(home, folder, allow=None)
    [view] = home.gate.documents(BEN)
    assert "Aardvark" in home.gate.text(ANA, view.document_id, 1)[1]
    with pytest.raises(NotFound):
        home.gate.text(BEN, view.document_id, 1)

    write_files(folder, {"plan.md": "# Plan\n\nThe merger is done.\n"})
    bring_in(home, folder, allow=None)
    assert "announced" in home.gate.text(BEN, view.document_id, 2)[1]


def test_an_upload_that_waits_takes_rights_at_once_and_gives_them_when_it_is_in(home: Home) -> None:
    work = Work(Administration(home, ADMINISTRATOR, "test"))
    for_ana, for_both, for_ben = (AccessLists(grantees(*who)) for who in (["ana"], ["ana", "ben"], ["ben"]))
    work.upload_later("uploads", "plan.md", SECRET.encode(), for_ana)
    work.upload_later("uploads", "plan.md/other.md", b"# Other\n\nAnother document.\n", for_ana)
    run_all(home)

    work.upload_later("uploads", "plan.md", SHARED.encode(), for_both)
    assert read(home, BEN) == {}
    run_all(home)
    assert "announced" in read(home, BEN)["plan.md"]

    work.upload_later("uploads", "plan.md", SHARED.encode(), for_ben)
    assert "plan.md" not in read(home, ANA)
    assert "plan.md/other.md" in read(home, ANA), "what only stands under its name is no part of it"


@on_sqlite
def test_what_was_on_its_way_in_under_other_rules_does_not_bring_them_back(home: Home, tmp_path: Path) -> None:
    folder = write_files(tmp_path / "org", {"plan.md": SECRET, "access.yaml": FOR_BOTH})
    by_jobs(home, folder)
    write_files(folder, {"plan.md": SHARED})
    work = Work(Administration(home, ADMINISTRATOR, "test"))
    work.sync_source("org")
    assert run_next(home, ["ingest"])  # the sync alone; the document waits
    write_files(folder, {"plan.md": SECRET, "access.yaml": FOR_ANA})
    by_jobs(home, folder)
    assert (set(read(home, ANA)), read(home, BEN)) == ({"plan.md"}, {})


def test_an_upload_calls_off_an_earlier_one_that_still_waits(home: Home) -> None:
    work = Work(administration(home))
    work.upload_later("uploads", "plan.md", SECRET.encode(), AccessLists(grantees("ana", "ben")))
    report, _ = work.administration.upload("uploads", "plan.md", SHARED.encode(), AccessLists(grantees("ana")))
    assert report.added == 1
    run_all(home)
    assert (read(home, BEN), "announced" in read(home, ANA)["plan.md"]) == ({}, True)


@on_sqlite
def test_a_folder_that_is_brought_in_by_hand_calls_off_what_waited_under_earlier_rules(
    home: Home, tmp_path: Path
) -> None:
    folder = write_files(tmp_path / "org", {"plan.md": SECRET, "access.yaml": FOR_BOTH})
    work = Work(administration(home))
    work.add_source(SourceRequest("org", folder, (), None, None, False))
    assert run_next(home, ["ingest"])  # the sync alone; the document waits
    (folder / "access.yaml").write_text(FOR_ANA)
    _ingest_one(home, FolderRequest(folder, "org", None, None, "no"), dry_run=False, force=False)
    run_all(home)
    assert (set(read(home, ANA)), read(home, BEN)) == ({"plan.md"}, {})


def grantees(*names: str) -> frozenset[Any]:
    return frozenset(parse_grantee(f"user:{name}") for name in names)


def administration(home: Home) -> Administration:
    return Administration(home, ADMINISTRATOR, "test")
