"""The environment that programs started by us inherit; what they find in it besides is theirs to read."""

from __future__ import annotations

import os
from collections.abc import Mapping


def inherited(added: Mapping[str, str]) -> dict[str, str]:
    """This process's environment and what is added to it."""
    return {**os.environ, **added}
