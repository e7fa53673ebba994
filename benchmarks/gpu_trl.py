"""TRL's GRPO step on a GPU: the same model, prompts, lengths and rewards as ours."""

from __future__ import annotations

import statistics
import tempfile
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset  # pyright: ignore[reportMissingImports]  an extra
from gpu_policies import SHAPES, Sizes, build_policy, force_lengths, prompt_texts, reward, tokenizer
from gpu_step import wait_for
from transformers import TrainerCallback
from trl import GRPOConfig, GRPOTrainer  # pyright: ignore[reportMissingImports, reportPrivateImportUsage]

ROWS_AT_ONCE = 8
"""Of a micro-batch: TRL makes all logits of one at a time, 1.2 GB for 8 rows of 512 tokens in bfloat16."""


def measure_trl(model: str, variant: str, sizes: Sizes, device: str) -> dict[str, Any]:
    """Some steps of TRL's trainer, with a reference model and one update a generation, after one that warms up.

    Args:
        model: name of a shape.
        variant: `bf16`, weights in bfloat16.
        sizes: how much is run.
        device: `cuda` or `cpu`.
    """
    assert variant == "bf16"
    clock = _Clock(device)
    with tempfile.TemporaryDirectory() as scratch, redirect_stdout(StringIO()):  # a summary of the run
        folder = str(Path(scratch) / "model")
        # TRL loads the reference from where the policy came from.
        policy = build_policy(model, device, torch.bfloat16)
        texts = prompt_texts(sizes.prompts, sizes.prompt, sizes.prompt * 3 // 4, policy.model.config.vocab_size)
        policy.model.save_pretrained(folder)
        del policy
        _trainer(folder, model, texts, sizes, device, clock).train()
    rates = [tokens / seconds for seconds, tokens in clock.steps]
    return {
        "seconds": statistics.median(seconds for seconds, _ in clock.steps),
        "tokens": statistics.mean(tokens for _, tokens in clock.steps),
        "tokens_a_second": statistics.median(rates),
        "steps": len(clock.steps),
    }


def _trainer(folder: str, model: str, texts: list[str], sizes: Sizes, device: str, clock: _Clock) -> GRPOTrainer:
    at_once = min(ROWS_AT_ONCE, sizes.prompts * sizes.copies)
    options = GRPOConfig(
        output_dir=str(Path(folder).parent / "out"),
        per_device_train_batch_size=at_once,
        gradient_accumulation_steps=sizes.prompts * sizes.copies // at_once,
        num_generations=sizes.copies,
        max_completion_length=sizes.longest,
        beta=0.04,  # above 0: with a reference model
        learning_rate=1e-6,
        max_steps=sizes.steps + 1,
        gradient_checkpointing=False,
        use_cpu=device == "cpu",
        bf16=False,  # no autocast: the weights are in bfloat16, the reference's too
        model_init_kwargs={"dtype": "bfloat16", "attn_implementation": "sdpa"},
        report_to="none",
        logging_strategy="no",
        save_strategy="no",
        disable_tqdm=True,
    )

    def rewards(completions: list[str], completion_ids: list[list[int]], **_: Any) -> list[float]:
        clock.tokens = sum(map(len, completion_ids))
        assert min(map(len, completion_ids)) >= sizes.shortest
        return [reward(text) for text in completions]

    trainer = GRPOTrainer(
        model=folder,
        reward_funcs=rewards,
        args=options,
        train_dataset=Dataset.from_dict({"prompt": texts}),
        processing_class=tokenizer(SHAPES[model]["vocab_size"]),
        callbacks=[clock],
    )
    force_lengths(trainer.model, sizes)
    return trainer


class _Clock(TrainerCallback):
    def __init__(self, device: str) -> None:
        self.device = device
        self.tokens = 0
        self.steps: list[tuple[float, int]] = []
        self._last: float | None = None

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        moment = wait_for(self.device)
        if self._last is not None:
            self.steps.append((moment - self._last, self.tokens))
        self._last = moment
