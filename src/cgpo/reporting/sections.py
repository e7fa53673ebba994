"""Which metrics of some runs are drawn together, for the report and for the dashboard alike."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from cgpo.metrics import GROUPS, METRICS, STAGES, Group, find


@dataclass(frozen=True)
class Drawn:
    """A metric in a panel: its name, what tells it from the panel's others, and how it is drawn."""

    name: str
    label: str
    style: str


@dataclass(frozen=True)
class Panel:
    """What is drawn on one pair of axes.

    Attributes:
        task: whose it is; empty where it is no task's.
        part: the judge, the pair of judges, or the name that it is of; empty where it is the whole task's.
        metrics: what is drawn.
    """

    task: str
    part: str
    metrics: tuple[Drawn, ...]


@dataclass(frozen=True)
class Section:
    """A group with its panels."""

    group: Group
    panels: tuple[Panel, ...]


def sections(names: Iterable[str], tasks: Sequence[str]) -> list[Section]:
    """Where some metrics are drawn: the groups that have any, then undeclared ones by the first part of their names.

    Args:
        names: of metrics, in any order; those that are only logged are left out.
        tasks: the tasks that they are of, in the order in which they are shown.
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
            unknown.setdefault(first, []).append(Panel(*place, (Drawn(name, "", "curve"),)))
    for first, panels in unknown.items():
        group = Group(f"other-{first}", f"Others: {first}", "Metrics that cgpo itself does not log.", split=True)
        found.append(Section(group, tuple(panels)))
    return [section for section in found if section.panels]


JUDGE_DEPTH = 3
"""Slashes in the name of a judge's metric."""


def is_drawn(name: str) -> bool:
    """Whether the report draws a metric: one of a group that it shows, or one that nobody declared."""
    metric = find(name)
    return metric is None or any(group.key == metric.group and group.report for group in GROUPS)


def _place(name: str) -> tuple[int, str]:
    """Stages in the order of an iteration, other metrics by name."""
    stage = name.removeprefix("time/")
    return (STAGES.index(stage) if stage in STAGES and stage != name else len(STAGES), name)


def _panels(group: Group, names: Sequence[str], tasks: Sequence[str], judged: Collection[str]) -> tuple[Panel, ...]:
    drawn: dict[tuple[str, str], list[Drawn]] = {}
    for metric in (metric for metric in METRICS if metric.group == group.key):
        for name in names:
            if find(name) is not metric or (match := metric.pattern.fullmatch(name)) is None:
                continue
            task = match[1] if "<task>" in metric.name else ""
            part = "" if match[match.lastindex or 0] == task else match[match.lastindex or 0]
            if not metric.judged or task in judged:
                place = (task, part if group.split else "")
                drawn.setdefault(place, []).append(Drawn(name, metric.label or part, metric.style))
    order = sorted(drawn, key=lambda place: (tasks.index(place[0]) if place[0] in tasks else len(tasks), place))
    return tuple(Panel(*place, tuple(drawn[place])) for place in order)
