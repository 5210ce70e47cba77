"""The catalog's schema: which version a database has, and how it gets to ours.

Alembic is loaded where a schema is changed: that one is as it should be, every command asks, and two names tell.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Engine, column, inspect, select, table

from catalog.database import our_errors
from core.errors import Conflict

if TYPE_CHECKING:
    from alembic.config import Config

_MIGRATIONS = Path(__file__).parent / "migrations"


def current(engine: Engine) -> str | None:
    """The revision the database is at; None where nothing has been created. Raises `Transient` where it is gone."""
    with our_errors(), engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        found: str | None = connection.scalar(select(table("alembic_version", column("version_num")).c.version_num))
        return found


def newest() -> str:
    """The revision this program works with."""
    return max(_revisions())


def migrate(engine: Engine) -> None:
    """Bring the database to `newest()`; all of it or nothing where the database can (both of ours can).

    Raises `Transient` where it is gone.
    """
    from alembic import command

    config = _config()
    with our_errors(), engine.execution_options(footnote_writes=True).begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def require_newest(engine: Engine) -> None:
    """Raise `Conflict` unless the database is exactly at our revision; the message says what to run."""
    have, want = current(engine), newest()
    if have == want:
        return
    if have is None:
        raise Conflict("This home has no catalog yet. Run `footnote init`.")
    if have in _revisions():
        raise Conflict(f"This home was written by an older Footnote (schema {have}). Run `footnote upgrade`.")
    raise Conflict(
        f"This home was written by a newer Footnote (schema {have}, this program knows {want}). "
        "Install that version or a newer one; nothing was changed."
    )


def _revisions() -> set[str]:
    """Every revision that this program knows: migrations are numbered, and their files named by it."""
    return {file.name.partition("_")[0] for file in (_MIGRATIONS / "versions").glob("[0-9]*_*.py")}


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
