"""A process that searches a home while others write to it, and tells what it was shown that it should not have been."""

from __future__ import annotations

import json
import random
from pathlib import Path

from core.errors import NotFound
from core.principals import Principal
from core.settings import Settings
from wiring.home import Home

K = 5
WORDS = ("ledger", "anchor", "violet", "copper", "meadow", "timber", "saddle", "lantern", "harbor", "pepper", "marble")
OPEN, CLOSED = "open", "closed"
READER, OTHER = Principal("local", "reader"), Principal("local", "other")


def said(name: str, revision: int) -> str:
    """What a document says at a revision: several chunks, each of which names both in every sentence."""
    choose = random.Random(f"{name} {revision}")
    paragraphs = (
        " ".join(
            f"{name} at revision {revision} keeps {choose.choice(WORDS)} {choose.choice(WORDS)}." for _ in range(12)
        )
        for _ in range(4)
    )
    return "\n\n".join(paragraphs)


def read(settings: Settings, seed: int, fewest: int, stop: Path, result: Path) -> None:
    """Search until `stop` is there, `fewest` times or more; `result` receives how often, what was wrong, and what was
    seen of documents as (name, version)."""
    choose = random.Random(seed)
    wrong: list[str] = []
    seen: set[tuple[str, int]] = set()
    searches = 0
    with Home(settings) as home:
        while searches < fewest or not stop.exists():
            query = " ".join(choose.sample(WORDS, 3))
            try:
                wrong += _flaws(home, query, seen)
            except Exception as error:  # no error of any kind may reach a reader
                wrong.append(repr(error))
            searches += 1
            result.with_suffix(".count").write_text(str(searches), "ascii")
    result.write_text(json.dumps({"searches": searches, "wrong": wrong, "seen": sorted(seen)}), "utf-8")


def _flaws(home: Home, query: str, seen: set[tuple[str, int]]) -> list[str]:
    found, _ = home.search.search(query, READER, K, "test")
    flaws = [] if len(found.hits) == K else [f"{len(found.hits)} hits"]
    for hit in found.hits:
        passage = hit.passage
        name = Path(passage.external_id).stem
        seen.add((name, passage.version))
        if passage.source != OPEN:
            flaws.append(f"{passage.external_id} of {passage.source}")
        if passage.text not in said(name, passage.version):
            flaws.append(f"{passage.chunk_id} of {name} says {passage.text!r}")
        try:
            _, text = home.gate.text(READER, passage.document_id, passage.version)
        except NotFound:
            continue  # deleted since
        if text[passage.start : passage.end] != passage.text:
            flaws.append(f"{passage.chunk_id} is not what it says")
    return flaws
