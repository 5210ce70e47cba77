"""The engines that can keep an index, built from settings: readers and writers for a place, and its removal."""

from __future__ import annotations

import shutil
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa

from core.errors import WrongUsage
from core.settings import Settings
from retrieval.engines.protocol import IndexReading, IndexWriting
from retrieval.engines.switching import Place, Signpost
from retrieval.index import IndexReader, IndexWriter
from retrieval.index.manifest import MANIFEST, SEGMENTS
from wiring.layout import Layout

if TYPE_CHECKING:
    from retrieval.engines.milvus import Milvus
    from retrieval.engines.pgvector_tables import Tables

# Merged in 0.2 s or so, which a publish may take longer; what is larger is merged in the background.
_MERGED_IN_PUBLISH = 4_096


class Engines:
    """Opens an index wherever it is. What an engine needs is imported and connected to when it is used."""

    def __init__(self, settings: Settings, layout: Layout) -> None:
        self._settings = settings
        self._layout = layout

    @cached_property
    def signpost(self) -> Signpost:
        return Signpost(self._layout.index, self._first)

    def reader(self, place: Place) -> IndexReading:
        if not place.begun:
            return IndexReader(self._layout.index)  # which has none
        if place.engine == "pgvector":
            from retrieval.engines.pgvector import PgvectorReader

            return PgvectorReader(self._tables(place), self._folder(place) / "read")
        if place.engine == "milvus":
            from retrieval.engines.milvus import MilvusReader

            return MilvusReader(self._milvus(place), self._folder(place))
        return IndexReader(self._folder(place))

    def writer(self, place: Place, fingerprint: str, dimension: int) -> IndexWriting:
        if place.engine == "pgvector":
            from retrieval.engines.pgvector_writing import PgvectorWriter

            return PgvectorWriter(self._tables(place), self._folder(place) / "written", fingerprint, dimension)
        if place.engine == "milvus":
            from retrieval.engines.milvus import MilvusWriter

            return MilvusWriter(self._milvus(place), self._folder(place), fingerprint, dimension)
        return IndexWriter(self._folder(place), fingerprint, dimension, merged_in_publish=_MERGED_IN_PUBLISH)

    def remove(self, place: Place) -> None:
        """Remove all that an index left in a place; nobody may be asking it any more."""
        if place.engine == "pgvector":
            self._tables(place).remove()
        if place.engine == "milvus":
            self._milvus(place).remove()
        if place.name:
            shutil.rmtree(self._folder(place), ignore_errors=True)
            return
        (self._layout.index / MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(self._layout.index / SEGMENTS, ignore_errors=True)

    def close(self) -> None:
        if engine := self.__dict__.get("_postgresql"):
            engine.dispose()

    def _first(self) -> Place:
        """Where the index of a home is that was never moved: in the home, if there is one, else as the settings say."""
        if self._settings.index_engine == "faiss" or (self._layout.index / MANIFEST).exists():
            return Place("faiss")
        return Place(self._settings.index_engine)

    def _folder(self, place: Place) -> Path:
        return self._layout.index / place.name if place.name else self._layout.index

    def _tables(self, place: Place) -> Tables:
        from retrieval.engines.pgvector_tables import Tables

        return Tables(self._postgresql, place.name)

    def _milvus(self, place: Place) -> Milvus:
        from retrieval.engines.milvus import Milvus

        chosen = self._settings
        url = chosen.milvus_url.get_secret_value() if chosen.milvus_url else str(self._layout.index / "milvus.db")
        token = chosen.milvus_token.get_secret_value() if chosen.milvus_token else ""
        return Milvus(url, token, place.name, chosen.milvus_index)

    @cached_property
    def _postgresql(self) -> sa.Engine:
        chosen = self._settings.pgvector_url or self._settings.database_url
        if chosen is None:
            raise WrongUsage(
                "The index is to be in PostgreSQL and no address of one is set: set pgvector_url (postgresql://…)."
            )
        url = chosen.get_secret_value().replace("postgresql://", "postgresql+psycopg://", 1)
        return sa.create_engine(url, pool_pre_ping=True, pool_size=8, max_overflow=8, hide_parameters=True)
