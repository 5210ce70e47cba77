"""What a question gets back: hits, passages, citations, claims and answers, as in the published JSON."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from core.principals import Principal

AbstentionReason = Literal["no_evidence", "low_support", "conflicting", "filtered", "unavailable"]
Mode = Literal["extractive", "vllm", "transformers"]


@dataclass(frozen=True, order=True)
class Span:
    """A document's stored text from `start` to `end`, in code points, is of this category.

    The categories are `pii.email`, `pii.phone`, `pii.card`, `pii.iban`, `pii.national_id`, and `secret.` with its kind.
    """

    start: int
    end: int
    category: str


@dataclass(frozen=True)
class Passage:
    """Text of one chunk, as the gate handed it to one principal.

    `row` is the chunk's number in the catalog (what indexes hold); `chunk_id` is what users see. `start` and `end`
    are code points into the document's stored text, and `text` is exactly that span, but for what is `masked` in it.
    """

    row: int
    chunk_id: str
    document_id: str
    version: int
    source: str
    external_id: str
    uri: str
    title: str
    heading: tuple[str, ...]
    page: int | None
    start: int
    end: int
    text: str
    language: str = ""
    masked: tuple[Span, ...] = ()
    """What this principal does not see: it reads as so many blocks."""


@dataclass(frozen=True)
class Hit:
    """A passage with its rank (from 1) and its fused score for one query; a score never leaves its ranking.

    `also_in` are passages that say the same in near-duplicates of its document: named, and not ranked beside it.
    """

    rank: int
    score: float
    passage: Passage
    also_in: tuple[Passage, ...] = ()


@dataclass(frozen=True)
class SearchResult:
    """The hits of one query, best first, and where the time went (milliseconds)."""

    query: str
    principal: Principal
    hits: tuple[Hit, ...]
    timings_ms: dict[str, float]
    epoch: int
    """The catalog's epoch at which access was decided."""
    view: str = ""
    """Names what the principal may read: the same for people with the same rights."""


@dataclass(frozen=True)
class Citation:
    """A checked footnote: `quote` is exactly the stored text from `start` to `end`."""

    marker: int
    document_id: str
    version: int
    source: str
    external_id: str
    uri: str
    title: str
    heading: tuple[str, ...]
    page: int | None
    start: int
    end: int
    quote: str


@dataclass(frozen=True)
class Claim:
    """One sentence of an answer, the markers of its citations, and how well they support it (0 to 1)."""

    text: str
    markers: tuple[int, ...]
    support: float


@dataclass(frozen=True)
class NearDocument:
    """A readable document that came near, offered when nothing answers."""

    document_id: str
    source: str
    external_id: str
    uri: str
    title: str


@dataclass(frozen=True)
class Answer:
    """An answer whose every sentence cites what supports it, or an abstention with its reason."""

    question: str
    principal: Principal
    text: str
    abstained: bool
    reason: AbstentionReason | None
    citations: tuple[Citation, ...]
    claims: tuple[Claim, ...]
    mode: Mode
    model: str
    nearest: tuple[NearDocument, ...] = ()
    safety: dict[str, Any] = field(
        default_factory=lambda: {"input": [], "passages": [], "output": [], "action": "allow"}
    )
    usage: dict[str, int] = field(default_factory=lambda: {"prompt_tokens": 0, "completion_tokens": 0})
    timings_ms: dict[str, float] = field(default_factory=dict)
    audit_id: str = ""
    degraded: dict[str, str] | None = None
    """Where the model failed: its `mode` and `model`, and the `cause`. The answer, or its end, is then quoted."""
    rewritten_question: str | None = None
    """What was searched in place of the question, which needs its conversation to be understood; else None."""
    conversation_id: str | None = None
