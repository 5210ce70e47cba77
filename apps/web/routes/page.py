"""The page: static files, and nothing a browser would have to fetch from elsewhere."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse

from apps.web.guard import GuardedRoute, public

STATIC = Path(__file__).parent.parent / "static"
router = APIRouter(route_class=GuardedRoute, include_in_schema=False)


@router.get("/")
@public
async def index() -> FileResponse:
    return _file("index.html", "text/html; charset=utf-8")


@router.get("/app.js")
@public
async def script() -> FileResponse:
    return _file("app.js", "text/javascript; charset=utf-8")


@router.get("/style.css")
@public
async def style() -> FileResponse:
    return _file("style.css", "text/css; charset=utf-8")


@router.get("/icon.svg")
@public
async def icon() -> FileResponse:
    return _file("icon.svg", "image/svg+xml")


def _file(name: str, media_type: str) -> FileResponse:
    # Asked for anew each time, so that a page never meets the script of another version.
    return FileResponse(STATIC / name, media_type=media_type, headers={"Cache-Control": "no-cache"})
