"""A larger language model as referee: how likely it finds the responses of a smaller one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, Literal

import torch
from annotated_types import Ge
from torch import Tensor

from cgpo.bounds import ModelPath, Unit, check_arguments
from cgpo.config.references import require_model_path
from cgpo.errors import UserError
from cgpo.policy.causal import CausalPolicy, load_policy
from cgpo.policy.logprobs import batched_logprobs
from cgpo.tensors import float_list, pad_rows
from cgpo.types import Sample


class RefereeLoss:
    """The mean negative log-likelihood of a response's tokens, given its prompt, in nats: lower is more fluent.

    It measures held-out responses. Whether a response ended by itself does not matter, for the token that ends it is
    left out. An empty response has the loss of ending at once, by any token that ends a response.

    Args:
        path: folder or hub id of the referee, a causal language model.
        dtype: the dtype of its weights.
        max_tokens: the budget of one forward pass in tokens.

    Raises:
        UserError: the folder is missing.
    """

    def __init__(
        self,
        path: ModelPath,
        dtype: Literal["float32", "bfloat16", "float16"] = "float32",
        max_tokens: Annotated[int, Ge(1), Unit("tokens")] = 8192,
    ) -> None:
        check_arguments(RefereeLoss, locals())
        require_model_path(path)
        self._path, self._dtype, self._max_tokens = path, dtype, max_tokens

    def score(self, samples: Sequence[Sample]) -> Tensor:
        """Computes the loss of each sample, `[N]` float32."""
        if not samples:
            return torch.zeros(0)
        referee = self._referee
        rows = [
            (index, prompt, ids)
            for index, sample in enumerate(samples)
            for prompt in (referee.encode_prompt(sample.prompt),)
            for ids in _responses(referee, sample.response, len(prompt))
        ]
        means = self._mean_logprobs([prompt for _, prompt, _ in rows], [ids for _, _, ids in rows])
        total = torch.full((len(samples),), -torch.inf)
        for (index, _, _), mean in zip(rows, means, strict=True):
            total[index] = torch.logaddexp(total[index], mean)
        return -total

    def _mean_logprobs(self, prompts: Sequence[Sequence[int]], rows: Sequence[Sequence[int]]) -> Tensor:
        """Computes the mean log-probability of each row's tokens, `[N]` float32."""
        referee = self._referee
        ids, mask = pad_rows(rows, referee.pad_id)
        logprobs = batched_logprobs(referee.model, prompts, ids, mask, 1.0, referee.pad_id, self._max_tokens)
        return (logprobs.sum(-1) / mask.sum(-1)).float()

    @cached_property
    def _referee(self) -> CausalPolicy:
        policy = load_policy(self._path, self._dtype)
        policy.model.eval().requires_grad_(False)
        return policy


class RefereeAnnotator:
    """Ranks responses by the referee's mean token log-likelihood; an annotator of `SampledPreferences`.

    Args:
        path: folder or hub id of the referee.
        dtype: the dtype of its weights.

    Raises:
        UserError: the folder is missing.
    """

    def __init__(self, path: ModelPath, dtype: Literal["float32", "bfloat16", "float16"] = "float32") -> None:
        self._loss = RefereeLoss(path, dtype)

    def score(self, samples: Sequence[Sample], seed: int) -> list[float]:
        """Computes mean token log-likelihoods; the referee has no noise, so the seed changes nothing."""
        return float_list(-self._loss.score(samples))


def _responses(referee: CausalPolicy, text: str, prompt_length: int) -> list[list[int]]:
    """Returns the response's tokens that fit the context; for an empty response each token that could end it."""
    room = referee.context_length - prompt_length
    if room < 1:
        raise UserError(
            f"referee: a prompt of {prompt_length} tokens leaves no room in its context of {referee.context_length}"
        )
    *tokens, _ = referee.encode_response(text)
    return [tokens[:room]] if tokens else [[end] for end in sorted(referee.eos_ids)]
