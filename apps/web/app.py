"""The web application of one home: its routes, and the layers around them."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import FastAPI

from apps.batches import MAX_FILE_BYTES
from apps.web import problems
from apps.web.body_limit import FORM_OVERHEAD_BYTES, BodyLimit
from apps.web.boundary import Boundary
from apps.web.home_figures import HomeFigures
from apps.web.metrics import Metrics
from apps.web.readiness import Readiness
from apps.web.routes import (
    batches,
    chat,
    conversations,
    documents,
    feedback,
    groups,
    jobs,
    keys,
    operations,
    page,
    questions,
    session,
    slack,
    sources,
)
from apps.web.sign_in import COOKIE
from core.answers import Hit, Passage
from core.logs import json_log
from generation.compose import compose
from governance.identity import ADMINISTRATOR
from wiring.home import Home

_SECURITY_SCHEMES = {
    "key": {"type": "http", "scheme": "bearer", "description": "An API key."},
    "cookie": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "From POST /v1/session."},
}
_PROBLEM = {
    "description": "A problem document (RFC 9457)",
    "content": {
        problems.MEDIA_TYPE: {
            "schema": {
                "type": "object",
                "required": ["type", "title", "status", "detail", "code"],
                "properties": {
                    "type": {"type": "string"},
                    "title": {"type": "string"},
                    "status": {"type": "integer"},
                    "detail": {"type": "string"},
                    "code": {"type": "string"},
                },
            }
        }
    },
}


class WebApp(FastAPI):
    """FastAPI, with the two ways to sign in added to its description."""

    def openapi(self) -> dict[str, Any]:
        document = super().openapi()
        document.setdefault("components", {})["securitySchemes"] = _SECURITY_SCHEMES
        document["security"] = [{name: []} for name in _SECURITY_SCHEMES]
        return document


def create_app(home: Home) -> FastAPI:
    """The app that serves `home`, which the caller opens and closes. Loads the models, so that no question waits."""
    _build_parts(home)
    _warm_up(home)
    app = WebApp(
        title="Footnote",
        version=version("footnote"),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        responses={422: _PROBLEM, "default": _PROBLEM},
        # FastAPI's own would send paths and the words of errors, which may quote what somebody wrote; ours is Boundary.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.home = home
    app.state.metrics = Metrics(HomeFigures(home))
    app.state.readiness = Readiness(home)
    for subject in (
        page,
        operations,
        session,
        questions,
        conversations,
        batches,
        feedback,
        chat,
        documents,
        groups,
        keys,
        sources,
        jobs,
        slack,
    ):
        app.include_router(subject.router)
    problems.install(app)
    upload_limit = home.settings.max_document_bytes + FORM_OVERHEAD_BYTES
    batch_limit = MAX_FILE_BYTES + FORM_OVERHEAD_BYTES
    app.add_middleware(BodyLimit, limits={documents.PATH: upload_limit, batches.PATH: batch_limit})
    app.add_middleware(Boundary, metrics=app.state.metrics, log=json_log(home.settings.log_level))
    return app


def _build_parts(home: Home) -> None:
    """Build what requests share before they come: on several threads at once, each might build its own."""
    _ = (
        home.audit,
        home.gate,
        home.disclosure,
        home.search,
        home.conversing,
        home.feedback,
        home.batches,
        home.batch_results,
        home.batch_runner,
        home.ingestion,
        home.index_reader,
    )


def _warm_up(home: Home) -> None:
    """Answer one question from nobody's document: what compiles or loads on first use does so now."""
    text = "Everybody has 27 days of leave a year."
    passage = Passage(0, "", "", 1, "", "", "", "Leave", (), None, 0, len(text), text, "en")
    compose("How many days of leave are there?", ADMINISTRATOR, [Hit(1, 1.0, passage)], home.ask.answerer, home.encoder)
