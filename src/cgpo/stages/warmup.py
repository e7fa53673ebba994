"""The warm-up: a few steps of offline DPO on all preference data, whose result is `π_ref` of RL (section 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Annotated

import torch
from annotated_types import Gt
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from cgpo.bounds import ModelPath, check_fields
from cgpo.data.pairs import Pair
from cgpo.policy.causal import CausalPolicy, load_policy
from cgpo.stages.fitting import FitSettings, fit
from cgpo.stages.preferences import read_pairs
from cgpo.stages.sft import TokenizedExample, encode_example, token_logprobs
from cgpo.tensors import float_list


@dataclass(frozen=True)
class TokenizedPreference:
    """A tokenized preference pair.

    Attributes:
        chosen: the preferred response with its prompt.
        rejected: the other response with its prompt.
        reference_margin: `log π_ref(chosen) − log π_ref(rejected)`.
    """

    chosen: TokenizedExample
    rejected: TokenizedExample
    reference_margin: float


@dataclass(frozen=True)
class DPOWarmup:
    """Direct preference optimization: `−log σ(β·[ρ(chosen) − ρ(rejected)])` with `ρ = log π_w − log π_ref`.

    Attributes:
        policy: folder or hub id of the SFT policy, which is also the reference.
        pairs: folders of preference pairs.
        fit: how the model is fitted.
        beta: β, the strength of the pull towards the reference.
    """

    policy: ModelPath
    pairs: Sequence[str]
    fit: FitSettings
    beta: Annotated[float, Gt(0)] = 0.1

    def __post_init__(self) -> None:
        check_fields(self)

    def build(self, folder: Path) -> None:
        """Writes the policy as a `transformers` folder."""
        policy = load_policy(self.policy)
        given = read_pairs(self.pairs)
        used = min(len(given), self.fit.steps * self.fit.batch_size)
        pairs = Random(f"warmup/{self.fit.seed}").sample(given, used)
        examples = tokenize_pairs(policy, pairs)
        fit(policy.model, examples, partial(dpo_loss, beta=self.beta, pad_id=policy.pad_id), self.fit, "DPO warm-up")
        policy.save(folder)


def tokenize_pairs(policy: CausalPolicy, pairs: Sequence[Pair], batch_size: int = 64) -> list[TokenizedPreference]:
    """Tokenizes pairs, with the margins of the policy as it is now as those of the reference."""
    rows = [(encode_example(policy, p.prompt, p.chosen), encode_example(policy, p.prompt, p.rejected)) for p in pairs]
    result: list[TokenizedPreference] = []
    with torch.no_grad():
        for start in range(0, len(rows), batch_size):
            part = rows[start : start + batch_size]
            margins = float_list(_margins(policy.model, part, policy.pad_id))
            result += [TokenizedPreference(*pair, margin) for pair, margin in zip(part, margins, strict=True)]
    return result


def dpo_loss(model: nn.Module, batch: Sequence[TokenizedPreference], beta: float, pad_id: int) -> Tensor:
    """Computes the mean DPO loss of the pairs."""
    margins = _margins(model, [(row.chosen, row.rejected) for row in batch], pad_id)
    reference = margins.new_tensor([row.reference_margin for row in batch])
    return -logsigmoid(beta * (margins - reference)).mean()


def _margins(model: nn.Module, pairs: Sequence[tuple[TokenizedExample, TokenizedExample]], pad_id: int) -> Tensor:
    """Computes `log π(chosen) − log π(rejected)` of each pair, `[N]`."""
    logprobs, _ = token_logprobs(model, [chosen for chosen, _ in pairs] + [rejected for _, rejected in pairs], pad_id)
    chosen, rejected = logprobs.sum(-1).chunk(2)
    return chosen - rejected
