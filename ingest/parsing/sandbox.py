"""Parsing in a child process with limits, so that a broken or hostile document is a named failure and nothing more."""

from __future__ import annotations

import json
import os
import resource
import secrets
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from types import TracebackType

from core.documents import Parsed
from core.errors import UnreadableDocument, Verdict
from ingest.parsing.confinement import Confinement
from ingest.parsing.limits import MIB, Limits
from ingest.parsing.wire import LENGTHS, MORE_TIME, TOKEN_BYTES, frame, read_reply

PARSERS = "ingest.parsing.formats:parse"

# After these a child is dead, or not to be trusted with another document.
_ENDS_CHILD: frozenset[Verdict] = frozenset(("timeout", "oom", "crash", "too_large"))
# Numerical libraries start threads when they load, and the child may start none; each would reserve address space too.
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
# How C and C++ end where memory is refused, if most of it was in use by then.
_ABORTED = (-signal.SIGABRT, -signal.SIGTRAP, -signal.SIGILL, -signal.SIGSEGV, -signal.SIGBUS)
_MUCH = 0.4
# More than a document has, so that one that only asks for time is not waited for.
_PICTURES = 10_000
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class SandboxedParser:
    """Reads one document after the other in a child process, which it starts, reuses, bounds and replaces.

    The child has an empty environment, no network, no files to write, and the bounds of `Limits`. It answers with data
    only. One thread uses a parser at a time; several parsers may live side by side. `close` (or the `with` block)
    ends the child; the kernel ends it if this process dies first.
    """

    def __init__(self, limits: Limits | None = None, *, parser: str = PARSERS) -> None:
        """`parser` is the import path (`module:function`) of what the child runs: bytes and a name in, `Parsed` out."""
        self._limits = limits or Limits()
        self._parser = parser
        self._child: _Child | None = None
        self._documents = 0

    def __enter__(self) -> SandboxedParser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def confinement(self) -> Confinement | None:
        """What the kernel withholds from the child while one lives."""
        return self._child.confinement if self._child else None

    @property
    def process_id(self) -> int | None:
        """The child's process id while one lives."""
        return self._child.process.pid if self._child else None

    def parse(self, data: bytes, name: str) -> Parsed:
        """The document's text and blocks; `name` only helps to tell kinds of text apart.

        Raises `UnreadableDocument` with the parser's verdict, or "too_large" (more than `input_bytes` in, or more
        than `text_bytes` out), "timeout", "oom" or "crash". Whatever happened, the next document is read.
        """
        if len(data) > self._limits.input_bytes:
            raise UnreadableDocument(
                "too_large",
                f"The file has {len(data) / MIB:,.0f} MiB; at most {self._limits.input_bytes / MIB:,.0f} MiB are read. "
                "Split it.",
            )
        try:
            try:
                return self._parsed(data, name)
            except _OutOfTurn:
                # An earlier document may have taken the child over; a new one has read none.
                self.close()
                return self._parsed(data, name)
        except UnreadableDocument as failure:
            if failure.verdict in _ENDS_CHILD:
                self.close()
            raise
        except BaseException:
            # An interrupted exchange would leave this document's reply to the next one.
            self.close()
            raise

    def _parsed(self, data: bytes, name: str) -> Parsed:
        child = self._ready_child()
        self._documents += 1
        return read_reply(*child.ask(data, name, self._limits))

    def close(self) -> None:
        """End the child, if one lives, with everything it may have started."""
        if self._child is not None:
            self._child.end()
            self._child = None

    def _ready_child(self) -> _Child:
        """The living child, replaced when it is worn out."""
        if self._child is not None and (
            self._documents >= self._limits.documents_per_process
            or self._child.process.poll() is not None
            or self._child.resident_bytes() > self._limits.resident_bytes
        ):
            self.close()
        if self._child is None:
            self._child = _Child(self._parser, self._limits)
            self._documents = 0
        return self._child


