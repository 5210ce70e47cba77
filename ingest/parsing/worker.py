"""The parser process: reads documents from a socket, answers with parsed data, and can do nothing else.

Run as `python -m ingest.parsing.worker PARSER SOCKET LIFELINE LIMITS`: `PARSER` is the import path
(`module:function`) of what turns bytes and a name into `Parsed`, `SOCKET` and `LIFELINE` are inherited file
descriptors, and `LIMITS` are the fields of `Limits` in JSON.
"""

from __future__ import annotations

import fcntl
import importlib
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from core.documents import Parsed
from core.errors import UnreadableDocument
from ingest.parsing.confinement import close_network, confine
from ingest.parsing.damage import sign_of
from ingest.parsing.limits import ALARM_SECONDS, MIB, Limits
from ingest.parsing.time_left import more_time_from
from ingest.parsing.wire import BLOCK, LENGTHS, MORE_TIME, TOKEN_BYTES, failure_frame, frame, parsed_frame

_F_SETSIG = 10  # linux/fcntl.h

_FORBIDDEN_EVENTS = (
    "socket.",
    "subprocess.",
    "os.exec",
    "os.fork",
    "os.posix_spawn",
    "os.system",
    "pty.",
    "ctypes.dlopen",
)


def main(arguments: list[str]) -> None:
    """Serve documents until the parent closes the socket."""
    path, socket, lifeline, encoded = arguments
    limits = Limits(**json.loads(encoded))
    _die_with_parent(int(lifeline))
    network = close_network()
    _bound(limits)
    module, _, function = path.partition(":")
    parse = getattr(importlib.import_module(module), function)
    confinement = confine(network=network)
    sys.addaudithook(_refuse)
    _write(int(socket), *frame(asdict(confinement), b""))
    _serve(int(socket), parse, limits)


def _serve(socket: int, parse: Callable[[bytes, str], Parsed], limits: Limits) -> None:
    while True:
        token = _read(socket, TOKEN_BYTES)
        if not token:
            return
        lengths = _read(socket, LENGTHS.size)
        head_length, body_length = LENGTHS.unpack(lengths)
        name = json.loads(_read(socket, head_length))["name"]
        data = bytes(_read(socket, body_length))
        with more_time_from(_Clock(socket, bytes(token), limits).more):
            reply = _reply(parse, data, name, limits)
        signal.setitimer(signal.ITIMER_REAL, 0)
        del data
        _write(socket, bytes(token), *reply)


def _reply(parse: Callable[[bytes, str], Parsed], data: bytes, name: str, limits: Limits) -> tuple[bytes, bytes]:
    try:
        parsed = parse(data, name)
        if len(parsed.text) > limits.text_bytes or len(parsed.blocks) > limits.blocks:
            raise _too_much(limits)
        reply = parsed_frame(parsed)
        attached = sum(len(attachment.data) for attachment in parsed.attachments)
        text = len(reply[1]) - attached - BLOCK.size * len(parsed.blocks)
        if text > limits.text_bytes or attached > limits.input_bytes:
            raise _too_much(limits)
        if len(reply[0]) > limits.header_bytes:
            raise _too_much(limits)
        return reply
    except UnreadableDocument as failure:
        return failure_frame(failure)
    except MemoryError:
        return failure_frame(
            UnreadableDocument(
                "oom", f"Reading the document needs more than {limits.memory_bytes // MIB} MiB of memory; split it."
            )
        )
    except RecursionError:
        return failure_frame(UnreadableDocument("hostile", "The document is nested too deeply to be read."))
    except Exception as error:  # noqa: BLE001 - parsing libraries raise anything on broken input, and the document is to blame
        cause = f"The document is damaged or not what its kind promises ({sign_of(error)})."
        return failure_frame(UnreadableDocument("malformed", cause))


def _too_much(limits: Limits) -> UnreadableDocument:
    return UnreadableDocument(
        "too_large",
        f"The document holds more than {limits.text_bytes // MIB} MiB of text or {limits.blocks:,} blocks; split it.",
    )


def _die_with_parent(lifeline: int) -> None:
    """Have the kernel kill this process when the parent's end of the `lifeline` pipe closes, however the parent ends.

    PR_SET_PDEATHSIG would fire when the parent's *thread* ends that started us.
    """
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, _F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)


def _bound(limits: Limits) -> None:
    bounds = {
        resource.RLIMIT_AS: limits.memory_bytes,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: limits.open_files,
        resource.RLIMIT_NPROC: 0,
    }
    for what, bound in bounds.items():
        _, hard = resource.getrlimit(what)
        lowest = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(what, (lowest, lowest))


class _Clock:
    """Gives one document its time, and ends the process if the parent should fail to."""

    def __init__(self, socket: int, token: bytes, limits: Limits) -> None:
        self._socket, self._token, self._limits = socket, token, limits
        self._began = time.monotonic()
        self._start(limits.seconds)

    def more(self) -> None:
        """Begin the time of a document anew, for a picture, as the parent does when it is told."""
        left = self._began + max(self._limits.picture_seconds, self._limits.seconds) - time.monotonic()
        _write(self._socket, self._token, MORE_TIME)
        self._start(max(0.001, min(self._limits.seconds, left)))

    def _start(self, seconds: float) -> None:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        used = usage.ru_utime + usage.ru_stime
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        resource.setrlimit(resource.RLIMIT_CPU, (int(used + seconds) + 1, hard))
        signal.setitimer(signal.ITIMER_REAL, seconds + ALARM_SECONDS)


def _refuse(event: str, _: tuple[Any, ...]) -> None:
    """An audit hook (PEP 578): hooks cannot be removed, so no Python code of a library opens sockets or programs."""
    if event.startswith(_FORBIDDEN_EVENTS):
        raise PermissionError(f"a parser may not use {event}")


def _read(descriptor: int, length: int) -> bytearray:
    """Exactly `length` bytes, or none if the parent is gone."""
    data = bytearray(length)
    view = memoryview(data)
    filled = 0
    while filled < length:
        count = os.readv(descriptor, [view[filled:]])
        if count == 0:
            return bytearray()
        filled += count
    return data


def _write(descriptor: int, *pieces: bytes) -> None:
    for piece in pieces:
        view = memoryview(piece)
        while view:
            view = view[os.write(descriptor, view) :]


if __name__ == "__main__":
    main(sys.argv[1:])
