"""Models of a real architecture at toy size."""

from pathlib import Path

import pytest
import yaml
from tests.conf.test_conf import CONF
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

from cgpo.errors import UserError
from cgpo.policy.causal import load_policy
from cgpo.rewards.bradley_terry import BradleyTerryReward
from cgpo.stages.random_model import RandomModel, toy_architecture
from cgpo.types import Prompt, Sample

QWEN3 = yaml.safe_load((CONF / "architecture/qwen3_0_6b.yaml").read_text())


def test_a_policy_of_the_same_class_that_reads_the_suites_tokens(tmp_path: Path) -> None:
    RandomModel(QWEN3).build(tmp_path)
    policy = load_policy(str(tmp_path))
    assert type(policy.model).__name__ == "Qwen3ForCausalLM"
    assert policy.model.config.tie_word_embeddings is True
    assert policy.model.num_parameters() < 300_000
    assert policy.context_length == 4096
    ids = policy.encode_prompt(Prompt("a", "how many is two and two ?"))
    assert policy.decode(ids).endswith("two ?")
    assert max(ids) < policy.model.config.vocab_size == toy_architecture(QWEN3)["vocab_size"] == len(policy.tokenizer)


def test_a_reward_model_with_one_output(tmp_path: Path) -> None:
    RandomModel(QWEN3, "reward").build(tmp_path)
    assert (
        type(AutoModelForSequenceClassification.from_pretrained(tmp_path)).__name__ == "Qwen3ForSequenceClassification"
    )
    scores = BradleyTerryReward(str(tmp_path)).score([Sample(Prompt("a", "hello"), text) for text in ("yes", "no")])
    assert scores[0] != scores[1]


def test_the_seed_says_which_weights(tmp_path: Path) -> None:
    sums = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        (tmp_path / name).mkdir()
        RandomModel(QWEN3, seed=seed).build(tmp_path / name)
        sums.append(
            AutoModelForCausalLM.from_pretrained(tmp_path / name).model.layers[0].mlp.up_proj.weight.sum().item()
        )
    assert sums[0] == sums[1] != sums[2]


def test_what_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="kind is 'critic': choose causal or reward"):
        RandomModel(QWEN3, "critic")
    with pytest.raises(UserError, match="architecture: model_type is missing"):
        RandomModel({"hidden_size": 8})
    with pytest.raises(UserError, match="architecture: "):
        RandomModel({**QWEN3, "model_type": "qwem"}).build(tmp_path)


def test_the_toy_of_a_long_context_is_not_scaled() -> None:
    llama = yaml.safe_load((CONF / "architecture/llama_3_1_8b.yaml").read_text())
    settings = toy_architecture(llama)
    config = AutoConfig.for_model(settings.pop("model_type"), **settings)
    assert config.rope_parameters["rope_type"] == "default"
    assert llama["rope_parameters"]["rope_type"] == "llama3"
