"""A Bradley–Terry reward model: a sequence classifier with one output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, PreTrainedTokenizerBase

from cgpo.errors import UserError
from cgpo.models.pretrained import load_tokenizer, load_whole, torch_dtype
from cgpo.models.quantization import quantize
from cgpo.types import Sample


class BradleyTerryReward:
    """Scores responses with an `AutoModelForSequenceClassification` folder (eq. 2); implements `protocols.RewardModel`.

    Args:
        path: folder or hub id of a classifier with one label.
        dtype: of its weights.
        device: where it lies.
        batch_size: responses in one forward pass; they are sorted by length first.
        quantization: of its weights: `None`, `int8` or `int4` (see `cgpo.models.quantization`).

    Raises:
        UserError: the folder is missing, or its head has more than one output.
    """

    def __init__(
        self,
        path: str,
        dtype: str = "float32",
        device: str = "cpu",
        batch_size: int = 64,
        quantization: str | None = None,
    ) -> None:
        self.tokenizer = load_tokenizer(path)
        model: Any = load_whole(AutoModelForSequenceClassification, path, dtype=torch_dtype(dtype))
        if model.config.num_labels != 1:
            raise UserError(f"{path}: a reward model has one output, this one has {model.config.num_labels}")
        if model.config.pad_token_id is None:
            model.config.pad_token_id = self.tokenizer.pad_token_id
        self.model = quantize(model, quantization).to(device).eval().requires_grad_(False)
        # Without a padding token transformers cannot tell where each response of a batch ends.
        self.batch_size = batch_size if model.config.pad_token_id is not None else 1

    @property
    def models(self) -> list[nn.Module]:
        """What several processes may share in pieces."""
        return [self.model]

    @torch.no_grad()
    def score(self, samples: Sequence[Sample]) -> Tensor:
        """Rewards `[N]`, float32, on the CPU; identical samples are scored once."""
        ids = [tuple(render(self.tokenizer, sample)) for sample in samples]
        unique = sorted(set(ids), key=len)
        scores: dict[tuple[int, ...], float] = {}
        for start in range(0, len(unique), self.batch_size):
            part = unique[start : start + self.batch_size]
            scores.update(zip(part, self._forward(part).tolist(), strict=True))
        return torch.tensor([scores[row] for row in ids], dtype=torch.float32)

    def _forward(self, rows: Sequence[Sequence[int]]) -> Tensor:
        width = min(max(map(len, rows)), self.model.config.max_position_embeddings)
        pad = self.model.config.pad_token_id or 0
        device = self.model.device
        # The response's end is what counts: a row beyond the context loses its beginning.
        tokens = torch.tensor([[*row[-width:], *[pad] * (width - len(row))] for row in rows], device=device)
        lengths = torch.tensor([min(len(row), width) for row in rows], device=device)
        mask = torch.arange(width, device=device) < lengths[:, None]
        return self.model(input_ids=tokens, attention_mask=mask.long()).logits[:, 0].float().cpu()


def render(tokenizer: PreTrainedTokenizerBase, sample: Sample) -> list[int]:
    """The conversation with its response as the reward model reads it: chat template where there is one."""
    prompt = sample.prompt
    if tokenizer.chat_template is None:
        turns = "".join(f"{turn['content']}\n" for turn in prompt.history)
        ids: list[int] = tokenizer(f"{turns}{prompt.text} {sample.response}")["input_ids"]  # pyright: ignore[reportAssignmentType]
        return ids
    messages = [dict(t) for t in prompt.history]
    messages += [{"role": "user", "content": prompt.text}, {"role": "assistant", "content": sample.response}]
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    return tokenizer(text, add_special_tokens=False)["input_ids"]  # pyright: ignore[reportReturnType, reportArgumentType]


class ConstantReward:
    """The same reward for every response: what is left of a task when only its constraints matter.

    Args:
        value: the reward.
    """

    def __init__(self, value: float = 0.0) -> None:
        self.value = value

    def score(self, samples: Sequence[Sample]) -> Tensor:
        """`[N]`, all equal."""
        return torch.full((len(samples),), float(self.value))
