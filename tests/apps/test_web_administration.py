"""Groups, keys and browser sessions over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from web_home import LEAVE, WebHome, bearer, web_home

from apps.web.sign_in import COOKIE
from governance.access import membership
from governance.audit import Kind
from governance.identity import SCOPES


@pytest.fixture
def web(tmp_path: Path) -> Iterator[WebHome]:
    with web_home(tmp_path / "home") as opened:
        yield opened


def test_a_group_change_holds_for_the_next_request(web: WebHome) -> None:
    web.add("leave.md", LEAVE, "group:staff")
    admin, ana = bearer(web.administrator), bearer(web.key("user:ana"))

    def listed() -> int:
        return len(web.client.get("/v1/documents", headers=ana).json())

    before = listed()
    web.client.put("/v1/groups/hr", json={"members": ["user:ana"]}, headers=admin)
    web.client.put("/v1/groups/staff", json={"members": ["group:hr"]}, headers=admin)
    during = listed()
    web.client.delete("/v1/groups/hr", headers=admin)

    assert (before, during, listed()) == (0, 1, 0)


def test_a_cycle_of_groups_is_refused_and_named(web: WebHome) -> None:
    admin = bearer(web.administrator)
    web.client.put("/v1/groups/a", json={"members": ["group:b"]}, headers=admin)

    response = web.client.put("/v1/groups/b", json={"members": ["group:a"]}, headers=admin)

    assert response.status_code == 409
    assert "group:b > group:a > group:b" in response.json()["detail"]
    groups = web.client.get("/v1/groups", headers=admin).json()
    assert {"group": "group:a", "members": ["group:b"]} in groups


def test_members_nobody_has_defined_are_taken_with_a_warning(web: WebHome) -> None:
    response = web.client.put("/v1/groups/staff", json={"members": ["group:later"]}, headers=bearer(web.administrator))

    assert response.status_code == 200
    assert "group:later" in response.json()["warnings"][0]


def test_a_key_is_shown_once_and_ends_when_revoked(web: WebHome) -> None:
    admin = bearer(web.administrator)
    body = {"name": "Ana's script", "principal": "user:ana", "scopes": ["ask"], "expires_days": 30}
    response = web.client.post("/v1/keys", json=body, headers=admin)
    made = response.json()

    assert response.headers["Cache-Control"] == "no-store"
    assert web.client.get("/v1/me", headers=bearer(made["key"])).json()["principal"] == "user:ana"
    secret = made["key"].split("_", 2)[2]
    assert secret not in web.client.get("/v1/keys", headers=admin).text
    assert web.client.delete(f"/v1/keys/{made['key_id']}", headers=admin).status_code == 204
    assert web.client.get("/v1/me", headers=bearer(made["key"])).status_code == 401


@pytest.mark.parametrize(
    "change", [{"scopes": ["everything"]}, {"scopes": []}, {"principal": "group:staff"}, {"expires_days": -1}]
)
def test_a_key_that_makes_no_sense_is_refused(web: WebHome, change: dict[str, object]) -> None:
    body = {"name": "key", "principal": "user:ana", "scopes": ["ask"], **change}

    assert web.client.post("/v1/keys", json=body, headers=bearer(web.administrator)).status_code == 422


def test_the_sign_in_cookie_is_out_of_reach_for_scripts_and_other_sites(web: WebHome) -> None:
    response = web.client.post("/v1/session", json={"key": web.key("user:ana")})

    attributes = {part.strip().lower() for part in response.headers["Set-Cookie"].split(";")}
    assert {"httponly", "samesite=strict", "path=/"} <= attributes
    assert web.client.get("/v1/me").json()["csrf"] == response.json()["csrf"]


def test_secure_cookies_travel_over_https_only(tmp_path: Path) -> None:
    with web_home(tmp_path / "home", secure_cookies=True) as web:
        response = web.client.post("/v1/session", json={"key": web.key("user:ana")})

    assert "secure" in response.headers["Set-Cookie"].lower()


@pytest.mark.parametrize("token", [None, "", "wrong"])
def test_a_change_with_a_cookie_needs_its_token(web: WebHome, token: str | None) -> None:
    headers = dict(web.signed_in(web.key("user:ana", SCOPES)))
    forged = {"Cookie": headers["Cookie"]} | ({} if token is None else {"X-CSRF-Token": token})

    refused = web.client.post("/v1/ask", json={"question": "How much leave?"}, headers=forged)
    answered = web.client.post("/v1/ask", json={"question": "How much leave?"}, headers=headers)

    assert (refused.status_code, answered.status_code) == (403, 200)


def test_signing_out_and_revoking_end_a_session(web: WebHome) -> None:
    key = web.key("user:ana")
    first, second = web.signed_in(key), web.signed_in(key)

    web.client.delete("/v1/session", headers=first)
    after_sign_out = [web.client.get("/v1/me", headers=one).status_code for one in (first, second)]
    web.administration.revoke_key(key.split("_")[1])

    assert after_sign_out == [401, 200]
    assert web.client.get("/v1/me", headers=second).status_code == 401


def test_signing_in_and_failing_to_are_on_record(web: WebHome) -> None:
    key = web.key("user:ana")
    web.client.post("/v1/session", json={"key": key})
    refused = web.client.post("/v1/session", json={"key": key + "x"})
    web.client.post("/v1/session", json={"key": "fnk_\x00"})

    contents = [record.content or {} for record in web.home.audit_reader.newest(kind=Kind.SIGN_IN)]
    said = [(content["action"], content.get("key_id")) for content in contents]
    assert refused.status_code == 401
    assert ("sign-in", None) in said
    assert ("sign-in refused", key.split("_")[1]) in said
    assert ("sign-in refused", None) in said
    assert key.split("_", 2)[2] not in str(contents)


def test_administration_is_on_record_before_it_is_done(web: WebHome) -> None:
    admin = bearer(web.administrator)
    web.home.audit.close()

    response = web.client.put("/v1/groups/staff", json={"members": ["user:ana"]}, headers=admin)

    assert response.status_code == 503
    with web.home.catalog.read() as session:
        assert membership.groups(session) == []
    assert web.client.get("/v1/groups", headers=admin).status_code == 503
    assert web.client.get("/v1/keys", headers=admin).status_code == 503
    assert COOKIE not in web.client.post("/v1/session", json={"key": web.administrator}).cookies


@pytest.mark.parametrize("hostile", ["\\u0000", "\\ud800", "\\udfff"])
@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_text_that_a_database_cannot_hold_is_refused(
    tmp_path: Path, request: pytest.FixtureRequest, database: str, hostile: str
) -> None:
    chosen = {"database_url": request.getfixturevalue("postgres_url")} if database == "postgresql" else {}
    bodies = [
        ("POST", "/v1/session", '{"key": "fnk_%s_a"}'),
        ("POST", "/v1/keys", '{"name": "a%s", "principal": "user:ana", "scopes": ["ask"]}'),
        ("POST", "/v1/keys", '{"name": "a", "principal": "user:a%s", "scopes": ["ask"]}'),
        ("PUT", "/v1/groups/staff", '{"members": ["user:a%s"]}'),
        ("POST", "/v1/search", '{"query": "a", "filters": {"sources": ["a%s"]}}'),
    ]
    with web_home(tmp_path / "home", **chosen) as web:
        headers = {**bearer(web.key("user:ana", SCOPES)), "Content-Type": "application/json"}
        answers = [
            web.client.request(method, path, content=(body % hostile).encode(), headers=headers)
            for method, path, body in bodies
        ]
        form = {"allow": f'["user:a{hostile}"]'}
        answers.append(
            web.client.post(
                "/v1/documents", files={"file": ("a.md", LEAVE)}, data=form, headers=bearer(web.administrator)
            )
        )
        answers += [
            web.client.request(method, path, headers=bearer(web.administrator))
            for method, path in (
                ("DELETE", "/v1/keys/a%00"),
                ("DELETE", "/v1/groups/a%00"),
                ("DELETE", "/v1/documents/%00"),
            )
        ]

    assert {answer.status_code for answer in answers} <= {401, 404, 422}
