"""Numbers of a model without its weights."""

import pytest

from cgpo.errors import UserError
from cgpo.memory.shape import measure_shape

LLAMA = {
    "model_type": "llama",
    "vocab_size": 100,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "tie_word_embeddings": False,
}
LAYER = 16 * 16 * 2 + 16 * 8 * 2 + 3 * 16 * 32 + 2 * 16
"""Queries and output, keys and values, the feed-forward part, two norms."""


def test_a_llama_counted_by_hand() -> None:
    shape = measure_shape(LLAMA)
    assert shape.layer == LAYER
    assert shape.parameters == 2 * 100 * 16 + 3 * LAYER + 16
    assert shape.linear == 3 * (LAYER - 32)
    assert shape.linears["down_proj"] == (3, 32, 16)
    assert (shape.layers, shape.hidden, shape.queries, shape.keys) == (3, 16, 16, 8)
    assert (shape.intermediate, shape.vocabulary, shape.positions) == (32, 100, 64)


def test_tied_embeddings_count_once_and_a_reward_has_one_output() -> None:
    assert measure_shape({**LLAMA, "tie_word_embeddings": True}).parameters == 100 * 16 + 3 * LAYER + 16
    assert measure_shape(LLAMA, "reward").parameters == 100 * 16 + 3 * LAYER + 16 + 16


def test_adapters() -> None:
    shape = measure_shape(LLAMA)
    assert shape.adapters(4, ["q_proj"]) == 3 * 4 * (16 + 16)
    assert shape.adapters(4, ["q_proj", "v_proj"]) == 3 * 4 * (16 + 16 + 16 + 8)
    assert shape.adapters(1) == 3 * (2 * 32 + 2 * 24 + 3 * 48)
    with pytest.raises(UserError, match="no linear layer is called 'query'; choose q_proj, "):
        shape.adapters(4, ["query"])


def test_a_kind_of_model_that_there_is_not() -> None:
    with pytest.raises(UserError, match="architecture: model_type"):
        measure_shape({**LLAMA, "model_type": "lama"})
    with pytest.raises(UserError, match="architecture: model_type"):
        measure_shape({"hidden_size": 3})
