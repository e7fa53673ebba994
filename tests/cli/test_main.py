"""The program `cgpo`: which verbs there are, and that none loads what is slow before it has read what was typed."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from cgpo.cli.main import GROUPS, NAMES, find, main
from cgpo.config import SCHEMAS

BLOCKED = """
import sys
from importlib.machinery import PathFinder


class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name not in ("torch", "transformers", "lightning", "wandb", "matplotlib"):
            return None
        spec = PathFinder.find_spec(name, path)
        spec.loader.exec_module = self.refuse
        return spec

    def refuse(self, module):
        raise ImportError(f"{module.__name__} is slow to import")


sys.meta_path.insert(0, Blocked())
"""


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    main(arguments)
    return capsys.readouterr().out


def test_the_list_of_verbs_is_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "--help").splitlines()
    for name in NAMES:
        assert [line for line in lines if line.startswith(f"  {name} ")] == [f"  {name:<12} {find(name).summary}"]
    assert [line for line in lines if line in GROUPS] == list(GROUPS)
    assert sum(line.startswith("  cgpo ") for line in lines) == 1 + 3
    assert max(map(len, lines)) <= 80
    assert said(capsys) == said(capsys, "help") == said(capsys, "-h")


def test_each_verb_bears_its_name_and_has_a_schema() -> None:
    assert {find(name).name for name in NAMES} == set(NAMES) == set(SCHEMAS)


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "--version") == said(capsys, "train", "--version") == f"cgpo {version('cgpo')}\n"


def test_an_unknown_verb_is_told_the_nearest() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["trian", "optimizer=crpg"])
    assert str(ended.value.code).startswith("error: trian: there is no such verb; choose benchmark, ")
    assert str(ended.value.code).endswith("(did you mean train?)")


@pytest.fixture
def without_what_is_slow(tmp_path: Path) -> dict[str, str]:
    """An environment in which nothing slow can be run; its source can be read."""
    (tmp_path / "sitecustomize.py").write_text(BLOCKED)
    return {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": str(tmp_path)}


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        (["--help"], 0, "cgpo VERB"),
        (["--version"], 0, "cgpo "),
        (["train", "--help"], 0, "cgpo train "),
        (["train", "--help", "--all"], 0, "optim.learning_rate"),
        (["train", "optimzer=crpg"], 1, "did you mean optimizer?"),
        (["train", "optimizer=crgp"], 1, "did you mean crpg?"),
        (["train", "judges=[math,cod]"], 1, "did you mean code?"),
        (["train", "updates=0"], 1, "updates is 0: "),
        (["train", "tasks.math_code.judges=[mth]"], 1, "did you mean math?"),
        (["evaluate", "evaluation.samples=-1"], 1, "evaluation.samples is -1: "),
        (["report", "outptu=x"], 1, "did you mean output?"),
        (["plan", "plan.gpu_gb=0"], 1, "plan.gpu_gb is 0: "),
    ],
)
def test_what_is_wrong_is_told_before_anything_slow_is_loaded(
    without_what_is_slow: dict[str, str], tmp_path: Path, line: list[str], status: int, said: str
) -> None:
    command = [sys.executable, "-m", "cgpo", *line]
    done = subprocess.run(command, cwd=tmp_path, env=without_what_is_slow, capture_output=True, text=True, timeout=60)
    assert done.returncode == status, done.stderr
    assert said in (done.stderr if status else done.stdout)
    assert len(done.stderr.splitlines()) == status
    assert not (tmp_path / "runs").exists()


def test_the_module_of_the_main_job_is_the_same(without_what_is_slow: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "cgpo.train", "optimzer=crpg"]
    done = subprocess.run(command, cwd=tmp_path, env=without_what_is_slow, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.startswith("error: optimzer: there is no such key; choose ")


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("cgpo ", [*NAMES]), ("cgpo tr", ["train", "train-judge"]), ("cgpo train optimizer=cr", ["optimizer=crpg"])],
)
def test_completion_knows_verbs_and_choices(tmp_path: Path, typed: str, offered: list[str]) -> None:
    command = [sys.executable, "-m", "cgpo", "-sc", "query=bash"]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "COMP_LINE": typed}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert set(offered) <= set(done.stdout.split())
