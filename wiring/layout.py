"""Where things stand in a home's folder, and the marker that makes a folder a home."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from core.errors import Conflict, LimitExceeded
from core.settings import Settings

HOME_FORMAT = 1
"""Raised when the layout of the folder changes."""


@dataclass(frozen=True)
class Layout:
    """Where things stand in a home's folder."""

    folder: Path

    @property
    def marker(self) -> Path:
        return self.folder / "home.json"

    @property
    def catalog(self) -> Path:
        return self.folder / "catalog.db"

    @property
    def audit_database(self) -> Path:
        return self.folder / "audit.db"

    @property
    def audit_folder(self) -> Path:
        return self.folder / "audit"

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    @property
    def index(self) -> Path:
        return self.folder / "index"

    @property
    def blobs(self) -> Path:
        return self.folder / "blobs"

    @property
    def batch_locks(self) -> Path:
        return self.folder / "batches"

    @property
    def secrets(self) -> Path:
        """Credentials of sources, put here by the operator; nothing of ours writes into it."""
        return self.folder / "secrets"

    @property
    def source_caches(self) -> Path:
        """What connectors keep to be faster, such as a repository; it can be deleted at any time."""
        return self.folder / "sources"

    @property
    def lock(self) -> Path:
        return self.folder / "writer.lock"


def require_home(settings: Settings) -> None:
    """Raise `Conflict` unless the folder is a home whose layout we know."""
    layout = Layout(settings.home)
    try:
        marker = json.loads(layout.marker.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise Conflict(f"{layout.folder} is no Footnote home. Run `footnote init`, or name one with --home.") from error
    except (OSError, ValueError) as error:
        raise Conflict(f"{layout.marker} is damaged ({error}). Restore it from a backup.") from error
    if marker.get("format", 0) > HOME_FORMAT:
        raise Conflict(
            f"{layout.folder} was written by a newer Footnote ({marker.get('version')}). Install that version or a "
            "newer one; nothing was changed."
        )


def create_folder(layout: Layout) -> None:
    try:
        layout.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        layout.blobs.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise LimitExceeded(f"{layout.folder} cannot be created ({error.strerror}).") from error


def write_marker(layout: Layout) -> None:
    """The marker comes last, so that a half-made home is no home, and is replaced whole."""
    draft = layout.marker.with_suffix(".tmp")
    draft.write_text(json.dumps({"format": HOME_FORMAT, "version": version("footnote")}), encoding="utf-8")
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    draft.replace(layout.marker)
