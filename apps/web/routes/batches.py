"""A person's own batches: files of questions, answered row by row."""

from __future__ import annotations

import io
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Response, UploadFile

from apps.batches import MAX_FILE_BYTES, BatchDesk, read_questions
from apps.rendering import batch_failures_json, batch_json
from apps.web.guard import Caller, GuardedRoute, OpenHome, needs
from apps.web.requests import Name
from generation.batch.results import MEDIA_TYPES, Format
from governance.identity import Identity
from wiring.home import Home

PATH = "/v1/batches"
router = APIRouter(route_class=GuardedRoute, tags=["batches"])


@router.post(PATH, status_code=201)
@needs("ask")
def begin_batch(
    home: OpenHome,
    caller: Caller,
    response: Response,
    file: UploadFile,
    per_document: Annotated[Name | None, Form()] = None,
) -> dict[str, Any]:
    """Begin a batch over a file of questions (.csv, .jsonl, .xlsx), each asked with the caller's rights of its moment.

    With `per_document`, a pattern as in .gitignore, every question is asked of each document that fits it.
    """
    desk, name = _desk(home, caller), file.filename or ""
    sheet = read_questions(name, file.file.read(MAX_FILE_BYTES + 1))
    batch_id = desk.begin(name, sheet, per_document)
    desk.load(batch_id, sheet, with_jobs=True)
    response.headers["Location"] = f"{PATH}/{batch_id}"
    return batch_json(desk.view(batch_id))


@router.get(PATH)
@needs("ask")
def list_batches(home: OpenHome, caller: Caller) -> dict[str, Any]:
    """The caller's batches, the newest first."""
    return {"batches": [batch_json(view) for view in home.batches.listed(caller.principal)]}


@router.get(PATH + "/{batch_id}")
@needs("ask")
def show_batch(batch_id: str, home: OpenHome, caller: Caller) -> dict[str, Any]:
    """How far a batch is, how long it will take at its pace, and the rows that have no answer."""
    view = _desk(home, caller).view(batch_id)
    failures = home.batch_results.failures(caller.principal, batch_id)
    return {**batch_json(view), "failures": batch_failures_json(failures)}


@router.get(
    PATH + "/{batch_id}/results",
    response_class=Response,
    responses={200: {"content": {media_type: {} for media_type in MEDIA_TYPES.values()}}},
)
@needs("ask")
def download_results(
    batch_id: str, home: OpenHome, caller: Caller, format: Annotated[Format, Query()] = "csv"
) -> Response:
    """What came of every row so far; an answer is there while the caller may read all that it cites."""
    whole = io.BytesIO()
    _desk(home, caller).write(batch_id, format, whole)
    headers = {"Content-Disposition": f'attachment; filename="answers.{format}"'}
    return Response(whole.getvalue(), headers=headers, media_type=MEDIA_TYPES[format])


@router.post(PATH + "/{batch_id}/cancel", status_code=204)
@needs("ask")
def cancel_batch(batch_id: str, home: OpenHome, caller: Caller) -> None:
    """Leave unanswered what waits; what is answered stays."""
    home.batches.cancel(caller.principal, batch_id, caller.actor)


@router.delete(PATH + "/{batch_id}", status_code=204)
@needs("ask")
def delete_batch(batch_id: str, home: OpenHome, caller: Caller) -> None:
    """Delete a batch with its questions and answers; the audit records stay."""
    home.batches.delete(caller.principal, batch_id, caller.actor)


def _desk(home: Home, caller: Identity) -> BatchDesk:
    return BatchDesk(home, caller.principal, caller.actor)
