"""The dashboard has the report's panels, and is made without W&B."""

import json
from pathlib import Path
from typing import Any

import pytest

from cgpo.cli.main import find, run_verb
from cgpo.metrics import STAGES
from cgpo.reporting.workspace import logged_by, tasks_of, workspace
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
        "Success": [["eval/sums/success"], ["eval/chat/success"]],
        "Learned reward": [["train/sums/reward", "eval/sums/reward"], ["train/chat/reward", "eval/chat/reward"]],
        "Hacking alarm": [["alarm/sums"], ["alarm/chat"]],
        "Violation rate by judge": [["judges/sums/code/violation_rate", "judges/sums/math/violation_rate"]],
        "Agreement between judges": [["judges/sums/agreement/math_code"]],
        "Satisfied by all judges": [["judges/sums/satisfied_rate", "eval/sums/satisfied_rate"]],
        "Reward given violation": [["train/sums/reward_given_violation", "train/sums/reward_given_satisfied"]],
        "KL divergence from the reference": [["train/sums/kl", "eval/sums/kl"], ["train/chat/kl", "eval/chat/kl"]],
        "Response length": [["train/sums/length"], ["train/chat/length"]],
        "Time by stage": [[f"time/{stage}" for stage in STAGES]],
    }
    assert {panel["xAxis"] for of in found.values() for panel in of} == {"trainer/global_step"}
    assert found["Time by stage"][0]["plotType"] == "stacked-area"
    success = found["Success"][1]
    assert (success["yAxisMin"], success["yAxisMax"]) == (0, 1)


def test_what_an_observer_of_ones_own_logs_is_shown_too(tmp_path: Path) -> None:
    folder = a_run(tmp_path / "run")
    (folder / "metrics.csv").write_text("step,train/chat/asks_back,eval/chat/words,mine,gold/chat/success\n1,1,2,3,4\n")
    logged = logged_by([load_run(folder)])
    assert logged == ["eval/chat/success", "eval/chat/words", "mine", "train/chat/asks_back"]
    found = panels(workspace("team", "cgpo", {"chat": []}, logged=logged))
    assert [(panel["chartTitle"], panel["metrics"]) for panel in found["Measures"]] == [
        ("chat: words", ["eval/chat/words"])
    ]
    assert [(panel["chartTitle"], panel["metrics"]) for panel in found["Others: train"]] == [
        ("chat: asks_back", ["train/chat/asks_back"])
    ]
    assert [panel["metrics"] for panel in found["Others: mine"]] == [["mine"]]
    assert [panel["metrics"] for panel in found["Success"]] == [["eval/chat/success"]], "once"


def test_without_judges_their_sections_are_left_out() -> None:
    assert "Violation rate by judge" not in panels(workspace("team", "cgpo", {"chat": []}))


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
    assert "Violation rate by judge: sums\n" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="needs a key for W&B"):
        run_verb(find("dashboard"), line, ("cgpo", "dashboard"))
