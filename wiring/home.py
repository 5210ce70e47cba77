"""A home: the folder (and database) that holds one organization's state, and every part that works on it."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

import sqlalchemy as sa

from catalog.blobs import Blobs
from catalog.database import Catalog, open_engine, sqlite_url
from catalog.job_queue import JobQueue, NewJob
from core.errors import FootnoteError, IndexDamaged, WrongUsage
from core.logs import json_log
from core.settings import Settings
from generation.answerer import Answerer
from generation.batch.running import BatchRunner
from generation.conversation.model_rewriting import ModelRewriter
from generation.conversation.service import ConversationService, Rewriter, rewrite_by_words
from generation.extractive import ExtractiveAnswerer
from generation.model_answerer import ModelAnswerer, ModelLimits, WithFallback
from generation.service import AskService
from governance.access.readable import ReadableRows
from governance.audit import AuditLog, AuditReader, Flaw, KeyStore, Report, verify
from governance.batch_results import BatchResults
from governance.batch_rows import BatchRows
from governance.batch_sealing import BatchSealing
from governance.batches import Batches
from governance.conversations import Conversations
from governance.disclosure import Disclosure
from governance.doors import Gate
from governance.feedback import Feedback
from governance.near_duplicates import NearDuplicates
from governance.safety.guard import Guard
from governance.safety.harm import load_harm_probe
from governance.sealing import Sealing
from governance.slack_accounts import SlackAccounts
from inference.chat import ChatModel
from inference.encoder import Encoder
from inference.hashing import HashingEncoder
from inference.language import detect
from inference.remembering import RememberingEncoder
from inference.reranker import Reranker
from ingest.arrivals import Arrivals
from ingest.captions import CaptioningParser
from ingest.connections import Connection, Connections
from ingest.connectors.protocol import Connector
from ingest.indexing import IndexPublisher
from ingest.moving import Mover
from ingest.parsing.conversion import ConvertingParser
from ingest.parsing.limits import Limits
from ingest.parsing.pool import ParserPool
from ingest.parsing.sandbox import SandboxedParser
from ingest.pipeline import Ingestion, Parser
from retrieval.diversity import SCORES_ALIKE, Diversity
from retrieval.engines.protocol import IndexReading, IndexWriting
from retrieval.engines.switching import Place, SwitchingReader, SwitchingWriter
from retrieval.facets import DocumentFacets
from retrieval.links import Links
from retrieval.neighbours import Neighbours
from retrieval.ranking import Ranker
from retrieval.recency import Recency
from retrieval.recorded import RecordedSearch
from retrieval.reranking import Reranking
from retrieval.search import Searcher
from retrieval.standing_in import SteadyReader
from wiring.connector_pool import ConnectorPool
from wiring.connectors import Means, checked_settings, kind_of
from wiring.credentials import read_secret
from wiring.engines import Engines
from wiring.layout import Layout

if TYPE_CHECKING:
    from inference.vllm import VllmChat


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
        if model := self.__dict__.get("chat_model"):
            model.close()
        if parsers := self.__dict__.get("parsers"):
            parsers.close()
        if connectors := self.__dict__.get("connectors"):
            connectors.close()
        if engines := self.__dict__.get("engines"):
            engines.close()
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
        """What is wrong with the audit log; a home begins with the record of its making, so that one is never empty."""
        report = verify(self.audit_storage, self.key_store, self.layout.audit_folder)
        if report.records or report.flaws:
            return report
        return replace(report, flaws=(Flaw("0", 1, "it is missing, and every other record with it"),))

    @cached_property
    def blobs(self) -> Blobs:
        return Blobs(self.layout.blobs)

    @cached_property
    def jobs(self) -> JobQueue:
        return JobQueue(self.catalog, timedelta(seconds=self.settings.job_lease_s), self.settings.job_attempts)

    @cached_property
    def arrivals(self) -> Arrivals:
        return Arrivals(self.catalog, self.jobs)

    @cached_property
    def connections(self) -> Connections:
        return Connections(self.catalog)

    @cached_property
    def connectors(self) -> ConnectorPool:
        return ConnectorPool(self._open_connector)

    def _open_connector(self, connection: Connection) -> Connector:
        kind = kind_of(connection.kind)
        settings = kind.settings.model_validate(checked_settings(connection.kind, connection.settings))
        secret = read_secret(connection.secret, self.layout.secrets)
        cache = self.layout.source_caches / str(connection.source_id)
        return kind.open(settings, secret, Means(self.settings.max_document_bytes, cache))

    @cached_property
    def gate(self) -> Gate:
        return Gate(self.catalog, self.settings.redaction)

    @property
    def near_duplicates(self) -> NearDuplicates:
        return NearDuplicates(self.catalog, self.settings.redaction)

    @cached_property
    def readable(self) -> ReadableRows:
        return ReadableRows(self.catalog)

    @cached_property
    def encoder(self) -> Encoder:
        if self.settings.embedding_model == "hashing":
            return HashingEncoder()
        # Imported here because OpenVINO and torch take longer to load than most commands take to run.
        if self.settings.embedding_model == "minilm":
            from inference.minilm import load_default_encoder

            return RememberingEncoder(load_default_encoder(self.settings.encoder_threads))
        from inference.sentence_encoder import SentenceEncoder

        return RememberingEncoder(SentenceEncoder(Path(self.settings.embedding_model), self.settings.encoder_threads))

    @cached_property
    def reranker(self) -> Reranker | None:
        """The one that is configured, if one is; raises `WrongUsage` where that cannot be."""
        chosen = self.settings
        if chosen.reranker_model and chosen.reranker_url:
            raise WrongUsage(
                "Both reranker_model and reranker_url are set; a question has room for one. Unset the other."
            )
        if chosen.reranker_model:
            from inference.cross_encoder import LocalCrossEncoder

            return LocalCrossEncoder(chosen.reranker_model)
        if chosen.reranker_url:
            from inference.vllm.reranking import ServedReranker

            key = chosen.reranker_api_key.get_secret_value() if chosen.reranker_api_key else None
            return ServedReranker(chosen.reranker_url, chosen.reranker_name, chosen.reranker_timeout_s, key)
        return None

    @property
    def _reranking(self) -> Reranking | None:
        if self.reranker is None:
            return None
        log = json_log(self.settings.log_level)
        return Reranking(
            self.reranker,
            self.settings.reranker_passages,
            lambda failure: log.warning("not reranked", cause=failure.kind),
        )

    @cached_property
    def engines(self) -> Engines:
        return Engines(self.settings, self.layout)

    @cached_property
    def index_reader(self) -> IndexReading:
        return SwitchingReader(self.engines.signpost, self.engines.reader)

    @cached_property
    def steady_reader(self) -> SteadyReader:
        """What questions are answered from: the index, or the catalog while the index is damaged."""
        encoder = self.encoder
        return SteadyReader(
            self.index_reader, self.publisher, encoder.fingerprint, encoder.dimension, self._have_index_repaired
        )

    def _have_index_repaired(self, damage: IndexDamaged) -> None:
        """Queue the upkeep that builds the index anew; whatever happens, the question that met the damage goes on."""
        log = json_log(self.settings.log_level)
        log.error("index damaged", cause=str(damage))
        try:
            self.jobs.enqueue([NewJob("upkeep", "upkeep", "home", once_key="upkeep")])
        except FootnoteError as error:
            log.error("no upkeep queued", error=type(error).__name__)

    @cached_property
    def index_writer(self) -> IndexWriting:
        return SwitchingWriter(self.engines.signpost, self._index_writer_at, self.engines.remove)

    def _index_writer_at(self, place: Place) -> IndexWriting:
        return self.engines.writer(place, self.encoder.fingerprint, self.encoder.dimension)

    @property
    def mover(self) -> Mover:
        engines = self.engines
        return Mover(self.publisher, engines.signpost, engines.reader, self._index_writer_at, engines.remove)

    @cached_property
    def searcher(self) -> Searcher:
        chosen = self.settings
        return Searcher(
            self.catalog,
            self.readable,
            Ranker(self.steady_reader, self.encoder),
            self.gate,
            self.facets,
            Recency(timedelta(days=chosen.recency_half_life_days)) if chosen.recency_half_life_days else None,
            _diversity(chosen.passages_per_document),
            reranking=self._reranking,
            links=Links(self.gate, self.readable),
        )

    @cached_property
    def facets(self) -> DocumentFacets:
        return DocumentFacets(self.catalog)

    @cached_property
    def search(self) -> RecordedSearch:
        return RecordedSearch(self.searcher, self.audit)

    @cached_property
    def ask(self) -> AskService:
        return AskService(
            # Answers are looked for where the question fits best, see docs/decisions/context.md.
            replace(self.searcher, diversity=_diversity(self.settings.answer_passages_per_document)),
            self.gate,
            self.answerer,
            self.encoder,
            self.audit,
            self.guard,
            self.settings.answer_passages,
            neighbours=self._neighbours,
        )

    @property
    def _neighbours(self) -> Neighbours | None:
        of_best = self.settings.context_neighbours
        return Neighbours(self.catalog, self.gate, of_best) if of_best else None

    @cached_property
    def guard(self) -> Guard:
        probe = load_harm_probe()
        return Guard(self.encoder, probe if probe.reads(self.encoder) else None)

    @cached_property
    def chat_model(self) -> ChatModel | None:
        """The model that writes answers, or None: then they are quoted."""
        chosen = self.settings
        urls = _server_urls(chosen.vllm_urls)
        if urls:
            # Imported here because its HTTP client takes a tenth of what every command takes to start.
            from inference.vllm import VllmChat

            key = chosen.vllm_api_key.get_secret_value() if chosen.vllm_api_key else None
            return VllmChat(urls, key, chosen.vllm_model)
        if chosen.transformers_model:
            # Imported here because torch and transformers take seconds to load.
            from inference.transformers_chat import TransformersChat

            return TransformersChat(chosen.transformers_model, chosen.transformers_8bit)
        return None

    @property
    def vllm(self) -> VllmChat | None:
        """The client of the vLLM servers, where these write the answers."""
        if not self.settings.vllm_urls:
            return None
        from inference.vllm import VllmChat

        return self.chat_model if isinstance(self.chat_model, VllmChat) else None

    @cached_property
    def answerer(self) -> Answerer:
        quoting = ExtractiveAnswerer(self.encoder)
        if self.chat_model is None:
            return quoting
        limits = ModelLimits(
            self.settings.model_max_tokens, self.settings.model_deadline_s, self.settings.model_patience_s
        )
        return WithFallback(ModelAnswerer(self.chat_model, limits, self.settings.enforce_markers), quoting)

    @cached_property
    def rewrite(self) -> Rewriter:
        """How a follow-up becomes a question that stands alone."""
        if self.chat_model is None or not self.settings.rewrite_follow_ups:
            return rewrite_by_words
        # The answer needs the patience that is left: a model that is silent is given up twice, in two seconds together.
        return ModelRewriter(self.chat_model, self.settings.model_patience_s / 4, self.settings.model_patience_s)

    @cached_property
    def conversations(self) -> Conversations:
        return Conversations(self.catalog, Sealing(self.key_store), self.gate, self.audit)

    @cached_property
    def batches(self) -> Batches:
        return Batches(self.catalog, self._batch_sealing, self.audit)

    @cached_property
    def batch_results(self) -> BatchResults:
        return BatchResults(self.catalog, self._batch_sealing, self.gate, self.audit)

    @cached_property
    def batch_runner(self) -> BatchRunner:
        return BatchRunner(BatchRows(self.catalog, self._batch_sealing, self.settings.job_attempts), self.ask)

    @property
    def _batch_sealing(self) -> BatchSealing:
        return BatchSealing(Sealing(self.key_store))

    @cached_property
    def conversing(self) -> ConversationService:
        return ConversationService(self.ask, self.conversations, self.rewrite)

    @cached_property
    def feedback(self) -> Feedback:
        return Feedback(self.catalog, Sealing(self.key_store), self.audit, self.audit_reader)

    @cached_property
    def slack_accounts(self) -> SlackAccounts:
        return SlackAccounts(self.catalog, self.audit)

    def warm(self) -> None:
        """Load what the first question would otherwise wait for: encoder, language detector, index, a local model."""
        _ = self.chat_model
        self.encoder.encode_query("warm")
        self.encoder.encode(["warm"])
        _ = self.reranker
        detect("Is everything loaded?")
        self.steady_reader.snapshot()
        threading.Thread(target=self.index_reader.check_remembered, name="footnote-index-check", daemon=True).start()

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
            self.open_parser,
            self.layout.lock,
            timedelta(seconds=self.settings.writer_wait_s),
        )

    @cached_property
    def parsers(self) -> ParserPool:
        return ParserPool(self.open_parser)

    def open_parser(self) -> Parser:
        """A parser process of one's own, to be closed; with a vision model beside it where one is configured."""
        limits = Limits(
            seconds=self.settings.parser_timeout_s,
            picture_seconds=self.settings.parser_pictures_timeout_s,
            memory_bytes=self.settings.parser_memory_bytes,
            input_bytes=self.settings.max_document_bytes,
        )
        parser = ConvertingParser(SandboxedParser(limits), self.settings.office_converter, limits.input_bytes)
        if not self.settings.vision_url:
            return parser
        from inference.vllm.vision import VisionModel

        key = self.settings.vision_api_key
        model = VisionModel(
            self.settings.vision_url,
            self.settings.vision_model,
            self.settings.vision_timeout_s,
            key.get_secret_value() if key else None,
        )
        return CaptioningParser(parser, model.describe, model.model)


def _diversity(passages_per_document: int) -> Diversity | None:
    return Diversity(passages_per_document, SCORES_ALIKE) if passages_per_document else None


def _server_urls(listed: str) -> list[str]:
    """The addresses in a list; raises `WrongUsage` for what is none of a vLLM server."""
    urls = [url.strip().rstrip("/") for url in listed.split(",") if url.strip()]
    for url in urls:
        if not url.startswith(("http://", "https://")) or not url.endswith("/v1"):
            raise WrongUsage(
                f"vllm_urls must name servers as http://host:8000/v1, separated by commas; {url!r} is none."
            )
    return urls
