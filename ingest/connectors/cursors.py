"""Cursors as text: what a listing goes on from in another process, and nothing that it does not fit."""

from __future__ import annotations

import hashlib
import json
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from ingest.connectors.protocol import CursorExpired


class Cursor(BaseModel):
    """What every cursor holds beside its own facts: which source it belongs to, as `fingerprint` tells."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    of: str

    def __str__(self) -> str:
        return self.model_dump_json()


C = TypeVar("C", bound=Cursor)


def read_cursor(kind: type[C], text: str, of: str) -> C:
    """The cursor that was written as `text`; raises `CursorExpired` for any other text and for another source's."""
    try:
        cursor = kind.model_validate_json(text)
    except ValidationError as error:
        raise CursorExpired("The cursor is none that this connector has written.") from error
    if cursor.of != of:
        raise CursorExpired("The cursor belongs to another source, or to this one with other settings.")
    return cursor


def fingerprint(*facts: object) -> str:
    """A short name for what decides what a listing holds: kind and version of the connector, place, patterns."""
    return hashlib.sha256(json.dumps(facts, default=str).encode()).hexdigest()[:16]
