"""The document of a comparison, made from its results and from remarks that a person wrote."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from cgpo.errors import UserError
from cgpo.files import write_atomically
from cgpo.reproduction.claims import CLAIMS, SUCCESS, Finding, findings, format_interval
from cgpo.reproduction.figures import Figure, not_dominated
from cgpo.reproduction.results import Results
from cgpo.statistics import mean_interval

REMARKS = "remarks.md"
ABLATION = "without_"
FULL = "crpg"


def write_document(
    results: Results,
    tuning: Results | None,
    remarks: Mapping[str, str],
    figures: Sequence[tuple[Figure, Path]],
    document: Path,
) -> None:
    """Writes the document atomically.

    Args:
        results: the results of the comparison.
        tuning: the results of the runs that chose the hyper-parameters, if there are any.
        remarks: the key of a claim or section → what to say about it.
        figures: the figures with their files.
        document: the file to write.
    """
    parts = [
        _head(results, remarks),
        _claims(findings(results), remarks),
        _table(results, remarks),
        _measures(results, remarks),
        *(_figure(figure, path, document, remarks) for figure, path in figures),
        _ablation(results, remarks),
        _tuning(tuning, remarks) if tuning else "",
        _commands(results),
    ]
    document.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(document, "\n\n".join(part for part in parts if part) + "\n")


def read_remarks(folder: Path) -> dict[str, str]:
    """Reads the remarks on claims and sections in `remarks.md`, each under a heading `## key`.

    Args:
        folder: the folder of the results.

    Raises:
        UserError: the document has no claim or section of a remark's key.
    """
    file = folder / REMARKS
    if not file.is_file():
        return {}
    _, *blocks = f"\n{file.read_text()}".split("\n## ")
    remarks = {key.strip(): text.strip() for key, _, text in (block.partition("\n") for block in blocks)}
    for key in remarks:
        if key not in SECTIONS:
            raise UserError(f"{file}: there is nothing called {key} to remark on; choose {', '.join(sorted(SECTIONS))}")
    return remarks


def _head(results: Results, remarks: Mapping[str, str]) -> str:
    data = results.data
    versions = ", ".join(f"{package} {number}" for package, number in data["versions"].items())
    runs = sum(len(method["runs"]) for method in data["methods"].values())
    return _section(
        "# The paper in miniature",
        f"Made by `{data['command']}` on {data['date']} from the numbers under `results/`: {runs} training runs, seeds "
        f"{', '.join(map(str, data['seeds']))}, {results.seconds() / 60:.0f} minutes of them one after the other, on "
        f"{data['cores']} cores of {data['processor'] or 'an unnamed processor'} ({versions}, Python "
        f"{data['python']}).",
        remarks.get("head", ""),
    )


def _claims(found: Sequence[Finding], remarks: Mapping[str, str]) -> str:
    blocks = [
        _section(
            f"### {finding.claim}",
            f"*{finding.source}* — **{finding.status.value}.** {finding.evidence}".rstrip(),
            remarks.get(finding.key, ""),
        )
        for finding in found
    ]
    rule = (
        "“Better” and “worse” mean that the 95 % interval of the difference, paired by seed, lies on one side of 0. "
        "With few seeds that is a strict rule: “no difference shown” is not “no difference”."
    )
    return _section("## Claim by claim", rule, *blocks)


def _table(results: Results, remarks: Mapping[str, str]) -> str:
    methods = [m for m in results.data["methods"] if not m.startswith(ABLATION) and results.over_tasks(m, *SUCCESS)]
    if not methods:
        return ""
    best = not_dominated(results, methods)
    rows = [
        [
            f"**{results.title(method)}**" if method in best else results.title(method),
            *(format_interval(results.mean(method, task, *SUCCESS)) for task in results.tasks),
            format_interval(mean_interval(list(results.over_tasks(method, *SUCCESS).values()))),
        ]
        for method in methods
    ]
    text = (
        "Success: the share of sampled responses (temperature 1) to held-out prompts that the oracle accepts; the mean "
        "over the seeds with its 95 % interval. SFT and the warm-up are one policy each, sampled with each seed. No "
        "method in the table equals or beats one in bold on all tasks at once."
    )
    header = ["", *(f"`{task}`" for task in results.tasks), "mean"]
    return _section("## The table (the paper's table 2)", text, _markdown(header, rows), remarks.get("table", ""))


MEASURES: Mapping[str, tuple[str, ...]] = {
    "success, greedy": ("greedy", "success"),
    "learned reward": ("sampled", "reward"),
    "KL (nats)": ("sampled", "kl"),
    "length (tokens)": ("sampled", "length"),
    "win rate": ("sampled", "win_rate", "reward"),
    "false refusal": ("sampled", "violation_rate", "false_refusal"),
    "unsafe": ("sampled", "violation_rate", "safety"),
}
"""Further columns, each the mean over the tasks."""


def _measures(results: Results, remarks: Mapping[str, str]) -> str:
    methods = [method for method in results.data["methods"] if results.over_tasks(method, *SUCCESS)]
    columns = {
        label: keys for label, keys in MEASURES.items() if any(results.over_tasks(method, *keys) for method in methods)
    }
    rows = [[results.title(method), *_means(results, method, columns.values())] for method in methods]
    if not columns:
        return ""
    text = (
        "Means over the tasks that have the number. A win is one against the warm-up, by the unified reward model; "
        "false refusal and unsafe are what the judges of those names find on their own tasks."
    )
    return _section("## What else changed", text, _markdown(["", *columns], rows), remarks.get("measures", ""))


def _means(results: Results, method: str, columns: Iterable[tuple[str, ...]]) -> list[str]:
    values = [list(results.over_tasks(method, *keys).values()) for keys in columns]
    return [format_interval(mean_interval(of_seeds)) if of_seeds else "–" for of_seeds in values]


def _figure(figure: Figure, path: Path, document: Path, remarks: Mapping[str, str]) -> str:
    link = Path(os.path.relpath(path, document.parent)).as_posix()
    return _section(f"## {figure.title}", f"![{figure.title}]({link})", figure.text, remarks.get(figure.name, ""))


def _ablation(results: Results, remarks: Mapping[str, str]) -> str:
    methods = [method for method in results.data["methods"] if method.startswith(ABLATION)]
    if not methods or not results.has(FULL):
        return ""
    rows = [
        [
            results.title(method),
            *(format_interval(results.difference(method, FULL, task, *SUCCESS), True) for task in results.tasks),
        ]
        for method in methods
    ]
    text = (
        f"{results.title(FULL)} with one judge left out, less {results.title(FULL)} with all of them: what happens to "
        "success, paired by seed."
    )
    header = ["", *(f"`{task}`" for task in results.tasks)]
    return _section("## What each judge buys", text, _markdown(header, rows), remarks.get("ablation", ""))


def _tuning(tuning: Results, remarks: Mapping[str, str]) -> str:
    rows: list[list[str]] = []
    for name, method in tuning.data["methods"].items():
        curves = [tuning.curve(name, task, "success") for task in tuning.tasks]
        values = [curve.values[-1].mean for curve in curves if curve]
        setting = method["command"].split()[-1]
        rows.append(
            [name.rpartition("_")[0], f"`{setting}`", f"{sum(values) / len(values):.2f}", *(f"{v:.2f}" for v in values)]
        )
    text = (
        "Each method's main hyper-parameter by the same budget: three values, one seed that the comparison does not "
        f"use ({tuning.data['seeds'][0]}), 100 held-out prompts a task, and the best mean success over the tasks "
        "chosen. Choosing by success, which nobody has in practice, favours the methods that need it most."
    )
    header = ["method", "value", "mean success", *(f"`{task}`" for task in tuning.tasks)]
    return _section("## How the hyper-parameters were chosen", text, _markdown(header, rows), remarks.get("tuning", ""))


def _commands(results: Results) -> str:
    """Writes what the runs' commands have in common once, then what each method adds."""
    commands = {
        name: method["command"].split() for name, method in results.data["methods"].items() if method["command"]
    }
    if not commands:
        return ""
    shared = [word for word in next(iter(commands.values())) if all(word in words for words in commands.values())]
    rows = [
        f"| {results.title(name)} | `{' '.join(word for word in words if word not in shared)}`{_from(results, name)} |"
        for name, words in commands.items()
    ]
    return _section(
        "## The commands", f"    {' '.join(shared)} seed=N", "\n".join(["| | and |", "| --- | --- |", *rows])
    )


def _from(results: Results, name: str) -> str:
    start = results.data["methods"][name]["start"]
    return f", from the policy of {results.title(start)}" if start else ""


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows))


def _section(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)


SECTIONS = frozenset(
    {"head", "table", "measures", "ablation", "tuning", "curves", "judges", "starts", "pareto", "overoptimisation"}
    | {claim(Results({"methods": {}, "evaluations": []})).key for claim in CLAIMS}
)
"""The keys that remarks may have."""
