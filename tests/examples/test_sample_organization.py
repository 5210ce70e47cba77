"""The sample organization keeps its word: what the README, the roster and the questions say of it is so."""

from __future__ import annotations

import re
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.documents import Parsed
from core.principals import GranteeKind
from governance.access.rules import AccessLists
from ingest.folder import Folder, read_folder
from ingest.parsing.formats import parse

EXAMPLES = Path(__file__).parents[2] / "examples"
ORGANIZATION = EXAMPLES / "organization"
INJECTION = re.compile(r"ignore (all )?(previous|prior|your) instructions", re.IGNORECASE)
PEOPLE: dict[str, dict[str, str]] = yaml.safe_load((EXAMPLES / "people.yaml").read_text("utf-8"))["people"]
GROUPS: dict[str, list[str]] = yaml.safe_load((EXAMPLES / "people.yaml").read_text("utf-8"))["groups"]
QUESTIONS: dict[str, list[dict[str, Any]]] = yaml.safe_load((EXAMPLES / "questions.yaml").read_text("utf-8"))
ASKED = [*QUESTIONS["demo"], *QUESTIONS["more"]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    return read_folder(ORGANIZATION, tmp_path_factory.mktemp("home"), AccessLists(), None)


@pytest.fixture(scope="module")
def parsed(folder: Folder) -> dict[str, Parsed]:
    return {file.external_id: parse(file.path.read_bytes(), file.path.name) for file in folder.files}


def folded(text: str) -> str:
    return " ".join(text.split())


def belongs_to(member: str) -> set[str]:
    """A person or group, and every group that holds it, however deep: the plainest derivation."""
    above = {f"group:{group}" for group, members in GROUPS.items() if member in members}
    return {member}.union(*(belongs_to(group) for group in above))


def may_read(folder: Folder, person: str, external_id: str) -> bool:
    lists = folder.decide(external_id).lists
    names = belongs_to(person) | {"everyone"}
    allowed, denied = {str(g) for g in lists.allow}, {str(g) for g in lists.deny}
    return bool(allowed & names) and not denied & names


def test_there_are_a_few_hundred_documents_in_every_format_within_four_megabytes(folder: Folder) -> None:
    suffixes = [file.path.suffix for file in folder.files]

    assert 200 <= len(suffixes) <= 400
    assert {s: suffixes.count(s) >= 10 for s in (".md", ".html", ".txt", ".csv", ".pdf", ".docx")} == dict.fromkeys(
        (".md", ".html", ".txt", ".csv", ".pdf", ".docx"), True
    )
    assert sum(file.path.stat().st_size for file in folder.files) < 4 * 1024 * 1024


def test_every_document_can_be_parsed_and_no_two_say_the_same(parsed: dict[str, Parsed]) -> None:
    texts = [folded(document.text) for document in parsed.values()]

    assert min(len(text) for text in texts) > 150
    assert len(set(texts)) == len(texts)


def test_everybody_an_access_file_names_is_on_the_roster(folder: Folder) -> None:
    named = {grantee for rules in folder.rules.values() for grantee in rules.grantees()}
    known = {GranteeKind.GROUP: set(GROUPS), GranteeKind.USER: set(PEOPLE), GranteeKind.EVERYONE: {"everyone"}}

    assert [str(grantee) for grantee in sorted(named) if grantee.subject not in known[grantee.kind]] == []


def test_groups_hold_known_members_three_deep_and_in_no_circle() -> None:
    known = {f"group:{group}" for group in GROUPS} | {f"user:{person}" for person in PEOPLE}
    order = TopologicalSorter({f"group:{group}": set(members) for group, members in GROUPS.items()}).static_order()

    assert set(order) <= known
    assert {"group:sre", "group:platform", "group:engineering", "group:staff"} <= belongs_to("user:priya")


def test_everybody_but_the_outside_directors_is_staff() -> None:
    assert {person for person in PEOPLE if "group:staff" not in belongs_to(f"user:{person}")} == {"rosalind", "magnus"}


def test_every_rule_decides_about_at_least_one_document(folder: Folder) -> None:
    deciding = {folder.decide(file.external_id).rule for file in folder.files}
    rules = {
        f"{rules.name}: rule {number} ({rule.pattern})"
        for rules in folder.rules.values()
        for number, rule in enumerate(rules.rules, start=1)
    }

    assert rules <= deciding


def test_every_document_has_a_reader_and_a_stranger_reads_none(folder: Folder) -> None:
    names = [file.external_id for file in folder.files]

    assert [name for name in names if not any(may_read(folder, f"user:{person}", name) for person in PEOPLE)] == []
    assert [name for name in names if may_read(folder, "user:stranger", name)] == []


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: f"{asked['as']} {asked['question'][:50]}")
def test_a_question_is_answered_by_a_document_its_asker_may_read_or_not_at_all(
    asked: dict[str, Any], folder: Folder, parsed: dict[str, Parsed]
) -> None:
    abstain = asked.get("abstain", False)

    if "external_id" in asked:
        assert may_read(folder, asked["as"], asked["external_id"]) is not abstain
    if not abstain:
        assert asked["expect"] in folded(parsed[asked["external_id"]].text)


