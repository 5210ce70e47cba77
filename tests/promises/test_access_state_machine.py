"""Whatever an organization does, everybody finds exactly what they may read: against a plain second derivation."""

from __future__ import annotations

import json
import re
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from hypothesis import HealthCheck, Phase, event
from hypothesis import settings as profile
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from living_home import HomeTemplate, LivingHome
from plain_oracle import PATTERNS, Lists, Oracle, Rules

from apps.administration import Administration
from core.errors import NotFound, WrongUsage
from core.principals import Principal, parse_grantee, parse_principal
from governance.doors import DocumentView
from governance.identity import ADMINISTRATOR
from ingest.parsing.formats import parse
from retrieval.filters import Filters

PATHS = ("a.md", "b.md", "c.txt", "hr/a.md", "hr/b.md", "hr/pay/a.md", "hr/pay/c.txt", "eng/b.md")
RULED = ("", "hr", "hr/pay")
USERS = ("user:ana", "user:ben", "user:zed", "user:https://id.example|ana")
GROUPS = ("group:staff", "group:legal", "group:all")
CANARY = re.compile(r"canary\d+x")

paths, users, groups = st.sampled_from(PATHS), st.sampled_from(USERS), st.sampled_from(GROUPS)
anybody = st.sampled_from((*USERS, *GROUPS, "everyone"))
names = st.frozensets(anybody, max_size=2)
lists = st.builds(Lists, names, st.one_of(st.just(frozenset()), st.frozensets(anybody, max_size=1)))
rules_files = st.builds(
    Rules, lists, st.lists(st.tuples(st.sampled_from(sorted(PATTERNS)), lists), max_size=3).map(tuple)
)
picks = st.integers(0, 99)


