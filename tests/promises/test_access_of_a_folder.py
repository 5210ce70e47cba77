"""Rules that stand beside files: which file of rules holds, from when on, and for what."""

from __future__ import annotations

from pathlib import Path

import pytest
from living_home import LivingHome

from apps.administration import Administration
from core.errors import NotFound, WrongUsage
from core.principals import parse_grantee, parse_principal
from governance.identity import ADMINISTRATOR


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """`a.md`, `hr/b.md` and `hr/pay/c.md`."""
    folder = tmp_path / "org"
    for name in ("a.md", "hr/b.md", "hr/pay/c.md"):
        write(folder, name, f"# {name}\n\nThis is {name}.")
    return folder


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")


def lets(folder: Path, name: str, *allow: str, rules: str = "[]") -> None:
    write(folder, name, f"default: {{allow: {list(allow)}}}\nrules: {rules}\n")


def readable(home: LivingHome, who: str) -> list[str]:
    """What somebody may read, as the list and the search agree on it."""
    principal = parse_principal(who)
    listed = sorted(view.external_id for view in home.gate.documents(principal))
    hits = home.searcher.search("what is this", principal, 100).hits
    assert sorted(hit.passage.external_id for hit in hits) == listed
    return listed


def administration(home: LivingHome) -> Administration:
    return Administration(home, ADMINISTRATOR, "test")


def test_what_nothing_names_is_readable_by_nobody(living: LivingHome, folder: Path) -> None:
    report = living.sync(folder)

    assert report.added == 3
    assert readable(living, "user:ana") == []


def test_allow_holds_only_where_no_rules_do_and_is_remembered(living: LivingHome, folder: Path) -> None:
    lets(folder, "hr/access.yaml", "user:ben")

    living.sync(folder, allow=[parse_grantee("user:ana")])
    assert (readable(living, "user:ana"), readable(living, "user:ben")) == (["a.md"], ["hr/b.md", "hr/pay/c.md"])

    write(folder, "d.md", "# Four\n\nThis is later.")
    living.sync(folder)
    assert readable(living, "user:ana") == ["a.md", "d.md"]

    living.sync(folder, allow=[])
    assert readable(living, "user:ana") == []


def test_the_nearest_rules_hold_whole(living: LivingHome, folder: Path) -> None:
    lets(folder, "access.yaml", "user:ana", rules='[{path: "hr/pay/**", deny: [everyone]}]')
    lets(folder, "hr/access.yaml", "user:ben")

    living.sync(folder)

    assert readable(living, "user:ana") == ["a.md"]
    assert readable(living, "user:ben") == ["hr/b.md", "hr/pay/c.md"]


def test_rules_above_the_folder_hold_and_keep_their_own_paths(living: LivingHome, folder: Path) -> None:
    lets(folder, "access.yaml", rules='[{path: "/hr/pay/", allow: ["user:ana"]}, {path: "/pay/", allow: [everyone]}]')

    living.sync(folder / "hr")

    assert readable(living, "user:ana") == ["pay/c.md"]
    assert readable(living, "user:ben") == []


def test_a_file_of_rules_is_relative_to_the_folder_and_stands_in_for_its_own(living: LivingHome, folder: Path) -> None:
    lets(folder, "access.yaml", "user:ben")
    lets(folder.parent, "elsewhere/rules.yaml", rules='[{path: "/hr/", allow: ["user:ana"]}]')

    living.sync(folder, access_file=folder.parent / "elsewhere/rules.yaml")
    assert (readable(living, "user:ana"), readable(living, "user:ben")) == (["hr/b.md", "hr/pay/c.md"], [])

    write(folder, "hr/d.md", "# Four\n\nThis is later.")
    living.sync(folder)
    assert readable(living, "user:ana") == ["hr/b.md", "hr/d.md", "hr/pay/c.md"]


