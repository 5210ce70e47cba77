"""Weights that an operator put into a folder of this machine: found, named, and never fetched."""

from __future__ import annotations

import hashlib
from pathlib import Path

from core.errors import WrongUsage

_CONFIG = "config.json"
_WEIGHTS = "*.safetensors"


def require_weights(folder: Path, setting: str) -> None:
    """Raise `WrongUsage`, which names the setting, unless `folder` holds a model whose weights cannot run code."""
    if not (folder / _CONFIG).is_file():
        raise WrongUsage(f"{setting}={folder} is no folder with a model: it has no {_CONFIG}. Put its files there.")
    if not any(folder.rglob(_WEIGHTS)):
        raise WrongUsage(f"{setting}={folder} has no {_WEIGHTS}: weights of other kinds can run code and are not read.")


def digest_of(folder: Path) -> str:
    """16 hexadecimal digits that change with any file of a model but its descriptions for people."""
    digest = hashlib.sha256()
    for file in sorted(
        path for path in folder.rglob("*") if path.suffix in {".json", ".safetensors", ".txt", ".model"}
    ):
        digest.update(f"{file.relative_to(folder)}\0".encode())
        with file.open("rb") as opened:
            digest.update(hashlib.file_digest(opened, "sha256").digest())
    return digest.hexdigest()[:16]
