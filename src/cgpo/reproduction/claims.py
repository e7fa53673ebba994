"""The claims of the paper, each held against the results; a claim is judged by numbers alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import product

from cgpo.reproduction.results import Results, paired_difference
from cgpo.statistics import Interval, mean_interval

SUCCESS = ("sampled", "success")
CONSTRAINED = ("crpg", "crraft")
BASELINES = ("dpo", "ppo")
COMPARED = ("sft", "warmup", *BASELINES, *CONSTRAINED, "codpo")
ALIGNED_DIRECTLY = ("dpo", "ipo", "slic")
OVER = 0.05
"""The fall of the mean success from its highest point that counts as over-optimisation."""


class Status(Enum):
    """Whether a claim held."""

    HELD = "held"
    IN_PART = "held in part"
    NOT_HELD = "did not hold"
    NOT_TESTED = "not tested"


@dataclass(frozen=True)
class Finding:
    """A claim and the evidence for or against it.

    Attributes:
        key: the name by which remarks refer to it.
        claim: the paper's claim in our words.
        source: where the paper makes it.
        status: whether it held, by the rule in `evidence`.
        evidence: the numbers, in a sentence or two.
    """

    key: str
    claim: str
    source: str
    status: Status
    evidence: str


def findings(results: Results) -> list[Finding]:
    """Tests every claim in turn; those for which runs are missing are not tested."""
    return [claim(results) for claim in CLAIMS]


def _better_everywhere(results: Results) -> Finding:
    pairs = [(a, b) for a, b in product(CONSTRAINED, BASELINES) if results.has(a, b)]
    counts = {pair: _count(results, *pair) for pair in pairs}
    evidence = "; ".join(
        f"{results.title(a)} against {results.title(b)}: better on {better}, worse on {worse}, "
        f"no difference shown on {same} of {better + worse + same} tasks"
        for (a, b), (better, worse, same) in counts.items()
    )
    total = [sum(column) for column in zip(*counts.values(), strict=True)] or [0, 0, 0]
    return Finding(
        "better_everywhere",
        "CRPG and CRRAFT are better than DPO and PPO on every task.",
        "table 2",
        _status(total[0], total[1], total[2]) if pairs else Status.NOT_TESTED,
        f"{evidence}." if evidence else "",
    )


def _ppo_games_code(results: Results) -> Finding:
    return _games(
        results, "ppo_games_code", "ppo", "PPO games the reward on code: its success there collapses.", "table 2"
    )


def _no_judges_collapse(results: Results) -> Finding:
    claim = "Without judges CRPG collapses on code while its reward rises."
    return _games(results, "no_judges_collapse", "crpg_without_judges", claim, "figure 4")


def _games(results: Results, key: str, method: str, claim: str, source: str) -> Finding:
    task = "math_code"
    success, reward = (
        results.curve(method, task, name) if results.has(method) else None for name in ("success", "learned_reward")
    )
    if success is None or reward is None:
        return Finding(key, claim, source, Status.NOT_TESTED, "")
    fell = success.values[-1].mean < success.values[0].mean - OVER
    rose = reward.values[-1].mean > reward.values[0].mean
    halved = success.values[-1].mean < success.values[0].mean / 2
    status = Status.HELD if fell and rose and halved else Status.IN_PART if fell and rose else Status.NOT_HELD
    evidence = (
        f"On `{task}` success went from {success.values[0].mean:.2f} to {success.values[-1].mean:.2f} and the learned "
        f"reward from {reward.values[0].mean:+.2f} to {reward.values[-1].mean:+.2f} over the run; it holds if success "
        "is more than halved while the reward rises, in part if success falls by more than 0.05."
    )
    return Finding(key, claim, source, status, evidence)


def _judges_prevent(results: Results) -> Finding:
    key, claim = "judges_prevent", "With judges CRPG keeps improving where it collapses without them."
    if not results.has("crpg", "crpg_without_judges", "warmup"):
        return Finding(key, claim, "figure 4", Status.NOT_TESTED, "")
    against = _count(results, "crpg", "crpg_without_judges")
    start = _count(results, "crpg", "warmup")
    evidence = (
        f"CRPG with judges against without: better on {against[0]}, worse on {against[1]} of {sum(against)} tasks; "
        f"against the warm-up that it began from: better on {start[0]}, worse on {start[1]} of {sum(start)}."
    )
    return Finding(key, claim, "figure 4", _status(*(a + b for a, b in zip(against, start, strict=True))), evidence)


def _warmup_helps(results: Results) -> Finding:
    return _overall(
        results, "warmup_helps", "crpg", "crpg_from_sft", "Starting from the DPO warm-up is better than from SFT."
    )


def _full_dpo_hurts(results: Results) -> Finding:
    claim = "Starting from a fully optimised DPO policy ends lower than from the warm-up."
    return _overall(results, "full_dpo_hurts", "crpg", "crpg_from_dpo", claim)


def _overall(results: Results, key: str, method: str, other: str, claim: str) -> Finding:
    if not results.has(method, other):
        return Finding(key, claim, "figure 5", Status.NOT_TESTED, "")
    difference = paired_difference(results.over_tasks(method, *SUCCESS), results.over_tasks(other, *SUCCESS))
    if difference is None:
        return Finding(key, claim, "figure 5", Status.NOT_TESTED, "")
    status = Status.HELD if difference.above else Status.NOT_HELD
    evidence = (
        f"Mean success over the tasks, {results.title(method)} less {results.title(other)}: "
        f"{format_interval(difference, True)}; by task {', '.join(_by_task(results, method, other))}."
    )
    return Finding(key, claim, "figure 5", status, evidence)


def _codpo_is_behind(results: Results) -> Finding:
    key, claim = "codpo_is_behind", "CODPO is behind CRPG and CRRAFT on most tasks."
    pairs = [(a, "codpo") for a in CONSTRAINED if results.has(a, "codpo")]
    if not pairs:
        return Finding(key, claim, "table 2", Status.NOT_TESTED, "")
    counts = [_count(results, *pair) for pair in pairs]
    most = all(2 * better > better + worse + same for better, worse, same in counts)
    some = any(better > worse for better, worse, _ in counts)
    evidence = "; ".join(
        f"{results.title(a)} against CODPO: better on {better}, worse on {worse} of {better + worse + same} tasks"
        for (a, _), (better, worse, same) in zip(pairs, counts, strict=True)
    )
    status = Status.HELD if most else Status.IN_PART if some else Status.NOT_HELD
    return Finding(key, claim, "table 2", status, f"{evidence}.")


def _fewest_false_refusals(results: Results) -> Finding:
    key, claim = "fewest_false_refusals", "CRPG refuses harmless prompts least of all methods."
    rates = {
        method: found
        for method in results.present(COMPARED)
        if (found := results.over_tasks(method, "sampled", "violation_rate", "false_refusal"))
    }
    if "crpg" not in rates or len(rates) == 1:
        return Finding(key, claim, "table 2", Status.NOT_TESTED, "")
    others = [paired_difference(rates["crpg"], found) for method, found in rates.items() if method != "crpg"]
    differences = [difference for difference in others if difference]
    fewer, more = sum(d.below for d in differences), sum(d.above for d in differences)
    evidence = "Share of harmless prompts refused, by the false-refusal judge: " + ", ".join(
        f"{results.title(method)} {format_interval(mean_interval(list(found.values())), digits=3)}"
        for method, found in rates.items()
    )
    return Finding(key, claim, "table 2", _status(fewer, more, len(differences) - fewer - more), f"{evidence}.")


def _direct_alignment_over_optimises(results: Results) -> Finding:
    key = "direct_alignment_over_optimises"
    claim = (
        "Direct alignment over-optimises as reward models do: past some KL, success falls while the margin still grows."
    )
    fallen = {m: fall for m in results.present(ALIGNED_DIRECTLY) if (fall := _fall(results, m)) is not None}
    if not fallen:
        return Finding(key, claim, "arXiv 2406.02900, figure 1", Status.NOT_TESTED, "")
    over = [method for method, fall in fallen.items() if fall > OVER]
    status = Status.HELD if len(over) == len(fallen) else Status.IN_PART if over else Status.NOT_HELD
    evidence = "Fall of the mean success from its highest point to the end of the run: " + ", ".join(
        f"{results.title(method)} {fall:.2f}" for method, fall in fallen.items()
    )
    return Finding(key, claim, "arXiv 2406.02900, figure 1", status, f"{evidence}; more than {OVER} counts.")


def _fall(results: Results, method: str) -> float | None:
    curves = [curve for task in results.tasks if (curve := results.curve(method, task, "success"))]
    if not curves:
        return None
    means = [sum(curve.values[i].mean for curve in curves) / len(curves) for i in range(len(curves[0].steps))]
    return max(means) - means[-1]


def _count(results: Results, method: str, other: str) -> tuple[int, int, int]:
    """Counts the tasks on which a method is better, worse, and neither, by the interval of the paired difference."""
    differences = [d for task in results.tasks if (d := results.difference(method, other, task, *SUCCESS))]
    better, worse = sum(d.above for d in differences), sum(d.below for d in differences)
    return better, worse, len(differences) - better - worse


def _status(better: int, worse: int, same: int) -> Status:
    if worse == same == 0 and better:
        return Status.HELD
    return Status.IN_PART if better > worse else Status.NOT_HELD


def _by_task(results: Results, method: str, other: str) -> Iterator[str]:
    for task in results.tasks:
        if difference := results.difference(method, other, task, *SUCCESS):
            yield f"`{task}` {format_interval(difference, True)}"


def format_interval(interval: Interval | None, signed: bool = False, digits: int = 2) -> str:
    """Formats a mean with its half-width, `0.71 ± 0.02`; a dash if there is none."""
    if interval is None:
        return "–"
    mean = f"{interval.mean:{'+' if signed else ''}.{digits}f}"
    return mean if interval.half is None else f"{mean} ± {interval.half:.{digits}f}"


CLAIMS: Sequence[Callable[[Results], Finding]] = (
    _better_everywhere,
    _ppo_games_code,
    _no_judges_collapse,
    _judges_prevent,
    _warmup_helps,
    _full_dpo_hurts,
    _codpo_is_behind,
    _fewest_false_refusals,
    _direct_alignment_over_optimises,
)
