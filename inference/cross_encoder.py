"""A reranker in this process: any cross-encoder of sentence-transformers, from a folder of this machine."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import CrossEncoder
from transformers.utils import logging as transformers_logging

from core.errors import ModelFailed, WrongUsage
from inference.weights import require_weights

_SETTING = "FOOTNOTE_RERANKER_MODEL"
_TOGETHER = 16


class LocalCrossEncoder:
    """Safe to share between threads, one of which runs it at a time."""

    def __init__(self, folder: Path) -> None:
        """Load the model; raises `WrongUsage` where there is none that gives one score."""
        require_weights(folder, _SETTING)
        transformers_logging.disable_progress_bar()
        self._model = CrossEncoder(
            str(folder), local_files_only=True, trust_remote_code=False, model_kwargs={"use_safetensors": True}
        )
        if self._model.num_labels != 1:
            raise WrongUsage(
                f"{_SETTING}={folder} gives {self._model.num_labels} numbers for each text; a reranker gives one."
            )
        self._lock = threading.Lock()

    def scores(self, question: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """As `Reranker.scores`: the sigmoid of what the model says."""
        if not texts:
            return np.zeros(0, np.float32)
        try:
            with self._lock:
                found = self._model.predict(
                    [(question, text) for text in texts],
                    batch_size=_TOGETHER,
                    activation_fn=torch.nn.Sigmoid(),
                    show_progress_bar=False,
                )
        except RuntimeError as error:  # memory, or weights that do not fit together
            raise ModelFailed("broken", f"The reranker in this process failed ({type(error).__name__}).") from error
        return np.asarray(found, np.float32)
