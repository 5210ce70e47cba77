"""Systems as the command line names them: by an address, or by their kind and its settings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from apps.cli.shell import grantees
from core.errors import WrongUsage
from ingest.sources import SystemRequest
from wiring.connectors import KINDS, addressed


def system_request(
    place: str,
    source: str | None,
    given: Sequence[str],
    secret: str | None,
    allow: Sequence[str] | None,
    access: Path | None,
) -> SystemRequest | None:
    """The system that an address or a kind names; None for the path of a folder. Raises `WrongUsage`."""
    if "://" in place:
        kind, settings = addressed(place)
    elif place in KINDS and not Path(place).exists():
        kind, settings = place, {}
    elif "/" not in place and not Path(place).exists():
        raise WrongUsage(
            f"There is no folder {place} here, and no kind of system of that name; `footnote sources kinds` lists them."
        )
    elif given or secret:
        raise WrongUsage(f"{place} is no system; write one of {', '.join(sorted(KINDS))}, or an address.")
    else:
        return None
    return SystemRequest(
        name=source or place,
        kind=kind,
        settings={**settings, **_settings(given)},
        secret=secret,
        allow=grantees(list(allow)) if allow else None,
        access_file=access.resolve() if access else None,
        every=None,
    )


def ago(moment: datetime | None) -> str:
    """How long ago, to the second, for a table."""
    if moment is None:
        return "never"
    return f"{timedelta(seconds=max(0, round((datetime.now(UTC) - moment).total_seconds())))} ago"


def _settings(given: Sequence[str]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals or not name:
            raise WrongUsage(f"--set {one}: write NAME=VALUE.")
        try:
            settings[name] = json.loads(value)
        except ValueError:
            settings[name] = value
    return settings
