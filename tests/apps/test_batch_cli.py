"""`footnote batch`: a file of questions goes in, a file of answers comes out, and whatever happens in between no row
is lost or doubled."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from command_line import Ran
from openpyxl import Workbook, load_workbook
from sqlalchemy import update

from apps.cli.main import invoke
from catalog.batches import BatchResultRow
from core.principals import Principal
from core.settings import Settings
from ingest.sync import FolderRequest, sync_folder
from wiring.home import Home
from wiring.lifecycle import init_home, open_home

LEAVE = "# Leave\n\nFull-time employees have 27 days of annual leave.\n"
MERGER = "# Merger\n\nThe agreed purchase price of the merger is 18 million euros.\n"
HOW_MUCH_LEAVE = "How many days of annual leave do full-time employees have?"
WHAT_PRICE = "What is the agreed purchase price of the merger?"
RULES = 'rules:\n  - {path: "*.md", allow: ["user:ana", "user:ben"]}\n  - {path: "merger.md", allow: ["user:ana"]}\n'


@dataclass(frozen=True)
class Desk:
    """A folder with a home, documents and files of questions, and the command line over it."""

    folder: Path
    settings: Settings
    capfd: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str) -> Ran:
        self.capfd.readouterr()
        code = invoke(list(arguments))
        out, err = self.capfd.readouterr()
        return Ran(code, out, err)

    def questions(self, *rows: str, name: str = "q.csv") -> Path:
        file = self.folder / name
        with file.open("w", newline="") as target:
            csv.writer(target).writerows([["id", "question"], *enumerate(rows, start=1)])
        return file

    def run(self, file: Path, *more: str, out: str = "a.jsonl", asker: str = "user:ana") -> Ran:
        return self("batch", "run", str(file), "--out", str(self.folder / out), "--as", asker, "--json", *more)

    def killed(self, step: str, file: Path, *more: str, out: str = "a.jsonl") -> None:
        """The same run in a process of its own, which dies at that step."""
        script = Path(__file__).with_name("killed_batch.py")
        arguments = ["batch", "run", str(file), "--out", str(self.folder / out), "--as", "user:ana", *more]
        ran = subprocess.run([sys.executable, str(script), step, *arguments], capture_output=True, timeout=120)
        assert ran.returncode == -signal.SIGKILL, ran.stderr.decode()

    def answers(self, out: str = "a.jsonl") -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / out).read_text().splitlines()]

    def home(self) -> Home:
        return open_home(self.settings)

    def asked(self) -> Counter[str]:
        """How often the audit log says that each question was asked."""
        with self.home() as home:
            contents = [one.content or {} for one in home.audit_reader.newest(limit=10_000)]
        return Counter(str(one["question"]) for one in contents if one.get("action") == "ask")


def filled(folder: Path, database_url: str) -> Settings:
    """A home in `folder` with two documents, of which one is ana's alone; the settings to open it."""
    url = None if database_url.startswith("sqlite") else database_url
    chosen = Settings(home=folder / "home", database_url=url, embedding_model="hashing", writer_wait_s=0.3)
    documents = folder / "org"
    documents.mkdir(parents=True)
    for name, text in {"leave.md": LEAVE, "merger.md": MERGER, "access.yaml": RULES}.items():
        (documents / name).write_text(text)
    init_home(chosen)
    with open_home(chosen) as home:
        request = FolderRequest(documents, "org", None, None, "no")
        sync_folder(home.ingestion, home.layout.folder, request, chosen.max_document_bytes, lambda *_: None)
    return chosen


