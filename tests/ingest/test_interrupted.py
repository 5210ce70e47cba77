"""Killed or interrupted anywhere, an ingest leaves what was there readable, and the next run completes it."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from organization import ANA, BEN, bring_in, counts, write_files

from core.settings import Settings
from wiring.home import Home
from wiring.lifecycle import init_home, open_home

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT}:{HERE}"}

BEFORE = {f"notes/{n}.md": f"# Note {n}\n\nNote {n} is about harbour number {n}.\n" for n in range(12)}
AFTER = {
    **{name: text.replace("harbour", "airport") if int(name[6:-3]) % 2 else text for name, text in BEFORE.items()},
    **{f"fresh/{n}.md": f"# Fresh {n}\n\nStation number {n} is new.\n" for n in range(4)},
}

STEPS = [
    "keep-bytes:before:2",
    "keep-bytes:after:5",
    "narrow-access:before:1",
    "narrow-access:after:1",
    "stage:before:2",
    "stage:after:1",
    "write-index:before:1",
    "write-index:after:2",
    "publish-generation:before:3",
    "make-current:before:1",
    "make-current:after:2",
    "move:before:1",
    "move:after:1",
    "fail:before:1",
    "fail:after:1",
    "delete:before:1",
    "delete:after:1",
]


@pytest.fixture(scope="module")
def brought_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder and a home that holds it, to be copied for each kill."""
    base = tmp_path_factory.mktemp("before")
    write_files(base / "org", BEFORE | {"moving.md": "This note will move to another place.", "gone.md": "Gone soon."})
    (base / "org/access.yaml").write_text('default: {allow: ["user:ana", "user:ben"]}\n')
    settings = Settings(home=base / "home", embedding_model="hashing")
    init_home(settings)
    with open_home(settings) as home:
        bring_in(home, base / "org", allow=None)
    return base


def change(folder: Path) -> None:
    """Everything an ingest can meet at once: edits, new files, a move, a broken file, a deletion, a changed rule."""
    write_files(folder, AFTER)
    (folder / "away").mkdir()
    (folder / "moving.md").rename(folder / "away/moving.md")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.7\nno document")
    (folder / "gone.md").unlink()
    (folder / "access.yaml").write_text(
        'default: {allow: ["user:ana", "user:ben"]}\nrules: [{path: "notes/1.md", allow: ["user:ana"]}]\n'
    )


def state(home: Home) -> list[tuple[str, str, str, str]]:
    """Everything a reader can know of the home: each chunk's place and text, and who finds it."""
    rows = []
    for principal in (ANA, BEN):
        for hit in home.searcher.search("harbour airport station note", principal, 100).hits:
            rows.append((str(principal), hit.passage.external_id, hit.passage.title, hit.passage.text))
    return sorted(rows)


@pytest.mark.parametrize("step", STEPS)
def test_killed_at_any_step_every_document_stays_whole_and_the_next_run_completes(
    step: str, brought_in: Path, tmp_path: Path
) -> None:
    shutil.copytree(brought_in, tmp_path / "copy")
    folder, settings = tmp_path / "copy/org", Settings(home=tmp_path / "copy/home", embedding_model="hashing")
    with open_home(settings) as home:
        old = state(home)
    change(folder)

    killed = subprocess.run(
        [sys.executable, str(HERE / "killed_ingest.py"), str(settings.home), str(folder), step],
        env=ENVIRONMENT,
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()[-2000:]

    with open_home(settings) as home:
        between = state(home)
        bring_in(home, folder, allow=None, prune="yes")
        new = state(home)
        assert home.verify_audit().ok
    assert new == expected(folder, tmp_path)
    # Between the two, every text a reader sees is one that a whole version holds, old or new.
    assert {row[3] for row in between} <= {row[3] for row in old} | {row[3] for row in new}
    # Nothing that is in both has been missing in between.
    assert {row[1] for row in old} & {row[1] for row in new} <= {row[1] for row in between}


def expected(folder: Path, tmp_path: Path) -> list[tuple[str, str, str, str]]:
    """What a home holds that was never interrupted."""
    settings = Settings(home=tmp_path / "clean", embedding_model="hashing")
    init_home(settings)
    with open_home(settings) as home:
        bring_in(home, folder, allow=None)
        return state(home)


def test_interrupted_by_ctrl_c_the_command_says_so_and_the_next_run_completes(tmp_path: Path) -> None:
    files = {f"{n}.md": f"# Paper {n}\n\n" + f"Sentence {n} of a long paper. " * 400 for n in range(150)}
    folder = write_files(tmp_path / "org", files)
    environment = {**ENVIRONMENT, "FOOTNOTE_HOME": str(tmp_path / "home"), "FOOTNOTE_EMBEDDING_MODEL": "hashing"}
    command = [sys.executable, "-c", "from apps.cli.main import run; run()"]
    subprocess.run([*command, "init"], env=environment, check=True, capture_output=True)
    running = subprocess.Popen(
        [*command, "ingest", str(folder), "--allow", "everyone"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    catalog = tmp_path / "home/blobs"
    while running.poll() is None and len(list(catalog.rglob("*"))) < 5:
        time.sleep(0.01)
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=60)

    assert running.returncode == 130
    assert b"run the same command again" in errors
    assert b"Traceback" not in errors
    with open_home(Settings(home=tmp_path / "home", embedding_model="hashing")) as home:
        assert counts(bring_in(home, folder, source=str(folder))).get("failed") is None
        assert len(home.gate.documents(ANA)) == 150


def test_a_full_disk_ends_in_a_clear_error_and_loses_nothing(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "org", BEFORE)
    environment = {**ENVIRONMENT, "FOOTNOTE_HOME": str(tmp_path / "home"), "FOOTNOTE_EMBEDDING_MODEL": "hashing"}
    command = [sys.executable, "-c", "from apps.cli.main import run; run()"]
    subprocess.run([*command, "init"], env=environment, check=True, capture_output=True)
    bring = [*command, "ingest", str(folder), "--allow", "everyone"]
    subprocess.run(bring, env=environment, check=True, capture_output=True)
    write_files(folder, {f"{n}.txt": os.urandom(60_000).hex() for n in range(40)})

    # A limit on the size of files stands in for a disk that is full: writes beyond it fail.
    limited = subprocess.run(
        bring,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000)),
    )

    assert limited.returncode == 1, limited.stderr
    assert "Traceback" not in limited.stderr
    assert "Error:" in limited.stderr
    with open_home(Settings(home=tmp_path / "home", embedding_model="hashing")) as home:
        assert len([row for row in state(home) if row[0] == str(ANA)]) >= len(BEFORE)
        bring_in(home, folder, source=str(folder))
        assert len(home.gate.documents(ANA)) == len(BEFORE) + 40
