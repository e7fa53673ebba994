"""The baselines against TRL on the same model, responses and rewards: losses and the gradients of all weights."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.policy.tiny import PAD, prompt, tiny_model, tiny_policy, tiny_tokenizer
from tests.tasks.fakes import expert
from tests.training.test_update import gradient
from torch import Tensor

from cgpo.judges.panel.panel import Panel
from cgpo.optimizer import GRPO, RLOO, OnlineDPO
from cgpo.optimizer.base import ConstrainedOptimizer
from cgpo.policy.causal import load_policy, policy_from_model
from cgpo.policy.logprobs import response_logprobs, rollout_responses
from cgpo.rollout import DecodingSampler
from cgpo.tasks.baseline_responses import BaselineResponse
from cgpo.training.update import ConstrainedUpdate
from cgpo.types import Rollout, TrainingBatch

trl = pytest.importorskip("trl", reason="TRL is not installed: pip install '.[bench]'")
datasets = pytest.importorskip("datasets")

PROMPTS = [prompt(5, 6, 7, 8), prompt(9), prompt(10, 11)]
COPIES = 4
REWARDS = torch.tensor([[0.5, -1.0, 2.0, 0.25], [1.0, 1.5, -0.5, 0.0], [3.0, -2.0, 0.125, 0.75]], dtype=torch.float64)


class Batch:
    """Responses of one policy, scored under another one, so that clipping and the reference have something to do."""

    def __init__(self, folder: Path, drift: float = 0.05) -> None:
        drawn_by, self.reference = tiny_policy(0), tiny_policy(1).frozen_copy()
        self.rollout: Rollout = DecodingSampler(7, 1.0).sample(drawn_by, PROMPTS, COPIES, seed=2)
        model = tiny_model(0)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(drift * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(3)))
        # TRL reads its own reference from the folder that the model came from.
        policy_from_model(model, tiny_tokenizer()).save(folder / "model")
        self.policy = load_policy(str(folder / "model"), "float64")
        self.responses = rollout_responses(self.rollout)

    def logprobs(self, policy: Any) -> Tensor:
        r = self.responses
        return response_logprobs(policy.model, r.prompt_ids, r.ids, r.mask, 1.0, PAD)

    def scored(self) -> TrainingBatch:
        update, task = ConstrainedUpdate(), expert(responses_per_prompt=COPIES)
        baselines = [BaselineResponse("", 0.0, True)] * len(PROMPTS)
        texts = [baseline.text for baseline in baselines]
        inputs = update.inputs(self.policy, task, self.rollout, texts)
        forward = update.forward(self.policy, self.reference, self.rollout, inputs)
        verdicts = Panel({}).judge(self.rollout.samples)
        scored = update.score(self.rollout, inputs, forward, REWARDS.flatten(), verdicts, baselines)
        return replace(update.refresh(self.policy, inputs, scored), reward=REWARDS)

    def ours(self, optimizer: ConstrainedOptimizer) -> tuple[float, Tensor]:
        self.policy.model.zero_grad()
        scored = self.scored()
        own = self.logprobs(self.policy).view_as(scored.logprobs)
        loss = optimizer(replace(scored, logprobs=own)).loss
        loss.backward()
        return loss.item(), gradient(self.policy)

    def theirs(self, loss_of: Callable[[Any], Tensor]) -> tuple[float, Tensor]:
        self.policy.model.zero_grad()
        loss = loss_of(self.policy.model)
        loss.backward()
        return loss.item(), gradient(self.policy)

    def inputs(self) -> dict[str, Tensor]:
        """As TRL's trainers take them: prompts padded on the left."""
        width = max(map(len, self.responses.prompt_ids))
        rows = [[PAD] * (width - len(ids)) + list(ids) for ids in self.responses.prompt_ids]
        return {
            "prompt_ids": torch.tensor(rows),
            "prompt_mask": torch.tensor([[int(i != PAD) for i in row] for row in rows]),
            "completion_ids": self.responses.ids,
            "completion_mask": self.responses.mask.long(),
        }


def options(kind: Any, folder: Path, **settings: Any) -> Any:
    return kind(
        output_dir=str(folder),
        per_device_train_batch_size=COPIES,
        use_cpu=True,
        bf16=False,
        report_to="none",
        gradient_checkpointing=False,
        disable_tqdm=True,
        **settings,
    )


def rows() -> Any:
    return datasets.Dataset.from_dict({"prompt": [p.text for p in PROMPTS] * COPIES})