def configure(monkeypatch: pytest.MonkeyPatch, chosen: Settings) -> None:
    """Have the command line of this process and its children use these settings."""
    given = {"HOME": chosen.home, "EMBEDDING_MODEL": chosen.embedding_model, "WRITER_WAIT_S": chosen.writer_wait_s}
    if chosen.database_url:
        given["DATABASE_URL"] = chosen.database_url.get_secret_value()
    for name, value in given.items():
        monkeypatch.setenv(f"FOOTNOTE_{name}", str(value))


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a filled home, to be copied: filling one anew for each test takes longer."""
    folder = tmp_path_factory.mktemp("stored") / "desk"
    filled(folder, "sqlite")
    return folder


@pytest.fixture
def desk(stored: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Desk:
    folder = tmp_path / "desk"
    shutil.copytree(stored, folder)
    chosen = Settings(home=folder / "home", embedding_model="hashing", writer_wait_s=0.3)
    configure(monkeypatch, chosen)
    return Desk(folder, chosen, capfd)


@pytest.fixture
def either_desk(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Desk:
    """The same on each of the two databases."""
    folder = tmp_path / "desk"
    chosen = filled(folder, database_url)
    configure(monkeypatch, chosen)
    return Desk(folder, chosen, capfd)


def test_a_run_answers_every_row_as_the_person_named_and_says_what_it_did(desk: Desk) -> None:
    file = desk.questions(HOW_MUCH_LEAVE, WHAT_PRICE)

    ana, ben = desk.run(file, out="ana.jsonl").json(), desk.run(file, out="ben.jsonl", asker="user:ben").json()

    assert (ana["rows"], ana["answered"], ana["abstained"], ana["failed"], ana["failures"]) == (2, 2, 0, 0, [])
    assert (ben["rows"], ben["answered"], ben["abstained"]) == (2, 1, 1)
    assert ana["batch_id"] != ben["batch_id"] and ana["principal"] == "user:ana"
    rows = desk.answers("ana.jsonl")
    assert [row["id"] for row in rows] == ["1", "2"]
    assert "27 days" in rows[0]["answer"] and "18 million" in rows[1]["answer"]
    assert "18 million" not in (desk.folder / "ben.jsonl").read_text()


def test_rows_that_failed_are_named_and_the_run_ends_with_3(desk: Desk) -> None:
    file = desk.questions(HOW_MUCH_LEAVE, "", WHAT_PRICE)

    ran = desk.run(file)

    assert ran.code == 3
    report = ran.json()
    assert (report["answered"], report["failed"], report["resumed"]) == (2, 1, 0)
    (failure,) = report["failures"]
    assert failure["line"] == 3 and "empty" in failure["error"]
    assert desk("batch", "run", str(file), "--out", str(desk.folder / "a.csv"), "--as", "user:ana").code == 3


def test_people_read_what_was_done_and_what_failed(desk: Desk) -> None:
    file = desk.questions(HOW_MUCH_LEAVE, "")

    ran = desk("batch", "run", str(file), "--out", str(desk.folder / "a.csv"), "--as", "user:ana")

    assert "2 rows" in ran.out and "1 answered" in ran.out and "1 failed" in ran.out
    assert "line 3: The question is empty" in ran.err


@pytest.mark.parametrize(("asked", "told"), [("csv", "xlsx"), ("xlsx", "jsonl"), ("jsonl", "csv")])
def test_every_format_goes_in_and_comes_out(desk: Desk, asked: str, told: str) -> None:
    file = desk.folder / f"q.{asked}"
    if asked == "csv":
        desk.questions(HOW_MUCH_LEAVE, WHAT_PRICE)
    elif asked == "jsonl":
        lines = [{"id": n, "question": q} for n, q in enumerate((HOW_MUCH_LEAVE, WHAT_PRICE), start=1)]
        file.write_text("\n".join(json.dumps(line) for line in lines))
    else:
        book = Workbook()
        for row in (["id", "question"], [1, HOW_MUCH_LEAVE], [2, WHAT_PRICE]):
            book.active.append(row)
        book.save(file)

    desk.run(file, out=f"a.{told}").json()

    target = desk.folder / f"a.{told}"
    if told == "jsonl":
        rows = desk.answers()
    elif told == "csv":
        rows = list(csv.DictReader(target.read_text().splitlines()))
    else:
        names, *values = load_workbook(target).active.iter_rows(values_only=True)
        rows = [dict(zip(names, value, strict=True)) for value in values]
    assert [str(row["id"]) for row in rows] == ["1", "2"]
    assert "27 days" in rows[0]["answer"] and "merger.md" in str(rows[1]["citations"])


def test_a_grid_asks_each_document_that_fits(desk: Desk) -> None:
    report = desk.run(desk.questions(HOW_MUCH_LEAVE, WHAT_PRICE), "--per-document", "*.md").json()

    assert (report["rows"], report["answered"], report["abstained"]) == (4, 2, 2)
    said = [(row["id"], row["document"], row["abstained"]) for row in desk.answers()]
    assert said == [
        ("1", "leave.md", False),
        ("1", "merger.md", True),
        ("2", "leave.md", True),
        ("2", "merger.md", False),
    ]


QUESTIONS = [f"{HOW_MUCH_LEAVE} ({number})" for number in range(10)]
# A row is begun on each of two threads.
THREADS = 2


@pytest.mark.parametrize(
    "step",
    [
        "load:after:2",
        "ask:after:4",
        "keep:before:5",
        "keep:after:5",
        "write:before:1",
        *(
            pytest.param(step, marks=pytest.mark.deep)
            for step in ("load:before:2", "begin-row:after:1", "ask:before:4", "keep:after:10", "write:after:1")
        ),
    ],
)
def test_what_kill_9_interrupts_goes_on_with_no_row_lost_or_doubled(desk: Desk, step: str) -> None:
    goes_on_after(desk, step)


def test_what_kill_9_interrupts_goes_on_on_either_database(either_desk: Desk) -> None:
    goes_on_after(either_desk, "keep:before:5")


def goes_on_after(desk: Desk, step: str) -> None:
    file = desk.questions(*QUESTIONS)
    desk.killed(step, file)
    before = desk.asked()
    assert (desk.folder / "a.jsonl").exists() == (step == "write:after:1")

    report = desk.run(file).json()

    assert (report["rows"], report["answered"], report["failed"]) == (10, 10, 0)
    rows = desk.answers()
    assert [row["question"] for row in rows] == QUESTIONS
    assert len({row["audit_id"] for row in rows}) == 10 and all("27 days" in row["answer"] for row in rows)
    # What was being answered when the process died is asked again, and on record twice; its result is there once.
    asked = desk.asked()
    assert sum(asked.values()) <= 10 + THREADS and all(1 <= asked[question] <= 2 for question in QUESTIONS)
    assert sum(before.values()) - THREADS <= report["resumed"] <= sum(before.values())
    assert sorted(path.name for path in desk.folder.iterdir()) == ["a.jsonl", "home", "org", "q.csv"]


def test_a_process_killed_again_and_again_still_gets_everything_done(desk: Desk) -> None:
    file = desk.questions(*QUESTIONS)
    for _ in range(3):
        desk.killed("keep:after:3", file)

    report = desk.run(file).json()

    assert report["answered"] == 10 and report["resumed"] >= 9
    assert [row["question"] for row in desk.answers()] == QUESTIONS


def test_a_finished_run_asks_nothing_again_and_anew_asks_everything(desk: Desk) -> None:
    file = desk.questions(HOW_MUCH_LEAVE, WHAT_PRICE)
    first = desk.run(file).json()
    rows = desk.answers()

    again = desk.run(file, out="b.jsonl").json()
    assert (again["batch_id"], again["resumed"], desk.answers("b.jsonl")) == (first["batch_id"], 2, rows)
    assert desk.asked() == {HOW_MUCH_LEAVE: 1, WHAT_PRICE: 1}

    anew = desk.run(file, "--anew").json()
    assert anew["batch_id"] != first["batch_id"] and anew["resumed"] == 0
    assert desk.asked() == {HOW_MUCH_LEAVE: 2, WHAT_PRICE: 2}


def test_rows_that_failed_are_asked_again_by_the_same_command(desk: Desk) -> None:
    file = desk.questions(HOW_MUCH_LEAVE, WHAT_PRICE)
    report = desk.run(file).json()
    with desk.home() as home, home.catalog.write() as session:
        failed = update(BatchResultRow).where(BatchResultRow.ordinal == 2).values(state="failed")
        session.execute(failed.where(BatchResultRow.batch_id == report["batch_id"]))

    again = desk.run(file).json()

    assert (again["answered"], again["failed"], again["resumed"]) == (2, 0, 1)
    assert desk.asked() == {HOW_MUCH_LEAVE: 1, WHAT_PRICE: 2}


@pytest.mark.parametrize("step", ["load:after:2", "keep:after:3"])
def test_what_was_cancelled_goes_on_with_the_same_command(desk: Desk, step: str) -> None:
    file = desk.questions(*QUESTIONS)
    desk.killed(step, file)
    with desk.home() as home:
        (view,) = home.batches.listed(Principal("local", "ana"))
        home.batches.cancel(Principal("local", "ana"), view.batch_id, "test")

    assert desk.run(file).json()["answered"] == 10
    assert [row["question"] for row in desk.answers()] == QUESTIONS


def test_another_file_mode_or_person_is_another_batch(desk: Desk) -> None:
    file = desk.questions(HOW_MUCH_LEAVE)
    ids = [
        desk.run(file).json()["batch_id"],
        desk.run(file, "--per-document", "*.md").json()["batch_id"],
        desk.run(file, "--per-document", "leave.md").json()["batch_id"],
        desk.run(file, asker="user:ben").json()["batch_id"],
        desk.run(desk.questions(HOW_MUCH_LEAVE, WHAT_PRICE)).json()["batch_id"],
    ]
    assert len(set(ids)) == 5
    assert desk.run(desk.questions(HOW_MUCH_LEAVE, name="same.csv")).json()["batch_id"] == ids[0]


def test_what_may_not_be_read_any_more_is_withheld_from_the_file(desk: Desk) -> None:
    file = desk.questions(HOW_MUCH_LEAVE, WHAT_PRICE)
    desk.run(file)
    assert "18 million" in (desk.folder / "a.jsonl").read_text()
    assert desk("access", "revoke", "user:ana", "merger.md").code == 0

    report = desk.run(file).json()

    assert (report["answered"], report["withheld"], report["failed"]) == (1, 1, 0)
    assert "18 million" not in (desk.folder / "a.jsonl").read_text()


def test_two_runs_of_one_file_at_once_take_turns(desk: Desk) -> None:
    file = desk.questions(HOW_MUCH_LEAVE)
    report = desk.run(file).json()
    (lock,) = (desk.folder / "home" / "batches").iterdir()
    holder = "import fcntl, sys, time; f = open(sys.argv[1], 'a'); fcntl.flock(f, fcntl.LOCK_EX); print(1, flush=True)"
    command = [sys.executable, "-c", f"{holder}; time.sleep(60)", str(lock)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline()
        refused = desk.run(file)
        process.kill()

    assert refused.code == 1 and "then run again" in refused.err
    assert desk.run(file).json()["batch_id"] == report["batch_id"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["q.csv", "--out", "a.txt", "--as", "user:ana"], ".csv, .jsonl or .xlsx"),
        (["q.csv", "--out", "absent/a.csv", "--as", "user:ana"], "no folder"),
        (["q.csv", "--out", "../desk/q.csv", "--as", "user:ana"], "the file of questions itself"),
        (["absent.csv", "--out", "a.csv", "--as", "user:ana"], "cannot be read"),
        (["q.txt", "--out", "a.csv", "--as", "user:ana"], ".csv, .jsonl or .xlsx"),
        (["q.csv", "--out", "a.csv", "--as", "group:staff"], "only a person can"),
        (["q.csv", "--out", "a.csv", "--as", "user:ana", "--per-document", "absent/**"], "may read fits"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_asked(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    monkeypatch.chdir(desk.folder)
    desk.questions(HOW_MUCH_LEAVE)
    (desk.folder / "q.txt").write_text("question\n")

    ran = desk("batch", "run", *arguments)

    assert ran.code == 2 and says in ran.err.replace("\n", " ")
    assert desk.asked() == {} and not list(desk.folder.glob("a.*"))


def test_a_persons_batches_are_listed_and_deleted(desk: Desk) -> None:
    batch_id = desk.run(desk.questions(HOW_MUCH_LEAVE)).json()["batch_id"]

    (listed,) = desk("batch", "list", "--as", "user:ana", "--json").json()
    assert (listed["batch_id"], listed["name"], listed["state"]) == (batch_id, "q.csv", "done")
    assert listed["rows"] == {"total": 1, "waiting": 0, "answered": 1, "failed": 0, "refused": 0}
    assert desk("batch", "list", "--as", "user:ben", "--json").json() == []
    assert desk("batch", "delete", batch_id, "--as", "user:ben").code == 1
    assert desk("batch", "delete", batch_id, "--as", "user:ana").code == 0
    assert desk("batch", "list", "--as", "user:ana", "--json").json() == []


def test_no_word_of_a_batch_lies_in_the_home_unencrypted(desk: Desk) -> None:
    canary = "zanzibarquokka"
    desk.run(desk.questions(f"Who is {canary}?", name=f"{canary}.csv"))
    assert canary in (desk.folder / "a.jsonl").read_text()

    files = [file for file in (desk.folder / "home").rglob("*") if file.is_file()]

    assert files and [file.name for file in files if canary.encode() in file.read_bytes()] == []


def test_ctrl_c_leaves_a_batch_that_goes_on(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    file = desk.questions(*QUESTIONS)
    script = Path(__file__).with_name("killed_batch.py")
    arguments = ["batch", "run", str(file), "--out", str(desk.folder / "a.jsonl"), "--as", "user:ana"]
    command = [sys.executable, str(script), "keep:before:1", *arguments]
    ran = subprocess.run(command, env=os.environ | {"KILL_WITH": "SIGINT"}, capture_output=True, timeout=120)

    assert ran.returncode == 130 and b"run the same command again" in ran.stderr
    report = desk.run(file).json()
    assert report["answered"] == 10 and 1 <= report["resumed"] < 10
    assert set(desk.asked().values()) <= {1, 2}
