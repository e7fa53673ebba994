"""A Bradley–Terry reward model: a sequence classifier with one output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification

from cgpo.bounds import ModelPath, Unit, check_arguments
from cgpo.errors import UserError
from cgpo.models.chat import encode_sample
from cgpo.models.pretrained import load_complete, load_tokenizer, torch_dtype
from cgpo.models.quantization import quantize
from cgpo.tensors import float_list, pad_rows
from cgpo.types import Sample


class BradleyTerryReward:
    """Scores responses with an `AutoModelForSequenceClassification` (eq. 2); implements `cgpo.protocols.RewardModel`.

    Args:
        path: folder or hub id of a classifier with one label.
        dtype: the dtype of its weights.
        device: where it lies.
        batch_size: responses in one forward pass; responses are sorted by length first.
        quantization: `None`, `int8` or `int4` (see `cgpo.models.quantization`).

    Raises:
        UserError: the folder is missing, or the head has more than one output.
    """

    def __init__(
        self,
        path: ModelPath,
        dtype: Literal["float32", "bfloat16", "float16"] = "float32",
        device: str = "cpu",
        batch_size: Annotated[int, Ge(1), Unit("responses")] = 64,
        quantization: Literal["int8", "int4"] | None = None,
    ) -> None:
        check_arguments(BradleyTerryReward, locals())
        self.tokenizer = load_tokenizer(path)
        model: Any = load_complete(AutoModelForSequenceClassification, path, dtype=torch_dtype(dtype))
        if model.config.num_labels != 1:
            raise UserError(f"{path}: a reward model has one output, this one has {model.config.num_labels}")
        if model.config.pad_token_id is None:
            model.config.pad_token_id = self.tokenizer.pad_token_id
        self.model: Any = quantize(model, quantization).to(device).eval().requires_grad_(False)
        # Without a padding token transformers cannot tell where each response of a batch ends.
        self.batch_size = batch_size if model.config.pad_token_id is not None else 1

    @property
    def models(self) -> list[nn.Module]:
        """The models that several processes may share in shards."""
        return [self.model]

    @torch.no_grad()
    def score(self, samples: Sequence[Sample]) -> Tensor:
        """Computes `[N]` float32 rewards on the CPU; identical samples are scored once."""
        ids = [tuple(encode_sample(self.tokenizer, sample)) for sample in samples]
        unique = sorted(set(ids), key=len)
        scores: dict[tuple[int, ...], float] = {}
        for start in range(0, len(unique), self.batch_size):
            part = unique[start : start + self.batch_size]
            scores.update(zip(part, float_list(self._forward(part)), strict=True))
        return torch.tensor([scores[row] for row in ids], dtype=torch.float32)

    def _forward(self, rows: Sequence[Sequence[int]]) -> Tensor:
        # A response's end is what counts: a row beyond the context loses its beginning.
        limit = self.model.config.max_position_embeddings
        pad_id = self.model.config.pad_token_id or 0
        tokens, mask = pad_rows([row[-limit:] for row in rows], pad_id, self.model.device)
        return self.model(input_ids=tokens, attention_mask=mask.long()).logits[:, 0].float().cpu()


class ConstantReward:
    """Gives every response the same reward, for a task of which only the constraints matter.

    Args:
        value: the reward.
    """

    def __init__(self, value: float = 0.0) -> None:
        self.value = value

    def score(self, samples: Sequence[Sample]) -> Tensor:
        """Returns `[N]` equal rewards."""
        return torch.full((len(samples),), float(self.value))
