"""A command starts with what it needs, and collects garbage like any other process once it runs."""

from __future__ import annotations

import subprocess
import sys

_HEAVY = ("alembic", "aiohttp", "fastapi", "celery", "openvino", "torch", "transformers")


def run(script: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    return done.stdout


def test_a_command_loads_nothing_that_only_others_need() -> None:
    assert run(f"import sys, apps.cli.main; print([name for name in {_HEAVY} if name in sys.modules])") == "[]\n"


def test_garbage_is_collected_again_when_the_command_runs() -> None:
    script = (
        "import gc, sys, apps.cli.main as main\n"
        "main.run = lambda: print(gc.isenabled(), gc.get_freeze_count() > 10_000)\n"
        "from apps.start import run\n"
        "run()\n"
    )
    assert run(script) == "True True\n"
