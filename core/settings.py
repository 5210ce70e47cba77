"""Every setting: its type, unit, default and meaning. The sentences become the documentation."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Read once, in `wiring`; rooms receive values and never look at the environment themselves."""

    model_config = SettingsConfigDict(env_prefix="FOOTNOTE_", frozen=True, extra="forbid")

    home: Path = Field(Path(".footnote"), description="Folder that holds the state: catalog, index, audit log, keys.")
    database_url: SecretStr | None = Field(
        None,
        description="PostgreSQL to keep the catalog and the audit log in (postgresql://…); unset: SQLite in the home.",
    )
    embedding_model: Literal["minilm", "hashing"] = Field(
        "minilm",
        description="Encoder of chunks and questions: all-MiniLM-L6-v2, or hashed words (no meaning; for tests).",
    )
    encoder_threads: int = Field(0, ge=0, description="Processor threads for embedding documents; 0: one per core.")
    max_document_bytes: int = Field(100_000_000, gt=0, description="Largest document that is read, in bytes.")
    parser_timeout_s: float = Field(60.0, gt=0, description="Longest time one document may take to parse, in seconds.")
    parser_memory_bytes: int = Field(
        2_000_000_000, gt=0, description="Address space the parser process may take, in bytes."
    )
    writer_wait_s: float = Field(
        30.0, ge=0, description="How long to wait for another writer on the same home before giving up, in seconds."
    )
    audit_limit_s: float = Field(
        2.0, gt=0, description="Longest wait for an audit record, in seconds; beyond it nothing is answered."
    )
    answer_passages: int = Field(8, ge=1, le=50, description="How many passages an answer is looked for in.")
    host: str = Field("127.0.0.1", description="Address that `footnote serve` listens on.")
    port: int = Field(8321, ge=1, le=65535, description="Port that `footnote serve` listens on.")
    session_hours: float = Field(12.0, gt=0, description="How long a browser stays signed in, in hours.")
    secure_cookies: bool = Field(
        False, description="Mark the sign-in cookie Secure: set it where the page is on HTTPS."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least level that the server logs, to stderr; a request is info."
    )
