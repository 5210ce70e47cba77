"""Jira Cloud as the documentation of its REST API v3 tells."""

from __future__ import annotations

import itertools
import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from doubles.hosted import Call, Hosted, Refused, Reply


@dataclass
class Issue:
    id: str
    key: str
    project: str
    fields: dict[str, Any]
    comments: list[dict[str, Any]] = field(default_factory=list)
    attachments: list[dict[str, Any]] = field(default_factory=list)
    archived: bool = False


class JiraCloud(Hosted):
    """One site. Pages of answers hold `page_limit` at most, whatever is asked for."""

    def __init__(self, user: str, token: str, page_limit: int = 3) -> None:
        super().__init__()
        self._credential = "Basic " + b64encode(f"{user}:{token}".encode()).decode()
        self.page_limit = page_limit
        self.projects: dict[str, dict[str, Any]] = {}
        self.grants: dict[str, list[dict[str, Any]]] = {}
        self.roles: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self.levels: dict[str, list[dict[str, Any]]] = {}
        self.level_scheme: dict[str, list[str]] = {}
        self.issues: dict[str, Issue] = {}
        self.groups: dict[str, list[str]] = {}
        self.people: dict[str, dict[str, Any]] = {}
        self.applications: dict[str, list[str]] = {}
        self.files: dict[str, bytes] = {}
        self.secretive: set[str] = set()
        """Paths that are not told, with 403."""
        self.tokens_of = 0
        """Raised where earlier page tokens are forgotten."""
        self._ids = itertools.count(10001)
        self._clock = itertools.count(1)

    # What people do

    def project(self, key: str, lead: str = "", archived: bool = False) -> str:
        identity = str(next(self._ids))
        self.projects[identity] = {
            "id": identity,
            "key": key,
            "name": f"Project {key}",
            "lead": {"accountId": lead} if lead else None,
            "archived": archived,
        }
        self.grants[identity] = []
        return identity

    def grant(self, project: str, kind: str, value: str = "", permission: str = "BROWSE_PROJECTS") -> None:
        holder = {"type": kind, **({"parameter": f"name of {value}", "value": value} if value else {})}
        self.grants[project].append({"id": next(self._ids), "permission": permission, "holder": holder})

    def level(self, project: str, *holders: tuple[str, str]) -> str:
        """A security level that a project's issues may have."""
        identity = str(next(self._ids))
        self.levels[identity] = [
            {
                "id": str(next(self._ids)),
                "issueSecurityLevelId": identity,
                "issueSecuritySchemeId": f"9{project}",
                "holder": {"type": kind, "parameter": value, **({"value": value} if value else {})},
            }
            for kind, value in holders
        ]
        self.level_scheme.setdefault(project, []).append(identity)
        return identity

    def person(self, account: str, name: str, kind: str = "atlassian", active: bool = True) -> None:
        self.people[account] = {
            "accountId": account,
            "accountType": kind,
            "displayName": name,
            "active": active,
            "emailAddress": f"{name.lower()}@example.com",
        }

    def put(self, project: str, summary: str, description: Any = None) -> Issue:
        identity = str(next(self._ids))
        key = f"{self.projects[project]['key']}-{identity}"
        fields = {
            "summary": summary,
            "description": description,
            "created": self.now(),
            "updated": self.now(),
            "security": None,
            "issuerestriction": {"issuerestrictions": {}, "shouldDisplay": True},
            "reporter": None,
            "assignee": None,
            "labels": ["one"],
            "components": [{"id": "1", "name": "Engine"}],
            "status": {"id": "1", "name": "Open"},
            "issuetype": {"id": "1", "name": "Bug"},
            "priority": {"id": "3", "name": "Medium"},
            "resolution": None,
            "duedate": None,
            "parent": None,
        }
        self.issues[identity] = Issue(identity, key, project, fields)
        return self.issues[identity]

    def comment(self, issue: Issue, author: str, body: Any, **facts: Any) -> None:
        issue.comments.append(
            {
                "id": str(next(self._ids)),
                "author": self.people[author],
                "body": body,
                "created": "2026-03-04T05:06:07.000+0000",
                "jsdPublic": True,
                **facts,
            }
        )
        issue.fields["updated"] = self.now()

    def attach(self, issue: Issue, name: str, data: bytes) -> str:
        identity = str(next(self._ids))
        self.files[identity] = data
        issue.attachments.append({"id": identity, "filename": name, "created": self.now(), "size": len(data)})
        issue.fields["updated"] = self.now()
        return identity

    def now(self) -> str:
        return f"2026-01-02T03:04:05.{next(self._clock):03d}+0000"

    # What the API says

    def answer(self, call: Call) -> Reply:
        if call.headers.get("authorization") != self._credential:
            raise Refused(401, "Client must be authenticated to access this resource.")
        if call.path in self.secretive:
            raise Refused(403, "not permitted")
        for pattern, route in self._routes():
            match = re.fullmatch(f"/rest/api/3/{pattern}", call.path)
            if match and call.method == "GET":
                return route(call, *match.groups())
        raise Refused(404, f"no {call.path}")

    def problem(self, status: int, message: str) -> Any:
        return {"errorMessages": [message], "errors": {}}

    def _routes(self) -> list[tuple[str, Callable[..., Reply]]]:
        return [
            ("project/search", self._projects),
            (r"project/(\d+)/permissionscheme", self._scheme),
            (r"project/(\d+)/issuesecuritylevelscheme", self._security_scheme),
            (r"project/(\d+)/role/(\d+)", self._role),
            ("issuesecurityschemes/level/member", self._level_members),
            ("search/jql", self._search),
            (r"issue/(\d+)", self._issue),
            (r"issue/(\d+)/comment", self._comments),
            (r"attachment/content/(\d+)", self._attachment),
            ("group/member", self._members),
            ("applicationrole", self._applications),
            ("user/bulk", self._users),
        ]

    def _projects(self, call: Call) -> Reply:
        call.only("startAt", "maxResults", "status", "expand", "orderBy", "keys")
        states = call.query.get("status", ["live"])
        found = [one for one in self.projects.values() if ("archived" if one["archived"] else "live") in states]
        if "lead" not in call.one("expand").split(","):
            found = [{name: value for name, value in one.items() if name != "lead"} for one in found]
        return self._counted(call, found)

    def _scheme(self, call: Call, project: str) -> Reply:
        call.only("expand")
        grants = {"permissions": self.grants[project]} if call.one("expand") in ("permissions", "all") else {}
        return Reply(content={"id": 10000, "name": "Default", **grants})

    def _security_scheme(self, call: Call, project: str) -> Reply:
        call.only()
        if project not in self.level_scheme:
            raise Refused(404, "no security scheme")
        return Reply(content={"id": int(f"9{project}"), "levels": [{"id": one} for one in self.level_scheme[project]]})

    def _role(self, call: Call, project: str, role: str) -> Reply:
        call.only()
        if (project, role) not in self.roles:
            raise Refused(404, "no such role")
        return Reply(content={"id": int(role), "name": "a role", "actors": self.roles[project, role]})

    def _level_members(self, call: Call) -> Reply:
        call.only("startAt", "maxResults", "levelId", "schemeId", "expand")
        for level in call.query.get("levelId", ()):
            if f"level/{level}" in self.secretive:
                raise Refused(403, "not permitted")
        return self._counted(call, [one for level in call.query["levelId"] for one in self.levels.get(level, [])])

    def _search(self, call: Call) -> Reply:
        call.only("jql", "fields", "maxResults", "nextPageToken")
        match = re.fullmatch(r"project in \(([\d, ]+)\) ORDER BY created ASC, key ASC", call.one("jql"))
        if not match:
            raise Refused(400, "Unbounded JQL queries are not allowed here.")
        token = call.one("nextPageToken")
        known = re.fullmatch(r"token-(\d+)-(\d+)", token)
        if token and (not known or int(known[1]) != self.tokens_of):
            raise Refused(400, "Invalid nextPageToken")
        start = int(known[2]) if known else 0
        projects = [one.strip() for one in match[1].split(",")]
        issues = [one for one in self.issues.values() if one.project in projects and not one.archived]
        issues.sort(key=lambda one: (one.fields["created"], one.key))
        limit = call.number("maxResults", 50, self.page_limit)
        some, more = issues[start : start + limit], issues[start + limit :]
        fields = call.one("fields", "id").split(",")
        content: dict[str, Any] = {"issues": [self._told(one, fields) for one in some], "isLast": not more}
        if more:
            content["nextPageToken"] = f"token-{self.tokens_of}-{start + limit}"
        return Reply(content=content)

    def _told(self, issue: Issue, fields: Sequence[str]) -> dict[str, Any]:
        project = self.projects[issue.project]
        every = {
            **issue.fields,
            "attachment": issue.attachments,
            "project": {"id": project["id"], "key": project["key"], "name": project["name"]},
        }
        return {"id": issue.id, "key": issue.key, "fields": {name: every[name] for name in fields if name in every}}

    def _found(self, identity: str) -> Issue:
        if identity not in self.issues:
            raise Refused(404, "Issue does not exist or you do not have permission to see it.")
        return self.issues[identity]

    def _issue(self, call: Call, identity: str) -> Reply:
        call.only("fields", "expand")
        return Reply(content=self._told(self._found(identity), call.one("fields").split(",")))

    def _comments(self, call: Call, identity: str) -> Reply:
        call.only("startAt", "maxResults", "orderBy", "expand")
        if call.one("orderBy", "created") not in ("created", "-created", "+created"):
            raise Refused(400, "orderBy")
        found = self._found(identity).comments
        start, limit = call.number("startAt", 0, 10**6), call.number("maxResults", 100, self.page_limit)
        some = found[start : start + limit]
        return Reply(content={"startAt": start, "maxResults": limit, "total": len(found), "comments": some})

    def _attachment(self, call: Call, identity: str) -> Reply:
        call.only("redirect")
        if not any(one["id"] == identity for issue in self.issues.values() for one in issue.attachments):
            raise Refused(404, "no such attachment")
        return Reply(content=self.files[identity])

    def _members(self, call: Call) -> Reply:
        call.only("groupId", "groupname", "includeInactiveUsers", "startAt", "maxResults")
        group = call.one("groupId")
        if f"group/{group}" in self.secretive:
            raise Refused(403, "not permitted")
        if group not in self.groups:
            raise Refused(404, "no such group")
        everybody = [self.people[one] for one in self.groups[group]]
        inactive = call.one("includeInactiveUsers", "false") == "true"
        return self._counted(call, [one for one in everybody if inactive or one["active"]])

    def _applications(self, call: Call) -> Reply:
        call.only()
        return Reply(
            content=[
                {
                    "key": key,
                    "name": key,
                    "groupDetails": [{"name": f"name of {one}", "groupId": one} for one in groups],
                }
                for key, groups in self.applications.items()
            ]
        )

    def _users(self, call: Call) -> Reply:
        call.only("accountId", "startAt", "maxResults")
        wanted = call.query["accountId"]
        if len(wanted) > 200:
            raise Refused(400, "too many accounts")
        return Reply(content={"values": [self.people[one] for one in wanted if one in self.people], "isLast": True})

    def _counted(self, call: Call, found: Sequence[Any]) -> Reply:
        start, limit = call.number("startAt", 0, 10**6), call.number("maxResults", 50, self.page_limit)
        some = list(found[start : start + limit])
        return Reply(
            content={
                "startAt": start,
                "maxResults": limit,
                "total": len(found),
                "isLast": start + limit >= len(found),
                "values": some,
            }
        )
