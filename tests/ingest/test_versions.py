"""Earlier versions of a document: what a citation of them points into stays, for who could read it then and may now."""

from __future__ import annotations

from pathlib import Path

import pytest
from organization import bring_in

from core.errors import NotFound
from core.principals import parse_grantee, parse_principal
from governance.access import sets
from wiring.home import Home

ANA, BEN = parse_principal("user:ana"), parse_principal("user:ben")


def write(folder: Path, text: str, allow: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "plan.md").write_text(text)
    (folder / "access.yaml").write_text(f"default: {{allow: [{allow}]}}\n")


def document_id(home: Home, who: str = "user:ana") -> str:
    [view] = home.gate.documents(parse_principal(who))
    return view.document_id


def test_an_earlier_version_is_the_text_that_was_cited(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "org"
    write(folder, "# Plan\n\nThe plant closes in June.\n", '"user:ana"')
    bring_in(home, folder)
    write(folder, "# Plan, new\n\nThe plant closes in July.\n", '"user:ana"')
    bring_in(home, folder)
    plan = document_id(home)

    view, text = home.disclosure.text(ANA, plan, "test", 1)
    assert (view.version, view.title) == (1, "Plan")
    assert "June" in text
    assert "July" in home.disclosure.text(ANA, plan, "test")[1] == home.disclosure.text(ANA, plan, "test", 2)[1]
    with pytest.raises(NotFound):
        home.disclosure.text(ANA, plan, "test", 3)


def test_what_was_taken_out_is_not_shown_to_whoever_was_let_in_later(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "org"
    write(folder, "# Plan\n\nThe plant closes in June, and forty people go.\n", '"user:ana"')
    bring_in(home, folder)
    write(folder, "# Plan\n\nThe plant closes in June.\n", '"user:ana", "user:ben"')
    bring_in(home, folder)
    plan = document_id(home)

    assert "forty" in home.disclosure.text(ANA, plan, "test", 1)[1]
    with pytest.raises(NotFound):
        home.disclosure.text(BEN, plan, "test", 1)
    assert "June" in home.disclosure.text(BEN, plan, "test", 2)[1]


def test_who_may_read_a_document_no_more_may_read_no_version_of_it(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "org"
    write(folder, "# Plan\n\nThe plant closes in June.\n", '"user:ana"')
    bring_in(home, folder)
    write(folder, "# Plan\n\nThe plant closes in July.\n", '"user:ana"')
    bring_in(home, folder)
    plan = document_id(home)
    with home.catalog.write() as session:
        sets.revoke(session, parse_grantee("user:ana"), plan)
    for version in (None, 1, 2):
        with pytest.raises(NotFound):
            home.disclosure.text(ANA, plan, "test", version)


def test_a_deleted_document_has_no_version_left(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "org"
    write(folder, "# Plan\n\nThe plant closes in June.\n", '"user:ana"')
    bring_in(home, folder)
    plan = document_id(home)
    home.ingestion.delete([plan])
    with pytest.raises(NotFound):
        home.disclosure.text(ANA, plan, "test", 1)
