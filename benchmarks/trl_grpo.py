"""TRL's GRPO step on the same model, prompts and lengths."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from cases import COPIES, Case, force_lengths, reward
from datasets import Dataset  # pyright: ignore[reportMissingImports]  an extra
from floor import Timed, now
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import GRPOConfig, GRPOTrainer  # pyright: ignore[reportMissingImports, reportPrivateImportUsage]


class GRPO:
    """TRL's trainer with a reference model, one generation and one update a step.

    Args:
        folder: of the model.
        texts: the prompts.
        case: how long responses are.
        scratch: where TRL may write.
    """

    name = "trl"

    def __init__(self, folder: str, texts: Sequence[str], case: Case, scratch: Path) -> None:
        self.folder, self.texts, self.case, self.scratch = folder, texts, case, scratch
        self.tokens = 0

    def run(self, steps: int) -> Timed:
        """Some steps after one that warms up, each from one step's end to the next one's."""
        clock = _Clock(self)
        with redirect_stdout(StringIO()):  # a summary of the run
            self._trainer(steps + 1, clock).train()
        return clock.timed

    def _trainer(self, steps: int, clock: TrainerCallback) -> GRPOTrainer:
        tokenizer: Any = AutoTokenizer.from_pretrained(self.folder)
        model = AutoModelForCausalLM.from_pretrained(self.folder, dtype=torch.float32)
        width = len(tokenizer(self.texts[0])["input_ids"])
        force_lengths(model, self.case, width, int(model.config.eos_token_id))
        rows = len(self.texts) * COPIES
        options = GRPOConfig(
            output_dir=str(self.scratch),
            per_device_train_batch_size=rows,
            num_generations=COPIES,
            max_completion_length=self.case.longest,
            beta=0.04,  # above 0: with a reference model
            learning_rate=1e-6,
            max_steps=steps,
            gradient_checkpointing=False,
            use_cpu=True,
            bf16=False,
            report_to="none",
            logging_strategy="no",
            save_strategy="no",
            disable_tqdm=True,
        )
        return GRPOTrainer(
            model=model,
            reward_funcs=self._rewards,
            args=options,
            train_dataset=Dataset.from_dict({"prompt": list(self.texts)}),
            processing_class=tokenizer,
            callbacks=[clock],
        )

    def _rewards(self, completions: list[str], completion_ids: list[list[int]], **_: Any) -> list[float]:
        self.tokens = sum(map(len, completion_ids))
        return [reward(text) for text in completions]


class _Clock(TrainerCallback):
    def __init__(self, grpo: GRPO) -> None:
        self.timed = Timed()
        self._grpo = grpo
        self._last: tuple[float, float] | None = None

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        moment = now()
        if self._last is not None:
            self.timed.add(self._last, moment, self._grpo.tokens)
        self._last = moment
