"""Responses that several processes assessed, put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import torch
from torch import Tensor
from torch.nn.functional import pad

from cgpo.evaluation.assessment import Assessment
from cgpo.types import Rollout, Verdicts

T = TypeVar("T")


def together(parts: Sequence[Assessment], places: Sequence[Sequence[int]]) -> Assessment:
    """One assessment of several, with one response to each prompt.

    Args:
        parts: of each process.
        places: for each part, the places of its prompts among all.
    """
    flat = [place for part in places for place in part]
    order = sorted(range(len(flat)), key=flat.__getitem__)

    def rows(values: Sequence[Sequence[T]]) -> tuple[T, ...]:
        joined = [value for part in values for value in part]
        return tuple(joined[i] for i in order)

    def tensors(values: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(values))[order]

    rollouts, verdicts = [part.rollout for part in parts], [part.verdicts for part in parts]
    width = max(rollout.response_ids.shape[1] for rollout in rollouts)
    golds = [part.gold for part in parts if part.gold is not None]
    ratios = [part.log_ratio for part in parts if part.log_ratio is not None]
    return Assessment(
        rollout=Rollout(
            prompts=rows([r.prompts for r in rollouts]),
            prompt_ids=rows([r.prompt_ids for r in rollouts]),
            responses=rows([r.responses for r in rollouts]),
            response_ids=tensors([_wide(r.response_ids, width) for r in rollouts]),
            response_mask=tensors([_wide(r.response_mask, width) for r in rollouts]),
            logprobs=tensors([_wide(r.logprobs, width) for r in rollouts]),
            finished=tensors([r.finished for r in rollouts]),
            temperature=rollouts[0].temperature,
        ),
        reward=tensors([part.reward for part in parts]),
        verdicts=Verdicts(
            by_judge={judge: rows([v.by_judge[judge] for v in verdicts]) for judge in verdicts[0].by_judge},
            satisfied=tensors([v.satisfied for v in verdicts]),
            decided=tensors([v.decided for v in verdicts]),
            seconds={judge: max(v.seconds[judge] for v in verdicts) for judge in verdicts[0].seconds},
            cached={judge: sum(v.cached[judge] for v in verdicts) for judge in verdicts[0].cached},
        ),
        also={judge: rows([part.also[judge] for part in parts]) for judge in parts[0].also},
        log_ratio=tensors(ratios) if ratios else None,
        gold=rows(golds) if golds else None,
        measures={name: tensors([part.measures[name] for part in parts]) for name in parts[0].measures},
    )


def _wide(tensor: Tensor, width: int) -> Tensor:
    return pad(tensor, (0, width - tensor.shape[1]))
