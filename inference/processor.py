"""What this processor can do, as Linux tells it."""

from __future__ import annotations

import functools
import platform
from pathlib import Path


@functools.cache
def processor_flags() -> frozenset[str]:
    """The instruction sets of the first core, in the kernel's words (`avx512_vnni`, `amx_bf16`, …)."""
    return frozenset((_first("flags") or _first("Features")).split())  # x86, else Arm


def processor_vendor() -> str:
    """`GenuineIntel`, `AuthenticAMD`, …; empty where the kernel names none."""
    return _first("vendor_id")


def processor_model() -> str:
    """The name it is sold under, or the architecture where the kernel gives none."""
    return _first("model name") or platform.machine()


def _first(name: str) -> str:
    """The first value of a name in `/proc/cpuinfo`, empty where it is not listed."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        listed, _, value = line.partition(":")
        if listed.strip() == name:
            return value.strip()
    return ""
