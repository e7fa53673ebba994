"""Every metric of a run: its name, what it means, and where it is drawn.

The report, the W&B dashboard and the documentation take all they know about metrics from here. A metric that is not
declared, such as one that a user's `Observer` logs, is drawn all the same, grouped by the first part of its name.

Names are patterns: `train/<task>/kl` stands for one metric of each task. What stands in `<…>` has no slash, except in
the last part of a name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Literal

STAGES = ("baselines", "rollout", "reward", "reference", "judges", "gather", "update", "step", "checkpoint")
"""The stages of an update, in order: what `time/<stage>` is logged of."""


@dataclass(frozen=True)
class Group:
    """Metrics that are drawn together, in a panel for each task.

    Attributes:
        key: a short name, unique.
        title: what the section is called.
        about: what a reader should know of it, in a sentence or two.
        share: whether its values are shares, drawn on an axis from 0 to 1.
        split: whether the report draws a panel for each judge (or pair of judges, or name), not only for each task.
        stacked: whether its curves are drawn on top of each other.
        events: whether the report marks the alarms of a task in its panels.
        report: whether the report draws it.
    """

    key: str
    title: str
    about: str = ""
    share: bool = False
    split: bool = False
    stacked: bool = False
    events: bool = False
    report: bool = True


@dataclass(frozen=True)
class Metric:
    """A metric, or one for each task, judge and so on.

    Attributes:
        name: its pattern.
        meaning: in words.
        unit: what its values count or measure.
        better: which way is better, where that can be said.
        group: the key of the group in which it is drawn; empty for one that is only logged.
        label: what tells it from the others of its group.
        dotted: whether its curve is dotted.
        judged: whether it says something only of tasks that have judges.
    """

    name: str
    meaning: str
    unit: str = ""
    better: Literal["higher", "lower", ""] = ""
    group: str = ""
    label: str = ""
    dotted: bool = False
    judged: bool = False

    @property
    def style(self) -> str:
        """How the report draws it: a `curve` of every update, perhaps `dotted`, or `points` at evaluations.

        Points are joined, but for `markers` beside a curve of the same group.
        """
        if self.name.startswith(("eval/", "alarm/")):
            alone = all(other.name.startswith(("eval/", "alarm/")) for other in METRICS if other.group == self.group)
            return "points" if alone else "markers"
        return "dotted" if self.dotted else "curve"

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """What its names look like; the groups of a match are the parts in `<…>`."""
        *inner, last = re.split(r"<\w+>", self.name)
        joints = ["([^/]+)"] * len(inner)
        if inner and not last:
            joints[-1] = "(.+)"
        return re.compile("".join(re.escape(text) + joint for text, joint in zip(inner, joints, strict=True)) + last)


GROUPS = (
    Group("success", "Success", "Held-out prompts that the gold judge is satisfied with.", share=True, events=True),
    Group("reward", "Learned reward", "Curves of the training batches, marks on held-out prompts.", events=True),
    Group("alarm", "Hacking alarm", "1 while reward rises and an independent signal falls.", share=True, report=False),
    Group("violations", "Violation rate by judge", "Of the responses that a judge judged.", share=True, split=True),
    Group("agreement", "Agreement between judges", "How often two judges say the same.", share=True, split=True),
    Group(
        "satisfied",
        "Satisfied by all judges",
        "Of the decided responses: curves of the training batches, marks on held-out prompts.",
        share=True,
    ),
    Group(
        "given",
        "Reward given violation",
        "Mean raw reward of the responses that violate a judge (solid) and of those that satisfy all (dotted). Where "
        "the solid line is higher the reward model pays for violations. Tasks without judges have none.",
    ),
    Group("kl", "KL divergence from the reference", "Nats a response: curves in training, marks on held-out prompts."),
    Group("length", "Response length", "Tokens a response, of the training batches."),
    Group("measures", "Measures", "Means of further numbers of held-out responses.", split=True),
    Group(
        "time",
        "Time by stage",
        "Seconds an update, one stage on the other; what a stage's time waits for is in its own. Evaluations are not "
        "in it.",
        stacked=True,
    ),
)
"""The groups, in the order in which they are shown."""

_NATS = "nats a response"
METRICS = (
    Metric("train/<task>/reward", "Raw reward.", "reward", "higher", "reward", "training"),
    Metric("train/<task>/reward_calibrated", "`σ(reward − reward of the baseline)` (eq. 5).", "0 to 1", "higher"),
    Metric(
        "train/<task>/reward_given_violation",
        "Raw reward of violated responses. Where it is as high as that of satisfied ones, the reward model likes what "
        "the judges forbid.",
        *("reward", "lower", "given", "violated"),
        judged=True,
    ),
    Metric(
        "train/<task>/reward_given_satisfied",
        "Raw reward of satisfied responses.",
        *("reward", "higher", "given", "satisfied"),
        dotted=True,
        judged=True,
    ),
    Metric(
        "train/<task>/kl",
        "`log π − log π_ref`, summed over a response's tokens, at the rollout's temperature: an estimate of the KL "
        "divergence from the reference. Not logged if the rollout cuts with top-p or top-k.",
        *(_NATS, "lower", "kl", "training"),
    ),
    Metric(
        "train/<task>/log_ratio",
        "The same sum if the rollout cuts with top-p or top-k: `π` is the distribution before the cut, so the mean "
        "estimates no KL divergence. It is what `kl_max` limits.",
        _NATS,
    ),
    Metric("train/<task>/length", "Tokens of a response.", "tokens", group="length"),
    Metric("train/<task>/finished_rate", "Responses that ended by themselves.", "share"),
    Metric("train/<task>/objective/loss", "The objective's loss."),
    Metric("train/<task>/objective/<name>", "What the optimizer reports of itself; its docstring says what."),
    Metric("judges/<task>/<judge>/violation_rate", "Violated, of those decided.", "share", "lower", "violations"),
    Metric("judges/<task>/<judge>/undecided_rate", "Undecided, of the samples that it judged.", "share", "lower"),
    Metric("judges/<task>/<judge>/not_applicable_rate", "Not applicable, of the samples that it judged.", "share"),
    Metric("judges/<task>/<judge>/not_asked_rate", "Not asked (`panel.short_circuit`), of all samples.", "share"),
    Metric("judges/<task>/<judge>/cache_hit_rate", "Known from an earlier call, of those it judged.", "share"),
    Metric("judges/<task>/<judge>/seconds", "The judge's time.", "seconds an update", "lower"),
    Metric(
        "judges/<task>/agreement/<judges>",
        "`<one>_<other>`: the same verdict, of the samples that both judges decided.",
        "share",
        group="agreement",
    ),
    Metric(
        "judges/<task>/satisfied_rate",
        "Satisfied by the whole panel, of the decided samples.",
        *("share", "higher", "satisfied"),
        judged=True,
    ),
    Metric("eval/<task>/success", "Gold judge satisfied, of those decided.", "share", "higher", "success", "held out"),
    Metric("eval/<task>/reward", "Raw reward.", "reward", "higher", "reward", "held out"),
    Metric(
        "eval/<task>/kl",
        "As `train/<task>/kl`. Not logged if the rollout cuts with top-p or top-k; the summary says so.",
        *(_NATS, "lower", "kl", "held out"),
    ),
    Metric(
        "eval/<task>/satisfied_rate",
        "Satisfied by all judges, of the decided.",
        *("share", "higher", "satisfied", "held out"),
        judged=True,
    ),
    Metric("eval/<task>/<measure>", "The mean of a measure (`callbacks.evaluation.measures`).", group="measures"),
    Metric("alarm/<task>", "1 while the hacking alarm holds, else 0.", "", "lower", "alarm"),
    Metric("time/<stage>", "Time of a stage, of all tasks together.", "seconds an update", "lower", "time"),
    Metric("skipped_updates", "Updates skipped so far for numbers that are not finite.", "updates", "lower"),
)
"""Every declared metric; where two patterns match a name, the first counts."""

_RENAMED = (
    (re.compile(r"reward/([^/]+)/raw"), r"train/\1/reward"),
    (re.compile(r"reward/([^/]+)/(\w+)"), r"train/\1/reward_\2"),
    (re.compile(r"kl/([^/]+)"), r"train/\1/kl"),
    (re.compile(r"rollout/([^/]+)/(\w+)"), r"train/\1/\2"),
    (re.compile(r"objective/([^/]+)/(.+)"), r"train/\1/objective/\2"),
    (re.compile(r"gold/([^/]+)/(.+)"), r"eval/\1/\2"),
)
"""Names that metrics had in runs of version 0.1, and those that they have now."""


def current_name(name: str) -> str:
    """The name that a metric has now; of version 0.1's names, which runs of that time have in their files."""
    for old, new in _RENAMED:
        if old.fullmatch(name):
            return old.sub(new, name)
    return name


