"""What is masked for whom: the policies of groups, and the marks they leave on text that is handed out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from sqlalchemy import Row, and_, bindparam, case, delete, exists, func, select
from sqlalchemy.orm import Session

from catalog.models import ChunkRow, GranteeRow, now
from catalog.sensitive import RedactionPolicyRow, SensitiveScanRow, SensitiveSpanRow
from core.errors import NotFound
from core.principals import Grantee, Principal
from governance.access.membership import HELD, as_grantee, asking, intern
from governance.safety.sensitive import DETECTOR, Policy, Span, mask, masked_categories, sensitive_spans

_STRICTNESS: tuple[Policy, ...] = ("open", "standard", "strict")
_LEVEL = case({policy: level for level, policy in enumerate(_STRICTNESS)}, value=RedactionPolicyRow.policy)
_LEVEL_HELD = select(func.min(_LEVEL)).where(RedactionPolicyRow.grantee_id.in_(select(HELD.c.id)))
LEVEL_HELD = _LEVEL_HELD.scalar_subquery()
"""A column for a statement with the parameters of `asking`: what `policy_at` makes a policy of."""
_SPAN_COLUMNS = (
    SensitiveSpanRow.version_id,
    SensitiveSpanRow.start,
    SensitiveSpanRow.end,
    SensitiveSpanRow.category,
)
_TOUCHES = and_(
    ChunkRow.version_id == SensitiveSpanRow.version_id,
    SensitiveSpanRow.start < ChunkRow.end,
    SensitiveSpanRow.end > ChunkRow.start,
)
TOUCHED = exists(select(SensitiveSpanRow.version_id).where(_TOUCHES).correlate(ChunkRow))
"""A column for a statement about chunks: whether `spans_of_chunks` has any for it."""
_SPANS_OF_CHUNKS = (
    select(*_SPAN_COLUMNS).join(ChunkRow, _TOUCHES).where(ChunkRow.id.in_(bindparam("rows", expanding=True))).distinct()
)
_SPANS_OF_A_VERSION = select(*_SPAN_COLUMNS).where(SensitiveSpanRow.version_id == bindparam("version_id"))


@dataclass(frozen=True)
class PolicyView:
    """One group's policy, as it is listed."""

    group: Grantee
    policy: Policy


def policies(session: Session) -> list[PolicyView]:
    """The groups that have a policy of their own, sorted."""
    query = select(RedactionPolicyRow, GranteeRow).join(GranteeRow, GranteeRow.id == RedactionPolicyRow.grantee_id)
    rows = session.execute(query).all()
    return sorted((PolicyView(as_grantee(group), _policy(row.policy)) for row, group in rows), key=lambda v: v.group)


def set_policy(session: Session, group: Grantee, policy: Policy) -> None:
    """From now on this is masked for the group's members."""
    session.merge(RedactionPolicyRow(grantee_id=intern(session, group), policy=policy, changed_at=now()))


def unset_policy(session: Session, group: Grantee) -> None:
    """Let the group have no policy of its own; raises `NotFound` if it has none."""
    found = session.get(RedactionPolicyRow, intern(session, group))
    if found is None:
        raise NotFound("redaction policy of group", group.subject)
    session.delete(found)


def policy_of(session: Session, principal: Principal, default: Policy) -> Policy:
    """The most permissive policy of the principal's groups, at any depth; the default where none has one."""
    return policy_at(session.scalars(_LEVEL_HELD, asking(principal)).one(), default)


def policy_at(level: int | None, default: Policy) -> Policy:
    """The policy of a `LEVEL_HELD`."""
    return default if level is None else _STRICTNESS[level]


@dataclass(frozen=True)
class Marks:
    """What one policy masks in some versions' texts.

    `spans` and `unseen` are by version; `unseen` holds the whole texts of those that no detector of this program has
    looked at yet.
    """

    policy: Policy
    spans: Mapping[int, Sequence[Span]]
    unseen: Mapping[int, str]

    def within(self, version_id: int, start: int, end: int) -> tuple[Span, ...]:
        """What is masked of the version's text from `start` to `end`."""
        if self.policy == "open":
            return ()
        whole = self.unseen.get(version_id)
        spans = self.spans.get(version_id, ()) if whole is None else _seen_in_text(whole)
        touching = (span for span in spans if span.start < end and start < span.end)
        return tuple(masked_categories(self.policy, touching))

    def text(self, version_id: int, text: str, start: int = 0) -> str:
        """`text`, which stands at `start` in the version's, as long as it was."""
        return mask(text, self.within(version_id, start, start + len(text)), start)

    def line(self, text: str) -> str:
        """A title or a heading."""
        return masked_line(text, self.policy)


def masked_line(text: str, policy: Policy) -> str:
    """A short text of its own as a policy shows it; as long as it was."""
    return text if policy == "open" else mask(text, masked_categories(policy, _seen_in_line(text)))


def spans_of_chunks(session: Session, rows: Sequence[int]) -> dict[int, list[Span]]:
    """The sensitive spans that touch these chunks, by version."""
    return _by_version(session.execute(_SPANS_OF_CHUNKS, {"rows": list(rows)}).all())


def spans_of_version(session: Session, version_id: int) -> dict[int, list[Span]]:
    """All sensitive spans of one version."""
    return _by_version(session.execute(_SPANS_OF_A_VERSION, {"version_id": version_id}).all())


def store_spans(session: Session, version_id: int, spans: Sequence[Span]) -> None:
    """Keep what the detectors of this program found in a version's text, in place of what earlier ones did."""
    forget_spans(session, [version_id])
    session.add(SensitiveScanRow(version_id=version_id, detector=DETECTOR))
    session.add_all(
        SensitiveSpanRow(version_id=version_id, start=span.start, end=span.end, category=span.category)
        for span in spans
    )


def forget_spans(session: Session, version_ids: Sequence[int]) -> None:
    """Remove what was found in these versions."""
    session.execute(delete(SensitiveSpanRow).where(SensitiveSpanRow.version_id.in_(version_ids)))
    session.execute(delete(SensitiveScanRow).where(SensitiveScanRow.version_id.in_(version_ids)))


# Titles and headings come again and again, and so do the few texts that wait for `footnote upgrade`.
_seen_in_line = lru_cache(maxsize=4_096)(sensitive_spans)
_seen_in_text = lru_cache(maxsize=16)(sensitive_spans)


def _by_version(records: Iterable[Row[int, int, int, str]]) -> dict[int, list[Span]]:
    found: dict[int, list[Span]] = {}
    for version_id, start, end, category in records:
        found.setdefault(version_id, []).append(Span(start, end, category))
    return found


def _policy(name: str) -> Policy:
    return next(policy for policy in _STRICTNESS if policy == name)
