"""Where the command `footnote` starts."""

from __future__ import annotations

import gc


def run() -> None:
    """Load the command line, and run it.

    What is loaded stays to the end. Looking for garbage in it meanwhile takes a sixth of the start and finds none, and
    later collections need not look through it either.
    """
    gc.disable()
    from apps.cli.main import run as run_command_line

    gc.freeze()
    gc.enable()
    run_command_line()
