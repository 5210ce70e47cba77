"""An encoder whose weights an operator chose: any model of sentence-transformers, from a folder of this machine."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from transformers.utils import logging as transformers_logging

from inference.weights import digest_of, require_weights
from inference.window import require_within_window

WIDEST_WINDOW = 512
"""Tokens of a text at most, however many more a model sees: what is cited should be read at a glance."""
_QUERY_CHARACTERS = 8192
_TOGETHER = 32


class SentenceEncoder:
    """A SentenceTransformer; safe to share between threads, one of which runs it at a time.

    It is taken to place all languages alike, as those that are chosen for it do. Prompts that a model asks for before
    questions and documents are those of its own configuration.
    """

    languages: frozenset[str] = frozenset()

    def __init__(self, folder: Path, threads: int = 0) -> None:
        """Load the model; raises `WrongUsage` where there is none that can be read."""
        require_weights(folder, "FOOTNOTE_EMBEDDING_MODEL")
        if threads:
            torch.set_num_threads(threads)
        transformers_logging.disable_progress_bar()
        self._model = SentenceTransformer(
            str(folder), local_files_only=True, trust_remote_code=False, model_kwargs={"use_safetensors": True}
        ).eval()
        self._lock = threading.Lock()
        self.window_tokens = min(int(self._model.max_seq_length or WIDEST_WINDOW), WIDEST_WINDOW)
        self._model.max_seq_length = self.window_tokens
        self.dimension = int(self._model.get_embedding_dimension() or 0)
        self.fingerprint = f"{folder.name}-{self.window_tokens}-{digest_of(folder)}"
        prompts = self._model.prompts
        self._prompt = prompts.get("document") or prompts.get("passage") or ""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """The tokens of each text and of the prompt that comes before it."""
        prompted = [self._prompt + text for text in texts]
        encoded = (
            self._model.tokenizer(prompted, add_special_tokens=True, truncation=False, verbose=False)
            if prompted
            else {}
        )
        return [len(ids) for ids in encoded.get("input_ids", [])]

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Shape `(len(texts), dimension)`, unit rows; raises `TextOverWindow` rather than cut a text."""
        require_within_window(self.count_tokens(texts), self.window_tokens)
        if not texts:
            return np.empty((0, self.dimension), np.float32)
        with self._lock:
            vectors = self._model.encode_document(
                list(texts), batch_size=_TOGETHER, normalize_embeddings=True, show_progress_bar=False
            )
        return np.ascontiguousarray(vectors, np.float32)

    def encode_query(self, text: str) -> NDArray[np.float32]:
        """Shape `(dimension,)`, length 1. Of a question longer than the window, the first window counts."""
        with self._lock:
            vector = self._model.encode_query(
                text[:_QUERY_CHARACTERS], normalize_embeddings=True, show_progress_bar=False
            )
        return np.ascontiguousarray(vector, np.float32)
