"""Batches over HTTP: a file goes up, is worked off as jobs, and comes back as far as its owner may read it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from openpyxl import load_workbook
from web_home import LEAVE, MERGER, WebHome, bearer, web_home

from apps.batches import MAX_FILE_BYTES
from core.principals import parse_principal
from workers.doorbell import QUEUES
from workers.run import run_next

HOW_MUCH_LEAVE = "How many days of annual leave do full-time employees have?"
WHAT_PRICE = "What is the agreed purchase price of the merger?"


class Person:
    """A person with a key, and their batches."""

    def __init__(self, web: WebHome, name: str = "user:ana") -> None:
        self.web = web
        self.headers: Mapping[str, str] = bearer(web.key(name))

    def begin(self, *questions: str, name: str = "q.jsonl", **form: str) -> Any:
        data = "\n".join(json.dumps(question) for question in questions).encode()
        files = {"file": (name, data)}
        return self.web.client.post("/v1/batches", files=files, data=form, headers=self.headers)

    def begun(self, *questions: str, **form: str) -> str:
        response = self.begin(*questions, **form)
        assert response.status_code == 201, response.text
        batch_id = str(response.json()["batch_id"])
        assert response.headers["Location"] == f"/v1/batches/{batch_id}"
        return batch_id

    def show(self, batch_id: str) -> Any:
        return self.web.client.get(f"/v1/batches/{batch_id}", headers=self.headers).json()

    def results(self, batch_id: str) -> list[dict[str, Any]]:
        path = f"/v1/batches/{batch_id}/results?format=jsonl"
        text = self.web.client.get(path, headers=self.headers).text
        return [json.loads(line) for line in text.splitlines()]

    def post(self, path: str) -> int:
        return self.web.client.post(f"/v1/batches/{path}", headers=self.headers).status_code

    def delete(self, batch_id: str) -> int:
        return self.web.client.delete(f"/v1/batches/{batch_id}", headers=self.headers).status_code


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebHome]:
    with web_home(tmp_path / "home") as opened:
        opened.add("leave.md", LEAVE, "everyone")
        opened.add("merger.md", MERGER, "user:ana")
        yield opened


def work(web: WebHome, most: int = 1000) -> None:
    """Do the jobs that wait, as the threads of the server would."""
    while most and run_next(web.home, QUEUES):
        most -= 1


def test_a_file_goes_up_is_worked_off_and_comes_back(web: WebHome) -> None:
    ana = Person(web)
    batch_id = ana.begun(HOW_MUCH_LEAVE, WHAT_PRICE, "")
    begun = ana.show(batch_id)
    assert (begun["state"], begun["name"], begun["seconds_left"]) == ("running", "q.jsonl", None)
    assert begun["rows"] == {"total": 3, "waiting": 2, "answered": 0, "failed": 0, "refused": 1}

    work(web)

    done = ana.show(batch_id)
    assert (done["state"], done["seconds_left"], done["rows"]["answered"]) == ("done", 0, 2)
    (failure,) = done["failures"]
    assert failure["line"] == 3 and "empty" in failure["error"]
    leave, price, empty = ana.results(batch_id)
    assert "27 days" in leave["answer"] and "18 million" in price["answer"] and "empty" in empty["error"]


@pytest.mark.parametrize(
    ("form", "media_type"),
    [
        ("csv", "text/csv; charset=utf-8"),
        ("jsonl", "application/jsonl; charset=utf-8"),
        ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ],
)
def test_results_come_in_the_format_asked_for_to_be_saved(web: WebHome, form: str, media_type: str) -> None:
    ana = Person(web)
    batch_id = ana.begun(HOW_MUCH_LEAVE)
    work(web)

    response = web.client.get(f"/v1/batches/{batch_id}/results?format={form}", headers=ana.headers)

    assert response.headers["Content-Type"] == media_type
    assert response.headers["Content-Disposition"] == f'attachment; filename="answers.{form}"'
    if form == "xlsx":
        names, values = load_workbook(io.BytesIO(response.content)).active.iter_rows(values_only=True)
        (row,) = [dict(zip(names, values, strict=True))]
    else:
        lines = response.text.splitlines(keepends=True)
        (row,) = map(json.loads, lines) if form == "jsonl" else csv.DictReader(lines)
    assert "27 days" in str(row["answer"])


def test_results_of_a_batch_that_runs_say_what_is_not_answered_yet(web: WebHome) -> None:
    ana = Person(web)
    batch_id = ana.begun(HOW_MUCH_LEAVE, WHAT_PRICE, WHAT_PRICE)
    work(web, most=2)

    assert [row["error"] for row in ana.results(batch_id)] == [None, None, "not answered yet"]
    assert 0 <= ana.show(batch_id)["seconds_left"] < 120


def test_what_is_revoked_is_neither_answered_from_nor_downloaded(web: WebHome) -> None:
    ana = Person(web)
    before, after = ana.begun(WHAT_PRICE), ana.begun(WHAT_PRICE)
    work(web, most=1)
    assert "18 million" in str(ana.results(before))

    document_id = web.home.gate.documents(parse_principal("user:ana"))[1].document_id
    web.administration.revoke(parse_principal("user:ana").grantee, document_id)
    work(web)

    (withheld,), (abstained,) = ana.results(before), ana.results(after)
    assert withheld["answer"] is None and withheld["error"].startswith("withheld")
    assert abstained["abstained"] and "18 million" not in str([withheld, abstained])


def test_on_behalf_of_somebody_their_rights_decide_and_both_are_on_record(web: WebHome) -> None:
    key = web.key("user:portal", ["ask", "act-as"])
    deputy = Person(web, "user:portal")
    deputy.headers = {**bearer(key), "Footnote-On-Behalf-Of": "user:ana"}
    batch_id = deputy.begun(WHAT_PRICE)
    work(web)

    (row,) = Person(web).results(batch_id)

    assert "18 million" in row["answer"]
    intent = web.home.audit_reader.show(row["audit_id"])[0].content
    assert intent and intent["actor"] == f"key:{key.split('_')[1]}"
    deputy.headers = bearer(key)
    assert deputy.show(batch_id)["status"] == 404


def test_a_grid_asks_every_document_that_fits(web: WebHome) -> None:
    ana, ben = Person(web), Person(web, "user:ben")
    batch_id = ana.begun(WHAT_PRICE, per_document="*.md")
    work(web)

    said = [(row["document"], row["abstained"]) for row in ana.results(batch_id)]
    assert said == [("leave.md", True), ("merger.md", False)]
    assert ana.show(batch_id)["per_document"] == "*.md"
    assert ben.begin(WHAT_PRICE, per_document="merger.md").status_code == 422


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("q.csv", b"question\n", 422),
        ("q.txt", b"question\nHow?\n", 422),
        ("q.xlsx", b"PK\x03\x04", 422),
        ("q.csv", b"question\n" + b"x" * MAX_FILE_BYTES, 413),
    ],
)
def test_a_file_that_cannot_be_asked_is_refused_and_leaves_no_batch(
    web: WebHome, name: str, data: bytes, code: int
) -> None:
    ana = Person(web)

    response = web.client.post("/v1/batches", files={"file": (name, data)}, headers=ana.headers)

    assert (response.status_code, response.headers["Content-Type"]) == (code, "application/problem+json")
    assert web.client.get("/v1/batches", headers=ana.headers).json() == {"batches": []}


def test_a_cancelled_batch_asks_no_more_and_a_deleted_one_is_gone(web: WebHome) -> None:
    ana = Person(web)
    cancelled, deleted = ana.begun(HOW_MUCH_LEAVE, WHAT_PRICE), ana.begun(WHAT_PRICE)
    work(web, most=1)

    assert ana.post(f"{cancelled}/cancel") == 204
    assert ana.delete(deleted) == 204
    work(web)

    assert [row["error"] for row in ana.results(cancelled)] == [None, "not answered yet"]
    assert ana.show(cancelled)["state"] == "cancelled"
    assert ana.post(f"{cancelled}/cancel") == 409
    assert ana.show(deleted)["status"] == 404 and ana.delete(deleted) == 404
    listed = web.client.get("/v1/batches", headers=ana.headers).json()["batches"]
    assert [one["batch_id"] for one in listed] == [cancelled]


def test_what_is_uploaded_twice_is_two_batches(web: WebHome) -> None:
    ana = Person(web)

    assert ana.begun(HOW_MUCH_LEAVE) != ana.begun(HOW_MUCH_LEAVE)
