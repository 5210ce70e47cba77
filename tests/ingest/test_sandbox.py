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
from ingest.parsing.confinement import Confinement
from ingest.parsing.limits import MIB, Limits
from ingest.parsing.sandbox import SandboxedParser
from ingest.parsing.wire import BLOCK, LENGTHS, frame

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
        ("abort 300", "oom"),
        ("abort 1", "crash"),
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

    # The kernel counts what the process was before it became the parser, which is this one: where this one is large,
    # what the parser held cannot be told from it.
    large = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 > 200 * MIB
    assert failure.value.verdict in {verdict, "crash" if large and deed == "abort 300" else verdict}
    assert failure.value.reason.endswith((".", ").")) and " " in failure.value.reason
    assert ask(shared, "modules") == "none"


@pytest.mark.parametrize("deed", ["loop", "sleep", "ignore-signals", "answer-forever"])
def test_a_runaway_document_is_stopped_within_its_time(deed: str) -> None:
    with SandboxedParser(replace(LIMITS, seconds=1.0), parser=MISBEHAVING) as parser:
        ask(parser, "pid")
        began = time.monotonic()
        with pytest.raises(UnreadableDocument) as failure:
            ask(parser, deed)
        assert failure.value.verdict == ("crash" if deed == "answer-forever" else "timeout")
        assert time.monotonic() - began < 10
        assert ask(parser, "modules") == "none"


def test_pictures_of_text_have_time_each_and_all_of_them_together_an_end() -> None:
    with SandboxedParser(replace(LIMITS, seconds=1.0, picture_seconds=60.0), parser=MISBEHAVING) as parser:
        assert ask(parser, "recognize 5") == "5"  # which takes two seconds
        with pytest.raises(UnreadableDocument, match="pictures of text") as failure:
            ask(parser, "ask-only")
        assert failure.value.verdict == "too_large"
        assert ask(parser, "modules") == "none"
    with SandboxedParser(replace(LIMITS, seconds=1.0, picture_seconds=1.5), parser=MISBEHAVING) as parser:
        ask(parser, "pid")
        began = time.monotonic()
        with pytest.raises(UnreadableDocument, match="took longer") as failure:
            ask(parser, "recognize")
        assert failure.value.verdict == "timeout"
        assert 1.4 < time.monotonic() - began < 10


def test_a_document_over_which_nothing_happens_is_given_up_before_its_time() -> None:
    limits = replace(LIMITS, seconds=60.0, silence_seconds=1.0)
    with SandboxedParser(limits, parser=MISBEHAVING) as parser:
        began = time.monotonic()
        with pytest.raises(UnreadableDocument, match="came to a halt") as failure:
            ask(parser, "sleep")
        assert failure.value.verdict == "timeout"
        assert time.monotonic() - began < 20
    # One that computes is not silent, however long it takes.
    with (
        SandboxedParser(replace(limits, seconds=3.0), parser=MISBEHAVING) as busy,
        pytest.raises(UnreadableDocument, match="took longer"),
    ):
        ask(busy, "loop")


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


@pytest.fixture
def confined(shared: SandboxedParser) -> Confinement:
    ask(shared, "pid")
    assert shared.confinement is not None
    return shared.confinement


def test_every_layer_of_confinement_holds_on_a_present_kernel(confined: Confinement) -> None:
    if (
        int(os.uname().release.split(".")[0]) < 6
        or os.geteuid() != 0
        or os.uname().machine not in ("x86_64", "aarch64")
    ):
        pytest.skip("another kernel, processor or user may lack one")
    assert confined == Confinement(network=True, files=True, calls=True, own_user=True)


def test_native_code_in_the_child_has_no_network(shared: SandboxedParser, confined: Confinement) -> None:
    if not (confined.network or confined.calls):
        pytest.skip("this kernel gives unprivileged processes neither a network namespace nor seccomp")
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert ask(shared, f"connect-without-python {server.getsockname()[1]}") == "refused"


def test_the_child_cannot_multiply(shared: SandboxedParser, confined: Confinement) -> None:
    if not confined.calls and os.geteuid() == 0:
        pytest.skip("without seccomp, root may start what it likes; the group is killed with the child")
    assert ask(shared, "fork") == "0 started"


def test_the_child_is_another_user_where_this_one_is_root(shared: SandboxedParser, confined: Confinement) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may become somebody else")
    assert confined.own_user
    assert int(ask(shared, "user")) != 0


