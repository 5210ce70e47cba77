"""A vLLM on this processor with a tiny Llama made on the spot, for measuring the way to a model where there is none."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from core.errors import Transient
from wiring.environment import inherited

_ROOT = Path(__file__).resolve().parents[2]
_START_S = 600.0


@dataclass(frozen=True)
class Served:
    """A vLLM that runs; `url` ends in `/v1`."""

    url: str
    key: str | None = None
    model: str = ""


@contextmanager
def tiny_vllm(folder: Path) -> Iterator[Served | None]:
    """A server until the block ends; None where no vLLM is installed, or this is no checkout.

    It has a core of its own and this process the others, as a worker has a machine of its own: else they would be
    measured at taking time from each other.
    """
    installed = _ROOT / ".venv-vllm" / "bin" / "vllm"
    executable = str(installed) if installed.exists() else shutil.which("vllm")
    maker = _ROOT / "infra" / "tiny_llama.py"
    if executable is None or not maker.exists():
        yield None
        return
    model, key = folder / "tiny-llama", secrets.token_hex(8)
    subprocess.run([sys.executable, maker, model], check=True, capture_output=True)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    footnote = str(Path(sys.executable).with_name("footnote"))
    command = [footnote, "vllm", "--model", str(model), "--executable", executable, "--port", str(port), "--eager"]
    settings = {
        "VLLM_API_KEY": key,
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": "1",
    }
    with (folder / "vllm.log").open("wb") as log:
        process = subprocess.Popen(command, env=inherited(settings), stdout=log, stderr=log, start_new_session=True)
    cores = os.sched_getaffinity(0)
    try:
        if len(cores) > 1:
            os.sched_setaffinity(process.pid, {min(cores)})
            os.sched_setaffinity(0, cores - {min(cores)})
        _wait(process, f"http://127.0.0.1:{port}/health")
        yield Served(f"http://127.0.0.1:{port}/v1", key)
    finally:
        os.sched_setaffinity(0, cores)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            httpx.get(url, timeout=2, trust_env=False)
        except httpx.HTTPError:
            time.sleep(0.3)
        else:
            return
    raise Transient("vLLM did not start; `footnote vllm` in a terminal says why.")
