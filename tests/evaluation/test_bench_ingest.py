"""The bench of ingestion: documents that every format holds alike, memory of whole trees, claims on what compares."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from core.errors import Transient, WrongUsage
from evaluation.bench import ingest
from evaluation.bench.documents import FORMATS, write_documents
from evaluation.bench.ingest import Chunks, IngestBench, Measured, run_ingest
from evaluation.bench.processes import Finished, run_alone
from evaluation.bench.report import Claim
from ingest.parsing.formats import parse

ORGANIZATION = Path(__file__).parents[2] / "examples/organization"
# Cuts each file into one chunk: what a peer's program owes the bench, in three lines.
PEER = """
import json, pathlib, sys
folder, model, store, result = sys.argv[1:]
files = [file for file in pathlib.Path(folder).rglob("*") if file.is_file()]
pathlib.Path(result).write_text("".join(json.dumps("word " * 50) + chr(10) for _ in files))
"""


def documents_in(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_the_same_seed_writes_the_same_documents_and_another_seed_others(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("first", "again", "other")]
    for folder, seed in zip(folders, (1, 1, 2), strict=True):
        write_documents(ORGANIZATION, folder, 10, seed)
    first, again, other = map(documents_in, folders)

    assert first == again
    assert first.keys() == other.keys() and first != other


def test_every_format_holds_every_word_of_its_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One document, written in each format from the same seed and read back."""
    found = {}
    for suffix, render in FORMATS.items():
        monkeypatch.setattr("evaluation.bench.documents.FORMATS", {suffix: render})
        write_documents(ORGANIZATION, tmp_path / suffix, 1)
        (file,) = (tmp_path / suffix).rglob(f"*{suffix}")
        found[suffix] = set(re.findall(r"[A-Za-z]{3,}", parse(file.read_bytes(), file.name).text))

    words = found[".txt"]
    assert len(words) > 200
    assert all(words <= others for others in found.values())


def test_a_folder_without_an_organization_is_named(tmp_path: Path) -> None:
    with pytest.raises(WrongUsage, match="--folder"):
        write_documents(tmp_path, tmp_path / "out", 5)


def test_memory_is_that_of_the_whole_tree_and_seconds_those_of_the_whole_command() -> None:
    child = "import time; held = bytearray(120 << 20); time.sleep(0.3)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}]); print('done')"

    finished = run_alone([sys.executable, "-c", parent], {})

    assert 0 < finished.processor_seconds < finished.seconds
    assert finished.output == "done\n"
    assert finished.peak_bytes > 120 << 20
    assert finished.seconds > 0.3


def test_a_command_that_fails_says_its_last_word() -> None:
    with pytest.raises(Transient, match=r"status 3 \(no store here\)"):
        run_alone([sys.executable, "-c", "import sys; print('no store here', file=sys.stderr); sys.exit(3)"], {})


def test_a_peer_that_cannot_be_installed_is_a_row_with_its_error_and_no_claim_rests_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    peer = tmp_path / "peer.py"
    peer.write_text(PEER)

    def ingester(system: str) -> list[str]:
        if system == "away":
            raise Transient("no index can be reached")
        return [sys.executable, str(peer)]

    monkeypatch.setattr(ingest, "ingester", ingester)
    monkeypatch.setattr(ingest, "AGAIN_ROUNDS", 1)
    bench = IngestBench(5, organization=ORGANIZATION, peers=("away", "here"), rounds=1, again=6, for_workers=0)

    report = run_ingest(bench)

    ours, here, away, again = report.rows
    assert (away.system, away.error, dict(away.figures)) == ("away", "no index can be reached", {})
    assert ours.system == "footnote" and here.system == "here" and "6 unchanged files" in again.system
    assert int(here.figures["chunks"]) == 5 and here.figures["share_of_tokens_read"] == 1.0
    assert int(ours.figures["chunks"]) > 5 and ours.figures["share_of_tokens_read"] == 1.0
    for row in (ours, here):
        assert float(row.figures["documents_per_s"]) == pytest.approx(5 / float(row.figures["seconds"]), rel=0.3)
    speed, tokens, memory, waiting, unchanged = report.claims
    assert "(here)" in speed.claim and "(here)" in tokens.claim
    ratio = float(here.figures["seconds"]) / float(ours.figures["seconds"])
    assert speed.value == pytest.approx(ratio, rel=0.3, abs=0.02)
    assert (speed.target, tokens.target, memory.target, waiting.target, unchanged.target) == (5, 5, 1, 0.1, 2)


def measured(system: str, seconds: float, read: int, tokens: int = 1_000, peak: int = 100) -> Measured:
    return Measured(system, Finished(seconds, 2 * seconds, peak, ""), Chunks(10, 4_000, tokens, read), 0.04)


def test_a_peer_whose_model_leaves_text_unread_is_no_measure_of_speed() -> None:
    """What is not read costs nothing: the quick peer reads a quarter of its chunks."""
    ours = measured("footnote", 10, 1_000, peak=150)
    theirs = [measured("quick", 12, 250), measured("whole", 60, 990, peak=200), measured("slow", 80, 1_000, peak=300)]

    speed, tokens, memory, waiting = ingest._claims(ours, theirs)

    assert "(whole)" in speed.claim and speed.value == 6.0 and speed.holds
    assert "(quick)" in tokens.claim and tokens.value == pytest.approx(100 / (250 / 12), abs=0.01)
    assert memory == Claim("peak memory, as a share of the median peer's", 0.75, 1.0, True)
    assert waiting.value == 0.04 and waiting.holds


def test_footnote_runs_before_among_and_after_the_first_peers() -> None:
    assert ingest._turns(["a", "b", "c"], 3) == ["footnote", "a", "footnote", "b", "footnote", "c"]
    assert ingest._turns([], 2) == ["footnote", "footnote"]
    assert sorted(ingest._turns(list("abcde"), 2)) == sorted(["footnote", "footnote", *"abcde"])
