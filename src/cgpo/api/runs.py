"""A run's folder as an object: its summary, policy, metrics, samples, and a picture."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from cgpo import run_files
from cgpo.api.results import Result, html_of, text_of
from cgpo.errors import UserError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cgpo.policy.causal import CausalPolicy


class Summary(Result):
    """What a run came to, as `summary.json` has it: held-out numbers of every task before and after, and findings."""

    def view(self) -> RenderableType:
        """What a person is shown, as rich draws it."""
        from cgpo.training.summary import summary_view

        return summary_view(self)


@dataclass(frozen=True, repr=False)
class Run(run_files.Run):
    """A run's folder.

    Example:
        ```python
        import cgpo

        run = cgpo.load_run("runs/first")
        print(run.summary)
        print(run.metrics["train/sums/reward"].values[-1])
        run.plot().savefig("run.png")
        ```

    Attributes:
        folder: with `config.yaml`, and what the run has written so far.
    """

    @cached_property
    def summary(self) -> Summary | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What the run came to: a mapping, printed as a table; `None` where it has not ended."""
        found = super().summary
        return None if found is None else Summary(found)

    @cached_property
    def policy(self) -> CausalPolicy:
        """The trained policy, loaded when it is first asked for.

        Raises:
            UserError: the run has not ended.
        """
        from cgpo.api.models import load_policy

        folder = self.folder / "policy"
        if not folder.is_dir():
            raise UserError(f"{self.folder}: there is no policy yet, the run has not ended")
        return load_policy(str(folder))

    def plot(self) -> Figure:
        """Reward against success on held-out prompts, a panel a task; a rising reward should not cost success.

        Where a task has no gold judge, the share of responses that its judges are satisfied with takes the place of
        success.

        Returns:
            A figure, which a notebook shows.

        Raises:
            UserError: matplotlib is not installed, or nothing was evaluated.
        """
        from cgpo.api.figure import reward_and_success

        return reward_and_success(self.tasks, self.metrics, str(self.folder))

    def view(self) -> RenderableType:
        """What a person is shown, as rich draws it."""
        summary = self.summary
        end = "" if summary is not None else ": not at its end yet"
        where = Text(f"run in {self.folder}{end}")
        return where if summary is None else Group(summary, where)

    def __rich__(self) -> RenderableType:
        return self.view()

    def __repr__(self) -> str:
        return text_of(self.view())

    def _repr_html_(self) -> str:
        return html_of(self.view())


def load_run(folder: str | PathLike[str]) -> Run:
    """A run by its folder, whichever command or program made it.

    Example:
        See `Run`.

    Args:
        folder: with its `config.yaml`.

    Raises:
        UserError: it is no run's folder.
    """
    return Run(run_files.load_run(Path(folder)).folder)
