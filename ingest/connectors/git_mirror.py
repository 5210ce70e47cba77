"""A bare copy of one branch of a repository, kept by the `git` program, and what that tells of it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx
from pydantic import SecretStr

from core.errors import LimitExceeded, NotFound, SourceRefused, Transient
from ingest.connectors.api import Patience, retry_after
from ingest.connectors.git_settings import GitSettings

LOOK_S = 0.5
"""How often the mirror's size is looked at while it grows."""

_ACCESS = ".access-"
OBJECT_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")

# Credentials go to the host they are for when it asks for them, and to git over its own protocol: a command line could
# be read by everybody on the machine, and a header of our own would follow a redirect.
_HELPER = '!f() { test "$1" = get && printf "username=%s\\npassword=%s\\n" "$FOOTNOTE_USER" "$FOOTNOTE_SECRET"; }; f'

_REFUSED = re.compile(
    r"Authentication failed|could not read (?:Username|Password)|terminal prompts disabled|returned error: 40[13]"
    r"|Permission denied|Host key verification failed|detected dubious ownership|error in libcrypto|invalid format",
    re.I,
)
_MISSING = re.compile(
    r"repository '.*' not found|returned error: (?:404|410)|does not appear to be a git repository"
    r"|Repository not found|project you were looking for could not be found",
    re.I,
)
_NO_BRANCH = re.compile(r"couldn't find remote ref", re.I)
_MOVED = re.compile(r"returned error: 30\d|unable to update url base from redirection", re.I)
_BROKEN = re.compile(
    r"(?:object file|loose object) .* is (?:empty|corrupt)|bad object|not a git repository: |inflate: data stream error"
    r"|unresolved deltas|missing (?:blob|tree|commit) object|invalid (?:sha1|object)|packfile .* (?:index|cannot)"
    r"|did not send all necessary objects|bad config line|pack has bad object|unable to read|Not a valid object",
    re.I,
)


@dataclass(frozen=True)
class File:
    """A file as a tree names it; `blob` is None where it was taken away."""

    path: bytes
    mode: str
    blob: str | None


