"""The bodies of requests, as they are checked before a room sees them."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from governance.feedback import Verdict
from retrieval.filters import Filters, filters_of
from retrieval.path_patterns import MAX_PATTERN_CHARACTERS
from retrieval.search import MAX_K

Name = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""What something is called; no control characters, which not every database takes."""


PathPattern = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_PATTERN_CHARACTERS, pattern=r"^[^\x00-\x1f\x7f]+$")
]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FiltersBody(_Body):
    """Narrows a question to documents that have, of each filter given, one of the values named."""

    sources: list[Name] = Field(default=[], max_length=100)
    document_ids: list[Name] = Field(default=[], max_length=1000)
    paths: list[PathPattern] = Field(
        default=[], max_length=100, description="Folders, or patterns such as `legal/**` and `*.pdf`."
    )
    media_types: list[Name] = Field(default=[], max_length=100, description="Media types, or names such as `pdf`.")
    types: list[Name] = Field(default=[], max_length=100, description="The same; both are looked for.")
    languages: list[Name] = Field(default=[], max_length=100, description="Two letters, such as `de`.")
    labels: list[Name] = Field(default=[], max_length=100)
    since: Name | None = Field(default=None, description="The content came in on this ISO date or later.")
    until: Name | None = Field(default=None, description="The content came in on this ISO date or earlier.")

    def filters(self) -> Filters:
        """Raises `WrongUsage` for what makes no sense."""
        return filters_of(
            sources=self.sources,
            document_ids=self.document_ids,
            types=[*self.media_types, *self.types],
            languages=self.languages,
            paths=self.paths,
            labels=self.labels,
            since=self.since,
            until=self.until,
        )


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
    path: Annotated[str, StringConstraints(max_length=4096, pattern=r"^(/[^\x00]*)?$")] = Field(
        default="", description="A folder: an absolute path on the server. Unset for a system."
    )
    kind: Annotated[str, StringConstraints(max_length=32, pattern=r"^[a-z0-9_-]*$")] = Field(
        default="", description="A kind of system, as /v1/sources/kinds names it. Unset for a folder."
    )
    settings: dict[str, Any] = Field(default={}, max_length=100, description="How the system is reached.")
    secret: Name | None = Field(
        default=None, description="Where its credential is: env:FOOTNOTE_SECRET_NAME or file:NAME."
    )
    name: Annotated[str, StringConstraints(max_length=1024, pattern=r"^[^\x00-\x1f\x7f]*$")] = Field(
        default="", description="What the source is called; unset: its path or kind."
    )
    allow: list[Name] = Field(default=[], max_length=1000, description="Who may read where the source does not say.")
    every_seconds: int | None = Field(
        default=None, ge=60, le=31_622_400, description="How often; unset: only when asked."
    )
    prune: bool = Field(default=False, description="Delete what the folder no longer has; a system's always goes.")

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if bool(self.path) == bool(self.kind):
            raise ValueError("give the `path` of a folder or the `kind` of a system")
        return self


class AccountBody(_Body):
    person: Name = Field(description="`user:ID`: whose the account is.")


class KeyBody(_Body):
    name: Name = Field(description="What the key is for, for the list of keys.")
    principal: Name = Field(description="`user:ID`: whom the key speaks for.")
    scopes: list[Name] = Field(min_length=1, max_length=20)
    expires_days: float | None = Field(default=None, gt=0, le=36_500, description="Unset: the key does not expire.")


class SessionBody(_Body):
    key: str = Field(max_length=500, description="The API key to exchange for a cookie.")
