"""What a process knows besides the weights: gathered for a checkpoint, and put back where the run goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lightning import Trainer
from lightning.pytorch.callbacks import Callback

from cgpo.protocols import JudgePanel
from cgpo.training.checkpoints.catalogue import Checkpoint

State = dict[str, Any]


def known_to(module: Any) -> State:
    """Baseline responses, the objectives' own state, what judges have said and spent.

    Random numbers are derived from what they are for: they have no state.
    """
    return {
        "baselines": {task: cache.state_dict() for task, cache in module.baselines.items()},
        "objectives": dict(module.optimizer_states),
        "judges": [panel.state_dict() for panel in _panels(module)],
    }


def tell(module: Any, states: Sequence[State]) -> None:
    """Tells a module what was known.

    Args:
        module: of the same tasks.
        states: to this process; or, where their number has changed, to all processes that there were.
    """
    for task, cache in module.baselines.items():
        cache.load_state_dict([state["baselines"][task] for state in states])
    # Every process has the same: each computed it from the same whole batches.
    module.optimizer_states.update(states[0]["objectives"])
    for place, panel in enumerate(_panels(module)):
        panel.load_state_dict([state["judges"][place] for state in states])


def state_of(trainer: Trainer, module: Any) -> State:
    """What a module knows, its trainer's callbacks, and Lightning's loop; the learning rate follows from the update."""
    return {
        **known_to(module),
        "callbacks": {key: callback.state_dict() for key, callback in _callbacks(trainer).items()},
        "loop": trainer.fit_loop.state_dict(),
    }


def restore(trainer: Trainer, module: Any, states: Sequence[State], origin: Checkpoint) -> None:
    """Takes a run to where it was.

    Args:
        trainer: about to begin.
        module: whose weights are there already.
        states: this process's own; or, where their number has changed, those of all processes that there were.
        origin: the checkpoint that they are from.
    """
    tell(module, states)
    for key, callback in _callbacks(trainer).items():
        found = [state["callbacks"][key] for state in states if state["callbacks"].get(key)]
        if found:
            own = origin.processes == module.processes.size and module.processes.peer == 0
            callback.load_state_dict(found[0] if own else _shared(callback, found, module.processes.first))
    trainer.fit_loop.load_state_dict(states[0]["loop"])
    _schedule_from(trainer, origin.step)


def _panels(module: Any) -> list[JudgePanel]:
    """The panels of all tasks, each once; tensor-parallel peers, who ask no judge, have none."""
    if module.processes.peer:
        return []
    return list({id(expert.panel.whole): expert.panel.whole for expert in module.experts}.values())


def _callbacks(trainer: Trainer) -> dict[str, Callback]:
    callbacks: list[Any] = trainer.callbacks  # pyright: ignore[reportAttributeAccessIssue]
    return {callback.state_key: callback for callback in callbacks}


def _shared(callback: Any, states: Sequence[State], first: bool) -> State:
    """The states of another number of processes: put together where a callback can, else the first one's."""
    return callback.merged(states, first) if hasattr(callback, "merged") else states[0]


def _schedule_from(trainer: Trainer, step: int) -> None:
    """The learning rates of an update, as the schedule would have come to them."""
    for config in trainer.lr_scheduler_configs:
        scheduler: Any = config.scheduler
        scheduler.last_epoch, scheduler._step_count = step, step + 1
        rates = scheduler.get_lr()
        for group, rate in zip(scheduler.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        scheduler._last_lr = rates
