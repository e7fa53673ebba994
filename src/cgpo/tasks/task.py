"""A task as a person writes it down in Python: prompts, a reward, judges, an optimizer."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, cast

from annotated_types import Ge, Gt

from cgpo.bounds import check_arguments
from cgpo.data.source import fits_context
from cgpo.errors import UserError
from cgpo.judges.base import Judge, check_judge
from cgpo.judges.panel.cache import VerdictCache
from cgpo.judges.panel.panel import Panel
from cgpo.models.chat import PromptEncoder
from cgpo.optimizer.base import ConstrainedOptimizer, check_optimizer
from cgpo.optimizer.crpg import CRPG
from cgpo.progress import say
from cgpo.protocols import RewardModel, Sampler
from cgpo.rewards.function import FunctionReward
from cgpo.rollout.decoding import DecodingSampler
from cgpo.tasks.expert import Expert
from cgpo.tasks.splitting import split_prompts
from cgpo.types import Prompt, Sample

NAME = re.compile(r"[\w.-]+")
CRPG_16 = CRPG(kl_max=16.0)
"""The optimizer of a task that names none."""
CACHED_VERDICTS = 100_000
"""Verdicts that a panel keeps, as `panel.cache.size` has it."""

Judges = Judge | Sequence[Judge] | Mapping[str, Judge]
"""A judge, some judges, or judges by name."""
Scoring = RewardModel | Callable[[Sample], float]
"""A reward model, or a function from a sample to a number."""
Bind = Callable[[Mapping[str, Judge]], Panel]


class Task:
    """A task: prompts, what makes a response to them good, and how the policy learns from it.

    Example:
        ```python
        import cgpo

        task = cgpo.Task(
            "sums",
            prompts=[cgpo.Prompt(f"{n}", f"What is {n} + {n}?", metadata={"answer": str(2 * n)}) for n in range(60)],
            reward=lambda sample: -len(sample.response),  # short answers, and
            judges=[cgpo.MathJudge()],  # right ones
            optimizer=cgpo.CRPG(kl_max=16),
        )
        assert len(task.prompts) == 54
        assert len(task.held_out) == 6
        ```

    Args:
        name: a word; metrics and files call the task by it.
        prompts: what `cgpo.read_prompts` read, prompts of your own, or plain texts.
        reward: scores responses: a `cgpo.RewardModel`, any object with its method `score`, or a function from a
            `cgpo.Sample` to a number.
        judges: the task's constraints: a response counts only if all of them are satisfied. A list, or a mapping from
            names; in a list a judge is named after its class (`MathJudge` is `math`).
        optimizer: the task's objective; by default `CRPG(kl_max=16)`.
        batch_size: prompts an update.
        responses_per_prompt: responses to each of them.
        held_out: what the task is evaluated on: a share of `prompts` (below 1), a number of them, 0 for none, or other
            prompts. A share is exact and at least one prompt, and depends on nothing but what the prompts say.
        gold: a judge of success on held-out prompts, which training never sees. With `None` nobody can say whether the
            policy got better or only the reward higher.
        weight: the weight of the task's gradient among those of all tasks.
        sampler: draws responses; by default `cgpo.rollout.DecodingSampler(max_new_tokens, temperature)`.
        max_new_tokens: the most tokens of a response.
        temperature: what logits are divided by before a token is drawn.

    Attributes:
        prompts: what the task is trained on.
        held_out: what it is evaluated on.
        judges: by name.

    Raises:
        UserError: an argument is not what it should be, or a judge cannot read a prompt's metadata; the message names
            the argument, or the row.
    """

    def __init__(
        self,
        name: str,
        prompts: Iterable[Prompt | str],
        reward: Scoring,
        judges: Judges = (),
        *,
        optimizer: ConstrainedOptimizer = CRPG_16,
        batch_size: Annotated[int, Ge(1)] = 8,
        responses_per_prompt: Annotated[int, Ge(1)] = 4,
        held_out: float | Iterable[Prompt | str] = 0.1,
        gold: Judge | None = None,
        weight: Annotated[float, Gt(0)] = 1.0,
        sampler: Sampler | None = None,
        max_new_tokens: Annotated[int, Ge(1)] = 256,
        temperature: Annotated[float, Gt(0)] = 1.0,
    ) -> None:
        numbers = {"batch_size": batch_size, "responses_per_prompt": responses_per_prompt, "weight": weight}
        check_arguments(Task, {**numbers, "max_new_tokens": max_new_tokens, "temperature": temperature})
        if not NAME.fullmatch(name):
            raise UserError(f"Task.name is {name!r}: it must be a word of letters, digits and _ . -")
        self.name = name
        self.reward = as_reward("Task.reward", reward)
        self.judges = named_judges("Task.judges", judges)
        self.optimizer = _optimizer(optimizer, responses_per_prompt)
        self.batch_size = batch_size
        self.responses_per_prompt = responses_per_prompt
        self.gold = None if gold is None else check_judge("Task.gold", gold)
        self.weight = weight
        self.sampler = DecodingSampler(max_new_tokens, temperature) if sampler is None else _sampler(sampler)
        self.prompts, self.held_out = split_prompts(name, prompts, held_out)
        for judge in self.judges.values():
            for prompt in (*self.prompts, *self.held_out):
                judge.check_prompt(prompt)

    def __repr__(self) -> str:
        """What a person would ask for first."""
        judges = ", ".join(self.judges) or "none"
        counts = f"{len(self.prompts)} prompts, {len(self.held_out)} held out"
        return f"Task({self.name!r}: {counts}; judges: {judges}; {type(self.optimizer).__name__})"


def named_judges(argument: str, judges: Judges) -> dict[str, Judge]:
    """Judges by name; in a list they are named after their classes: `MathJudge` is `math`.

    Args:
        argument: what they were given as, for messages.
        judges: one, some, or a mapping from names.

    Raises:
        UserError: one is no judge, or two of a list have one name.
    """
    if isinstance(judges, Mapping):
        return {str(name): check_judge(f"{argument}[{name!r}]", judge) for name, judge in judges.items()}
    given: Any = judges
    several = list(cast(Iterable[Any], given)) if isinstance(given, Iterable) else [given]
    listed = [check_judge(f"{argument}[{place}]", judge) for place, judge in enumerate(several)]
    names = [_name(judge) for judge in listed]
    for name, count in Counter(names).items():
        if count > 1:
            raise UserError(f"{argument}: {count} judges would be called {name!r}; give them names, {{{name!r}: …}}")
    return dict(zip(names, listed, strict=True))


def _name(judge: Judge) -> str:
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+|[A-Z]", type(judge).__name__.removesuffix("Judge") or "Judge")
    return "_".join(words).lower()


def bind_tasks(tasks: Sequence[Task | Expert], reader: PromptEncoder, panel: Bind | None = None) -> list[Expert]:
    """Tasks as experts: their judges bound in one panel, their prompts no longer than the policy can read.

    Args:
        tasks: in a fixed order; experts stay as they are.
        reader: the policy, which says how long a prompt is.
        panel: makes a panel of judges; by default a `Panel` that keeps verdicts in memory.

    Raises:
        UserError: there is no task, two have one name, or one has no prompt that the policy can read.
    """
    if not tasks:
        raise UserError("tasks: give at least one task")
    anything: Sequence[Any] = tasks
    for task in anything:
        if not isinstance(task, Task | Expert):
            raise UserError(f"tasks: {task!r} is no cgpo.Task")
    for name, count in Counter(task.name for task in tasks).items():
        if count > 1:
            raise UserError(f"tasks: {count} tasks are called {name!r}; each needs a name of its own")
    own = [task for task in tasks if isinstance(task, Task)]
    keys = _keys(own)
    judges = {keys[id(judge)]: judge for task in own for judge in task.judges.values()}
    whole = (panel or _panel)(judges)
    return [task if isinstance(task, Expert) else _bound(task, reader, whole, keys) for task in tasks]


def _panel(judges: Mapping[str, Judge]) -> Panel:
    return Panel(judges, cache=VerdictCache(CACHED_VERDICTS))


def _keys(tasks: Sequence[Task]) -> dict[int, str]:
    """A name for each judge that no other has: tasks may share a judge, and may call different ones the same."""
    keys: dict[int, str] = {}
    for task in tasks:
        for name, judge in task.judges.items():
            if id(judge) not in keys:
                keys[id(judge)] = name if name not in keys.values() else f"{name} of {task.name}"
    return keys


def _bound(task: Task, reader: PromptEncoder, panel: Panel, keys: Mapping[int, str]) -> Expert:
    limit = reader.context_length - task.sampler.max_new_tokens
    return Expert(
        name=task.name,
        prompts=_fitting(task, task.prompts, reader, limit),
        held_out=_fitting(task, task.held_out, reader, limit),
        reward=task.reward,
        panel=panel.of({name: keys[id(judge)] for name, judge in task.judges.items()}),
        optimizer=task.optimizer,
        sampler=task.sampler,
        batch_size=task.batch_size,
        responses_per_prompt=task.responses_per_prompt,
        weight=task.weight,
        gold=task.gold,
    )


def _fitting(task: Task, prompts: tuple[Prompt, ...], reader: PromptEncoder, limit: int) -> tuple[Prompt, ...]:
    if limit < 1:
        raise UserError(
            f"Task.max_new_tokens of {task.name} is {task.sampler.max_new_tokens}: the policy's context of "
            f"{reader.context_length} tokens would have no room for a prompt"
        )
    kept, left_out = fits_context(prompts, reader.encode_prompt, limit)
    if left_out:
        room = f"longer than the {limit} tokens the context has room for"
        say(f"{task.name}: {left_out} of {len(prompts)} prompts left out: {room}", important=True)
    if prompts and not kept:
        raise UserError(f"Task.prompts of {task.name}: all are longer than {limit} tokens; lower max_new_tokens")
    return kept


def as_reward(argument: str, reward: Scoring) -> RewardModel:
    """A reward model of what a person may give for one.

    Args:
        argument: what it was given as, for messages.
        reward: a reward model, or a function.

    Raises:
        UserError: it is neither.
    """
    if isinstance(reward, type):
        raise UserError(f"{argument} is the class {reward.__name__}: give an object of it, {reward.__name__}(…)")
    if isinstance(reward, RewardModel):
        return reward
    if callable(reward):
        return FunctionReward(reward)
    raise UserError(f"{argument} is {reward!r}: it must be a cgpo.RewardModel, or a function from a sample to a number")


def _sampler(sampler: object) -> Sampler:
    if not isinstance(sampler, Sampler):
        needs = "a method sample and max_new_tokens, as DecodingSampler has"
        raise UserError(f"Task.sampler is {sampler!r}: it must have {needs}")
    return sampler


def _optimizer(optimizer: ConstrainedOptimizer, responses: int) -> ConstrainedOptimizer:
    least = check_optimizer("Task.optimizer", optimizer).min_responses
    if responses < least:
        name = type(optimizer).__name__
        raise UserError(f"Task.responses_per_prompt is {responses}: {name} needs at least {least}")
    return optimizer
