"""From a training configuration to the run whose memory is estimated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from cgpo.build.artifacts import artifact_store
from cgpo.build.devices import placed_run
from cgpo.build.policies import dtype_of
from cgpo.config import (
    ARTIFACT,
    Component,
    PlanConfig,
    Precision,
    StrategyConfig,
    TrainerConfig,
    Value,
    named_models,
    plain,
)
from cgpo.errors import UserError
from cgpo.memory.job import Job, Layout, Weights
from cgpo.memory.shape import Shape, measure_shape
from cgpo.stages.random_model import toy_architecture

GPU = "gpu"


def job_of(config: PlanConfig) -> Job:
    """The run of a configuration; models without a device of their own are taken to lie on the GPU.

    Raises:
        UserError: the size of a model is not known, or the strategy is none.
    """
    # The machine that plans need not be the one that trains.
    config = placed_run(config, GPU)
    tasks = list(config.tasks.values())
    policy = Weights("policy", measure_shape(_architecture(config.model.path, config)), dtype_of(config))
    lora = config.model.lora
    rows = [_number(task.rollout, "max_batch") for task in tasks]
    reference = replace(
        policy,
        name="reference",
        quantization=config.reference_quantization,
        device="cpu" if config.reference_device == "cpu" else GPU,
    )
    return Job(
        policy=policy,
        layout=layout_of(config.trainer),
        reference=None if lora is not None else reference,
        helpers=tuple(_helpers(config)),
        rank=None if lora is None else lora.r,
        targets="all-linear" if lora is None else lora.targets if isinstance(lora.targets, str) else list(lora.targets),
        checkpointing=config.model.gradient_checkpointing,
        max_tokens=config.update.max_tokens,
        responses=max(task.batch_size * task.responses_per_prompt for task in tasks),
        max_rows=max(rows) if all(rows) else None,
        prompt_tokens=config.plan.prompt_tokens,
        response_tokens=max(_number(task.rollout, "max_new_tokens") for task in tasks),
    )


def layout_of(trainer: TrainerConfig | StrategyConfig, precision: Precision = "32-true") -> Layout:
    """How a run is spread.

    Args:
        trainer: the group `trainer`, or one of the strategies that are compared.
        precision: where it names none.
    """
    return Layout(
        strategy=trainer.strategy,
        devices=1 if trainer.devices == "auto" else trainer.devices,
        nodes=trainer.nodes,
        tensor_parallel=trainer.tensor_parallel,
        precision=trainer.precision or precision,
    )


def _number(component: Component, argument: str) -> int:
    value = component.get(argument)
    return value if isinstance(value, int) else 0


def _helpers(config: PlanConfig) -> Iterator[Weights]:
    """Reward models and judge models; judges that name the same model in the same place share it."""
    for name, reward in config.reward.items():
        for _, path in named_models(reward):
            yield _weights(f"reward: {name}", measure_shape(_architecture(path, config), "reward"), reward, "float32")
    shared: dict[tuple[Value, ...], list[str]] = {}
    for name, judge in config.judges.items():
        for _, path in named_models(judge):
            place = (path, judge.arguments.get("device"), judge.arguments.get("quantization"))
            shared.setdefault(place, []).append(name)
    for (path, *_), names in shared.items():
        shape = measure_shape(_architecture(str(path), config))
        weights = _weights(f"judge: {', '.join(names)}", shape, config.judges[names[0]], "auto")
        yield replace(weights, unsynchronized=True)


def _weights(name: str, shape: Shape, component: Component, dtype: str) -> Weights:
    given = {key: component.arguments.get(key) for key in ("dtype", "quantization", "device")}
    quantization = given["quantization"]
    return Weights(
        name,
        shape,
        str(given["dtype"] or dtype),
        None if quantization is None else str(quantization),
        "cpu" if (given["device"] or "cpu") == "cpu" else GPU,
    )


def _architecture(path: str, config: PlanConfig) -> Mapping[str, object] | str:
    """What is known of a model: its numbers, or a folder or hub id whose `config.json` says them.

    Raises:
        UserError: it is an artifact that is not made yet, and whose size nothing says.
    """
    if path.startswith(ARTIFACT):
        return _of_artifact(path.removeprefix(ARTIFACT), config)
    if path == config.model.path and config.model.architecture:
        return _numbers(config.model.architecture)
    models = config.variables.get("models")
    for model in models.values() if isinstance(models, Mapping) else ():
        if isinstance(model, Mapping) and model.get("full") == path:
            return _numbers(model.get("architecture"))
    return path


def _of_artifact(name: str, config: PlanConfig) -> Mapping[str, object] | str:
    recipe = config.pipeline.get(name)
    if recipe is not None and "architecture" in recipe.arguments:
        return toy_architecture(_numbers(recipe.arguments["architecture"]))
    store = artifact_store(config.cache_dir, config.pipeline, lambda _: None)
    folder = store.folder / name / store.key(name)
    if folder.is_dir():
        return str(folder)
    raise UserError(
        f"{ARTIFACT}{name} is not made yet, so that its size is not known: a run that trains with it makes it"
    )


def _numbers(architecture: Value) -> Mapping[str, object]:
    found = plain(architecture)
    return found if isinstance(found, Mapping) else {}
