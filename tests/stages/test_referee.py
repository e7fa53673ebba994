"""The referee against a computation token by token, and the experiments that need one or none."""

import json
import os
from pathlib import Path

import pytest
import torch
from tests.policy.tiny import EOS, STOP, prompt, save_tiny, tiny_policy, words
from tests.processes import run
from transformers import AutoModelForCausalLM

from cgpo.errors import UserError
from cgpo.stages.referee import RefereeAnnotator, RefereeLoss
from cgpo.types import Sample

SAMPLES = [
    Sample(prompt(5, 6, 7), words(8, 9, 10, 11)),
    Sample(prompt(12), words(13)),
    Sample(prompt(5, 6), words(*range(4, 30))),
    Sample(prompt(9, 9, 9, 9), ""),
]


def naive(folder: Path, sample: Sample) -> float:
    """Token by token; an empty response ends at once."""
    policy = tiny_policy()
    model = AutoModelForCausalLM.from_pretrained(folder)
    seen = policy.encode_prompt(sample.prompt)
    *tokens, _ = policy.encode_response(sample.response)

    def probabilities() -> torch.Tensor:
        with torch.no_grad():
            return model(input_ids=torch.tensor([seen])).logits[0, -1].softmax(-1)

    if not tokens:
        return -probabilities()[[EOS, STOP]].sum().log().item()
    losses = []
    for token in tokens:
        losses.append(-probabilities()[token].log().item())
        seen = [*seen, token]
    return sum(losses) / len(losses)


@pytest.mark.parametrize("max_tokens", [8192, 12])
def test_the_loss_is_the_mean_over_the_responses_tokens(tmp_path: Path, max_tokens: int) -> None:
    folder = save_tiny(tmp_path / "referee")
    scores = RefereeLoss(str(folder), max_tokens=max_tokens).score(SAMPLES)
    assert (scores.shape, scores.dtype, scores.requires_grad) == ((4,), torch.float32, False)
    assert scores.tolist() == pytest.approx([naive(folder, sample) for sample in SAMPLES], rel=1e-4)


def test_the_annotator_likes_what_is_likely(tmp_path: Path) -> None:
    folder = str(save_tiny(tmp_path / "referee"))
    liked = RefereeAnnotator(folder).score(SAMPLES, seed=0)
    assert liked == pytest.approx((-RefereeLoss(folder).score(SAMPLES)).tolist())
    assert liked == RefereeAnnotator(folder).score(SAMPLES, seed=1)


def test_a_response_beyond_the_context_is_cut(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "referee", max_position_embeddings=8)
    referee = RefereeLoss(str(folder))
    long, cut = (Sample(prompt(5, 6, 7), words(*range(8, 8 + n))) for n in (12, 5))
    assert referee.score([long]).tolist() == pytest.approx(referee.score([cut]).tolist())
    with pytest.raises(UserError, match="leaves no room"):
        referee.score([Sample(prompt(*range(5, 13)), "w8")])


def test_nothing_to_score(tmp_path: Path) -> None:
    assert RefereeLoss(str(save_tiny(tmp_path / "referee"))).score([]).shape == (0,)


@pytest.mark.parametrize("role", [RefereeLoss, RefereeAnnotator])
def test_a_missing_folder_is_named_when_it_is_configured(tmp_path: Path, role: type) -> None:
    with pytest.raises(UserError, match=r"/none: there is no such model folder$") as caught:
        role(str(tmp_path / "none"))
    assert "\n" not in str(caught.value)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("model", ["stories260K", "stories3M"])
def test_real_smoke_runs_and_says_that_nearly_everything_is_violated(shared: Path, tmp_path: Path, model: str) -> None:
    arguments = [
        f"model.path={shared}/models/{model}",
        f"data_dir={shared}/data",
        "hydra.run.dir=run",
        "updates=1",
        "rollout.max_new_tokens=8",
        "callbacks.evaluation.prompts=4",
        "data.gsm8k.limit=60",
        "logger=none",
        "trainer.threads=1",
    ]
    environment = {**os.environ, "CGPO_CACHE_DIR": str(tmp_path / "cache")}
    done = run("cgpo.train", "experiment=real_smoke", *arguments, folder=tmp_path, environment=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "prompts left out" in done.stdout
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert set(summary["tasks"]) == {"gsm8k", "mbpp", "ifeval", "xstest"}
    for task in ("gsm8k", "mbpp"):
        assert set(summary["tasks"][task]["after"]["violation_rate"].values()) == {1.0}
        assert any(task in finding and "nearly every response violates" in finding for finding in summary["findings"])
    assert not list((tmp_path / "cache").iterdir()), "nothing is to be built"


def test_a_missing_referee_is_one_line(shared: Path, tmp_path: Path) -> None:
    line = [f"variables.referee={tmp_path}/nothing", f"model.path={shared}/models/stories260K", "hydra.run.dir=run"]
    done = run("cgpo.train", "experiment=stories", *line, folder=tmp_path)
    assert done.returncode == 1
    assert (
        f"callbacks.evaluation.measures.referee_loss.path: {tmp_path}/nothing: there is no such model folder"
        in done.stderr
    )
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
