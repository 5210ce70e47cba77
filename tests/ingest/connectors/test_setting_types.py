"""Settings that several systems have: what is wrong with them is said before a sync finds out."""

from __future__ import annotations

from typing import Annotated

import pytest
from pydantic import BaseModel, ValidationError

from ingest.connectors.setting_types import Patterns, link_with


class Chosen(BaseModel):
    include: Patterns = ()
    link: Annotated[str | None, link_with("commit", "path")] = None


@pytest.mark.parametrize(
    "link",
    [None, "", "https://code.example/{commit}/{path}", "https://code.example/{path}", "https://x/{{raw}}/{path}"],
)
def test_a_link_may_name_its_fields(link: str | None) -> None:
    assert Chosen(link=link).link == link


@pytest.mark.parametrize(
    "link",
    ["{key}", "{}", "{0}", "{path.parent}", "{path[0]}", "{path!r}", "{path:>9}", "{path", "path}", "{path:{commit}}"],
)
def test_a_link_with_anything_else_in_braces_is_refused(link: str) -> None:
    with pytest.raises(ValidationError, match=r"\{commit\} and \{path\}"):
        Chosen(link=f"https://code.example/{link}")


def test_patterns_are_those_of_gitignore() -> None:
    assert Chosen(include=("docs/**", "!docs/drafts/**")).include == ("docs/**", "!docs/drafts/**")
    with pytest.raises(ValidationError, match=r"none that \.gitignore knows"):
        Chosen(include=("!",))
