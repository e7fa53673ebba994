import torch
from tests.policy.tiny import tiny_model
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from cgpo.rollout import prefill
from cgpo.rollout.prefill import GrowingLayer, growing_cache


def column(rows: int, value: float) -> torch.Tensor:
    return torch.full((rows, 2, 1, 3), value)


def test_it_holds_what_a_dynamic_layer_holds() -> None:
    """Growth past the room, selected, reordered and repeated rows, a cut end: the same keys and values."""
    generator = torch.Generator().manual_seed(0)
    ours, theirs = GrowingLayer(), DynamicLayer()
    rows = 3

    def read(columns: int) -> None:
        keys, values = (torch.randn(rows, 2, columns, 3, generator=generator) for _ in range(2))
        for have, want in zip(ours.update(keys, values), theirs.update(keys, values), strict=True):
            assert torch.equal(have, want)
        assert ours.get_seq_length() == theirs.get_seq_length()

    read(5)
    for _ in range(2 * prefill.SPARE_COLUMNS):
        read(1)
    for layer in (ours, theirs):
        layer.batch_select_indices(torch.tensor([2, 0, 1]))
    read(1)
    for layer in (ours, theirs):
        layer.batch_select_indices(torch.tensor([0, 2]))
    rows = 2
    read(2)
    for layer in (ours, theirs):
        layer.batch_repeat_interleave(3)
    rows = 6
    read(1)
    for layer in (ours, theirs):
        layer.crop(-4)
    read(3)


def test_a_column_is_added_in_place() -> None:
    layer = GrowingLayer()
    layer.update(column(2, 0.0), column(2, 0.0))
    first, _ = layer.update(column(2, 1.0), column(2, 1.0))
    second, _ = layer.update(column(2, 2.0), column(2, 2.0))
    assert second.data_ptr() == first.data_ptr()
    assert second[0, 0, :, 0].tolist() == [0.0, 1.0, 2.0]


def test_what_was_given_is_never_written_to() -> None:
    given = column(2, 7.0)
    layer = GrowingLayer()
    layer.update(given, given)
    layer.update(column(2, 1.0), column(2, 1.0))
    assert torch.equal(given, column(2, 7.0))


def test_only_full_attention_gets_room() -> None:
    assert [type(layer) for layer in growing_cache(tiny_model().config).layers] == [GrowingLayer, GrowingLayer]
    config = tiny_model().config
    config.sliding_window, config.layer_types = 4, ["full_attention", "sliding_attention"]
    assert [type(layer) for layer in growing_cache(config).layers] == [GrowingLayer, DynamicSlidingWindowLayer]
    assert [type(layer) for layer in DynamicCache(config=tiny_model().config).layers] == [DynamicLayer, DynamicLayer]
