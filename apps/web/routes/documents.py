"""Documents: bringing one in, listing and reading what one may read, deleting."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Annotated, Any, cast
from urllib.parse import quote

from fastapi import APIRouter, Form, Query, Request, Response, UploadFile
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import TypeAdapter

from apps.rendering import document_json, near_json
from apps.web.guard import Administrator, Caller, GuardedRoute, OpenHome, needs
from apps.web.requests import Name
from apps.why import explained
from apps.work import Work
from core.errors import LimitExceeded, NotFound, UnreadableDocument, Verdict, WrongUsage
from core.principals import Grantee, parse_grantee
from governance.access.membership import unknown
from governance.access.rules import AccessLists
from wiring.home import Home

PATH = "/v1/documents"
router = APIRouter(route_class=GuardedRoute, tags=["documents"])

_NAMES = TypeAdapter(list[Name])
_ID = re.compile(r"[0-9a-f]{32}")
_UNSAFE_IN_NAME = re.compile(r"[^A-Za-z0-9._-]+")


@router.post(PATH, status_code=201)
@needs("write")
def upload(
    administration: Administrator,
    home: OpenHome,
    response: Response,
    file: UploadFile,
    source: Annotated[Name, Form()] = "uploads",
    external_id: Annotated[Name | None, Form()] = None,
    allow: Annotated[Sequence[str], Form(max_length=1000)] = (),
    deny: Annotated[Sequence[str], Form(max_length=1000)] = (),
    wait: Annotated[bool, Query(description="false: answer 202 at once; a worker brings it in.")] = True,
) -> dict[str, Any]:
    """Bring one document in, or a new version of it; whom `allow` does not name cannot read it.

    `allow` and `deny` take a principal each time they are sent, or a JSON list of principals.
    """
    lists = AccessLists(_grantees(allow), _grantees(deny))
    name = external_id or file.filename or ""
    if not wait:
        job_id = Work(administration).upload_later(source, name, _bytes_of(file, home), lists)
        response.status_code = 202
        response.headers["Location"] = f"/v1/jobs/{job_id}"
        return {"job_id": job_id, "external_id": name, "warnings": _access_warnings(home, lists)}
    report, document_id = administration.upload(source, name, _bytes_of(file, home), lists)
    failed = [failure for failure in report.failures if failure.verdict != "partial"]
    if failed:
        failure = failed[0]
        raise UnreadableDocument(cast(Verdict, failure.verdict), failure.cause)
    if not report.added:
        response.status_code = 200
    response.headers["Location"] = f"{PATH}/{document_id}"
    warnings = [*report.warnings, *_access_warnings(home, lists)]
    return {**report.to_json(), "document_id": document_id, "external_id": name, "warnings": warnings}


@router.get(PATH)
@needs("read")
def list_documents(home: OpenHome, caller: Caller) -> list[dict[str, Any]]:
    """Every document the caller may read."""
    return [document_json(view) for view in home.gate.documents(caller.principal)]


@router.get(PATH + "/{document_id}")
@needs("read")
def show_document(document_id: str, home: OpenHome, caller: Caller) -> dict[str, Any]:
    """One document's record, and the documents that the caller may read and that say nearly the same."""
    view = home.gate.document(caller.principal, _checked(document_id))
    return {**document_json(view), **near_json(home.near_duplicates.readable(caller.principal, view.document_id))}


@router.get(PATH + "/{document_id}/text", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
@needs("read")
def show_text(
    document_id: str,
    request: Request,
    home: OpenHome,
    caller: Caller,
    version: Annotated[int | None, Query(ge=1, le=2**31 - 1, description="An earlier one; unset: the current.")] = None,
) -> Response:
    """The stored text that citations point into, as plain text; with `Accept: application/json`, in its record.

    An earlier version is shown to who may read the document now and could read that version then.
    """
    view, text = home.disclosure.text(caller.principal, _checked(document_id), caller.actor, version)
    if "application/json" in request.headers.get("accept", ""):
        near = home.near_duplicates.readable(caller.principal, view.document_id)
        return JSONResponse({**document_json(view), **near_json(near), "text": text})
    return PlainTextResponse(text, headers={"Footnote-Document-Version": str(view.version)})


@router.get(
    PATH + "/{document_id}/content",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}}},
)
@needs("content")
def show_content(document_id: str, home: OpenHome, caller: Caller) -> Response:
    """The bytes the document came as, to be saved: whatever they are, a browser does not run them."""
    view, data = home.disclosure.content(caller.principal, _checked(document_id), caller.actor)
    headers = {"Content-Disposition": _attachment(view.external_id)}
    return Response(data, headers=headers, media_type="application/octet-stream")


@router.get(PATH + "/{document:path}/why")
@needs("admin")
def why_document(document: Name, administration: Administrator) -> dict[str, Any]:
    """Why a document, by its id or its name in its source, can or cannot be found; for administrators."""
    return explained(administration, document)


@router.delete(PATH + "/{document_id}", status_code=204)
@needs("write")
def delete_document(document_id: str, home: OpenHome, caller: Caller, administration: Administrator) -> None:
    """Delete a document: an administrator any, others one that they may read."""
    _checked(document_id)
    if "admin" not in caller.scopes:
        home.gate.document(caller.principal, document_id)
    administration.delete_documents([document_id])


def _checked(document_id: str) -> str:
    """An id that can be one of ours; anything else names no document."""
    if not _ID.fullmatch(document_id):
        raise NotFound("document", document_id)
    return document_id


def _bytes_of(file: UploadFile, home: Home) -> bytes:
    limit = home.settings.max_document_bytes
    data = file.file.read(limit + 1)
    if len(data) > limit:
        raise LimitExceeded(f"The document is longer than the limit of {limit:,} bytes; split it.")
    return data


def _grantees(fields: Iterable[str]) -> frozenset[Grantee]:
    return frozenset(parse_grantee(name) for entry in fields for name in _names(entry))


def _names(entry: str) -> Sequence[str]:
    """One form field: a principal, or a JSON list of them."""
    if not entry.lstrip().startswith("["):
        return [entry]
    try:
        return _NAMES.validate_json(entry)
    except ValueError as error:
        raise WrongUsage('allow and deny take user:ana, or a JSON list such as ["group:staff"].') from error


def _access_warnings(home: Home, lists: AccessLists) -> list[str]:
    if not lists.allow:
        return ["Nobody may read this document: `allow` named nobody."]
    with home.catalog.read() as session:
        return [
            f"{grantee} is not known yet; the name is kept." for grantee in unknown(session, lists.allow | lists.deny)
        ]


def _attachment(external_id: str) -> str:
    """RFC 6266: a plain name for old clients, and the exact one beside it."""
    name = external_id.rpartition("/")[2] or "document"
    plain = _UNSAFE_IN_NAME.sub("_", name).lstrip(".") or "document"
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
