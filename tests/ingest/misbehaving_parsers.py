"""Parsers that do what no parser should, for the sandbox's tests: the document's bytes say which."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from core.documents import Block, BlockKind, Parsed
from core.errors import UnreadableDocument

_LIBC = ctypes.CDLL(None)  # loaded with the module, since no library loads once a document is read
_KEPT: list[bytearray] = []


def parse(data: bytes, name: str) -> Parsed:
    """Run the deed that `data` names, then answer with what came of it."""
    deed, _, argument = data.decode().partition(" ")
    return _text(str(DEEDS[deed](argument)))


def _text(text: str) -> Parsed:
    return Parsed(text, (Block(BlockKind.PARAGRAPH, 0, len(text)),), "", "text/plain")


def _loop(_: str) -> str:
    while True:
        pass


def _sleep(_: str) -> str:
    time.sleep(3600)
    return ""


def _allocate(_: str) -> str:
    blocks = []
    while True:
        blocks.append(bytearray(64 * 1024 * 1024))


def _keep(mebibytes: str) -> str:
    _KEPT.append(bytearray(b"x" * (int(mebibytes) * 1024 * 1024)))
    return str(os.getpid())


def _kill(number: str) -> str:
    os.kill(os.getpid(), getattr(signal, number))
    return ""


def _segfault(_: str) -> str:
    ctypes.string_at(0)
    return ""


def _recurse(_: str) -> str:
    return _recurse(_)


def _connect(port: str) -> str:
    try:
        socket.create_connection(("127.0.0.1", int(port)), timeout=2).close()
    except OSError as error:
        return f"refused: {type(error).__name__}"
    return "connected"


def _connect_without_python(port: str) -> str:
    """Connect with the C library, as a hijacked parser could: no audit hook sees it."""
    descriptor = _LIBC.socket(2, 1, 0)
    address = (2).to_bytes(2, sys.byteorder) + int(port).to_bytes(2, "big") + bytes([127, 0, 0, 1]) + bytes(8)
    return "connected" if _LIBC.connect(descriptor, address, len(address)) == 0 else "refused"


def _spawn(_: str) -> str:
    try:
        subprocess.run(["true"], check=True)
    except OSError as error:
        return f"refused: {type(error).__name__}"
    return "spawned"


def _write_file(path: str) -> str:
    try:
        Path(path).write_text("x" * 4096, "ascii")
    except OSError as error:
        return f"refused: {type(error).__name__}"
    return "written"


def _refuse(_: str) -> str:
    raise UnreadableDocument("encrypted", "A password is needed.")


def _raise(_: str) -> str:
    raise ZeroDivisionError("the library's own bug")


def _forge(frame: str) -> str:
    """Write a reply of one's own to the socket, the only one among the inherited descriptors."""
    for descriptor in range(3, 64):
        try:
            if str(Path(f"/proc/self/fd/{descriptor}").readlink()).startswith("socket:"):
                os.write(descriptor, bytes.fromhex(frame))
        except OSError:
            continue
    time.sleep(3600)
    return ""


def _flood(mebibytes: str) -> str:
    return "x" * (int(mebibytes) * 1024 * 1024)


DEEDS: dict[str, Callable[[str], object]] = {
    "loop": _loop,
    "sleep": _sleep,
    "allocate": _allocate,
    "keep": _keep,
    "kill": _kill,
    "segfault": _segfault,
    "recurse": _recurse,
    "connect": _connect,
    "connect-without-python": _connect_without_python,
    "spawn": _spawn,
    "write": _write_file,
    "refuse": _refuse,
    "raise": _raise,
    "forge": _forge,
    "flood": _flood,
    "environment": lambda _: sorted(os.environ),
    "pid": lambda _: os.getpid(),
    "modules": lambda _: sorted({"torch", "sqlalchemy", "faiss", "openvino"} & set(sys.modules)) or "none",
}
