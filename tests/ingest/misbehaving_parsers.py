"""Parsers that do what no parser should, for the sandbox's tests: the document's bytes say which."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from core.documents import Block, BlockKind, Parsed
from core.errors import UnreadableDocument
from ingest.parsing.time_left import PictureTime

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


def _abort(mebibytes: str) -> str:
    """End as a C++ library does whose allocation is refused, holding so much."""
    _keep(mebibytes)
    os.abort()


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


def _forge(reply: str) -> str:
    """Write a reply of one's own to the socket, with the token of this document, as one can who rules the process."""
    _say(_local("token") + bytes.fromhex(reply))
    time.sleep(3600)
    return ""


def _say(data: bytes) -> None:
    """Write to the socket, the only one among the inherited descriptors."""
    for descriptor in range(3, 64):
        try:
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                os.write(descriptor, data)
        except OSError:
            continue


def _local(name: str) -> bytes:
    """What a caller of the parser knows by this name."""
    frame = sys._getframe()
    while name not in frame.f_locals and frame.f_back is not None:
        frame = frame.f_back
    return bytes(frame.f_locals[name])


def _answer_early(reply: str) -> str:
    """Write a reply to the next document before this one's."""
    _say(bytes(16) + bytes.fromhex(reply))
    return "early"


def _answer_later(reply: str) -> str:
    """Have a reply to the next document follow this one's."""
    worker = sys.modules["__main__"]
    write = worker._write

    def write_more(descriptor: int, *pieces: bytes) -> None:
        write(descriptor, *pieces, bytes(16), bytes.fromhex(reply))

    worker._write = write_more  # type: ignore[attr-defined]
    return "later"


def _answer_forever(_: str) -> str:
    """Write without end, a reply that is long but allowed first."""
    _say(_local("token") + bytes.fromhex("0000000000000002" + "0000000000200000") + b"{}")
    while True:
        _say(b"x" * 1024 * 1024)


def _recognize(times: str) -> str:
    """Ask for time as over pictures of text, each of which takes most of it; without end where there is no number."""
    asked, clock = 0, PictureTime()
    while not times or asked < int(times):
        clock.suffices()
        asked += 1
        time.sleep(0.4)
    return str(asked)


def _ask_only(_: str) -> str:
    """Ask for time and do nothing with it."""
    while True:
        PictureTime().suffices()


def _fork(_: str) -> str:
    """Multiply by the C library; no audit hook sees it."""
    children = 0
    for _ in range(20):
        child = _LIBC.fork()
        if child == 0:
            while True:
                _LIBC.sleep(60)
        children += child > 0
    return f"{children} started"


def _ignore_signals(_: str) -> str:
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            continue
    while True:
        pass


def _read_file(path: str) -> str:
    try:
        return Path(path).read_bytes()[:100].decode("utf-8", "replace") or "nothing"
    except OSError as error:
        return f"refused: {type(error).__name__}"


def _spoil(path: str) -> str:
    """Change a file and its folder in every way that needs no write to it."""
    target = Path(path)
    deeds: dict[str, Callable[[], object]] = {
        "remove": target.unlink,
        "rename": lambda: target.rename(target.with_name("renamed")),
        "truncate": lambda: os.truncate(target, 0),
        "mode": lambda: target.chmod(0o777),
        "time": lambda: os.utime(target, (0, 0)),
        "folder": lambda: target.with_name("folder").mkdir(),
        "link": lambda: target.with_name("link").symlink_to("/etc/passwd"),
        "hard link": lambda: target.with_name("hard").hardlink_to(target),
        "pipe": lambda: os.mkfifo(target.with_name("pipe")),
        "attribute": lambda: os.setxattr(target, "user.spoilt", b"1"),
    }
    done = []
    for name, deed in deeds.items():
        try:
            deed()
        except OSError:
            continue
        done.append(name)
    return ", ".join(done) or "nothing"


def _signal(process: str) -> str:
    try:
        os.kill(int(process), 0)
    except OSError as error:
        return f"refused: {type(error).__name__}"
    return "allowed"


def _flood(mebibytes: str) -> str:
    return "x" * (int(mebibytes) * 1024 * 1024)


DEEDS: dict[str, Callable[[str], object]] = {
    "loop": _loop,
    "sleep": _sleep,
    "allocate": _allocate,
    "keep": _keep,
    "abort": _abort,
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
    "answer-early": _answer_early,
    "answer-later": _answer_later,
    "answer-forever": _answer_forever,
    "recognize": _recognize,
    "ask-only": _ask_only,
    "fork": _fork,
    "ignore-signals": _ignore_signals,
    "read": _read_file,
    "spoil": _spoil,
    "signal": _signal,
    "user": lambda _: os.geteuid(),
    "environment": lambda _: sorted(os.environ),
    "pid": lambda _: os.getpid(),
    "modules": lambda _: sorted({"torch", "sqlalchemy", "faiss", "openvino"} & set(sys.modules)) or "none",
}
