"""The house rules that a program can check; the import rules are import-linter's, run here too."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted((ROOT / "src/cgpo").rglob("*.py"))
READERS = {"build", "cli", "config", "runs", "run_files.py", "train.py"}
"""The rooms that may see a configuration."""


def names(path: Path) -> str:
    return path.relative_to(ROOT / "src/cgpo").as_posix()


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def test_rooms_import_one_way() -> None:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-logo"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("path", MODULES, ids=names)
def test_only_the_composition_knows_hydra(path: Path) -> None:
    if names(path).split("/")[0] not in READERS:
        assert {name for name in imported(path) if name.split(".")[0] in ("hydra", "omegaconf")} == set()


@pytest.mark.parametrize("path", MODULES, ids=names)
def test_no_drawer_for_everything(path: Path) -> None:
    assert path.stem not in ("utils", "util", "helpers", "common", "manager", "misc")
    assert len(path.read_text().splitlines()) <= 300
