"""A standing source kept in step with its folder: what has changed is found here, and brought in by jobs of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from catalog.lock import writer_lock
from core.attachments import carried, holder, of_source
from core.errors import Conflict, WrongUsage
from ingest.arrivals import Arrivals, Expected
from ingest.connectors.local_folder import LocalFolder, path_of
from ingest.folder import Folder, FolderFile
from ingest.items import by_content, differs, unchanged
from ingest.ledger import Fence, Known, Ledger, delete_documents
from ingest.pipeline import Ingestion
from ingest.sync import FolderRequest, opened, refuse_large_prune

_SLICE = 200


@dataclass(frozen=True)
class Standing:
    """A source that stays: its name, where its documents are, and whether what goes there goes here too."""

    name: str
    uri: str
    prune: bool


@dataclass(frozen=True)
class _Differences:
    """How a folder differs from what the catalog has of it."""

    changed: Sequence[FolderFile]
    moved: Sequence[tuple[Known, FolderFile]]
    gone: Sequence[Known]


def sync_standing(
    ingestion: Ingestion, arrivals: Arrivals, home: Path, source: Standing, group_id: str, fence: Fence
) -> list[str]:
    """Let the present rules and places hold at once, and queue a job for each document whose bytes have changed.

    Returns the jobs' ids. Raises `WrongUsage` for a folder that is not there or invalid rules, and `Conflict` for a
    folder that is suddenly empty or a prune that would take much, before any change.
    """
    request = FolderRequest(folder_of(source.uri), source.name, None, None, "yes" if source.prune else "no")
    ledger, folder, _, _ = opened(ingestion, home, request, fence)
    known = ledger.known()
    if known and not folder.files:
        raise Conflict(
            f"{request.path} holds no files, but the source has {len(known)} documents. If it is a mount, mount it; "
            "if they are meant to go, delete them. Nothing was changed."
        )
    if source.prune:
        refuse_large_prune(folder, known)
    found = _compare(folder, LocalFolder(request.path, lambda: folder), known)
    with writer_lock(ingestion.lock_file, f"syncing {source.name}", ingestion.lock_wait):
        _apply_rules(ledger, folder, known, found)
        rows: list[int] = []
        for one, file in found.moved:
            rows += ledger.move(one, file.external_id, file.path.as_uri(), folder.decide(file.external_id))
        ingestion.publisher.publish(rows, ())
        if source.prune:
            _delete(ingestion, found.gone, fence)
        ids = _queue(ledger, arrivals, source, folder, found.changed, group_id)
        ledger.took_content()
        return ids


def folder_of(uri: str) -> Path:
    """The folder a source is kept in step with; raises `WrongUsage` for a source of another kind."""
    if not uri.startswith("file:"):
        raise WrongUsage(f"{uri} is no folder: only a folder can be kept in step.")
    return path_of(uri)


def _compare(folder: Folder, connector: LocalFolder, known: dict[str, Known]) -> _Differences:
    """Read and hash every file: an unchanged one costs that and nothing more."""
    hashes = {one.external_id: one.revision for page in connector.changes(None) for one in page.listed}
    listed = {file.external_id for file in folder.files}
    gone = {key: one for key, one in of_source(known).items() if key not in listed}
    attachments = carried(known.values())
    waiting = by_content(gone)
    changed: list[FolderFile] = []
    moved: list[tuple[Known, FolderFile]] = []
    for file in folder.files:
        # Nothing for one that cannot be read: the job that cannot read it either says why.
        hash_ = hashes.get(file.external_id, "")
        before = known.get(file.external_id)
        if before is not None and unchanged(before, hash_, attachments.get(file.external_id, ())):
            continue
        earlier = waiting.pop((hash_, Path(file.external_id).suffix), None) if before is None else None
        if earlier is None:
            changed.append(file)
        else:
            moved.append((earlier, file))
            del gone[earlier.external_id]
    return _Differences(changed, moved, list(gone.values()))


def _apply_rules(ledger: Ledger, folder: Folder, known: dict[str, Known], found: _Differences) -> None:
    """Take rights at once; give new ones where the file is there and its content is what the catalog has."""
    decided = [(one, folder.decide_known(holder(one))) for one in known.values()]
    stale = [(one, decision) for one, decision in decided if decision and differs(one, decision)]
    waiting = ledger.narrow_access(stale).waiting
    same = {file.external_id for file in folder.files} - {file.external_id for file in found.changed}
    ledger.apply_access(
        [
            (one, decision)
            for one, decision in stale
            if one.external_id in waiting and holder(one) in same and one.state == "ready"
        ]
    )


def _delete(ingestion: Ingestion, gone: Sequence[Known], fence: Fence) -> None:
    rows, hashes = delete_documents(ingestion.catalog, [one.document_id for one in gone], fence)
    for name in hashes:
        ingestion.blobs.forget(name)
    ingestion.publisher.publish((), rows)


def _queue(
    ledger: Ledger,
    arrivals: Arrivals,
    source: Standing,
    folder: Folder,
    changed: Sequence[FolderFile],
    group_id: str,
) -> list[str]:
    """Expect what has changed, and call off what was on its way in and is not there any more."""
    # One whose content is what it was again would come in under the rules of when it was not.
    left = sorted(arrivals.waiting(source.name) - {file.external_id for file in changed})
    with ledger.writing() as session:
        arrivals.withdraw(session, source.name, left)
    ids: list[str] = []
    for at in range(0, len(changed), _SLICE):
        documents = [
            Expected(file.external_id, file.path.as_uri(), folder.decide(file.external_id))
            for file in changed[at : at + _SLICE]
        ]
        with ledger.writing() as session:
            ids += arrivals.expect(session, source.name, documents, group_id)
    return ids
