"""Whatever a document does to its parser, the caller gets a named verdict and the next document is read."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from core.documents import Attachment
from core.errors import UnreadableDocument
from ingest.parsing.limits import MIB, Limits
from ingest.parsing.sandbox import SandboxedParser
from ingest.parsing.wire import LENGTHS, frame

LIMITS = Limits(seconds=30.0, memory_bytes=512 * MIB, input_bytes=MIB, text_bytes=2 * MIB)
MISBEHAVING = "misbehaving_parsers:parse"


@pytest.fixture(scope="module")
def shared() -> Iterator[SandboxedParser]:
    with SandboxedParser(LIMITS, parser=MISBEHAVING) as parser:
        yield parser


def ask(parser: SandboxedParser, deed: str) -> str:
    return parser.parse(deed.encode(), "deed.txt").text


@pytest.mark.parametrize(
    ("deed", "verdict"),
    [
        ("allocate", "oom"),
        ("kill SIGKILL", "oom"),
        ("kill SIGSEGV", "crash"),
        ("kill SIGXCPU", "timeout"),
        ("segfault", "crash"),
        ("recurse", "hostile"),
        ("flood 3", "too_large"),
        ("refuse", "encrypted"),
        ("raise", "malformed"),
    ],
)
def test_each_way_to_fail_has_its_verdict_and_the_next_document_is_read(
    shared: SandboxedParser, deed: str, verdict: str
) -> None:
    with pytest.raises(UnreadableDocument) as failure:
        ask(shared, deed)

    assert failure.value.verdict == verdict
    assert failure.value.reason.endswith((".", ").")) and " " in failure.value.reason
    assert ask(shared, "modules") == "none"


@pytest.mark.parametrize("deed", ["loop", "sleep"])
def test_a_runaway_document_is_stopped_within_its_time(deed: str) -> None:
    with SandboxedParser(replace(LIMITS, seconds=1.0), parser=MISBEHAVING) as parser:
        ask(parser, "pid")
        began = time.monotonic()
        with pytest.raises(UnreadableDocument) as failure:
            ask(parser, deed)
        assert failure.value.verdict == "timeout"
        assert time.monotonic() - began < 10
        assert ask(parser, "modules") == "none"


def test_a_file_over_the_input_limit_is_refused_without_a_child() -> None:
    with SandboxedParser(LIMITS, parser=MISBEHAVING) as parser:
        with pytest.raises(UnreadableDocument) as failure:
            parser.parse(b"x" * (MIB + 1), "large.txt")
        assert failure.value.verdict == "too_large"
        assert parser.process_id is None


def test_one_child_reads_many_documents_and_is_replaced_after_its_share() -> None:
    with SandboxedParser(replace(LIMITS, documents_per_process=3), parser=MISBEHAVING) as parser:
        children = [ask(parser, "pid") for _ in range(7)]
    assert [len(set(children[start : start + 3])) for start in (0, 3, 6)] == [1, 1, 1]
    assert len(set(children)) == 3


def test_a_child_that_has_grown_is_replaced() -> None:
    with SandboxedParser(replace(LIMITS, resident_bytes=100 * MIB), parser=MISBEHAVING) as parser:
        grown = ask(parser, "keep 120")
        assert ask(parser, "pid") != grown


def test_the_child_has_no_environment_but_its_import_path_and_one_thread(
    shared: SandboxedParser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOOTNOTE_SECRET", "hush")
    threads = "'MALLOC_ARENA_MAX', 'OMP_NUM_THREADS', 'OPENBLAS_NUM_THREADS'"
    assert ask(shared, "environment") == f"['LC_ALL', {threads}, 'PYTHONPATH']"


def test_the_child_opens_no_connection_and_starts_no_program(shared: SandboxedParser) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert ask(shared, f"connect {port}") == "refused: PermissionError"
    assert ask(shared, "spawn") == "refused: PermissionError"


def test_native_code_in_the_child_has_no_network_where_the_kernel_grants_namespaces(shared: SandboxedParser) -> None:
    child = int(ask(shared, "pid"))
    if Path(f"/proc/{child}/ns/net").readlink() == Path("/proc/self/ns/net").readlink():
        pytest.skip("this kernel gives unprivileged processes no network namespace")
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert ask(shared, f"connect-without-python {server.getsockname()[1]}") == "refused"


def test_the_child_writes_no_file(shared: SandboxedParser, tmp_path: Path) -> None:
    target = tmp_path / "planted"
    assert ask(shared, f"write {target}").startswith("refused")
    assert not target.exists() or target.stat().st_size == 0


def forged(block: list[object], body: bytes = b"short") -> str:
    header = {"title": "", "media_type": "text/plain", "metadata": {}, "blocks": [block], "attachments": []}
    return "forge " + b"".join(frame(header, body)).hex()


def forged_attachment(name: str, size: object) -> str:
    """A reply of ten bytes: five of text, then what is said to be an attachment."""
    header = {"title": "", "media_type": "text/plain", "metadata": {}, "blocks": [["paragraph", 0, 5, None, None]]}
    return "forge " + b"".join(frame(header | {"attachments": [[name, size]]}, b"shortbytes")).hex()


@pytest.mark.parametrize(
    "reply",
    [
        forged(["paragraph", 0, 99, None, None]),
        forged(["paragraph", 3, 2, None, None]),
        forged(["paragraph", 0, "5", None, None]),
        forged(["virus", 0, 5, None, None]),
        forged(["paragraph", 0, 5, None, None], b"a\x00b\r\n"),
        forged_attachment("../../etc/passwd", 5),
        forged_attachment("a//b.pdf", 5),
        forged_attachment("a.pdf", 6),
        forged_attachment("a.pdf", -1),
        forged_attachment("a.pdf", "5"),
        "forge " + b"".join(frame({"verdict": "gossip", "reason": "x"}, b"")).hex(),
        "forge " + (LENGTHS.pack(2, 0) + b"[]").hex(),
        "forge " + (LENGTHS.pack(2, 0) + b"\xff\xfe").hex(),
    ],
)
def test_a_reply_that_no_parser_gives_is_a_crash(shared: SandboxedParser, reply: str) -> None:
    with pytest.raises(UnreadableDocument) as failure:
        ask(shared, reply)
    assert failure.value.verdict == "crash"
    assert ask(shared, "modules") == "none"


def test_an_attachment_comes_back_whole() -> None:
    with SandboxedParser(LIMITS, parser=MISBEHAVING) as parser:
        parsed = parser.parse(forged_attachment("mail.eml/a.pdf", 5).encode(), "deed.txt")
    assert (parsed.text, parsed.attachments) == ("short", (Attachment("mail.eml/a.pdf", b"bytes"),))


def test_a_reply_that_claims_to_be_endless_is_not_waited_for(shared: SandboxedParser) -> None:
    began = time.monotonic()
    with pytest.raises(UnreadableDocument) as failure:
        ask(shared, "forge " + LENGTHS.pack(2, 1 << 60).hex())
    assert failure.value.verdict == "too_large"
    assert time.monotonic() - began < LIMITS.seconds
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 2 * 1024 * 1024


def test_closing_leaves_no_process() -> None:
    with SandboxedParser(LIMITS, parser=MISBEHAVING) as parser:
        child = int(ask(parser, "pid"))
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_a_busy_child_dies_with_a_parent_that_is_killed() -> None:
    program = (
        "from ingest.parsing.sandbox import SandboxedParser\n"
        f"parser = SandboxedParser(parser={MISBEHAVING!r})\n"
        "print(parser.parse(b'pid', 'x').text, flush=True)\n"
        "parser.parse(b'loop', 'x')\n"
    )
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        _await_processor_time(child, ticks=_processor_ticks(child) + 20)
        parent.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while _is_running(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not _is_running(child)


def _processor_ticks(process_id: int) -> int:
    """User time so far, in clock ticks (proc(5): the 14th field)."""
    return int(Path(f"/proc/{process_id}/stat").read_text("ascii").rpartition(")")[2].split()[11])


def _await_processor_time(process_id: int, ticks: int) -> None:
    """Wait until the process is really busy; an idle one ends by itself when its socket closes."""
    deadline = time.monotonic() + 20
    while _processor_ticks(process_id) < ticks and time.monotonic() < deadline:
        time.sleep(0.05)


def _is_running(process_id: int) -> bool:
    """Whether the process runs; a dead one that its new parent has not yet waited for does not."""
    try:
        return Path(f"/proc/{process_id}/stat").read_text("ascii").rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_parser_that_cannot_be_loaded_is_a_loud_error() -> None:
    with (
        SandboxedParser(LIMITS, parser="no_such_module:parse") as parser,
        pytest.raises(RuntimeError, match="did not start"),
    ):
        parser.parse(b"x", "x.txt")


def test_the_service_itself_loads_no_parsing_library() -> None:
    program = "import sys, json, ingest.parsing.sandbox; print(json.dumps(sorted(sys.modules)))"
    environment = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    loaded = json.loads(subprocess.check_output([sys.executable, "-c", program], env=environment))
    assert not {
        "pypdfium2",
        "pdfplumber",
        "docx",
        "lxml",
        "selectolax",
        "markdown_it",
        "openpyxl",
        "pptx",
        "rapidocr",
        "PIL",
    } & set(loaded)