class Mirror:
    """A bare repository that holds one branch of the source's, and what git tells of it."""

    def __init__(
        self, settings: GitSettings, secret: SecretStr | None, folder: Path, ref: str, patience: Patience
    ) -> None:
        self._settings, self._secret, self._folder, self._ref = settings, secret, folder, ref
        self._patience = patience
        self._sizes: _Objects | None = None
        self._contents: _Objects | None = None

    def update(self) -> str:
        """Bring the mirror up to the source and return the branch's newest commit."""
        try:
            self._transfer()
        except _BrokenMirror:
            # It is a copy: what a full disk or a power cut has left of it is dropped and made again.
            self._drop()
            try:
                self._transfer()
            except _BrokenMirror as error:
                raise Transient(f"The repository {self._settings.url} could not be copied whole.") from error
        return self._ask("rev-parse", "--verify", "--end-of-options", f"{self._ref}^{{commit}}").decode().strip()

    def has_commit(self, commit: str) -> bool:
        if not OBJECT_ID.fullmatch(commit):
            return False
        return self._run(["cat-file", "-e", f"{commit}^{{commit}}"]).returncode == 0

    def files(self, commit: str, since: str | None) -> list[File]:
        """The files of a commit, or what its tree has otherwise than that of `since`, sorted by path."""
        if since is None:
            rows = self._ask("ls-tree", "-r", "-z", "--full-tree", commit).split(b"\0")
            files = [_tree_row(row) for row in rows if row]
        else:
            fields = self._ask("diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", since, commit)
            pairs = fields.split(b"\0")
            files = [_diff_row(row, path) for row, path in zip(pairs[::2], pairs[1::2], strict=False)]
        return sorted(files, key=lambda file: file.path)

    def last_commits(self, commit: str, paths: set[bytes]) -> dict[bytes, str]:
        """For each path the newest commit of the branch's own line (first parents) that touched it.

        On that line the file has in this commit the very bytes it has now, so that a link to it shows what was read.
        """
        missing, found = set(paths), dict[bytes, str]()
        if not missing:
            return found
        arguments = ["log", "--format=%x01%H", "-z", "--name-only", "--no-renames", "-m", "--first-parent", commit]
        current = ""
        # It ends as soon as every path is found, most often long before the first commit.
        with self._program(arguments) as output, closing(_fields(output)) as fields:
            for name in fields:
                name = name.removeprefix(b"\n")
                if name.startswith(b"\x01"):
                    current = name[1:].decode()
                elif name in missing:
                    found[name] = current
                    missing.discard(name)
                    if not missing:
                        break
        return found

    def size(self, blob: str) -> int | None:
        """A blob's length in bytes; None where the mirror does not have it."""
        if not (self._folder / "HEAD").exists():
            return None
        if self._sizes is None:
            self._sizes = _Objects(self._command("cat-file", "--batch-check"), self._environment())
        return self._sizes.size(blob)

    def size_in_tree(self, blob: str) -> int:
        """The length of a blob that a tree of the mirror names, so that only damage can have taken it away."""
        size = self.size(blob)
        if size is None:
            self._drop()
            raise Transient(f"The mirror of {self._settings.url} was damaged; the next sync makes it anew.")
        return size

    def read(self, blob: str) -> bytes:
        """A blob's bytes. Raises `NotFound`."""
        if self._contents is None:
            self._contents = _Objects(self._command("cat-file", "--batch"), self._environment())
        return self._contents.content(blob)

    def close(self) -> None:
        for program in (self._sizes, self._contents):
            if program is not None:
                program.close()
        self._sizes = self._contents = None

    def _transfer(self) -> None:
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        self._clear_what_was_left()
        if not (self._folder / "HEAD").exists():
            made = self._run(["init", "--quiet", "--bare", "--template=", str(self._folder)], inside=False)
            if made.returncode:
                raise Transient(f"The mirror's folder could not be made: {_last_line(made.stderr)}")
        branch = f"refs/heads/{self._settings.branch}" if self._settings.branch else "HEAD"
        arguments = [
            *("fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head"),
            *("--end-of-options", self._settings.url, f"+{branch}:{self._ref}"),
        ]
        for attempt in range(self._patience.attempts):
            with self._access() as (environment, trace):
                done = self._run(arguments, environment, self._watch)
                asked_for = _asked_to_wait(trace)
            if done.returncode == 0:
                return
            self._refuse(done.stderr)
            if attempt + 1 < self._patience.attempts:
                self._patience.wait(attempt, asked_for)
        raise Transient(
            f"The repository {self._settings.url} is busy or down, {self._patience.attempts} times: "
            f"{_last_line(done.stderr)}"
        )

    def _clear_what_was_left(self) -> None:
        """Take away what a process that was killed within a transfer could not: an ssh key among it."""
        for left in self._folder.parent.glob(f"{_ACCESS}*"):
            try:
                if time.time() - left.stat().st_mtime > self._settings.timeout_s:
                    shutil.rmtree(left, ignore_errors=True)
            except FileNotFoundError:
                # Another worker's transfer has ended meanwhile.
                pass

    def _refuse(self, errors: str) -> None:
        # What the server says in its own words decides nothing.
        said = "\n".join(line for line in errors.splitlines() if not line.startswith("remote:"))
        url = self._settings.url
        if _NO_BRANCH.search(said):
            branch = f"no branch {self._settings.branch!r}" if self._settings.branch else "no commit yet"
            raise SourceRefused(f"The repository {url} has {branch}; nothing was changed. Name the branch to read.")
        if _REFUSED.search(said):
            raise SourceRefused(
                f"The repository {url} refused the credential. Renew it, or give it the right to read the repository."
            )
        if _MISSING.search(said):
            raise SourceRefused(
                f"There is no repository {url}, or the credential may not see it. Correct the address or the rights."
            )
        if _MOVED.search(said):
            # A credential does not follow it.
            raise SourceRefused(f"The repository {url} has moved; enter the address that its server names.")
        if _BROKEN.search(said):
            raise _BrokenMirror

    def _ask(self, *arguments: str) -> bytes:
        done = self._run(arguments)
        if done.returncode:
            if _BROKEN.search(done.stderr):
                self._drop()
            raise Transient(f"git could not read the mirror of {self._settings.url}: {_last_line(done.stderr)}")
        return done.stdout

    def _drop(self) -> None:
        """Take the mirror away, so that the next transfer makes it anew."""
        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _command(self, *arguments: str, inside: bool = True) -> list[str]:
        return [shutil.which("git") or "git", *((f"--git-dir={self._folder}",) if inside else ()), *arguments]

    def _run(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str] | None = None,
        watch: Callable[[], None] | None = None,
        *,
        inside: bool = True,
    ) -> _Done:
        command = self._command(*arguments, inside=inside)
        return _run(command, environment or self._environment(), self._settings.timeout_s, watch)

    def _watch(self) -> None:
        size = sum(path.stat().st_size for path in self._folder.rglob("*") if path.is_file())
        if size > self._settings.mirror_limit_bytes:
            raise LimitExceeded(
                f"The repository {self._settings.url} holds more than mirror_limit_bytes "
                f"({self._settings.mirror_limit_bytes:,}); raise it, or leave the repository out."
            )

    @contextmanager
    def _program(self, arguments: Sequence[str]) -> Iterator[IO[bytes]]:
        with _started(self._command(*arguments), self._environment(), subprocess.DEVNULL) as process:
            assert process.stdout is not None
            yield process.stdout

    @contextmanager
    def _access(self) -> Iterator[tuple[dict[str, str], Path]]:
        """The environment of a transfer, with the credential in it, and where git notes the server's headers."""
        settings, secret = self._settings, self._secret.get_secret_value() if self._secret else ""
        with tempfile.TemporaryDirectory(dir=self._folder.parent, prefix=_ACCESS) as folder:
            trace = Path(folder) / "headers"
            environment = self._environment()
            if settings.scheme in ("http", "https"):
                # Git leaves out what is in Authorization and Cookie (GIT_TRACE_REDACT).
                environment |= {"GIT_TRACE_CURL": str(trace), "GIT_TRACE_CURL_NO_DATA": "1", "GIT_TRACE_REDACT": "1"}
            if settings.scheme == "ssh":
                environment["GIT_SSH_COMMAND"] = _ssh(settings, secret, Path(folder))
            elif secret:
                environment |= {"FOOTNOTE_USER": settings.username, "FOOTNOTE_SECRET": secret}
            yield environment, trace

    def _environment(self) -> dict[str, str]:
        """Nothing of this process's own, and no configuration but this one."""
        settings = self._settings
        config = [
            ("core.hooksPath", os.devnull),
            ("core.fsmonitor", "false"),
            ("core.askPass", ""),
            ("credential.helper", ""),
            ("http.followRedirects", "false"),
            ("http.lowSpeedLimit", "1000"),
            ("http.lowSpeedTime", "60"),
            ("protocol.ext.allow", "never"),
            ("fetch.writeCommitGraph", "false"),
            ("gc.autoDetach", "false"),
            ("maintenance.autoDetach", "false"),
            ("transfer.bundleURI", "false"),
        ]
        if settings.ca_file:
            config.append(("http.sslCAInfo", str(settings.ca_file)))
        if settings.scheme in ("http", "https"):
            config.append((f"credential.{settings.scheme}://{settings.host}.helper", _HELPER))
        return {
            "PATH": _path(),
            "HOME": str(self._folder.parent),
            "LC_ALL": "C",
            "GIT_ALLOW_PROTOCOL": settings.scheme,
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_NO_REPLACEOBJECT_IDS": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_CONFIG_COUNT": str(len(config)),
            **{f"GIT_CONFIG_KEY_{number}": key for number, (key, _) in enumerate(config)},
            **{f"GIT_CONFIG_VALUE_{number}": value for number, (_, value) in enumerate(config)},
        }


