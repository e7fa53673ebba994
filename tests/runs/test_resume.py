"""Which run a command goes on with, and that no other process is at work on it."""

import os
import time
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from cgpo.errors import UserError
from cgpo.runs.resume import alone_in, check_same, newest_unfinished, resume_of

TYPED = ["tasks=paper", "updates=3"]


def begun(runs: Path, name: str, overrides: list[str], age: int, ended: bool = False) -> Path:
    folder = runs / "2026-01-31" / name
    (folder / ".hydra").mkdir(parents=True)
    (folder / "config.yaml").write_text("seed: 0\n")
    (folder / ".hydra" / "overrides.yaml").write_text("".join(f"- {override}\n" for override in overrides))
    if ended:
        (folder / "summary.json").write_text("{}")
    os.utime(folder, (1000 - age, 1000 - age))
    return folder


def test_the_newest_that_the_same_command_began_and_that_has_not_ended(tmp_path: Path) -> None:
    begun(tmp_path, "a", TYPED, age=9)
    wanted = begun(tmp_path, "b", [*TYPED[::-1], "trainer=ddp", "+trainer.x=1"], age=5)
    begun(tmp_path, "c", TYPED, age=3, ended=True)
    begun(tmp_path, "d", ["tasks=paper", "updates=4"], age=2)
    begun(tmp_path, "e", ["tasks=paper"], age=1)
    assert newest_unfinished(tmp_path, [*TYPED, "trainer.resume=auto"]) == wanted
    assert newest_unfinished(tmp_path, ["tasks=none"]) is None
    assert newest_unfinished(tmp_path / "nowhere", TYPED) is None


def test_only_training_goes_on(tmp_path: Path) -> None:
    wanted = begun(tmp_path, "a", TYPED, age=5)
    (wanted / ".hydra/hydra.yaml").write_text("hydra: {job: {name: train, config_name: mine}}\n")
    other = begun(tmp_path, "b", TYPED, age=1)
    (other / ".hydra/hydra.yaml").write_text("hydra: {job: {name: evaluate, config_name: train}}\n")
    assert newest_unfinished(tmp_path, TYPED) == wanted


def test_a_run_goes_on_as_it_was_begun(tmp_path: Path) -> None:
    then = {"seed": 0, "optim": {"learning_rate": 0.1}, "trainer": {"devices": 1}, "callbacks": {"a": 1}}
    (tmp_path / "config.yaml").write_text(OmegaConf.to_yaml(OmegaConf.create(then)))
    check_same(tmp_path, OmegaConf.create({**then, "trainer": {"devices": 2}, "callbacks": {}}))
    for changed, said in (
        ({"optim": {"learning_rate": 0.2}}, "optim.learning_rate is 0.2, but the run in {} was begun with 0.1: "),
        ({"extra": True}, "extra is True, but the run in {} was begun with None: "),
    ):
        with pytest.raises(UserError) as error:
            check_same(tmp_path, OmegaConf.create({**then, **changed}))
        assert str(error.value).startswith(said.format(tmp_path))


def test_a_run_of_an_earlier_version_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("seed: 0\nweights: {learning_rate: 0.1}\nbaseline: golden\n")
    with pytest.raises(UserError, match=r"an earlier version began this run, .* \(weights, baseline\): it cannot"):
        check_same(tmp_path, OmegaConf.create({"seed": 0, "optim": {"learning_rate": 0.1}}))


def test_other_commands_begin_anew() -> None:
    config = OmegaConf.create({"trainer": {"resume": "auto"}})
    assert resume_of(config, "train") == "auto"
    assert resume_of(config, "evaluate") is None
    assert resume_of(OmegaConf.create({"trainer": {"resume": None}}), "train") is None


def test_of_two_at_once_the_second_is_refused(tmp_path: Path) -> None:
    start = time.monotonic()
    with alone_in(tmp_path), pytest.raises(UserError) as error, alone_in(tmp_path, patience=0.3):
        pass
    assert str(error.value) == f"{tmp_path}: another process is at work on this run; wait for it or end it"
    assert 0.3 <= time.monotonic() - start < 10
    with alone_in(tmp_path, patience=0.0):
        pass
