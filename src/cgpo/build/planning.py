"""From a training configuration to the run whose memory is estimated."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any
from omegaconf import DictConfig, OmegaConf
from cgpo.build.devices import AUTO
from cgpo.build.artifacts import artifact_store
from cgpo.build.plan import Config, plan_of
from cgpo.build.values import Rule, check_rules, whole
from cgpo.errors import UserError
from cgpo.memory.job import Job, Strategy, Weights
from cgpo.memory.shape import shape_of
from cgpo.models.pretrained import torch_dtype
from cgpo.stages.artifacts import PREFIX
from cgpo.stages.random_model import toy


GPU = "gpu"
POSITIVE: Rule = (lambda value: isinstance(value, int | float) and value > 0, "a number above 0")
RULES: Mapping[str, Rule] = {
    "plan.gpu_gb": POSITIVE,
    "plan.host_gb": (lambda value: value is None or POSITIVE[0](value), "a number above 0, or null"),
    "plan.usable": (lambda value: POSITIVE[0](value) and value <= 1, "a number above 0 and of at most 1"),
    "plan.prompt_tokens": whole(1),
    "plan.format": (lambda value: value in ("table", "markdown", "json"), "table, markdown or json"),
}


def planning_plan(config: DictConfig, judge_choices: Collection[str]) -> Config:
    """Plain containers of a composed configuration; models without a device of their own are taken to lie on the GPU.

    Raises:
        UserError: a value is missing, or is not what it should be.
    """
    if config.models_device == AUTO:
        # The machine that plans need not be the one that trains.
        OmegaConf.update(config, "models_device", GPU)
    plan = plan_of(config, judge_choices)
    check_rules(plan, RULES, "")
    torch_dtype(plan["model"]["dtype"])
    return plan


def job_of(plan: Config) -> Job:
    """The run of a plan.

    Raises:
        UserError: the size of a model is not known, or the strategy is none.
    """
    model, settings, rollouts = plan["model"], plan["plan"], [task["rollout"] for task in plan["tasks"].values()]
    policy = Weights("policy", shape_of(_architecture(model["path"], plan)), model["dtype"])
    lora = model.get("lora") or {}
    rows = [rollout.get("max_batch") for rollout in rollouts]
    reference = replace(
        policy,
        name="reference",
        quantization=plan["reference_quantization"],
        device="cpu" if plan["reference_device"] == "cpu" else GPU,
    )
    return Job(
        policy=policy,
        strategy=strategy_of(plan["trainer"]),
        reference=None if lora.get("r") else reference,
        helpers=tuple(_helpers(plan)),
        rank=lora.get("r"),
        targets=lora.get("targets") or "all-linear",
        checkpointing=model["gradient_checkpointing"],
        max_tokens=plan["update"]["max_tokens"],
        responses=max(task["batch_size"] * task["responses_per_prompt"] for task in plan["tasks"].values()),
        most_rows=max(rows) if all(rows) else None,
        prompt_tokens=settings["prompt_tokens"],
        response_tokens=max(rollout["max_new_tokens"] for rollout in rollouts),
    )


def strategy_of(trainer: Mapping[str, Any]) -> Strategy:
    """The strategy of the group `trainer`; what it does not say is Lightning's, or one device."""
    options = trainer.get("options") or {}
    devices = trainer.get("devices", options.get("devices", 1))
    return Strategy(
        name=trainer.get("strategy", "single"),
        devices=devices if isinstance(devices, int) else 1,
        nodes=trainer.get("nodes", 1),
        tensor_parallel=trainer.get("tensor_parallel", 1),
        precision=str(trainer.get("precision", options.get("precision", "32-true"))),
    )


def _helpers(plan: Config) -> Iterator[Weights]:
    """Reward models and judge models; judges that name the same model in the same place share it."""
    for name, config in plan["reward"].items():
        if config.get("path"):
            shape = shape_of(_architecture(config["path"], plan), "reward")
            yield _weights(f"reward: {name}", shape, config, "float32")
    shared: dict[tuple[Any, ...], list[str]] = {}
    for name, config in plan["judges"].items():
        if config.get("model"):
            place = (config["model"], config.get("device"), config.get("quantization"))
            shared.setdefault(place, []).append(name)
    for names in shared.values():
        config = plan["judges"][names[0]]
        shape = shape_of(_architecture(config["model"], plan))
        yield replace(_weights(f"judge: {', '.join(names)}", shape, config, "auto"), asked_alone=True)


def _weights(name: str, shape: Any, config: Mapping[str, Any], dtype: str) -> Weights:
    device = "cpu" if config.get("device", "cpu") == "cpu" else GPU
    return Weights(name, shape, config.get("dtype", dtype), config.get("quantization"), device)


def _architecture(path: str, plan: Config) -> Mapping[str, Any] | str:
    """What is known of a model: its numbers, or a folder or hub id whose `config.json` says them.

    Raises:
        UserError: it is an artifact that is not made yet, and whose size nothing says.
    """
    if path.startswith(PREFIX):
        return _of_artifact(path.removeprefix(PREFIX), plan)
    if path == plan["model"]["path"] and plan["architecture"]:
        return plan["architecture"]
    known = {model["full"]: model["architecture"] for model in (plan.get("models") or {}).values()}
    return known.get(path, path)


def _of_artifact(name: str, plan: Config) -> Mapping[str, Any] | str:
    recipe = plan["pipeline"].get(name) or {}
    if "architecture" in recipe:
        return toy(recipe["architecture"])
    store = artifact_store(plan, lambda _: None)
    folder = store.folder / name / store.key(name)
    if folder.is_dir():
        return str(folder)
    raise UserError(
        f"{PREFIX}{name} is not made yet, so that its size is not known: a run that trains with it makes it"
    )
