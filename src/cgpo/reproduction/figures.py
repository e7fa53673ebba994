"""The figures of a comparison, drawn only from its results."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cgpo.errors import UserError
from cgpo.reproduction.results import Curve, Results

COLOURS = {
    "sft": "#999999",
    "warmup": "#000000",
    "dpo": "#56b4e9",
    "ipo": "#b5a642",
    "slic": "#b07aa1",
    "ppo": "#d55e00",
    "ppo_low_beta": "#8c564b",
    "crpg": "#0072b2",
    "crraft": "#009e73",
    "codpo": "#cc79a7",
    "crpg_without_judges": "#e69f00",
    "crpg_from_sft": "#999999",
    "crpg_from_dpo": "#56b4e9",
}
"""Colours that the colour-blind can tell apart (Okabe and Ito), except two."""
OTHERS = "#777777"


@dataclass(frozen=True)
class Figure:
    """A figure of the document.

    Attributes:
        name: the name of its file.
        title: the title of its section.
        methods: the methods that it shows, if they were compared.
        text: what it shows, and how to read it.
        draw: draws methods into a figure of matplotlib.
    """

    name: str
    title: str
    methods: Sequence[str]
    text: str
    draw: Callable[[Any, Results, Sequence[str]], None]

    def shown(self, results: Results) -> list[str]:
        """Returns the methods that it can show."""
        return results.present(self.methods)


def draw_figures(results: Results, folder: Path) -> list[tuple[Figure, Path]]:
    """Draws every figure for which there are at least two methods, as SVG.

    Returns:
        The figures with their files.

    Raises:
        UserError: matplotlib is missing.
    """
    plt = require_matplotlib()
    drawn: list[tuple[Figure, Path]] = []
    for figure in FIGURES:
        methods = figure.shown(results)
        if len(methods) < 2:
            continue
        path = folder / f"{figure.name}.svg"
        with _style(plt):
            canvas = plt.figure(layout="constrained")
            figure.draw(canvas, results, methods)
            canvas.savefig(path, metadata={"Date": None})
            plt.close(canvas)
        drawn.append((figure, path))
    return drawn


def require_matplotlib() -> Any:
    """Imports `matplotlib.pyplot` for drawing without a screen.

    Raises:
        UserError: it is not installed.
    """
    try:
        import matplotlib

        matplotlib.use("Agg")
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise UserError("the figures need matplotlib: pip install 'cgpo[plot]'") from error
    return plt


@contextmanager
def _style(plt: Any) -> Generator[None]:
    settings = {
        "svg.hashsalt": "cgpo",
        "svg.fonttype": "none",
        "font.size": 8,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.alpha": 0.2,
        "legend.frameon": False,
    }
    with plt.rc_context(settings):
        yield


def _over_updates(canvas: Any, results: Results, methods: Sequence[str]) -> None:
    """Draws success, and the learned reward below it, over the updates, with a column for each task."""

    def draw(panel: Any, method: str, task: str, name: str) -> None:
        if curve := results.curve(method, task, name):
            _band(panel, curve.steps, curve, results, method)

    _success_above_reward(canvas, results, methods, draw, "updates", shared=True)


def _band(panel: Any, x: Sequence[float], curve: Curve, results: Results, method: str) -> None:
    means = [value.mean for value in curve.values]
    colour = COLOURS.get(method, OTHERS)
    panel.plot(x, means, color=colour, label=results.title(method), linewidth=1.4)
    halves = [value.half or 0.0 for value in curve.values]
    low = [m - h for m, h in zip(means, halves, strict=True)]
    high = [m + h for m, h in zip(means, halves, strict=True)]
    panel.fill_between(x, low, high, color=colour, alpha=0.12, linewidth=0)


def _over_divergence(canvas: Any, results: Results, methods: Sequence[str]) -> None:
    """Draws success and learned reward against the root of the KL divergence; a dot marks the end of the run."""

    def draw(panel: Any, method: str, task: str, name: str) -> None:
        curve, divergence = results.curve(method, task, name), results.curve(method, task, "kl")
        if curve and divergence:
            x = [max(0.0, value.mean) ** 0.5 for value in divergence.values]
            y = [value.mean for value in curve.values]
            colour = COLOURS.get(method, OTHERS)
            panel.plot(x, y, color=colour, label=results.title(method), linewidth=1.2)
            panel.plot(x[-1:], y[-1:], "o", color=colour, markersize=4)

    _success_above_reward(canvas, results, methods, draw, "√KL (√nats)", shared="col")


def _success_above_reward(
    canvas: Any,
    results: Results,
    methods: Sequence[str],
    draw: Callable[[Any, str, str, str], None],
    x: str,
    shared: bool | str,
) -> None:
    """Draws two rows of panels with a column for each task.

    `draw` gets a panel, a method, a task and the name of a number.
    """
    canvas.set_size_inches(2.5 * len(results.tasks), 4.6)
    rows = (("success", "success"), ("learned_reward", "learned reward"))
    panels = canvas.subplots(2, len(results.tasks), sharex=shared, sharey="row", squeeze=False)
    for (name, label), row in zip(rows, panels, strict=True):
        for task, panel in zip(results.tasks, row, strict=True):
            for method in methods:
                draw(panel, method, task, name)
        row[0].set_ylabel(label)
    for task, top, bottom in zip(results.tasks, *panels, strict=True):
        top.set_title(task.replace("_", " "))
        bottom.set_xlabel(x)
    panels[0][0].set_ylim(-0.02, 1.02)
    _legend(canvas, panels[0][0])


def _pareto(canvas: Any, results: Results, methods: Sequence[str]) -> None:
    """Draws the final success of every two tasks against each other.

    Bars are intervals; a ring marks a method that no other one dominates.
    """
    tasks = results.tasks
    pairs = [(a, b) for i, a in enumerate(tasks) for b in tasks[i + 1 :]]
    columns = min(5, len(pairs))
    rows = -(-len(pairs) // columns)
    canvas.set_size_inches(2.5 * columns, 2.4 * rows)
    best = not_dominated(results, methods)
    panels = list(canvas.subplots(rows, columns, squeeze=False).flat)
    for (a, b), panel in zip(pairs, panels, strict=False):
        for method in methods:
            x, y = (results.mean(method, task, "sampled", "success") for task in (a, b))
            if x is None or y is None:
                continue
            colour = COLOURS.get(method, OTHERS)
            panel.errorbar(
                x.mean,
                y.mean,
                xerr=x.half,
                yerr=y.half,
                fmt="o",
                color=colour,
                markersize=4,
                elinewidth=0.6,
                label=results.title(method),
            )
            if method in best:
                panel.plot(x.mean, y.mean, "o", color=colour, markersize=9, markerfacecolor="none")
        panel.set(xlim=(-0.02, 1.05), ylim=(-0.02, 1.05))
        panel.set_xlabel(a.replace("_", " "))
        panel.set_ylabel(b.replace("_", " "))
    for panel in panels[len(pairs) :]:
        panel.set_visible(False)
    _legend(canvas, panels[0])


def not_dominated(results: Results, methods: Sequence[str]) -> set[str]:
    """Returns the Pareto front.

    These are the methods that no other one equals or beats in mean success on every task while beating them on one.
    """
    means: Mapping[str, list[float]] = {
        method: [
            interval.mean for task in results.tasks if (interval := results.mean(method, task, "sampled", "success"))
        ]
        for method in methods
    }
    whole = {method: values for method, values in means.items() if values and len(values) == len(results.tasks)}

    def dominated(own: list[float]) -> bool:
        return any(other != own and all(o >= m for o, m in zip(other, own, strict=True)) for other in whole.values())

    return {method for method, values in whole.items() if not dominated(values)}


def _legend(canvas: Any, panel: Any) -> None:
    handles, labels = panel.get_legend_handles_labels()
    if not labels:
        # A task without a gold judge has no success to draw.
        return
    canvas.legend(handles, labels, loc="outside lower center", ncols=min(6, len(labels)))


TRAINED = ("dpo", "ppo", "crpg", "crraft", "codpo")
FIGURES = (
    Figure(
        "curves",
        "Over the updates (the paper's figure 3)",
        TRAINED,
        "Success on held-out prompts, and the learned reward: that of the unified reward model for all methods, "
        "whatever they were trained on. Bands are 95 % intervals over the seeds.",
        _over_updates,
    ),
    Figure(
        "judges",
        "With and without judges (figure 4)",
        ("crpg", "crpg_without_judges"),
        "The same optimizer, prompts, rewards and steps; the judges alone are taken away.",
        _over_updates,
    ),
    Figure(
        "starts",
        "Where to start from (figure 5)",
        ("crpg", "crpg_from_sft", "crpg_from_dpo"),
        "CRPG from the DPO warm-up, from SFT, and from the final policy of the DPO run with the same seed. Each run's "
        "KL limits are taken from its own start.",
        _over_updates,
    ),
    Figure(
        "pareto",
        "Every two tasks against each other",
        ("sft", "warmup", *TRAINED, "crpg_without_judges"),
        "Mean success of the final policies. A ring marks a method that no other one shown equals or beats on all "
        "tasks at once.",
        _pareto,
    ),
    Figure(
        "overoptimisation",
        "Over-optimisation (arXiv 2210.10760, 2406.02900)",
        ("ppo", "ppo_low_beta", "dpo", "ipo", "slic", "crpg", "crpg_without_judges"),
        "Success and learned reward against the root of the KL divergence from the warm-up, from the first evaluation "
        "to the last (the dot). A curve that bends down above while it rises below is a reward that is being gamed.",
        _over_divergence,
    ),
)
