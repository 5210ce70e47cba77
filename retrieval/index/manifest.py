"""The manifest: which segments make up the present generation, and what every file of theirs must be."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from core.documents import content_hash
from core.errors import Conflict
from retrieval.index.storage import FileRecord, Storage

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
SEGMENTS = "segments"
REBUILD = "run `footnote index rebuild`"


@dataclass(frozen=True)
class SegmentRecord:
    """One segment: its folder, how many chunks it holds, and its files by name.

    `dropped` names the file with the rows that are no longer part of the index, empty if there are none;
    `residual` bounds how far a score from the quantized codes can be from the exact one.
    """

    id: str
    count: int
    live: int
    scale: float
    residual: float
    files: dict[str, FileRecord]
    dropped: str = ""


@dataclass(frozen=True)
class Retired:
    """A path under the segments' folder that generations before `generation` still use."""

    path: str
    generation: int


@dataclass(frozen=True)
class Manifest:
    """One generation of the index; `fingerprint` names the embedding model, `analyzer` the text analysis."""

    generation: int
    fingerprint: str
    dimension: int
    analyzer: int
    segments: tuple[SegmentRecord, ...] = ()
    retired: tuple[Retired, ...] = ()
    format: int = field(default=FORMAT_VERSION)


def read_manifest(folder: Path) -> Manifest | None:
    """The present generation, None where none was ever published.

    Raises `Conflict` for a manifest that is damaged or of another format.
    """
    path = folder / MANIFEST
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        document = json.loads(content)
        intact = document["sha256"] == _digest(document["manifest"])
        body = document["manifest"]
    except (ValueError, KeyError, TypeError):
        intact, body = False, {}
    if not intact:
        raise Conflict(f"The index is damaged: {path} is not what was written. To repair it, {REBUILD}.")
    if body["format"] != FORMAT_VERSION:
        raise Conflict(
            f"The index in {folder} has format {body['format']}, this version reads {FORMAT_VERSION}: {REBUILD}."
        )
    return _from_json(body)


def write_manifest(folder: Path, manifest: Manifest, storage: Storage) -> None:
    """Make `manifest` the present generation in one step; until then readers see the one before."""
    body = asdict(manifest)
    content = json.dumps({"manifest": body, "sha256": _digest(body)}, indent=1).encode()
    temporary = folder / f"{MANIFEST}.new"
    storage.write(temporary, [content])
    storage.rename(temporary, folder / MANIFEST)


def _digest(body: object) -> str:
    return content_hash(json.dumps(body, sort_keys=True))


def _from_json(body: dict[str, object]) -> Manifest:
    segments, retired = body.pop("segments"), body.pop("retired")
    assert isinstance(segments, list) and isinstance(retired, list)
    records = []
    for segment in segments:
        files = {name: FileRecord(**record) for name, record in segment.pop("files").items()}
        records.append(SegmentRecord(files=files, **segment))
    return Manifest(
        segments=tuple(records),
        retired=tuple(Retired(**item) for item in retired),
        **body,  # type: ignore[arg-type]  # the digest above says that we wrote these fields
    )
