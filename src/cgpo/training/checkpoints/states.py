"""The state of a process besides the weights, for a checkpoint, and for a run that continues."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lightning import Trainer
from lightning.pytorch.callbacks import Callback

from cgpo.protocols import JudgePanel
from cgpo.training.checkpoints.catalogue import Checkpoint
from cgpo.training.observer import Observer

State = dict[str, Any]


def module_state(module: Any) -> State:
    """Returns baseline responses, the optimizers' states, and verdicts and expenses of the judges.

    Random numbers have no state, since they are derived from what they are for.
    """
    return {
        "baselines": {task: cache.state_dict() for task, cache in module.baselines.items()},
        "objectives": dict(module.optimizer_states),
        "judges": [panel.state_dict() for panel in _panels(module)],
    }


def load_module_state(module: Any, states: Sequence[State]) -> None:
    """Restores the state of a module.

    Args:
        module: a module with the same tasks.
        states: the state of this process, or of all processes that there were if their number has changed.
    """
    for task, cache in module.baselines.items():
        cache.load_state_dict([state["baselines"][task] for state in states])
    # All processes have the same states, which they computed from the same whole batches.
    module.optimizer_states.update(states[0]["objectives"])
    for place, panel in enumerate(_panels(module)):
        panel.load_state_dict([state["judges"][place] for state in states])


def state_of(trainer: Trainer, module: Any) -> State:
    """Returns the state of a module, its trainer's callbacks and Lightning's loop."""
    loop: Any = trainer.fit_loop
    return {
        **module_state(module),
        "callbacks": {key: callback.state_dict() for key, callback in _callbacks(trainer).items()},
        "loop": loop.state_dict(),
    }


def restore(trainer: Trainer, module: Any, states: Sequence[State], origin: Checkpoint) -> None:
    """Restores the state of a run, except for weights and moments.

    Args:
        trainer: the trainer, before its first step.
        module: the module, with its weights restored.
        states: the state of this process, or of all processes that there were if their number has changed.
        origin: the checkpoint that the states are from.
    """
    load_module_state(module, states)
    for key, callback in _callbacks(trainer).items():
        found: list[State] = [state["callbacks"][key] for state in states if state["callbacks"].get(key)]
        if found:
            own = origin.processes == module.processes.size and module.processes.peer == 0
            callback.load_state_dict(found[0] if own else _merged(callback, found, module.processes.first))
    loop: Any = trainer.fit_loop
    loop.load_state_dict(states[0]["loop"])
    _schedule_from(trainer, origin.step)


def _panels(module: Any) -> list[JudgePanel]:
    """Returns the panels of all tasks, each once; tensor-parallel peers, which ask no judge, have none."""
    if module.processes.peer:
        return []
    return list({id(expert.panel.whole): expert.panel.whole for expert in module.experts}.values())


def _callbacks(trainer: Trainer) -> dict[str, Callback]:
    holder: Any = trainer
    callbacks: list[Callback] = holder.callbacks
    return {callback.state_key: callback for callback in callbacks}


def _merged(callback: Callback, states: Sequence[State], first: bool) -> State:
    """Puts together the states of another number of processes, if the callback can; otherwise takes the first."""
    return callback.merged(states, first) if isinstance(callback, Observer) else states[0]


def _schedule_from(trainer: Trainer, step: int) -> None:
    """Sets the learning rates of an update, as the schedule would have reached them."""
    for config in trainer.lr_scheduler_configs:
        scheduler: Any = config.scheduler
        scheduler.last_epoch, scheduler._step_count = step, step + 1
        rates = scheduler.get_lr()
        for group, rate in zip(scheduler.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        scheduler._last_lr = rates
