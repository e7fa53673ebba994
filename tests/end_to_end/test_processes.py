"""The command with several processes, started by itself and by torchrun: the run folder is one process's."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.end_to_end.tiny import PIPELINE, RUN

TASKS = ["tasks=[engagement,math_code]", "judges=[false_refusal,math]", "logger=none"]
SETTINGS = [
    *PIPELINE,
    *RUN,
    *TASKS,
    "weights.learning_rate=0.003",
    "callbacks.samples.every=1",
    "callbacks.evaluation.every=1",
]
OF_ALL = {"train": 0, "held_out": 0}
TWO = "trainer.devices=2"


def launched(folder: Path, launcher: list[str], *arguments: str) -> str:
    """Runs the command by a launcher; what it wrote on stderr. All of its processes are gone in the end."""
    plain = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder), "COLUMNS": "160", "OMP_NUM_THREADS": "1"}
    plain |= {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    process = subprocess.Popen(
        [sys.executable, "-m", *launcher, *SETTINGS, *arguments],
        cwd=folder,
        env={**plain, "CGPO_CACHE_DIR": str(folder / "cache")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        _, err = process.communicate(timeout=280)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, err
    return err


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one process's run; what the pipeline makes lies beside it."""
    folder = tmp_path_factory.mktemp("runs")
    launched(folder, ["cgpo.train"], "trainer=cpu", "hydra.run.dir=alone")
    return folder / "alone"


@pytest.mark.parametrize("strategy", ["ddp", "fsdp", "fsdp_tp"])
def test_two_processes_leave_what_one_leaves(alone: Path, strategy: str) -> None:
    launched(alone.parent, ["cgpo.train"], f"trainer={strategy}", TWO, f"hydra.run.dir={strategy}")
    assert_same_run(alone.parent / strategy, alone)


def test_processes_that_torchrun_started_take_one_folder(alone: Path) -> None:
    torchrun = ["torch.distributed.run", "--nproc-per-node", "2", "--standalone", "-m", "cgpo.train"]
    launched(alone.parent, torchrun, "trainer=ddp", TWO)
    (folder,) = (alone.parent / "runs").glob("*/*")
    assert re.fullmatch(r"\d\d-\d\d-\d\d", folder.name)
    assert_same_run(folder, alone)


def assert_same_run(found: Path, wanted: Path) -> None:
    """The same policy, metrics, summary and files; samples once."""
    ours, theirs = (load_file(run / "policy/model.safetensors") for run in (found, wanted))
    assert ours.keys() == theirs.keys()
    for name, weight in theirs.items():
        torch.testing.assert_close(ours[name], weight, rtol=0, atol=1e-4)
    for row, other in zip(metrics(found), metrics(wanted), strict=True):
        assert row == pytest.approx(other, rel=1e-3, abs=1e-4)
    summary, other = (json.loads((run / "summary.json").read_text()) for run in (found, wanted))
    assert (summary["processes"], other["processes"]) == (2, 1)
    for task, labelled in other["tasks"].items():
        for label, values in labelled.items():
            assert flat(summary["tasks"][task][label]) == pytest.approx(flat(values), rel=1e-3, abs=1e-4)
    assert files(found) == files(wanted)
    keys = [(row["step"], row["split"], row["task"], row["key"], row["response"]) for row in samples(found)]
    assert [key for key in keys if key[1] == "held_out"] == [
        (row["step"], row["split"], row["task"], row["key"], row["response"])
        for row in samples(wanted)
        if row["split"] == "held_out"
    ]
    trained = [key for key in keys if key[1] == "train"]
    assert len(trained) == len([row for row in samples(wanted) if row["split"] == "train"])


def metrics(run: Path) -> list[dict[str, float]]:
    """The rows of `metrics.csv`, without what is seconds."""
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    kept = [{n: float(v) for n, v in row.items() if v and "time/" not in n and "seconds" not in n} for row in rows]
    assert len(kept) > 4
    return kept


def samples(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "samples.jsonl").read_text().splitlines()]


def flat(values: Any, name: str = "") -> dict[str, Any]:
    """Nested numbers by the names that lead to them."""
    if isinstance(values, dict):
        return {k: v for key, value in values.items() for k, v in flat(value, f"{name}/{key}").items()}
    return {name: values}


def files(run: Path) -> set[str]:
    """But for Hydra's own, and for checkpoints, of which each process writes its part."""
    found = (path.relative_to(run) for path in run.rglob("*") if path.is_file())
    return {str(path) for path in found if path.parts[0] not in (".hydra", "checkpoints")}
