"""`hydra.compose` and `cgpo.fit(config)`: the same as `cgpo train`."""

import json
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig
from tests.api.parts import task, tiny_folder

import cgpo
from cgpo.config import config_folder

SMALL = (
    *("tasks=engagement", "tasks.engagement.judges=[]", "judges=none", "reward=constant", "logger=none", "updates=2"),
    *("tasks.engagement.reward=constant", "tasks.engagement.batch_size=2", "data.engagement.train_size=8"),
    *("data.engagement.held_out_size=4", "rollout.max_new_tokens=6", "trainer.threads=1", "pipeline=none"),
)


def composed(folder: Path, *overrides: str) -> DictConfig:
    with initialize_config_dir(str(config_folder()), version_base=None):
        return compose("train", [*SMALL, f"model.path={tiny_folder(folder)}", *overrides])


def test_a_composed_configuration_is_trained(tmp_path: Path) -> None:
    run = cgpo.fit(composed(tmp_path), folder=tmp_path / "run", progress=False)
    assert run.summary is not None
    assert run.summary["updates"] == 2
    assert run.summary == json.loads((tmp_path / "run" / "summary.json").read_text())
    assert run.config["updates"] == 2
    assert run.config["run_folder"] == str(tmp_path / "run")
    assert run.policy.context_length == 64
    with pytest.raises(cgpo.UserError, match="holds a run already"):
        cgpo.fit(composed(tmp_path), folder=tmp_path / "run", progress=False)
    again = cgpo.fit(composed(tmp_path, "trainer.resume=auto"), folder=tmp_path / "run", progress=False)
    assert again.summary == run.summary, "it has come to its end"


@pytest.mark.parametrize(
    ("overrides", "settings", "message"),
    [
        ((), {"updates": 3}, r"fit\.updates: a configuration says that itself; set it there"),
        ((), {"tasks": [task()]}, r"fit\.tasks: a configuration says that itself"),
        (("updates=0",), {}, "updates is 0: it must be a whole number of at least 1"),
        (("+updtes=3",), {}, r"updtes: there is no such key.*updates"),
        (("trainer.resume=auto",), {"folder": None}, r"trainer\.resume: name the run that is to go on"),
        (("trainer=ddp", "trainer.devices=2"), {}, r"trainer\.devices: this configuration is for 2 processes"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, overrides: Any, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(cgpo.UserError, match=message):
        cgpo.fit(composed(tmp_path, *overrides), **{"folder": tmp_path / "run", "progress": False, **settings})
