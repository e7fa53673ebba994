"""The command with several processes, started by itself and by torchrun: the run folder is one process's."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.end_to_end.tiny import PIPELINE, RUN, cgpo, environment_in, typed
from tests.processes import meeting_place, together

TASKS = ["tasks=[engagement,math_code]", "judges=[false_refusal,math]", "logger=none"]
SETTINGS = [
    *PIPELINE,
    *RUN,
    *TASKS,
    "optim.learning_rate=0.003",
    "callbacks.samples.every=1",
    "callbacks.evaluation.every=1",
]
OF_ALL = {"train": 0, "held_out": 0}
TWO = "trainer.devices=2"


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of one process's run; what the pipeline makes lies beside it."""
    folder = tmp_path_factory.mktemp("runs")
    done = cgpo("train", *SETTINGS, "trainer=cpu", "hydra.run.dir=alone", folder=folder)
    assert done.returncode == 0, done.stderr
    return folder / "alone"


def test_two_processes_leave_what_one_leaves(alone: Path) -> None:
    line = ["-m", "cgpo.train", *SETTINGS, "trainer=fsdp", TWO, "hydra.run.dir=fsdp"]
    done = typed(*line, folder=alone.parent, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    assert_same_run(alone.parent / "fsdp", alone)


def test_processes_that_torchrun_started_take_one_folder(alone: Path) -> None:
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", "-m", "cgpo.train"]
    done = typed(*torchrun, *SETTINGS, "trainer=ddp", TWO, folder=alone.parent, OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    (folder,) = (alone.parent / "runs").glob("*/*")
    assert re.fullmatch(r"\d\d-\d\d-\d\d", folder.name)
    assert_same_run(folder, alone)


def test_tensor_parallel_peers_leave_what_one_process_leaves(alone: Path) -> None:
    line = [*SETTINGS, "trainer=fsdp_tp", TWO, f"hydra.run.dir={alone.parent}/fsdp_tp"]
    environment = environment_in(alone.parent, **meeting_place())
    together(2, "cgpo.train", *line, folder=alone.parent, environment=environment)
    assert_same_run(alone.parent / "fsdp_tp", alone)


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
            assert flat(summary["tasks"][task][label]) == {n: near(value) for n, value in flat(values).items()}
    assert files(found) == files(wanted)
    keys = [(row["step"], row["split"], row["task"], row["key"], row["response"]) for row in samples(found)]
    assert [key for key in keys if key[1] == "held_out"] == [
        (row["step"], row["split"], row["task"], row["key"], row["response"])
        for row in samples(wanted)
        if row["split"] == "held_out"
    ]
    trained = [key for key in keys if key[1] == "train"]
    assert len(trained) == len([row for row in samples(wanted) if row["split"] == "train"])


def near(value: Any) -> Any:
    return pytest.approx(value, rel=1e-3, abs=1e-4) if isinstance(value, int | float) else value


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
