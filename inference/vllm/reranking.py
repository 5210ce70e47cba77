"""A reranker behind vLLM's server, or any other that speaks the same dialect (`POST /v1/rerank`, as Jina's)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from core.errors import ModelFailed
from inference.vllm.posting import post

_WHO = "reranker"


@dataclass(frozen=True)
class ServedReranker:
    """One model behind `url`, which ends in `/v1`. Safe to share between threads."""

    url: str
    model: str
    timeout_s: float
    key: str | None = field(default=None, repr=False)

    def scores(self, question: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """As `Reranker.scores`; `ModelFailed` as `posting.post` raises it, and "broken" for what are no scores."""
        if not texts:
            return np.zeros(0, np.float32)
        # Of what is too long for the model its beginning counts, for which vLLM wants to be asked.
        body: dict[str, object] = {"query": question, "documents": list(texts), "truncate_prompt_tokens": -1}
        if self.model:
            body["model"] = self.model
        return _scores(post(f"{self.url.rstrip('/')}/rerank", body, _WHO, self.timeout_s, self.key), len(texts))


def _scores(reply: bytes, count: int) -> NDArray[np.float32]:
    scores = np.full(count, np.nan, np.float32)
    try:
        for result in json.loads(reply)["results"]:
            scores[int(result["index"])] = result["relevance_score"]
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise ModelFailed("broken", f"The {_WHO}'s answer is none ({type(error).__name__}).") from error
    if not ((scores >= 0) & (scores <= 1)).all():
        raise ModelFailed("broken", f"The {_WHO}'s answer lacks a score from 0 to 1 for each text.")
    return scores
