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
from tests.conf.test_conf import CONF, TASKS, composed, of_group, plan

from cgpo.build.models import named_models
from cgpo.build.planning import job_of, planning_plan
from cgpo.build.values import check_values
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
    assert sorted(of_group("architecture")) == sorted(PUBLISHED)


@pytest.mark.parametrize("name", PUBLISHED)
def test_architectures_have_the_published_number_of_parameters(name: str) -> None:
    architecture = yaml.safe_load((CONF / f"architecture/{name}.yaml").read_text())
    assert measure_shape(architecture).parameters == pytest.approx(PUBLISHED[name], rel=0.005)


@pytest.mark.parametrize("size", ["full", "tiny"])
@pytest.mark.parametrize("name", RECIPES)
def test_recipes_pass_the_checks_that_need_no_hub(name: str, size: str) -> None:
    found = plan(f"experiment={name}", f"model.size={size}", "trainer=cpu")
    check_values(found)
    assert list(found["tasks"]) == TASKS
    assert set(found["judges"]) == {"math", "code", "instruction_following", "false_refusal", "factuality", "safety"}
    assert set(found["model"]) == {"path", "dtype", "gradient_checkpointing"}
    on_hub = {key: path for key, path in named_models(found).items() if path and not path.startswith("artifact:")}
    assert len(on_hub) == (5 if size == "full" else 0)
    read = {source["path"] for source in found["data"].values() if "path" in source}
    assert ("openai/gsm8k" in read) is (size == "full")
    assert ("_target_" in found["data"].get("general_chat", {})) is (size == "tiny")


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_fits_the_gpus_that_it_asks_for(name: str) -> None:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base=None):
        config = compose("plan", [f"experiment={name}"])
    job = job_of(planning_plan(config, of_group("judges")))
    assert job.policy.shape.parameters > 4e8
    assert estimate(job).peak < 0.9 * 80e9


def test_the_largest_recipe_is_spread_over_four_nodes() -> None:
    trainer = composed("experiment=llama_70b").trainer
    assert (trainer.strategy, trainer.devices, trainer.nodes, trainer.tensor_parallel) == ("fsdp", 8, 4, 8)


def test_another_trainer_takes_the_place_of_a_recipes() -> None:
    trainer = composed("experiment=llama_70b", "trainer=cpu").trainer
    assert trainer.get("nodes", 1) == 1
    assert trainer.options.accelerator == "cpu"


def test_a_size_that_there_is_not_is_named() -> None:
    with pytest.raises(UserError, match=r"model\.size is 'small': choose full, tiny"):
        plan("experiment=qwen_0_5b", "model.size=small")


def test_where_models_lie_is_said_once_for_all() -> None:
    found = plan("models_device=cuda:1")
    models = [*found["reward"].values(), *(found["judges"][name] for name in ("safety", "factuality", "false_refusal"))]
    assert {model["device"] for model in models} == {"cuda:1"}


def test_auto_is_the_device_that_the_process_trains_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "3")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert {reward["device"] for reward in plan("trainer=gpu")["reward"].values()} == {"cuda:3"}
    assert {reward["device"] for reward in plan("trainer=cpu")["reward"].values()} == {"cpu"}


def test_quantization_without_its_library_is_refused_at_start_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cgpo.models.quantization.find_spec", {"torchao": None}.get)
    with pytest.raises(UserError, match=r"reward\.helpfulness\.quantization: int8 needs the package torchao: pip"):
        check_values(plan("models_quantization=int8"))
    with pytest.raises(UserError, match=r"reference_quantization is 'int3': choose null, int8 or int4"):
        check_values(plan("reference_quantization=int3"))


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
