"""Every file under `conf/` composes, and what it configures can be made."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from tests.config.reading import read
from transformers import AutoModelForSequenceClassification

from cgpo.build.checks import check_recipes, check_run
from cgpo.build.module import build_update
from cgpo.build.objects import make, make_with
from cgpo.build.tasks import build_experts, close_panels, load_prompts
from cgpo.config import TrainConfig, Value, choices, compose, config_folder, mapped
from cgpo.config.components import components
from cgpo.errors import UserError
from cgpo.judges import Judge
from cgpo.policy.causal import load_policy
from cgpo.reproduction.jobs import plan_jobs, read_comparison
from cgpo.stages.suite import SuitePolicy
from cgpo.training.hardware import hardware_of
from cgpo.training.loggers import wandb_logger

CONF = config_folder()
TASKS = ["general_chat", "instruction_following", "math_code", "engagement", "harmful_intent"]
RULE_JUDGES = {"math", "code", "instruction_following"}
LLM_JUDGES = {"false_refusal", "factuality", "safety"}
RECIPES = {"qwen_0_5b", "qwen_7b", "llama_8b", "llama_70b", "sized", "recipe", "tiny"}
SMALL = [f"data.{task}.{size}={number}" for task in TASKS for size, number in (("train_size", 4), ("held_out_size", 2))]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Value], Value]:
    """Replaces the name of each artifact by a model that could be it, and has learnt nothing."""
    folder = tmp_path_factory.mktemp("tiny")
    policy = SuitePolicy(layers=1).load()
    policy.save(folder / "policy")
    reward = AutoModelForSequenceClassification.from_pretrained(folder / "policy", num_labels=1)
    torch.nn.Module.to(reward, "cpu").save_pretrained(folder / "reward")
    policy.tokenizer.save_pretrained(folder / "reward")

    def replace(_: str, value: Value) -> Value:
        if not isinstance(value, str) or not value.startswith("artifact:"):
            return "cpu" if value == "auto" else value
        return str(folder / ("reward" if value.startswith("artifact:reward") else "policy"))

    return lambda value: mapped(value, replace)


def group(name: str, choice: str, key: str = "", root: str = "train") -> Any:
    """What a choice configures, with components in it."""
    found: Any = compose(root, [f"{name}={choice}"])[key or name]

    return components(key or name, OmegaConf.to_container(found, resolve=False))


def alone(name: str) -> list[str]:
    """The choices that need no recipe of real size around them; those that do are tested in test_recipes.py."""
    return [choice for choice in choices(name) if choice not in RECIPES]


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
    assert build_update(read(*overrides)).recompute_logprobs is recomputed


def companions(tasks: str) -> list[str]:
    """The data and rewards of tasks that are not of the suite."""
    if tasks.startswith("real"):
        return ["data=[gsm8k,mbpp,ifeval,xstest]", "reward=constant"]
    return ["data=stories", "reward=stories", "pipeline=stories", "model.path=any"] if "stories" in tasks else []


@pytest.mark.parametrize("name", choices("optimizer"))
def test_optimizers(name: str) -> None:
    found: TrainConfig = read(f"optimizer={name}")
    check_run(found)
    made = [make(task.optimizer) for task in found.tasks.values()]
    assert len({type(optimizer) for optimizer in made}) == 1
    assert "optim:" in (CONF / f"optimizer/{name}.yaml").read_text(), "an optimizer brings its learning rate"


def test_the_unified_reward_is_one_model_for_all_tasks() -> None:
    found = read("optimizer=ppo", "reward=unified", "judges=none")
    assert {reward.arguments["path"] for reward in found.reward.values()} == {"artifact:reward_unified"}


@pytest.mark.parametrize(
    ("optimizer", "rate"),
    [("crpg", 5e-4), ("crraft", 1e-4), ("codpo", 1e-4), ("ppo", 5e-4), ("raft", 2e-5), ("dpo", 1e-4)],
)
def test_each_optimizer_has_a_learning_rate_of_its_own(optimizer: str, rate: float) -> None:
    assert read(f"optimizer={optimizer}").optim.learning_rate == rate
    assert read(f"optimizer={optimizer}", "optim.learning_rate=3e-3").optim.learning_rate == 3e-3


@pytest.mark.parametrize("name", choices("reproduction"))
def test_reproductions_are_made_of_runs_that_can_begin(name: str, tmp_path: Path) -> None:
    comparison = read_comparison(read(f"reproduction={name}", command="reproduce"))
    jobs = [job for job in plan_jobs(comparison, tmp_path) if job.verb == "train"]
    assert len({job.folder for job in jobs}) == len(jobs) > 3
    for job in {job.overrides[:-1]: job for job in jobs}.values():
        found = read(*(override for override in job.overrides if not override.startswith("model.path='")))
        assert [make(task.optimizer) for task in found.tasks.values()]


@pytest.mark.parametrize("name", alone("tasks"))
def test_tasks(name: str) -> None:
    judges = "[math,code,instruction_following,false_refusal_rules]" if name.startswith("real") else "all"
    found: TrainConfig = read(f"tasks={name}", f"judges={judges}", *companions(name))
    assert [note for note in found.notes if "that tasks list" in note] == []
    for task in found.tasks.values():
        make(task.optimizer)
        make(task.rollout)
        make(task.gold)


@pytest.mark.parametrize("name", choices("data"))
def test_data(name: str) -> None:
    for key, component in group("data", name).items():
        component = components(key, {**{"_target_": component.target}, **component.arguments})
        path = str(component.arguments.get("path")).replace("${data_dir}", "data")
        source = make(component.given(path=path) if "path" in component.arguments else component)
        if "path" not in component.arguments or Path(path).exists():
            assert source.load().train, key


@pytest.mark.parametrize("name", choices("judges"))
def test_judges(tiny: Callable[[Value], Value], name: str) -> None:
    models = [f"judge_models.{judge}=artifact:judge" for judge in LLM_JUDGES]
    found = compose("train", [f"judges={name}", *models, "models_device=cpu"])

    configured: Any = {
        str(k): components(f"judges.{k}", OmegaConf.to_container(v, resolve=True)) for k, v in found.judges.items()
    }
    made = make(tiny(configured))
    for judge in made.values():
        assert isinstance(judge, Judge)
        judge.close()
    assert bool(made) is (name != "none")


@pytest.mark.parametrize("root", ["train", "judge"])
@pytest.mark.parametrize("name", choices("panel"))
def test_panels(name: str, root: str) -> None:
    assert make_with(group("panel", name, root=root), judges={}).names == ()


@pytest.mark.parametrize("name", alone("reward"))
def test_rewards(tiny: Callable[[Value], Value], name: str) -> None:
    configured = {
        key: reward.given(device="cpu", quantization=None) if "path" in reward.arguments else reward
        for key, reward in group("reward", name).items()
    }
    assert all(callable(reward.score) for reward in make(tiny(configured)).values())


@pytest.mark.parametrize("name", alone("model"))
def test_models(tiny: Callable[[Value], Value], name: str) -> None:
    config = compose("train", [f"model={name}", "model.path=artifact:policy"]).model
    assert load_policy(str(tiny(config.path)), config.dtype, config.gradient_checkpointing).context_length > 0


@pytest.mark.parametrize("name", choices("rollout"))
def test_rollouts(name: str) -> None:
    assert make(group("rollout", name)).max_new_tokens > 0


@pytest.mark.parametrize("name", alone("pipeline"))
def test_pipelines(name: str) -> None:
    model = ["model.path=any", "tasks=stories", "data=stories", "reward=stories"] if name == "stories" else []
    if name == "none":
        model = ["model.path=any", "tasks=real_gsm8k", "data=gsm8k", "reward=constant", "judges=math"]
    check_recipes(read(f"pipeline={name}", *model).pipeline)


@pytest.mark.parametrize("name", choices("trainer"))
def test_trainers(name: str) -> None:
    trainer = read(f"trainer={name}").trainer
    assert (trainer.threads, trainer.resume) == ("auto", None)
    if name.startswith("gpu") and not torch.cuda.is_available():
        with pytest.raises(UserError, match=r"trainer.options: .*gpu"):
            hardware_of(trainer)
    else:
        fixed = {"cpu": 1, "gpu": 1, "gpu_bf16": 1, "fsdp_8": 8, "fsdp_tp_4x8": 32}
        assert hardware_of(trainer).processes == fixed.get(name, torch.cuda.device_count() or 2)


@pytest.mark.parametrize("name", choices("logger"))
def test_loggers(name: str) -> None:
    found = group("logger", name)
    assert set(found) <= {"wandb"}
    assert {logger.target for logger in found.values()} <= {f"{wandb_logger.__module__}.{wandb_logger.__name__}"}


@pytest.mark.parametrize("name", alone("experiment"))
def test_experiments(shared: Path, name: str) -> None:
    line = [f"experiment={name}", f"model.path={shared}/models/stories260K", f"data_dir={shared}/data"]
    found = read(*line)
    check_run(found)
    files = [source.arguments["path"] for source in found.data.values() if "path" in source.arguments]
    assert all(Path(file).is_file() for file in files)


@pytest.mark.parametrize(
    ("optimizer", "updates", "rate", "limits"),
    [
        ("crpg", 60, 1e-3, [100.0, 100.0, 100.0, 100.0]),
        ("crraft", 90, 6e-4, [60.0, 60.0, 6.0, 60.0]),
        ("codpo", 90, 3e-4, [100.0, 100.0, 100.0, 100.0]),
        ("ppo", 60, 5e-4, [100.0, 100.0, 100.0, 100.0]),
    ],
)
def test_stories_suit_each_optimizer(optimizer: str, updates: int, rate: float, limits: list[float]) -> None:
    found = read("experiment=stories", f"optimizer={optimizer}", "model.path=models/any")
    assert (found.updates, found.optim.learning_rate, found.optim.final_factor) == (updates, rate, 0.1)
    assert [task.kl_max for task in found.tasks.values()] == limits
    assert read("experiment=stories", f"optimizer={optimizer}", "model.path=m/any", "updates=3").updates == 3


def test_what_suits_an_optimizer_is_found_in_ones_own_folder(tmp_path: Path) -> None:
    for file, text in {
        "experiment/mine.yaml": "# @package _global_\nupdates: 3\n",
        "tuned/mine/crraft.yaml": "# @package _global_\nupdates: 4\n",
    }.items():
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).write_text(text)
    updates = [compose("train", ["experiment=mine", f"optimizer={o}"], [tmp_path]).updates for o in ("crpg", "crraft")]
    assert updates == [3, 4]


@pytest.mark.parametrize(
    ("override", "chosen", "tasks", "names"),
    [
        ("judges=all", RULE_JUDGES | LLM_JUDGES, "paper", TASKS),
        ("judges=rules", RULE_JUDGES, "paper", TASKS),
        ("judges=llm", LLM_JUDGES, "paper", TASKS),
        ("judges=none", set(), "paper", TASKS),
        ("judges=[math,code]", {"math", "code"}, "reasoning", ["math_code"]),
        ("judges=llm", LLM_JUDGES, "reasoning", ["math_code"]),
        ("judges=all", RULE_JUDGES | LLM_JUDGES, "[math_code,engagement]", ["math_code", "engagement"]),
    ],
)
def test_a_whole_run_is_put_together(
    tiny: Callable[[Value], Value], override: str, chosen: set[str], tasks: str, names: list[str]
) -> None:
    found: TrainConfig = read(override, f"tasks={tasks}", "rollout.max_new_tokens=8", "models_device=cpu", *SMALL)
    check_run(found)
    resolved = {key: tiny(getattr(found, key)) for key in ("reward", "judges")}
    whole = found.model_copy(update=resolved)
    said: list[str] = []
    policy = load_policy(str(tiny(found.model.path)))
    experts = build_experts(whole, load_prompts(whole), policy, said.append)
    try:
        assert [expert.name for expert in experts] == names
        for expert in experts:
            assert tuple(expert.panel.names) == found.tasks[expert.name].judges
            assert set(expert.panel.names) <= chosen
            assert (len(expert.prompts), len(expert.held_out)) == (4, 2)
        assert said == []
    finally:
        close_panels(experts)


def test_every_judges_choice_has_the_name_of_its_key() -> None:
    for name in choices("judges"):
        text = (CONF / f"judges/{name}.yaml").read_text()
        if "@package judges" in text:
            assert f"\n{name}:\n" in text, name
