"""Errors as problem documents (RFC 9457): one table from the branches of `core.errors` to statuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from core.errors import (
    AuditUnavailable,
    Conflict,
    FootnoteError,
    Forbidden,
    LimitExceeded,
    NotFound,
    SourceRefused,
    Transient,
    Unauthenticated,
    UnreadableDocument,
    WrongUsage,
)

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class Outcome:
    """How one branch of errors is told over HTTP; `code` is its word for programs."""

    status: HTTPStatus
    code: str
    headers: Mapping[str, str] = field(default_factory=dict)


OUTCOMES: Mapping[type[FootnoteError], Outcome] = {
    Unauthenticated: Outcome(
        HTTPStatus.UNAUTHORIZED, "unauthenticated", {"WWW-Authenticate": 'Bearer realm="Footnote"'}
    ),
    Forbidden: Outcome(HTTPStatus.FORBIDDEN, "forbidden"),
    NotFound: Outcome(HTTPStatus.NOT_FOUND, "not_found"),
    WrongUsage: Outcome(HTTPStatus.UNPROCESSABLE_ENTITY, "wrong_usage"),
    Conflict: Outcome(HTTPStatus.CONFLICT, "conflict"),
    UnreadableDocument: Outcome(HTTPStatus.UNPROCESSABLE_ENTITY, "unreadable_document"),
    LimitExceeded: Outcome(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "limit_exceeded"),
    SourceRefused: Outcome(HTTPStatus.BAD_GATEWAY, "source_refused"),
    Transient: Outcome(HTTPStatus.SERVICE_UNAVAILABLE, "try_again", {"Retry-After": "2"}),
    AuditUnavailable: Outcome(HTTPStatus.SERVICE_UNAVAILABLE, "audit_unavailable", {"Retry-After": "10"}),
    FootnoteError: Outcome(HTTPStatus.INTERNAL_SERVER_ERROR, "failed"),
}


def problem(
    status: int, code: str, detail: str, headers: Mapping[str, str] | None = None, **members: Any
) -> JSONResponse:
    """A problem document; `title` is the status's own phrase, as RFC 9457 asks of the type `about:blank`."""
    content = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": int(status),
        "detail": detail,
        "code": code,
        **members,
    }
    return JSONResponse(content, int(status), dict(headers or {}), MEDIA_TYPE)


def outcome_of(error: FootnoteError) -> Outcome:
    """What the nearest branch above an error says."""
    return next(OUTCOMES[branch] for branch in type(error).__mro__ if branch in OUTCOMES)


def footnote_problem(error: FootnoteError) -> JSONResponse:
    """One of our errors, in its own words."""
    outcome = outcome_of(error)
    members = {"verdict": error.verdict} if isinstance(error, UnreadableDocument) else {}
    return problem(outcome.status, outcome.code, str(error), outcome.headers, **members)


def unexpected_problem(request_id: str) -> JSONResponse:
    """What is said of a bug: nothing but where to look."""
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    return problem(status, "internal", f"Something failed inside. The log has more under request {request_id}.")


def install(app: FastAPI) -> None:
    """Let every error of `app` leave as a problem document."""
    for known in (FootnoteError, RequestValidationError, HTTPException):
        app.add_exception_handler(known, _tell)


def problem_of(error: FootnoteError | RequestValidationError | HTTPException) -> JSONResponse:
    """The problem document of an error that a request may meet."""
    if isinstance(error, FootnoteError):
        return footnote_problem(error)
    return _invalid(error) if isinstance(error, RequestValidationError) else _refused(error)


def _tell(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, FootnoteError | RequestValidationError | HTTPException)
    return problem_of(error)


def _invalid(error: RequestValidationError) -> JSONResponse:
    faults = [{"where": _place(fault["loc"]), "what": _saying(fault)} for fault in error.errors()]
    detail = "; ".join(f"{fault['where']}: {fault['what']}" for fault in faults[:3])
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", detail, errors=faults)


def _refused(error: HTTPException) -> JSONResponse:
    """What the framework refuses; an error of ours or a full disk that it met while reading a body speaks itself."""
    cause = error.__cause__
    if isinstance(cause, FootnoteError):
        return footnote_problem(cause)
    if isinstance(cause, OSError):
        return footnote_problem(LimitExceeded(f"What was sent could not be kept for reading ({cause.strerror})."))
    status = HTTPStatus(error.status_code)
    detail = {
        HTTPStatus.NOT_FOUND: "There is nothing at this address.",
        HTTPStatus.METHOD_NOT_ALLOWED: "This address does not take that method.",
        HTTPStatus.BAD_REQUEST: "What was sent could not be read: JSON in UTF-8, or a form with a file, is expected.",
    }.get(status, status.phrase)
    return problem(status, status.phrase.lower().replace(" ", "_"), detail, error.headers)


def _place(location: Sequence[int | str]) -> str:
    """Where in the request a fault lies. A name the caller made up is not repeated."""
    return ".".join(str(part) if _is_plain(part) else "…" for part in location)


def _is_plain(part: int | str) -> bool:
    return isinstance(part, int) or (part.isidentifier() and part.isascii() and len(part) <= 40)


def _saying(fault: Mapping[str, Any]) -> str:
    """What is wrong, without the value that is wrong."""
    if fault["type"] == "json_invalid":
        return "this is not JSON"
    return str(fault["msg"])
