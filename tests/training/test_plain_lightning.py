"""`Trainer(…).fit(CGPOModule(…), PromptDataModule(…))`, with Lightning's own callbacks, loggers and checkpoints."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, EarlyStopping, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from tests.api.parts import task
from tests.policy.tiny import tiny_policy

import cgpo
from cgpo.training.callbacks import Evaluator


def trainer(updates: int, *callbacks: Callback, **settings: Any) -> Trainer:
    alone = {"accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    keeps = any(isinstance(callback, ModelCheckpoint) for callback in callbacks)
    return Trainer(
        max_steps=updates,
        callbacks=list(callbacks),
        enable_checkpointing=keeps,
        log_every_n_steps=1,
        **{**alone, **settings},
    )


def module(tasks: Sequence[cgpo.Task], **settings: Any) -> cgpo.CGPOModule:
    return cgpo.CGPOModule(tiny_policy(), tasks, **{"learning_rate": 0.01, **settings})


def weights(found: cgpo.CGPOModule) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in found.model.parameters()])


class StopsAt(Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        trainer.should_stop = trainer.global_step >= self.step


class Rates(Callback):
    """The learning rate after each update."""

    def __init__(self) -> None:
        self.seen: list[float] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        self.seen.append(trainer.optimizers[0].param_groups[0]["lr"])


def keeper(folder: Path) -> ModelCheckpoint:
    return ModelCheckpoint(folder, filename="{step}", every_n_train_steps=1, save_top_k=-1)


def test_nothing_but_a_policy_and_a_task_is_needed() -> None:
    tasks = [task()]
    found = module(tasks)
    before = weights(found).clone()
    used = trainer(2)
    used.fit(found, cgpo.PromptDataModule(tasks))
    assert used.global_step == 2
    assert not torch.equal(weights(found), before)
    assert {"train/chat/reward", "judges/chat/even/violation_rate", "eval/chat/success"} <= used.callback_metrics.keys()


def test_lightnings_logger_gets_the_metrics(tmp_path: Path) -> None:
    tasks = [task()]
    logger = CSVLogger(tmp_path, name="", version="")
    trainer(2, LearningRateMonitor("step"), logger=logger).fit(module(tasks), cgpo.PromptDataModule(tasks))
    rows = list(csv.DictReader((tmp_path / "metrics.csv").open()))
    assert [row["step"] for row in rows if row["train/chat/reward"]] == ["1", "2"]
    assert [row["step"] for row in rows if row["eval/chat/success"]] == ["2"]
    assert any(row["lr-AdamW"] for row in rows)


def test_a_checkpoint_of_lightnings_goes_on_bit_for_bit(tmp_path: Path) -> None:
    def tasks() -> list[cgpo.Task]:
        return [
            task(optimizer=cgpo.Lagrangian(cgpo.CRPG(16.0))),
            task("brief", weight=0.5, optimizer=cgpo.CRRAFT(16.0)),
        ]

    whole, rates = module(tasks()), Rates()
    trainer(5, rates).fit(whole, cgpo.PromptDataModule(tasks()))
    begun = module(tasks())
    trainer(5, keeper(tmp_path), StopsAt(3)).fit(begun, cgpo.PromptDataModule(tasks()))
    assert not torch.equal(weights(begun), weights(whole))
    resumed, rest = module(tasks()), Rates()
    used = trainer(5, rest)
    used.fit(resumed, cgpo.PromptDataModule(tasks()), ckpt_path=str(tmp_path / "step=2.ckpt"))
    assert used.global_step == 5
    assert torch.equal(weights(resumed), weights(whole))
    assert rest.seen == rates.seen[2:]
    for name, cache in whole.baselines.items():
        assert resumed.baselines[name].state_dict() == cache.state_dict()
    for one, other in zip(whole.experts, resumed.experts, strict=True):
        assert getattr(one.optimizer, "state_dict", dict)() == getattr(other.optimizer, "state_dict", dict)()


def test_a_longer_run_that_goes_on_has_the_longer_schedule(tmp_path: Path) -> None:
    tasks = [task()]
    trainer(4, keeper(tmp_path)).fit(module(tasks), cgpo.PromptDataModule(tasks))
    whole, rest = Rates(), Rates()
    trainer(12, whole).fit(module(tasks), cgpo.PromptDataModule(tasks))
    trainer(12, rest).fit(module(tasks), cgpo.PromptDataModule(tasks), ckpt_path=str(tmp_path / "step=4.ckpt"))
    assert rest.seen[1:] == pytest.approx(whole.seen[5:])


def test_the_best_checkpoint_and_an_early_end(tmp_path: Path) -> None:
    tasks = [task()]
    best = ModelCheckpoint(tmp_path, monitor="eval/chat/reward", mode="max")
    stop = EarlyStopping("train/chat/kl", mode="max", patience=1, check_on_train_epoch_end=False)
    used = trainer(8, best, stop, val_check_interval=2)
    used.fit(module(tasks), cgpo.PromptDataModule(tasks))
    assert best.best_model_score is not None
    assert best.best_model_score >= used.callback_metrics["eval/chat/reward"]
    assert Path(best.best_model_path).is_file()
    assert used.global_step <= 8


def test_epochs_walk_through_the_longest_tasks_prompts() -> None:
    tasks = [task(prompts=["w4", "w5", "w6", "w7", "w8"], held_out=0), task("short", prompts=["w9", "w10"], held_out=0)]
    keys: list[list[str]] = []

    class Keys(Callback):
        def on_train_batch_start(
            self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
        ) -> None:
            keys.append([prompt.key for prompt in batch["chat"]])

    used = trainer(-1, Keys(), max_epochs=2)
    used.fit(module(tasks), cgpo.PromptDataModule(tasks))
    assert used.global_step == 6, "two epochs of three batches of two prompts"
    assert len({key for batch in keys[:3] for key in batch}) == 5
    assert len({tuple(batch) for batch in keys}) > 3, "the second epoch has an order of its own"


def test_no_held_out_prompts_and_no_validation() -> None:
    tasks = [task(held_out=0)]
    used = trainer(1)
    used.fit(module(tasks), cgpo.PromptDataModule(tasks))
    assert not any(name.startswith("eval/") for name in used.callback_metrics)
    tasks = [task()]
    used = trainer(1)
    used.fit(module(tasks), cgpo.PromptDataModule(tasks, evaluated=0))
    assert not any(name.startswith("eval/") for name in used.callback_metrics)


def test_our_own_callbacks_work_there_too() -> None:
    tasks = [task()]
    evaluator = Evaluator(prompts=4)
    trainer(1, evaluator).fit(module(tasks), cgpo.PromptDataModule(tasks))
    assert evaluator.results["chat"].keys() == {"before", "after"}


def test_both_are_given_the_same_tasks() -> None:
    with pytest.raises(cgpo.UserError, match=r"PromptDataModule\.tasks are other, but those of the module chat"):
        trainer(1).fit(module([task()]), cgpo.PromptDataModule([task("other")]))
    with pytest.raises(cgpo.UserError, match=r"call trainer\.fit\(module, data\)"):
        cgpo.PromptDataModule([task()]).train_dataloader()
    with pytest.raises(cgpo.UserError, match=r"PromptDataModule\.evaluated is -1"):
        cgpo.PromptDataModule([task()], evaluated=-1)