class _BrokenMirror(Exception):
    """The copy on this machine is damaged; the source is not."""


def _path() -> str:
    """Where the programs are that git needs, and nothing else of our environment."""
    found = [str(Path(place).parent) for program in ("ssh", "git") if (place := shutil.which(program))]
    return os.pathsep.join(dict.fromkeys([*found, os.defpath]))


class _Objects:
    """`git cat-file` that stays open, asked for one object after the other (`--batch`, `--batch-check`)."""

    def __init__(self, command: list[str], environment: Mapping[str, str]) -> None:
        self._stack = _started(command, environment, subprocess.PIPE)
        self._process = self._stack.__enter__()

    def size(self, blob: str) -> int | None:
        self._ask(blob)
        return self._header()

    def content(self, blob: str) -> bytes:
        self._ask(blob)
        size = self._header()
        if size is None:
            raise NotFound("file of a repository", blob)
        data = self._output.read(size + 1)
        if len(data) != size + 1:
            raise Transient("git broke off within a file.")
        return data[:-1]

    def close(self) -> None:
        self._stack.__exit__(None, None, None)

    @property
    def _output(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout

    def _ask(self, blob: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(blob.encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise Transient("git ended while it was asked for a file.") from error

    def _header(self) -> int | None:
        fields = self._output.readline().split()
        if len(fields) == 3 and fields[1] == b"blob":
            return int(fields[2])
        if len(fields) == 2 and fields[1] == b"missing":
            return None
        raise Transient("git cannot read an object of the mirror.")


@dataclass(frozen=True)
class _Done:
    returncode: int
    stdout: bytes
    stderr: str


def _run(
    command: Sequence[str], environment: Mapping[str, str], timeout_s: float, watch: Callable[[], None] | None
) -> _Done:
    """Run git to its end, looking at what it does from time to time; killed with all its children at the limit."""
    with _started(command, environment, subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        left = timeout_s
        while True:
            try:
                output, errors = process.communicate(timeout=min(LOOK_S, left))
                break
            except subprocess.TimeoutExpired as error:
                left -= LOOK_S
                if left <= 0:
                    raise Transient(f"git took longer than timeout_s ({timeout_s:,.0f} s).") from error
                if watch is not None:
                    watch()
        if watch is not None:
            watch()
    return _Done(process.returncode, output, errors.decode("utf-8", "replace"))


@contextmanager
def _started(
    command: Sequence[str], environment: Mapping[str, str], stdin: int, stderr: int = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[bytes]]:
    """A program in a process group of its own, which ends with the block, its children as well."""
    try:
        process = subprocess.Popen(
            list(command),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=dict(environment),
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise SourceRefused("Git sources need the program `git`; install it (the package is called git).") from error
    try:
        yield process
    finally:
        # Once it has ended, its number may be another program's.
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    pass
        process.wait()


def _fields(output: IO[bytes]) -> Generator[bytes]:
    """What stands between NULs, as it comes."""
    rest = b""
    while piece := output.read1(1 << 16):  # type: ignore[attr-defined]
        *fields, rest = (rest + piece).split(b"\0")
        yield from fields
    if rest:
        yield rest


def _tree_row(row: bytes) -> File:
    facts, _, path = row.partition(b"\t")
    mode, _, blob = facts.decode().split(" ")
    return File(path, mode, blob)


def _diff_row(row: bytes, path: bytes) -> File:
    _, mode, _, blob, status = row.decode().split(" ")
    return File(path, mode, None if status == "D" else blob)


def _ssh(settings: GitSettings, key: str, folder: Path) -> str:
    """The ssh command of a transfer: no questions, no settings of the machine's, hosts known beforehand."""
    options = ["-F", os.devnull, "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "ConnectTimeout=30"]
    if settings.known_hosts:
        hosts = folder / "known_hosts"
        hosts.write_text(settings.known_hosts.rstrip("\n") + "\n")
        options += ["-o", f'UserKnownHostsFile="{hosts}"', "-o", f"GlobalKnownHostsFile={os.devnull}"]
    if key:
        file = folder / "key"
        file.touch(mode=0o600)
        file.write_text(key.rstrip("\n") + "\n")
        options += ["-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none", "-i", str(file)]
    return "ssh " + " ".join(_quoted(option) for option in options)


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"


def _asked_to_wait(trace: Path) -> float | None:
    """The seconds that the server has asked for with Retry-After, which git itself does not heed."""
    try:
        with trace.open("rb") as file:
            found = re.findall(rb"Recv header: ?retry-after: *([^\r\n]*)", file.read(1 << 20), re.I)
    except OSError:
        return None
    return retry_after(httpx.Headers({"retry-after": found[-1].decode("latin-1")})) if found else None


def _last_line(said: str) -> str:
    """What git said last for itself; lines of the server's own are left out."""
    lines = [line for line in said.splitlines() if line.startswith(("fatal:", "error:"))]
    return lines[-1][:200] if lines else "it gave no reason"
