"""GitHub's REST API as far as issues, releases and who may read them go, over real HTTP.

Written from https://docs.github.com/rest (version 2022-11-28): paging by Link headers, primary and secondary limits,
entity tags, redirects of what was renamed or transferred, and what a token may not see. A parameter that a call does
not document is refused.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

_PAGE = {"per_page", "page"}
_ISSUES = _PAGE | {"state", "sort", "direction", "since", "labels", "milestone", "assignee", "creator", "mentioned"}
_CALLS: list[tuple[str, str, set[str]]] = [
    (r"/repos/([^/]+/[^/]+)", "repository", set()),
    (r"/repositories/(\d+)", "repository_by_id", set()),
    (r"/repos/([^/]+/[^/]+)/issues", "issues", _ISSUES),
    (r"/repos/([^/]+/[^/]+)/issues/(\d+)", "issue", set()),
    (r"/repos/([^/]+/[^/]+)/issues/(\d+)/comments", "comments", _PAGE | {"since"}),
    (r"/repos/([^/]+/[^/]+)/issues/comments", "all_comments", _PAGE | {"sort", "direction", "since"}),
    (r"/repos/([^/]+/[^/]+)/pulls/comments", "all_review_comments", _PAGE | {"sort", "direction", "since"}),
    (r"/repos/([^/]+/[^/]+)/pulls/(\d+)/reviews", "reviews", _PAGE),
    (r"/repos/([^/]+/[^/]+)/pulls/(\d+)/comments", "review_comments", _PAGE | {"sort", "direction", "since"}),
    (r"/repos/([^/]+/[^/]+)/releases", "releases", _PAGE),
    (r"/repos/([^/]+/[^/]+)/releases/(\d+)", "release", set()),
    (r"/repos/([^/]+/[^/]+)/collaborators", "collaborators", _PAGE | {"affiliation", "permission"}),
    (r"/repos/([^/]+/[^/]+)/teams", "teams", _PAGE),
    (r"/orgs/([^/]+)/repos", "organizations_repositories", _PAGE | {"type", "sort", "direction"}),
    (r"/orgs/([^/]+)/members", "members", _PAGE | {"filter", "role"}),
    (r"/orgs/([^/]+)/teams/([^/]+)/members", "team_members", _PAGE | {"role"}),
]


class Problem(Exception):
    """A status with its message, as GitHub answers."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers or {}


