"""A whole comparison at sizes at which nothing is learnt: runs, evaluation, numbers, figures, document; and again."""

import json
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from omegaconf import OmegaConf
from tests.end_to_end.tiny import PIPELINE, RUN, cgpo

FULL = Path(__file__).parents[2] / "conf" / "reproduction" / "full.yaml"
METHODS = ("warmup", "crpg", "crpg_without_judges")
TASKS = ("engagement", "harmful_intent")
FOR_TASKS = [o for o in RUN if not o.startswith("data.") or o.split(".")[1] in TASKS]
OVERRIDES = [*PIPELINE, *FOR_TASKS, f"tasks=[{','.join(TASKS)}]"]
LEFT_OUT = [str(name) for name in OmegaConf.load(FULL).methods if name not in METHODS]


def reproduce(folder: Path, *arguments: str) -> CompletedProcess[str]:
    given = ",".join(f'"{override}"' for override in OVERRIDES)
    return cgpo(
        "reproduce",
        "--quick",
        "seeds=[0]",
        "folder=comparison",
        f"overrides=[{given}]",
        *(f"methods.{name}=null" for name in LEFT_OUT),
        *arguments,
        folder=folder,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def first(folder: Path) -> CompletedProcess[str]:
    return reproduce(folder)


def test_every_run_and_the_evaluation_are_there(first: CompletedProcess[str], folder: Path) -> None:
    logs = "".join(log.read_text() for log in folder.glob("comparison/*/*.log"))
    assert first.returncode == 0, first.stderr + logs
    assert (folder / "comparison" / "crpg" / "seed_0" / "summary.json").is_file()
    evaluation = json.loads((folder / "comparison" / "evaluation" / "seed_0" / "evaluation.json").read_text())
    assert list(evaluation["policies"]) == list(METHODS)


def test_the_document_has_what_was_compared(first: CompletedProcess[str], folder: Path) -> None:
    text = (folder / "comparison" / "reproduction.md").read_text()
    assert "| `engagement` | `harmful_intent` | mean |" in text
    for title in ("DPO warm-up", "CRPG", "CRPG, no judges"):
        assert f"| {title} |" in text or f"| **{title}** |" in text
    assert "judges.svg" in text
    assert (folder / "comparison" / "results" / "judges.svg").is_file()
    assert "Made by `python -m cgpo reproduce --quick seeds=[0]" in text
    assert str(folder) not in text


def test_the_same_command_repeats_nothing(first: CompletedProcess[str], folder: Path) -> None:
    files = [file for file in folder.glob("comparison/*/seed_0/*") if file.is_file()]
    before = {file: file.stat().st_mtime_ns for file in files}
    again = reproduce(folder)
    assert again.returncode == 0, again.stderr
    assert "3 runs, 3 of them done already" in again.stdout
    assert {file: file.stat().st_mtime_ns for file in files} == before


def test_another_setting_is_not_mixed_in(first: CompletedProcess[str], folder: Path) -> None:
    changed = '["optimizer=crpg","optim.learning_rate=2.5e-4","updates=1"]'
    other = reproduce(folder, f"methods.crpg.overrides={changed}")
    assert other.returncode == 1
    assert other.stderr.startswith("error: comparison/crpg/seed_0 was made by another command (updates=1)")
    assert len(other.stderr.splitlines()) == 1
