"""The client of vLLM's OpenAI-compatible server: pooled, bounded in time, and gone the moment its caller is."""

from __future__ import annotations

import asyncio
import json
import queue
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from functools import partial
from typing import Any

import aiohttp

from core.answers import Mode
from core.errors import ModelFailed, ModelFailure
from core.telemetry import carry, span
from inference.chat import ChatMessage, ChatRequest
from inference.vllm.endpoints import Endpoint, Endpoints, EndpointState
from inference.vllm.events import Piece, events, lines

_CONNECT_S = 1.0
_OK, _NOT_FOUND = 200, 404
# Shorter than vLLM's own 5 s (VLLM_HTTP_TIMEOUT_KEEP_ALIVE), so that no request meets a connection being closed.
_KEPT_S = 3.0
# A server that writes less than this within the patience is as good as stalled: nobody reads as slowly.
_LEAST_PIECES = 3
# After the last event its connection is free again once the response has ended too, which takes no time in health.
_END_S = 0.1


# The server is well: it has all it can take, or no server would take this request.
_WELL: tuple[ModelFailure, ...] = ("busy", "unfit")


class VllmChat:
    """A model behind one or several servers, each reached over pooled connections from one event loop on a thread.

    Cancelling a request, or closing its iterator, closes its connection, at which vLLM aborts the generation. Until
    the first token another server is tried once; after it a failure is final, because what was said is said.
    """

    def __init__(self, urls: Sequence[str], api_key: str | None = None, model: str = "") -> None:
        """`urls` end in `/v1`. Without `model` each server is asked for the first one that it names."""
        self._endpoints = Endpoints([url.rstrip("/") for url in urls])
        self._headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._model = model
        self._heard = ""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="footnote-vllm", daemon=True)
        self._thread.start()
        self._http = asyncio.run_coroutine_threadsafe(_session(), self._loop).result()

    @property
    def mode(self) -> Mode:
        return "vllm"

    @property
    def model(self) -> str:
        return self._model or self._heard or "vllm"

    def states(self) -> list[EndpointState]:
        """What each server is doing, in the order of the settings."""
        return self._endpoints.states()

    def answering(self, within_s: float) -> list[bool]:
        """Which servers would write, by what they say within this time, in the order of the settings.

        They are well, take our key, and serve our model. No request counts for that.
        """

        async def asked() -> list[bool]:
            return await asyncio.gather(*(self._would_write(state.url, within_s) for state in self.states()))

        return asyncio.run_coroutine_threadsafe(asked(), self._loop).result()

    async def _would_write(self, url: str, within_s: float) -> bool:
        try:
            async with asyncio.timeout(within_s):
                async with self._http.get(f"{url.removesuffix('/v1')}/health", allow_redirects=False) as health:
                    if health.status != _OK:
                        return False
                served = await _served_by(self._http, url, self._headers)
        except (TimeoutError, aiohttp.ClientError, ModelFailed):
            return False
        return not self._model or self._model in served

    def close(self) -> None:
        """Close every connection; what is being written ends."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _end(self) -> None:
        writing = asyncio.all_tasks() - {asyncio.current_task()}
        for task in writing:
            task.cancel()
        await asyncio.gather(*writing, return_exceptions=True)
        await self._http.close()

    def stream(self, messages: Sequence[ChatMessage], request: ChatRequest) -> Generator[Piece, None, None]:
        """As `ChatModel.stream`."""
        pieces: queue.SimpleQueue[Piece | None] = queue.SimpleQueue()
        headers = dict(self._headers)
        with span("model"):
            carry(headers)
            written = asyncio.run_coroutine_threadsafe(
                self._write(_body(messages, request), headers, request, pieces.put), self._loop
            )
            request.cancel.on_cancel(partial(_cancel, written))
            written.add_done_callback(lambda _: pieces.put(None))
            try:
                while (piece := pieces.get()) is not None:
                    yield piece
            finally:
                written.cancel()
        with suppress(CancelledError):
            written.result()

    async def _write(
        self, body: dict[str, Any], headers: dict[str, str], request: ChatRequest, put: Callable[[Piece], None]
    ) -> None:
        """Have a server write; before the first token a second one may be tried, within the same patience."""
        until, deadline = self._loop.time() + request.patience_s, self._loop.time() + request.deadline_s
        tried: list[Endpoint] = []
        failure = ModelFailed("left_out", "No vLLM server has answered lately; each is tried again in a moment.")
        while (endpoint := self._endpoints.take(besides=tried)) is not None:
            tried.append(endpoint)
            started = False
            try:
                async with asyncio.timeout_at(deadline):
                    async for piece in self._pieces(endpoint, body, headers, until, request.patience_s):
                        started = True
                        put(piece)
            except (ModelFailed, TimeoutError, aiohttp.ClientError) as error:
                failure = error if isinstance(error, ModelFailed) else _failure(error)
                (self._endpoints.left if failure.kind in _WELL else self._endpoints.failed)(endpoint)
                if started or failure.kind == "unfit" or self._loop.time() >= min(until, deadline):
                    break
            except BaseException:
                # The caller left, or something of ours failed: neither tells anything about the server.
                self._endpoints.left(endpoint)
                raise
            else:
                self._endpoints.succeeded(endpoint)
                return
        raise failure

    async def _pieces(
        self, endpoint: Endpoint, body: dict[str, Any], headers: dict[str, str], until: float, patience_s: float
    ) -> AsyncIterator[Piece]:
        """The pieces of one answer. The first must have come by `until`; after each, `_LEAST_PIECES` more, or the last,
        within the patience."""
        came: deque[float] = deque(maxlen=_LEAST_PIECES)
        async with asyncio.timeout_at(until) as waiting:
            body = {**body, "model": await self._served(endpoint, headers)}
            request = self._http.post(
                f"{endpoint.url}/chat/completions", json=body, headers=headers, allow_redirects=False
            )
            async with request as response:
                if response.status == _NOT_FOUND:
                    # Started anew with another model, perhaps: it is asked again before the next request.
                    endpoint.served = ""
                if response.status != _OK:
                    raise _refusal(response.status)
                received = lines(response.content.iter_any())
                async for pieces in events(received):
                    if pieces:
                        came.append(self._loop.time())
                        waiting.reschedule(came[0] + patience_s)
                    for piece in pieces:
                        yield piece
                waiting.reschedule(None)
                with suppress(TimeoutError):
                    async with asyncio.timeout(_END_S):
                        async for _ in received:
                            pass

    async def _served(self, endpoint: Endpoint, headers: dict[str, str]) -> str:
        """The model's name; without one in the settings, the first that this server names, which is asked once."""
        if self._model:
            return self._model
        if not endpoint.served:
            endpoint.served = self._heard = (await _served_by(self._http, endpoint.url, headers))[0]
        return endpoint.served


