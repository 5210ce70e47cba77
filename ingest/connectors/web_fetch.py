"""Asking the web for a page without being led into one's own network, and without waiting or storing without end."""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any

from core.errors import Transient, UnreadableDocument
from ingest.connectors.reach import Address, Reach
from ingest.connectors.web_url import AddressRefused, WebUrl

REDIRECTS = 5
SECONDS = 60.0
CONNECT_SECONDS = 10.0
_PIECE = 64 * 1024
_REDIRECTING = frozenset(
    (
        HTTPStatus.MOVED_PERMANENTLY,
        HTTPStatus.FOUND,
        HTTPStatus.SEE_OTHER,
        HTTPStatus.TEMPORARY_REDIRECT,
        HTTPStatus.PERMANENT_REDIRECT,
    )
)
_GZIP = 16 + zlib.MAX_WBITS  # zlib.h, inflateInit2: a gzip header is to be there

Resolve = Callable[[str, int], Sequence[str]]
"""The addresses of a host, as text."""
Connect = Callable[[str, int, float], socket.socket]
"""A connection to an address (never a name) and port, made within so many seconds."""


@dataclass(frozen=True)
class Fetched:
    """What a page's address has answered: of a redirect that was followed, what its end did, at `url`.

    Names of headers are in lower case; of one that came twice, the values are joined by commas.
    """

    url: WebUrl
    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


