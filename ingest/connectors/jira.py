"""Jira Cloud (REST v3): issues with what was said about them, and their files, with whoever may browse them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import quote

from pydantic import Field, SecretStr

from core.errors import NotFound, SourceRefused, Transient
from governance.access.rules import Decision
from ingest.connectors.answers import batched, needed, one_page, records
from ingest.connectors.api import Patience
from ingest.connectors.atlassian import AtlassianSettings
from ingest.connectors.atlassian_document import document_html
from ingest.connectors.cursors import Cursor, fingerprint, read_cursor
from ingest.connectors.hypertext import document, element, facts, file_name, written
from ingest.connectors.jira_rights import Rights
from ingest.connectors.protocol import Account, CursorExpired, Group, Listed, Page

_VERSION = 1
_PROJECTS_AT_ONCE = 100
_LISTED_FIELDS = ("summary", "updated")
_SHOWN_FIELDS = (
    "summary description status issuetype priority resolution labels components assignee reporter created updated "
    "duedate parent project"
)


class JiraSettings(AtlassianSettings):
    """How a site is reached, and which of its projects are brought in."""

    projects: tuple[str, ...] = Field((), description="keys of the projects to bring in; none: all the account sees")
    exclude_projects: tuple[str, ...] = Field((), description="keys of projects to leave out")
    attachments: bool = Field(True, description="bring in the files that hang on issues")
    anonymous: Literal["nobody", "everyone"] = Field(
        "nobody", description="who beside Jira's own users reads projects that are open to anyone on the web"
    )
    page_documents: int = Field(100, ge=1, le=100, description="issues asked for at once")


class Jira:
    """One site. An issue is `issues/ID`, a file on it `attachments/ID`; both ids survive moves to other projects.

    Every listing is one of everything: the search lags behind what it finds, so that no moment could be named up to
    which all changes are known, and tells neither deletions nor changed rights.
    """

    mirrors_permissions = True

    def __init__(
        self,
        settings: JiraSettings,
        secret: SecretStr,
        patience: Patience | None = None,
        max_document_bytes: int = 100_000_000,
    ) -> None:
        self._settings, self._limit = settings, max_document_bytes
        self._issuer = f"jira:{settings.host}"
        self._api = settings.open_api("Jira", secret, patience)

    def __repr__(self) -> str:
        return f"Jira({self._settings.host!r})"

    def changes(self, cursor: str | None) -> Iterator[Page]:
        """Every issue by its age, from where an interrupted listing stopped; raises `CursorExpired` after too long."""
        settings = self._settings
        of = fingerprint("jira", _VERSION, settings.host, settings.model_dump(mode="json"))
        place = read_cursor(_Place, cursor, of) if cursor is not None else _Place(of=of)
        rights = self._read()
        chunks = self._chunks(rights)
        beginning, within = str(_Place(of=of)), fingerprint(chunks)
        if place.within and place.within != within:
            raise CursorExpired("Projects have come or gone since the listing began.")
        fields = rights.fields() | {*_LISTED_FIELDS, "attachment"}
        for number, chunk in enumerate(chunks[place.chunk :], start=place.chunk):
            begun = place.token if number == place.chunk else ""
            for issues, token in self._searched(chunk, fields, begun):
                last = number + 1 == len(chunks) and not token
                onwards = _Place(of=of, within=within, chunk=number if token else number + 1, token=token)
                listed = [one for issue in issues for one in self._listed(rights, issue)]
                yield Page(listed, beginning if last else str(onwards), whole=True, last=last)
        if not chunks:
            yield Page((), beginning, whole=True, last=True)

    def fetch(self, document: Listed) -> bytes:
        kind, _, identity = document.external_id.partition("/")
        if kind == "attachments":
            return self._api.download(f"rest/api/3/attachment/content/{identity}", self._limit)
        params = {"fields": ",".join(_SHOWN_FIELDS.split())}
        return _rendered(self._api.get(f"rest/api/3/issue/{identity}", params), self._comments(identity))

    def permissions(self) -> Iterator[Sequence[tuple[str, Decision]]]:
        rights = self._read()
        for chunk in self._chunks(rights):
            for issues, _ in self._searched(chunk, rights.fields() | {"attachment"}, ""):
                decisions = []
                for issue in issues:
                    decision = rights.decision(_fields(issue))
                    decisions += [(external_id, decision) for external_id, _ in self._documents(issue)]
                yield decisions

    def groups(self) -> Iterator[Group]:
        """The groups that projects let browse; whoever else an issue lets in is named one by one."""
        rights = self._read()
        for group in sorted(rights.named_groups()):
            members = rights.members_of(group)
            if isinstance(members, str):
                yield Group(group, problem=members)
            else:
                yield Group(group, tuple(sorted(members)))

    def accounts(self) -> Iterator[Account]:
        rights = self._read()
        for group in rights.named_groups():
            rights.members_of(group)
        if rights.of_issues:
            for chunk in self._chunks(rights):
                for issues, _ in self._searched(chunk, rights.fields(), ""):
                    for issue in issues:
                        rights.learn_people_of(_fields(issue))
        rights.name_people(rights.named_people())
        for user in sorted(rights.people):
            yield rights.people[user]

    def close(self) -> None:
        self._api.close()

    def _read(self) -> Rights:
        """The projects that are brought in, archived ones left out, and who may browse each."""
        settings = self._settings
        rights = Rights(self._api, self._issuer, settings.anonymous == "everyone")
        for found in rights.all_of("rest/api/3/project/search", {"status": "live", "expand": "lead", "orderBy": "key"}):
            key = found.get("key")
            if key not in settings.exclude_projects and (not settings.projects or key in settings.projects):
                rights.read_project(found)
        if settings.projects and not rights.projects:
            raise SourceRefused(
                "Jira shows none of the projects that are to be brought in. Correct `projects`, or let the account "
                "that the token belongs to browse them."
            )
        return rights

    def _chunks(self, rights: Rights) -> list[tuple[str, ...]]:
        """Projects that one search asks for: together, so that an issue which moves among them is not missed."""
        return [*batched(sorted(rights.projects, key=int), _PROJECTS_AT_ONCE)]

    def _searched(
        self, projects: Sequence[str], fields: set[str], token: str
    ) -> Iterator[tuple[list[dict[str, Any]], str]]:
        """The issues of some projects, the oldest first, and the token of what follows, "" at the end."""
        begun = token
        query = f"project in ({', '.join(projects)}) ORDER BY created ASC, key ASC"
        while True:
            params: dict[str, Any] = {
                "jql": query,
                "fields": ",".join(sorted(fields)),
                "maxResults": self._settings.page_documents,
            }
            if token:
                params["nextPageToken"] = token
            answer = self._api.request(
                "GET", "rest/api/3/search/jql", params=params, accepted=frozenset({HTTPStatus.BAD_REQUEST})
            )
            if answer.status == HTTPStatus.BAD_REQUEST:
                if token and token == begun:
                    raise CursorExpired("Jira no longer knows how far its issues were listed.")
                raise Transient("Jira did not understand the search for the issues of its projects.")
            found = answer.json
            issues = one_page(found, "issues", "Jira")
            following = str(found.get("nextPageToken") or "")
            yield issues, following
            if not following:
                return
            if following == token:
                raise Transient("Jira lists the same issues again and again.")
            token = following

    def _documents(self, issue: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        yield f"issues/{issue['id']}", issue
        if self._settings.attachments:
            for file in records(_fields(issue), "attachment"):
                yield f"attachments/{file['id']}", file

    def _listed(self, rights: Rights, issue: Mapping[str, Any]) -> Iterator[Listed]:
        decision = rights.decision(_fields(issue))
        key = str(issue.get("key") or "")
        address = f"{self._settings.base_url}/browse/{quote(key)}"
        for external_id, found in self._documents(issue):
            if external_id.startswith("issues/"):
                name = file_name(f"{key} {_fields(issue).get('summary') or ''}")
                revision = f"{_fields(issue).get('updated')}.{_VERSION}"
                yield Listed(external_id, name, address, revision, decision)
            else:
                # A file never changes: a new one has an id of its own.
                name = file_name(str(found.get("filename") or ""), "")
                yield Listed(external_id, name, f"{address}#{external_id}", str(found.get("created")), decision)

    def _comments(self, issue: str) -> list[dict[str, Any]]:
        """What whoever sees the issue sees of its comments: none that only a role, a group or agents may read."""
        comments: list[dict[str, Any]] = []
        start = 0
        while True:
            params = {"startAt": start, "maxResults": 100, "orderBy": "created"}
            answer = self._api.get(f"rest/api/3/issue/{issue}/comment", params)
            found = one_page(answer, "comments", "Jira")
            comments += [one for one in found if not one.get("visibility") and one.get("jsdPublic", True) is True]
            start += len(found)
            if not found or start >= int(answer.get("total") or 0):
                return comments


def open_jira(settings: JiraSettings, secret: SecretStr | None, max_document_bytes: int = 100_000_000) -> Jira:
    """A site; raises `SourceRefused` without a token."""
    return Jira(settings, needed(secret, "Jira"), max_document_bytes=max_document_bytes)


class _Place(Cursor):
    """Where a listing goes on: within these projects, with Jira's own token where a search is in its middle."""

    within: str = ""
    chunk: int = 0
    token: str = ""


