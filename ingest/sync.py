"""Bringing a folder in: what the caller asked for, checked before anything changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.attachments import holder, of_source
from core.documents import content_hash
from core.errors import Conflict, UnreadableDocument
from core.principals import Grantee
from governance.access.membership import unknown
from governance.access.rules import AccessLists
from ingest.folder import Folder, read_folder
from ingest.items import Item, Listing
from ingest.ledger import Fence, Known, Ledger, no_fence
from ingest.pipeline import Ingestion, Progress
from ingest.report import IngestReport, PlannedChange

Prune = Literal["no", "yes", "force"]

# A prune that would remove more than this is more likely an accident, such as a folder that is not mounted.
PRUNE_SHARE = 0.20
PRUNE_COUNT = 10


@dataclass(frozen=True)
class FolderRequest:
    """One folder (or file) to bring in, as one source; `allow` and `access_file` fall back to what was remembered."""

    path: Path
    source: str
    allow: tuple[Grantee, ...] | None
    access_file: Path | None
    prune: Prune


def sync_folder(
    ingestion: Ingestion, home: Path, request: FolderRequest, max_bytes: int, progress: Progress
) -> IngestReport:
    """Make the source hold what the folder holds now.

    Raises `WrongUsage` for a missing path or invalid rules and `Conflict` for a refused prune, before any change.
    """
    ledger, folder, allow, access_file = opened(ingestion, home, request)
    known = ledger.known()
    if not folder.files and known and request.prune == "no":
        report = IngestReport(request.source, missing=len(known))
        report.warnings.append(
            f"{request.path} holds no files, but the source has {len(known)} documents. If it is a mount, mount it; "
            "if they are meant to go, run again with --prune. Nothing was changed."
        )
        return report
    if request.prune == "yes":
        refuse_large_prune(folder, known)
    ledger.register(allow, access_file)
    report = ingestion.run(ledger, request.source, _listing(folder, max_bytes), request.prune != "no", progress)
    report.warnings.extend(_unknown_names(ingestion, folder))
    return report


def plan_folder(ingestion: Ingestion, home: Path, request: FolderRequest) -> IngestReport:
    """What `sync_folder` would change and who could then read what, changing nothing."""
    ledger, folder, _, _ = opened(ingestion, home, request)
    known = ledger.known()
    listed = {file.external_id for file in folder.files}
    # What a file carries goes the way of the file, which says nothing of it before it is read.
    known = {key: one for key, one in known.items() if key == holder(one) or holder(one) not in listed}
    report = IngestReport(request.source, plan=[])
    plan: list[PlannedChange] = []
    for file in folder.files:
        before = known.pop(file.external_id, None)
        same = before is not None and before.content_hash == content_hash(file.path.read_bytes())
        change = "added" if before is None else "unchanged" if same else "updated"
        setattr(report, change, getattr(report, change) + 1)
        plan.append(_planned(folder, file.external_id, change))
    for external_id in sorted(known):
        change = "deleted" if request.prune != "no" else "missing"
        setattr(report, change, getattr(report, change) + 1)
        plan.append(_planned(folder, external_id, change))
    report.plan = plan
    report.warnings.extend(_unknown_names(ingestion, folder))
    return report


def opened(
    ingestion: Ingestion, home: Path, request: FolderRequest, fence: Fence = no_fence
) -> tuple[Ledger, Folder, Sequence[Grantee], str | None]:
    """The source's ledger, what its folder holds now, and the `--allow` and `--access` that hold for it."""
    ledger = Ledger(ingestion.catalog, request.source, request.path.as_uri(), fence)
    allow, access_file = ledger.remembered()
    if request.allow is not None:
        allow = list(request.allow)
    if request.access_file is not None:
        access_file = str(request.access_file)
    folder = read_folder(request.path, home, AccessLists(frozenset(allow)), Path(access_file) if access_file else None)
    return ledger, folder, allow, access_file


def _listing(folder: Folder, max_bytes: int) -> Listing:
    items = [
        Item(file.external_id, file.path.as_uri(), folder.decide(file.external_id), loader(file.path, max_bytes))
        for file in folder.files
    ]
    return Listing(items, folder.decide_known, complete=True)


def loader(path: Path, max_bytes: int) -> Callable[[], bytes]:
    """Reads a file when called; raises `OSError`, or `UnreadableDocument` for one that is too large."""

    def load() -> bytes:
        size = path.stat().st_size
        if size > max_bytes:
            raise UnreadableDocument(
                "too_large",
                f"the file has {size:,} bytes and the limit is {max_bytes:,}; split it, or raise max_document_bytes",
            )
        return path.read_bytes()

    return load


def refuse_large_prune(folder: Folder, known: dict[str, Known]) -> None:
    """Raise `Conflict` if deleting what the folder no longer holds would take much of the source."""
    listed = {file.external_id for file in folder.files}
    known = of_source(known)
    missing = {one.content_hash for key, one in known.items() if key not in listed}
    count = len([key for key in known if key not in listed])
    if count <= PRUNE_COUNT or count <= PRUNE_SHARE * len(known):
        return
    # Files that only moved are not lost, and count for nothing here.
    new = [file for file in folder.files if file.external_id not in known]
    moved = sum(content_hash(file.path.read_bytes()) in missing for file in new)
    count -= moved
    if count > PRUNE_COUNT and count > PRUNE_SHARE * len(known):
        raise Conflict(
            f"--prune would delete {count} of the source's {len(known)} documents. If the folder is a mount, see that "
            "it is mounted; if they are meant to go, run again with --prune=force. Nothing was changed."
        )


def _planned(folder: Folder, external_id: str, change: str) -> PlannedChange:
    decision = folder.decide_known(external_id)
    if decision is None:
        return PlannedChange(external_id, change, (), (), "its folder is not there: who may read it stays as it is")
    names = [tuple(sorted(map(str, grantees))) for grantees in (decision.lists.allow, decision.lists.deny)]
    return PlannedChange(external_id, change, names[0], names[1], decision.rule)


def _unknown_names(ingestion: Ingestion, folder: Folder) -> list[str]:
    named = set(folder.allow.allow).union(*(rules.grantees() for rules in folder.rules.values()))
    with ingestion.catalog.read() as session:
        return [
            f"{grantee} is not known yet: it has no members here until it is defined."
            if grantee.kind == "group"
            else f"{grantee} is not known yet; the name is kept and will count when they ask."
            for grantee in unknown(session, named)
        ]
