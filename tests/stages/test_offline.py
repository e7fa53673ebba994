"""Preference pairs in the place of a rollout."""

from pathlib import Path

import pytest
import torch
from tests.policy.tiny import prompt, tiny_policy

from cgpo.data.pairs import Pair
from cgpo.errors import UserError
from cgpo.policy.logprobs import response_logprobs
from cgpo.rollout import DecodingSampler
from cgpo.stages.preferences import OfflinePairs, write_pairs

PAIRS = [Pair(prompt(5, 6), "w20 w21 w22", "w23"), Pair(prompt(7), "w24", "w25 w26")]


@pytest.fixture
def sampler(tmp_path: Path) -> OfflinePairs:
    write_pairs(tmp_path, PAIRS)
    return OfflinePairs(4, pairs=[str(tmp_path)])


def test_as_many_responses_as_were_asked_for_in_pairs(sampler: OfflinePairs) -> None:
    rollout = sampler.sample(tiny_policy(), [prompt(30)] * 10, 4, seed=1)
    assert (len(rollout.prompts), len(rollout.responses)) == (20, 40)
    wanted = {pair.prompt.text: (pair.chosen, pair.rejected) for pair in PAIRS}
    drawn = {sample.prompt.text for sample in rollout.samples}
    assert drawn == set(wanted)
    for first, second in zip(rollout.samples[::2], rollout.samples[1::2], strict=True):
        assert (first.response, second.response) == wanted[first.prompt.text]


def test_the_log_probabilities_are_the_policys(sampler: OfflinePairs) -> None:
    policy = tiny_policy()
    rollout = sampler.sample(policy, [prompt(30)], 4, seed=0)
    prompts = [ids for ids in rollout.prompt_ids for _ in range(2)]
    wanted = response_logprobs(policy.model, prompts, rollout.response_ids, rollout.response_mask, 1.0, policy.pad_id)
    torch.testing.assert_close(rollout.logprobs, wanted.detach(), rtol=1e-9, atol=1e-9)
    for ids, mask, text in zip(rollout.response_ids, rollout.response_mask, rollout.responses, strict=True):
        assert ids[mask].tolist() == policy.encode_response(text), "the end of the response is learnt too"


def test_the_same_seed_draws_the_same_pairs(sampler: OfflinePairs) -> None:
    draws = [sampler.sample(tiny_policy(), [prompt(30)] * 8, 2, seed).responses for seed in (0, 0, 1)]
    assert draws[0] == draws[1] != draws[2]


def test_one_response_a_prompt_is_the_policys_own(sampler: OfflinePairs) -> None:
    asked = [prompt(30), prompt(31)]
    own = DecodingSampler(4).sample(tiny_policy(), asked, 1, 5)
    assert sampler.sample(tiny_policy(), asked, 1, 5).responses == own.responses
    assert sampler.max_new_tokens == 4


def test_a_folder_without_pairs_is_named(tmp_path: Path) -> None:
    write_pairs(tmp_path, [])
    with pytest.raises(UserError, match="there is no pair in"):
        OfflinePairs(4, pairs=[str(tmp_path)]).sample(tiny_policy(), [prompt(30)], 2, 0)
