"""Bradley–Terry reward models, trained on preference pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid
from transformers import AutoModelForSequenceClassification

from cgpo.bounds import ModelPath
from cgpo.models.chat import encode_sample
from cgpo.models.pretrained import load_pretrained, load_tokenizer, without_dropout
from cgpo.stages.fitting import FitSettings, fit
from cgpo.stages.preferences import read_pairs
from cgpo.types import Sample

Ranked = tuple[Sequence[int], Sequence[int]]


@dataclass(frozen=True)
class RewardModelTraining:
    """A scalar head on a policy, trained by `−log σ(r(chosen) − r(rejected))` (eq. 2).

    Attributes:
        policy: folder or hub id of the policy whose body is taken.
        pairs: folders of preference pairs.
        fit: how.
    """

    policy: ModelPath
    pairs: Sequence[str]
    fit: FitSettings

    def build(self, folder: Path) -> None:
        """Writes an `AutoModelForSequenceClassification` folder."""
        tokenizer = load_tokenizer(self.policy)
        model: Any = load_pretrained(AutoModelForSequenceClassification, self.policy, num_labels=1)
        without_dropout(model)
        # The head is new: zeros, so that training alone says what it is, whatever the state of the random numbers.
        torch.nn.init.zeros_(model.score.weight)
        pad = tokenizer.pad_token_id if isinstance(tokenizer.pad_token_id, int) else tokenizer.eos_token_id
        model.config.pad_token_id = pad
        examples = [
            tuple(encode_sample(tokenizer, Sample(p.prompt, text)) for text in (p.chosen, p.rejected))
            for p in read_pairs(self.pairs)
        ]
        title = f"reward model on {len(examples)} pairs"
        fit(model, examples, partial(bradley_terry_loss, pad_id=int(pad)), self.fit, title)  # pyright: ignore[reportArgumentType]
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def bradley_terry_loss(model: nn.Module, batch: Sequence[Ranked], pad_id: int) -> Tensor:
    """Mean of `−log σ(r(chosen) − r(rejected))`."""
    rows = [chosen for chosen, _ in batch] + [rejected for _, rejected in batch]
    device = next(model.parameters()).device
    width = max(map(len, rows))
    tokens = torch.tensor([[*row, *[pad_id] * (width - len(row))] for row in rows], device=device)
    lengths = torch.tensor([len(row) for row in rows], device=device)
    mask = (torch.arange(width, device=device) < lengths[:, None]).long()
    output: Any = model(input_ids=tokens, attention_mask=mask)
    chosen, rejected = output.logits[:, 0].chunk(2)
    return -logsigmoid(chosen - rejected).mean()
