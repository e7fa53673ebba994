"""What is read from a run's folder."""

from pathlib import Path

import pytest

from cgpo.errors import UserError
from cgpo.run_files import Series, load_run, read_metrics


def a_run(folder: Path, metrics: str = "step,eval/chat/success\n0,0.5\n") -> Path:
    (folder / "config.yaml").write_text("seed: 3\ntasks:\n  chat: {judges: [math]}\n")
    (folder / "metrics.csv").write_text(metrics)
    return folder


def test_columns_lose_their_empty_cells_and_are_ordered_by_step(tmp_path: Path) -> None:
    run = load_run(a_run(tmp_path, "a,step,b\n,2,5.0\n1.5,1,\n2.5,3,nan\n"))
    assert run.metrics["a"] == Series((1, 3), (1.5, 2.5))
    assert run.metrics["b"].steps == (2, 3)


def test_a_run_under_way_has_no_summary_and_perhaps_half_a_line(tmp_path: Path) -> None:
    run = load_run(a_run(tmp_path))
    (tmp_path / "samples.jsonl").write_bytes(b'{"step":1,"task":"chat"}\n{"step":2,"ta')
    assert run.summary is None
    assert list(run.samples()) == [{"step": 1, "task": "chat"}]
    assert run.tasks == ["chat"]
    assert run.config["seed"] == 3


def test_a_damaged_line_is_named_and_alarms_are_told_from_no_watch(tmp_path: Path) -> None:
    run = load_run(a_run(tmp_path))
    assert run.alarms() is None
    (tmp_path / "alarms.jsonl").write_text("")
    assert run.alarms() is not None
    assert list(run.alarms() or ()) == []
    (tmp_path / "samples.jsonl").write_text('{"step":1}\n{"step":,}\n')
    with pytest.raises(UserError, match=r"samples\.jsonl: line 2 is no JSON"):
        list(run.samples())


def test_what_was_typed(tmp_path: Path) -> None:
    assert load_run(a_run(tmp_path)).overrides == ()
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "overrides.yaml").write_text("- seed=3\n- judges=[math,code]\n")
    assert load_run(tmp_path).overrides == ("seed=3", "judges=[math,code]")


def test_no_file_of_metrics_is_no_metrics(tmp_path: Path) -> None:
    assert read_metrics(tmp_path / "metrics.csv") == {}


def test_what_is_no_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such folder"):
        load_run(tmp_path / "none")
    with pytest.raises(UserError, match=r"config\.yaml is missing"):
        load_run(tmp_path)


def test_a_cell_that_is_no_number_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"metrics\.csv: 'high' under a is no number"):
        _ = load_run(a_run(tmp_path, "step,a\n1,high\n")).metrics
