"""The bodies of requests, as they are checked before a room sees them."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from governance.feedback import Verdict
from retrieval.search import MAX_K, Filters

Name = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""What something is called; no control characters, which not every database takes."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FiltersBody(_Body):
    """Narrows a question to documents with one of the values named."""

    sources: list[Name] = Field(default=[], max_length=100)
    document_ids: list[Name] = Field(default=[], max_length=1000)
    media_types: list[Name] = Field(default=[], max_length=100)
    languages: list[Name] = Field(default=[], max_length=100)

    def filters(self) -> Filters:
        return Filters(tuple(self.sources), tuple(self.document_ids), tuple(self.media_types), tuple(self.languages))


class SearchBody(_Body):
    query: str = Field(description="What to look for.")
    k: int = Field(default=10, ge=1, le=MAX_K, description="How many passages.")
    filters: FiltersBody = Field(default_factory=FiltersBody)


class AskBody(_Body):
    question: str = Field(description="What to answer.")
    conversation_id: Name | None = Field(
        default=None, description="From POST /v1/conversations; unset: the question stands for itself."
    )
    filters: FiltersBody = Field(default_factory=FiltersBody)


class FeedbackBody(_Body):
    audit_id: Name = Field(description="Of the answer, from its JSON.")
    verdict: Verdict
    comment: str = Field(default="", max_length=4_000, description="Kept encrypted in the audit log alone.")


class GroupBody(_Body):
    members: list[Name] = Field(
        max_length=100_000, description="`user:ID` or `group:ID`; they replace the present ones."
    )


class SourceBody(_Body):
    path: Annotated[str, StringConstraints(min_length=1, max_length=4096, pattern=r"^/[^\x00]*$")] = Field(
        description="An absolute path on the server."
    )
    name: Annotated[str, StringConstraints(max_length=1024, pattern=r"^[^\x00-\x1f\x7f]*$")] = Field(
        default="", description="What the source is called; unset: its path."
    )
    allow: list[Name] = Field(default=[], max_length=1000, description="Who may read where no access.yaml says.")
    every_seconds: int | None = Field(
        default=None, ge=60, le=31_622_400, description="How often; unset: only when asked."
    )
    prune: bool = Field(default=False, description="Delete what the folder no longer has.")


class KeyBody(_Body):
    name: Name = Field(description="What the key is for, for the list of keys.")
    principal: Name = Field(description="`user:ID`: whom the key speaks for.")
    scopes: list[Name] = Field(min_length=1, max_length=20)
    expires_days: float | None = Field(default=None, gt=0, le=36_500, description="Unset: the key does not expire.")


class SessionBody(_Body):
    key: str = Field(max_length=500, description="The API key to exchange for a cookie.")
