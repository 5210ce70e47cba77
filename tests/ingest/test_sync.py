"""A folder brought in again and again: what changed is brought up to date, and nothing else is touched."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from organization import ANA, BEN, FILES, bring_in, counts, found, write_files

from apps.administration import Administration
from catalog.lock import writer_lock
from core.errors import Conflict, NotFound, Transient, WrongUsage
from core.principals import Principal
from governance.access.rules import AccessLists
from ingest.sync import PRUNE_COUNT, FolderRequest, plan_folder
from wiring.home import Home
from wiring.lifecycle import open_home


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_files(tmp_path / "org")


def test_bringing_a_folder_in_twice_changes_nothing_the_second_time(home: Home, folder: Path) -> None:
    assert counts(bring_in(home, folder)) == {"added": 4}
    generation = home.index_reader.snapshot().generation

    assert counts(bring_in(home, folder)) == {"unchanged": 4}
    assert home.index_reader.snapshot().generation == generation


def test_an_edited_file_is_found_by_its_new_words_and_no_longer_by_its_old_text(home: Home, folder: Path) -> None:
    bring_in(home, folder)
    (folder / "legal/nda.md").write_text("# NDA\n\nThe agreement ends on a handshake.\n")

    assert counts(bring_in(home, folder)) == {"unchanged": 3, "updated": 1}

    first = home.searcher.search("handshake agreement", ANA, 1).hits[0].passage
    assert (first.external_id, first.version) == ("legal/nda.md", 2)
    texts = [hit.passage.text for hit in home.searcher.search("three years", ANA, 50).hits]
    assert not any("three years" in text for text in texts)


def test_a_removed_file_is_gone_from_the_next_search_once_pruned_and_kept_before(home: Home, folder: Path) -> None:
    bring_in(home, folder)
    document_id = home.searcher.search("annual leave", ANA, 1).hits[0].passage.document_id
    (folder / "handbook/leave.md").unlink()

    assert counts(bring_in(home, folder)) == {"unchanged": 3, "missing": 1}
    assert "handbook/leave.md" in found(home, "annual leave")
    assert counts(bring_in(home, folder, prune="yes")) == {"unchanged": 3, "deleted": 1}
    assert "handbook/leave.md" not in found(home, "annual leave")
    with pytest.raises(NotFound):
        home.gate.text(ANA, document_id)


def test_the_bytes_of_a_deleted_document_are_forgotten_unless_another_holds_the_same(
    home: Home, tmp_path: Path
) -> None:
    folder = write_files(tmp_path / "two", {"a.txt": "the very same words", "b.txt": "the very same words"})
    bring_in(home, folder)
    (folder / "a.txt").unlink()
    bring_in(home, folder, prune="yes")
    assert len([path for path in home.layout.blobs.rglob("*") if path.is_file()]) == 1

    (folder / "b.txt").unlink()
    (folder / "c.txt").write_text("other words")
    bring_in(home, folder, prune="yes")
    [kept] = [path.read_text() for path in home.layout.blobs.rglob("*") if path.is_file()]
    assert kept == "other words"


def test_a_moved_file_stays_the_same_document_and_the_rules_of_its_new_place_hold(home: Home, folder: Path) -> None:
    (folder / "access.yaml").write_text(
        'default: {allow: ["user:ana", "user:ben"]}\nrules: [{path: "legal/**", allow: ["user:ana"]}]\n'
    )
    bring_in(home, folder)
    before = home.searcher.search("annual leave", BEN, 1).hits[0].passage
    (folder / "handbook/leave.md").rename(folder / "legal/leave.md")

    report = bring_in(home, folder)

    assert counts(report) == {"updated": 1, "unchanged": 3, "moved": 1}
    after = home.searcher.search("annual leave", ANA, 1).hits[0].passage
    assert (after.document_id, after.version, after.external_id) == (before.document_id, 1, "legal/leave.md")
    assert before.document_id not in [
        hit.passage.document_id for hit in home.searcher.search("annual leave", BEN, 50).hits
    ]


def test_a_broken_file_is_a_named_failure_and_the_others_arrive(home: Home, folder: Path) -> None:
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing of a document follows")
    (folder / "empty.md").write_bytes(b"")

    report = bring_in(home, folder)

    assert counts(report) == {"added": 4, "failed": 2}
    failures = {failure.external_id: failure for failure in report.failures}
    assert set(failures) == {"broken.pdf", "empty.md"}
    assert failures["empty.md"].verdict == "empty"
    assert all(failure.cause for failure in report.failures)
    again = bring_in(home, folder)
    assert counts(again) == {"unchanged": 4, "failed": 2}
    assert again.failures == report.failures


def test_a_version_that_can_no_longer_be_read_leaves_the_last_good_one_in_place(home: Home, folder: Path) -> None:
    bring_in(home, folder)
    (folder / "handbook/leave.md").write_bytes(b"\x00\x01\x02\xff" * 500)

    assert counts(bring_in(home, folder)) == {"unchanged": 3, "failed": 1}
    assert found(home, "annual leave")[0] == "handbook/leave.md"

    (folder / "handbook/leave.md").write_text("Everybody has thirty-one days of annual leave.")
    assert counts(bring_in(home, folder)) == {"unchanged": 3, "updated": 1}
    assert "thirty-one" in home.searcher.search("annual leave", ANA, 1).hits[0].passage.text


def test_a_prune_of_much_is_refused_before_anything_changes_and_done_when_forced(home: Home, tmp_path: Path) -> None:
    many = {f"{number}.txt": f"note number {number}" for number in range(PRUNE_COUNT + 5)}
    folder = write_files(tmp_path / "many", many)
    bring_in(home, folder)
    for name in list(many)[: PRUNE_COUNT + 1]:
        (folder / name).unlink()

    with pytest.raises(Conflict, match="--prune=force"):
        bring_in(home, folder, prune="yes")
    assert len(found(home, "note", 50)) == PRUNE_COUNT + 5

    assert counts(bring_in(home, folder, prune="force")) == {"unchanged": 4, "deleted": PRUNE_COUNT + 1}


def test_files_that_only_moved_do_not_count_towards_a_refused_prune(home: Home, tmp_path: Path) -> None:
    many = {f"old/{number}.txt": f"note number {number}" for number in range(PRUNE_COUNT + 5)}
    folder = write_files(tmp_path / "many", many)
    bring_in(home, folder)
    (folder / "old").rename(folder / "new")

    assert counts(bring_in(home, folder, prune="yes")) == {"updated": PRUNE_COUNT + 5, "moved": PRUNE_COUNT + 5}


def test_an_empty_folder_such_as_an_unmounted_one_changes_nothing(home: Home, folder: Path, tmp_path: Path) -> None:
    (folder / "access.yaml").write_text('default: {allow: ["user:ana"]}\n')
    bring_in(home, folder, allow=None)
    folder.rename(tmp_path / "elsewhere")
    folder.mkdir()

    report = bring_in(home, folder, allow=None)

    assert counts(report) == {"missing": 4}
    assert "mount" in report.warnings[0]
    assert len(found(home, "leave", 50)) == 4


def test_a_path_that_is_not_there_is_wrong_usage(home: Home, tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match="does not exist"):
        bring_in(home, tmp_path / "nowhere")


def test_a_second_writer_is_told_who_holds_the_home(home: Home, folder: Path) -> None:
    with (
        writer_lock(home.layout.lock, "ingesting elsewhere", home.ingestion.lock_wait),
        pytest.raises(Transient, match=r"Process \d+ on .*ingesting elsewhere"),
    ):
        bring_in(home, folder)
    assert counts(bring_in(home, folder)) == {"added": 4}


def test_other_processes_see_a_new_generation_at_their_next_query(home: Home, folder: Path) -> None:
    with open_home(home.settings) as reader:
        assert found(reader, "annual leave") == []
        bring_in(home, folder)
        assert found(reader, "annual leave")[0] == "handbook/leave.md"
        home.ingestion.delete([reader.searcher.search("annual leave", ANA, 1).hits[0].passage.document_id])
        assert "handbook/leave.md" not in found(reader, "annual leave")


def test_an_index_that_was_deleted_is_rebuilt_by_the_next_run(home: Home, folder: Path) -> None:
    bring_in(home, folder)
    before = found(home, "agreement years", 10)
    shutil.rmtree(home.layout.index)
    with open_home(home.settings) as again:
        assert counts(bring_in(again, folder)) == {"unchanged": 4}
        assert found(again, "agreement years", 10) == before


def test_unchanged_chunks_of_an_edited_document_are_not_embedded_again(home: Home, tmp_path: Path) -> None:
    sections = [f"## Section {n}\n\n" + f"Rule {n} says something about topic {n}. " * 30 for n in range(6)]
    folder = write_files(tmp_path / "long", {"rules.md": "# Rules\n\n" + "\n\n".join(sections)})
    bring_in(home, folder)
    embedded: list[str] = []
    encode = home.encoder.encode

    def counting(texts: list[str]):  # type: ignore[no-untyped-def]
        embedded.extend(texts)
        return encode(texts)

    home.encoder.encode = counting  # type: ignore[method-assign, assignment]
    sections[3] = sections[3].replace("topic", "subject")
    write_files(folder, {"rules.md": "# Rules\n\n" + "\n\n".join(sections)})
    assert counts(bring_in(home, folder)) == {"updated": 1}
    assert embedded and all("subject 3" in text for text in embedded)


def test_hidden_files_rules_and_the_home_itself_are_not_documents(home: Home, tmp_path: Path) -> None:
    write_files(tmp_path, {".secret": "hidden words", ".git/config": "hidden", "sub/access.yaml": "default: {}\n"})
    write_files(tmp_path, {"sub/visible.txt": "visible words"})
    (tmp_path / "sub/outside.txt").symlink_to("/etc/hostname")
    assert counts(bring_in(home, tmp_path)) == {"added": 1}
    assert home.gate.documents(Principal("local", "ana")) == []


def test_the_sample_files_are_all_found(home: Home, folder: Path) -> None:
    bring_in(home, folder)
    assert sorted(found(home, "budget leave agreement trains", 50)) == sorted(FILES)


def test_an_upload_may_not_slip_into_a_folders_source_where_other_rules_would_take_over(
    home: Home, folder: Path
) -> None:
    bring_in(home, folder)
    administration = Administration(home, ANA, "test")
    with pytest.raises(Conflict, match="name another one"):
        administration.upload("org", "handbook/new.md", b"# New\n\nwords", AccessLists(frozenset({ANA.grantee})))
    report, document_id = administration.upload(
        "uploads", "new.md", b"# New\n\nwords", AccessLists(frozenset({ANA.grantee}))
    )
    assert counts(report) == {"added": 1}
    assert document_id in [view.document_id for view in home.gate.documents(ANA)]
    assert document_id not in [view.document_id for view in home.gate.documents(BEN)]


def test_a_dry_run_says_that_documents_of_a_missing_folder_keep_their_readers(home: Home, folder: Path) -> None:
    (folder / "access.yaml").write_text('default: {allow: ["everyone"]}\n')
    (folder / "legal/access.yaml").write_text('default: {allow: ["user:ana"]}\n')
    bring_in(home, folder, allow=None)
    shutil.rmtree(folder / "legal")
    plan = plan_folder(home.ingestion, home.layout.folder, FolderRequest(folder, "org", None, None, "no")).plan or []
    [legal] = [change for change in plan if change.external_id == "legal/nda.md"]
    assert (legal.change, legal.allow) == ("missing", ())
    assert "stays as it is" in legal.rule


def test_a_move_is_seen_beside_a_missing_copy_under_another_suffix(home: Home, tmp_path: Path) -> None:
    folder = write_files(tmp_path / "org", {"a.txt": "the very same words", "b.md": "the very same words"})
    bring_in(home, folder)
    (folder / "a.txt").unlink()
    (folder / "b.md").rename(folder / "c.md")
    assert counts(bring_in(home, folder)) == {"updated": 1, "moved": 1, "missing": 1}
