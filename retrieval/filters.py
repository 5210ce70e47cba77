"""Filters: which documents a question is asked of, as values; and reading them from the words people write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from core.errors import WrongUsage
from governance.labels import as_label
from retrieval.path_patterns import checked_pattern

MAX_VALUES = 1_000
"""How many values one filter may name."""


@dataclass(frozen=True)
class Filters:
    """Narrows a question to documents that have, of each filter given, one of the values named.

    `media_types` are full types; `paths` are patterns (see `retrieval.path_patterns`) of the document's path within its
    source or of its address. `changed_from` (included) and `changed_before` (not included) bound when the
    document's present content came in. An empty tuple, and None, ask nothing.
    """

    sources: tuple[str, ...] = ()
    document_ids: tuple[str, ...] = ()
    media_types: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    changed_from: datetime | None = None
    changed_before: datetime | None = None

    def __bool__(self) -> bool:
        return self != NO_FILTERS

    def to_record(self) -> dict[str, object]:
        """What an audit record holds of them: lists, and moments in ISO 8601."""
        return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in vars(self).items()}


NO_FILTERS = Filters()

TYPE_NAMES: Mapping[str, tuple[str, ...]] = {
    "pdf": ("application/pdf",),
    "docx": ("application/vnd.openxmlformats-officedocument.wordprocessingml.document",),
    "xlsx": ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",),
    "pptx": ("application/vnd.openxmlformats-officedocument.presentationml.presentation",),
    "odt": ("application/vnd.oasis.opendocument.text",),
    "ods": ("application/vnd.oasis.opendocument.spreadsheet",),
    "odp": ("application/vnd.oasis.opendocument.presentation",),
    "rtf": ("application/rtf",),
    "epub": ("application/epub+zip",),
    "html": ("text/html",),
    "markdown": ("text/markdown",),
    "md": ("text/markdown",),
    "text": ("text/plain",),
    "txt": ("text/plain",),
    "csv": ("text/csv",),
    "tsv": ("text/tab-separated-values",),
    "json": ("application/json", "application/jsonl"),
    "xml": ("application/xml",),
    "email": ("message/rfc822", "application/vnd.ms-outlook", "application/mbox"),
    "eml": ("message/rfc822",),
    "msg": ("application/vnd.ms-outlook",),
    "mbox": ("application/mbox",),
    "calendar": ("text/calendar",),
    "notebook": ("application/x-ipynb+json",),
    "image": ("image/png", "image/jpeg", "image/tiff", "image/gif", "image/bmp", "image/webp"),
}
"""The short names of kinds of documents, and the media types of each."""


def filters_of(
    sources: Sequence[str] = (),
    document_ids: Sequence[str] = (),
    types: Sequence[str] = (),
    languages: Sequence[str] = (),
    paths: Sequence[str] = (),
    labels: Sequence[str] = (),
    since: str | None = None,
    until: str | None = None,
) -> Filters:
    """Filters from what a person wrote; raises `WrongUsage` that says what would make sense.

    `types` are media types or `TYPE_NAMES`. `since` and `until` are ISO dates or moments, both included; a date is
    the whole day, and what names no zone is in UTC.
    """
    named = {"source": sources, "document": document_ids, "type": types}
    named |= {"language": languages, "path": paths, "label": labels}
    for name, values in named.items():
        if len(values) > MAX_VALUES:
            raise WrongUsage(f"At most {MAX_VALUES:,} values of one filter are looked at; {name} has {len(values):,}.")
    filters = Filters(
        sources=tuple(sources),
        document_ids=tuple(document_ids),
        media_types=tuple(dict.fromkeys(media_type for name in types for media_type in media_types_of(name))),
        # The catalog tells languages apart, and not the countries they are spoken in.
        languages=tuple(language.strip().lower().partition("-")[0] for language in languages),
        paths=tuple(map(checked_pattern, paths)),
        labels=tuple(map(as_label, labels)),
    )
    first, after_last = _moment(since, "since"), _moment(until, "until", end=True)
    if first is not None and after_last is not None and first >= after_last:
        raise WrongUsage(f"Nothing can have changed since {since} and until {until}: the second is before the first.")
    return replace(filters, changed_from=first, changed_before=after_last)


def media_types_of(name: str) -> tuple[str, ...]:
    """The media types that a name stands for; raises `WrongUsage` for one that is not known."""
    name = name.strip().lower().removeprefix(".")
    if "/" in name:
        return (name,)
    if name not in TYPE_NAMES:
        raise WrongUsage(f"{name!r} is no type of document; there are {', '.join(TYPE_NAMES)}, and media types.")
    return TYPE_NAMES[name]


def type_name(media_type: str) -> str:
    """The short name of a media type, or itself."""
    return next((name for name, types in TYPE_NAMES.items() if types == (media_type,)), media_type)


def _moment(text: str | None, name: str, *, end: bool = False) -> datetime | None:
    """The moment, or the day's first; with `end` the first that is past it."""
    if text is None:
        return None
    try:
        moment, length = datetime.fromisoformat(text.strip()), timedelta(microseconds=1)
        if _is_day(text):
            length = timedelta(days=1)
        moment = (moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment).astimezone(UTC)
        return moment + length if end else moment
    except (ValueError, OverflowError) as error:
        raise WrongUsage(
            f"`{name}` is {text[:40]!r}, which is no date; write one such as 2026-05-31, or 2026-05-31T12:00:00+02:00."
        ) from error


def _is_day(text: str) -> bool:
    try:
        date.fromisoformat(text.strip())
    except ValueError:
        return False
    return True
