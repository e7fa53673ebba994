"""How a run begins: what is checked before anything dear is built."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console
from cgpo.build.tasks import load_prompts
from cgpo.build.plan import judge_choices
from cgpo.build.models import check_hub
from cgpo.build.artifacts import Announce, artifact_store
from cgpo.build.plan import Config, plan_of
from cgpo.runs.process import quiet, screen, set_threads
from cgpo.runs.resume import LOCK, check_same, resume_of
from cgpo.runs.folder import write_config
from cgpo.build.values import check_values
from cgpo.data.source import PromptSplits
from cgpo.stages.artifacts import ArtifactStore
from cgpo.training.hardware import Hardware, check_rendezvous, hardware_of
from cgpo.distributed.rendezvous import Rendezvous, find_rendezvous, supervised, broadcast


@dataclass(frozen=True)
class Session:
    """A run that may begin: all that can be known to be wrong without building anything dear is right.

    Attributes:
        folder: of the run; it holds the configuration.
        console: the screen.
        announce: says a line about what is being done.
        plan: see `cgpo.build.plan`.
        prompts: of each task.
        store: what the pipeline makes.
        hardware: what it trains on.
        seat: of this process; `None` where it is to train alone, or to start those that do.
        resumed: the run was begun before.
    """

    folder: Path
    console: Console
    announce: Announce
    plan: Config
    prompts: dict[str, PromptSplits]
    store: ArtifactStore
    hardware: Hardware
    rendezvous: Rendezvous | None
    resumed: bool

    @property
    def first(self) -> bool:
        """Whether this process writes the run's files."""
        return self.rendezvous is None or self.rendezvous.rank == 0

    @property
    def reads_weights(self) -> bool:
        """Whether this process reads the policy's weights: where each has a piece of them, the first does for all."""
        whole_reference = self.plan["reference_device"] or self.plan["reference_quantization"]
        return self.first or self.hardware.strategy != "fsdp" or whole_reference is not None


def begin(config: DictConfig, plan: Config | None = None) -> Session:
    """Checks a configuration and claims its run's folder.

    Args:
        config: as Hydra composed it.
        plan: where the command reads more of the configuration than training does; already read and checked for that.

    Raises:
        UserError: the configuration or a data file is not what it should be.
    """
    quiet()
    taken = find_rendezvous()
    console, announce = screen(silent=taken is not None and taken.rank > 0)
    folder = Path(HydraConfig.get().runtime.output_dir)
    plan = plan_of(config, judge_choices(config)) if plan is None else plan
    check_values(plan)
    check_hub(plan)
    set_threads(plan["trainer"]["threads"])
    hardware = hardware_of(plan["trainer"])
    check_rendezvous(hardware, taken)
    prompts = load_prompts(plan)
    resumed = broadcast(_goes_on(config, folder))
    if not supervised() and (taken is None or taken.rank == 0):
        check_same(folder, config) if resumed else write_config(folder, config)
    # What the supervisor has made it has announced, too.
    store = artifact_store(plan, screen(silent=True)[1] if supervised() else announce)
    return Session(folder, console, announce, plan, prompts, store, hardware, taken, resumed)


def _goes_on(config: DictConfig, folder: Path) -> bool:
    """Whether the run was begun before; its supervisor has written the configuration of a new one by now, too."""
    if resume_of(config, HydraConfig.get().job.config_name) is None:
        return False
    return (folder / (LOCK if supervised() else "config.yaml")).is_file()
