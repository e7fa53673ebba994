"""How captured slots are kept and used, with a graph that only runs its pass again: CUDA's own needs a GPU."""

import gc
from weakref import ref

import pytest
import torch
from tests.policy.tiny import prompt, tiny_policy
from torch import Tensor, nn

from cgpo.rollout import DecodingSampler
from cgpo.rollout import cuda_graphs as graphs
from cgpo.rollout import static as engine
from cgpo.rollout.cuda_graphs import CapturedGraph, Slots, get_graph
from cgpo.rollout.prefill import prefill

RAGGED = [prompt(5, 6, 7, 8), prompt(9), prompt(10, 11)]


class Again:
    """Runs the pass where a graph would replay it, into the same memory."""

    def __init__(self, model: nn.Module, slots: Slots) -> None:
        self._model, self._slots = ref(model), slots
        self.logits: Tensor = slots.read(model).clone()

    def replay(self) -> None:
        model = self._model()
        assert model is not None
        self.logits.copy_(self._slots.read(model))


class Captures:
    """Stands in for capturing, and counts; the first `failing` captures fail."""

    def __init__(self, failing: int = 0) -> None:
        self.count = 0
        self.failing = failing

    def __call__(self, model: nn.Module, slots: Slots) -> CapturedGraph | None:
        self.count += 1
        again = Again(model, slots)
        return None if self.count <= self.failing else CapturedGraph(slots, again, again.logits)  # pyright: ignore[reportArgumentType]


@pytest.fixture
def captures(monkeypatch: pytest.MonkeyPatch) -> Captures:
    stand_in = Captures()
    monkeypatch.setattr(graphs, "_capture", stand_in)
    monkeypatch.setattr(engine, "can_capture", lambda model: True)
    return stand_in


def test_one_capture_serves_many_rollouts_and_sees_new_weights(captures: Captures) -> None:
    policy = tiny_policy()
    for seed in range(3):
        dynamic, static = (
            DecodingSampler(12, 1.3, engine=name).sample(policy, RAGGED, 4, seed) for name in ("dynamic", "static")
        )
        assert torch.equal(static.response_ids, dynamic.response_ids)
        torch.testing.assert_close(static.logprobs, dynamic.logprobs, rtol=1e-9, atol=1e-9)
        with torch.no_grad():
            for weight in policy.model.parameters():
                weight.mul_(1.05)
    assert captures.count == 1


def test_chunks_of_two_sizes_are_two_shapes(captures: Captures) -> None:
    policy = tiny_policy()
    for seed in range(2):
        dynamic, static = (
            DecodingSampler(12, 1.3, max_batch=4, engine=name).sample(policy, RAGGED, 2, seed)
            for name in ("dynamic", "static")
        )
        assert torch.equal(static.response_ids, dynamic.response_ids)
    assert captures.count == 2, "4 rows, and 2"


def test_weights_that_moved_are_captured_anew(captures: Captures) -> None:
    policy = tiny_policy()
    sampler = DecodingSampler(6, engine="static")
    sampler.sample(policy, RAGGED, 2, seed=0)
    weight = next(policy.model.parameters())
    weight.data = weight.data.clone()
    sampler.sample(policy, RAGGED, 2, seed=0)
    assert captures.count == 2


def test_the_shapes_used_last_are_kept(captures: Captures) -> None:
    model = tiny_policy().model
    reading = prefill(model, [[5, 6]], pad_id=0)
    for count in (1, 2, 3, 4, 1, 5):
        get_graph(model, reading, count, 16)
    assert captures.count == 5
    get_graph(model, reading, 1, 16)
    assert captures.count == 5, "used after 2"
    get_graph(model, reading, 2, 16)
    assert captures.count == 6, "made room for 5"


def test_where_a_capture_fails_decoding_goes_on_and_it_is_not_tried_again(captures: Captures) -> None:
    captures.failing = 9
    policy = tiny_policy()
    for seed in range(2):
        dynamic, static = (
            DecodingSampler(12, 1.3, engine=name).sample(policy, RAGGED, 4, seed) for name in ("dynamic", "static")
        )
        assert torch.equal(static.response_ids, dynamic.response_ids)
    assert captures.count == 1


def test_a_model_that_is_gone_takes_its_slots_along(captures: Captures) -> None:
    policy = tiny_policy()
    DecodingSampler(6, engine="static").sample(policy, RAGGED, 2, seed=0)
    model = ref(policy.model)
    found = graphs._GRAPHS[policy.model].by_shape[6, 256, torch.float64]
    assert found is not None
    slots = ref(found.slots)
    del policy, found
    gc.collect()
    assert model() is None
    assert slots() is None
