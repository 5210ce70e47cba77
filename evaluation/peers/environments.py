"""Virtual environments for peers: a peer's requirements in, the Python that runs it out."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import Transient
from wiring.environment import inherited

_DONE = ".complete"


@dataclass(frozen=True)
class Environment:
    """One for each set of requirements, in the user's cache."""

    folder: Path

    @property
    def made(self) -> bool:
        """It is there, whole."""
        return (self.folder / _DONE).exists()

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"


def environment_of(name: str, requirements: Sequence[str]) -> Environment:
    """Where the environment of these requirements is, made or not."""
    digest = hashlib.sha256("\n".join(requirements).encode()).hexdigest()[:8]
    return Environment(_cache() / f"{name}-{digest}")


def peer_python(name: str, requirements: Sequence[str]) -> Path:
    """The interpreter of `name`'s environment, made with pip where it is not there yet; minutes, the first time.

    Raises `Transient` where pip cannot reach its index.
    """
    environment = environment_of(name, requirements)
    if not environment.made:
        shutil.rmtree(environment.folder, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(environment.folder)], name)
        _run([str(environment.python), "-m", "pip", "install", "--quiet", "--no-input", *requirements], name)
        (environment.folder / _DONE).touch()
    return environment.python


def _cache() -> Path:
    """Where a user's caches are (XDG Base Directory Specification 0.8)."""
    return Path(inherited({}).get("XDG_CACHE_HOME") or Path.home() / ".cache") / "footnote" / "peers"


def _run(command: Sequence[str], name: str) -> None:
    done = subprocess.run(command, env=inherited({}), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stderr.strip() or "it said nothing").splitlines()[-1]
        raise Transient(f"{name} could not be installed ({said}); without it, run the same command without --peers.")
