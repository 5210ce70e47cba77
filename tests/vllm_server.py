"""A real vLLM on the CPU for tests, serving a tiny LLaMA made on the spot; a plugin of pytest, see conftest."""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODEL = "tiny-llama"
START_SECONDS = 280.0


@dataclass(frozen=True)
class VllmServer:
    """A server that runs, its address ending in `/v1`."""

    url: str
    key: str
    pid: int

    def gauge(self, name: str) -> float:
        """The sum of one of vLLM's own metrics over its labels."""
        root = self.url.removesuffix("/v1")
        with urllib.request.urlopen(f"{root}/metrics", timeout=20) as response:
            page = response.read().decode()
        return sum(float(value) for value in re.findall(rf"^{re.escape(name)}(?:\{{.*\}})? ([\d.e+]+)$", page, re.M))

    def settled(self, name: str, value: float, seconds: float = 20.0) -> bool:
        """Whether a gauge comes to be `value` in time."""
        until = time.monotonic() + seconds
        while self.gauge(name) != value:
            if time.monotonic() > until:
                return False
            time.sleep(0.05)
        return True

    def stop(self) -> None:
        """Have the system stop every process of the server (SIGSTOP): connections are taken and nothing answers."""
        os.killpg(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.killpg(self.pid, signal.SIGCONT)


def executable() -> Path:
    """vLLM's command: named by FOOTNOTE_TEST_VLLM, or where `make test` installs it."""
    return Path(os.environ.get("FOOTNOTE_TEST_VLLM", ROOT / ".venv-vllm" / "bin" / "vllm"))


SMALL = {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1"}
"""What a vLLM is told so that it takes little of this machine."""


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny LLaMA, by the script that `make cluster` uses."""
    folder = tmp_path_factory.mktemp("model") / MODEL
    subprocess.run([sys.executable, ROOT / "infra" / "tiny_llama.py", folder], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def vllm_server(tiny_llama: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    """One server for the whole run: it takes half a minute to start."""
    if not executable().exists():
        pytest.skip(f"no vLLM at {executable()}: `make test` installs it")
    log = tmp_path_factory.mktemp("vllm") / "log"
    with running(tiny_llama, log) as server:
        yield server


class running:
    """A server process of its own group, until the block ends."""

    def __init__(self, model: Path, log: Path, *options: str) -> None:
        """`options` are further ones of `footnote vllm`."""
        self._model, self._log, self._key = model, log, secrets.token_hex(8)
        self._options = options

    def __enter__(self) -> VllmServer:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        footnote = Path(sys.executable).with_name("footnote")
        command = [
            footnote,
            "vllm",
            "--model",
            self._model,
            "--executable",
            executable(),
            "--port",
            str(port),
            "--eager",
            *self._options,
        ]
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                env={**os.environ, **SMALL, "VLLM_API_KEY": self._key},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._wait(f"http://127.0.0.1:{port}/health")
        return VllmServer(f"http://127.0.0.1:{port}/v1", self._key, self._process.pid)

    def _wait(self, url: str) -> None:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self._process.poll() is None:
            try:
                with urllib.request.urlopen(url, timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.3)
        self.__exit__()
        raise AssertionError(f"vLLM did not start:\n{self._log.read_text(errors='replace')[-3000:]}")

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
