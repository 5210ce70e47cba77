"""Who may see an issue in Jira Cloud: whom the project lets browse, and whom the issue's security level lets in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.errors import NotFound, SourceRefused
from core.principals import EVERYONE, Grantee, GranteeKind
from governance.access.rules import Decision
from ingest.connectors.answers import batched, one_page, records, told_of
from ingest.connectors.api import Api
from ingest.connectors.atlassian import ACCOUNTS_AT_ONCE
from ingest.connectors.levels import Levels
from ingest.connectors.protocol import Account, denied

BROWSE = "BROWSE_PROJECTS"
_PEOPLE_OF_ISSUES = {"reporter": "reporter", "assignee": "assignee"}
_FIELDS = ("usercustomfield", "groupcustomfield")

Issue = Mapping[str, Any]


@dataclass(frozen=True)
class Holder:
    """Whom a grant names: a kind, in small letters since Jira writes it in two ways, and what it is about."""

    kind: str
    about: str

    @property
    def of_issues(self) -> bool:
        """Whether it names others in each issue."""
        return self.kind in _PEOPLE_OF_ISSUES or self.kind in _FIELDS


@dataclass
class Project:
    """A project, and who its permission scheme lets browse; `problem` says why that is not known."""

    id: str
    key: str
    name: str
    lead: str
    holders: tuple[Holder, ...] = ()
    problem: str = ""


@dataclass
class Rights:
    """What one reading of a site has found out; `anonymous` is who a project that is open to anyone lets in here."""

    api: Api
    issuer: str
    anonymous: bool
    projects: dict[str, Project] = field(default_factory=dict)
    people: dict[Grantee, Account] = field(default_factory=dict)
    _members: dict[Grantee, frozenset[Grantee] | str] = field(default_factory=dict)
    _answers: dict[str, Any] = field(default_factory=dict)
    _levels: dict[str, tuple[Holder, ...] | None] = field(default_factory=dict)
    _of_levels: dict[str, list[Holder]] = field(default_factory=dict)

    _passed: Levels = field(init=False)

    def __post_init__(self) -> None:
        self._passed = Levels(self.known_members)

    def read_project(self, found: Mapping[str, Any]) -> None:
        lead = found.get("lead") or {}
        project = Project(str(found["id"]), str(found["key"]), str(found.get("name") or ""), _account(lead))
        self.projects[project.id] = project
        try:
            scheme = told_of(self.api, f"rest/api/3/project/{project.id}/permissionscheme", {"expand": "all"})
        except (NotFound, SourceRefused):
            project.problem = f"Jira does not tell the permission scheme of the project {project.key}"
            return
        grants = [one for one in records(scheme, "permissions") if one.get("permission") == BROWSE]
        project.holders = tuple(map(_holder, grants))

    def fields(self) -> set[str]:
        """The fields of an issue that say who may see it."""
        named = [holder for project in self.projects.values() for holder in project.holders]
        levels = [holder for project in self.projects for holder in self._scheme_holders(project)]
        custom = {holder.about for holder in [*named, *levels] if holder.kind in _FIELDS and holder.about}
        return {"security", "issuerestriction", "reporter", "assignee", "project", *custom}

    @property
    def of_issues(self) -> bool:
        """Whether some project lets in people whom its issues name."""
        return any(holder.of_issues for project in self.projects.values() for holder in project.holders)

    def decision(self, issue: Issue) -> Decision:
        """Who may see an issue, by its fields."""
        project = self.projects.get(_id(issue.get("project")))
        if project is None or project.problem:
            return denied(project.problem if project else "its project is not brought in")
        try:
            levels = [self._let_in(project.holders, project, issue)]
            rule = f"Jira: project {project.key}"
            if issue.get("security") is not None:
                holders = self._level(_id(issue["security"]))
                if holders is None:
                    return denied("Jira does not tell the members of its security level")
                levels.append(self._let_in(holders, project, issue))
                rule += " and the issue's security level"
            restricted = _restricting_roles(issue.get("issuerestriction"))
            if restricted:
                levels.append(frozenset().union(*(self._role(project.id, role) for role in restricted)))
                rule += " and the roles that the issue is restricted to"
        except (NotFound, SourceRefused):
            return denied(
                "Jira does not tell the roles, the applications or the restrictions that decide who may see it"
            )
        return self._passed.decided(levels, rule)

    def named_groups(self) -> set[Grantee]:
        """Every group that a decision may name: none that only a security level or a field of an issue names."""
        groups: set[Grantee] = set()
        for project in self.projects.values():
            holders = list(project.holders)
            if self.anonymous:
                # Everyone may browse, so that the level alone decides.
                holders += self._scheme_holders(project.id)
            for holder in holders:
                if holder.of_issues:
                    continue
                try:
                    found = self._let_in((holder,), project, {})
                except (NotFound, SourceRefused):
                    continue
                groups |= {one for one in found if one.kind is GranteeKind.GROUP}
        return groups

    def named_people(self) -> set[Grantee]:
        """The people whom projects name themselves."""
        people: set[Grantee] = set()
        for project in self.projects.values():
            for holder in project.holders:
                try:
                    found = self._let_in((holder,), project, {}) if not holder.of_issues else frozenset[Grantee]()
                except (NotFound, SourceRefused):
                    continue
                people |= {one for one in found if one.kind is GranteeKind.USER}
        return people

    def learn_people_of(self, issue: Issue) -> None:
        """Learn how those are called whom an issue names where that lets them in."""
        project = self.projects.get(_id(issue.get("project")))
        for holder in project.holders if project else ():
            if holder.kind == "groupcustomfield" and project:
                self._held(holder, project, issue)
                continue
            name = _PEOPLE_OF_ISSUES.get(holder.kind) or (holder.about if holder.of_issues else "")
            for person in _several(issue.get(name)) if name else ():
                if _signs_in(person):
                    self.person(person)

    def members_of(self, group: Grantee) -> frozenset[Grantee] | str:
        """The active people of a group, or why they are not known; groups of Jira Cloud hold no groups."""
        if group not in self._members:
            try:
                params = {"groupId": group.subject, "includeInactiveUsers": "false"}
                found = list(self.all_of("rest/api/3/group/member", params, of_one=True))
            except (NotFound, SourceRefused):
                self._members[group] = "Jira does not tell who belongs to it"
            else:
                members = [self.person(one) for one in found if _account(one)]
                self._members[group] = frozenset(member.user for member in members)
        return self._members[group]

    def known_members(self, group: Grantee) -> frozenset[Grantee] | None:
        members = self.members_of(group)
        return None if isinstance(members, str) else members

    def name_people(self, people: set[Grantee]) -> None:
        for some in batched(sorted(people - self.people.keys()), ACCOUNTS_AT_ONCE):
            params = {"accountId": [one.subject for one in some], "maxResults": ACCOUNTS_AT_ONCE}
            for person in records(self.api.get("rest/api/3/user/bulk", params), "values"):
                if _account(person):
                    self.person(person)

    def person(self, found: Mapping[str, Any]) -> Account:
        user = self._user(_account(found))
        name, address = str(found.get("displayName") or ""), str(found.get("emailAddress") or "")
        self.people[user] = Account(user, name, address)
        return self.people[user]

    def all_of(self, path: str, params: Mapping[str, Any], of_one: bool = False) -> Iterator[dict[str, Any]]:
        """Everything that a listing with `startAt` names; `of_one` where it is about one object alone."""
        start = 0
        while True:
            asked = {**params, "startAt": start, "maxResults": 50}
            answer = told_of(self.api, path, asked) if of_one else self.api.get(path, asked)
            found = one_page(answer, "values", "Jira")
            yield from found
            start += len(found)
            if not found or answer.get("isLast", False):
                return

    def _let_in(self, holders: Sequence[Holder], project: Project, issue: Issue) -> frozenset[Grantee]:
        found: set[Grantee] = set()
        for holder in holders:
            found |= self._held(holder, project, issue)
        return frozenset(found)

    def _held(self, holder: Holder, project: Project, issue: Issue) -> frozenset[Grantee]:
        """Whom one grant lets in; a kind that we do not know, such as customers of a portal, is nobody."""
        match holder.kind:
            case "anyone":
                anyone = self._application("")
                return anyone | {EVERYONE} if self.anonymous else anyone
            case "applicationrole":
                return self._application(holder.about)
            case "group" if holder.about:
                return frozenset({Grantee(GranteeKind.GROUP, self.issuer, holder.about)})
            case "user" if holder.about:
                return frozenset({self._user(holder.about)})
            case "projectrole" if holder.about:
                return self._role(project.id, holder.about)
            case "projectlead" | "lead":
                return frozenset({self._user(project.lead)} if project.lead else ())
            case "reporter" | "assignee" | "usercustomfield":
                named = _several(issue.get(_PEOPLE_OF_ISSUES.get(holder.kind, holder.about)))
                return frozenset(self._user(_account(person)) for person in named if _signs_in(person))
            case "groupcustomfield":
                # Opened at once: nobody could say beforehand which groups issues will name.
                named = _several(issue.get(holder.about))
                groups = [
                    Grantee(GranteeKind.GROUP, self.issuer, str(one["groupId"])) for one in named if one.get("groupId")
                ]
                return frozenset().union(*(self.known_members(group) or frozenset() for group in groups))
        return frozenset()

    def _role(self, project: str, role: str) -> frozenset[Grantee]:
        """The people and groups that have a role in a project."""
        found: set[Grantee] = set()
        for actor in records(self._asked(f"rest/api/3/project/{project}/role/{role}"), "actors"):
            group, user = actor.get("actorGroup") or {}, actor.get("actorUser") or {}
            if group.get("groupId"):
                found.add(Grantee(GranteeKind.GROUP, self.issuer, str(group["groupId"])))
            if _account(user):
                found.add(self._user(_account(user)))
        return frozenset(found)

    def _application(self, key: str) -> frozenset[Grantee]:
        """The groups that have access to a product, or with "" to any: nobody else signs in to Jira."""
        return frozenset(
            Grantee(GranteeKind.GROUP, self.issuer, str(group["groupId"]))
            for role in records({"roles": self._asked("rest/api/3/applicationrole")}, "roles")
            if not key or role.get("key") == key
            for group in records(role, "groupDetails")
            if group.get("groupId")
        )

    def _asked(self, path: str) -> Any:
        """What Jira answers, asked once however many issues it is about; raises where it does not tell."""
        if path not in self._answers:
            try:
                self._answers[path] = told_of(self.api, path)
            except (NotFound, SourceRefused) as error:
                self._answers[path] = error
        if isinstance(self._answers[path], Exception):
            raise NotFound("Jira object", path)
        return self._answers[path]

    def _level(self, level: str) -> tuple[Holder, ...] | None:
        """Whom a security level lets in, None where that is not told."""
        if level not in self._levels:
            try:
                found = list(
                    self.all_of("rest/api/3/issuesecurityschemes/level/member", {"levelId": level}, of_one=True)
                )
                self._levels[level] = tuple(
                    _holder(one) for one in found if str(one.get("issueSecurityLevelId")) == level
                )
            except (NotFound, SourceRefused):
                self._levels[level] = None
        return self._levels[level]

    def _scheme_holders(self, project: str) -> list[Holder]:
        """Whom the levels name that a project's issues may have."""
        if project not in self._of_levels:
            try:
                scheme = told_of(self.api, f"rest/api/3/project/{project}/issuesecuritylevelscheme")
            except (NotFound, SourceRefused):
                scheme = None  # It has none; else its issues' levels are not told either.
            levels = records(scheme, "levels")
            self._of_levels[project] = [holder for level in levels for holder in self._level(_id(level)) or ()]
        return self._of_levels[project]

    def _user(self, account: str) -> Grantee:
        return Grantee(GranteeKind.USER, self.issuer, account)


