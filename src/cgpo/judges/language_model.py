"""Judges that ask a language model: the probability of one answer token against another, in one forward pass."""

from __future__ import annotations

import inspect
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from cgpo.errors import UserError
from cgpo.judges.rendering import answer_token, load_template, render
from cgpo.pretrained import load_tokenizer, load_whole
from cgpo.types import Outcome, Sample, Verdict


@dataclass(frozen=True)
class _Loaded:
    """A judge model in memory. The lock guards its tokenizer, whose settings change while it encodes."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    lock: threading.Lock = field(default_factory=threading.Lock)


_loaded: dict[tuple[str, str], _Loaded] = {}
_loading = threading.Lock()


class LanguageModelJudge:
    """Satisfied where the model finds the positive answer at least as probable as `threshold` (spec of section 4.1.4).

    One class for the judges of false refusal, factuality and safety: they differ in the template, in the two answers
    and in the prompts that they apply to. Judges that name the same model on the same device share it in memory.

    A response too long for the model is shortened in its middle: its beginning (where refusals stand) and its end
    (where answers stand) are kept, see `cgpo.judges.rendering.render`.

    Args:
        model: folder or hub name of a `transformers` causal language model.
        template: name of a template of the package (`false_refusal`, `factuality`, `safety`) or path of a `.txt` file.
        positive: the answer that means *satisfied*, as it follows the template (`" yes"`); one token.
        negative: the answer that means *violated*; one token.
        applies_to: a metadata key: without it the judge is not applicable.
        unless: a metadata key: where it is true the judge is not applicable.
        device: where the model runs.
        batch_size: responses a forward pass.
        threshold: least probability of the positive answer among the two.
        max_length: most tokens of a rendering; by default what the model can read.
        dtype: of the weights: `auto` as stored, or `float32`, `bfloat16`, `float16`.

    Raises:
        UserError: the model cannot be loaded, the template is not there, or an answer is not one token.
    """

    def __init__(
        self,
        model: str,
        template: str,
        positive: str,
        negative: str,
        applies_to: str | None = None,
        unless: str | None = None,
        device: str = "cpu",
        batch_size: int = 32,
        threshold: float = 0.5,
        max_length: int | None = None,
        dtype: str = "auto",
    ) -> None:
        if batch_size < 1:
            raise UserError(f"judge {template}: batch_size {batch_size} is less than 1")
        if not 0 < threshold < 1:
            raise UserError(f"judge {template}: threshold {threshold} is not between 0 and 1")
        self._template = load_template(template)
        self._loaded = _load(str(model), device, dtype)
        tokenizer = self._loaded.tokenizer
        self._answers = [answer_token(word, self._template, tokenizer) for word in (positive, negative)]
        if self._answers[0] == self._answers[1]:
            raise UserError(f"judge {template}: the answers {positive!r} and {negative!r} are the same token")
        self._positive = positive
        self._applies_to = applies_to
        self._unless = unless
        self._batch_size = batch_size
        self._threshold = threshold
        self._max_length = _shortest(max_length, getattr(self._loaded.model.config, "max_position_embeddings", None))

    def judge(self, samples: Sequence[Sample]) -> list[Verdict]:
        """One verdict a sample; undecided where the model's probabilities are not finite."""
        verdicts = [self._not_applicable(sample) for sample in samples]
        asked = [i for i, verdict in enumerate(verdicts) if verdict is None]
        with self._loaded.lock:
            tokenizer = self._loaded.tokenizer
            rendered = [render(self._template, samples[i], tokenizer, self._max_length) for i in asked]
        order = sorted(range(len(asked)), key=lambda j: len(rendered[j]))
        for start in range(0, len(order), self._batch_size):
            batch = order[start : start + self._batch_size]
            logits = self._answer_logits([rendered[j] for j in batch])
            for j, (positive, negative) in zip(batch, logits.tolist(), strict=True):
                verdicts[asked[j]] = self._verdict(positive, negative)
        return [verdict for verdict in verdicts if verdict is not None]

    def _not_applicable(self, sample: Sample) -> Verdict | None:
        metadata = sample.prompt.metadata
        if self._applies_to is not None and metadata.get(self._applies_to) is None:
            return Verdict(Outcome.NOT_APPLICABLE, f"the row has no {self._applies_to}")
        if self._unless is not None and metadata.get(self._unless):
            return Verdict(Outcome.NOT_APPLICABLE, f"the row is marked {self._unless}")
        return None

    def _answer_logits(self, rendered: list[list[int]]) -> Tensor:
        """Logits `[n, 2]` of the positive and the negative answer, float32, on the CPU.

        Padding stands on the right, where a causal model cannot see it; the model's head runs on last positions only.
        """
        model = self._loaded.model
        lengths = torch.tensor([len(ids) for ids in rendered])
        width = int(lengths.max())
        input_ids = torch.tensor([[*ids, *[0] * (width - len(ids))] for ids in rendered], device=model.device)
        mask = (torch.arange(width) < lengths[:, None]).to(model.device, torch.long)
        last, which = torch.unique(lengths - 1, return_inverse=True)
        keep = {"logits_to_keep": last.to(model.device)} if _keeps_logits(model) else {}
        with torch.inference_mode():
            logits = model(input_ids=input_ids, attention_mask=mask, use_cache=False, **keep).logits[..., self._answers]
        position = which if keep else lengths - 1
        return logits[torch.arange(len(rendered)), position.to(logits.device)].float().cpu()

    def _verdict(self, positive: float, negative: float) -> Verdict:
        margin = positive - negative
        if not math.isfinite(margin):
            return Verdict(Outcome.UNDECIDED, f"the judge model's answer is not finite (logits {positive}, {negative})")
        probability = 1 / (1 + math.exp(-margin)) if margin > -700 else 0.0
        outcome = Outcome.SATISFIED if probability >= self._threshold else Outcome.VIOLATED
        return Verdict(outcome, f"P({self._positive.strip()}) = {probability:.3f}, margin {margin:+.2f}")


def _keeps_logits(model: PreTrainedModel) -> bool:
    return "logits_to_keep" in inspect.signature(model.forward).parameters


def _shortest(*limits: int | None) -> int | None:
    return min((limit for limit in limits if limit is not None), default=None)


def _load(path: str, device: str, dtype: str) -> _Loaded:
    """The model of a path, loaded once for each device."""
    with _loading:
        if (path, device) not in _loaded:
            tokenizer = load_tokenizer(path)
            model: PreTrainedModel = load_whole(AutoModelForCausalLM, path, dtype=dtype)
            try:
                torch.nn.Module.to(model, device)
            except RuntimeError as error:
                first_line = str(error).strip().splitlines()[0]
                raise UserError(f"judge model {path}: cannot be put on {device}: {first_line}") from error
            _loaded[path, device] = _Loaded(model.eval().requires_grad_(False), tokenizer)
        return _loaded[path, device]
