"""Tiny models with random weights, made on the spot: what an operator's folder holds, at a thousandth of the size."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from transformers import BertConfig, BertForSequenceClassification, BertModel, BertTokenizer

WINDOW = 128
_SIGNS = [chr(number) for number in range(33, 127)]
_WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *_SIGNS, *(f"##{sign}" for sign in _SIGNS)]


def tiny_cross_encoder(folder: Path, labels: int = 1) -> Path:
    """A BERT that reads two texts letter by letter and gives `labels` numbers."""
    torch.manual_seed(7)
    _tokenizer(folder)
    BertForSequenceClassification(_config(num_labels=labels, initializer_range=0.5)).save_pretrained(folder)
    return folder


def tiny_sentence_encoder(folder: Path, seed: int = 7, prompts: dict[str, str] | None = None) -> Path:
    """A BERT, the mean of its last layer, and what sentence-transformers has beside it."""
    torch.manual_seed(seed)
    _tokenizer(folder)
    BertModel(_config()).save_pretrained(folder)
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": WINDOW, "do_lower_case": False}))
    (folder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": prompts or {}}))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps({"word_embedding_dimension": 64, "pooling_mode_mean_tokens": True})
    )
    return folder


def _config(**more: object) -> BertConfig:
    return BertConfig(
        vocab_size=len(_WORDS),
        hidden_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=WINDOW,
        **more,
    )


def _tokenizer(folder: Path) -> None:
    folder.mkdir(parents=True)
    numbered = {word: number for number, word in enumerate(_WORDS)}
    BertTokenizer(vocab=numbered, model_max_length=WINDOW).save_pretrained(folder)
