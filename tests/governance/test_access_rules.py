"""`access.yaml`: which rule decides, what its patterns mean, and what is refused."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import WrongUsage
from core.principals import LOCAL_ISSUER, Grantee, GranteeKind, parse_grantee
from governance.access.rules import AccessLists, AccessRules, read_rules
from governance.access.sets import lists_digest


def rules_of(folder: Path, text: str) -> AccessRules:
    (folder / "access.yaml").write_text(text, encoding="utf-8")
    return read_rules(folder / "access.yaml")


def allowed(rules: AccessRules, path: str) -> str:
    return " ".join(sorted(map(str, rules.decide(rules.folder / path).lists.allow)))


def test_the_last_matching_rule_decides_and_replaces_the_default(tmp_path: Path) -> None:
    rules = rules_of(
        tmp_path,
        """
        default: {allow: ["group:staff"], deny: ["user:ben"]}
        rules:
          - {path: "legal/**", allow: ["group:legal"]}
          - {path: "legal/public/**", allow: ["everyone"]}
          - {path: "*.draft.md", deny: ["user:cleo"]}
        """,
    )

    assert rules.decide(tmp_path / "a.md").lists == AccessLists(
        frozenset({parse_grantee("group:staff")}), frozenset({parse_grantee("user:ben")})
    )
    assert rules.decide(tmp_path / "legal/nda.md").lists == AccessLists(frozenset({parse_grantee("group:legal")}))
    assert allowed(rules, "legal/public/terms.md") == "everyone"
    assert allowed(rules, "legal/public/terms.draft.md") == ""


def test_a_decision_names_the_file_the_rule_and_its_pattern(tmp_path: Path) -> None:
    rules = rules_of(tmp_path, 'rules: [{path: "a/**"}, {path: "b/**"}]')

    assert rules.decide(tmp_path / "b/x.md").rule == f"{tmp_path / 'access.yaml'}: rule 2 (b/**)"
    assert rules.decide(tmp_path / "c/x.md").rule == f"{tmp_path / 'access.yaml'}: default"


def test_patterns_are_case_sensitive(tmp_path: Path) -> None:
    rules = rules_of(tmp_path, 'rules: [{path: "Legal/**", allow: [everyone]}]')

    assert allowed(rules, "Legal/nda.md") == "everyone"
    assert allowed(rules, "legal/nda.md") == ""


PATTERNS = ["*.md", "legal", "legal/", "/legal", "legal/*", "legal/**", "*/*", "/*", "**/nda.md", "legal/**/nda.md"]
PATTERNS += ["/nda.md", "nda.*", "?da.md", "[ln]*", "legal/*/nda.md", "**", "legal/sub", r"\#a", "a b", "Legal/**"]
PATHS = [
    "nda.md",
    "legal",
    "legal/nda.md",
    "legal/sub/nda.md",
    "legal/sub/deep/nda.md",
    "x/legal/nda.md",
    "Legal/nda.md",
]
PATHS += ["x/nda.txt", "#a", "a b", "a b/c.md", "lda.md"]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_means_what_git_says_it_means(tmp_path: Path, pattern: str) -> None:
    if shutil.which("git") is None:
        pytest.skip("git is not on this machine")
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    (tmp_path / ".gitignore").write_text(f"{pattern}\n")
    listed = subprocess.run(
        ["git", "check-ignore", "--no-index", "--stdin", "-z"],
        cwd=tmp_path,
        input="\0".join(PATHS),
        capture_output=True,
        text=True,
    )
    rules = rules_of(tmp_path, f"rules: [{{path: '{pattern}', allow: [everyone]}}]")

    assert {path for path in PATHS if allowed(rules, path)} == set(listed.stdout.split("\0")) - {""}


def test_one_star_reaches_what_stands_deeper_as_in_gitignore(tmp_path: Path) -> None:
    rules = rules_of(tmp_path, 'default: {allow: [everyone]}\nrules: [{path: "pay/*", allow: ["group:hr"]}]')

    assert allowed(rules, "pay/2024/list.md") == "group:hr"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("default: [", "not valid YAML"),
        ("default: 2024-99-99", "not valid YAML"),
        ("- a list", "the file must be a mapping"),
        ("defaults: {}", "unknown key 'defaults'"),
        ("default: everyone", "default must be a mapping"),
        ("default: {allow: everyone}", "default: `allow` must be a list"),
        ("default: {allow: [1]}", "default: `allow` must be a list"),
        ("default: {allow: [staff]}", "default: 'staff' names nobody"),
        ("default: {allow: ['role:staff']}", "default: 'role:staff' names nobody"),
        ("default: {allow: []}\ndefault: {allow: [everyone]}", "'default' stands twice"),
        ("rules: {path: a}", "`rules` must be a list"),
        ("rules: [{path: a}, {allow: [everyone]}]", "rule 2 needs a `path`"),
        ("rules: [{path: ''}]", "rule 1 needs a `path`"),
        ("rules: [a]", "rule 1 must be a mapping"),
        ("rules: [{path: a, permit: [everyone]}]", "rule 1: unknown key 'permit'"),
        ("rules: [{path: a, deny: [everyone], deny: []}]", "'deny' stands twice"),
        ("rules: [{path: a, deny: ['user:a b']}]", "rule 1: 'user:a b' names nobody"),
        ("rules: [{path: '!a'}]", "rule 1: a pattern cannot begin with `!`"),
        ("rules: [{path: '#a'}]", "rule 1: '#a' is a comment"),
    ],
)
def test_an_invalid_file_is_refused_naming_itself_and_what_is_wrong(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(WrongUsage) as refused:
        rules_of(tmp_path, text)

    assert str(tmp_path / "access.yaml") in str(refused.value)
    assert said in str(refused.value)


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "access.yaml").write_bytes(b"default: {allow: ['user:\xff']}")

    with pytest.raises(WrongUsage, match="not UTF-8"):
        read_rules(tmp_path / "access.yaml")


def test_an_empty_file_lets_nobody_in(tmp_path: Path) -> None:
    assert rules_of(tmp_path, "").decide(tmp_path / "a.md").lists == AccessLists()


subjects = st.text("ab|:", min_size=1, max_size=4)
grantees = st.builds(
    Grantee,
    st.sampled_from([GranteeKind.USER, GranteeKind.GROUP]),
    st.sampled_from([LOCAL_ISSUER, "https://id.example", "a"]),
    subjects,
)


@given(grantees)
def test_a_name_reads_back_as_who_it_was_written_for(grantee: Grantee) -> None:
    assert parse_grantee(str(grantee)) == grantee


@given(st.frozensets(grantees, max_size=3), st.frozensets(grantees, max_size=3))
def test_only_equal_lists_share_an_access_set(some: frozenset[Grantee], others: frozenset[Grantee]) -> None:
    assert (lists_digest(AccessLists(some)) == lists_digest(AccessLists(others))) == (some == others)
    assert lists_digest(AccessLists(some)) != lists_digest(AccessLists(deny=some)) or not some