def test_the_child_writes_no_file(shared: SandboxedParser, confined: Confinement, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    target = tmp_path / "planted"
    assert ask(shared, f"write {target}").startswith("refused")
    assert not target.exists() or (target.stat().st_size == 0 and not confined.files)


def test_the_child_changes_nothing_of_a_file_that_is_there(
    shared: SandboxedParser, confined: Confinement, tmp_path: Path
) -> None:
    if not (confined.files and confined.calls):
        pytest.skip("this kernel has no Landlock or no seccomp")
    target = tmp_path / "papers" / "paper"
    target.parent.mkdir()
    target.write_text("what somebody wrote", "ascii")
    for path in (target.parent, target):
        path.chmod(0o777)
        os.chown(path, 65534, 65534) if os.geteuid() == 0 else None
    before = target.stat()
    assert ask(shared, f"spoil {target}") == "nothing"
    assert [path.name for path in target.parent.iterdir()] == ["paper"]
    assert (target.stat().st_mode, target.stat().st_mtime, target.stat().st_size) == (
        before.st_mode,
        before.st_mtime,
        before.st_size,
    )


def test_the_child_reads_neither_other_documents_nor_what_its_parent_knows(
    shared: SandboxedParser, confined: Confinement, tmp_path: Path
) -> None:
    if not confined.files:
        pytest.skip("this kernel has no Landlock")
    tmp_path.chmod(0o755)
    other = tmp_path / "other.txt"
    other.write_text("quarterly", "ascii")
    other.chmod(0o644)
    home = Path(__file__).resolve().parents[2] / "pyproject.toml"
    for path in (other, home, "/etc/passwd", f"/proc/{os.getpid()}/environ", f"/proc/{os.getpid()}/cmdline"):
        assert ask(shared, f"read {path}").startswith("refused"), path


def test_the_child_signals_nobody(shared: SandboxedParser, confined: Confinement) -> None:
    if not confined.files or (int(os.uname().release.split(".")[0]) < 7 and not confined.own_user):
        pytest.skip("older kernels have no bounds for signals among one user's processes")
    assert ask(shared, f"signal {os.getpid()}").startswith("refused")


def test_the_child_signals_no_other_parser(shared: SandboxedParser, confined: Confinement) -> None:
    """Nor anybody else who is nobody."""
    if not confined.own_user:
        pytest.skip("the child is this user")
    with subprocess.Popen(["sleep", "60"], user=65534) as neighbour:
        try:
            assert ask(shared, f"signal {neighbour.pid}").startswith("refused")
        finally:
            neighbour.kill()


HEADER = {"title": "", "media_type": "text/plain", "metadata": {}, "unread": "", "blocks": 1} | {
    "links": [],
    "attachments": [],
}
SOUND = BLOCK.pack(1, 0, 5, 0, 0)


def forged(body: bytes, **fields: object) -> str:
    """A reply with this body; the fields of its header are a sound one's but for those given."""
    return "forge " + b"".join(frame(HEADER | fields, body)).hex()


def forged_attachment(name: str, size: object) -> str:
    """A reply of a block and ten bytes: five of text, then what is said to be an attachment."""
    return forged(SOUND + b"shortbytes", attachments=[[name, size]])


@pytest.mark.parametrize(
    "reply",
    [
        forged(BLOCK.pack(1, 0, 99, 0, 0) + b"short"),
        forged(BLOCK.pack(1, 3, 2, 0, 0) + b"short"),
        forged(BLOCK.pack(99, 0, 5, 0, 0) + b"short"),
        forged(BLOCK.pack(1, 0, 3, 0, 0) + BLOCK.pack(1, 2, 5, 0, 0) + b"short", blocks=2),
        forged(SOUND + b"short", blocks=2),
        forged(SOUND + b"short", blocks=0),
        forged(SOUND + b"short", blocks=-1),
        forged(SOUND + b"short", blocks="1"),
        forged(SOUND + b"short", blocks=True),
        forged(SOUND + b"short", title=7),
        forged(SOUND + b"short", metadata={"a": 7}),
        forged(SOUND + b"short", more=[[] for _ in range(60_000)]),
        forged(SOUND + b"a\x00b\r\n"),
        forged(SOUND + b"\xff\xfe\xff\xfe\xff"),
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


@pytest.mark.parametrize("deed", ["answer-early", "answer-later"])
def test_no_document_is_answered_by_an_earlier_one(shared: SandboxedParser, deed: str) -> None:
    """A parser that a document has taken over writes the reply to the next one, whoever that belongs to."""
    poison = forged(SOUND + b"short").removeprefix("forge ")
    try:
        assert ask(shared, f"{deed} {poison}") == "later"
    except UnreadableDocument as failure:
        assert failure.verdict == "crash"
    for _ in range(3):
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
