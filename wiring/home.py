"""A home: the folder (and database) that holds one organization's state, and every part that works on it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import Self

import sqlalchemy as sa

from catalog import schema
from catalog.blobs import Blobs
from catalog.database import Catalog, open_engine, sqlite_url
from catalog.lock import writer_lock
from core.errors import Conflict, LimitExceeded
from core.settings import Settings
from generation.extractive import ExtractiveAnswerer
from generation.service import AskService
from governance.access.readable import ReadableRows
from governance.audit import AuditLog, AuditReader, KeyStore, Kind, Report, create_schema, new_audit_id, verify
from governance.disclosure import Disclosure
from governance.doors import Gate
from governance.identity import ADMINISTRATOR, ADMINISTRATOR_SCOPES, create_key
from inference.encoder import Encoder
from inference.hashing import HashingEncoder
from inference.language import detect
from ingest.indexing import IndexPublisher
from ingest.parsing.limits import Limits
from ingest.parsing.sandbox import SandboxedParser
from ingest.pipeline import Ingestion
from retrieval.index import IndexReader, IndexWriter
from retrieval.ranking import Ranker
from retrieval.search import RecordedSearch, Searcher

HOME_FORMAT = 1
"""Raised when the layout of the folder changes."""


@dataclass(frozen=True)
class Layout:
    """Where things stand in a home's folder."""

    folder: Path

    @property
    def marker(self) -> Path:
        return self.folder / "home.json"

    @property
    def catalog(self) -> Path:
        return self.folder / "catalog.db"

    @property
    def audit_database(self) -> Path:
        return self.folder / "audit.db"

    @property
    def audit_folder(self) -> Path:
        return self.folder / "audit"

    @property
    def keys(self) -> Path:
        return self.folder / "keys"

    @property
    def index(self) -> Path:
        return self.folder / "index"

    @property
    def blobs(self) -> Path:
        return self.folder / "blobs"

    @property
    def lock(self) -> Path:
        return self.folder / "writer.lock"


class Home:
    """One organization's state, opened. Parts are built when first used; `close` lets go of all of them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.layout = Layout(settings.home)
        url = settings.database_url.get_secret_value() if settings.database_url else sqlite_url(self.layout.catalog)
        self.catalog = Catalog(open_engine(url.replace("postgresql://", "postgresql+psycopg://", 1)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if "audit" in self.__dict__:
            self.audit.close()
        self.catalog.engine.dispose()

    @property
    def audit_storage(self) -> sa.Engine | Path:
        """Where audit records are kept: a file of their own on SQLite, else beside the catalog."""
        return self.catalog.engine if self.settings.database_url else self.layout.audit_database

    @cached_property
    def key_store(self) -> KeyStore:
        return KeyStore(self.layout.keys)

    @cached_property
    def audit(self) -> AuditLog:
        return AuditLog(
            self.audit_storage, self.key_store, self.layout.audit_folder, limit_s=self.settings.audit_limit_s
        )

    @cached_property
    def audit_reader(self) -> AuditReader:
        return AuditReader(self.audit_storage, self.key_store)

    def verify_audit(self) -> Report:
        return verify(self.audit_storage, self.key_store, self.layout.audit_folder)

    @cached_property
    def blobs(self) -> Blobs:
        return Blobs(self.layout.blobs)

    @cached_property
    def gate(self) -> Gate:
        return Gate(self.catalog)

    @cached_property
    def readable(self) -> ReadableRows:
        return ReadableRows(self.catalog)

    @cached_property
    def encoder(self) -> Encoder:
        if self.settings.embedding_model == "hashing":
            return HashingEncoder()
        # Imported here because OpenVINO takes longer to load than most commands take to run.
        from inference.minilm import load_default_encoder

        return load_default_encoder(self.settings.encoder_threads)

    @cached_property
    def index_reader(self) -> IndexReader:
        return IndexReader(self.layout.index)

    @cached_property
    def index_writer(self) -> IndexWriter:
        return IndexWriter(self.layout.index, self.encoder.fingerprint, self.encoder.dimension)

    @cached_property
    def searcher(self) -> Searcher:
        return Searcher(self.catalog, self.readable, Ranker(self.index_reader, self.encoder), self.gate)

    @cached_property
    def search(self) -> RecordedSearch:
        return RecordedSearch(self.searcher, self.audit)

    @cached_property
    def ask(self) -> AskService:
        return AskService(
            self.searcher,
            self.gate,
            ExtractiveAnswerer(self.encoder),
            self.encoder,
            self.audit,
            self.settings.answer_passages,
        )

    def warm(self) -> None:
        """Load what the first question would otherwise wait for: the encoder, the language detector, the index."""
        self.encoder.encode_query("warm")
        detect("Is everything loaded?")
        self.index_reader.snapshot()

    @cached_property
    def disclosure(self) -> Disclosure:
        return Disclosure(self.gate, self.blobs, self.audit)

    @cached_property
    def publisher(self) -> IndexPublisher:
        return IndexPublisher(self.catalog, self.encoder, self.index_writer, self.index_reader)

    @cached_property
    def ingestion(self) -> Ingestion:
        return Ingestion(
            self.catalog,
            self.blobs,
            self.encoder,
            self.publisher,
            self._open_parser,
            self.layout.lock,
            timedelta(seconds=self.settings.writer_wait_s),
        )

    def _open_parser(self) -> SandboxedParser:
        return SandboxedParser(
            Limits(
                seconds=self.settings.parser_timeout_s,
                memory_bytes=self.settings.parser_memory_bytes,
                input_bytes=self.settings.max_document_bytes,
            )
        )


def init_home(settings: Settings) -> str:
    """Create a home; returns the administrator's API key, which is kept nowhere.

    Raises `Conflict` when there is one already.
    """
    layout = Layout(settings.home)
    if layout.marker.exists():
        raise Conflict(
            f"{layout.folder} is a home already; nothing was changed. `footnote keys create` makes more keys."
        )
    _create_folder(layout)
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
        _write_marker(layout)
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
            embedded = home.publisher.embed_missing()
            home.publisher.rebuild()
            _write_marker(home.layout)
        return embedded


def require_home(settings: Settings) -> None:
    """Raise `Conflict` unless the folder is a home whose layout we know."""
    layout = Layout(settings.home)
    try:
        marker = json.loads(layout.marker.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise Conflict(f"{layout.folder} is no Footnote home. Run `footnote init`, or name one with --home.") from error
    except (OSError, ValueError) as error:
        raise Conflict(f"{layout.marker} is damaged ({error}). Restore it from a backup.") from error
    if marker.get("format", 0) > HOME_FORMAT:
        raise Conflict(
            f"{layout.folder} was written by a newer Footnote ({marker.get('version')}). Install that version or a "
            "newer one; nothing was changed."
        )


def _create_folder(layout: Layout) -> None:
    try:
        layout.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        layout.blobs.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise LimitExceeded(f"{layout.folder} cannot be created ({error.strerror}).") from error


def _write_marker(layout: Layout) -> None:
    """The marker comes last, so that a half-made home is no home, and is replaced whole."""
    draft = layout.marker.with_suffix(".tmp")
    draft.write_text(json.dumps({"format": HOME_FORMAT, "version": version("footnote")}), encoding="utf-8")
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    draft.replace(layout.marker)
