"""A task made whole: its own optimizer and sampler, and the judges of those it lists that this run asks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import TypeVar

from cgpo.config.components import Component, Value
from cgpo.config.composing import is_typed, typed_names
from cgpo.config.training import TaskConfig, TrainConfig
from cgpo.errors import UserError, choose

R = TypeVar("R", bound=TrainConfig)
ALIKE = 0.8
"""How alike two judges' names are where one is taken for the other."""


def whole(name: str, task: Value, tree: Mapping[str, Value]) -> Value:
    """A task as it is written, with its whole optimizer and sampler; what is no task stays for the schema to refuse.

    Raises:
        UserError: its optimizer needs a KL limit, and there is none.
    """
    if not isinstance(task, Mapping):
        return task
    where = f"tasks.{name}"
    optimizer = _merged(f"{where}.optimizer", tree.get("optimizer"), task.get("optimizer"))
    if isinstance(optimizer, Component):
        optimizer = _limited(where, optimizer, task.get("kl_max"))
    return {
        **task,
        "optimizer": optimizer,
        "rollout": _merged(f"{where}.rollout", tree.get("rollout"), task.get("rollout")),
    }


def _merged(where: str, shared: Value, own: Value) -> Value:
    """What a task has of its own over what all tasks share."""
    if isinstance(own, Component) or not isinstance(shared, Component):
        return own
    if own is not None and not isinstance(own, Mapping):
        return own
    return Component(
        shared.target, {**shared.arguments, **(own or {})}, where, shared.positional, shared.partial, shared.nested
    )


def _limited(where: str, optimizer: Component, limit: Value) -> Value:
    """The optimizer with the task's KL limit, where it takes one and has none of its own."""
    parameter = optimizer.signature.parameters.get("kl_max")
    if parameter is None or optimizer.arguments.get("kl_max") is not None:
        return optimizer
    if "kl_max" not in optimizer.arguments and not parameter.required:
        return optimizer
    if limit is None:
        kind = optimizer.signature.name
        raise UserError(f"{where}.kl_max is missing: {kind} needs a KL limit, a number above 0, in nats a response")
    return optimizer.given(kl_max=limit)


def check_names(where: str, names: Iterable[str], choices: Collection[str]) -> None:
    """Checks names against those there are.

    Raises:
        UserError: naming the key and the choices.
    """
    for name in names:
        if name not in choices:
            raise UserError(f"{where}: there is no choice {name!r}; {choose(name, choices)}")


def check_task(name: str, task: TaskConfig, config: TrainConfig, judges: Collection[str]) -> None:
    """Checks what a task names, and that its optimizer gets what it needs.

    Args:
        name: of the task.
        task: whole.
        config: of the run.
        judges: names of all judges there are, chosen for this run or not.

    Raises:
        UserError: naming the key and the choices.
    """
    where = f"tasks.{name}"
    if not task.data:
        raise UserError(f"{where}.data: the task has no prompts to train on; name at least one source")
    check_names(f"{where}.data", task.data, config.data)
    check_names(f"{where}.judges", task.judges, judges)
    check_names(f"{where}.reward", [task.reward], config.reward)
    signature = task.optimizer.signature
    least = signature.constants.get("min_responses")
    check_optimizer(
        name,
        task,
        signature.name,
        least if isinstance(least, int) else 1,
        signature.constants.get("uses_values") is True and config.update.critic_learning_rate is None,
    )


def check_optimizer(name: str, task: TaskConfig, optimizer: str, least: int, lacks_critic: bool) -> None:
    """Checks that a task's optimizer gets the responses and the critic that it needs.

    Args:
        name: of the task.
        task: whole.
        optimizer: what its class is called.
        least: the fewest responses to a prompt that it can work with.
        lacks_critic: it needs a critic, and there is none.

    Raises:
        UserError: it does not.
    """
    if lacks_critic:
        raise UserError(f"update.critic_learning_rate is null: {optimizer} needs a critic")
    if task.responses_per_prompt < least:
        raise UserError(
            f"tasks.{name}.responses_per_prompt is {task.responses_per_prompt}: {optimizer} needs at least {least}"
        )


def without_unchosen_judges(config: R, chosen: Collection[str], overrides: Sequence[str]) -> R:
    """The tasks with those judges alone that the run has chosen; what is left out is told.

    Args:
        config: whose tasks list judges.
        chosen: names of the judges that are there to be asked.
        overrides: what was typed: a task whose judges were typed is meant to have them.

    Raises:
        UserError: a task would be left without any of its judges where that cannot be meant.
    """
    left_out: dict[str, list[str]] = {}
    listed = {judge for task in config.tasks.values() for judge in task.judges}
    idle = [judge for judge in chosen if judge not in listed]
    for name, task in config.tasks.items():
        missing = [judge for judge in task.judges if judge not in chosen]
        if missing and len(missing) == len(task.judges):
            _refuse_accidents(name, missing, chosen, idle, overrides)
        if missing:
            left_out[name] = missing
    kept = {name: tuple(judge for judge in task.judges if judge in chosen) for name, task in config.tasks.items()}
    tasks = {name: task.model_copy(update={"judges": kept[name]}) for name, task in config.tasks.items()}
    found = config.model_copy(update={"tasks": tasks})
    if unasked := [judge for judge in idle if judge in typed_names("judges", overrides)]:
        task, names = next(iter(config.tasks)), ", ".join(unasked)
        found = found.noted(
            f"judges that no task lists, so that nobody asks them: {names}; tasks.{task}.judges=[{','.join(unasked)}]"
        )
    told = "; ".join(f"{task} → {', '.join(missing)}" for task, missing in left_out.items())
    return found.noted(f"judges that tasks list and this run does not ask: {told}") if told else found


def _refuse_accidents(
    task: str, missing: Sequence[str], chosen: Collection[str], idle: Sequence[str], overrides: Sequence[str]
) -> None:
    where = f"tasks.{task}.judges"
    listed = ",".join(missing)
    for judge in missing:
        if close := get_close_matches(judge, idle, n=1, cutoff=ALIKE):
            raise UserError(
                f"{where}: {judge} is not among the judges of this run, and {task} would have none; did you mean "
                f"{close[0]}, {where}=[{close[0]}]? To have both, add {judge} to judges=[…]"
            )
    if is_typed(where, overrides):
        raise UserError(
            f"{where} is [{listed}], and this run asks {', '.join(sorted(chosen)) or 'no judges'}: "
            f"{task} would have none; add {listed} to judges=[…]"
        )


def with_judges(name: str, callback: Component, judges: Mapping[str, Component]) -> Component:
    """A callback that names judges, with those judges.

    Raises:
        UserError: there is no judge of that name.
    """
    named = callback.arguments.get("judges")
    if isinstance(named, str):
        named = [named]
    if not isinstance(named, Sequence) or not all(isinstance(judge, str) for judge in named):
        return callback
    names = [judge for judge in named if isinstance(judge, str)]
    check_names(f"callbacks.{name}.judges", names, judges)
    return callback.given(judges={judge: without_unread_model(judges[judge]) for judge in names})


def without_unread_model(judge: Component) -> Component:
    """A judge that asks an endpoint loads no model, so that none need be made for it."""
    asks = judge.arguments.get("endpoint")
    return judge.given(model=None) if asks and "model" in judge.arguments else judge


def check_panel(panel: Component, known: Collection[str]) -> None:
    """Checks the names of judges in the panel's settings that are given by judge.

    Raises:
        UserError: there is no judge of that name.
    """
    for key, setting in panel.arguments.items():
        if isinstance(setting, Mapping):
            check_names(f"panel.{key}", setting, known)
