"""The table over a sweep's runs, and the run that fails."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
from rich.console import Console

from cgpo.cli.compose import compose_and_run
from cgpo.cli.verb import Call, Verb
from cgpo.errors import UserError
from cgpo.runs.sweep import SweepTable, sweep_table


def summary(success: float | None, reward: float) -> dict[str, Any]:
    at = {"before": {"success": 0.25, "reward": -0.5}, "after": {"success": success, "reward": reward}}
    return {"tasks": {"math_code": at}}


def shown(rows: list[dict[str, Any]], width: int = 80) -> list[str]:
    console = Console(width=width)
    with console.capture() as capture:
        console.print(sweep_table(rows))
    return [" ".join(line.split()) for line in capture.get().splitlines() if line.strip(" ─")]


def test_the_table_names_what_differs_and_shows_success_and_reward() -> None:
    rows = [
        {"overrides": ["updates=1", "judges=[math,code]"], **summary(0.75, 1.0)},
        {
            "overrides": ["updates=1", "judges=none"],
            "tasks": {**summary(None, -1.25)["tasks"], "engagement": summary(0.5, 0.0)["tasks"]["math_code"]},
        },
        {"overrides": ["updates=1", "judges=all"], "error": "seed is 'x'"},
    ]
    assert shown(rows)[-4:] == [
        "math_code judges=[math,code] 0.25 → 0.75 -0.50 → +1.00",
        "judges=none – -0.50 → -1.25",
        "engagement judges=none 0.25 → 0.50 -0.50 → +0.00",
        "failed judges=all see error.txt",
    ]


def write(folder: Path, overrides: list[str], **files: str) -> None:
    (folder / ".hydra").mkdir(parents=True)
    OmegaConf.save(OmegaConf.create(overrides), folder / ".hydra/overrides.yaml")
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)


def verb(run: Callable[[Call], None]) -> Verb:
    return Verb("train", "", "", (), run, root="train", sweeps=True)


def end(sweep: Path) -> None:
    SweepTable().on_multirun_end(OmegaConf.create({"hydra": {"sweep": {"dir": str(sweep)}}}))


def test_runs_are_read_from_their_folders_in_their_order(tmp_path: Path) -> None:
    for number in (0, 2, 10):
        write(tmp_path / str(number), [f"seed={number}"], summary_json=json.dumps(summary(0.5, 0.0)))
    end(tmp_path)
    rows = json.loads((tmp_path / "sweep.json").read_text())
    assert [row["overrides"] for row in rows] == [["seed=0"], ["seed=2"], ["seed=10"]]
    assert rows[0]["tasks"]["math_code"]["after"]["success"] == 0.5


def test_a_sweep_of_a_command_without_summaries_has_no_table(tmp_path: Path) -> None:
    write(tmp_path / "0", ["seed=0"], evaluation_json="{}")
    end(tmp_path)
    assert not (tmp_path / "sweep.json").exists()


def test_a_sweep_that_is_told_to_end_ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def run(call: Call) -> None:
        assert call.config.seed == 0, "no other run begins"
        sys.exit(143)

    monkeypatch.setattr(sys, "argv", ["cgpo"])
    with pytest.raises(SystemExit) as ended:
        compose_and_run(verb(run), ["-m", "seed=0,1", f"hydra.sweep.dir={tmp_path}/sweep"], ("cgpo", "train"))
    assert ended.value.code == 143


def test_a_run_that_fails_ends_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(call: Call) -> None:
        if call.config.seed == 1:
            raise UserError("what a person got wrong")
        if call.config.seed == 2:
            raise ZeroDivisionError("a defect")
        if call.config.seed == 4:
            sys.exit(7)  # as the supervisor of several processes does
        folder = Path(HydraConfig.get().runtime.output_dir)
        (folder / "summary.json").write_text(json.dumps(summary(1.0, 2.0)))

    monkeypatch.setattr(sys, "argv", ["cgpo"])
    with pytest.raises(SystemExit, match=r"error: 3 of 5 runs failed; each one's error\.txt says why"):
        compose_and_run(verb(run), ["-m", "seed=0,1,2,3,4", f"hydra.sweep.dir={tmp_path}/sweep"], ("cgpo", "train"))
    rows = json.loads((tmp_path / "sweep/sweep.json").read_text())
    assert ["error" in row for row in rows] == [False, True, True, False, True]
    assert rows[4]["error"].startswith("one of its processes failed, with status 7")
    assert rows[1]["error"] == "what a person got wrong"
    assert rows[2]["error"].endswith("ZeroDivisionError: a defect")
    assert f"error: {tmp_path}/sweep/1: what a person got wrong\n" in capsys.readouterr().err
