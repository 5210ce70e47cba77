"""A roster file: the people and groups of an organization, brought in at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from apps.administration import Administration
from core.errors import WrongUsage
from core.principals import Grantee, parse_grantee


@dataclass(frozen=True)
class Roster:
    """`groups` by name with their members, and the display names of `people` by id."""

    groups: dict[str, list[str]]
    people: dict[str, str]


def read_roster(file: Path) -> Roster:
    """Read `groups: {NAME: [MEMBER, …]}` and `people: {ID: {name: …}}`; raises `WrongUsage` naming the file."""
    try:
        content: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
        groups = {str(name): [str(member) for member in members] for name, members in content["groups"].items()}
        people = {str(key): str(about.get("name", "")) for key, about in content.get("people", {}).items()}
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise WrongUsage(
            f"{file} is no roster ({' '.join(str(error).split())}). It holds `groups:`, a mapping of names to lists of "
            "members, and may hold `people:`, a mapping of ids to names."
        ) from error
    return Roster(groups, people)


def apply_roster(administration: Administration, roster: Roster) -> None:
    """Make everybody known and set every group, or change nothing where a name makes no sense.

    Groups that the roster does not name stay as they are.
    """
    people = {parse_grantee(f"user:{key}"): name for key, name in roster.people.items()}
    groups: dict[Grantee, list[Grantee]] = {
        parse_grantee(f"group:{name}"): [parse_grantee(member) for member in members]
        for name, members in roster.groups.items()
    }
    administration.load_roster(people, groups)
