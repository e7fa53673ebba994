"""Checks and programs a second, and what the sandbox adds to a program: run by `make bench`."""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from cgpo.judges.base import Judge
from cgpo.judges.code import CodeJudge
from cgpo.judges.instruction_following import InstructionFollowingJudge
from cgpo.judges.math.judge import MathJudge
from cgpo.judges.refusal import RefusalRulesJudge
from cgpo.sandbox.sandbox import Sandbox, Tests
from cgpo.types import Outcome, Prompt, Sample

ROOT = Path(__file__).resolve().parents[1]
GOALS = {"math": 500.0, "code": 150.0, "added": 5.0}
PROGRAM = "def add(a, b):\n    return a + b\n"
TESTS = tuple(f"assert add({i}, {i + 1}) == {2 * i + 1}" for i in range(3))


def main() -> None:
    options = _options()
    console = Console(width=max(110, Console().width))
    load = os.getloadavg()[0]
    rows = [
        _rate("instruction following", "checks", InstructionFollowingJudge(), _instructions(options.data), options),
        _rate("math, GSM8K-like", "checks", MathJudge(form="answer_line"), _solutions(options.data), options),
        _rate("math, symbolic", "checks", MathJudge(), _formulas(), options),
        _rate("false refusal by rules", "responses", RefusalRulesJudge(), _replies(), options),
        _rate("code, 3 assertions", "programs", CodeJudge(workers=options.workers), _programs(), options),
        _rate("code, 3 inputs", "programs", CodeJudge(workers=options.workers), _scripts(), options),
    ]
    added = _added_milliseconds(options.rounds)
    report = _facts(load) | {"rates": rows, "milliseconds_a_program": added, "goals": GOALS}
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(report, indent=1) + "\n")
    console.print(_table(rows))
    for name, key in (("after a pause", "sandbox"), ("in a row", "sandbox_in_a_row")):
        extra = added[key] - added["in_process"]
        console.print(f"the sandbox adds {extra:.2f} ms to a program {name} (goal: below {GOALS['added']:g})")
    console.print(f"goals: math, GSM8K-like at least {GOALS['math']:g}, programs at least {GOALS['code']:g} a second")
    console.print(f"load average {load:.1f} at the start; written to {options.output}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="generated rows without it")
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is measured; medians count")
    parser.add_argument("--workers", type=int, default=2, help="programs at the same time")
    parser.add_argument("--output", type=Path, default=ROOT / "results" / "judges.json")
    return parser.parse_args()


def _rate(name: str, unit: str, judge: Judge, samples: Sequence[Sample], options: argparse.Namespace) -> dict[str, Any]:
    found = judge.judge(samples)  # the first round starts processes
    assert {verdict.outcome for verdict in found} <= {Outcome.SATISFIED, Outcome.VIOLATED}, name
    seconds = [_seconds(lambda: judge.judge(samples)) for _ in range(options.rounds)]
    close: Callable[[], None] | None = getattr(judge, "close", None)
    if close is not None:
        close()
    rates = [len(samples) / each for each in seconds]
    satisfied = sum(verdict.outcome == Outcome.SATISFIED for verdict in found) / len(found)
    return {
        "judge": name,
        "unit": unit,
        "rows": len(samples),
        "satisfied": round(satisfied, 3),
        "a_second": round(statistics.median(rates), 1),
        "slowest_round": round(min(rates), 1),
    }


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _added_milliseconds(rounds: int) -> dict[str, float]:
    """The median time of one program with three assertions in the sandbox, and by a bare `exec` in this process.

    In the sandbox once with a pause before each, as where responses trickle in, and once one right after another, where
    the next program also waits for the processes that it is run in.
    """
    sandbox, tests = Sandbox(), Tests(TESTS)

    def bare() -> None:
        names: dict[str, Any] = {}
        exec(compile(PROGRAM, "<program>", "exec"), names)
        for test in TESTS:
            exec(compile(test, "<test>", "exec"), names)

    def median(work: Callable[[], object], pause: float) -> float:
        times = []
        for _ in range(60 * rounds):
            time.sleep(pause)
            times.append(_seconds(work))
        return round(1000 * statistics.median(times), 3)

    sandbox.run(PROGRAM, tests)
    paused, in_a_row = (median(lambda: sandbox.run(PROGRAM, tests), pause) for pause in (0.01, 0.0))
    sandbox.close()
    return {"sandbox": paused, "sandbox_in_a_row": in_a_row, "in_process": median(bare, 0.0)}


def _instructions(data: Path) -> list[Sample]:
    """IFEval's prompts with GPT-2's responses, or a few kinds on generated texts."""
    folder = data / "ifeval"
    if folder.is_dir():
        rows = {row["prompt"]: row for row in _lines(folder / "input_data.jsonl")}
        answers = _lines(folder / "gpt2_verdicts_strict.jsonl")
        return [Sample(Prompt("row", "", metadata=rows[row["prompt"]]), row["response"]) for row in answers]
    asked = {
        "instruction_id_list": ["length_constraints:number_words", "punctuation:no_comma", "detectable_format:title"],
        "kwargs": [{"num_words": 100, "relation": "at least"}, {}, {}],
    }
    words = random.Random(0).choices(["red", "house", "runs,", "slowly.", "<<Title>>", "because"], k=150)
    return [Sample(Prompt("row", "", metadata=asked), " ".join(words[i % 50 :])) for i in range(500)]


def _solutions(data: Path) -> list[Sample]:
    """GSM8K's model solutions, or generated ones."""
    path = data / "gsm8k" / "model_solutions.jsonl"
    if path.exists():
        return [Sample(_answer(row["ground_truth"]), row["solution"]) for row in _lines(path)]
    draw = random.Random(0)
    numbers = [draw.randrange(10_000) for _ in range(1000)]
    return [Sample(_answer(str(n)), f"{n} - 1 = {n - 1}. Plus 1.\nA: ${n - n % 7 // 5:,}") for n in numbers]


def _formulas() -> list[Sample]:
    """Answers that take computer algebra, four responses to a prompt."""
    samples = []
    for i in range(2, 52):
        truth = _answer(rf"\frac{{x+{i}}}{{{i}}}")
        answers = (rf"\frac{{{i}+x}}{{{i}}}", rf"1+\frac{{x}}{{{i}}}", rf"\frac{{x}}{{{i}}}", rf"\sqrt{{{i}}}x")
        samples += [Sample(truth, rf"So it is \boxed{{{answer}}}.") for answer in answers]
    return samples


def _replies() -> list[Sample]:
    texts = ("I'm sorry, but I can't help with that. " * 8, "Use kill with the number of the process. " * 20)
    return [Sample(Prompt("row", ""), texts[i % 2] + str(i)) for i in range(1000)]


def _programs() -> list[Sample]:
    prompt = Prompt("row", "", metadata={"unit_tests": list(TESTS)})
    right, wrong = (f"Here:\n```python\n{program}```\n" for program in (PROGRAM, PROGRAM.replace("+", "-")))
    return [Sample(prompt, wrong if i % 4 == 0 else right) for i in range(300)]


def _scripts() -> list[Sample]:
    metadata = {"inputs": ["1 2", "3 4", "5 6"], "outputs": ["3", "7", "11"]}
    text = "```python\na, b = map(int, input().split())\nprint(a + b)\n```"
    return [Sample(Prompt("row", "", metadata=metadata), text) for _ in range(150)]


def _answer(text: str) -> Prompt:
    return Prompt("row", "", metadata={"answer": text})


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _facts(load: float) -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return {
        "date": date.today().isoformat(),
        "processor": (names or [platform.processor() or platform.machine()])[0],
        "cores": os.cpu_count(),
        "load_average": round(load, 2),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("math-verify", "py3langid")},
    }


def _table(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(title="judges")
    for name, justify in (("judge", "left"), ("rows", "right"), ("satisfied", "right"), ("a second", "right")):
        table.add_column(name, justify=justify)
    table.add_column("slowest round", justify="right")
    for row in rows:
        rate = f"{row['a_second']:.0f} {row['unit']}"
        table.add_row(row["judge"], str(row["rows"]), f"{row['satisfied']:.0%}", rate, f"{row['slowest_round']:.0f}")
    return table


if __name__ == "__main__":
    main()