def find(name: str) -> Metric | None:
    """The declared metric that a name belongs to; `None` for one that nobody declared."""
    return next((metric for metric in METRICS if metric.pattern.fullmatch(name)), None)


def expected(tasks: Mapping[str, Sequence[str]]) -> list[str]:
    """The names of the metrics that a run on some tasks will log, but for those that only its parts know.

    Args:
        tasks: the judges of each task.
    """
    return [name for metric in METRICS for name in _expanded(metric, tasks)]


def _expanded(metric: Metric, tasks: Mapping[str, Sequence[str]]) -> Iterable[str]:
    name = metric.name
    if "<stage>" in name:
        yield from (name.replace("<stage>", stage) for stage in STAGES)
        return
    for task, judges in tasks.items() if "<task>" in name else [("", ())]:
        of_task = name.replace("<task>", task)
        if "<judges>" in name:
            yield from (of_task.replace("<judges>", "_".join(pair)) for pair in combinations(judges, 2))
        elif "<judge>" in name:
            yield from (of_task.replace("<judge>", judge) for judge in judges)
        elif "<" not in of_task and (judges or not metric.judged):
            yield of_task


def reference_page() -> str:
    """All declared metrics as a page of the documentation, in Markdown."""
    intro = (
        "# Metrics\n\nThe same names everywhere: `metrics.csv`, W&B, the report and the dashboard. Numbers are means "
        "over all samples\nbetween two rows of the log, over all processes. What has no sample to be a mean of is not "
        "logged.\n"
    )
    titles = {
        "train": "Training: a task's batch",
        "judges": "Judges",
        "eval": "Evaluation: held-out prompts",
        "alarm": "The run",
    }
    tables: dict[str, list[str]] = {}
    title = ""
    for metric in METRICS:
        title = titles.get(metric.name.partition("/")[0], title)
        better = {"higher": "↑", "lower": "↓", "": ""}[metric.better]
        tables.setdefault(title, []).append(f"| `{metric.name}` | {metric.meaning} | {metric.unit} | {better} |")
    head = "| name | meaning | unit | better |\n| --- | --- | --- | --- |"
    return "\n".join([intro, *(f"## {title}\n\n{head}\n" + "\n".join(rows) + "\n" for title, rows in tables.items())])
