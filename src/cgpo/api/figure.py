"""A picture of a run: reward against success on held-out prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cgpo.errors import UserError
from cgpo.run_files import Series

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = 3
"""Panels beside each other."""
WIDTH, HEIGHT = 4.0, 3.4
"""Inches of a panel."""
HELD_OUT = ("success", "satisfied_rate")
"""What may stand for success, the first that was logged."""


def reward_and_success(tasks: Sequence[str], metrics: Mapping[str, Series], title: str) -> Figure:
    """A panel a task: each evaluation is a point, the first a ring, the last a disc.

    Args:
        tasks: names, in order.
        metrics: of a run, see `cgpo.run_files.Run.metrics`.
        title: above all panels.

    Raises:
        UserError: matplotlib is not installed, or nothing was evaluated.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UserError("the picture is drawn by matplotlib, which is missing: pip install 'cgpo[plot]'") from error
    ways = {task: way for task in tasks if (way := _way(metrics, task)) is not None}
    if not ways:
        raise UserError(f"{title}: no task was evaluated on held-out prompts, so that there is nothing to draw")
    rows = -(-len(ways) // COLUMNS)
    columns = min(COLUMNS, len(ways))
    figure: Any = Figure(figsize=(WIDTH * columns, HEIGHT * rows), layout="constrained")
    panels: list[Any] = list(figure.subplots(rows, columns, squeeze=False).flat)
    for panel, (task, (name, points)) in zip(panels, ways.items(), strict=False):
        rewards, shares = zip(*points, strict=True)
        panel.plot(rewards, shares, color="tab:blue", marker=".", linewidth=1)
        panel.plot(rewards[0], shares[0], color="tab:blue", marker="o", markerfacecolor="white", linestyle="none")
        panel.plot(rewards[-1], shares[-1], color="tab:blue", marker="o", linestyle="none")
        panel.set(title=task, xlabel="reward", ylabel=name, ylim=(-0.03, 1.03))
        panel.grid(alpha=0.3)
    for panel in panels[len(ways) :]:
        panel.set_axis_off()
    figure.suptitle(f"{title}: from ○ before to ● after")
    return figure


def _way(metrics: Mapping[str, Series], task: str) -> tuple[str, list[tuple[float, float]]] | None:
    """What stands for success, and (reward, success) of each evaluation that has both."""
    reward = metrics.get(f"eval/{task}/reward")
    for name in HELD_OUT:
        share = metrics.get(f"eval/{task}/{name}")
        if reward is not None and share is not None:
            at = dict(zip(reward.steps, reward.values, strict=True))
            points = [(at[step], value) for step, value in zip(share.steps, share.values, strict=True) if step in at]
            if points:
                return name.replace("_rate", " by the judges"), points
    return None
