"""Issues, pull requests and releases of GitHub's repositories, readable by who may read the repository."""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from core.errors import NotFound, SourceRefused, Transient, UnreadableDocument
from core.principals import EVERYONE, Grantee, GranteeKind
from governance.access.rules import AccessLists, Decision
from ingest.connectors.api import Answer, Api, Patience
from ingest.connectors.cursors import Cursor, fingerprint, read_cursor
from ingest.connectors.github_pages import file_name, issue_page, release_page
from ingest.connectors.github_settings import GitHubSettings
from ingest.connectors.protocol import Account, Group, Listed, Page

API_VERSION = "2022-11-28"
OVERLAP = timedelta(minutes=2)
"""How much of what is known is listed again: times are in seconds, and GitHub's replicas lag behind each other."""
_VERSION = 1
_MOVED = frozenset({301, 302, 307, 308})
_NEXT = re.compile(r'<([^>]+)>\s*;[^,]*\brel="next"')
_VERDICTS = ("APPROVED", "CHANGES_REQUESTED")


class GitHub:
    """What people wrote in repositories.

    A document is `REPOSITORY/issues/NUMBER` or `REPOSITORY/releases/ID`, the repository by its number, which renaming
    and moving it leave alone. Who may read is who belongs to the group `repo:REPOSITORY`: everyone for a public
    repository, its collaborators (as GitHub counts them: by teams, by the organization's base permission and alone) for
    a private one, and the organization's members too for an internal one. When rights change, groups do, not documents.
    """

    mirrors_permissions = True

    def __init__(
        self,
        settings: GitHubSettings,
        secret: SecretStr,
        patience: Patience | None = None,
        max_document_bytes: int = 100_000_000,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings, self._limit, self._clock = settings, max_document_bytes, clock
        headers = {
            "Authorization": f"Bearer {secret.get_secret_value()}",
            "X-GitHub-Api-Version": API_VERSION,
            "User-Agent": "footnote",
        }
        self._api = Api("GitHub", settings.base_url, headers, "its token", patience)
        self._known_as: dict[int, _Repository] = {}
        self._accounts: dict[int, Account] = {}

    def __repr__(self) -> str:
        return f"GitHub({self._settings.host!r})"

    def close(self) -> None:
        self._api.close()

    def changes(self, cursor: str | None) -> Iterator[Page]:
        """What was written since; everything after `whole_listing_hours`, which alone shows deletions.

        Everything is listed too when a repository is not there for us any more.
        """
        settings = self._settings
        chosen = (settings.repositories, settings.organizations, settings.exclude)
        kinds = (settings.issues, settings.pull_requests, settings.releases)
        of = fingerprint("github", _VERSION, settings.host, *chosen, *kinds)
        known = _GitHubCursor(of=of) if cursor is None else read_cursor(_GitHubCursor, cursor, of)
        repositories = {repository.id: repository for repository in self._repositories()}
        open_ = known.open or self._begun(known, repositories)
        while open_.todo:
            repository = repositories.get(open_.todo[0])
            if repository is None:
                # It was there a moment ago; the next sync finds it missing.
                open_ = open_.model_copy(update={"todo": open_.todo[1:], "since": "", "page": 1, "edge": []})
                continue
            try:
                open_ = yield from self._repository_pages(repository, known, open_)
            except NotFound as error:
                raise Transient("A repository of GitHub went away while it was listed.") from error
        yield Page((), known.after(open_), whole=open_.whole, last=True)

    def fetch(self, document: Listed) -> bytes:
        repository_id, kind, number = document.external_id.split("/")
        repository = self._repository(int(repository_id), document)
        # Not followed elsewhere: an issue that was transferred is another repository's, with its readers.
        if kind == "releases":
            page = release_page(repository.name, self._one(f"repos/{repository.name}/releases/{number}", document))
        else:
            issue = self._one(f"repos/{repository.name}/issues/{number}", document)
            page = issue_page(repository.name, issue, self._comments(repository, issue))
        if len(page) > self._limit:
            raise UnreadableDocument("too_large", f"It is longer than the limit of {self._limit:,} bytes; split it.")
        return page

    def permissions(self) -> Iterator[Sequence[tuple[str, Decision]]]:
        """None by document: who may read a repository is told by its group."""
        return iter(())

    def groups(self) -> Iterator[Group]:
        """Each repository's readers, and the teams and organizations that are among them."""
        teams: dict[int, Mapping[str, Any]] = {}
        organizations: dict[int, str] = {}
        for repository in self._repositories():
            group = self._group(f"repo:{repository.id}")
            try:
                yield Group(group, tuple(self._readers(repository, teams, organizations)), repository.name)
            except (NotFound, SourceRefused):
                problem = "GitHub does not tell its collaborators; the token needs write access to the repository"
                yield Group(group, (), repository.name, problem=problem)
        for number, team in teams.items():
            owner = str((team.get("organization") or {}).get("login") or team["owner"])
            path = f"orgs/{quote(owner, safe='')}/teams/{quote(str(team['slug']), safe='')}/members"
            yield self._told(f"team:{number}", str(team.get("name") or team["slug"]), path)
        for number, login in organizations.items():
            yield self._told(f"org:{number}", login, f"orgs/{quote(login, safe='')}/members")

    def accounts(self) -> Iterator[Account]:
        """Everybody who is named in a group, by their login; GitHub tells no addresses."""
        for _ in self.groups():
            pass
        return iter(list(self._accounts.values()))

    def _begun(self, known: _GitHubCursor, repositories: Mapping[int, _Repository]) -> _Pass:
        now = self._clock()
        is_due = now - known.listed_at >= self._settings.whole_listing_hours * 3600
        # Which documents stand in a repository that we no longer see, GitHub does not tell.
        whole = is_due or not known.marks.keys() <= repositories.keys()
        return _Pass(whole=whole, begun=now, todo=sorted(repositories))

    def _repository_pages(
        self, repository: _Repository, known: _GitHubCursor, open_: _Pass
    ) -> Generator[Page, None, _Pass]:
        """Issues by the time they were last changed, each page asked for by the time at which the one before ended.

        Numbered pages would lose some: whatever changes meanwhile moves to the end, and others into its place.
        """
        before = "" if open_.whole else known.marks.get(repository.id, "")
        since = open_.since or (_earlier(before) if before else "")
        mark = open_.mark or before
        listed: list[Listed] = []
        seen: dict[int, str] = {}
        is_more = self._settings.issues or self._settings.pull_requests
        while is_more:
            try:
                answer = self._changed_issues(repository, since, open_.page)
            except NotFound:
                if repository.has_issues:
                    raise
                # Issues are switched off in it.
                break
            found = _objects(answer)
            fresh = [issue for issue in found if int(issue["number"]) not in open_.edge]
            listed += [self._issue(repository, issue) for issue in fresh if self._is_wanted_kind(issue)]
            seen |= {int(issue["number"]): str(issue["updated_at"]) for issue in found}
            last = str(found[-1]["updated_at"]) if found else since
            # A page may be full of one second's.
            is_same = last == since
            edge = [int(issue["number"]) for issue in found if issue["updated_at"] == last]
            mark, since = max(mark, last), last
            reached = {
                "since": since,
                "page": open_.page + 1 if is_same else 1,
                "edge": [*open_.edge, *edge] if is_same else edge,
                "mark": mark,
            }
            open_ = open_.model_copy(update=reached)
            is_more = _next_link(answer) is not None
            if is_more and listed:
                yield Page(listed, known.written(open_), whole=open_.whole)
                listed = []
        if before:
            listed += self._edited(repository, _earlier(before), seen)
        releases, tag = self._releases(repository, "" if open_.whole else known.tags.get(repository.id, ""))
        open_ = open_.model_copy(
            update={
                "todo": open_.todo[1:],
                "since": "",
                "page": 1,
                "edge": [],
                "mark": "",
                "marks": open_.marks | {repository.id: mark},
                "tags": open_.tags | {repository.id: tag},
            }
        )
        yield Page([*listed, *releases], known.written(open_), whole=open_.whole)
        return open_

    def _edited(self, repository: _Repository, since: str, seen: Mapping[int, str]) -> Iterator[Listed]:
        """Issues with comments that were edited, where that did not count as a change of the issue."""
        base, params = f"repos/{repository.name}", {"sort": "updated", "direction": "asc", "since": since}
        latest: dict[int, str] = {}
        for path, key in (("issues/comments", "issue_url"), ("pulls/comments", "pull_request_url")):
            try:
                comments = self._all(f"{base}/{path}", params)
            except NotFound:
                # Issues or pull requests are switched off in it.
                continue
            for comment in comments:
                number = int(str(comment[key]).rpartition("/")[2])
                latest[number] = max(latest.get(number, ""), str(comment["updated_at"]))
        for number, at in latest.items():
            if seen.get(number, "") >= at:
                continue
            try:
                issue = _object(self._api.request("GET", f"{base}/issues/{number}", headers=_ACCEPT).json)
            except NotFound:
                continue
            if str(issue["updated_at"]) < at and self._is_wanted_kind(issue):
                listed = self._issue(repository, issue)
                yield replace(listed, revision=f"{listed.revision}.{at}")

    def _changed_issues(self, repository: _Repository, since: str, number: int) -> Answer:
        params: dict[str, Any] = {"state": "all", "sort": "updated", "direction": "asc", "page": number}
        params["per_page"] = self._settings.page_size
        if since:
            params["since"] = since
        return self._api.request("GET", f"repos/{repository.name}/issues", params=params, headers=_ACCEPT)

    def _is_wanted_kind(self, issue: Mapping[str, Any]) -> bool:
        return self._settings.pull_requests if issue.get("pull_request") else self._settings.issues

    def _issue(self, repository: _Repository, issue: Mapping[str, Any]) -> Listed:
        number = int(issue["number"])
        return Listed(
            external_id=f"{repository.id}/issues/{number}",
            name=file_name(f"#{number} {issue.get('title') or ''}"),
            uri=str(issue["html_url"]),
            revision=f"{issue['updated_at']}.{issue.get('comments') or 0}",
            access=self._access(repository),
            reference=repository.name,
        )

    def _releases(self, repository: _Repository, tag: str) -> tuple[list[Listed], str]:
        """Releases that are published, and what tells that the newest of them are as they were."""
        if not self._settings.releases:
            return [], ""
        path = f"repos/{repository.name}/releases"
        sent = _ACCEPT | ({"If-None-Match": tag} if tag else {})
        first = self._api.request("GET", path, params={"per_page": 100}, headers=sent, accepted=frozenset({304}))
        if first.status == 304:
            return [], tag
        found = [release for some in self._following(first) for release in some if not release.get("draft")]
        return [self._release(repository, release) for release in found], first.headers.get("etag", "")

    def _release(self, repository: _Repository, release: Mapping[str, Any]) -> Listed:
        told = [release.get(key) for key in ("tag_name", "name", "body", "prerelease", "published_at")]
        name = str(release.get("name") or release.get("tag_name"))
        return Listed(
            external_id=f"{repository.id}/releases/{int(release['id'])}",
            name=file_name(f"{repository.name.partition('/')[2]} {name}"),
            uri=str(release["html_url"]),
            revision=hashlib.sha256(json.dumps(told).encode()).hexdigest()[:32],
            access=self._access(repository),
            reference=repository.name,
        )

    def _comments(self, repository: _Repository, issue: Mapping[str, Any]) -> list[dict[str, Any]]:
        base, number = f"repos/{repository.name}", int(issue["number"])
        found = self._all(f"{base}/issues/{number}/comments")
        if issue.get("pull_request"):
            # A review that says nothing by itself stands for the comments that follow.
            reviews = self._all(f"{base}/pulls/{number}/reviews")
            found += [
                one for one in reviews if one.get("body") or one.get("state") in ("APPROVED", "CHANGES_REQUESTED")
            ]
            found += self._all(f"{base}/pulls/{number}/comments")
        return found

    def _readers(
        self, repository: _Repository, teams: dict[int, Mapping[str, Any]], organizations: dict[int, str]
    ) -> Iterator[Grantee]:
        """The members of a repository's group; the teams and organizations among them are noted to be told later."""
        if repository.visibility == "public":
            yield EVERYONE
            return
        if repository.visibility == "internal":
            organizations[repository.owner_id] = repository.owner
            yield self._group(f"org:{repository.owner_id}")
        for user in self._all(f"repos/{repository.name}/collaborators", {"affiliation": "all"}):
            if (user.get("permissions") or {}).get("pull"):
                yield self._user(user)
        try:
            found = self._all(f"repos/{repository.name}/teams") if repository.is_organizations else []
        except (NotFound, SourceRefused):
            # Their members are among the collaborators; only who is meant by the team is not told.
            found = []
        for team in found:
            teams[int(team["id"])] = {"owner": repository.owner, **team}
            yield self._group(f"team:{int(team['id'])}")

    def _told(self, subject: str, name: str, path: str) -> Group:
        """A group of people; the members of the teams within a team are among its own."""
        try:
            return Group(self._group(subject), tuple(self._user(user) for user in self._all(path)), name)
        except (NotFound, SourceRefused):
            return Group(self._group(subject), (), name, problem="GitHub does not tell its members")

    def _user(self, user: Mapping[str, Any]) -> Grantee:
        number = int(user["id"])
        grantee = Grantee(GranteeKind.USER, f"github:{self._settings.host}", str(number))
        self._accounts[number] = Account(grantee, str(user.get("login") or number))
        return grantee

    def _group(self, subject: str) -> Grantee:
        return Grantee(GranteeKind.GROUP, f"github:{self._settings.host}", subject)

    def _access(self, repository: _Repository) -> Decision:
        lists = AccessLists(frozenset({self._group(f"repo:{repository.id}")}))
        return Decision(lists, f"GitHub: who may read the repository {repository.id}")

    def _repositories(self) -> list[_Repository]:
        """The repositories that are there for us. Raises `SourceRefused` where none of those that are named is."""
        found: dict[int, _Repository] = {}
        for login in self._settings.organizations:
            for one in self._all(f"orgs/{login}/repos", {"type": "all"}):
                found[int(one["id"])] = _Repository.of(one)
        for name in self._settings.repositories:
            try:
                one = self._followed(f"repos/{name}")
            except NotFound:
                continue
            found[int(one["id"])] = _Repository.of(one)
        if not found and self._settings.repositories:
            raise SourceRefused(
                "GitHub shows none of the repositories: check their names, and that the token may read them."
            )
        wanted = {
            key: one
            for key, one in found.items()
            if not any(fnmatchcase(one.name, pattern) for pattern in self._settings.exclude)
        }
        self._known_as |= wanted
        return list(wanted.values())

    def _repository(self, repository_id: int, document: Listed) -> _Repository:
        """A repository by its number, under the name that it has now."""
        known = self._known_as.get(repository_id)
        if known is None:
            known = _Repository.of(self._followed(f"repos/{document.reference}"))
            if known.id != repository_id:
                # Another one bears the name now.
                raise NotFound("repository", document.external_id)
            self._known_as[repository_id] = known
        return known

    def _one(self, path: str, document: Listed) -> dict[str, Any]:
        answer = self._api.request("GET", path, headers=_ACCEPT, accepted=_MOVED)
        if answer.status in _MOVED:
            raise NotFound("document of GitHub", document.external_id)
        return _object(answer.json)

    def _followed(self, path: str) -> dict[str, Any]:
        """One object, also where it has moved to another address of the same host."""
        for _ in range(3):
            answer = self._api.request("GET", path, headers=_ACCEPT, accepted=_MOVED)
            if answer.status not in _MOVED:
                return _object(answer.json)
            path = answer.headers.get("location", "")
        raise Transient("GitHub sends one from address to address for a repository.")

    def _all(self, path: str, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        first = self._api.request("GET", path, params={"per_page": 100, **(params or {})}, headers=_ACCEPT)
        return [one for some in self._following(first) for one in some]

    def _following(self, answer: Answer) -> Iterator[list[dict[str, Any]]]:
        """The pages that follow one another by their links (RFC 8288)."""
        while True:
            yield _objects(answer)
            following = _next_link(answer)
            if following is None:
                return
            answer = self._api.request("GET", following, headers=_ACCEPT)


def open_github(settings: GitHubSettings, secret: SecretStr | None, max_document_bytes: int = 100_000_000) -> GitHub:
    """Repositories of one GitHub; raises `SourceRefused` without a token."""
    if secret is None:
        raise SourceRefused("GitHub needs a token as the secret; docs/sources.md says with which rights.")
    return GitHub(settings, secret, max_document_bytes=max_document_bytes)


_ACCEPT = {"Accept": "application/vnd.github+json"}


class _Pass(BaseModel):
    """A pass over all repositories that is not at its end.

    Of the first of `todo`, issues were listed up to `since`; `edge` are those of that second, `page` is the next page
    where they fill more than one, `mark` the newest. `marks` and `tags` are what the next cursor will hold.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    whole: bool
    begun: float
    todo: list[int]
    since: str = ""
    page: int = 1
    edge: list[int] = Field(default_factory=list)
    mark: str = ""
    marks: dict[int, str] = Field(default_factory=dict)
    tags: dict[int, str] = Field(default_factory=dict)


class _GitHubCursor(Cursor):
    """By repository, the newest change that was listed and the tag of its releases, and the pass that is open."""

    listed_at: float = 0
    marks: dict[int, str] = Field(default_factory=dict)
    tags: dict[int, str] = Field(default_factory=dict)
    open: _Pass | None = None

    def written(self, open_: _Pass) -> str:
        return str(self.model_copy(update={"open": open_}))

    def after(self, done: _Pass) -> str:
        """The cursor when a pass has come to its end."""
        listed_at = done.begun if done.whole else self.listed_at
        return str(_GitHubCursor(of=self.of, listed_at=listed_at, marks=done.marks, tags=done.tags))


@dataclass(frozen=True)
class _Repository:
    id: int
    name: str
    owner: str
    owner_id: int
    is_organizations: bool
    visibility: str
    has_issues: bool

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> _Repository:
        owner = found["owner"]
        # An older server tells only whether it is private; what is unknown is closed.
        visibility = str(found.get("visibility") or ("public" if found.get("private") is False else "private"))
        return cls(
            id=int(found["id"]),
            name=str(found["full_name"]),
            owner=str(owner["login"]),
            owner_id=int(owner["id"]),
            is_organizations=owner.get("type") == "Organization",
            visibility=visibility,
            has_issues=found.get("has_issues") is not False,
        )


def _object(found: Any) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise Transient("GitHub answered with something that is no object.")
    return found


def _objects(answer: Answer) -> list[dict[str, Any]]:
    found = answer.json
    if not isinstance(found, list):
        raise Transient("GitHub answered with something that is no list.")
    return [one for one in found if isinstance(one, dict)]


def _next_link(answer: Answer) -> str | None:
    found = _NEXT.search(answer.headers.get("link", ""))
    return found[1] if found else None


def _earlier(mark: str) -> str:
    moment = datetime.strptime(mark, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC) - OVERLAP
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
