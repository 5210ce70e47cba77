"""The page: static files, and nothing a browser would have to fetch from elsewhere."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import FileResponse

from apps.web.guard import GuardedRoute, public
from core.errors import NotFound

STATIC = Path(__file__).parent.parent / "static"
MODULES = frozenset(script.stem for script in STATIC.glob("*.js"))
router = APIRouter(route_class=GuardedRoute, include_in_schema=False)


@router.get("/")
@public
async def index() -> FileResponse:
    return _file("index.html", "text/html; charset=utf-8")


@router.get("/{module}.js")
@public
async def script(module: str) -> FileResponse:
    if module not in MODULES:
        raise NotFound("page", f"/{module}.js")
    return _file(f"{module}.js", "text/javascript; charset=utf-8")


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
