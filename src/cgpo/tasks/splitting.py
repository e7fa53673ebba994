"""The prompts of a task as a person gives them: trained on, or held out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, cast

from cgpo.data.holdout import check_holdout, held_out_flags
from cgpo.errors import UserError
from cgpo.types import Prompt


def split_prompts(
    name: str, prompts: Iterable[Prompt | str], held_out: float | Iterable[Prompt | str]
) -> tuple[tuple[Prompt, ...], tuple[Prompt, ...]]:
    """The prompts that a task is trained on, and those that are held out.

    Args:
        name: of the task.
        prompts: prompts, or their texts.
        held_out: a share or a number of them, or other prompts.

    Raises:
        UserError: something is no prompt, two have one key, or there is nothing left on a side.
    """
    given = _prompts("prompts", name, prompts)
    if not given:
        raise UserError(f"Task.prompts of {name}: there are none")
    if not isinstance(held_out, int | float):
        others = _prompts("held_out", f"{name}/held_out", held_out)
        _check_keys("prompts and Task.held_out", name, (*given, *others))
        return given, others
    _check_keys("prompts", name, given)
    try:
        check_holdout(held_out)
    except UserError as error:
        raise UserError(f"Task.held_out: {str(error).removeprefix('holdout: ')}") from error
    flags = held_out_flags(given, held_out, 0)
    if held_out and sum(flags) in (0, len(flags)):
        raise UserError(
            f"Task.held_out of {name} is {held_out}: {len(given)} prompts that say {len(_texts(given))} different "
            "things cannot be both trained on and held out; give more prompts, or held_out=0"
        )
    train, out = ([p for p, flag in zip(given, flags, strict=True) if flag is wanted] for wanted in (False, True))
    return tuple(train), tuple(out)


def _prompts(argument: str, name: str, given: Any) -> tuple[Prompt, ...]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise UserError(f"Task.{argument} of {name} is {given!r}: it must be prompts; read a file with read_prompts")
    listed = list(cast(Iterable[Any], given))
    found = tuple(Prompt(f"{name}:{n}", p) if isinstance(p, str) else p for n, p in enumerate(listed, start=1))
    for prompt in found:
        if not isinstance(prompt, Prompt):
            raise UserError(f"Task.{argument} of {name}: {prompt!r} is no cgpo.Prompt; read rows with read_prompts")
    return found


def _check_keys(arguments: str, name: str, prompts: Sequence[Prompt]) -> None:
    for key, count in Counter(prompt.key for prompt in prompts).items():
        if count > 1:
            raise UserError(f"Task.{arguments} of {name}: {count} prompts have the key {key!r}; each needs its own")


def _texts(prompts: Sequence[Prompt]) -> set[tuple[object, ...]]:
    return {(prompt.text, *(turn["content"] for turn in prompt.history)) for prompt in prompts}
