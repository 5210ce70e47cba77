"""A sentence-embedding BERT on OpenVINO, which runs on every processor that Footnote runs on."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from inference.engine import Ids

if TYPE_CHECKING:
    import openvino

BATCH = 16  # measured on two cores: 4 to 32 are within a tenth of one another
LENGTH_STEP = 16
"""Batches are padded to a multiple of this: AMX multiplies 16 rows at a time, and kernels are made once a length."""

_Use = Literal["chunks", "questions"]


class OpenVinoBert:
    """An `Engine`. Chunks and questions have compiled models of their own, so that a question waits for no batch."""

    def __init__(self, folder: Path, threads: int, precision: str) -> None:
        """The model in `folder`, compiled when first used; `precision` is an OpenVINO type, `bf16` or `f32`."""
        self._folder, self._streams, self._precision = folder, threads, precision
        self._models: dict[_Use, openvino.CompiledModel] = {}
        self._making = threading.Lock()
        self._of_thread = threading.local()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="encoder")

    def encode(self, texts: Sequence[Ids]) -> NDArray[np.float32]:
        def embed(rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
            request = self._request("chunks")
            request.infer(_padded([texts[row] for row in rows], LENGTH_STEP), share_inputs=True)
            return rows, np.array(request.get_output_tensor(0).data, np.float32)

        # Threads of ours, and no callbacks on OpenVINO's: those hold Python objects that only the holder of the
        # interpreter's lock may let go, and whoever drops a model waits for its threads while holding that lock.
        done = list(self._pool.map(embed, _batches([len(text) for text in texts], self._streams)))
        rows = np.concatenate([rows for rows, _ in done])
        vectors = np.concatenate([vectors for _, vectors in done])
        return vectors[np.argsort(rows)]

    def encode_one(self, text: Ids) -> NDArray[np.float32]:
        request = self._request("questions")
        request.infer(_padded([text], 1), share_inputs=True)
        return np.array(request.get_output_tensor(0).data[0], np.float32)

    def _graph(self) -> openvino.Model:
        """Built anew for each use: kept, it would hold a copy of the weights that nothing needs any more."""
        from safetensors.numpy import load_file

        from inference.bert_graph import BertShape, sentence_encoder

        config = json.loads((self._folder / "config.json").read_text())
        shape = BertShape(config["num_hidden_layers"], config["num_attention_heads"], config["layer_norm_eps"])
        return sentence_encoder(load_file(self._folder / "model.safetensors"), shape)

    def _compiled(self, use: _Use) -> openvino.CompiledModel:
        """The model for one use, which threads that come together compile once."""
        with self._making:
            if use not in self._models:
                self._models[use] = self._compile()
            return self._models[use]

    def _compile(self) -> openvino.CompiledModel:
        """One thread a stream: batches run beside one another instead of waiting for each other's threads.

        Threads are not pinned to cores, since others use this machine too.
        """
        import openvino

        options = {
            "INFERENCE_PRECISION_HINT": self._precision,
            "NUM_STREAMS": str(self._streams),
            "INFERENCE_NUM_THREADS": str(self._streams),
            "ENABLE_CPU_PINNING": "NO",
        }
        return openvino.Core().compile_model(self._graph(), "CPU", options)

    def _request(self, use: _Use) -> openvino.InferRequest:
        """This thread's own request to a model: a request holds the buffers of one inference."""
        requests: dict[_Use, openvino.InferRequest] = self._of_thread.__dict__.setdefault("requests", {})
        if use not in requests:
            requests[use] = self._compiled(use).create_infer_request()
        return requests[use]


def _batches(lengths: Sequence[int], streams: int) -> Iterator[NDArray[np.intp]]:
    """Row numbers in batches of like lengths, longest first, so that little is padded and the last batch is short."""
    longest_first = np.argsort(lengths, kind="stable")[::-1]
    size = max(1, min(BATCH, math.ceil(len(lengths) / streams)))
    for start in range(0, len(lengths), size):
        yield longest_first[start : start + size]


def _padded(ids: Sequence[Ids], step: int) -> dict[str, NDArray[np.int32]]:
    """The graph's two inputs, `(texts, longest)`: ids padded with 0 and the mask that tells them apart.

    The longest is the next multiple of `step`.
    """
    shape = (len(ids), -(-max(map(len, ids)) // step) * step)
    inputs = {"ids": np.zeros(shape, np.int32), "mask": np.zeros(shape, np.int32)}
    for row, one in enumerate(ids):
        inputs["ids"][row, : len(one)] = one
        inputs["mask"][row, : len(one)] = 1
    return inputs
