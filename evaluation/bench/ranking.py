"""How well documents are ranked, beside frameworks with the same model and documents on the same labelled sets."""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select

from catalog.models import Document
from core.errors import Transient, WrongUsage
from core.settings import Settings
from evaluation.bench.ranking_chunks import Chunk, cut
from evaluation.bench.report import BenchReport, Claim, Row, this_machine
from evaluation.corpus import ASKER, ingested
from evaluation.metrics import has_relevant, mean, ndcg
from evaluation.peers.ingesters import OFFLINE
from evaluation.peers.rankers import RANKERS, ranker
from evaluation.peers.ranking_programs import DEPTH
from evaluation.retrieval import Rankings
from evaluation.sets import QUERIES, Judgements, Question, QuestionSet, read_question_set
from governance.doors import maintenance
from inference.encoder import Encoder
from wiring.environment import inherited
from wiring.home import Home

SETS = (
    *("cranfield", "cacm", "squad2", "pubmedqa", "covidqa_long", "clapnq", "mtrag_un", "hotpotqa100", "faq_covid"),
    *("org_docs", "xquad", "sec_10q_kgrag"),
)
FIRST_TARGET = 9
"""On so many of the twelve sets no peer may rank better."""
_K = 10
_DIGITS = 4
_FOOTNOTE = "footnote"


@dataclass(frozen=True)
class RankingBench:
    """The labelled sets `names` below `folder`, or the one that it is; `limit` questions of each that have a relevant
    document, or all."""

    folder: Path | None = None
    names: Sequence[str] = SETS
    limit: int | None = None
    peers: Sequence[str] = RANKERS
    settings: Settings = field(default_factory=Settings)


def run_ranking(bench: RankingBench | None = None) -> BenchReport:
    """nDCG@10 of every system on every set; a system that fails on one is a row with the reason.

    Raises `WrongUsage` where the folder of the sets is not named, or one of them is not in it.
    """
    bench = bench or RankingBench()
    folders = _folders(bench)
    scores: dict[str, dict[str, float]] = {system: {} for system in (_FOOTNOTE, *bench.peers)}
    errors: dict[str, str] = {}
    for name, folder in folders.items():
        for system, ranked in _rank(bench, folder, errors):
            scores[system][name] = ranked
    rows = [
        Row(system, error=errors[system]) if system in errors else Row(system, _figures(system, scores))
        for system in scores
    ]
    return BenchReport("ranking", this_machine(), tuple(rows), tuple(_claims(scores, errors, len(folders))))


def _folders(bench: RankingBench) -> dict[str, Path]:
    if bench.folder is None:
        raise WrongUsage("--sets names the folder of the labelled sets that ranking is measured on.")
    if (bench.folder / QUERIES).is_file():
        return {bench.folder.resolve().name: bench.folder}
    folders = {name: bench.folder / name for name in bench.names}
    for name, folder in folders.items():
        if not folder.is_dir():
            raise WrongUsage(f"{bench.folder} holds no set {name}; --sets names the folder of the labelled sets.")
    return folders


def _rank(bench: RankingBench, folder: Path, errors: dict[str, str]) -> Iterator[tuple[str, float]]:
    """Each system's figure on one set; what keeps a peer from having one is noted in `errors`, and it is left out."""
    questions = judged(read_question_set(folder), bench.limit)
    with ingested(questions, bench.settings, None) as (home, _):
        yield _FOOTNOTE, _ndcg({one.id: _ranked(home, one.text) for one in questions.questions}, questions)
        chunks = list(_chunks(home))
        embedded = Embedded(home.encoder)
        for peer in bench.peers:
            if peer in errors:
                continue
            try:
                yield peer, _ndcg(_peer(peer, chunks, questions.questions, embedded), questions)
            except Transient as error:
                errors[peer] = f"{folder.name}: {error}"


def _ranked(home: Home, question: str) -> list[str]:
    """The documents of as many chunks as the peers find, best first, a document as its best chunk."""
    hits = home.searcher.search(question, ASKER, DEPTH).hits
    return list(dict.fromkeys(hit.passage.external_id for hit in hits))


