"""A judge model made of labelled rows."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from cgpo.errors import UserError
from cgpo.judge_files.rows import read_responses
from cgpo.judges.language_model.judge import LanguageModelJudge
from cgpo.stages.fitting import FitSettings
from cgpo.stages.judge_model import LabelledJudge, LabelledRows, read_labelled
from cgpo.suite.model import train_tokenizer
from cgpo.types import Outcome, Prompt, Sample

TEMPLATE = "Question: {prompt}\nResponse: {response}\nIs it good?"
NAMES = ("apple", "bread", "chair", "door", "earth", "fish", "green", "house", "iron", "jam")


def rows() -> list[dict[str, Any]]:
    return [
        {"prompt": f"{a} {b}", "response": f"{b} {word}", "label": word == "good", "by": "hand"}
        for a in NAMES
        for b in NAMES[:5]
        for word in ("good", "bad")
    ]


def write(path: Path, content: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in content))
    return path


@pytest.fixture
def model(tmp_path: Path) -> str:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    tokenizer = train_tokenizer([TEMPLATE, " yes", " no", *(r["response"] for r in rows())] * 20, 400)
    sizes: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
    end: dict[str, Any] = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    config = LlamaConfig(vocab_size=len(tokenizer), num_attention_heads=2, max_position_embeddings=256, **sizes, **end)
    LlamaForCausalLM(config).save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    return str(tmp_path / "base")


@pytest.fixture
def template(tmp_path: Path) -> str:
    (tmp_path / "good.txt").write_text(TEMPLATE)
    return str(tmp_path / "good.txt")


def stage(model: str, template: str, steps: int = 60) -> LabelledJudge:
    return LabelledJudge(model, template, " yes", " no", FitSettings(steps, batch_size=16, learning_rate=1e-2))


def test_a_judge_is_trained_measured_and_taken_by_name(tmp_path: Path, model: str, template: str) -> None:
    data = write(tmp_path / "rows.jsonl", [*rows(), {"prompt": "x", "response": "y"}])
    split = read_labelled(data, 0.3, seed=0)
    summary = stage(model, template).build(split, tmp_path / "made" / "judge")
    folder = tmp_path / "made" / "judge"
    assert sorted(path.name for path in folder.parent.iterdir()) == ["judge"]

    [measured] = summary["judges"].values()
    against = measured["against_labels"]
    assert against["accuracy"]["value"] == 1.0
    assert 0.8 < against["accuracy"]["low"] < 1.0 == against["accuracy"]["high"]
    assert against["rows"] == len(split.held_out) == summary["held_out"]
    assert (summary["trained_on"], summary["unlabelled"], summary["majority"]) == (len(split.train), 1, 0.5)
    assert json.loads((folder / "training.json").read_text())["judges"] == summary["judges"]
    held_out = [json.loads(line) for line in (folder / "held_out_verdicts.jsonl").read_text().splitlines()]
    assert [row["response"] for row in held_out] == [row.sample.response for row in split.held_out]
    assert all(row["satisfied"] is row["label"] for row in held_out)

    judge = LanguageModelJudge(model=str(folder), template="safety", positive=" yes", negative=" no")
    verdicts = judge.judge([Sample(Prompt("a", "jam"), "fish bad"), Sample(Prompt("b", "jam"), "fish good")])
    assert [v.outcome for v in verdicts] == [Outcome.VIOLATED, Outcome.SATISFIED]


def test_rows_of_one_prompt_stay_on_one_side(tmp_path: Path) -> None:
    split = read_labelled(write(tmp_path / "rows.jsonl", rows()), 0.3, seed=0)
    sides = [{row.sample.prompt.text for row in side} for side in (split.train, split.held_out)]
    assert sides[0] & sides[1] == set()
    assert len(sides[0] | sides[1]) == 50
    assert 5 <= len(sides[1]) <= 25
    assert len(split.train) == 2 * len(sides[0])
    other = read_labelled(tmp_path / "rows.jsonl", 0.3, seed=1)
    assert {row.sample.prompt.text for row in other.held_out} != sides[1]
    assert len(read_labelled(tmp_path / "rows.jsonl", 7, seed=0).held_out) == 8, "whole prompts, at least seven rows"


@pytest.mark.parametrize(
    ("content", "held_out", "message"),
    [
        ([{"prompt": "a", "response": "b"}], 0.2, "no row has a label"),
        ([{"prompt": "a", "response": "b", "label": True}] * 4, 0.2, "no rows are left to .*, and .* has 1 prompts"),
        (rows(), 0, "held_out=0: no rows are left to hold out"),
        (rows(), 100, "held_out=100: no rows are left to train on"),
        ([row for row in rows() if row["label"]], 0.3, "all rows to train on have the label true"),
        ([{"prompt": "a", "response": "b", "label": "yes"}], 0.2, "line 1: field 'label' must be true"),
    ],
)
def test_rows_that_nothing_can_be_learnt_from(
    tmp_path: Path, content: list[dict[str, Any]], held_out: float, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        read_labelled(write(tmp_path / "rows.jsonl", content), held_out, seed=0)


def test_nothing_is_overwritten_and_a_failure_leaves_nothing(tmp_path: Path, model: str, template: str) -> None:
    split = read_labelled(write(tmp_path / "rows.jsonl", rows()), 0.3, seed=0)
    (tmp_path / "there").mkdir()
    with pytest.raises(UserError, match=r"output=.*/there is there already, and is never overwritten"):
        stage(model, template).build(split, tmp_path / "there")
    with pytest.raises(UserError, match="its own text is"):
        stage(model, "safety").build(split, tmp_path / "judge")
    with pytest.raises(UserError, match=r"rows.jsonl line \d+: the template factuality needs metadata 'ground_truth'"):
        stage(model, "factuality").build(split, tmp_path / "judge")
    assert list(tmp_path.glob("judge*")) == []


def test_a_row_held_out_is_looked_at_before_training(tmp_path: Path, model: str) -> None:
    whole = {**rows()[0], "metadata": {"ground_truth": "x"}}
    content = [whole, {**whole, "label": False}, rows()[2]]
    first, second, lacking = read_responses(write(tmp_path / "rows.jsonl", content))
    with pytest.raises(UserError, match="line 3: the template factuality needs"):
        stage(model, "factuality").build(LabelledRows([first, second], [lacking], 0), tmp_path / "judge")
