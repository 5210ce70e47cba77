"""A sentence-embedding BERT on AMX, the matrix tiles of Intel's server processors: `native/bert_amx.c` from Python.

It is there where the package was installed with a C compiler at hand. A text's vector is the same to the last bit alone
and in any company; see docs/decisions/embedding.md.
"""

from __future__ import annotations

import ctypes
import json
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from core.compiled import compiled
from inference.engine import Ids
from inference.processor import processor_flags

TOKENS_TOGETHER = 416
"""One walk through the weights serves up to so many tokens: more of them would not stay in the second cache."""
WALKS_AT_ONCE = 4
"""Between two calls a thread waits for Python's lock, so each does a few walks."""

_NEEDED = frozenset({"amx_tile", "amx_bf16", "avx512_bf16", "avx512f", "avx512bw", "avx512vl", "avx512dq"})
_LAYOUT = 1  # see `bert_amx_layout` in native/bert_amx.c
_LAYER = "encoder.layer"
_Weights = Mapping[str, NDArray[np.float32]]


def usable() -> bool:
    """Whether the kernel was built and this processor and system let us run it."""
    return processor_flags() >= _NEEDED and (library := _library()) is not None and bool(library.bert_amx_permitted())


class AmxBert:
    """An `Engine`. Each run has a workspace of its own; those that are free are used again."""

    def __init__(self, folder: Path, threads: int) -> None:
        """The model in `folder`, read when first used; raises `MemoryError` where there is no room for it."""
        self._folder, self._threads = folder, threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="encoder")
        self._making = threading.Lock()
        # More at once would only wait for cores, each with megabytes of its own to work in.
        self._asking = threading.BoundedSemaphore(threads + 1)
        self._loaded: _Model | None = None

    def encode(self, texts: Sequence[Ids]) -> NDArray[np.float32]:
        model = self._model()
        return np.concatenate(list(self._pool.map(model.run, _packs(texts, self._threads))))

    def encode_one(self, text: Ids) -> NDArray[np.float32]:
        model = self._model()
        with self._asking:
            vector: NDArray[np.float32] = model.run([text])[0]
        return vector

    def _model(self) -> _Model:
        with self._making:
            if self._loaded is None:
                self._loaded = _Model(self._folder)
            return self._loaded


class _Model:
    """The weights as the kernel takes them. `_kept` are the arrays that it goes on reading where they are."""

    def __init__(self, folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        self._hidden: int = config["hidden_size"]
        library = _library()
        assert library is not None, "usable() was not asked"
        self._library = library
        weights = _load(folder / "model.safetensors")
        ordered = [np.ascontiguousarray(one, np.float32) for one in _ordered(weights, config["num_hidden_layers"])]
        words = np.ascontiguousarray(weights["embeddings.word_embeddings.weight"], np.float32)
        self._kept = [words, *(one for one in ordered if one.ndim == 1 or one is ordered[0])]
        self._handle = library.bert_amx_new(
            config["num_hidden_layers"],
            self._hidden,
            config["num_attention_heads"],
            config["intermediate_size"],
            len(words),
            config["max_position_embeddings"],
            config["layer_norm_eps"],
            words.ctypes.data,
            (ctypes.c_void_p * len(ordered))(*(one.ctypes.data for one in ordered)),
        )
        if not self._handle:
            raise MemoryError("There is no memory for the embedding model, or it has a shape that tiles cannot take.")
        _freed_with(self, library.bert_amx_free, self._handle)
        self._free: list[_Workspace] = []

    def run(self, texts: Sequence[Ids]) -> NDArray[np.float32]:
        """Their vectors, on this thread, in as many walks as it takes."""
        starts = np.cumsum([0, *map(len, texts)], dtype=np.int32)
        ids = np.fromiter((number for text in texts for number in text), np.int32, starts[-1])
        vectors = np.empty((len(texts), self._hidden), np.float32)
        with self._workspace() as workspace:
            result = self._library.bert_amx_run(
                self._handle, workspace.handle, ids.ctypes.data, starts.ctypes.data, len(texts), vectors.ctypes.data
            )
        if result != 0:
            raise ValueError(f"The embedding model cannot take these tokens (code {result}).")
        return vectors

    @contextmanager
    def _workspace(self) -> Iterator[_Workspace]:
        try:
            workspace = self._free.pop()
        except IndexError:
            workspace = _Workspace(self._library, self._handle)
        try:
            yield workspace
        finally:
            self._free.append(workspace)


class _Workspace:
    def __init__(self, library: ctypes.CDLL, model: int) -> None:
        self.handle: int | None = library.bert_amx_enter(model, TOKENS_TOGETHER)
        if not self.handle:
            raise MemoryError("There is no memory to embed texts in.")
        _freed_with(self, library.bert_amx_leave, self.handle)


def _freed_with(owner: object, free: Callable[[int], None], memory: int) -> None:
    """Have memory freed when its owner goes, but not at the end of the process: a thread may still be at work in it."""
    weakref.finalize(owner, free, memory).atexit = False


def _packs(texts: Sequence[Ids], threads: int) -> list[Sequence[Ids]]:
    """The texts, in order, in runs of up to `WALKS_AT_ONCE`, or shorter ones where threads would have no work."""
    most = min(WALKS_AT_ONCE * TOKENS_TOGETHER, -(-sum(map(len, texts)) // threads))
    packs: list[list[Ids]] = []
    room = 0
    for text in texts:
        if len(text) > room:
            packs.append([])
            room = most
        packs[-1].append(text)
        room -= len(text)
    return list(packs)


def _load(file: Path) -> dict[str, NDArray[np.float32]]:
    from safetensors.numpy import load_file

    weights: dict[str, NDArray[np.float32]] = load_file(file)
    return weights


def _ordered(weights: _Weights, layers: int) -> Iterator[NDArray[np.float32]]:
    """The weights in the order that `bert_amx_new` names them; every token belongs to segment 0."""
    positions, segments = (weights[f"embeddings.{name}_embeddings.weight"] for name in ("position", "token_type"))
    yield positions + segments[0]
    yield from _both(weights, "embeddings.LayerNorm")
    for number in range(layers):
        prefix = f"{_LAYER}.{number}"
        projections = [f"{prefix}.attention.self.{name}" for name in ("query", "key", "value")]
        for part in ("weight", "bias"):
            yield np.concatenate([weights[f"{name}.{part}"] for name in projections])
        for name in (
            "attention.output.dense",
            "attention.output.LayerNorm",
            "intermediate.dense",
            "output.dense",
            "output.LayerNorm",
        ):
            yield from _both(weights, f"{prefix}.{name}")


def _both(weights: _Weights, name: str) -> Iterator[NDArray[np.float32]]:
    yield weights[f"{name}.weight"]
    yield weights[f"{name}.bias"]


@cache
def _library() -> ctypes.CDLL | None:
    """The compiled kernel; None where it was not built."""
    library = compiled("inference._bert_amx", _LAYOUT)
    if library is None or not library.bert_amx_available():
        return None
    pointer: Any = ctypes.c_void_p
    library.bert_amx_new.restype = pointer
    library.bert_amx_new.argtypes = [*[ctypes.c_int] * 6, ctypes.c_float, pointer, pointer]
    library.bert_amx_enter.restype = pointer
    library.bert_amx_enter.argtypes = [pointer, ctypes.c_int]
    library.bert_amx_run.argtypes = [pointer, pointer, pointer, pointer, ctypes.c_int, pointer]
    library.bert_amx_free.argtypes = library.bert_amx_leave.argtypes = [pointer]
    library.bert_amx_free.restype = library.bert_amx_leave.restype = None
    return library