def assert_same(found: tuple[float, Tensor], wanted: tuple[float, Tensor]) -> None:
    assert found[0] == pytest.approx(wanted[0], rel=1e-6, abs=1e-7)
    assert wanted[1].norm() > 1e-3, "a gradient of nothing proves nothing"
    assert (found[1] - wanted[1]).norm() <= 1e-5 * wanted[1].norm()


@pytest.mark.parametrize(("beta", "clip", "scale"), [(0.04, 0.2, True), (0.0, 0.05, True), (0.3, 0.2, False)])
def test_grpo(tmp_path: Path, beta: float, clip: float, scale: bool) -> None:
    batch = Batch(tmp_path)
    # TRL can weigh the KL term by the importance ratio too, which eq. 3 of the paper does not.
    plain = {"loss_type": "grpo", "use_bias_correction_kl": False}
    settings = {"beta": beta, "epsilon": clip, "num_generations": COPIES, **plain}
    trainer: Any = trl.GRPOTrainer(
        model=batch.policy.model,
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        args=options(trl.GRPOConfig, tmp_path, **settings),
        train_dataset=rows(),
        processing_class=tiny_tokenizer(),
    )
    trainer.current_gradient_accumulation_steps = 1
    centred = REWARDS - REWARDS.mean(-1, keepdim=True)
    advantage = centred / (REWARDS.std(-1, keepdim=True) + 1e-4) if scale else centred
    inputs = {
        **batch.inputs(),
        "advantages": advantage.flatten(),
        "old_per_token_logps": batch.rollout.logprobs,
        "ref_per_token_logps": batch.logprobs(batch.reference).detach(),
    }
    ours = batch.ours(GRPO(beta, clip, scale))
    assert_same(ours, batch.theirs(lambda model: trainer._compute_loss(model, inputs)))


def test_rloo(tmp_path: Path) -> None:
    # At the weights that drew the responses: TRL clips the sequence's ratio, which is 1 there.
    batch = Batch(tmp_path, drift=0.0)
    trainer: Any = trl.RLOOTrainer(
        model=batch.policy.model,
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        args=options(trl.RLOOConfig, tmp_path, num_generations=COPIES),
        train_dataset=rows(),
        processing_class=tiny_tokenizer(),
    )
    ratio = batch.rollout.logprobs.sum(-1) - batch.logprobs(batch.reference).sum(-1).detach()
    reward = REWARDS - 0.3 * ratio.view_as(REWARDS)
    advantage = reward - (reward.sum(-1, keepdim=True) - reward) / (COPIES - 1)
    inputs = {**batch.inputs(), "advantages": advantage.flatten(), "old_logps": batch.rollout.logprobs.sum(-1)}
    _, ours = batch.ours(RLOO(beta=0.3))
    _, theirs = batch.theirs(lambda model: trainer._compute_loss(model, inputs))
    assert (ours - theirs).norm() <= 1e-5 * theirs.norm()


@pytest.mark.parametrize(("loss", "theirs"), [("dpo", "sigmoid"), ("slic", "hinge")])
def test_dpo(tmp_path: Path, loss: str, theirs: str) -> None:
    # IPO differs on purpose: TRL divides each log-ratio by its response's length, eq. 17 of the paper does not.
    batch = Batch(tmp_path)
    pairs = datasets.Dataset.from_dict({"prompt": ["w5"], "chosen": ["w6"], "rejected": ["w7"]})
    trainer: Any = trl.DPOTrainer(
        model=batch.policy.model,
        ref_model=batch.reference.model,
        args=options(trl.DPOConfig, tmp_path, beta=0.3, loss_type=[theirs]),
        train_dataset=pairs,
        processing_class=tiny_tokenizer(),
    )
    best, worst = REWARDS.argmax(-1).tolist(), REWARDS.argmin(-1).tolist()
    chosen = [b * COPIES + k for b, k in enumerate(best)] + [b * COPIES + k for b, k in enumerate(worst)]
    given, r = batch.inputs(), batch.responses
    joined = [[*r.prompt_ids[i], *r.ids[i][r.mask[i]].tolist()] for i in chosen]
    width = max(map(len, joined))
    inputs = {
        "input_ids": torch.tensor([ids + [PAD] * (width - len(ids)) for ids in joined]),
        "attention_mask": torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for ids in joined]),
        "completion_mask": torch.tensor(
            [
                [int(len(r.prompt_ids[i]) <= p < len(ids)) for p in range(width)]
                for i, ids in zip(chosen, joined, strict=True)
            ]
        ),
    }
    assert given["completion_ids"].shape[0] == len(PROMPTS) * COPIES
    ours = batch.ours(OnlineDPO(beta=0.3, loss=loss))
    assert_same(ours, batch.theirs(lambda _: trainer._compute_loss(trainer.model, inputs, False)))
