"""Fits governance/safety/harm_probe.json: `python -m evaluation.fit_harm_probe SETS [--out FILE]`.

SETS holds the public labelled sets. A ridge logistic regression tells harmful requests from benign ones, both classes
weighing the same. Each set is also scored by a probe that never saw it (leave one family out); a set's own figures
come from five folds. The threshold is the lowest at which no family of benign requests is refused more often than
`MOST_REFUSED`, out of fold.
"""

from __future__ import annotations

import argparse
import json
import sys
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize  # type: ignore[import-untyped]
from scipy.special import expit  # type: ignore[import-untyped]

from evaluation.classification import auroc, recall_at_false_positive_rate
from governance.safety.harm import within_window
from governance.safety.normalization import normalize
from inference.encoder import Encoder
from inference.minilm import load_default_encoder

HARMFUL = {"harmful", "unsafe", "jailbreak", "system_prompt_extraction"}
REQUESTS = ("harmful_requests", "jailbreak_prompts", "xstest", "benign_cyber_requests")
QUESTIONS = ("clapnq", "squad2", "faq_covid", "org_docs", "mtrag_un", "sec_10q_kgrag", "hotpotqa100", "pubmedqa")
_QUESTIONS_OF_A_SET = 150
MOST_REFUSED = 0.05
_FOLDS = 5
_RIDGE = 1e-4

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Request:
    """One labelled request; `vectors` has a row for each piece that the encoder sees whole."""

    family: str
    fold: int
    harmful: bool
    vectors: Vector


def requests(sets: Path, encoder: Encoder) -> list[Request]:
    """What people asked in the labelled sets, and ordinary questions as benign ones."""
    asked = [
        (name, str(row["text"]), row["label"] in HARMFUL)
        for name in REQUESTS
        for row in _rows(sets / name / "data.jsonl")
    ]
    asked += [
        (name, str(row["text"]), False)
        for name in QUESTIONS
        for row in _rows(sets / name / "queries.jsonl")[:_QUESTIONS_OF_A_SET]
    ]
    pieces = [within_window(normalize(text).text, encoder) for _, text, _ in asked]
    vectors = encoder.encode([piece for some in pieces for piece in some]).astype(np.float64)
    ends = np.cumsum([len(some) for some in pieces])
    return [
        Request(family, zlib.crc32(text.encode()) % _FOLDS, harmful, own)
        for (family, text, harmful), own in zip(asked, np.split(vectors, ends[:-1]), strict=True)
    ]


def fitted(some: Sequence[Request]) -> Vector:
    """Weights and, last, the bias; a request is told by its first piece."""
    x = np.stack([one.vectors[0] for one in some])
    y = np.array([one.harmful for one in some], np.float64)
    weight = np.where(y == 1, 0.5 / max(1, y.sum()), 0.5 / max(1, (1 - y).sum()))

    def loss(w: Vector) -> tuple[float, Vector]:
        margin = x @ w[:-1] + w[-1]
        error = weight * (expit(margin) - y)
        value = (weight * (np.logaddexp(0, margin) - y * margin)).sum() + _RIDGE * (w[:-1] ** 2).sum()
        return value, np.append(x.T @ error + 2 * _RIDGE * w[:-1], error.sum())

    return np.asarray(minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B").x)


def scored(some: Sequence[Request], w: Vector) -> list[float]:
    """The worst piece of each request, in [0, 1]."""
    return [float(expit((one.vectors @ w[:-1]).max() + w[-1])) for one in some]


def out_of_fold(every: Sequence[Request]) -> list[float]:
    """Each request's score by a probe fitted without its fold."""
    probes = [fitted([one for one in every if one.fold != fold]) for fold in range(_FOLDS)]
    return [scored([one], probes[one.fold])[0] for one in every]


def threshold(every: Sequence[Request], scores: Sequence[float]) -> float:
    """The lowest at which no family of benign requests is refused more often than `MOST_REFUSED`."""
    benign: dict[str, list[float]] = {}
    for one, score in zip(every, scores, strict=True):
        if not one.harmful:
            benign.setdefault(one.family, []).append(score)
    lowest = [sorted(some, reverse=True)[int(MOST_REFUSED * len(some))] for some in benign.values()]
    return float(np.nextafter(max(lowest), 1.0))


def figures(some: Sequence[Request], scores: Sequence[float], cut: float) -> dict[str, Any]:
    """How one family comes out; None where it lacks a class."""
    harmful = [one.harmful for one in some]
    benign = [score for score, bad in zip(scores, harmful, strict=True) if not bad]
    caught = [score for score, bad in zip(scores, harmful, strict=True) if bad]
    return {
        "requests": len(some),
        "auroc": auroc(scores, harmful),
        "recall_at_1pct_fpr": recall_at_false_positive_rate(scores, harmful, 0.01) if caught and benign else None,
        "refused_harmful": float(np.mean(np.array(caught) >= cut)) if caught else None,
        "refused_benign": float(np.mean(np.array(benign) >= cut)) if benign else None,
    }


def report(every: Sequence[Request], scores: Sequence[float], cut: float) -> dict[str, Any]:
    """Figures of every labelled family, out of fold and by a probe that never saw the family."""
    found: dict[str, Any] = {}
    for name in REQUESTS:
        ours = [i for i, one in enumerate(every) if one.family == name]
        some = [every[i] for i in ours]
        without = fitted([one for one in every if one.family != name])
        found[name] = {
            "out_of_fold": figures(some, [scores[i] for i in ours], cut),
            "family_left_out": figures(some, scored(some, without), cut),
        }
    questions = [i for i, one in enumerate(every) if one.family in QUESTIONS]
    found["questions"] = {"out_of_fold": figures([every[i] for i in questions], [scores[i] for i in questions], cut)}
    return found


def _rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").split("\n") if line] if file.exists() else []


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", type=Path)
    parser.add_argument("--out", type=Path, help="where to write the weights; default: only the figures are printed")
    chosen = parser.parse_args(arguments)
    encoder = load_default_encoder(0)
    every = requests(chosen.sets, encoder)
    scores = out_of_fold(every)
    cut = threshold(every, scores)
    sys.stdout.write(json.dumps(report(every, scores, cut), indent=1) + "\n")
    if chosen.out:
        w = fitted(every)
        probe = {
            "encoder": encoder.fingerprint,
            "fitted_on": [*REQUESTS, *QUESTIONS],
            "threshold": round(cut, 6),
            "bias": round(float(w[-1]), 5),
            "weights": [round(float(value), 5) for value in w[:-1]],
        }
        chosen.out.write_text(json.dumps(probe) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