async def _session() -> aiohttp.ClientSession:
    """Connections of the loop that runs; proxies of the environment would see every passage, so none is used."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEPT_S),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        json_serialize=partial(json.dumps, ensure_ascii=False),
        trust_env=False,
    )


async def _served_by(http: aiohttp.ClientSession, url: str, headers: Mapping[str, str]) -> list[str]:
    """The names of the models that a server serves, one at least."""
    async with http.get(f"{url}/models", headers=headers, allow_redirects=False) as response:
        if response.status != _OK:
            raise _refusal(response.status)
        said = await response.read()
    try:
        names = [str(entry["id"]) for entry in json.loads(said)["data"]]
    except (ValueError, LookupError, TypeError) as error:
        raise ModelFailed("refused", "vLLM did not say which model it serves.") from error
    if not names:
        raise ModelFailed("refused", "vLLM says that it serves no model.")
    return names


def _body(messages: Sequence[ChatMessage], request: ChatRequest) -> dict[str, Any]:
    """A request of one fixed shape: nothing that a caller of ours sends becomes a parameter of vLLM."""
    body: dict[str, Any] = {
        "messages": [{"role": message.role, "content": message.content} for message in messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_completion_tokens": request.max_tokens,
        "temperature": 0,
        "seed": 0,
    }
    if request.priority:
        body["priority"] = request.priority
    if request.cache_salt:
        body["cache_salt"] = request.cache_salt
    if request.regex:
        body["structured_outputs"] = {"regex": request.regex}
    return body


def _cancel(written: Future[None]) -> None:
    written.cancel()


def _refusal(status: int) -> ModelFailed:
    if status in (429, 503):
        return ModelFailed("busy", f"vLLM is busy (status {status}).")
    setting = {401: "vllm_api_key", 403: "vllm_api_key", 404: "vllm_urls and vllm_model"}.get(status)
    if setting:
        return ModelFailed("refused", f"vLLM refused with status {status}: see {setting}.")
    if 400 <= status < 500:
        return ModelFailed("unfit", f"vLLM refused this request with status {status}.")
    return ModelFailed("refused", f"vLLM refused with status {status}.")


def _failure(error: Exception) -> ModelFailed:
    """In words of ours: those of a server may quote what it was sent."""
    if isinstance(error, TimeoutError):
        return ModelFailed("late", "vLLM did not answer in time.")
    if isinstance(error, aiohttp.ClientConnectorError):
        return ModelFailed("unreachable", "vLLM cannot be reached.")
    return ModelFailed("broken", "The connection to vLLM broke.")
