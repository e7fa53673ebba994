"""From the configuration of the command that runs standard benchmarks to what it asks."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from cgpo.build.components import check_classes, try_to_make
from cgpo.build.plan import MIXES
from cgpo.build.plan import Config, resolved
from cgpo.build.values import Rule, check_rules, whole
from cgpo.errors import choose
from cgpo.errors import UserError
from cgpo.standard_benchmarks import Benchmark
from cgpo.standard_benchmarks.benchmark import Documents
from cgpo.models.pretrained import require_model_path, torch_dtype


POSITIVE, NOT_NEGATIVE = whole(1)[0], whole(0)[0]
RULES: Mapping[str, Rule] = {
    "limit": (lambda value: value is None or POSITIVE(value), "a whole number above 0, or null for all"),
    "num_fewshot": (
        lambda value: value is None or NOT_NEGATIVE(value),
        "a whole number of at least 0, or null for each task's own",
    ),
    "batch_size": (lambda value: value == "auto" or POSITIVE(value), "a whole number above 0, or auto"),
    "max_new_tokens": (lambda value: value is None or POSITIVE(value), "a whole number above 0, or null"),
    "chat_template": (lambda value: isinstance(value, bool), "true or false"),
    "system_prompt": (lambda value: value is None or isinstance(value, str), "a text, or null"),
    "seed": whole(0),
    "bootstrap": whole(0),
    "data_dir": (lambda value: value is None or isinstance(value, str), "a folder, or null for the hub's data"),
}


def this_run() -> tuple[Path, list[str], list[str]]:
    """The run's folder, the command line's overrides, and the names of the benchmarks there are."""
    choices = GlobalHydra.instance().config_loader().get_group_options("benchmarks")
    config = HydraConfig.get()
    return Path(config.runtime.output_dir), list(config.overrides.task), [name for name in choices if name not in MIXES]


def benchmark_plan(config: DictConfig, choices: list[str]) -> Config:
    """Plain containers of a composed configuration, every value checked.

    Args:
        config: as Hydra composed it.
        choices: names of the benchmarks there are.

    Raises:
        UserError: a value is missing or is not what it should be, or the extra `lm-eval` is not installed.
    """
    if not config.benchmarks:
        raise UserError(f"benchmarks is missing: {choose('', choices)}, or a list of them, benchmarks=[gsm8k,ifeval]")
    plan = resolved(config)
    check_rules(plan, RULES, "")
    try:
        require_model_path(plan["model"]["path"])
    except UserError as error:
        raise UserError(f"model.path: {error}") from error
    torch_dtype(plan["model"]["dtype"])
    for group in ("benchmarks", "sandbox"):
        check_classes(group, plan[group])
    if find_spec("lm_eval") is None:
        raise UserError("lm-eval, which asks and scores the benchmarks, is missing: pip install 'cgpo[lm-eval]'")
    return plan


def build_benchmarks(plan: Config) -> tuple[dict[str, Benchmark], dict[str, Documents]]:
    """The benchmarks of a plan, and the documents of those that are read from files.

    Raises:
        UserError: a benchmark cannot be made, or a file is not what it should be.
    """
    benchmarks: dict[str, Benchmark] = {
        name: try_to_make(f"benchmarks.{name}", config) for name, config in plan["benchmarks"].items()
    }
    folder = plan["data_dir"]
    if folder is None:
        return benchmarks, {}
    if not Path(folder).is_dir():
        raise UserError(
            f"data_dir is {folder}: there is no such folder; name the folder of the benchmarks' files, or write "
            "data_dir=null to take their data from the hub"
        )
    documents: dict[str, Documents] = {}
    for name, benchmark in benchmarks.items():
        try:
            documents[name] = benchmark.read(folder)
        except UserError as error:
            raise UserError(f"benchmarks.{name}.file: {error}") from error
    return benchmarks, documents
