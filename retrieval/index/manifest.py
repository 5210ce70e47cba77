"""The manifest: which segments make up the present generation, and what every file of theirs must be."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from core.documents import content_hash
from core.errors import Conflict, IndexDamaged
from retrieval.index.storage import FileRecord, Storage

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
SEGMENTS = "segments"
MERGING = "merging"
"""Where a segment is merged that is no part of the index yet."""
REBUILD = "run `footnote index rebuild`"


@dataclass(frozen=True)
class SegmentRecord:
    """One segment: its folder, how many chunks it holds, and its files by name.

    `dropped` names the file with the rows that are no longer part of the index, empty if there are none;
    `residual` bounds how far a score from the quantized codes can be from the exact one. `merged` names the segments
    that this one was merged from in the background, each with its `dropped` then: together they hold the same chunks.
    """

    id: str
    count: int
    live: int
    scale: float
    residual: float
    files: dict[str, FileRecord]
    dropped: str = ""
    merged: tuple[tuple[str, str], ...] = ()


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


def dropped_file(generation: int) -> str:
    """The name of the file with the rows that are dropped of a segment from a generation on."""
    return f"dropped-{generation}.roaring"


def dropped_at(name: str) -> int:
    """The generation of `dropped_file`, 0 for no file."""
    return int(name.removeprefix("dropped-").removesuffix(".roaring")) if name else 0


def read_manifest(folder: Path) -> Manifest | None:
    """The present generation, None where none was ever published.

    Raises `IndexDamaged` for a manifest that is damaged or of an earlier format, `Conflict` for one of a later.
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
        raise IndexDamaged(f"The index is damaged: {path} is not what was written. To repair it, {REBUILD}.")
    if body["format"] != FORMAT_VERSION:
        # Two versions at work on one home would otherwise rebuild what the other has just written, in turns.
        outdated = body["format"] < FORMAT_VERSION
        raise (IndexDamaged if outdated else Conflict)(
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
        merged = tuple((id_, dropped) for id_, dropped in segment.pop("merged", ()))
        records.append(SegmentRecord(files=files, merged=merged, **segment))
    return Manifest(
        segments=tuple(records),
        retired=tuple(Retired(**item) for item in retired),
        **body,  # type: ignore[arg-type]  # the digest above says that we wrote these fields
    )
