"""Baseline responses (eq. 5), which are sampled, scored and judged once for each prompt, and kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import torch

from cgpo.distributed.sharding import gathered_weights, models_of
from cgpo.protocols import Policy
from cgpo.seeds import derived_seed
from cgpo.tasks.expert import Expert
from cgpo.tensors import float_list
from cgpo.types import Prompt, Sample, Verdicts


@dataclass(frozen=True)
class BaselineResponse:
    """A prompt's baseline response.

    Attributes:
        text: `ā`, the row's golden response or one sample of the reference policy.
        reward: `r(s, ā)`.
        satisfied: whether it passes every applicable judge; an undecided one does not pass.
    """

    text: str
    reward: float
    satisfied: bool


@dataclass(frozen=True)
class _Pending:
    """A baseline response whose judges may still be working: it is number `index` of what they were sent."""

    text: str
    reward: float
    verdicts: Future[Verdicts]
    index: int

    def judged(self) -> BaselineResponse:
        return BaselineResponse(self.text, self.reward, bool(self.verdicts.result().satisfied[self.index]))


class BaselineCache:
    """The baseline responses of one task.

    Those of new prompts are sampled, scored and sent to the judges together, by whichever method comes first.

    Args:
        expert: the task, whose reward model, judges and sampler are used.
        reference: the policy that a baseline is sampled from if the row has no golden response (option 2).
        seed: the seed of those samples; a prompt's sample depends only on the seed and the prompt's key.
        option: `golden` takes the row's response where it has one; `sampled` always draws.
    """

    def __init__(self, expert: Expert, reference: Policy, seed: int, option: str = "golden") -> None:
        self._expert = expert
        self._reference = reference
        self._seed = seed
        self._option = option
        self._known: dict[str, BaselineResponse | _Pending] = {}

    def lacks(self, prompts: Sequence[Prompt]) -> bool:
        """Returns whether one of some prompts is new."""
        return any(prompt.key not in self._known for prompt in prompts)

    def texts(self, prompts: Sequence[Prompt]) -> list[str]:
        """Returns the baseline responses of some prompts, without waiting for their judges."""
        if self.lacks(prompts):
            self.make(prompts)
        return [self._known[p.key].text for p in prompts]

    def make(self, prompts: Sequence[Prompt]) -> None:
        """Samples and scores new baseline responses, and sends them to the judges.

        If models are sharded, all processes call this together, including those without new prompts.
        """
        missing = list({p.key: p for p in prompts if p.key not in self._known}.values())
        with gathered_weights(self._reference.model):
            samples = [Sample(p, text) for p, text in zip(missing, self._responses(missing), strict=True)]
        verdicts = self._expert.panel.submit(samples)
        with gathered_weights(*models_of(self._expert.reward)):
            rewards = float_list(self._expert.reward.score(samples))
        for index, (sample, reward) in enumerate(zip(samples, rewards, strict=True)):
            self._known[sample.prompt.key] = _Pending(sample.response, reward, verdicts, index)

    def lookup(self, prompts: Sequence[Prompt]) -> list[BaselineResponse]:
        """Returns the baseline responses of some prompts, judged."""
        self.texts(prompts)
        return [self._judged(prompt.key) for prompt in prompts]

    def state_dict(self) -> dict[str, Any]:
        """Returns all baseline responses, judged: `keys`, `texts`, `rewards` and `satisfied`, as many each."""
        known = {key: self._judged(key) for key in self._known}
        return {
            "keys": list(known),
            "texts": [baseline.text for baseline in known.values()],
            "rewards": [baseline.reward for baseline in known.values()],
            "satisfied": [baseline.satisfied for baseline in known.values()],
        }

    def load_state_dict(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Takes over the baseline responses of one process, or of several."""
        for state in states:
            columns = (state[name] for name in ("keys", "texts", "rewards", "satisfied"))
            for key, text, reward, satisfied in zip(*columns, strict=True):
                self._known.setdefault(key, BaselineResponse(text, reward, satisfied))

    def _judged(self, key: str) -> BaselineResponse:
        found = self._known[key]
        if isinstance(found, _Pending):
            found = self._known[key] = found.judged()
        return found

    def _responses(self, prompts: Sequence[Prompt]) -> list[str]:
        """Takes golden responses if there are some, and samples the others together, each with its own seed."""
        golden = {p.key: p.response for p in prompts if p.response is not None and self._option == "golden"}
        asked = [p for p in prompts if p.key not in golden]
        if asked:
            seeds = [derived_seed(self._seed, "baseline", p.key) for p in asked]
            drawn = self._expert.sampler.sample(self._reference, asked, 1, seeds).responses
            golden.update(zip((p.key for p in asked), drawn, strict=True))
        return [golden[p.key] for p in prompts]


def rewards_of(baselines: Sequence[BaselineResponse]) -> torch.Tensor:
    """Returns the rewards of baseline responses; `[B]` float32."""
    return torch.tensor([b.reward for b in baselines], dtype=torch.float32)


def satisfied_of(baselines: Sequence[BaselineResponse]) -> torch.Tensor:
    """Returns which baseline responses are satisfied; `[B]` bool."""
    return torch.tensor([b.satisfied for b in baselines], dtype=torch.bool)
