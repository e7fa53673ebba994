"""The recipes of real size: they compose and pass every check that needs no hub, and their models are what they say."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf
from tests.conf.test_conf import CONF, TASKS
from tests.config.reading import read

from cgpo.build.checks import check_run
from cgpo.build.devices import placed_run, training_device
from cgpo.build.memory import job_of
from cgpo.config import choices, named_models
from cgpo.errors import UserError
from cgpo.memory.estimate import estimate
from cgpo.memory.shape import measure_shape

RECIPES = ["llama_70b", "llama_8b", "qwen_0_5b", "qwen_7b"]
PUBLISHED = {
    "llama_3_1_70b": 70.55e9,
    "llama_3_1_8b": 8.03e9,
    "llama_3_2_1b": 1.24e9,
    "qwen2_5_0_5b": 0.494e9,
    "qwen2_5_3b": 3.09e9,
    "qwen2_5_7b": 7.62e9,
    "qwen2_5_14b": 14.77e9,
    "qwen3_0_6b": 0.596e9,
    "qwen3_8b": 8.19e9,
}
"""Parameters, as the models' pages give them."""


def test_every_architecture_has_a_published_count() -> None:
    assert choices("architecture") == sorted(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_architectures_have_the_published_number_of_parameters(name: str) -> None:
    architecture = yaml.safe_load((CONF / f"architecture/{name}.yaml").read_text())
    assert measure_shape(architecture).parameters == pytest.approx(PUBLISHED[name], rel=0.005)


@pytest.mark.parametrize("size", ["full", "tiny"])
@pytest.mark.parametrize("name", RECIPES)
def test_recipes_pass_the_checks_that_need_no_hub(name: str, size: str) -> None:
    found = read(f"experiment={name}", f"model.size={size}", "trainer=cpu")
    check_run(found)
    assert list(found.tasks) == TASKS
    assert set(found.judges) == {"math", "code", "instruction_following", "false_refusal", "factuality", "safety"}
    paths = [found.model.path, *(path for _, path in named_models([found.reward, found.judges]))]
    assert len([path for path in paths if not path.startswith("artifact:")]) == (5 if size == "full" else 0)
    files = {source.arguments["path"] for source in found.data.values() if "path" in source.arguments}
    assert ("openai/gsm8k" in files) is (size == "full")
    assert ("general_chat" in found.data) is (size == "tiny")


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_fits_the_gpus_that_it_asks_for(name: str) -> None:
    job = job_of(read(f"experiment={name}", command="plan"))
    assert job.policy.shape.parameters > 4e8
    assert estimate(job).peak < 0.9 * 80e9


def test_the_largest_recipe_is_spread_over_four_nodes() -> None:
    trainer = read("experiment=llama_70b").trainer
    assert (trainer.strategy, trainer.devices, trainer.nodes, trainer.tensor_parallel) == ("fsdp", 8, 4, 8)


def test_another_trainer_takes_the_place_of_a_recipes() -> None:
    trainer = read("experiment=llama_70b", "trainer=cpu").trainer
    assert trainer.nodes == 1
    assert trainer.options["accelerator"] == "cpu"


def test_where_models_lie_is_said_once_for_all() -> None:
    found = read("models_device=cuda:1")
    models = [*found.reward.values(), *(found.judges[name] for name in ("safety", "factuality", "false_refusal"))]
    assert {model.arguments["device"] for model in models} == {"cuda:1"}


def test_auto_is_the_device_that_the_process_trains_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "3")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for trainer, device in (("gpu", "cuda:3"), ("cpu", "cpu")):
        found = read(f"trainer={trainer}")
        found = placed_run(found, training_device(found.trainer))
        assert {reward.arguments["device"] for reward in found.reward.values()} == {device}


def test_quantization_without_its_library_is_refused_at_start_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cgpo.models.quantization.find_spec", {"torchao": None}.get)
    with pytest.raises(UserError, match=r"reward\.helpfulness\.quantization: int8 needs the package torchao: pip"):
        check_run(read("models_quantization=int8"))
    with pytest.raises(UserError, match=r"reference_quantization: int8 needs the package torchao: pip"):
        check_run(read("reference_quantization=int8"))


@pytest.mark.skipif(importlib.util.find_spec("submitit") is None, reason="needs the extra `slurm`")
def test_slurm_jobs_have_a_process_a_gpu() -> None:
    launcher: Any = of_slurm("experiment=llama_70b", "hydra.launcher.partition=gpus")
    assert launcher["_target_"].endswith("SlurmLauncher")
    assert (launcher["nodes"], launcher["tasks_per_node"], launcher["gpus_per_node"]) == (4, 8, 8)
    assert launcher["partition"] == "gpus"


def of_slurm(*overrides: str) -> Any:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base=None):
        config = compose("train", ["hydra/launcher=slurm", *overrides], return_hydra_config=True)
    return OmegaConf.to_container(config.hydra.launcher, resolve=True)


def test_the_files_that_only_recipes_name_are_named_by_them() -> None:
    shared = (CONF / "recipe/five_tasks.yaml").read_text()
    for name in RECIPES:
        text = (CONF / f"experiment/{name}.yaml").read_text()
        assert "/recipe/five_tasks" in text
        assert len(text.splitlines()) < 30
    assert "override /tasks: recipe" in shared
    assert Path(CONF / "model/sized.yaml").is_file()