def test_rules_and_the_home_are_never_brought_in(living: LivingHome, folder: Path, tmp_path: Path) -> None:
    lets(folder, "access.yaml", "user:ana")
    lets(folder, "hr/access.yaml", "user:ana")
    lets(folder, "rules.txt", "user:ana")
    (tmp_path / "link").symlink_to(tmp_path)

    living.sync(tmp_path / "link", access_file=tmp_path / "link" / "org" / "rules.txt")
    listed = [view.external_id for view in administration(living).documents()]
    assert listed == ["org/a.md", "org/hr/b.md", "org/hr/pay/c.md"]

    living.sync(folder / "access.yaml", source="one file")
    assert len(administration(living).documents()) == 3
    for inside in (living.layout.folder, living.layout.blobs):
        with pytest.raises(WrongUsage, match="part of the home"):
            living.sync(inside, source="the home")


def test_a_link_that_leads_out_of_the_folder_brings_nothing_in(living: LivingHome, folder: Path) -> None:
    lets(folder, "access.yaml", "everyone")
    write(folder.parent, "elsewhere/secret.md", "# Secret\n\nThis is not the organization's.")
    (folder / "out.md").symlink_to(folder.parent / "elsewhere/secret.md")
    (folder / "away").symlink_to(folder.parent / "elsewhere")
    (folder / "in.md").symlink_to(folder / "a.md")

    living.sync(folder)

    assert readable(living, "user:ana") == ["a.md", "hr/b.md", "hr/pay/c.md", "in.md"]


@pytest.mark.parametrize("name", ["access.yaml", "hr/pay/access.yaml"])
@pytest.mark.parametrize("text", ["default: [", "rules: [{path: a, allow: everyone}]", "default: {allow: ['ana']}"])
def test_invalid_rules_fail_before_anything_changes(living: LivingHome, folder: Path, name: str, text: str) -> None:
    lets(folder, "access.yaml", "user:ana")
    living.sync(folder)
    before = [(view.external_id, view.version, view.updated) for view in administration(living).documents()]

    write(folder, "a.md", "# Another\n\nThis is new.")
    write(folder, "hr/d.md", "# Four\n\nThis is later.")
    (folder / "hr/b.md").unlink()
    write(folder, name, text)
    with pytest.raises(WrongUsage, match=str(folder / name)):
        living.sync(folder, allow=[parse_grantee("everyone")], prune="force")

    assert before == [(view.external_id, view.version, view.updated) for view in administration(living).documents()]
    assert readable(living, "user:ana") == ["a.md", "hr/b.md", "hr/pay/c.md"]


def test_a_changed_rule_holds_and_is_counted_though_no_document_changed(living: LivingHome, folder: Path) -> None:
    lets(folder, "access.yaml", "user:ana")
    living.sync(folder)

    lets(folder, "access.yaml", "user:ana", rules='[{path: "hr/**", allow: ["user:ben"]}]')
    report = living.sync(folder)

    counts = report.to_json()["documents"]
    assert (counts["access_changed"], counts["unchanged"], counts["updated"]) == (2, 3, 0)
    assert readable(living, "user:ana") == ["a.md"]
    assert readable(living, "user:ben") == ["hr/b.md", "hr/pay/c.md"]
    assert living.sync(folder).access_changed == 0


def test_new_content_never_meets_the_rules_of_yesterday(living: LivingHome, folder: Path) -> None:
    """Ben lost the folder before the salaries were written into it; a run that is cut short must not show them."""
    lets(folder, "access.yaml", "user:ben")
    living.sync(folder)
    write(folder, "hr/b.md", "# Pay\n\nThis is what everybody earns.")
    lets(folder, "access.yaml", "user:ben", rules='[{path: "hr/**", allow: ["user:ana"]}]')

    seen: list[list[str]] = []
    living.sync(folder, progress=lambda *_: seen.append(readable(living, "user:ben")))

    assert seen
    assert all(now == ["a.md"] for now in seen)


