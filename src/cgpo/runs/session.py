"""How a run begins: what is checked before anything dear is built."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from cgpo.build.artifacts import artifact_store
from cgpo.build.checks import check_hub, check_run
from cgpo.build.devices import placed_run, training_device
from cgpo.build.tasks import load_prompts
from cgpo.config import TrainConfig
from cgpo.data.source import PromptSplits
from cgpo.distributed.rendezvous import Rendezvous, broadcast, find_rendezvous, supervised
from cgpo.progress import SilentScreen, say
from cgpo.runs.folder import write_config
from cgpo.runs.process import quiet, set_threads
from cgpo.runs.resume import LOCK, check_same, resume_of
from cgpo.stages.artifacts import ArtifactStore
from cgpo.training.hardware import Hardware, check_rendezvous, hardware_of


@dataclass(frozen=True)
class Session:
    """A run that may begin: all that can be known to be wrong without building anything dear is right.

    Attributes:
        folder: of the run; it holds the configuration.
        config: what the run is told to do; where its models lie is decided.
        prompts: of each task.
        store: what the pipeline makes.
        hardware: what it trains on.
        rendezvous: of this process; `None` where it is to train alone, or to start those that do.
        resumed: the run was begun before.
    """

    folder: Path
    config: TrainConfig
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
        whole_reference = self.config.reference_device or self.config.reference_quantization
        return self.first or self.hardware.strategy != "fsdp" or whole_reference is not None


def begin(config: TrainConfig, composed: DictConfig) -> Session:
    """Checks what only making it can tell, and claims the run's folder.

    Args:
        config: what the run is told to do.
        composed: the same as Hydra composed it, which the folder keeps.

    Raises:
        UserError: the configuration or a data file is not what it should be.
    """
    quiet()
    taken = find_rendezvous()
    folder = Path(config.run_folder)
    config = placed_run(config, training_device(config.trainer))
    check_run(config)
    check_hub(config)
    set_threads(config.trainer.threads)
    hardware = hardware_of(config.trainer)
    check_rendezvous(hardware, taken)
    prompts = load_prompts(config)
    resumed = broadcast(_goes_on(composed, folder))
    if not supervised() and (taken is None or taken.rank == 0):
        check_same(folder, composed) if resumed else write_config(folder, composed)
    # What the launcher has made it has said, too.
    store = artifact_store(config.cache_dir, config.pipeline, SilentScreen().say if supervised() else say)
    return Session(folder, config, prompts, store, hardware, taken, resumed)


def _goes_on(composed: DictConfig, folder: Path) -> bool:
    """Whether the run was begun before; its launcher has written the configuration of a new one by now, too."""
    command = HydraConfig.get().job.name if HydraConfig.initialized() else "train"
    if resume_of(composed, command) is None:
        return False
    return (folder / (LOCK if supervised() else "config.yaml")).is_file()