class GitHubDouble:
    """One GitHub with one organization, `acme`; its people act through the methods below."""

    def __init__(self, token: str) -> None:
        self.token, self.page = token, 3
        self.now = 1_767_780_000  # 7 January 2026, 10:00 UTC
        self.users: dict[str, int] = {}
        self.members: set[str] = set()
        self.base_permission = "none"
        self.without_pull: set[str] = set()
        self.repositories: dict[int, dict[str, Any]] = {}
        self.renamed: dict[str, int] = {}
        self.transferred: dict[tuple[int, int], str] = {}
        self.direct: dict[int, set[str]] = {}
        self.issues: dict[int, dict[int, dict[str, Any]]] = {}
        self.comments: dict[tuple[int, int], list[dict[str, Any]]] = {}
        self.reviews: dict[tuple[int, int], list[dict[str, Any]]] = {}
        self.review_comments: dict[tuple[int, int], list[dict[str, Any]]] = {}
        self.releases: dict[int, list[dict[str, Any]]] = {}
        self.teams: dict[str, dict[str, Any]] = {}
        """By slug: `id`, `members` (logins), `parent` (a slug) and `repositories` (ids)."""
        self.hidden: set[tuple[str, int]] = set()
        """Calls that this token may not make, by name and repository."""
        self.switched_off: set[tuple[str, int]] = set()
        """Calls that a repository does not know, by name."""
        self.is_down = False
        self.calls: list[tuple[str, int]] = []
        self._limits: list[dict[str, str]] = []
        self._count = 1000
        self.url = ""

    # What people do.

    def user(self, login: str) -> int:
        if login not in self.users:
            self.users[login] = self._next()
        return self.users[login]

    def repository(self, name: str, *readers: str, visibility: str = "private") -> int:
        number = self._next()
        self.repositories[number] = {
            "id": number,
            "name": name,
            "full_name": f"acme/{name}",
            "private": visibility != "public",
            "visibility": visibility,
            "owner": {"login": "acme", "id": 9, "type": "Organization"},
            "html_url": f"https://github.example/acme/{name}",
        }
        self.direct[number] = set(readers)
        for login in readers:
            self.user(login)
        self.issues[number], self.releases[number] = {}, []
        return number

    def rename(self, number: int, name: str) -> None:
        repository = self.repositories[number]
        self.renamed[repository["full_name"]] = number
        repository |= {"name": name, "full_name": f"acme/{name}", "html_url": f"https://github.example/acme/{name}"}

    def show(self, number: int, visibility: str) -> None:
        self.repositories[number] |= {"visibility": visibility, "private": visibility != "public"}

    def issue(self, repository: int, login: str, title: str, body: str | None, **more: Any) -> int:
        number = len(self.issues[repository]) + len([one for one in self.transferred if one[0] == repository]) + 1
        while number in self.issues[repository]:
            number += 1
        self.issues[repository][number] = {
            "id": self._next(),
            "number": number,
            "title": title,
            "body": body,
            "state": "open",
            "labels": [],
            "user": {"login": login, "id": self.user(login)},
            "created_at": self.time(),
            "updated_at": self.time(),
        } | more
        return number

    def pull(self, repository: int, login: str, title: str, body: str, merged: bool = False) -> int:
        told = {"url": "…", "merged_at": self.time() if merged else None}
        return self.issue(repository, login, title, body, pull_request=told, state="closed" if merged else "open")

    def comment(self, repository: int, number: int, login: str, body: str) -> None:
        self.now += 1
        told = {"id": self._next(), "body": body, "created_at": self.time(), "updated_at": self.time()}
        told["user"] = {"login": login, "id": self.user(login)}
        self.comments.setdefault((repository, number), []).append(told)
        self.touch(repository, number)

    def review(self, repository: int, number: int, login: str, state: str, body: str, line: str = "") -> None:
        self.now += 1
        told = {"id": self._next(), "body": body, "state": state, "submitted_at": self.time()}
        told["user"] = {"login": login, "id": self.user(login)}
        self.reviews.setdefault((repository, number), []).append(told)
        if line:
            beside = {"id": self._next(), "body": line, "path": "core/a.py", "line": 7, "created_at": self.time()}
            beside["updated_at"] = self.time()
            beside["user"] = told["user"]
            self.review_comments.setdefault((repository, number), []).append(beside)
        self.touch(repository, number)

    def edit(self, repository: int, number: int, **what: Any) -> None:
        self.now += 1
        self.issues[repository][number] |= what
        self.touch(repository, number)

    def edit_comment(self, repository: int, number: int, body: str, on_a_line: bool = False) -> None:
        """The first comment is edited; the issue does not count as changed."""
        self.now += 1
        comments = self.review_comments if on_a_line else self.comments
        comments[repository, number][0] |= {"body": body, "updated_at": self.time()}

    def touch(self, repository: int, number: int) -> None:
        self.issues[repository][number]["updated_at"] = self.time()

    def transfer(self, repository: int, number: int, to: int) -> None:
        issue = self.issues[repository].pop(number)
        there = self.issue(to, issue["user"]["login"], issue["title"], issue["body"])
        self.transferred[repository, number] = f"{self.url}repositories/{to}/issues/{there}"

    def release(self, repository: int, tag: str, body: str, **more: Any) -> int:
        number = self._next()
        told = {"id": number, "tag_name": tag, "name": f"Release {tag}", "body": body, "draft": False}
        told |= {"prerelease": False, "published_at": self.time(), "author": {"login": "ana", "id": self.user("ana")}}
        told["html_url"] = f"{self.repositories[repository]['html_url']}/releases/tag/{tag}"
        self.releases[repository].insert(0, told | more)
        return number

    def team(self, slug: str, *members: str, parent: str | None = None) -> int:
        for login in members:
            self.user(login)
        before = self.teams.get(slug, {"id": self._next(), "repositories": set()})
        self.teams[slug] = before | {"members": set(members), "parent": parent}
        return int(self.teams[slug]["id"])

    def throttle(self, times: int, seconds: float) -> None:
        """Secondary limits: GitHub answers with 403 or 429, and says how long to wait."""
        self._limits += [{"Retry-After": str(int(seconds))}] * times

    def use_up(self, seconds: float) -> None:
        """The primary limit: only its reset is told."""
        reset = str(int(time.time() + seconds))
        self._limits.append({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset, "X-RateLimit-Limit": "5000"})

    def time(self) -> str:
        return f"{datetime.fromtimestamp(self.now, UTC):%Y-%m-%dT%H:%M:%SZ}"

    def readers(self, repository: int) -> set[str]:
        """Everybody whom GitHub counts among the collaborators."""
        found = set(self.direct[repository])
        for slug in self.teams:
            if repository in self._repositories_of(slug):
                found |= self._members_of(slug)
        return found | (self.members if self.base_permission != "none" else set())

    def _repositories_of(self, slug: str) -> set[int]:
        """A team's repositories; those of the team above it are its own too."""
        team = self.teams[slug]
        above = self._repositories_of(team["parent"]) if team["parent"] else set()
        return set(team["repositories"]) | above

    def _members_of(self, slug: str) -> set[str]:
        """A team's members; those of the teams below it are its own too."""
        below = [self._members_of(one) for one, team in self.teams.items() if team["parent"] == slug]
        return set(self.teams[slug]["members"]).union(*below)

    # What the API answers.

    def repository_(self, name: str) -> dict[str, Any]:
        for one in self.repositories.values():
            if one["full_name"].lower() == name.lower() and ("repository", one["id"]) not in self.hidden:
                return one
        if name in self.renamed:
            raise Problem(301, "Moved Permanently", {"Location": f"{self.url}repositories/{self.renamed[name]}"})
        raise Problem(404, "Not Found")

    def answer(self, path: str, given: dict[str, str]) -> Any:
        for pattern, call, known in _CALLS:
            found = re.fullmatch(pattern, path)
            if found is None:
                continue
            if set(given) - known:
                raise Problem(422, "Validation Failed")
            where = found.groups()
            if call == "repository_by_id":
                if int(where[0]) not in self.repositories:
                    raise Problem(404, "Not Found")
                return self.repositories[int(where[0])]
            if path.startswith("/orgs/"):
                return getattr(self, f"_{call}")(*where, given)
            repository = self.repository_(where[0])
            self.calls.append((call, repository["id"]))
            if (call, repository["id"]) in self.hidden:
                raise Problem(403, "Must have push access to view repository collaborators.")
            if (call, repository["id"]) in self.switched_off:
                raise Problem(410 if "issue" in call else 404, "Issues are disabled for this repo")
            if call == "repository":
                return repository
            return getattr(self, f"_{call}")(repository["id"], *where[1:], given)
        raise Problem(404, "Not Found")

    def _shown(self, repository: int, number: int) -> dict[str, Any]:
        base = self.repositories[repository]
        kind = "pull" if "pull_request" in self.issues[repository][number] else "issues"
        return self.issues[repository][number] | {
            "comments": len(self.comments.get((repository, number), [])),
            "html_url": f"{base['html_url']}/{kind}/{number}",
            "repository_url": f"{self.url}repos/{base['full_name']}",
        }

    def _issues(self, repository: int, given: dict[str, str]) -> Any:
        # GitHub's own defaults: open ones only, the newest first.
        found = [self._shown(repository, number) for number in self.issues[repository]]
        if given.get("state", "open") != "all":
            found = [one for one in found if one["state"] == given.get("state", "open")]
        found = [one for one in found if one["updated_at"] >= given.get("since", "")]
        key = "updated_at" if given.get("sort") == "updated" else "created_at"
        found.sort(key=lambda one: (one[key], one["number"]), reverse=given.get("direction", "desc") == "desc")
        return Paged(found)

    def _issue(self, repository: int, number: str, given: dict[str, str]) -> Any:
        if (repository, int(number)) in self.transferred:
            raise Problem(301, "Moved Permanently", {"Location": self.transferred[repository, int(number)]})
        if int(number) not in self.issues[repository]:
            raise Problem(410, "This issue was deleted")
        return self._shown(repository, int(number))

    def _comments(self, repository: int, number: str, given: dict[str, str]) -> Any:
        return Paged(self.comments.get((repository, int(number)), []))

    def _all_comments(self, repository: int, given: dict[str, str]) -> Any:
        return self._of_all(repository, self.comments, "issue_url", "issues", given)

    def _all_review_comments(self, repository: int, given: dict[str, str]) -> Any:
        return self._of_all(repository, self.review_comments, "pull_request_url", "pulls", given)

    def _of_all(
        self,
        repository: int,
        comments: dict[tuple[int, int], list[dict[str, Any]]],
        key: str,
        kind: str,
        given: dict[str, str],
    ) -> Any:
        base = f"{self.url}repos/{self.repositories[repository]['full_name']}/{kind}"
        found = [
            comment | {key: f"{base}/{number}"}
            for (where, number), some in comments.items()
            for comment in some
            if where == repository and comment["updated_at"] >= given.get("since", "")
        ]
        by = "updated_at" if given.get("sort") == "updated" else "created_at"
        return Paged(sorted(found, key=lambda one: str(one[by]), reverse=given.get("direction") == "desc"))

    def _reviews(self, repository: int, number: str, given: dict[str, str]) -> Any:
        return Paged(self.reviews.get((repository, int(number)), []))

    def _review_comments(self, repository: int, number: str, given: dict[str, str]) -> Any:
        return Paged(self.review_comments.get((repository, int(number)), []))

    def _releases(self, repository: int, given: dict[str, str]) -> Any:
        return Paged(self.releases[repository])

    def _release(self, repository: int, number: str, given: dict[str, str]) -> Any:
        for release in self.releases[repository]:
            if release["id"] == int(number):
                return release
        raise Problem(404, "Not Found")

    def _collaborators(self, repository: int, given: dict[str, str]) -> Any:
        assert given.get("affiliation", "all") == "all"
        rest = {"triage": False, "push": False, "maintain": False, "admin": False}
        return Paged(
            [
                self._person(login) | {"permissions": rest | {"pull": login not in self.without_pull}}
                for login in sorted(self.readers(repository))
            ]
        )

    def _teams(self, repository: int, given: dict[str, str]) -> Any:
        found = [slug for slug in sorted(self.teams) if repository in self.teams[slug]["repositories"]]
        return Paged([{"id": self.teams[slug]["id"], "slug": slug, "name": slug.title()} for slug in found])

    def _organizations_repositories(self, login: str, given: dict[str, str]) -> Any:
        self._organization(login)
        return Paged(list(self.repositories.values()))

    def _members(self, login: str, given: dict[str, str]) -> Any:
        self._organization(login)
        return Paged([self._person(one) for one in sorted(self.members)])

    def _team_members(self, login: str, slug: str, given: dict[str, str]) -> Any:
        self._organization(login)
        if slug not in self.teams:
            raise Problem(404, "Not Found")
        return Paged([self._person(one) for one in sorted(self._members_of(slug))])

    def _organization(self, login: str) -> None:
        if login != "acme":
            raise Problem(404, "Not Found")

    def _person(self, login: str) -> dict[str, Any]:
        return {"login": login, "id": self.user(login), "type": "User"}

    def _next(self) -> int:
        self._count += 1
        return self._count

    def handle(self, handler: BaseHTTPRequestHandler) -> None:
        if self.is_down:
            handler.close_connection = True
            handler.connection.close()
            return
        asked = urlsplit(handler.path)
        path = asked.path.removeprefix("/api/v3")
        given = dict(parse_qsl(asked.query, keep_blank_values=True))
        try:
            if self._limits:
                limit = self._limits.pop(0)
                raise Problem(429 if len(self._limits) % 2 else 403, "You have exceeded a rate limit.", limit)
            if handler.headers.get("Authorization") != f"Bearer {self.token}":
                raise Problem(401, "Bad credentials")
            if handler.headers.get("X-GitHub-Api-Version") not in (None, "2022-11-28"):
                raise Problem(400, "unsupported version")
            if not handler.headers.get("User-Agent"):
                raise Problem(403, "Request forbidden by administrative rules.")
            answer = self.answer(path, given)
        except Problem as problem:
            _send(handler, problem.status, {"message": str(problem)}, problem.headers)
            return
        headers: dict[str, str] = {}
        if isinstance(answer, Paged):
            size = min(int(given.get("per_page", 30)), self.page)
            number = int(given.get("page", 1))
            if number * size < len(answer.found):
                query = urlencode(given | {"page": str(number + 1)})
                address = f"{self.url}{path.lstrip('/')}"
                headers["Link"] = f'<{address}?{query}>; rel="next", <{address}?page=99>; rel="last"'
            answer = answer.found[(number - 1) * size : number * size]
        tag = f'W/"{hashlib.sha256(json.dumps(answer).encode()).hexdigest()}"'
        if handler.headers.get("If-None-Match") == tag:
            _send(handler, 304, None, {"ETag": tag})
            return
        _send(handler, 200, answer, headers | {"ETag": tag})


class Paged:
    """A list that is answered page by page."""

    def __init__(self, found: list[Any]) -> None:
        self.found = found


def _send(handler: BaseHTTPRequestHandler, status: int, answer: Any, headers: dict[str, str]) -> None:
    data = b"" if answer is None else json.dumps(answer).encode()
    handler.send_response(status)
    for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(data)


@contextmanager
def running(token: str) -> Iterator[GitHubDouble]:
    """A GitHub Enterprise Server that answers for as long as the block lasts."""
    double = GitHubDouble(token)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            double.handle(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    double.url = f"http://127.0.0.1:{server.server_port}/api/v3/"
    try:
        yield double
    finally:
        server.shutdown()
        server.server_close()
