"""Each stage, from its inputs to the folder it leaves, on models of a few thousand weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.policy.tiny import prompt, save_tiny, tiny_policy, words

from cgpo.data.pairs import Pair
from cgpo.errors import UserError
from cgpo.judges.language_model.judge import LanguageModelJudge
from cgpo.judges.language_model.rendering import answer_token, load_template, render
from cgpo.policy.causal import CausalPolicy, load_policy
from cgpo.rewards.bradley_terry import BradleyTerryReward
from cgpo.rollout import DecodingSampler
from cgpo.stages.fitting import FitSettings, fit
from cgpo.stages.judge_model import JudgeModelTraining
from cgpo.stages.preferences import SampledPreferences, _pair, read_pairs, write_pairs
from cgpo.stages.reward_model import RewardModelTraining
from cgpo.stages.sft import SupervisedFinetuning, encode_example, negative_log_likelihood
from cgpo.stages.warmup import DPOWarmup, _margins
from cgpo.types import Outcome, Prompt, Sample

GOOD, BAD = 7, 9


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def pairs(number: int = 24) -> list[Pair]:
    """The chosen response has the good word where the rejected one has the bad word."""
    return [
        Pair(prompt(10 + i % 8, 20 + i % 5), words(11 + i % 4, GOOD, 24), words(11 + i % 4, BAD, 24))
        for i in range(number)
    ]


@dataclass(frozen=True)
class Given:
    """Whatever is loaded."""

    what: Any

    def load(self) -> Any:
        return self.what() if callable(self.what) else self.what


def base() -> CausalPolicy:
    return tiny_policy(dtype=torch.float32, initializer_range=0.1)


@pytest.fixture
def policy(tmp_path: Path) -> str:
    return str(save_tiny(tmp_path / "policy", initializer_range=0.1))


@pytest.fixture
def ranked(tmp_path: Path) -> list[str]:
    (tmp_path / "pairs").mkdir()
    write_pairs(tmp_path / "pairs", pairs())
    return [str(tmp_path / "pairs")]


def built(stage: Any, folder: Path) -> Path:
    folder.mkdir()
    stage.build(folder)
    return folder


def test_sft_learns_its_demonstrations_and_twice_the_same(tmp_path: Path) -> None:
    shown = [(pair.prompt, pair.chosen) for pair in pairs()]
    settings = FitSettings(steps=30, batch_size=8, learning_rate=1e-2, seed=3)
    stage = SupervisedFinetuning(Given(base), Given(shown), settings)
    learnt = load_policy(str(built(stage, tmp_path / "a")))

    def loss(policy: CausalPolicy) -> float:
        batch = [encode_example(policy, asked, answer) for asked, answer in shown]
        return negative_log_likelihood(policy.model, batch, policy.pad_id).item()

    assert loss(learnt) < 0.5 * loss(base())
    torch.manual_seed(5)
    assert weights(built(stage, tmp_path / "b")) == weights(tmp_path / "a")
    other = SupervisedFinetuning(Given(base), Given(shown), FitSettings(30, 8, 1e-2, seed=4))
    assert weights(built(other, tmp_path / "c")) != weights(tmp_path / "a")


def test_a_reward_model_learns_a_preference_and_twice_the_same(tmp_path: Path, policy: str, ranked: list[str]) -> None:
    stage = RewardModelTraining(policy, ranked, FitSettings(steps=40, batch_size=8, learning_rate=1e-2))
    model = BradleyTerryReward(str(built(stage, tmp_path / "a")))
    chosen = model.score([Sample(p.prompt, p.chosen) for p in pairs()])
    rejected = model.score([Sample(p.prompt, p.rejected) for p in pairs()])
    assert (chosen > rejected).all()
    torch.manual_seed(5)
    assert weights(built(stage, tmp_path / "b")) == weights(tmp_path / "a")


def test_a_policy_is_no_reward_model(policy: str) -> None:
    with pytest.raises(UserError, match=r"policy: the checkpoint lacks weights of a \w+: score.weight") as caught:
        BradleyTerryReward(policy)
    assert "\n" not in str(caught.value)


def test_the_warm_up_widens_the_margin_and_twice_the_same(tmp_path: Path, policy: str, ranked: list[str]) -> None:
    stage = DPOWarmup(policy, ranked, FitSettings(steps=12, batch_size=8, learning_rate=3e-3), beta=0.1)
    learnt = load_policy(str(built(stage, tmp_path / "a")))

    def margin(policy: CausalPolicy) -> float:
        rows = [
            (encode_example(policy, p.prompt, p.chosen), encode_example(policy, p.prompt, p.rejected)) for p in pairs()
        ]
        with torch.no_grad():
            return _margins(policy.model, rows, policy.pad_id).mean().item()

    assert margin(learnt) > margin(load_policy(policy)) + 0.5
    torch.manual_seed(5)
    assert weights(built(stage, tmp_path / "b")) == weights(tmp_path / "a")


def labelled() -> list[tuple[Sample, bool]]:
    return [(Sample(p.prompt, r), r == p.chosen) for p in pairs() for r in (p.chosen, p.rejected)]


@pytest.fixture
def template(tmp_path: Path) -> str:
    (tmp_path / "good.txt").write_text("w28 {prompt} w29 {response} w30")
    return str(tmp_path / "good.txt")


def test_a_judge_model_learns_and_judges_as_it_was_trained(tmp_path: Path, policy: str, template: str) -> None:
    settings = FitSettings(steps=40, batch_size=8, learning_rate=1e-2)
    stage = JudgeModelTraining(policy, template, " w26", " w27", Given(labelled()), settings)
    folder = built(stage, tmp_path / "judge")
    judge = LanguageModelJudge(model=str(folder), template="safety", positive="?", negative="!", batch_size=5)
    verdicts = judge.judge([sample for sample, _ in labelled()])
    right = [
        (v.outcome is Outcome.SATISFIED) is satisfied for v, (_, satisfied) in zip(verdicts, labelled(), strict=True)
    ]
    assert sum(right) / len(right) > 0.95

    trained = load_policy(str(folder))
    text = load_template(template)
    answers = [answer_token(word, text, trained.tokenizer) for word in (" w26", " w27")]
    for verdict, (sample, _) in zip(verdicts, labelled(), strict=True):
        ids = torch.tensor([render(text, sample, trained.tokenizer, trained.context_length - 1)])
        with torch.no_grad():
            logits = trained.model(input_ids=ids).logits[0, -1, answers]
        assert verdict.reason.startswith(f"P(w26) = {logits.softmax(-1)[0]:.3f}")


class Longest:
    """An annotator who likes long responses."""

    def score(self, samples: Sequence[Sample], seed: int) -> list[float]:
        return [float(len(sample.response)) for sample in samples]


def preferences(policy: str, temperature: float, k: int = 3) -> SampledPreferences:
    prompts = [Given(PromptsOf([prompt(10 + i, 20) for i in range(6)]))]
    return SampledPreferences(policy, prompts, Longest(), DecodingSampler(5, temperature), 4, k, seed=1)  # pyright: ignore[reportArgumentType]


@dataclass(frozen=True)
class PromptsOf:
    train: list[Prompt]


def test_preferences_are_the_best_and_the_worst_of_each_prompt(tmp_path: Path, policy: str) -> None:
    folder = built(preferences(policy, 1.5), tmp_path / "a")
    made = read_pairs([str(folder)])
    assert 1 <= len(made) <= 4
    assert all(len(pair.chosen) > len(pair.rejected) for pair in made)
    assert {pair.prompt.key for pair in made} <= {words(10 + i, 20) for i in range(4)}
    again = built(preferences(policy, 1.5), tmp_path / "b")
    assert (again / "pairs.jsonl").read_bytes() == (folder / "pairs.jsonl").read_bytes()


def test_equal_responses_are_no_pair(tmp_path: Path, policy: str) -> None:
    assert read_pairs([str(built(preferences(policy, 1e-6), tmp_path / "a"))]) == []
    same = [Sample(prompt(5), "x"), Sample(prompt(5), "x")]
    assert _pair(same, [1.0, 2.0]) == []
    three = [Sample(prompt(5), text) for text in ("a", "b", "c")]
    assert _pair(three, [0.5, 2.0, -1.0]) == [Pair(prompt(5), "b", "c")]
    assert _pair(three[:2], [1.0, 1.0]) == [], "no preference is no pair"


def test_pairs_are_read_as_they_were_written(tmp_path: Path) -> None:
    turns = ({"role": "user", "content": "hi"}, {"role": "assistant", "content": "—"})
    one = Pair(Prompt("k:1", "ünï\n", "golden", {"answer": 4, "tests": ["a"]}, turns), "yes", "")
    for name, content in (("a", [one]), ("b", pairs(2)), ("c", [])):
        (tmp_path / name).mkdir()
        write_pairs(tmp_path / name, content)
    assert read_pairs(str(tmp_path / name) for name in "abc") == [one, *pairs(2)]


def test_nothing_to_fit_to(policy: str) -> None:
    model = load_policy(policy).model
    with pytest.raises(UserError, match="reward model: there are no examples"):
        fit(model, [], lambda *_: torch.zeros(()), FitSettings(1, 1, 1e-3), "reward model")


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"batch_size": -1}, {"learning_rate": 0.0}])
def test_fit_settings_out_of_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=rf"FitSettings\.{next(iter(wrong))} is .*: it must be a "):
        FitSettings(**{"steps": 1, "batch_size": 1, "learning_rate": 1e-3, **wrong})