class Organization(RuleBasedStateMachine):
    """Everything that changes who may read what, in any order, on a real home; `reader` is another process's."""

    template: ClassVar[HomeTemplate]

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.folder = self.root / "org"
        self.settings = self.template.copy(self.root)
        self.oracle = Oracle()
        self.contents = 0
        self.turn = 0
        self._open()

    def teardown(self) -> None:
        self._close()
        self.template.drop(self.settings)

    @initialize(root=rules_files, some=st.sets(paths, min_size=3), staff=st.sets(users, max_size=2))
    def found(self, root: Rules, some: set[str], staff: set[str]) -> None:
        for path in PATHS:
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        for path in sorted(some):
            self._write(path)
        self._write_rules("", root)
        self.set_group("group:staff", frozenset(staff))
        self.ingest(None, False)

    # --- what happens on the organization's disk -------------------------------------------------------------------

    @rule(path=paths, ingest=st.booleans())
    def write_or_edit(self, path: str, ingest: bool) -> None:
        if path in self.oracle.files and path not in self.oracle.on_disk():
            return
        self._make_room(path)
        self._write(path)
        self._maybe(ingest)

    @precondition(lambda self: self.oracle.on_disk())
    @rule(pick=picks, path=paths, ingest=st.booleans())
    def move(self, pick: int, path: str, ingest: bool) -> None:
        old = self._pick(self.oracle.on_disk(), pick)
        if path in self.oracle.files or not (self.folder / path).parent.is_dir():
            return
        (self.folder / old).rename(self.folder / path)
        self.oracle.files[path] = self.oracle.files.pop(old)
        self._maybe(ingest)

    @precondition(lambda self: self.oracle.on_disk())
    @rule(pick=picks, ingest=st.booleans())
    def remove(self, pick: int, ingest: bool) -> None:
        path = self._pick(self.oracle.on_disk(), pick)
        (self.folder / path).unlink()
        del self.oracle.files[path]
        self._maybe(ingest)

    @rule(folder=st.sampled_from(RULED), rules=st.one_of(rules_files, rules_files, st.none()), ingest=st.booleans())
    def change_rules(self, folder: str, rules: Rules | None, ingest: bool) -> None:
        if not (self.folder / folder).is_dir():
            return
        if rules is None:
            (self.folder / folder / "access.yaml").unlink(missing_ok=True)
            self.oracle.rules.pop(folder, None)
        else:
            self._write_rules(folder, rules)
        self._maybe(ingest)

    @rule(folder=st.sampled_from(("hr", "eng")))
    def mount_or_unmount(self, folder: str) -> None:
        aside = self.root / f"aside-{folder}"
        if folder in self.oracle.unmounted:
            aside.rename(self.folder / folder)
            self.oracle.unmounted.remove(folder)
        else:
            (self.folder / folder).rename(aside)
            self.oracle.unmounted.add(folder)
        self._maybe(True)

    @rule(allow=st.one_of(st.none(), names), prune=st.booleans())
    def ingest(self, allow: frozenset[str] | None, prune: bool) -> None:
        before = {path: doc.source for path, doc in self.oracle.docs.items()}
        self.oracle.ingest(allow, prune)
        told = None if allow is None else [parse_grantee(name) for name in sorted(allow)]
        report = self.home.sync(self.folder, allow=told, prune="force" if prune else "no")
        assert report.failed == 0
        event("ingest changed access" if report.access_changed else "ingest left access alone")
        if not prune and report.moved == 0:
            after = {path: doc.source for path, doc in self.oracle.docs.items()}
            assert report.access_changed == sum(after[path] != source for path, source in before.items())

    # --- what administrators do -------------------------------------------------------------------------------------

    @precondition(lambda self: self.oracle.docs)
    @rule(pick=picks, grantee=anybody, allow=st.booleans())
    def grant_or_revoke(self, pick: int, grantee: str, allow: bool) -> None:
        path = self._pick(self.oracle.docs, pick)
        (self.oracle.grant if allow else self.oracle.revoke)(grantee, path)
        (self.administration.grant if allow else self.administration.revoke)(parse_grantee(grantee), path)

    @precondition(lambda self: self.oracle.docs)
    @rule(pick=picks)
    def delete_document(self, pick: int) -> None:
        path = self._pick(self.oracle.docs, pick)
        self.oracle.delete(path)
        self.administration.delete_documents([path])

    @rule(group=groups, members=st.frozensets(st.sampled_from((*USERS, *GROUPS)), max_size=3))
    def set_group(self, group: str, members: frozenset[str]) -> None:
        before = dict(self.oracle.groups)
        self.oracle.groups[group] = set(members)
        if any(group in self.oracle.holds(member) and member in self.oracle.holds(group) for member in members):
            event("cycle refused")
            self.oracle.groups = before
            with pytest.raises(WrongUsage, match=re.escape(group)):
                self.administration.set_group(parse_grantee(group), [parse_grantee(name) for name in members])
        else:
            self.administration.set_group(parse_grantee(group), [parse_grantee(name) for name in members])

    @precondition(lambda self: self.oracle.groups)
    @rule(pick=picks)
    def delete_group(self, pick: int) -> None:
        group = self._pick(self.oracle.groups, pick)
        del self.oracle.groups[group]
        for members in self.oracle.groups.values():
            members.discard(group)
        self.administration.delete_group(parse_grantee(group))

    @rule(user=users, active=st.booleans())
    def set_active(self, user: str, active: bool) -> None:
        (self.oracle.inactive.discard if active else self.oracle.inactive.add)(user)
        self.administration.define_user(parse_grantee(user), "", active)

    @rule()
    def restart(self) -> None:
        self._close()
        self._open()

    @rule()
    def rebuild_index(self) -> None:
        self.home.publisher.rebuild()

    # --- what everybody sees ----------------------------------------------------------------------------------------

    @invariant()
    def another_process_sees_it_at_once(self) -> None:
        self.turn += 1
        user = USERS[self.turn % len(USERS)]
        views = self._listed(self.reader, user)
        result = self.reader.searcher.search("holidays canary", parse_principal(user), 100)
        self._no_leak(user, asdict(result))
        assert len(result.hits) == sum(view.chunks for view in views)

    @rule(user=users, k=st.integers(1, 12), pick=picks, filtered=st.sampled_from(("", "document", "media", "source")))
    def search(self, user: str, k: int, pick: int, filtered: str) -> None:
        views, everything = self._listed(self.home, user), self.administration.documents()
        filters = Filters()
        if filtered == "document" and everything:
            one = everything[pick % len(everything)].document_id
            filters, views = Filters(document_ids=(one,)), [view for view in views if view.document_id == one]
        elif filtered == "media":
            filters = Filters(media_types=("text/markdown",))
            views = [view for view in views if view.external_id.endswith(".md")]
        elif filtered == "source":
            filters = Filters(sources=("org",))
        query = f"what does {self._canary(pick)} say of holidays"
        result, _ = self.home.search.search(query, parse_principal(user), k, "test", filters)
        self._no_leak(user, asdict(result))
        assert len(result.hits) == min(k, sum(view.chunks for view in views))
        assert {hit.passage.document_id for hit in result.hits} <= {view.document_id for view in views}

    @rule(user=users, pick=picks)
    def ask(self, user: str, pick: int) -> None:
        question = f"What does {self._canary(pick)} say of holidays?"
        answer = self.home.ask.ask(question, parse_principal(user), "test")
        self._no_leak(user, asdict(answer))
        event("abstained" if answer.abstained else "answered")
        readable = self.oracle.readable(user)
        for citation in answer.citations:
            stored = parse(readable[citation.external_id].content.encode(), citation.external_id).text
            assert stored[citation.start : citation.end] == citation.quote

    @rule(user=users)
    def read_everything(self, user: str) -> None:
        readable, principal = self.oracle.readable(user), parse_principal(user)
        for view in self.administration.documents():
            if view.external_id in readable:
                content = readable[view.external_id].content
                assert (
                    self.home.disclosure.text(principal, view.document_id, "test")[1]
                    == parse(content.encode(), view.external_id).text
                )
                assert self.reader.disclosure.content(principal, view.document_id, "test")[1] == content.encode()
            else:
                self._refused(principal, view.document_id)

    def _refused(self, principal: Principal, document_id: str) -> None:
        for attempt in (
            lambda: self.home.disclosure.text(principal, document_id, "test"),
            lambda: self.home.disclosure.content(principal, document_id, "test"),
            lambda: self.home.gate.document(principal, document_id),
        ):
            with pytest.raises(NotFound):
                attempt()

    def _listed(self, home: LivingHome, user: str) -> list[DocumentView]:
        views = home.gate.documents(parse_principal(user))
        assert {view.external_id for view in views} == set(self.oracle.readable(user))
        return views

    def _no_leak(self, user: str, shown: dict[str, Any]) -> None:
        """Every document's every content has a word of its own, so a leak shows wherever in a result it hides."""
        said = {key: value for key, value in shown.items() if key not in ("query", "question")}
        seen = set(CANARY.findall(json.dumps(said, default=str)))
        readable = self.oracle.readable(user)
        assert seen <= {canary for doc in readable.values() for canary in CANARY.findall(doc.content)}
        passages = [hit["passage"] for hit in shown.get("hits", ())]
        passages += [*shown.get("citations", ()), *shown.get("nearest", ())]
        assert {passage["external_id"] for passage in passages} <= set(readable)

    # --- the test's own hands ---------------------------------------------------------------------------------------

    def _open(self) -> None:
        self.home, self.reader = LivingHome(self.settings), LivingHome(self.settings)
        self.administration = Administration(self.home, ADMINISTRATOR, "test")

    def _close(self) -> None:
        self.home.close()
        self.reader.close()

    def _maybe(self, ingest: bool) -> None:
        if ingest:
            self.ingest(None, False)

    def _make_room(self, path: str) -> None:
        """Whoever writes below a folder that is not mounted makes a new one; here the old one comes back first."""
        for folder in [folder for folder in self.oracle.unmounted if path.startswith(f"{folder}/")]:
            (self.root / f"aside-{folder}").rename(self.folder / folder)
            self.oracle.unmounted.remove(folder)

    def _write(self, path: str) -> None:
        self.contents += 1
        canary = f"canary{self.contents}x"
        sections = [
            f"## Part {number} of {canary}\n\n" + " ".join(f"The {canary} says {word} of holidays." for word in WORDS)
            for number in range(1 + self.contents % 2)
        ]
        content = "\n\n".join([f"# About {canary}", *sections]) if path.endswith(".md") else sections[0]
        (self.folder / path).write_text(content, encoding="utf-8")
        self.oracle.files[path] = content

    def _write_rules(self, folder: str, rules: Rules) -> None:
        def written(entry: Lists) -> dict[str, list[str]]:
            return {"allow": sorted(entry.allow), "deny": sorted(entry.deny)}

        document = {
            "default": written(rules.default),
            "rules": [{"path": pattern, **written(entry)} for pattern, entry in rules.rules],
        }
        (self.folder / folder / "access.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
        self.oracle.rules[folder] = rules

    def _canary(self, pick: int) -> str:
        return f"canary{1 + pick % self.contents}x"

    @staticmethod
    def _pick(among: dict[str, Any], pick: int) -> str:
        return sorted(among)[pick % len(among)]


WORDS = ("much", "little", "nothing", "something", "plenty", "enough", "everything", "too much")


def _examine(template: HomeTemplate, examples: int, steps: int, derandomize: bool) -> None:
    machine = type("TheOrganization", (Organization,), {"template": template})
    run_state_machine_as_test(
        machine,
        settings=profile(
            max_examples=examples,
            stateful_step_count=steps,
            derandomize=derandomize,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate, Phase.shrink),
        ),
    )


def test_everybody_finds_exactly_what_they_may_read_whatever_changes(template: HomeTemplate) -> None:
    _examine(template, examples=15, steps=25, derandomize=True)


@pytest.mark.deep
@pytest.mark.timeout(7200)
def test_everybody_finds_exactly_what_they_may_read_in_many_more_histories(template: HomeTemplate) -> None:
    _examine(template, examples=400, steps=60, derandomize=False)
