"""Names of what a document carries, made safe: they become places of documents, and lead nowhere else."""

from __future__ import annotations

import re

from core.attachments import numbered
from core.documents import clean_text

_NOT_IN_NAMES = re.compile(r"[/\\\x00-\x1f\x7f\ufffd]+")
_DRIVE = re.compile(r"[A-Za-z]:")
_STEP_CHARACTERS = 120
_STEPS = 20
"""The folders of a path that are kept, the innermost; real trees are not deeper."""


def safe_name(given: str, otherwise: str) -> str:
    """One file name without folders, controls and dots at its ends, its ending kept where it is cut."""
    name = " ".join(_NOT_IN_NAMES.sub(" ", clean_text(given)).split()).strip(". ") or otherwise
    stem, dot, ending = name.rpartition(".")
    return f"{stem[:_STEP_CHARACTERS]}{dot}{ending[:_STEP_CHARACTERS]}"


def safe_path(given: str) -> str:
    """A path below the document that carries it: no drive, no root, no way up, each step a `safe_name`; or nothing."""
    path = _DRIVE.sub("", given, count=1) if _DRIVE.match(given) else given
    steps = [step for step in path.replace("\\", "/").split("/") if step.strip(". ")]
    # A leading dot hides a file and is part of its name.
    return "/".join("." * step.startswith(".") + safe_name(step, "file") for step in steps[-_STEPS:])


def unused(name: str, taken: set[str]) -> str:
    """`name`, or one like it that is not taken; it is taken then."""
    free = next(candidate for candidate in numbered(name) if candidate not in taken)
    taken.add(free)
    return free