def _holder(grant: Mapping[str, Any]) -> Holder:
    """The `value` of a holder is an id; its `parameter` may be a name, which only for groups is another thing."""
    holder = grant.get("holder")
    facts: Mapping[str, Any] = holder if isinstance(holder, dict) else {}
    kind = str(facts.get("type") or "").lower()
    about = facts.get("value") or (facts.get("parameter") if kind != "group" else "")
    return Holder(kind, str(about or ""))


def _restricting_roles(found: Any) -> list[str]:
    """The roles that an issue of a team-managed project is restricted to, none where it is not.

    Raises `NotFound` for restrictions that we do not know: to pass over them would open the issue.
    """
    restrictions = found.get("issuerestrictions") if isinstance(found, dict) else None
    if restrictions and not isinstance(restrictions, dict):
        raise NotFound("Jira restriction", "")
    roles: list[str] = []
    for kind, holders in (restrictions or {}).items():
        for holder in holders if isinstance(holders, list) else [None]:
            role = holder.get("id") if isinstance(holder, dict) else holder
            if kind != "projectrole" or not isinstance(role, str | int):
                raise NotFound("Jira restriction", kind)
            roles.append(str(role))
    return roles


def _account(found: Any) -> str:
    return str(found.get("accountId") or "") if isinstance(found, dict) else ""


def _signs_in(person: Mapping[str, Any]) -> bool:
    """Customers of a service desk see its portal alone, where less is shown of what they report."""
    return bool(_account(person)) and person.get("accountType") != "customer"


def _id(found: Any) -> str:
    return str(found.get("id") or "") if isinstance(found, dict) else ""


def _several(value: Any) -> list[dict[str, Any]]:
    values = value if isinstance(value, list) else [value]
    return [one for one in values if isinstance(one, dict)]