def test_the_demo_asks_two_people_four_questions_and_one_of_them_twice() -> None:
    demo = QUESTIONS["demo"]

    assert (len(demo), len({q["as"] for q in demo}), len({q["question"] for q in demo})) == (4, 2, 3)
    assert len(QUESTIONS["more"]) == 30


def test_the_documents_speak_of_everybody_on_the_roster(parsed: dict[str, Parsed]) -> None:
    everything = " ".join(folded(document.text) for document in parsed.values())

    assert [person for person, facts in PEOPLE.items() if facts["name"] not in everything] == []


def test_one_pdf_is_long_enough_to_cite_by_page(parsed: dict[str, Parsed]) -> None:
    pages = [block.page for name, document in parsed.items() if name.endswith(".pdf") for block in document.blocks]

    assert max(page or 0 for page in pages) >= 3


@pytest.mark.parametrize("person", ["user:ben", "user:tom", "user:grace"])
def test_nothing_outside_the_deal_mentions_the_acquisition(
    person: str, folder: Folder, parsed: dict[str, Parsed]
) -> None:
    secret = re.compile("glaciem|kestrel|18[.,]4 million", re.IGNORECASE)
    told = {name for name, document in parsed.items() if secret.search(f"{name} {document.title} {document.text}")}

    assert {name.split("/")[0] for name in told} == {"legal", "minutes"}
    assert all(may_read(folder, "user:ana", name) for name in told)
    assert [name for name in told if may_read(folder, person, name)] == []


def test_exactly_one_document_carries_a_planted_instruction_and_all_staff_may_read_it(folder: Folder) -> None:
    planted = [
        file.external_id
        for file in folder.files
        if file.path.suffix in {".md", ".html", ".txt", ".csv"} and INJECTION.search(file.path.read_text("utf-8"))
    ]

    assert planted == ["facilities/supplier-mail/2026-06-18-packaging-quote.html"]
    assert all(may_read(folder, f"user:{person}", planted[0]) for person in ("ana", "ben", "ondrej", "julie"))


def test_building_again_gives_the_committed_documents(tmp_path: Path, parsed: dict[str, Parsed]) -> None:
    command = [sys.executable, str(EXAMPLES / "build.py"), "--to", str(tmp_path), "--no-pdf"]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    built = {file.relative_to(tmp_path).as_posix(): file for file in tmp_path.rglob("*") if file.is_file()}

    assert len(built) > 150
    assert {name: parse(file.read_bytes(), file.name).text for name, file in built.items()} == {
        name: parsed[name].text for name in built
    }


def test_building_again_gives_the_committed_pdfs(tmp_path: Path, parsed: dict[str, Parsed]) -> None:
    pytest.importorskip("reportlab", reason="only whoever changes the sample PDFs needs reportlab")
    command = [sys.executable, str(EXAMPLES / "build.py"), "--to", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    built = {file.relative_to(tmp_path).as_posix(): file for file in tmp_path.rglob("*.pdf")}

    assert set(built) == {name for name in parsed if name.endswith(".pdf")}
    assert {name: parse(file.read_bytes(), file.name).text for name, file in built.items()} == {
        name: parsed[name].text for name in built
    }