class _Child:
    """One parser process and the two lines to it: a socket for documents, and a pipe whose closing kills it."""

    def __init__(self, parser: str, limits: Limits) -> None:
        self.socket, theirs = socket.socketpair()
        lifeline, self._lifeline = os.pipe()
        command = [sys.executable, "-s", "-m", "ingest.parsing.worker", parser, str(theirs.fileno()), str(lifeline)]
        try:
            self.process = subprocess.Popen(
                [*command, json.dumps(asdict(limits))],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), lifeline),
                # The child finds our modules where we did, and learns nothing else from us.
                env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "LC_ALL": "C.UTF-8", **_ONE_THREAD},
                cwd="/",
                start_new_session=True,
            )
        finally:
            theirs.close()
            os.close(lifeline)
        # While libraries load, the disk decides.
        self._stillness = _Stillness(self.process.pid, limits.start_seconds)
        try:
            self._await_ready(limits)
        except BaseException:
            self.end()
            raise

    def _await_ready(self, limits: Limits) -> None:
        try:
            header, _ = self._receive(time.monotonic() + limits.start_seconds, limits)
            # Sent before any document could have a say in it.
            self.confinement = Confinement(**json.loads(header))
        except (OSError, EOFError) as error:
            raise RuntimeError(
                f"The parser process did not start within {limits.start_seconds:g} s; "
                "`python -m ingest.parsing.formats` shows whether its libraries load."
            ) from error

    def ask(self, data: bytes, name: str, limits: Limits) -> tuple[bytearray, bytearray]:
        """Send one document and return the reply's header and body; raises `UnreadableDocument` if none comes."""
        began, allowed = time.monotonic(), limits.seconds
        deadline = began + allowed
        self._stillness = _Stillness(self.process.pid, limits.silence_seconds)
        try:
            # Which a reply has to begin with: one that was written before the document was sent is not to it.
            token = secrets.token_bytes(TOKEN_BYTES)
            for piece in (token, *frame({"name": name}, data)):
                self.socket.settimeout(max(0.001, deadline - time.monotonic()))
                self.socket.sendall(piece)
            for _ in range(_PICTURES):
                if self._read(TOKEN_BYTES, deadline) != token:
                    raise _OutOfTurn("crash", "The parser process answered out of turn; the document was not indexed.")
                lengths = self._read(LENGTHS.size, deadline)
                if lengths != MORE_TIME:
                    return self._received(lengths, deadline, limits)
                allowed = max(limits.picture_seconds, limits.seconds)
                deadline = min(time.monotonic() + limits.seconds, began + allowed)
            raise _failure("too_large", f"The document holds more than {_PICTURES:,} pictures of text")
        except _Still as error:
            what = f"Reading the document came to a halt and did nothing for {limits.silence_seconds:g} s"
            raise _failure("timeout", what) from error
        except TimeoutError as error:
            raise _failure("timeout", f"Reading the document took longer than {allowed:g} s") from error
        except (EOFError, ConnectionError) as error:
            raise self._cause_of_death(limits) from error

    def _receive(self, deadline: float, limits: Limits) -> tuple[bytearray, bytearray]:
        return self._received(self._read(LENGTHS.size, deadline), deadline, limits)

    def _received(self, lengths: bytearray, deadline: float, limits: Limits) -> tuple[bytearray, bytearray]:
        head_length, body_length = LENGTHS.unpack(lengths)
        if head_length > limits.header_bytes or body_length > limits.body_bytes:
            raise _failure("too_large", "The parser answered with more than its limit")
        return self._read(head_length, deadline), self._read(body_length, deadline)

    def _read(self, length: int, deadline: float) -> bytearray:
        data, filled = bytearray(length), 0
        view = memoryview(data)
        while filled < length:
            left = deadline - time.monotonic()
            self.socket.settimeout(max(0.001, min(left, self._stillness.step)))
            try:
                count = self.socket.recv_into(view[filled:])
            except TimeoutError:
                if left <= 0:
                    raise
                self._stillness.check()
                continue
            if not count:
                raise EOFError("the parser process closed its socket")
            filled += count
        return data

    def _cause_of_death(self, limits: Limits) -> UnreadableDocument:
        """Why the child ended without a reply, from how it ended."""
        status, used_bytes = self._ended()
        if status is None:
            return _failure("crash", "The parser process stopped answering")
        if status in _ABORTED and used_bytes > limits.memory_bytes * _MUCH:
            return _failure("oom", f"Reading the document needs more than {limits.memory_bytes // MIB} MiB of memory")
        if status in (-signal.SIGXCPU, -signal.SIGALRM):
            return _failure("timeout", f"Reading the document took longer than {limits.seconds:g} s")
        if status == -signal.SIGKILL:
            return _failure("oom", "The system killed the parser process, most likely for want of memory")
        how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        return _failure("crash", f"The document crashed the parser process ({how})")

    def _ended(self) -> tuple[int | None, int]:
        """How the process ended (None: it has not), and the most memory that it held (0: that is not known)."""
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline:
            # `Popen.wait` does not tell what it used.
            process_id, status, used = os.wait4(self.process.pid, os.WNOHANG)
            if process_id:
                self.process.returncode = os.waitstatus_to_exitcode(status)
                # The kernel counts what the process was before it became the parser, which is this one: what is no
                # more than that tells nothing of the parser.
                own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
                return self.process.returncode, used.ru_maxrss * 1024 if used.ru_maxrss > own else 0
            time.sleep(0.005)
        return None, 0

    def resident_bytes(self) -> int:
        """The memory that the child holds now; 0 if it is gone."""
        try:
            return int(Path(f"/proc/{self.process.pid}/statm").read_text("ascii").split()[1]) * _PAGE_BYTES
        except OSError:
            return 0

    def end(self) -> None:
        """Kill the child's process group and wait for the child, so that neither an orphan nor a zombie stays."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.socket.close()
        os.close(self._lifeline)


class _OutOfTurn(UnreadableDocument):
    """A reply that is none to the document that was sent."""


class _Still(TimeoutError):
    """The child does nothing at all."""


class _Stillness:
    """How long a process has not computed: a parser waits for nobody, so one that stands still is stuck.

    It is the kernel that tells; nothing is believed that the process itself could say.
    """

    def __init__(self, process_id: int, seconds: float) -> None:
        self._stat, self._seconds = Path(f"/proc/{process_id}/stat"), seconds
        self._ticks, self._since = -1, time.monotonic()
        self.step = min(1.0, seconds / 4)

    def check(self) -> None:
        """Raises `_Still` where the process has not computed for as long as it may not."""
        try:
            # proc(5): the state stands after the name, user and system time eleven and twelve fields on.
            fields = self._stat.read_text("ascii", "replace").rpartition(")")[2].split()
            state, ticks = fields[0], int(fields[11]) + int(fields[12])
        except (OSError, ValueError, IndexError):
            return
        now = time.monotonic()
        # One that waits for the processor (R) or for a disk (D) is kept from its work by others.
        if ticks != self._ticks or state in "RD":
            self._ticks, self._since = ticks, now
        elif now - self._since >= self._seconds:
            raise _Still


def _failure(verdict: Verdict, what: str) -> UnreadableDocument:
    return UnreadableDocument(verdict, f"{what}; it was not indexed. Split or repair it, then bring it in again.")
