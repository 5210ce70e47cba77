"""The catalog's schema: which version a database has, and how it gets to ours."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Engine

from catalog.database import our_errors
from core.errors import Conflict


def current(engine: Engine) -> str | None:
    """The revision the database is at; None where nothing has been created. Raises `Transient` where it is gone."""
    with our_errors(), engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def newest() -> str:
    """The revision this program works with."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    assert head is not None
    return head


def migrate(engine: Engine) -> None:
    """Bring the database to `newest()`; all of it or nothing where the database can (both of ours can).

    Raises `Transient` where it is gone.
    """
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
    try:
        known = ScriptDirectory.from_config(_config()).get_revision(have) is not None
    except CommandError:
        known = False
    if known:
        raise Conflict(f"This home was written by an older Footnote (schema {have}). Run `footnote upgrade`.")
    raise Conflict(
        f"This home was written by a newer Footnote (schema {have}, this program knows {want}). "
        "Install that version or a newer one; nothing was changed."
    )


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
