"""Training of Bradley–Terry reward models on preference pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerBase

from cgpo.bounds import ModelPath
from cgpo.models.chat import encode_sample
from cgpo.models.pretrained import load_pretrained, load_tokenizer, without_dropout
from cgpo.stages.fitting import FitSettings, fit
from cgpo.stages.preferences import read_pairs
from cgpo.tensors import pad_rows
from cgpo.types import Prompt, Sample

RankedRows = tuple[Sequence[int], Sequence[int]]
"""The tokens of a prompt with its chosen response, and with its rejected one."""


@dataclass(frozen=True)
class RewardModelTraining:
    """A scalar head on a policy, trained by `−log σ(r(chosen) − r(rejected))` (eq. 2).

    Attributes:
        policy: folder or hub id of the policy whose transformer is used.
        pairs: folders of preference pairs.
        fit: how the model is fitted.
    """

    policy: ModelPath
    pairs: Sequence[str]
    fit: FitSettings

    def build(self, folder: Path) -> None:
        """Writes an `AutoModelForSequenceClassification` folder."""
        tokenizer = load_tokenizer(self.policy)
        model: Any = load_pretrained(AutoModelForSequenceClassification, self.policy, num_labels=1)
        without_dropout(model)
        # The new head starts at 0, so that the result does not depend on the state of the random numbers.
        torch.nn.init.zeros_(model.score.weight)
        pad = tokenizer.pad_token_id if isinstance(tokenizer.pad_token_id, int) else tokenizer.eos_token_id
        model.config.pad_token_id = pad
        examples = [
            (_encode(tokenizer, p.prompt, p.chosen), _encode(tokenizer, p.prompt, p.rejected))
            for p in read_pairs(self.pairs)
        ]
        title = f"reward model on {len(examples)} pairs"
        fit(model, examples, partial(bradley_terry_loss, pad_id=int(pad)), self.fit, title)  # pyright: ignore[reportArgumentType]
        model.save_pretrained(folder)
        saved_tokenizer: Any = tokenizer
        saved_tokenizer.save_pretrained(folder)


def _encode(tokenizer: PreTrainedTokenizerBase, prompt: Prompt, response: str) -> list[int]:
    return encode_sample(tokenizer, Sample(prompt, response))


def bradley_terry_loss(model: nn.Module, batch: Sequence[RankedRows], pad_id: int) -> Tensor:
    """Computes the mean of `−log σ(r(chosen) − r(rejected))` (eq. 2)."""
    rows = [chosen for chosen, _ in batch] + [rejected for _, rejected in batch]
    device = next(model.parameters()).device
    tokens, mask = pad_rows(rows, pad_id, device)
    output: Any = model(input_ids=tokens, attention_mask=mask.long())
    chosen, rejected = output.logits[:, 0].chunk(2)
    return -logsigmoid(chosen - rejected).mean()
