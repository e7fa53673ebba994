"""Policies side by side, with tiny models."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.policy.tiny import prompt, tiny_policy
from tests.tasks.fakes import CountingSampler, RuleJudge, even, expert, never

from cgpo.evaluation.comparison import Comparison, Decoding, EvaluationSettings, HeldOutTask, SampleFile
from cgpo.judges.panel.panel import Panel
from cgpo.rollout import DecodingSampler

PROMPTS = tuple(prompt(5 + i, 20 - i) for i in range(6))
PANEL = Panel({"even": RuleJudge(even), "never": RuleJudge(never)})
SETTINGS = EvaluationSettings(seed=3, pass_at=(1, 3), win_by=("reward", "never"), resamples=100)


def held_out(sampled: Any = None, **fields: Any) -> HeldOutTask:
    task = expert(held_out=PROMPTS, panel=PANEL.of(["even"]), also=PANEL.of(["never"]), gold=RuleJudge(even), **fields)
    decodings = {
        "sampled": Decoding(sampled or DecodingSampler(6), 3),
        "greedy": Decoding(DecodingSampler(6, top_k=1), 1),
    }
    return HeldOutTask(task, PROMPTS, decodings)


def compared(
    folder: Path, task: HeldOutTask, policies: dict[str, int], opponent: int = 1, **keep: Any
) -> dict[str, Any]:
    said: list[str] = []
    comparison = Comparison([task], SETTINGS, SampleFile(folder / "samples.jsonl", **keep), said.append)
    reference = tiny_policy(1)
    comparison.sample_opponent(tiny_policy(opponent))
    for name, seed in policies.items():
        comparison.add(name, tiny_policy(seed), reference)
    assert said == [f"{name}: chat, 18 sampled and 6 greedy responses" for name in ("opponent", *policies)]
    return comparison.results()


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]


def test_numbers_and_samples_agree(tmp_path: Path) -> None:
    found = compared(tmp_path, held_out(), {"a": 0, "b": 1})
    of_a = found["policies"]["a"]["tasks"]["chat"]
    assert of_a["prompts"] == 6
    kept = rows(tmp_path)
    assert len(kept) == 3 * (18 + 6)
    sampled = [row for row in kept if (row["policy"], row["mode"]) == ("a", "sampled")]
    assert [row["index"] for row in sampled] == [0, 1, 2] * 6
    assert [row["key"] for row in sampled] == [p.key for p in PROMPTS for _ in range(3)]
    numbers = of_a["sampled"]
    assert numbers["responses"] == 18
    assert numbers["success"]["value"] == sum(row["gold"]["outcome"] == "satisfied" for row in sampled) / 18
    assert numbers["reward"]["value"] == pytest.approx(sum(row["reward"] for row in sampled) / 18)
    assert numbers["kl"]["value"] == pytest.approx(sum(row["log_ratio"] for row in sampled) / 18)
    assert numbers["length"]["value"] == pytest.approx(sum(row["length"] for row in sampled) / 18)
    assert numbers["violation_rate"]["never"]["value"] == 1.0, "asked, though it is no constraint"
    assert numbers["satisfied"]["value"] == sum(row["satisfied"] for row in sampled) / 18
    assert all(set(row["verdicts"]) == {"even", "never"} for row in kept)
    assert numbers["win_rate"]["never"] == {"value": 0.5, "low": 0.5, "high": 0.5}
    assert set(numbers["pass_at"]) == {"1", "3"}
    assert of_a["greedy"]["pass_at"] == {}
    assert of_a["greedy"]["kl"] is None, "greedy responses say nothing of the divergence"


def test_the_same_policy_twice_is_the_same_to_the_last_digit(tmp_path: Path) -> None:
    found = compared(tmp_path, held_out(), {"a": 0, "again": 0, "other": 1})
    assert found["policies"]["a"] == found["policies"]["again"]
    assert found["differences"]["from"] == "a"
    gaps = found["differences"]["policies"]
    assert list(gaps) == ["again", "other"]
    assert gaps["again"]["tasks"]["chat"]["sampled"]["kl"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    of_other = gaps["other"]["tasks"]["chat"]["sampled"]["reward"]["value"]
    both = [found["policies"][name]["tasks"]["chat"]["sampled"]["reward"]["value"] for name in ("a", "other")]
    assert of_other == pytest.approx(both[1] - both[0])


def test_a_policy_that_is_its_opponent_draws_other_responses_and_wins_half_when_greedy(tmp_path: Path) -> None:
    found = compared(tmp_path, held_out(), {"same": 1})["policies"]["same"]["tasks"]["chat"]
    texts = {
        name: [row["response"] for row in rows(tmp_path) if (row["policy"], row["mode"]) == (name, "sampled")]
        for name in ("same", "opponent")
    }
    assert texts["same"] != texts["opponent"]
    assert found["greedy"]["win_rate"]["reward"]["value"] == 0.5
    assert found["greedy"]["ties"]["reward"]["value"] == 1.0
    assert found["sampled"]["kl"]["value"] == pytest.approx(0.0, abs=1e-9)


def test_each_prompt_has_random_numbers_of_its_own_the_same_for_all_policies(tmp_path: Path) -> None:
    sampler = CountingSampler(temperature=1.0)
    compared(tmp_path, held_out(sampler), {"a": 0, "b": 1})
    opponent, of_a, of_b = (seeds for _, _, seeds in sampler.drawn)
    assert of_a == of_b != opponent
    assert isinstance(of_a, list)
    assert len(set(of_a)) == len(PROMPTS)


@pytest.mark.parametrize(
    "cut", [DecodingSampler(6, temperature=0.7), DecodingSampler(6, top_p=0.9), DecodingSampler(6, top_k=5)]
)
def test_no_divergence_is_estimated_from_a_changed_distribution(tmp_path: Path, cut: DecodingSampler) -> None:
    assert compared(tmp_path, held_out(cut), {"a": 0})["policies"]["a"]["tasks"]["chat"]["sampled"]["kl"] is None


def test_so_many_samples_are_kept(tmp_path: Path) -> None:
    compared(tmp_path, held_out(), {"a": 0}, keep=4)
    assert [(row["policy"], row["mode"]) for row in rows(tmp_path)] == [
        (name, mode) for name in ("opponent", "a") for mode in ("sampled", "greedy") for _ in range(4)
    ]
