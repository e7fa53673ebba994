"""The parts of the benchmark on a GPU, the most wanted first, and running one in a process that may be killed."""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu_policies import Sizes

HAS_TRL = importlib.util.find_spec("trl") is not None
LEAST = 20.0
"""Seconds below which a part is not begun: it would be killed before it had measured anything."""


@dataclass(frozen=True)
class Part:
    """What is measured in one process.

    Attributes:
        kind: `step`, `decode` or `trl`.
        model: name of a shape.
        variant: see `measure_step`, `measure_decoding` and `measure_trl`; or several, with a `+` between them.
        seconds: after which it is killed.
    """

    kind: str
    model: str
    variant: str
    seconds: float

    @property
    def name(self) -> str:
        """For a person."""
        return f"{self.kind} {self.model} {self.variant}"

    def measure(self, sizes: Sizes, device: str) -> Iterator[dict[str, Any]]:
        """The part's rows, in this process, variant after variant."""
        for variant in self.variant.split("+"):
            gc.collect()  # the last variant's models
            for row in _rows(self.kind, self.model, variant, sizes, device):
                yield {"variant": variant} | row


def _rows(kind: str, *arguments: Any) -> Iterable[dict[str, Any]]:
    if kind == "decode":
        from gpu_decoding import measure_decoding

        return measure_decoding(*arguments)
    if kind == "step":
        from gpu_step import measure_step

        return [measure_step(*arguments)]
    from gpu_trl import measure_trl

    return [measure_trl(*arguments)]


PLAIN = "dynamic+static+generate+generate-static"
ROUNDS = (
    (
        ("step", "bf16 dynamic", 100),
        ("step", "bf16 static", 60),
        ("decode", PLAIN, 110),
        ("trl", "bf16", 100),
    ),
    (
        ("decode", "generate-batch", 60),
        ("step", "bf16-mixed dynamic", 100),
        ("decode", "generate-compiled", 110),
    ),
)
"""Kind, variant and seconds: what must be known of each model first, then what is good to know of each."""
TINY_ROUNDS = (
    (
        ("step", "bf16 dynamic+bf16 static+bf16-mixed dynamic", 200),
        ("decode", f"{PLAIN}+generate-batch+generate-compiled", 200),
        ("trl", "bf16", 100),
    ),
)
"""The same in fewer processes, since at toy size it is their start that takes time."""


def parts_of(models: Sequence[str], kinds: Sequence[str]) -> list[Part]:
    """All parts of some models, the most wanted first; of the model `tiny` those at toy size."""
    rounds = TINY_ROUNDS if list(models) == ["tiny"] else ROUNDS
    return [
        Part(kind, model, variant, seconds)
        for one in rounds
        for model in models
        for kind, variant, seconds in one
        if kind in kinds
    ]


def run_apart(part: Part, left: float, command: Sequence[str], scratch: Path) -> dict[str, Any]:
    """Runs a part in its own process, for its own time or what is left of all.

    Args:
        part: what is measured.
        left: seconds.
        command: that measures it, and adds its rows to the file that follows `--rows`.
        scratch: where the rows and what it says are kept.

    Returns:
        The part, how it ended, and its rows.
    """
    named = {"kind": part.kind, "model": part.model, "variant": part.variant}
    if part.kind == "trl" and not HAS_TRL:
        return named | {"status": "left out: no TRL; pip install -c constraints.txt -e '.[bench]'", "rows": []}
    if left < LEAST:
        return named | {"status": "left out: no time was left", "rows": []}
    rows, said = scratch / "rows.jsonl", scratch / "said.txt"
    rows.write_text("")
    with said.open("w") as output:
        status = _ended(part, min(part.seconds, left), [*command, "--rows", str(rows)], output)
    if status == "failed":
        status = f"failed: {_last_line(said)}"
    return named | {"status": status, "rows": [json.loads(line) for line in rows.read_text().splitlines()]}


def _ended(part: Part, seconds: float, command: Sequence[str], output: Any) -> str:
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        code = process.wait(seconds)
    except subprocess.TimeoutExpired:
        return f"killed after {seconds:.0f} s"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return f"done in {time.monotonic() - started:.0f} s" if code == 0 else "failed"


def _last_line(said: Path) -> str:
    lines = [line for line in said.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"
