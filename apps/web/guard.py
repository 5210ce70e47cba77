"""Which scope a route needs, checked before anything of the request's body is read."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.routing import APIRoute

from apps.administration import Administration
from apps.web.metrics import Metrics
from apps.web.sign_in import identify
from core.errors import Forbidden
from governance.identity import Identity, Scope
from wiring.home import Home

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
_ATTRIBUTE = "footnote_needs"


@dataclass(frozen=True)
class Needs:
    """Who may call a route: anybody at all, or a known caller with one of `scopes` (with none named, any)."""

    public: bool = False
    scopes: tuple[Scope, ...] = ()

    def check(self, identity: Identity) -> None:
        """Raise `Forbidden` unless one of the scopes is there."""
        if self.scopes and identity.scopes.isdisjoint(self.scopes):
            raise Forbidden(self.scopes[0])


def needs(*scopes: Scope) -> Callable[[Endpoint], Endpoint]:
    """Declare that an endpoint takes known callers only, with one of `scopes`."""
    return _declare(Needs(scopes=scopes))


def public(endpoint: Endpoint) -> Endpoint:
    """Declare that an endpoint takes anybody."""
    return _declare(Needs(public=True))(endpoint)


def _declare(need: Needs) -> Callable[[Endpoint], Endpoint]:
    def declare(endpoint: Endpoint) -> Endpoint:
        setattr(endpoint, _ATTRIBUTE, need)
        return endpoint

    return declare


class GuardedRoute(APIRoute):
    """A route whose endpoint declares what it needs; one that declares nothing cannot be made."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        need: Needs | None = getattr(self.endpoint, _ATTRIBUTE, None)
        if need is None:
            raise TypeError(f"{self.path} does not say who may call it")
        if need.public:
            return handle

        async def guarded(request: Request) -> Response:
            identity = await run_in_threadpool(identify, home_of(request).catalog, request)
            request.state.identity = identity
            need.check(identity)
            return await handle(request)

        return guarded


def home_of(request: Request) -> Home:
    home: Home = request.app.state.home
    return home


def metrics_of(request: Request) -> Metrics:
    metrics: Metrics = request.app.state.metrics
    return metrics


def caller_of(request: Request) -> Identity:
    """The identity that `GuardedRoute` found; a public endpoint has none to ask for."""
    identity: Identity = request.state.identity
    return identity


# Coroutines, because FastAPI would send plain functions to a thread.
async def _home(request: Request) -> Home:
    return home_of(request)


async def _metrics(request: Request) -> Metrics:
    return metrics_of(request)


async def _caller(request: Request) -> Identity:
    return caller_of(request)


async def _administration(request: Request) -> Administration:
    identity = caller_of(request)
    return Administration(home_of(request), identity.principal, identity.actor)


OpenHome = Annotated[Home, Depends(_home)]
AppMetrics = Annotated[Metrics, Depends(_metrics)]
Caller = Annotated[Identity, Depends(_caller)]
Administrator = Annotated[Administration, Depends(_administration)]
