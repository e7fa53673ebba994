"""The notebooks run from top to bottom, their own assertions included, and are kept without outputs."""

import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from tests.end_to_end.tiny import cgpo

from cgpo.reporting.workspace import tasks_of, workspace
from cgpo.run_files import load_run
from cgpo.stages.suite import SuitePolicy

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
TASKS = ("instruction_following", "math_code")


def executed(name: str, folder: Path) -> str:
    """What a notebook prints; raises where a cell does."""
    notebook: Any = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    NotebookClient(
        notebook, timeout=250, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs), "nothing was drawn"
    return "".join(output["text"] for output in outputs if output["output_type"] == "stream")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two tasks and two updates, from a policy that has learnt nothing."""
    folder = tmp_path_factory.mktemp("run")
    SuitePolicy(layers=1).load().save(folder / "model")
    done = cgpo(
        "train",
        *("model.path=model", "pipeline=none", "reward=constant", f"tasks=[{','.join(TASKS)}]"),
        *("judges=[math,instruction_following]", *(f"tasks.{task}.reward=constant" for task in TASKS)),
        *("logger=none", "updates=2", "trainer.threads=1", "rollout.max_new_tokens=16", "hydra.run.dir=out"),
        *(f"data.{task}.{size}=16" for task in TASKS for size in ("train_size", "held_out_size")),
        folder=folder,
    )
    assert done.returncode == 0, done.stderr
    return folder / "out"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_stripped_and_claims_are_asserted(path: Path) -> None:
    notebook: Any = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code)
    assert sum(cell.source.count("assert ") for cell in code) >= 5


def test_the_tour_goes_through_a_run(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CGPO_RUN", str(run))
    said = executed("tour_of_a_run", run.parent)
    assert f"tasks: {', '.join(TASKS)}" in said
    assert "judges that can be asked here: " in said
    assert "the same outcome each time" in said


def test_the_tour_finds_the_newest_run(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CGPO_RUN", raising=False)
    shutil.copytree(run, tmp_path / "runs/2026-01-31/12-00-00")
    notebook: Any = nbformat.read(FOLDER / "tour_of_a_run.ipynb", as_version=4)
    first = next(cell.source for cell in notebook.cells if cell.cell_type == "code")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(first, names)
    assert names["run"].folder == Path("runs/2026-01-31/12-00-00")


def test_the_first_run_trains_with_a_judge_and_without(
    tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CGPO_POLICY", str(run.parent / "model"))
    monkeypatch.setenv("CGPO_UPDATES", "2")
    said = executed("first_run", tmp_path)
    assert "with_judge: reward" in said
    assert "without_judge: reward" in said


def test_the_three_optimizers_go_where_they_should(tmp_path: Path) -> None:
    said = executed("three_optimizers", tmp_path)
    assert "CRPG's limit" in said


def test_the_dashboard_names_metrics_that_a_run_logs(run: Path) -> None:
    found = load_run(run)
    made = workspace("team", "cgpo", tasks_of([found]))
    named = {metric for section in made.sections for panel in section.panels for metric in panel.y}
    # In so short a run no response is both violated and satisfied, and no checkpoint is made;
    # success needs a gold judge.
    assert {str(metric) for metric in named} - set(found.metrics) <= {
        f"train/{task}/reward_given_{outcome}" for task in TASKS for outcome in ("violation", "satisfied")
    } | {f"judges/{task}/satisfied_rate" for task in TASKS} | {"time/checkpoint"}
