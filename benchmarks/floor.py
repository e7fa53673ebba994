"""The least a step can cost with this model: bare passes in eager mode, no bookkeeping, lengths known beforehand."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import torch
from cases import COPIES
from torch import Tensor
from transformers import AutoModelForCausalLM, DynamicCache


@dataclass
class Timed:
    """Seconds (on the clock, and of this process's processor time) and useful tokens of steps, and their stages."""

    seconds: list[float] = field(default_factory=list)
    cpu_seconds: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    stages: list[dict[str, float]] = field(default_factory=list)

    def add(self, start: tuple[float, float], end: tuple[float, float], tokens: int) -> None:
        """Notes one step between two moments of `now`."""
        self.seconds.append(end[0] - start[0])
        self.cpu_seconds.append(end[1] - start[1])
        self.tokens.append(tokens)


def now() -> tuple[float, float]:
    """The clock, and the processor time that this process has had: the second does not count waiting for a core."""
    return time.perf_counter(), time.process_time()


class Floor:
    """Decode, policy forward and backward, reference forward, optimizer step.

    Args:
        folder: of the model.
        prompt_ids: `[B, P]`.
        lengths: of the `B * K` responses, longest first.
    """

    name = "floor"

    def __init__(self, folder: str, prompt_ids: Tensor, lengths: list[int]) -> None:
        self.model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.reference: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-6)
        self.prompts = prompt_ids.repeat_interleave(COPIES, 0)
        self.lengths = lengths
        # One batch where all are equally long; else batches of neighbours in length, cut to their longest.
        self.rows_at_once = len(lengths) if lengths[0] == lengths[-1] else len(lengths) // 8

    def run(self, steps: int) -> Timed:
        """Some steps after one that warms up."""
        self.step()
        timed = Timed()
        for _ in range(steps):
            start = now()
            stages = self.step()
            timed.add(start, now(), sum(self.lengths))
            timed.stages.append(stages)
        return timed

    def step(self) -> dict[str, float]:
        """One step; the seconds of its stages."""
        marks = [time.perf_counter()]
        tokens = self.decode()
        marks.append(time.perf_counter())
        self.optimizer.zero_grad()
        for start in range(0, len(tokens), self.rows_at_once):
            self.passes(tokens, start, self.reference, train=False)
        marks.append(time.perf_counter())
        for start in range(0, len(tokens), self.rows_at_once):
            self.passes(tokens, start, self.model, train=True)
        marks.append(time.perf_counter())
        self.optimizer.step()
        marks.append(time.perf_counter())
        names = ("rollout", "reference", "update", "step")
        return {name: b - a for name, a, b in zip(names, marks, marks[1:], strict=False)}

    @torch.no_grad()
    def decode(self) -> Tensor:
        """`[N, P + T]`; rows leave at their last token."""
        width = self.prompts.shape[1]
        tokens = torch.zeros(len(self.prompts), width + self.lengths[0], dtype=torch.long)
        tokens[:, :width] = read = self.prompts
        cache = DynamicCache(config=self.model.config)
        running = len(tokens)
        for step in range(self.lengths[0]):
            logits = self.model(input_ids=read, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[:, -1]
            read = torch.multinomial(logits.softmax(-1), 1)
            tokens[:running, width + step] = read[:, 0]
            left = sum(length > step + 1 for length in self.lengths)
            if 0 < left < running:
                running, read = left, read[:left]
                cache.batch_select_indices(torch.arange(left))
        return tokens

    def passes(self, tokens: Tensor, start: int, model: Any, train: bool) -> None:
        """Log-probabilities of some rows' responses, and their gradient."""
        width, longest = self.prompts.shape[1], self.lengths[start]
        part = tokens[start : start + self.rows_at_once, : width + longest]
        with torch.set_grad_enabled(train):
            logits = model(input_ids=part[:, :-1], use_cache=False, logits_to_keep=longest).logits
            logprobs = logits.log_softmax(-1).gather(-1, part[:, width:, None])
            if train:
                logprobs.mean().backward()
