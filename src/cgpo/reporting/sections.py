"""Which metrics of some runs are drawn together, in the report and in the dashboard."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from cgpo.metrics import GROUPS, METRICS, STAGES, Group, find


@dataclass(frozen=True)
class Curve:
    """A metric in a panel.

    Attributes:
        name: the name of the metric.
        label: what tells it from the others in the panel.
        style: how it is drawn; see `cgpo.metrics.Metric.style`.
    """

    name: str
    label: str
    style: str


@dataclass(frozen=True)
class Panel:
    """The curves on one pair of axes.

    Attributes:
        task: the task that they belong to; empty if they belong to none.
        part: the judge, the pair of judges, or the name that they are about; empty if they are about the whole task.
        metrics: the curves.
    """

    task: str
    part: str
    metrics: tuple[Curve, ...]


@dataclass(frozen=True)
class Section:
    """A group of metrics with its panels."""

    group: Group
    panels: tuple[Panel, ...]


def sections(names: Iterable[str], tasks: Sequence[str]) -> list[Section]:
    """Arranges metrics: groups that have any come first, then undeclared metrics by the first part of their names.

    Args:
        names: the names of the metrics, in any order; those that are only logged are left out.
        tasks: the names of the tasks, in the order in which they are shown.
    """
    ordered = sorted(set(names), key=_place)
    judged = {name.split("/")[1] for name in ordered if name.startswith("judges/") and name.count("/") == JUDGE_DEPTH}
    found = [Section(group, _panels(group, ordered, tasks, judged)) for group in GROUPS]
    unknown: dict[str, list[Panel]] = {}
    for name in ordered:
        if find(name) is None:
            first, _, rest = name.partition("/")
            task, _, part = rest.partition("/")
            place = (task, part) if task in tasks and part else ("", rest or name)
            unknown.setdefault(first, []).append(Panel(*place, (Curve(name, "", "curve"),)))
    for first, panels in unknown.items():
        group = Group(f"other-{first}", f"Others: {first}", "Metrics that cgpo itself does not log.", split=True)
        found.append(Section(group, tuple(panels)))
    return [section for section in found if section.panels]


JUDGE_DEPTH = 3
"""The number of slashes in the name of a judge's metric."""


def is_drawn(name: str) -> bool:
    """Tells whether the report draws a metric: it is in a group that is shown, or it is not declared."""
    metric = find(name)
    return metric is None or any(group.key == metric.group and group.report for group in GROUPS)


def _place(name: str) -> tuple[int, str]:
    """Sorts stages in the order of an iteration, and other metrics by name."""
    stage = name.removeprefix("time/")
    return (STAGES.index(stage) if stage in STAGES and stage != name else len(STAGES), name)


def _panels(group: Group, names: Sequence[str], tasks: Sequence[str], judged: Collection[str]) -> tuple[Panel, ...]:
    drawn: dict[tuple[str, str], list[Curve]] = {}
    for metric in (metric for metric in METRICS if metric.group == group.key):
        for name in names:
            if find(name) is not metric or (match := metric.pattern.fullmatch(name)) is None:
                continue
            task = match[1] if "<task>" in metric.name else ""
            part = "" if match[match.lastindex or 0] == task else match[match.lastindex or 0]
            if not metric.judged or task in judged:
                place = (task, part if group.split else "")
                drawn.setdefault(place, []).append(Curve(name, metric.label or part, metric.style))
    order = sorted(drawn, key=lambda place: (tasks.index(place[0]) if place[0] in tasks else len(tasks), place))
    return tuple(Panel(*place, tuple(drawn[place])) for place in order)
