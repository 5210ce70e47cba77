"""Bringing documents in over HTTP, reading their bytes, and deleting them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from web_home import LEAVE, WebHome, bearer, web_home

from governance.identity import PERSON_SCOPES

LIMIT = 50_000


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebHome]:
    with web_home(tmp_path / "home", max_document_bytes=LIMIT) as opened:
        yield opened


def upload(web: WebHome, name: str, data: bytes, **fields: object) -> tuple[int, dict[str, object]]:
    response = web.client.post(
        "/v1/documents", files={"file": (name, data)}, data=fields, headers=bearer(web.administrator)
    )
    return response.status_code, response.json()


@pytest.mark.parametrize("allow", [["user:ana", "group:hr"], '["user:ana", "group:hr"]'])
def test_an_upload_is_readable_by_whom_it_names_and_nobody_else(web: WebHome, allow: object) -> None:
    status, made = upload(web, "leave.md", LEAVE, allow=allow)

    def sees(name: str) -> int:
        return web.client.get(f"/v1/documents/{made['document_id']}", headers=bearer(web.key(name))).status_code

    assert (status, made["external_id"], made["source"]) == (201, "leave.md", "uploads")
    assert (sees("user:ana"), sees("user:ben")) == (200, 404)


def test_an_upload_that_names_nobody_is_readable_by_nobody_and_says_so(web: WebHome) -> None:
    _, made = upload(web, "leave.md", LEAVE)

    assert "Nobody may read" in str(made["warnings"])
    assert web.client.get("/v1/documents", headers=bearer(web.key("user:ana"))).json() == []


def test_deny_beats_allow(web: WebHome) -> None:
    upload(web, "leave.md", LEAVE, allow="everyone", deny="user:ben")

    def listed(name: str) -> int:
        return len(web.client.get("/v1/documents", headers=bearer(web.key(name))).json())

    assert (listed("user:ana"), listed("user:ben")) == (1, 0)


def test_the_same_upload_again_changes_nothing_and_another_text_makes_a_version(web: WebHome) -> None:
    first = upload(web, "leave.md", LEAVE, allow="user:ana")
    again = upload(web, "leave.md", LEAVE, allow="user:ana")
    changed = upload(web, "leave.md", LEAVE.replace(b"27", b"29"), allow="user:ana")

    assert [first[0], again[0], changed[0]] == [201, 200, 200]
    assert again[1]["documents"]["unchanged"] == 1  # type: ignore[index]
    assert first[1]["document_id"] == changed[1]["document_id"]
    record = web.client.get(f"/v1/documents/{changed[1]['document_id']}", headers=bearer(web.key("user:ana"))).json()
    assert record["version"] == 2


@pytest.mark.parametrize(
    ("name", "data", "fields", "status", "code"),
    [
        ("broken.pdf", b"%PDF-1.7 nothing", {}, 422, "unreadable_document"),
        ("empty.md", b"", {}, 422, "unreadable_document"),
        ("long.md", b"word " * (LIMIT // 5 + 1), {}, 413, "limit_exceeded"),
        ("longer.md", b"word " * 300_000, {}, 413, "limit_exceeded"),
        ("leave.md", LEAVE, {"external_id": "../leave.md"}, 422, "wrong_usage"),
        ("leave.md", LEAVE, {"external_id": "a\x00b"}, 422, "invalid"),
        ("leave.md", LEAVE, {"allow": "ana"}, 422, "wrong_usage"),
        ("leave.md", LEAVE, {"allow": "[1]"}, 422, "wrong_usage"),
        ("leave.md", LEAVE, {"allow": '["user:ana"'}, 422, "wrong_usage"),
    ],
)
def test_a_bad_upload_is_named(
    web: WebHome, name: str, data: bytes, fields: dict[str, object], status: int, code: str
) -> None:
    answered, problem = upload(web, name, data, **fields)

    assert (answered, problem["code"]) == (status, code)


def test_the_original_bytes_come_back_as_a_download_a_browser_never_runs(web: WebHome) -> None:
    page = b"<html><body><p>Hello there.</p><script>alert(1)</script></body></html>"
    _, made = upload(web, "page.html", page, external_id='notes/naïve "name".html', allow="user:ana")
    path = f"/v1/documents/{made['document_id']}/content"

    reader = web.client.get(path, headers=bearer(web.key("user:ana")))
    downloader = web.client.get(path, headers=bearer(web.key("user:ana", [*PERSON_SCOPES, "content"])))

    assert reader.status_code == 403
    assert downloader.content == page
    assert downloader.headers["Content-Type"] == "application/octet-stream"
    assert downloader.headers["X-Content-Type-Options"] == "nosniff"
    disposition = downloader.headers["Content-Disposition"]
    assert disposition.startswith('attachment; filename="na_ve_name_.html"')
    assert disposition.endswith("filename*=UTF-8''na%C3%AFve%20%22name%22.html")


def test_the_text_comes_plain_or_in_its_record(web: WebHome) -> None:
    _, made = upload(web, "leave.md", LEAVE, allow="user:ana")
    path, ana = f"/v1/documents/{made['document_id']}/text", bearer(web.key("user:ana"))

    plain = web.client.get(path, headers=ana)
    record = web.client.get(path, headers={**ana, "Accept": "application/json"})

    assert plain.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert record.json()["text"] == plain.text
    assert record.json()["version"] == int(plain.headers["Footnote-Document-Version"])


def test_a_deleted_document_is_gone_from_the_next_search_on(web: WebHome) -> None:
    _, made = upload(web, "leave.md", LEAVE, allow="user:ana")
    ana = bearer(web.key("user:ana"))
    path = f"/v1/documents/{made['document_id']}"
    assert web.client.post("/v1/search", json={"query": "annual leave"}, headers=ana).json()["hits"]

    assert web.client.delete(path, headers=bearer(web.administrator)).status_code == 204

    assert web.client.post("/v1/search", json={"query": "annual leave"}, headers=ana).json()["hits"] == []
    assert web.client.get(path + "/text", headers=ana).status_code == 404
    assert web.client.delete(path, headers=bearer(web.administrator)).status_code == 404


def test_a_key_that_only_writes_deletes_what_its_person_may_read(web: WebHome) -> None:
    _, theirs = upload(web, "theirs.md", LEAVE, allow="user:ana")
    _, hidden = upload(web, "hidden.md", LEAVE, allow="user:ben")
    ana = bearer(web.key("user:ana", ["write"]))

    codes = [
        web.client.delete(f"/v1/documents/{one['document_id']}", headers=ana).status_code for one in (theirs, hidden)
    ]

    assert codes == [204, 404]
