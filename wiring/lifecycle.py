"""Creating, opening and upgrading a home."""

from __future__ import annotations

from datetime import timedelta
from importlib.metadata import version

import sqlalchemy as sa

from catalog import schema
from catalog.lock import writer_lock
from core.errors import Conflict
from core.settings import Settings
from governance.audit import Kind, create_schema, new_audit_id
from governance.identity import ADMINISTRATOR, ADMINISTRATOR_SCOPES, create_key
from ingest.signing import sign_stored_texts
from ingest.tagging import tag_stored_texts
from wiring.home import Home
from wiring.layout import Layout, create_folder, require_home, write_marker


def init_home(settings: Settings) -> str:
    """Create a home; returns the administrator's API key, which is kept nowhere.

    Raises `Conflict` when there is one already.
    """
    layout = Layout(settings.home)
    if layout.marker.exists():
        raise Conflict(
            f"{layout.folder} is a home already; nothing was changed. `footnote keys create` makes more keys."
        )
    create_folder(layout)
    with (
        writer_lock(layout.lock, "creating the home", timedelta(seconds=settings.writer_wait_s)),
        Home(settings) as home,
    ):
        schema.migrate(home.catalog.engine)
        home.key_store.create()
        if isinstance(home.audit_storage, sa.Engine):
            create_schema(home.audit_storage)
        with home.catalog.write() as session:
            _, key = create_key(session, "first administrator", ADMINISTRATOR, ADMINISTRATOR_SCOPES, None)
        made = {"action": "init", "version": version("footnote")}
        home.audit.append(Kind.ADMIN, None, made, new_audit_id())
        write_marker(layout)
    return key


def open_home(settings: Settings) -> Home:
    """Open a home that is of this version; raises `Conflict` saying what to run when it is not."""
    require_home(settings)
    home = Home(settings)
    try:
        schema.require_newest(home.catalog.engine)
    except BaseException:
        home.close()
        raise
    return home


def upgrade_home(settings: Settings) -> int:
    """Bring a home to this version and to the embedding model in use; returns how many chunks were embedded."""
    require_home(settings)
    with Home(settings) as home:
        wait = timedelta(seconds=settings.writer_wait_s)
        with writer_lock(home.layout.lock, "upgrading the home", wait):
            schema.migrate(home.catalog.engine)
            home.audit.append(Kind.ADMIN, None, {"action": "upgrade"}, new_audit_id())
            tag_stored_texts(home.catalog)
            sign_stored_texts(home.catalog)
            embedded = home.publisher.embed_missing()
            home.publisher.rebuild()
            write_marker(home.layout)
        return embedded
