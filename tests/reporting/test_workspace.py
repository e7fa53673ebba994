"""The dashboard has the report's panels, and is made without W&B."""

import json
from pathlib import Path
from typing import Any

import pytest

from cgpo.cli.main import find, run_verb
from cgpo.reporting.workspace import tasks_of, workspace
from cgpo.run_files import load_run


def a_run(folder: Path) -> Path:
    folder.mkdir()
    (folder / "config.yaml").write_text(
        "judges: {math: {}, code: {}}\ntasks:\n  sums: {judges: [math, code, safety]}\n  chat: {judges: safety}\n"
    )
    return folder


def panels(made: Any) -> dict[str, list[dict[str, Any]]]:
    """Section → panels, as W&B would be told."""
    broadcast = json.loads(made._to_model().model_dump_json(by_alias=True, exclude_none=True))
    sections = broadcast["spec"]["section"]["panelBankConfig"]["sections"]
    return {section["name"]: [panel["config"] for panel in section["panels"]] for section in sections}


def test_a_run_s_tasks_come_with_the_judges_that_it_chose(tmp_path: Path) -> None:
    first, second = load_run(a_run(tmp_path / "a")), load_run(a_run(tmp_path / "b"))
    (tmp_path / "b/config.yaml").write_text("judges: {safety: {}}\ntasks:\n  sums: {judges: [safety]}\n")
    assert tasks_of([first]) == {"sums": ["math", "code"], "chat": []}
    assert tasks_of([first, second]) == {"sums": ["math", "code", "safety"], "chat": []}


def test_every_panel_names_its_metrics() -> None:
    found = panels(workspace("team", "cgpo", {"sums": ["math", "code"], "chat": []}))
    metrics = {section: [panel["metrics"] for panel in of] for section, of in found.items()}
    assert metrics == {
        "Learned reward and gold success": [
            ["reward/sums/raw", "gold/sums/reward"],
            ["gold/sums/success"],
            ["reward/chat/raw", "gold/chat/reward"],
            ["gold/chat/success"],
        ],
        "Hacking alarm": [["alarm/sums", "alarm/chat"]],
        "Violation rates": [["judges/sums/math/violation_rate", "judges/sums/code/violation_rate"]],
        "Satisfied by all judges": [["judges/sums/satisfied_rate"]],
        "Reward given violation": [["reward/sums/given_violation", "reward/sums/given_satisfied"]],
        "KL divergence from the reference, nats": [["kl/sums", "gold/sums/kl"], ["kl/chat", "gold/chat/kl"]],
        "Length, tokens": [["rollout/sums/length"], ["rollout/chat/length"]],
        "Time by stage, seconds an update": [
            [f"time/{s}" for s in ("baselines", "rollout", "reward", "reference", "judges", "update", "step")]
        ],
    }
    assert {panel["xAxis"] for of in found.values() for panel in of} == {"trainer/global_step"}
    assert found["Time by stage, seconds an update"][0]["plotType"] == "stacked-area"
    success = found["Learned reward and gold success"][1]
    assert (success["yAxisMin"], success["yAxisMax"]) == (0, 1)


def test_without_judges_their_sections_are_left_out() -> None:
    assert "Violation rates" not in panels(workspace("team", "cgpo", {"chat": []}))


def test_saving_needs_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = str(a_run(tmp_path / "run"))
    monkeypatch.setattr("sys.argv", ["cgpo"])
    line = [folder, "entity=team"]
    run_verb(find("dashboard"), [*line, "save=false"], ("cgpo", "dashboard"))
    assert "Violation rates: sums\n" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="needs a key for W&B"):
        run_verb(find("dashboard"), line, ("cgpo", "dashboard"))
