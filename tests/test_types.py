from dataclasses import FrozenInstanceError, replace

import pytest
import torch

from cgpo.types import Baseline, Outcome, Prompt, Rollout, TrainingBatch, Verdict, Verdicts


def a_rollout() -> Rollout:
    prompts = (Prompt("a", "first"), Prompt("b", "second"))
    mask = torch.tensor([[True, False]] * 4)
    return Rollout(
        prompts=prompts,
        prompt_ids=((1,), (2, 3)),
        responses=("w", "x", "y", "z"),
        response_ids=torch.tensor([[4, 0]] * 4),
        response_mask=mask,
        logprobs=torch.full((4, 2), -0.1),
        finished=mask[:, 0],
        temperature=1.0,
    )


def a_scored() -> TrainingBatch:
    flag = torch.ones(1, 2, dtype=torch.bool)
    value = torch.full((1, 2), 0.1)
    baseline = Baseline(value[:, 0], flag[:, 0], value[:, :1], flag[:, :1])
    return TrainingBatch(
        value[..., None],
        value[..., None],
        value[..., None],
        flag[..., None],
        value,
        flag,
        flag,
        torch.tensor([[0, 1]]),
        baseline,
    )


def test_samples_are_prompt_major() -> None:
    assert [(s.prompt.key, s.response) for s in a_rollout().samples] == [("a", "w"), ("a", "x"), ("b", "y"), ("b", "z")]


@pytest.mark.parametrize("how", ["positional", "keyword", "like a tensor"])
def test_a_cast_spares_masks_and_indices(how: str) -> None:
    rollout = a_rollout()
    moved = {
        "positional": lambda: rollout.to(torch.float64),
        "keyword": lambda: rollout.to(device="cpu", dtype=torch.float64),
        "like a tensor": lambda: rollout.to(torch.zeros(1, dtype=torch.float64)),
    }[how]()
    assert moved.logprobs.dtype == torch.float64
    assert moved.response_mask.dtype == torch.bool
    assert moved.finished.dtype == torch.bool
    assert moved.response_ids.dtype == torch.int64
    assert moved.response_ids.tolist() == rollout.response_ids.tolist()
    assert moved.prompts is rollout.prompts
    assert moved.temperature == 1.0
    assert rollout.logprobs.dtype == torch.float32


def test_a_carrier_within_a_carrier_moves_too() -> None:
    moved = a_scored().to(torch.float64)
    assert moved.baseline.reward.dtype == torch.float64
    assert moved.baseline.satisfied.dtype == torch.bool
    assert moved.identity.dtype == torch.int64
    assert moved.reward.dtype == torch.float64


def test_every_tensor_changes_its_device() -> None:
    moved = a_scored().to("meta")
    for tensor in (moved.logprobs, moved.satisfied, moved.identity, moved.baseline.reward, moved.baseline.satisfied):
        assert tensor.device.type == "meta"


def test_verdicts_move_and_keep_their_reasons() -> None:
    given = {"length": (Verdict(Outcome.SATISFIED, "short"),)}
    verdicts = Verdicts(given, torch.tensor([True]), torch.tensor([True]), {"length": 0.5})
    moved = verdicts.to("meta")
    assert moved.satisfied.device.type == "meta"
    assert moved.by_judge == given
    assert moved.seconds == {"length": 0.5}


def test_carriers_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        a_rollout().temperature = 2.0  # pyright: ignore[reportAttributeAccessIssue]


def test_metadata_is_not_shared_between_prompts() -> None:
    assert Prompt("a", "x").metadata == {}
    assert Prompt("a", "x").metadata is not Prompt("b", "y").metadata


def test_a_map_goes_through_the_fields_in_order_nested_ones_and_mappings_too() -> None:
    scored = replace(a_scored(), violated={"a": torch.tensor([[True]]), "b": torch.tensor([[False]])})
    seen: list[torch.Tensor] = []
    same = scored.map(lambda tensor: seen.append(tensor) or tensor)
    baseline = scored.baseline
    wanted = [
        *(scored.logprobs, scored.reference_logprobs, scored.sampled_logprobs, scored.response_mask, scored.reward),
        *(scored.satisfied, scored.decided, scored.identity),
        *(baseline.reward, baseline.satisfied, baseline.logprobs, baseline.response_mask),
        *scored.violated.values(),
    ]
    assert [id(tensor) for tensor in seen] == [id(tensor) for tensor in wanted], "what is not there is left out"
    assert same.values is None
    assert same.violated["b"] is scored.violated["b"]
    numbers = iter(range(100))
    counted = scored.map(lambda _: torch.tensor(next(numbers)))
    assert counted.baseline.logprobs.item() == 10
    assert [flag.item() for flag in counted.violated.values()] == [12, 13]


def test_a_map_leaves_what_is_no_tensor() -> None:
    rollout = a_rollout()
    changed = rollout.map(lambda tensor: tensor[:1])
    assert (changed.prompts, changed.responses, changed.temperature) == (rollout.prompts, rollout.responses, 1.0)
    cut = (changed.response_ids, changed.response_mask, changed.logprobs, changed.finished)
    assert [len(tensor) for tensor in cut] == [1, 1, 1, 1]
