"""Fine-tuning a small language model to be a judge: it learns to answer the judge's template with one of two tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from cgpo.errors import UserError
from cgpo.judges.question import Question
from cgpo.judges.rendering import answer_token, load_template, render
from cgpo.policy.causal import load_policy
from cgpo.stages.fitting import FitSettings, fit
from cgpo.types import Sample

Labelled = tuple[Sequence[int], int]


class LabelledSamples(Protocol):
    """Where labelled responses come from."""

    def load(self) -> Sequence[tuple[Sample, bool]]:
        """Samples, each with whether the judge's constraint is satisfied."""
        ...


@dataclass(frozen=True)
class JudgeModelTraining:
    """Trains the answer token only: the two answers' softmax is what the judge reads (section 4.1.4).

    Attributes:
        policy: folder or hub id of the language model to start from.
        template: name or path of the judge's template.
        positive: the answer that means satisfied; one token.
        negative: the answer that means violated; one token.
        samples: the labelled responses.
        fit: how.
    """

    policy: str
    template: str
    positive: str
    negative: str
    samples: LabelledSamples
    fit: FitSettings

    def build(self, folder: Path) -> None:
        """Writes the judge model as a `transformers` folder, with the question that it was trained on beside it."""
        policy = load_policy(self.policy)
        template = load_template(self.template)
        answers = [answer_token(word, template, policy.tokenizer) for word in (self.negative, self.positive)]
        if answers[0] == answers[1]:
            raise UserError(f"judge model: the answers {self.positive!r} and {self.negative!r} are the same token")
        limit = policy.context_length - 1
        examples = [
            (render(template, sample, policy.tokenizer, limit), int(satisfied))
            for sample, satisfied in self.samples.load()
        ]
        loss = partial(answer_loss, answers=answers, pad_id=policy.pad_id)
        fit(policy.model, examples, loss, self.fit, f"judge model for {self.template}")
        policy.save(folder)
        Question(template, self.positive, self.negative, self.template).save(folder)


def answer_loss(model: nn.Module, batch: Sequence[Labelled], answers: Sequence[int], pad_id: int) -> Tensor:
    """Mean cross-entropy of the right one of the two answers, among the two, at the answer position."""
    device = next(model.parameters()).device
    rows = [row for row, _ in batch]
    lengths = torch.tensor([len(row) for row in rows], device=device)
    width = int(lengths.max())
    tokens = torch.tensor([[*row, *[pad_id] * (width - len(row))] for row in rows], device=device)
    output: Any = model(input_ids=tokens, use_cache=False)
    last = output.logits[torch.arange(len(rows), device=device), lengths - 1]
    labels = torch.tensor([label for _, label in batch], device=device)
    return cross_entropy(last[:, list(answers)].float(), labels)
