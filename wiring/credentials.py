"""Credentials of sources: named by where they are kept, and read from there."""

from __future__ import annotations

import os
import re
from pathlib import Path

from pydantic import SecretStr

from core.errors import SourceRefused, WrongUsage

SECRET_VARIABLE = re.compile(r"FOOTNOTE_SECRET_[A-Z0-9_]+")
_SECRET_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def checked_secret(reference: str | None) -> str | None:
    """The place of a credential; raises `WrongUsage` for one that sources may not read.

    Whoever sets a source up must not be able to send other secrets of this machine to a server of theirs.
    """
    if not reference:
        return None
    where, _, name = reference.partition(":")
    if where == "env" and SECRET_VARIABLE.fullmatch(name):
        return reference
    if where == "file" and _SECRET_FILE.fullmatch(name):
        return reference
    raise WrongUsage(
        "A credential is named by where it is kept: env:FOOTNOTE_SECRET_NAME for a variable of the workers, or "
        "file:NAME for a file in the folder `secrets` of the home."
    )


def read_secret(reference: str | None, folder: Path) -> SecretStr | None:
    """A credential from its place; raises `SourceRefused` where that is empty."""
    if reference is None:
        return None
    where, _, name = reference.partition(":")
    if where == "env":
        value = os.environ.get(name, "")
    else:
        try:
            value = (folder / name).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            value = ""
    if not value:
        place = f"the variable {name}" if where == "env" else f"{folder / name}"
        raise SourceRefused(f"There is no credential in {place}. Put it there for every worker, and sync again.")
    return SecretStr(value)
