"""What was compiled from `native/` when the package was installed, if a C compiler was there."""

from __future__ import annotations

import ctypes
from importlib.util import find_spec


def compiled(module: str, layout: int) -> ctypes.CDLL | None:
    """The library `module`, ROOM._NAME; None where it was not built, or from sources of another layout.

    `layout` is what its function `NAME_layout` returns: a number that changes with whatever passes between it and
    Python. A library of before would read that wrongly, and does so without a word.
    """
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        return None
    library = ctypes.CDLL(spec.origin)
    says = getattr(library, f"{module.rpartition('._')[2]}_layout", None)
    return library if says is not None and says() == layout else None
