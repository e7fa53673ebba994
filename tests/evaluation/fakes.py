"""Responses whose every property is written out."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from cgpo.evaluation.assessment import Assessment
from cgpo.types import Outcome, Prompt, Rollout, Verdict, Verdicts

OUTCOMES = {
    "+": Outcome.SATISFIED,
    "-": Outcome.VIOLATED,
    "/": Outcome.NOT_APPLICABLE,
    "?": Outcome.UNDECIDED,
    "!": Outcome.NOT_ASKED,
}


def verdicts(signs: str) -> tuple[Verdict, ...]:
    """`+` satisfied, `-` violated, `/` not applicable, `?` undecided, `!` not asked."""
    return tuple(Verdict(OUTCOMES[sign], f"because {sign}") for sign in signs)


def rollout(texts: Sequence[str], prompts: int) -> Rollout:
    """A response has as many tokens as words, the last of them its end."""
    lengths = torch.tensor([len(text.split()) for text in texts])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    return Rollout(
        prompts=tuple(Prompt(f"row {i}", f"prompt {i}") for i in range(prompts)),
        prompt_ids=((5,),) * prompts,
        responses=tuple(texts),
        response_ids=torch.full(mask.shape, 7),
        response_mask=mask,
        logprobs=torch.zeros(mask.shape),
        finished=lengths < 3,
        temperature=1.0,
    )


def assessment(
    texts: Sequence[str],
    prompts: int,
    reward: Sequence[float],
    own: Mapping[str, str],
    satisfied: str = "",
    **fields: Any,
) -> Assessment:
    """What is not given is as if every judge were satisfied."""
    conclusion = satisfied or "+" * len(texts)
    return Assessment(
        rollout=rollout(texts, prompts),
        reward=torch.tensor(reward),
        verdicts=Verdicts(
            by_judge={name: verdicts(signs) for name, signs in own.items()},
            satisfied=torch.tensor([sign == "+" for sign in conclusion]),
            decided=torch.tensor([sign != "?" for sign in conclusion]),
            seconds=dict.fromkeys(own, 0.0),
        ),
        **fields,
    )