def _fields(issue: Mapping[str, Any]) -> Mapping[str, Any]:
    found = issue.get("fields")
    return found if isinstance(found, dict) else {}


def _rendered(issue: Any, comments: Sequence[Mapping[str, Any]]) -> bytes:
    if not isinstance(issue, dict):
        raise NotFound("Jira issue", "")
    shown = _fields(issue)
    parent = shown.get("parent")
    above = f"{parent.get('key')} {_fields(parent).get('summary') or ''}" if isinstance(parent, dict) else ""
    rows = [
        ("Project", _named(shown.get("project"))),
        ("Type", _named(shown.get("issuetype"))),
        ("Status", _named(shown.get("status"))),
        ("Resolution", _named(shown.get("resolution"))),
        ("Priority", _named(shown.get("priority"))),
        ("Parent", above),
        ("Labels", ", ".join(map(str, shown.get("labels") or ()))),
        ("Components", ", ".join(map(_named, shown.get("components") or ()))),
        ("Reporter", _named(shown.get("reporter"))),
        ("Assignee", _named(shown.get("assignee"))),
        ("Created", _day(shown.get("created"))),
        ("Updated", _day(shown.get("updated"))),
        ("Due", _day(shown.get("duedate"))),
    ]
    description = document_html(shown.get("description"), below=2)
    said = [
        element("h3", written(f"{_named(one.get('author')) or 'Somebody'}, {_day(one.get('created'))}"))
        + document_html(one.get("body"), below=3)
        for one in comments
    ]
    return document(
        f"{issue.get('key')} {shown.get('summary') or ''}",
        facts(rows),
        element("h2", "Description") + description if description else "",
        element("h2", "Comments") + "\n".join(said) if said else "",
    )


def _named(found: Any) -> str:
    return str(found.get("displayName") or found.get("name") or "") if isinstance(found, dict) else ""


def _day(moment: Any) -> str:
    return str(moment or "")[:10]
