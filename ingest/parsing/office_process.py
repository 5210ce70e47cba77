"""The process around LibreOffice: starts it with bounds on all that it may do, and ends it with whoever asked.

Run as `python -m ingest.parsing.office_process SOFFICE SCRATCH INPUT TARGET LIMITS`, its standard input a pipe whose
closing ends everything. `SCRATCH` is a folder of this conversion alone: it holds `INPUT`, and the result lies in its
folder `out` afterwards.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from ingest.parsing.confinement import close_network, confine_files
from ingest.parsing.office_limits import OfficeLimits

_NOBODY = 65534
# What LibreOffice and the system's libraries read while they work; no home, no documents.
_READABLE = (
    *("/usr", "/lib", "/lib64", "/bin", "/opt", "/etc", "/proc", "/sys", "/dev"),
    *("/var/lib/libreoffice", "/var/spool/libreoffice", "/var/cache/fontconfig"),
)
_WRITABLE_DEVICES = ("/dev/null", "/dev/shm")  # noqa: S108 - LibreOffice keeps its pipes there
# Where LibreOffice listens for others of its kind, whatever its environment says.
_PIPES = Path("/tmp")  # noqa: S108
# Macros never run, links to other places are not followed, nothing is asked or recovered.
_SETTINGS = """<?xml version="1.0" encoding="UTF-8"?>
<oor:items xmlns:oor="http://openoffice.org/2001/registry">
<item oor:path="/org.openoffice.Office.Common/Security/Scripting">
<prop oor:name="MacroSecurityLevel" oor:op="fuse"><value>3</value></prop>
<prop oor:name="DisableMacrosExecution" oor:op="fuse"><value>true</value></prop>
<prop oor:name="BlockUntrustedRefererLinks" oor:op="fuse"><value>true</value></prop></item>
<item oor:path="/org.openoffice.Office.Writer/Content/Update">
<prop oor:name="Link" oor:op="fuse"><value>2</value></prop></item>
<item oor:path="/org.openoffice.Office.Calc/Content/Update">
<prop oor:name="Link" oor:op="fuse"><value>2</value></prop></item>
</oor:items>
"""


def main(arguments: list[str]) -> int:
    """Convert one file; returns what LibreOffice returned, or 124 where it was ended."""
    program, folder, name, target, encoded = arguments
    limits, scratch = OfficeLimits(**json.loads(encoded)), Path(folder)
    profile = scratch / "profile"
    for path in (scratch / "out", profile / "user", scratch / "tmp"):
        path.mkdir(parents=True)
    (profile / "user" / "registrymodifications.xcu").write_text(_SETTINGS, "utf-8")
    if os.geteuid() == 0:
        for path in (scratch, *scratch.rglob("*")):
            os.chown(path, _NOBODY, _NOBODY)
    switches = ["--headless", "--norestore", "--nolockcheck", "--nodefault", "--nofirststartwizard"]
    command = [program, f"-env:UserInstallation={profile.as_uri()}", *switches]
    process = subprocess.Popen(
        [*command, "--convert-to", target, "--outdir", str(scratch / "out"), str(scratch / name)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"HOME": folder, "TMPDIR": str(scratch / "tmp"), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
        cwd=folder,
        start_new_session=True,
        # This process has one thread, so nothing can be locked by another at the fork.
        preexec_fn=lambda: _bound(limits, folder),
    )
    try:
        return _followed(process, time.monotonic() + limits.seconds)
    finally:
        # LibreOffice starts others, which are in its group.
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        _sweep_pipes()


def _sweep_pipes() -> None:
    """Remove the sockets of instances that are gone; LibreOffice may not remove its own, or was ended before."""
    uid = os.geteuid() or _NOBODY
    for path in _PIPES.glob(f"OSL_PIPE_{uid}_SingleOfficeIPC_*"):
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
            except ConnectionRefusedError:
                path.unlink(missing_ok=True)
            except OSError:
                pass


def _followed(process: subprocess.Popen[bytes], deadline: float) -> int:
    while time.monotonic() < deadline:
        code = process.poll()
        if code is not None:
            return code
        # Readable means closed: nobody writes to it.
        if select.select([0], [], [], 0.05)[0]:
            break
    return 124


def _bound(limits: OfficeLimits, scratch: str) -> None:
    close_network()
    bounds = {
        resource.RLIMIT_AS: limits.memory_bytes,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_CPU: int(limits.seconds) + 1,
        resource.RLIMIT_FSIZE: limits.file_bytes,
        resource.RLIMIT_NOFILE: limits.open_files,
    }
    for what, bound in bounds.items():
        _, hard = resource.getrlimit(what)
        lowest = bound if hard == resource.RLIM_INFINITY else min(bound, hard)
        resource.setrlimit(what, (lowest, lowest))
    confine_files(_READABLE, (scratch, *_WRITABLE_DEVICES), (str(_PIPES),))
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(_NOBODY, _NOBODY, _NOBODY)
        os.setresuid(_NOBODY, _NOBODY, _NOBODY)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
