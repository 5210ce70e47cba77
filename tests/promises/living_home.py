"""A home that is worked on like any other, except that parsing costs no process: for tests with hundreds of ingests."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import create_engine, make_url, text

from core.documents import Parsed
from core.principals import Grantee
from core.settings import Settings
from ingest.parsing.formats import parse
from ingest.pipeline import Parser, Progress
from ingest.report import IngestReport
from ingest.sync import FolderRequest, Prune, sync_folder
from wiring.home import Home
from wiring.lifecycle import init_home


class InProcessParser:
    """The parsers themselves, without the sandbox around them (which has tests of its own)."""

    def parse(self, data: bytes, name: str) -> Parsed:
        return parse(data, name)

    def close(self) -> None:
        pass


class LivingHome(Home):
    """A real home; spawning the sandbox would take most of the time of a run with three small files."""

    def open_parser(self) -> Parser:  # type: ignore[override]
        return InProcessParser()

    def sync(
        self,
        folder: Path,
        *,
        source: str = "org",
        allow: Sequence[Grantee] | None = None,
        access_file: Path | None = None,
        prune: Prune = "no",
        progress: Progress = lambda *_: None,
    ) -> IngestReport:
        """`footnote ingest FOLDER`, with its flags."""
        request = FolderRequest(folder, source, None if allow is None else tuple(allow), access_file, prune)
        return sync_folder(self.ingestion, self.layout.folder, request, 1_000_000, progress)


@dataclass(frozen=True)
class HomeTemplate:
    """One home, made once; `copy` gives another with the same start, faster than `footnote init` would."""

    settings: Settings

    @classmethod
    def make(cls, folder: Path, postgres_server: str | None) -> HomeTemplate:
        """A template on SQLite, or in a database of its own on a PostgreSQL server."""
        url = None
        if postgres_server is not None:
            database = f"template{uuid.uuid4().hex}"
            _administer(postgres_server, f"CREATE DATABASE {database}")
            url = make_url(postgres_server).set(database=database).render_as_string(hide_password=False)
        settings = Settings(home=folder / "home", database_url=url, embedding_model="hashing", audit_limit_s=30.0)
        init_home(settings)
        return cls(settings)

    def copy(self, folder: Path) -> Settings:
        """A home of its own under `folder`, on a database of its own; give it back to `drop`."""
        shutil.copytree(self.settings.home, folder / "home")
        settings = self.settings.model_copy(update={"home": folder / "home"})
        if self.settings.database_url is None:
            return settings
        url, name = make_url(self.settings.database_url.get_secret_value()), f"t{uuid.uuid4().hex}"
        _administer(url.render_as_string(hide_password=False), f"CREATE DATABASE {name} TEMPLATE {url.database}")
        copied = url.set(database=name).render_as_string(hide_password=False)
        return settings.model_copy(update={"database_url": SecretStr(copied)})

    def drop(self, settings: Settings) -> None:
        """Remove a copy's folder and database."""
        shutil.rmtree(settings.home.parent)
        if settings.database_url is not None:
            url = settings.database_url.get_secret_value()
            _administer(url, f"DROP DATABASE {make_url(url).database} WITH (FORCE)")


def _administer(server: str, statement: str) -> None:
    engine = create_engine(make_url(server).set(database="postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()
