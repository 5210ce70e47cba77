"""An encoder of the operator's choice: its vectors are the model's, and a home keeps those of one model apart."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from tiny_models import WINDOW, tiny_sentence_encoder

from core.errors import Conflict, WrongUsage
from core.principals import parse_grantee, parse_principal
from core.settings import Settings
from inference.sentence_encoder import SentenceEncoder
from inference.window import TextOverWindow
from ingest.sync import FolderRequest, sync_folder
from wiring.lifecycle import init_home, open_home

ANA = parse_principal("user:ana")
TEXTS = ["Employees have 27 days of leave.", "Die Kantine öffnet um zwölf.", "x"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_sentence_encoder(
        tmp_path_factory.mktemp("weights") / "tiny", prompts={"query": "q: ", "document": "d: "}
    )


def test_vectors_are_the_models_own_each_with_its_prompt(weights: Path) -> None:
    encoder, model = SentenceEncoder(weights), SentenceTransformer(str(weights), local_files_only=True)

    documents = model.encode([f"d: {text}" for text in TEXTS], prompt="", normalize_embeddings=True)
    question = model.encode("q: how many days", prompt="", normalize_embeddings=True)

    np.testing.assert_allclose(encoder.encode(TEXTS), documents, atol=1e-5)
    np.testing.assert_allclose(encoder.encode_query("how many days"), question, atol=1e-5)
    assert encoder.encode([]).shape == (0, encoder.dimension) and encoder.dimension == 64
    assert encoder.count_tokens(["abc", ""]) == [len("d:abc") + 2, len("d:") + 2] and encoder.count_tokens([]) == []
    assert not encoder.languages


def test_a_text_over_the_window_is_refused_and_a_question_cut(weights: Path) -> None:
    encoder = SentenceEncoder(weights)

    assert encoder.window_tokens == WINDOW
    with pytest.raises(TextOverWindow):
        encoder.encode(["x " * (WINDOW - 3)])
    assert np.array_equal(encoder.encode_query("x " * 9_000), encoder.encode_query("x " * 300))


def test_other_weights_have_another_name(weights: Path, tmp_path: Path) -> None:
    copied, others = tmp_path / "a" / "tiny", tmp_path / "b" / "tiny"
    shutil.copytree(weights, copied)
    tiny_sentence_encoder(others, seed=8)

    name = SentenceEncoder(weights).fingerprint
    assert SentenceEncoder(copied).fingerprint == name != SentenceEncoder(others).fingerprint


def test_a_home_is_searched_with_the_model_of_its_settings_and_no_other(settings: Settings, tmp_path: Path) -> None:
    mine = settings.model_copy(update={"embedding_model": str(tiny_sentence_encoder(tmp_path / "mine"))})
    folder = tmp_path / "org"
    folder.mkdir()
    (folder / "leave.md").write_text(f"# Leave\n\n{TEXTS[0]} " + "And so it goes on. " * 40)
    (folder / "canteen.md").write_text(f"# Kantine\n\n{TEXTS[1]}")
    init_home(mine)
    with open_home(mine) as home:
        request = FolderRequest(folder, "org", (parse_grantee("everyone"),), None, "force")
        sync_folder(home.ingestion, home.layout.folder, request, 10_000_000, lambda *_: None)
        hits = home.searcher.search("27 days of leave", ANA, 3).hits
        assert len(hits) == 3 and home.index_reader.snapshot().fingerprint == home.encoder.fingerprint
    with open_home(mine.model_copy(update={"embedding_model": "hashing"})) as home, pytest.raises(Conflict):
        home.searcher.search("27 days of leave", ANA, 3)
    with open_home(mine.model_copy(update={"embedding_model": "minlm"})) as home, pytest.raises(WrongUsage) as refused:
        home.searcher.search("27 days of leave", ANA, 3)
    assert "FOOTNOTE_EMBEDDING_MODEL=minlm is no folder with a model" in str(refused.value)
