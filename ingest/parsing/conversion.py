"""Files of Word, Excel and PowerPoint of before 2007: converted by LibreOffice, then read as what they became."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType

from core.documents import Parsed
from core.errors import UnreadableDocument
from ingest.parsing.detection import DOC, OLE, PPT, XLS, detect
from ingest.parsing.limits import Limits
from ingest.parsing.office_limits import OfficeLimits
from ingest.parsing.sandbox import SandboxedParser

_TARGETS = {DOC: ("doc", "odt"), XLS: ("xls", "xlsx"), PPT: ("ppt", "pptx")}
"""What a file of each kind is called for LibreOffice, and what it becomes."""
# For LibreOffice's end and the clean-up, beyond the time that it has.
_GRACE_SECONDS = 15.0


@dataclass(frozen=True)
class ConvertingParser:
    """A sandboxed parser that has files of before 2007 converted first, where `program` is on this machine.

    LibreOffice works in a process of its own for each file, without network, environment or files but a folder that
    is removed afterwards, and what it makes is read in the sandbox like anything else. Without it such files are
    refused with what to install.
    """

    sandbox: SandboxedParser
    program: str
    """The name or path of LibreOffice; empty to convert nothing."""
    input_bytes: int = Limits.input_bytes
    """A larger file is left to the sandbox to refuse."""
    limits: OfficeLimits = field(default_factory=OfficeLimits)

    def __enter__(self) -> ConvertingParser:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the sandbox's process."""
        self.sandbox.close()

    def parse(self, data: bytes, name: str) -> Parsed:
        """As `SandboxedParser.parse`; what was converted keeps the media type of what it was."""
        program = shutil.which(self.program) if self.program and data.startswith(OLE) else None
        if program is None or len(data) > self.input_bytes:
            return self.sandbox.parse(data, name)
        # Only the container's first bytes and the names of its streams are looked at here.
        media_type = detect(data, name)
        if media_type not in _TARGETS:
            return self.sandbox.parse(data, name)
        was, becomes = _TARGETS[media_type]
        converted = self._converted(program, data, was, becomes)
        return replace(self.sandbox.parse(converted, f"{Path(name).stem}.{becomes}"), media_type=media_type)

    def _converted(self, program: str, data: bytes, was: str, becomes: str) -> bytes:
        with tempfile.TemporaryDirectory(prefix="footnote-office-") as folder:
            (Path(folder) / f"document.{was}").write_bytes(data)
            arguments = [program, folder, f"document.{was}", becomes, json.dumps(asdict(self.limits))]
            code = _supervised([*arguments], self.limits.seconds + _GRACE_SECONDS)
            result = Path(folder) / "out" / f"document.{becomes}"
            if code == 124:
                raise UnreadableDocument(
                    "timeout", f"LibreOffice took longer than {self.limits.seconds:g} s to convert the document."
                )
            if not result.is_file() or result.is_symlink():
                reason = (
                    "LibreOffice could not convert the document; open it in its program and save it as DOCX or PDF."
                )
                raise UnreadableDocument("malformed", reason)
            return result.read_bytes()


def _supervised(arguments: list[str], seconds: float) -> int:
    """Run `office_process`; it ends with us, since its standard input closes then."""
    process = subprocess.Popen(
        [sys.executable, "-s", "-m", "ingest.parsing.office_process", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # It finds our modules where we did, and learns nothing else from us.
        env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "LC_ALL": "C.UTF-8"},
        cwd="/",
    )
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return 124
    finally:
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(_GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