def resolved(host: str, port: int) -> list[str]:
    """The addresses that the system's resolver knows of a host."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def connected(address: str, port: int, seconds: float) -> socket.socket:
    return socket.create_connection((address, port), timeout=seconds)


class WebClient:
    """Asks for one page after the other, each over a connection of its own; no cookies, no proxies, no credentials.

    A host is resolved once for each request, all of its addresses are judged by `reach`, and the connection is made
    to one that was judged, so that a second answer of the name service is never asked for. The host's name goes into
    the request and the check of its certificate (`tls`). A redirect is a new request with all of this.
    """

    def __init__(
        self,
        reach: Reach,
        agent: str,
        *,
        tls: ssl.SSLContext | None = None,
        seconds: float = SECONDS,
        resolve: Resolve = resolved,
        connect: Connect = connected,
    ) -> None:
        """`agent` is the User-Agent; `seconds` bounds a request with all its redirects."""
        self._reach, self._agent, self._seconds = reach, agent, seconds
        self._tls = tls or ssl.create_default_context()
        self._resolve, self._connect = resolve, connect

    def get(
        self,
        url: WebUrl,
        limit: int,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        may_follow: Callable[[WebUrl], bool] = lambda _: True,
    ) -> Fetched:
        """Ask for a page; `limit` bounds its bytes, both as they are sent and inflated.

        A redirect that `may_follow` refuses is returned as it is. Raises `AddressRefused`, `Transient` where the host
        cannot be reached, breaks off or is too slow, and `UnreadableDocument` for more than `limit` bytes ("too_large")
        and more than `REDIRECTS` redirects.
        """
        deadline = time.monotonic() + self._seconds
        for _ in range(REDIRECTS + 1):
            answer = self._once(url, method, headers or {}, limit, deadline)
            if answer.status not in _REDIRECTING or not answer.headers.get("location"):
                return answer
            target = url.joined(_location(answer.headers["location"]))
            if not may_follow(target):
                return answer
            url = target
        raise UnreadableDocument(
            "unreadable", f"Its address leads from one to the next more than {REDIRECTS} times; repair the redirects."
        )

    def _once(self, url: WebUrl, method: str, headers: Mapping[str, str], limit: int, deadline: float) -> Fetched:
        addresses = self._judged(url)
        try:
            line = self._line(url, addresses, deadline)
            try:
                # It opens nothing itself: it is given the line, and its own way to open one is shut.
                connection = http.client.HTTPConnection(url.host, url.port)
                connection.auto_open = 0
                connection.sock = _Line(line, deadline)
                connection.putrequest(method, url.target, skip_host=True, skip_accept_encoding=True)
                for name, value in {
                    "Host": url.authority,
                    "User-Agent": self._agent,
                    "Accept": "*/*",
                    "Accept-Encoding": "gzip",
                    "Connection": "close",
                    **headers,
                }.items():
                    connection.putheader(name, value)
                connection.endheaders()
                with connection.getresponse() as response:
                    return Fetched(url, response.status, _headers(response), _body(response, limit))
            finally:
                line.close()
        except TimeoutError as error:
            raise Transient(f"{url.host} did not answer within {self._seconds:g} s.") from error
        except (OSError, http.client.HTTPException) as error:
            raise Transient(f"{url.host} could not be asked ({type(error).__name__}).") from error

    def _judged(self, url: WebUrl) -> list[Address]:
        """Every address of the host, all of them allowed: one that is not speaks against the host as a whole."""
        self._reach.check_port(url)
        try:
            addresses = [ip_address(text) for text in dict.fromkeys(self._resolve(url.host, url.port))]
        except (OSError, UnicodeError) as error:
            raise Transient(f"The name {url.host} could not be resolved.") from error
        except ValueError as error:
            raise AddressRefused(f"The name {url.host} leads to something that is no address.") from error
        if not addresses:
            raise Transient(f"The name {url.host} has no address.")
        for address in addresses:
            self._reach.check(url, address)
        return addresses

    def _line(self, url: WebUrl, addresses: Sequence[Address], deadline: float) -> socket.socket:
        problem: OSError = TimeoutError()
        for address in addresses:
            try:
                line = self._connect(str(address), url.port, min(CONNECT_SECONDS, _left(deadline)))
            except OSError as error:
                problem = error
                continue
            if url.scheme == "http":
                return line
            try:
                line.settimeout(_left(deadline))
                return self._tls.wrap_socket(line, server_hostname=url.host)
            except BaseException:
                line.close()
                raise
        raise problem


def inflated(pieces: Iterable[bytes], limit: int) -> bytes:
    """What gzip members hold, one after the other; raises `UnreadableDocument`: "too_large", "malformed"."""
    data = bytearray()
    member = zlib.decompressobj(_GZIP)
    for piece in pieces:
        while piece:
            if member.eof:
                member = zlib.decompressobj(_GZIP)
            try:
                data += member.decompress(piece, limit + 1 - len(data))
            except zlib.error as error:
                raise UnreadableDocument("malformed", "What it sent as gzip is none; ask its owner.") from error
            if len(data) > limit:
                raise _too_large(limit)
            piece = member.unconsumed_tail or member.unused_data
    if not member.eof:
        raise Transient("A compressed answer broke off.")
    return bytes(data)


def _body(response: http.client.HTTPResponse, limit: int) -> bytes:
    """The body, refused as soon as it is too long, as sent or as inflated."""
    if response.length is not None and response.length > limit:
        raise _too_large(limit)
    encoding = (response.getheader("content-encoding") or "identity").strip().lower()
    if encoding not in ("identity", "gzip", "x-gzip"):
        raise UnreadableDocument("unsupported", "It was sent in a compression that was not asked for; ask its owner.")
    pieces = _pieces(response, limit)
    first = next(pieces, b"")
    if not first or encoding == "identity":
        return b"".join((first, *pieces))
    return inflated(_again(first, pieces), limit)


def _again(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _pieces(response: http.client.HTTPResponse, limit: int) -> Iterator[bytes]:
    received = 0
    while piece := response.read(_PIECE):
        received += len(piece)
        if received > limit:
            raise _too_large(limit)
        yield piece
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)


def _headers(response: http.client.HTTPResponse) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in response.getheaders():
        headers[name.lower()] = f"{headers[name.lower()]}, {value}" if name.lower() in headers else value
    return headers


def _location(value: str) -> str:
    """A Location as its sender meant it: http.client reads headers as Latin-1, and UTF-8 is what is sent."""
    try:
        return value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return value


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _too_large(limit: int) -> UnreadableDocument:
    return UnreadableDocument("too_large", f"It is longer than the limit of {limit:,} bytes; split it.")


class _Line:
    """A socket as http.client uses one; every wait ends at the request's deadline, however little comes at once."""

    def __init__(self, line: socket.socket, deadline: float) -> None:
        self._socket, self._deadline = line, deadline

    def sendall(self, data: Any) -> None:
        self._socket.settimeout(_left(self._deadline))
        self._socket.sendall(data)

    def makefile(self, _: str) -> io.BufferedReader:
        return io.BufferedReader(_Incoming(self._socket, self._deadline))

    def close(self) -> None:
        """Left to whoever opened it: an answer is read after http.client has let go."""


class _Incoming(io.RawIOBase):
    def __init__(self, line: socket.socket, deadline: float) -> None:
        self._socket, self._deadline = line, deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._socket.settimeout(_left(self._deadline))
        return self._socket.recv_into(buffer)
