"""Asks a judge's model in this process: one forward pass per batch, with the last logits only."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from cgpo.errors import UserError
from cgpo.judges.language_model.question import Answer, Question, Unanswered, Weighed
from cgpo.judges.language_model.rendering import answer_token, render
from cgpo.models.pretrained import load_complete, load_tokenizer
from cgpo.models.quantization import quantize
from cgpo.tensors import float_list
from cgpo.types import Sample


@dataclass(frozen=True)
class _Loaded:
    """A judge model in memory, with a lock for its tokenizer, whose settings change while it encodes."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    lock: threading.Lock = field(default_factory=threading.Lock)


_loaded: dict[tuple[str, str, str | None], _Loaded] = {}
_loading = threading.Lock()


class InProcess:
    """Asks a `transformers` model. Backends of the same model on the same device share it in memory.

    Args:
        model: the folder or hub name of a causal language model.
        question: what is asked; its answers are one token each.
        device: the device that the model runs on.
        batch_size: the most responses in a forward pass.
        max_length: the most tokens of a rendering; by default what the model can read.
        dtype: the precision of the weights: `auto` as stored, or `float32`, `bfloat16`, `float16`.
        quantization: how the weights are quantized: `None`, `int8` or `int4`.

    Raises:
        UserError: the model cannot be loaded, or an answer is not one token.
    """

    def __init__(
        self,
        model: str,
        question: Question,
        device: str,
        batch_size: int,
        max_length: int | None,
        dtype: str,
        quantization: str | None = None,
    ) -> None:
        if batch_size < 1:
            raise UserError(f"judge {question.title}: batch_size {batch_size} is less than 1")
        self._question = question
        self._loaded = _load(model, device, dtype, quantization)
        words = (question.positive, question.negative)
        self._answers = [answer_token(word, question.template, self._loaded.tokenizer) for word in words]
        if self._answers[0] == self._answers[1]:
            raise UserError(f"judge {question.title}: the answers {words[0]!r} and {words[1]!r} are the same token")
        self._batch_size = batch_size
        self._max_length = _shortest(max_length, getattr(self._loaded.model.config, "max_position_embeddings", None))
        self._usage = {"calls": 0, "tokens": 0}
        self._interrupted: str | None = None
        self.asking: Sequence[Sample] = ()

    @property
    def usage(self) -> Mapping[str, int]:
        """The responses judged so far, and the tokens that the model read for them."""
        return dict(self._usage)

    @property
    def version(self) -> str:
        """The commit of a model from the hub; empty for a folder."""
        return str(getattr(self._loaded.model.config, "_commit_hash", None) or "")

    @property
    def models(self) -> list[nn.Module]:
        """The model, which other judges may share."""
        return [self._loaded.model]

    def prepare(self) -> None:
        """Does nothing: the model was loaded when this object was made."""

    def close(self) -> None:
        """Does nothing: other judges may share the model."""

    def ask(self, samples: Sequence[Sample]) -> list[Answer]:
        """Returns one answer per sample, found in batches of similar length."""
        self._interrupted = None
        template, tokenizer = self._question.template, self._loaded.tokenizer
        with self._loaded.lock:
            rendered = [render(template, sample, tokenizer, self._max_length) for sample in samples]
        self._usage["calls"] += len(rendered)
        self._usage["tokens"] += sum(map(len, rendered))
        order = sorted(range(len(rendered)), key=lambda i: len(rendered[i]))
        answers: dict[int, Answer] = {}
        for start in range(0, len(order), self._batch_size):
            if self._interrupted is not None:
                return [answers.get(i, Unanswered(self._interrupted)) for i in range(len(rendered))]
            batch = order[start : start + self._batch_size]
            self.asking = [samples[i] for i in batch]
            positive, negative = map(float_list, self._answer_logits([rendered[i] for i in batch]).unbind(-1))
            weighed = map(Weighed, positive, negative)
            answers |= dict(zip(batch, weighed, strict=True))
        return [answers[i] for i in range(len(rendered))]

    def interrupt(self, reason: str) -> None:
        """Asks no further batch; the one that the model is reading is finished."""
        self._interrupted = reason

    def _answer_logits(self, rendered: list[list[int]]) -> Tensor:
        """Computes the logits `[n, 2]` of the positive and the negative answer, float32, on the CPU.

        Padding is on the right, where a causal model cannot see it; the model's head runs on last positions only.
        """
        model = self._loaded.model
        lengths = torch.tensor([len(ids) for ids in rendered])
        width = int(lengths.max())
        input_ids = torch.tensor([[*ids, *[0] * (width - len(ids))] for ids in rendered], device=model.device)
        mask = (torch.arange(width) < lengths[:, None]).to(model.device, torch.long)
        unique = cast("Callable[..., tuple[Tensor, Tensor]]", torch.unique)  # pyright: ignore[reportUnknownMemberType]
        last, which = unique(lengths - 1, return_inverse=True)
        keep: dict[str, Any] = {"logits_to_keep": last.to(model.device)} if _keeps_logits(model) else {}
        with torch.inference_mode():
            logits = model(input_ids=input_ids, attention_mask=mask, use_cache=False, **keep).logits[..., self._answers]
        position = which if keep else lengths - 1
        return logits[torch.arange(len(rendered)), position.to(logits.device)].float().cpu()


def _keeps_logits(model: PreTrainedModel) -> bool:
    return "logits_to_keep" in inspect.signature(model.forward).parameters


def _shortest(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)


def _load(path: str, device: str, dtype: str, quantization: str | None) -> _Loaded:
    """Returns the model of a path, loaded once for each device and quantization."""
    with _loading:
        key = (path, device, quantization)
        if key not in _loaded:
            tokenizer = load_tokenizer(path)
            model: PreTrainedModel = load_complete(AutoModelForCausalLM, path, dtype=dtype)
            quantize(model, quantization)
            try:
                torch.nn.Module.to(model, device)
            except RuntimeError as error:
                first_line = str(error).strip().splitlines()[0]
                raise UserError(f"judge model {path}: cannot be put on {device}: {first_line}") from error
            _loaded[key] = _Loaded(model.eval().requires_grad_(False), tokenizer)
        return _loaded[key]
