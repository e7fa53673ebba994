"""Every file under `conf/` composes, and what it configures can be made."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf, open_dict
from transformers import AutoModelForSequenceClassification

from cgpo.build.artifacts import check_recipes
from cgpo.build.components import make
from cgpo.build.plan import Config, plan_of, resolved
from cgpo.build.tasks import build_experts, close_panels, load_prompts
from cgpo.build.values import RULES, check_values
from cgpo.errors import UserError
from cgpo.policy.causal import load_policy
from cgpo.reproduction.jobs import comparison_of, jobs_of
from cgpo.stages.artifacts import _replaced
from cgpo.stages.suite import SuitePolicy
from cgpo.training.hardware import hardware_of
from cgpo.training.loggers import wandb_logger

CONF = Path(__file__).parents[2] / "conf"
FILES = sorted(path.relative_to(CONF).with_suffix("").as_posix() for path in CONF.rglob("*.yaml"))
GROUPS = ("data", "experiment", "judges", "logger", "model", "optimizer", "pipeline", "reward", "rollout", "tasks")
TASKS = ["general_chat", "instruction_following", "math_code", "engagement", "harmful_intent"]
RULE_JUDGES = {"math", "code", "instruction_following"}
LLM_JUDGES = {"false_refusal", "factuality", "safety"}
RECIPES = {"qwen_0_5b", "qwen_7b", "llama_8b", "llama_70b", "sized", "recipe", "tiny"}
SMALL = [f"data.{task}.{size}={number}" for task in TASKS for size, number in (("train_size", 4), ("held_out_size", 2))]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """For the name of an artifact a model that could be it, and has learnt nothing."""
    folder = tmp_path_factory.mktemp("tiny")
    policy = SuitePolicy(layers=1).load()
    policy.save(folder / "policy")
    reward = AutoModelForSequenceClassification.from_pretrained(folder / "policy", num_labels=1)
    torch.nn.Module.to(reward, "cpu").save_pretrained(folder / "reward")
    policy.tokenizer.save_pretrained(folder / "reward")
    return lambda name: str(folder / ("reward" if name.startswith("reward") else "policy"))


def composed(*overrides: str, root: str = "train") -> Any:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base=None):
        config = compose(root, [*overrides], return_hydra_config=True)
    config.hydra.runtime.output_dir = "."
    HydraConfig.instance().set_config(config)
    with open_dict(config):
        del config["hydra"]
    return config


def plan(*overrides: str) -> Config:
    return plan_of(composed(*overrides), of_group("judges"))


def of_group(group: str) -> list[str]:
    return [file.split("/")[1] for file in FILES if file.startswith(f"{group}/")]


def alone(group: str) -> list[str]:
    """The choices that need no recipe of real size around them; those that do are tested in test_recipes.py."""
    return [name for name in of_group(group) if name not in RECIPES]


@pytest.mark.parametrize(
    ("overrides", "recomputed"),
    [
        ([], False),
        (["trainer.precision=bf16-mixed"], True),
        (["trainer.precision=bf16-true"], True),
        (["model.dtype=bfloat16"], True),
        (["trainer.precision=bf16-mixed", "update.recompute_logprobs=false"], False),
        (["update.recompute_logprobs=true"], True),
    ],
)
def test_in_half_precision_the_sampler_is_not_taken_at_its_word(overrides: list[str], recomputed: bool) -> None:
    assert plan(*overrides)["update"]["recompute_logprobs"] is recomputed


def test_every_file_belongs_to_a_group_that_is_tested() -> None:
    assert {file.split("/")[0] for file in FILES} == {
        *GROUPS,
        "architecture",
        "benchmark",
        "benchmarks",
        "evaluate",
        "hydra",
        "judge",
        "panel",
        "plan",
        "recipe",
        "reproduce",
        "reproduction",
        "train",
        "train_judge",
        "trainer",
        "weights",
    }


def companions(tasks: str) -> list[str]:
    """The data and rewards of tasks that are not of the suite."""
    if tasks.startswith("real"):
        return ["data=[gsm8k,mbpp,ifeval,xstest]", "reward=constant"]
    return ["data=stories", "reward=stories"] if tasks.startswith("stories") else []


@pytest.mark.parametrize("name", of_group("optimizer"))
def test_optimizers(name: str) -> None:
    found = plan(f"optimizer={name}")
    check_values(found)
    made = [make(task["optimizer"]) for task in found["tasks"].values()]
    kind = {"ipo": "dpo", "slic": "dpo", "ppo_lagrangian": "lagrangian"}.get(name, name.replace("_", ""))
    assert {type(optimizer).__name__.lower() for optimizer in made} == {kind}


def test_ppo_without_a_critic_is_refused_at_start_up() -> None:
    assert plan("optimizer=ppo")["update"]["critic_learning_rate"] > 0
    with pytest.raises(UserError, match=r"update\.critic_learning_rate is null: PPO needs a critic"):
        check_values(plan("optimizer=ppo", "update.critic_learning_rate=null"))


def test_the_unified_reward_is_one_model_for_all_tasks() -> None:
    found = plan("optimizer=ppo", "reward=unified", "judges=none")
    check_values(found)
    assert {reward["path"] for reward in found["reward"].values()} == {"artifact:reward_unified"}


def test_each_optimizer_has_weights_of_its_own() -> None:
    assert of_group("weights") == of_group("optimizer")
    rates = {name: plan(f"optimizer={name}")["weights"]["learning_rate"] for name in of_group("weights")}
    for name, rate in rates.items():
        assert RULES["weights.learning_rate"][0](rate)
        assert plan(f"weights={name}")["weights"]["learning_rate"] == rate


@pytest.mark.parametrize("name", of_group("reproduction"))
def test_reproductions_are_made_of_runs_that_can_begin(name: str, tmp_path: Path) -> None:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base=None):
        comparison = comparison_of(resolved(compose("reproduce", [f"reproduction={name}"])))
    jobs = [job for job in jobs_of(comparison, tmp_path) if job.verb == "train"]
    assert len({job.folder for job in jobs}) == len(jobs) > 3
    for job in {job.overrides[:-1]: job for job in jobs}.values():
        found = plan(*(o for o in job.overrides if not o.startswith("model.path='")))
        assert [make(task["optimizer"]) for task in found["tasks"].values()]


@pytest.mark.parametrize("name", alone("tasks"))
def test_tasks(name: str) -> None:
    found = plan(f"tasks={name}", "judges=rules", *companions(name))
    assert found["tasks"]
    for task in found["tasks"].values():
        make(task["optimizer"])
        make(task["rollout"])
        make(task["gold"])


@pytest.mark.parametrize("name", of_group("data"))
def test_data(name: str) -> None:
    for key, config in composed(f"data={name}").data.items():
        source = make(config)
        path = config.get("path")
        if path is None or Path(path).exists():
            splits = source.load()
            assert splits.train, key


@pytest.mark.parametrize("name", of_group("judges"))
def test_judges(tiny: Callable[[str], str], name: str) -> None:
    configs = OmegaConf.to_container(composed(f"judges={name}", "models_device=cpu").judges, resolve=True)
    made = make(_replaced(configs, tiny))
    for judge in made.values():
        assert callable(judge.judge)
        if hasattr(judge, "close"):
            judge.close()
    assert bool(made) is (name != "none")


@pytest.mark.parametrize("root", ["train", "judge"])
@pytest.mark.parametrize("name", of_group("panel"))
def test_panels(name: str, root: str) -> None:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base=None):
        config: Any = OmegaConf.to_container(compose(root, [f"panel={name}"]).panel)
    assert make({**config, "judges": {}}).names == ()


@pytest.mark.parametrize("name", alone("reward"))
def test_rewards(tiny: Callable[[str], str], name: str) -> None:
    configs = OmegaConf.to_container(composed(f"reward={name}", "models_device=cpu").reward, resolve=True)
    assert all(callable(reward.score) for reward in make(_replaced(configs, tiny)).values())


@pytest.mark.parametrize("name", alone("model"))
def test_models(tiny: Callable[[str], str], name: str) -> None:
    config: Any = OmegaConf.to_container(composed(f"model={name}").model)
    path = tiny("policy" if config["path"] == "???" else config["path"].removeprefix("artifact:"))
    assert load_policy(**{**config, "path": path}).context_length > 0


@pytest.mark.parametrize("name", of_group("rollout"))
def test_rollouts(name: str) -> None:
    assert make(composed(f"rollout={name}").rollout).max_new_tokens > 0


@pytest.mark.parametrize("name", alone("pipeline"))
def test_pipelines(name: str, tmp_path: Path) -> None:
    referee = [f"referee={tmp_path}"] if name == "stories" else []
    found: Any = OmegaConf.to_container(composed(f"pipeline={name}", *referee).pipeline, resolve=True)
    check_recipes(found)


@pytest.mark.parametrize("name", of_group("trainer"))
def test_trainers(name: str) -> None:
    config: Any = OmegaConf.to_container(composed(f"trainer={name}").trainer, resolve=True)
    if name.startswith("gpu") and not torch.cuda.is_available():
        with pytest.raises(UserError, match=r"trainer.options: .*gpu"):
            hardware_of(config)
    else:
        found = hardware_of(config)
        fixed = {"cpu": 1, "gpu": 1, "gpu_bf16": 1, "fsdp_8": 8, "fsdp_tp_4x8": 32}
        assert found.processes == fixed.get(name, torch.cuda.device_count() or 2)


@pytest.mark.parametrize("name", of_group("logger"))
def test_loggers(name: str) -> None:
    config = composed(f"logger={name}").logger
    assert set(config) <= {"wandb"}
    for entry in config.values():
        assert entry._target_ == f"{wandb_logger.__module__}.{wandb_logger.__name__}"


@pytest.mark.parametrize("name", alone("experiment"))
def test_experiments(shared: Path, name: str) -> None:
    found = plan(f"experiment={name}", f"model.path={shared}/models/stories260K")
    check_values(found)
    files = [source["path"] for source in found["data"].values() if "path" in source]
    assert all(Path(file).is_file() for file in files), "the data is found beside the models"


@pytest.mark.parametrize("name", of_group("optimizer"))
def test_stories_have_settings_for_each_optimizer(name: str) -> None:
    found = plan("experiment=stories", f"optimizer={name}", "model.path=models/any")
    assert found["weights"]["learning_rate"] == found["settings"][name]["learning_rate"]
    assert found["updates"] == found["settings"][name]["updates"]
    limits = {task: config["kl_max"] for task, config in found["tasks"].items()}
    long, short = (found["settings"][name][key] for key in ("kl_max", "kl_max_ending"))
    assert limits == {"word": long, "no_comma": long, "ending": short, "sentences": long}


@pytest.mark.parametrize(
    ("override", "chosen"),
    [
        ("judges=all", RULE_JUDGES | LLM_JUDGES),
        ("judges=rules", RULE_JUDGES),
        ("judges=llm", LLM_JUDGES),
        ("judges=none", set()),
        ("judges=[math,code]", {"math", "code"}),
    ],
)
@pytest.mark.parametrize(
    ("tasks", "names"),
    [
        ("paper", TASKS),
        ("reasoning", ["math_code"]),
        ("[math_code,engagement]", ["math_code", "engagement"]),
    ],
)
def test_a_whole_run_is_put_together(
    tiny: Callable[[str], str], override: str, chosen: set[str], tasks: str, names: list[str]
) -> None:
    found = plan(override, f"tasks={tasks}", "rollout.max_new_tokens=8", *SMALL)
    check_values(found)
    named = {name: list(task["judges"]) for name, task in found["tasks"].items()}
    whole = {**found, **{key: _replaced(found[key], tiny) for key in ("model", "reward", "judges")}}
    said: list[str] = []
    experts = build_experts(whole, load_prompts(whole), load_policy(**whole["model"]), said.append)
    try:
        assert [expert.name for expert in experts] == names
        for expert in experts:
            assert list(expert.panel.names) == named[expert.name]  # pyright: ignore[reportAttributeAccessIssue]
            assert set(named[expert.name]) <= chosen
            assert (len(expert.prompts), len(expert.held_out)) == (4, 2)
        assert said == []
    finally:
        close_panels(experts)


def test_overrides_of_one_task_reach_it_alone() -> None:
    found = plan(
        "+tasks.math_code.optimizer.factor_cap=2",
        "tasks.math_code.kl_max=30",
        "tasks.engagement.judges=[safety]",
        "+tasks.engagement.rollout.temperature=0.5",
    )
    optimizers = {name: make(task["optimizer"]) for name, task in found["tasks"].items()}
    assert {name for name, o in optimizers.items() if o.factor_cap == 2} == {"math_code"}
    assert {name for name, o in optimizers.items() if o.kl_max == 30} == {"math_code"}
    assert found["tasks"]["engagement"]["judges"] == ["safety"]
    assert {name for name, task in found["tasks"].items() if task["rollout"]["temperature"] == 0.5} == {"engagement"}


def test_a_task_can_have_an_optimizer_of_another_kind() -> None:
    found = plan("+tasks.math_code.optimizer._target_=cgpo.optimizer.CRRAFT", "+tasks.math_code.optimizer.kl_max=5")
    assert type(make(found["tasks"]["math_code"]["optimizer"])).__name__ == "CRRAFT"
    assert type(make(found["tasks"]["engagement"]["optimizer"])).__name__ == "CRPG"


def test_what_no_task_names_is_not_built() -> None:
    found = plan("tasks=reasoning", "judges=all")
    assert (set(found["judges"]), set(found["reward"]), set(found["data"])) == (
        {"math", "code"},
        {"helpfulness"},
        {"math_code"},
    )
