"""Every setting: its type, unit, default and meaning. The sentences become the documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_SCHEMES = {"database_url": ("postgresql://", "postgresql+psycopg://"), "redis_url": ("redis://", "rediss://")}
_SCHEMES["pgvector_url"] = _SCHEMES["database_url"]

EngineName = Literal["faiss", "pgvector", "milvus"]
"""What can keep an index."""


class Settings(BaseSettings):
    """Read once, in `wiring`; rooms receive values and never look at the environment themselves."""

    model_config = SettingsConfigDict(env_prefix="FOOTNOTE_", frozen=True, extra="forbid")

    home: Path = Field(Path(".footnote"), description="Folder that holds the state: catalog, index, audit log, keys.")
    database_url: SecretStr | None = Field(
        None,
        description="PostgreSQL to keep the catalog and the audit log in (postgresql://…); unset: SQLite in the home.",
    )
    embedding_model: str = Field(
        "minilm",
        min_length=1,
        description="Encoder of chunks and questions: minilm (all-MiniLM-L6-v2, English), the folder of any model of "
        "sentence-transformers, or hashing (hashed words: no meaning; for tests).",
    )
    reranker_model: Path | None = Field(
        None,
        description="Folder of a cross-encoder of sentence-transformers, which puts the best passages once more in "
        "order; unset: none.",
    )
    reranker_url: str = Field(
        "",
        description="Server of a reranker instead: vLLM's or another with POST /rerank (http://host:8000/v1). It is "
        "sent the question and the best passages.",
    )
    reranker_name: str = Field("", description="Name of the model as served at reranker_url; empty: the only one.")
    reranker_api_key: SecretStr | None = Field(None, description="Key that the server at reranker_url asks for.")
    reranker_passages: int = Field(20, ge=2, le=200, description="How many of the best passages a reranker reads.")
    reranker_timeout_s: float = Field(
        2.0, gt=0, description="Longest wait for the server of a reranker; beyond it the order stays, in seconds."
    )
    index_engine: EngineName = Field(
        "faiss",
        description="What keeps the index of a home that begins: files in the home (FAISS and our own postings), "
        "PostgreSQL with pgvector, or Milvus. `footnote index move` changes it later.",
    )
    pgvector_url: SecretStr | None = Field(
        None,
        description="PostgreSQL with pgvector for the index (postgresql://…); unset: the catalog's, if that is one.",
    )
    milvus_url: SecretStr | None = Field(
        None,
        description="Milvus for the vectors of the index (http://host:19530), or a file ending in .db for Milvus Lite, "
        "which one process at a time can open; unset: such a file in the home.",
    )
    milvus_token: SecretStr | None = Field(None, description="Token or user:password that Milvus asks for.")
    milvus_index: str = Field(
        "FLAT",
        description="Index that Milvus makes of vectors: FLAT is exact; HNSW, IVF_SQ8 or DISKANN are for tens of "
        "millions of chunks and more, see docs/scale.md.",
    )
    encoder_threads: int = Field(0, ge=0, description="Processor threads for embedding documents; 0: one per core.")
    max_document_bytes: int = Field(100_000_000, gt=0, description="Largest document that is read, in bytes.")
    parser_timeout_s: float = Field(60.0, gt=0, description="Longest time one document may take to parse, in seconds.")
    parser_pictures_timeout_s: float = Field(
        600.0,
        gt=0,
        description="Longest time one document may take with all its scanned pages and pictures of text, each of which "
        "may take parser_timeout_s, in seconds.",
    )
    parser_memory_bytes: int = Field(
        2_000_000_000, gt=0, description="Address space the parser process may take, in bytes."
    )
    office_converter: str = Field(
        "soffice",
        description="LibreOffice, by name or path, which converts Word, Excel and PowerPoint files of before 2007; "
        "empty: they are refused.",
    )
    writer_wait_s: float = Field(
        30.0, ge=0, description="How long to wait for another writer on the same home before giving up, in seconds."
    )
    audit_limit_s: float = Field(
        2.0, gt=0, description="Longest wait for an audit record, in seconds; beyond it nothing is answered."
    )
    answer_passages: int = Field(8, ge=1, le=50, description="How many passages an answer is looked for in.")
    context_neighbours: int = Field(
        0,
        ge=0,
        le=50,
        description="Of so many of these, what stands beside them in their documents is read too; 0: of none. "
        "It helps a little with long documents.",
    )
    answer_passages_per_document: int = Field(
        0,
        ge=0,
        description="As passages_per_document, for the passages that an answer is looked for in. 0: by fit alone.",
    )
    passages_per_document: int = Field(
        3,
        ge=0,
        description="So many passages of one document keep their places; further ones make way for those of other "
        "documents that fit about as well. 0: by fit alone.",
    )
    recency_half_life_days: float = Field(
        0.0,
        ge=0,
        description="Prefer what came in lately: after so many days a passage has lost half of the tenth of its score "
        "that age can take. 0: age takes nothing.",
    )
    host: str = Field("127.0.0.1", description="Address that `footnote serve` listens on.")
    port: int = Field(8321, ge=1, le=65535, description="Port that `footnote serve` listens on.")
    session_hours: float = Field(12.0, gt=0, description="How long a browser stays signed in, in hours.")
    secure_cookies: bool = Field(
        False, description="Mark the sign-in cookie Secure: set it where the page is on HTTPS."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least level that the server logs, to stderr; a request is info."
    )
    vllm_urls: str = Field(
        "",
        description="vLLM servers that write answers, separated by commas (http://host:8000/v1,…); empty: no model, "
        "the built-in extractive answerer quotes the best sentences.",
    )
    vllm_api_key: SecretStr | None = Field(None, description="Key that the vLLM servers ask for.")
    vllm_model: str = Field("", description="Name of the served model or LoRA adapter; empty: the first one served.")
    vision_url: str = Field(
        "",
        description="OpenAI-compatible server (http://host:8000/v1) of a vision model that describes pictures while "
        "they are brought in; empty: none. It is sent every picture whole.",
    )
    vision_model: str = Field("", description="Name of the vision model as served at vision_url.")
    vision_api_key: SecretStr | None = Field(None, description="Key that the server at vision_url asks for.")
    vision_timeout_s: float = Field(
        30.0, gt=0, description="Longest time to describe one picture, in seconds; beyond it goes without."
    )
    model_patience_s: float = Field(
        1.5,
        gt=0,
        description="Longest wait for a model's first token, and of vLLM for every three further ones; beyond it the "
        "extractive answerer takes over, in seconds.",
    )
    model_deadline_s: float = Field(60.0, gt=0, description="Longest time a model may write one answer, in seconds.")
    model_max_tokens: int = Field(512, gt=0, description="Most tokens of an answer that a model may write.")
    enforce_markers: bool = Field(
        False, description="Make the model end every sentence with a marker, by structured outputs of vLLM."
    )
    rewrite_follow_ups: bool = Field(
        False, description="Let the model rewrite a follow-up question from its conversation: one more call of it."
    )
    transformers_model: Path | None = Field(
        None,
        description="Folder with the weights of a model that answers in this process, by transformers, where there is "
        "no vLLM; on a processor it needs more model_patience_s.",
    )
    transformers_8bit: bool = Field(False, description="Load that model with 8-bit weights (needs bitsandbytes).")
    redaction: Literal["open", "standard", "strict"] = Field(
        "standard",
        description="What is masked for people whose groups have no policy of their own: nothing; secrets, cards, "
        "IBANs and national ids; or e-mail addresses and telephone numbers too.",
    )
    redis_url: SecretStr | None = Field(
        None, description="Redis that wakes workers (redis://…); unset: jobs run on threads of `footnote serve`."
    )
    job_threads: int = Field(2, ge=1, description="Threads that run jobs in `footnote serve` when there is no Redis.")
    job_lease_s: float = Field(
        30.0, gt=0, description="How long a worker holds a job without a sign of life, in seconds."
    )
    job_attempts: int = Field(3, ge=1, description="How often a job is tried before it is a dead letter.")
    compact_every_h: float = Field(
        24.0,
        ge=0,
        description="How often the home is compacted by itself where documents were deleted, in hours; 0: only by "
        "`footnote compact`.",
    )
    permissions_max_age_s: float = Field(
        86_400.0,
        gt=0,
        description="How old the mirrored permissions of a source may be before nobody reads it, in seconds.",
    )
    slack_bot_token: SecretStr | None = Field(None, description="Slack bot token (xoxb-…).")
    slack_app_token: SecretStr | None = Field(None, description="Slack app token for Socket Mode (xapp-…).")
    slack_signing_secret: SecretStr | None = Field(
        None, description="Signing secret of Slack's requests, for events over HTTP instead of Socket Mode."
    )
    slack_teams: str = Field("", description="Ids of the Slack workspaces served, separated by commas; empty: none.")
    slack_api_url: str = Field("https://slack.com/api/", description="Slack's Web API; another one for tests.")
    public_url: str = Field(
        "",
        description="Address at which people reach the page, for links in Slack and in OpenAI's annotations; empty: "
        "where it listens, and annotations hold paths.",
    )
    traces_url: str = Field("", description="OpenTelemetry collector for traces (OTLP over HTTP); empty: none sent.")

    @field_validator("database_url", "redis_url", "pgvector_url")
    @classmethod
    def _speaks_to_what_we_know(cls, url: SecretStr | None, about: ValidationInfo) -> SecretStr | None:
        schemes = _SCHEMES[about.field_name or ""]
        if url is not None and not url.get_secret_value().startswith(schemes):
            raise ValueError(f"write {schemes[0]}…, or leave it unset")
        return url
