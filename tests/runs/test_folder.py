"""A run's folder: the default one is always free, a chosen one is never overwritten."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from cgpo.errors import UserError
from cgpo.runs.folder import OWN, NeverOverwrite, write_config

DEFAULT = "runs/2026-11-22/10-00-00"


def started(name: str, kind: str = "run") -> str:
    """The folder that a run gets which asks for one."""
    config: Any = OmegaConf.create({"hydra": {kind: {"dir": name}, "job": {"name": "train"}}})
    callback = NeverOverwrite()
    (callback.on_run_start if kind == "run" else callback.on_multirun_start)(config)
    return config.hydra[kind].dir


@pytest.mark.parametrize("kind", ["run", "sweep"])
def test_runs_of_one_second_do_not_collide(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str) -> None:
    monkeypatch.chdir(tmp_path)
    assert [started(DEFAULT, kind) for _ in range(3)] == [DEFAULT, f"{DEFAULT}-2", f"{DEFAULT}-3"]


def test_processes_of_one_second_do_not_collide(tmp_path: Path) -> None:
    script = f"""
from omegaconf import OmegaConf
from cgpo.runs.folder import NeverOverwrite
for _ in range(20):
    config = OmegaConf.create({{"hydra": {{"run": {{"dir": {DEFAULT!r}}}, "job": {{"name": "train"}}}}}})
    NeverOverwrite().on_run_start(config)
    print(config.hydra.run.dir)
"""
    running = [
        subprocess.Popen([sys.executable, "-c", script], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    folders = [line for process in running for line in process.communicate(timeout=60)[0].splitlines()]
    assert len(folders) == len(set(folders)) == 40


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("kind", ["run", "sweep"])
def test_a_chosen_folder_that_holds_a_run_is_refused(tmp_path: Path, name: str, kind: str) -> None:
    place = tmp_path / "mine" / ("" if kind == "run" else "0")
    place.mkdir(parents=True)
    (place / name).touch()
    with pytest.raises(SystemExit, match=r"error: .*mine holds a run already, and runs are never overwritten"):
        started(str(tmp_path / "mine"), kind)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit, match=r"error: .*file, where the run would lie, is a file; choose another folder"):
        started(str(tmp_path / "file"))
    with pytest.raises(SystemExit, match=r"error: .*file/run, where the run would lie, cannot be made: Not a dir"):
        started(str(tmp_path / "file" / "run"))


def test_what_is_no_run_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "mine" / ".hydra").mkdir(parents=True)
    (tmp_path / "mine" / "train.log").touch()
    assert started(str(tmp_path / "mine")) == str(tmp_path / "mine")
    assert started(str(tmp_path / "new")) == str(tmp_path / "new")


def test_the_config_claims_the_folder(tmp_path: Path) -> None:
    config = OmegaConf.create({"seed": 3, "twice": "${seed}"})
    write_config(tmp_path, config)
    assert (tmp_path / "config.yaml").read_text() == "seed: 3\ntwice: 3\n"
    with pytest.raises(UserError, match="holds a run already"):
        write_config(tmp_path, OmegaConf.create({"seed": 4}))
    assert (tmp_path / "config.yaml").read_text() == "seed: 3\ntwice: 3\n"
