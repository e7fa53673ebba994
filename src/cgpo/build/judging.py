"""From the configuration of the command that judges a file to its judges."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from cgpo.build.artifacts import Announce, artifact_store, resolved
from cgpo.build.checks import check_recipes
from cgpo.build.devices import placed, training_device
from cgpo.build.objects import make, make_with
from cgpo.build.panels import build_panel
from cgpo.config import JudgeFileConfig, Plain, artifacts, plain
from cgpo.judges.base import Judge, check_judge
from cgpo.protocols import JudgePanel

SPENDING = frozenset({"cache", "max_calls", "max_tokens", "beyond_cap"})
"""Settings of the panel that may change where a file is taken up again: verdicts do not depend on them."""


@dataclass(frozen=True)
class Judging:
    """What a file is judged with.

    Attributes:
        judges: by name.
        panel: the same judges as one.
        settings: what the verdicts depend on.
    """

    judges: Mapping[str, Judge]
    panel: JudgePanel
    settings: Mapping[str, Plain]

    def close(self) -> None:
        """Closes the judges that hold processes or connections."""
        with suppress(OSError):
            self.panel.close()


def build_judging(config: JudgeFileConfig, announce: Announce) -> Judging:
    """The judges of a configuration; what the pipeline has to make for them is made.

    Raises:
        UserError: a judge cannot be made; the message names it.
    """
    make_with(config.panel, judges={})
    config = config.model_copy(update={"judges": placed(config.judges, training_device())})
    if artifacts(config.judges):
        check_recipes(config.pipeline)
        config = resolved(config, artifact_store(config.cache_dir, config.pipeline, announce), "judges")
    judges = {name: check_judge(f"judges.{name}", make(judge)) for name, judge in config.judges.items()}
    rules = {name: value for name, value in config.panel.arguments.items() if name not in SPENDING}
    settings = {"judges": plain(config.judges), "panel": plain(replace(config.panel, arguments=rules))}
    return Judging(judges, build_panel(config.panel, judges, config.judges), settings)