def judged(given: QuestionSet, limit: int | None) -> QuestionSet:
    """The set with the questions that have a relevant document: `limit` of them, evenly spread, or all."""
    asked = [one for one in given.questions if has_relevant(given.judgements.get(one.id, {}))]
    if limit is not None and limit < len(asked):
        asked = [asked[number * len(asked) // limit] for number in range(limit)]
    return replace(given, questions=tuple(asked))


def _chunks(home: Home) -> Iterator[Chunk]:
    """The text of every document as our parsers read it, in the chunks that all peers are given."""
    door = maintenance(home.catalog, "evaluation")
    with home.catalog.read() as session:
        documents = session.execute(
            select(Document.external_id, Document.title, Document.version_id)
            .where(Document.version_id.is_not(None))
            .order_by(Document.external_id)
        ).all()
    for document in documents:
        text = door.text(document.version_id) or ""
        yield from (
            Chunk(document.external_id, f"{document.title}\n\n{part}".strip())
            for part in cut(text, home.encoder.count_tokens)
        )


class Embedded:
    """Vectors by content, each computed once, whichever peer asks first."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._known: dict[bytes, NDArray[np.float32]] = {}

    def __call__(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(len(texts), d) rows of length 1."""
        keys = [hashlib.sha256(text.encode()).digest() for text in texts]
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._known}
        if new:
            self._known.update(zip(new, self._encoder.encode(list(new.values())), strict=True))
        return np.stack([self._known[key] for key in keys])


def _peer(
    system: str,
    chunks: Sequence[Chunk],
    questions: Sequence[Question],
    embed: Callable[[Sequence[str]], NDArray[np.float32]],
) -> Rankings:
    """What the peer's own process ranks, its vectors computed here. Raises `Transient` where it cannot."""
    with tempfile.TemporaryDirectory(prefix="footnote-bench-") as place:
        folder = Path(place)
        store, result = folder / "store", folder / "result.json"
        store.mkdir()
        _write(folder / "chunks.jsonl", ({"document": one.document, "text": one.text} for one in chunks))
        _write(folder / "questions.jsonl", ({"id": one.id, "text": one.text} for one in questions))
        command = [
            *ranker(system),
            str(folder / "chunks.jsonl"),
            str(folder / "questions.jsonl"),
            str(store),
            str(result),
        ]
        with (folder / "said").open("w+", encoding="utf-8") as said:
            process = subprocess.Popen(
                command,
                env=inherited(OFFLINE),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )
            with process:
                assert process.stdin is not None and process.stdout is not None
                try:
                    for line in process.stdout:
                        vectors = embed(json.loads(line)).astype(np.float32)
                        process.stdin.write(base64.b64encode(vectors.tobytes()).decode() + "\n")
                        process.stdin.flush()
                except BaseException:
                    process.kill()
                    raise
            if process.returncode != 0:
                said.seek(0)
                last = (said.read().strip() or "it said nothing").splitlines()[-1]
                raise Transient(f"it ended with status {process.returncode} ({last})")
        ranked: dict[str, list[str]] = json.loads(result.read_text("utf-8"))
        return ranked


def _write(file: Path, rows: Iterator[Mapping[str, str]]) -> None:
    with file.open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(row) + "\n" for row in rows)


def _ndcg(rankings: Rankings, questions: QuestionSet) -> float:
    judgements: Judgements = questions.judgements
    found = mean(ndcg(rankings[one.id], judgements[one.id], _K) for one in questions.questions)
    return round(found or 0.0, _DIGITS)


def _figures(system: str, scores: Mapping[str, Mapping[str, float]]) -> dict[str, float | int]:
    own = scores[system]
    whole = round(mean(own.values()) or 0.0, _DIGITS)
    return {**own, "mean": whole, "first_on": len(_first_on(system, scores))}


def _first_on(system: str, scores: Mapping[str, Mapping[str, float]]) -> list[str]:
    """The sets on which nobody ranks better."""
    return [
        name
        for name, score in scores[system].items()
        if all(score >= other.get(name, 0.0) for other in scores.values())
    ]


def _claims(scores: Mapping[str, Mapping[str, float]], errors: Mapping[str, str], sets: int) -> Iterator[Claim]:
    """None where there is nobody to compare with."""
    compared = {system: found for system, found in scores.items() if system not in errors}
    if len(compared) > 1:
        target = FIRST_TARGET * sets / len(SETS)
        yield Claim.at_least(
            f"sets of {sets} on which no peer ranks better by nDCG@{_K}",
            len(_first_on(_FOOTNOTE, compared)),
            round(target, 2),
        )