def test_a_missing_subfolder_leaves_its_documents_under_its_own_rules(living: LivingHome, folder: Path) -> None:
    lets(folder, "access.yaml", "everyone")
    lets(folder, "hr/access.yaml", "user:ana")
    living.sync(folder)

    (folder / "hr").rename(folder.parent / "aside")
    assert living.sync(folder).missing == 2
    assert (readable(living, "user:ana"), readable(living, "user:ben")) == (
        ["a.md", "hr/b.md", "hr/pay/c.md"],
        ["a.md"],
    )

    (folder.parent / "aside").rename(folder / "hr")
    (folder / "hr/access.yaml").unlink()
    living.sync(folder)
    assert readable(living, "user:ben") == ["a.md", "hr/b.md", "hr/pay/c.md"]


def test_a_move_brings_the_rules_of_the_new_place_and_keeps_what_was_done_by_hand(
    living: LivingHome, folder: Path
) -> None:
    lets(folder, "access.yaml", "everyone", rules='[{path: "hr/**", allow: ["user:ana"]}]')
    living.sync(folder)
    (document,) = [view for view in administration(living).documents() if view.external_id == "a.md"]
    administration(living).revoke(parse_grantee("user:cleo"), "a.md")

    (folder / "a.md").rename(folder / "hr/a.md")
    report = living.sync(folder)

    assert (report.moved, report.chunks) == (1, 0)
    moved = living.gate.document(parse_principal("user:ana"), document.document_id)
    assert (moved.external_id, moved.version) == ("hr/a.md", 1)
    assert readable(living, "user:ben") == []
    (folder / "hr/a.md").rename(folder / "z.md")
    living.sync(folder)
    assert (readable(living, "user:ben"), readable(living, "user:cleo")) == (["z.md"], [])


def test_a_deleted_document_that_comes_back_keeps_revocations_and_not_grants(living: LivingHome, folder: Path) -> None:
    lets(folder, "access.yaml", "group:staff")
    administration(living).set_group(
        parse_grantee("group:staff"), [parse_grantee("user:ana"), parse_grantee("user:ben")]
    )
    living.sync(folder)
    administration(living).revoke(parse_grantee("user:ana"), "a.md")
    administration(living).grant(parse_grantee("user:zed"), "a.md")
    assert (readable(living, "user:zed"), "a.md" in readable(living, "user:ana")) == (["a.md"], False)

    administration(living).delete_documents(["a.md"])
    assert readable(living, "user:zed") == []
    living.sync(folder)

    assert "a.md" in readable(living, "user:ben")
    assert "a.md" not in readable(living, "user:ana")
    assert readable(living, "user:zed") == []


def test_deleting_forgets_the_text_the_bytes_and_the_place_in_the_index(living: LivingHome, folder: Path) -> None:
    lets(folder, "access.yaml", "everyone")
    living.sync(folder)
    ana = parse_principal("user:ana")
    (document,) = [view for view in living.gate.documents(ana) if view.external_id == "a.md"]

    administration(living).delete_documents(["a.md"])

    for attempt in (living.disclosure.text, living.disclosure.content):
        with pytest.raises(NotFound):
            attempt(ana, document.document_id, "test")
    with pytest.raises(NotFound):
        living.blobs.read(document.content_hash)
    assert len(living.index_reader.snapshot().rows()) == 2
    assert living.publisher.repair() == 0


def test_names_nobody_has_defined_are_kept_and_warned_of(living: LivingHome, folder: Path) -> None:
    lets(folder, "access.yaml", "group:legal", "user:ana")

    report = living.sync(folder)

    assert [warning.split(" is not known")[0] for warning in report.warnings] == ["group:legal", "user:ana"]
    assert (readable(living, "user:ben"), len(readable(living, "user:ana"))) == ([], 3)
    administration(living).set_group(parse_grantee("group:legal"), [parse_grantee("user:ben")])
    assert len(readable(living, "user:ben")) == 3
