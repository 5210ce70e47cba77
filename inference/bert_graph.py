"""A sentence-embedding BERT as an OpenVINO graph, built straight from its weights: no torch, no tracing.

BERT as in Devlin et al. 2019 (arXiv:1810.04805), post-layer-norm, exact (erf) GELU; mean pooling over the real
tokens and a division by the length as in Sentence-BERT, Reimers and Gurevych 2019 (arXiv:1908.10084).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from openvino import Model, Node, Type
from openvino import opset13 as ops

Weights = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class BertShape:
    """The numbers of `config.json` that the weights alone do not tell."""

    layers: int
    heads: int
    layer_norm_epsilon: float


def sentence_encoder(weights: Weights, shape: BertShape) -> Model:
    """A model from `ids` and `mask`, both int32 `(batch, tokens)`, to unit vectors, float32 `(batch, dimension)`.

    `mask` is 1 for a token and 0 for padding. Weights carry the names that Hugging Face's `BertModel` gives them.
    """
    ids = ops.parameter([-1, -1], Type.i32, name="ids")
    mask = ops.parameter([-1, -1], Type.i32, name="mask")
    real = ops.convert(mask, Type.f32)
    ignore_padding = _ignore_padding(real)
    hidden = _embeddings(ids, weights, shape)
    for number in range(shape.layers):
        hidden = _layer(hidden, ignore_padding, _Layer(weights, f"encoder.layer.{number}.", shape))
    unit = ops.normalize_l2(_mean(hidden, real), axes=np.array([1]), eps=1e-12, eps_mode="max")
    return Model([ops.result(unit)], [ids, mask], "sentence_encoder")


@dataclass(frozen=True)
class _Layer:
    """One layer's view of the weights."""

    weights: Weights
    prefix: str
    shape: BertShape

    def linear(self, x: Node, name: str) -> Node:
        product = ops.matmul(x, ops.constant(self.weights[f"{self.prefix}{name}.weight"]), False, True)
        return ops.add(product, ops.constant(self.weights[f"{self.prefix}{name}.bias"]))

    def normalize(self, x: Node, name: str) -> Node:
        return _layer_norm(x, self.weights, f"{self.prefix}{name}.LayerNorm", self.shape.layer_norm_epsilon)


def _embeddings(ids: Node, weights: Weights, shape: BertShape) -> Node:
    """Word, position and segment vectors added up; every token belongs to segment 0."""
    words = ops.gather(ops.constant(weights["embeddings.word_embeddings.weight"]), ids, ops.constant(0))
    places = weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
    tokens = ops.gather(ops.shape_of(ids, "i32"), ops.constant(1), ops.constant(0))
    numbers = ops.range(ops.constant(0), tokens, ops.constant(1), "i32")
    positions = ops.gather(ops.constant(places), numbers, ops.constant(0))
    return _layer_norm(ops.add(words, positions), weights, "embeddings.LayerNorm", shape.layer_norm_epsilon)


def _layer(hidden: Node, ignore_padding: Node, layer: _Layer) -> Node:
    attended = layer.linear(_attention(hidden, ignore_padding, layer), "attention.output.dense")
    hidden = layer.normalize(ops.add(hidden, attended), "attention.output")
    inner = ops.gelu(layer.linear(hidden, "intermediate.dense"), "erf")
    return layer.normalize(ops.add(hidden, layer.linear(inner, "output.dense")), "output")


def _attention(hidden: Node, ignore_padding: Node, layer: _Layer) -> Node:
    """Multi-head scaled dot-product attention, Vaswani et al. 2017 (arXiv:1706.03762), section 3.2."""
    query, key, value = (
        _split_heads(layer.linear(hidden, f"attention.self.{name}"), layer.shape.heads)
        for name in ("query", "key", "value")
    )
    mixed = ops.scaled_dot_product_attention(query, key, value, ignore_padding)
    merged = ops.transpose(mixed, ops.constant(np.array([0, 2, 1, 3])))
    return ops.reshape(merged, ops.constant(np.array([0, 0, -1])), special_zero=True)


def _split_heads(x: Node, heads: int) -> Node:
    """`(batch, tokens, dimension)` to `(batch, heads, tokens, dimension / heads)`."""
    dimension = x.get_output_partial_shape(0)[2].get_length()
    split = ops.reshape(x, ops.constant(np.array([0, 0, heads, dimension // heads])), special_zero=True)
    return ops.transpose(split, ops.constant(np.array([0, 2, 1, 3])))


def _ignore_padding(real: Node) -> Node:
    """`(batch, 1, 1, tokens)` to add to attention scores: 0 for a token, hugely negative for padding."""
    penalty = ops.multiply(ops.subtract(real, ops.constant(np.float32(1))), ops.constant(np.float32(1e9)))
    return ops.unsqueeze(penalty, ops.constant(np.array([1, 2])))


def _layer_norm(x: Node, weights: Weights, name: str, epsilon: float) -> Node:
    normal = ops.mvn(x, ops.constant(np.array([-1])), True, epsilon, "inside_sqrt")
    return ops.add(ops.multiply(normal, ops.constant(weights[f"{name}.weight"])), ops.constant(weights[f"{name}.bias"]))


def _mean(hidden: Node, real: Node) -> Node:
    """The mean of the real tokens' vectors, `(batch, dimension)`."""
    axis = ops.constant(np.array([1]))
    total = ops.reduce_sum(ops.multiply(hidden, ops.unsqueeze(real, ops.constant(np.array([2])))), axis)
    return ops.divide(total, ops.reduce_sum(real, axis, keep_dims=True))
