"""The links of a version: kept with the chunks that show them, and gone with these."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from catalog.links import LinkRow
from catalog.models import ChunkRow
from core.documents import Chunk, Link


def shown_whole(rows: Sequence[int], chunks: Sequence[Chunk], links: Sequence[Link]) -> Iterator[tuple[int, Link]]:
    """Each link with the row of the chunk that shows it whole; one that is cut in two belongs to neither."""
    starts = [chunk.start for chunk in chunks]
    for link in links:
        at = bisect_right(starts, link.start) - 1
        if at >= 0 and link.end <= chunks[at].end:
            yield rows[at], link


def store_links(session: Session, rows: Sequence[int], chunks: Sequence[Chunk], links: Sequence[Link]) -> None:
    """Keep the links that one of these chunks shows whole; `rows` are the chunks'."""
    counted: Counter[int] = Counter()
    records = []
    for row, link in shown_whole(rows, chunks, links):
        counted[row] += 1
        number = counted[row]
        records.append({"chunk_id": row, "number": number, "start": link.start, "end": link.end, "target": link.target})
    if records:
        session.execute(insert(LinkRow), records)


def forget_links(session: Session, version_id: int) -> None:
    """Remove the links of a version's chunks."""
    chunks = select(ChunkRow.id).where(ChunkRow.version_id == version_id)
    session.execute(delete(LinkRow).where(LinkRow.chunk_id.in_(chunks)))
