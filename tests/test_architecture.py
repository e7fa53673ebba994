"""The house rules that a program can check; the import rules are import-linter's, run here too."""

import ast
import subprocess
import sys
from collections.abc import Iterator, Sequence
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"
MODULES = sorted((SOURCE / "cgpo").rglob("*.py"))
SEE_A_CONFIGURATION = {"api", "build", "cli", "config", "runs", "run_files", "train"}
DRAWERS = {"utils", "util", "helpers", "common", "manager", "misc"}
CONFIGURATION = {"hydra", "omegaconf"}


def name_of(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


TREES = {name_of(path): ast.parse(path.read_text()) for path in MODULES}


def imports(nodes: Sequence[ast.AST]) -> Iterator[str]:
    """What the statements import, as modules where that can be told; functions' own imports, too."""
    for node in (inner for outer in nodes for inner in ast.walk(outer)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in TREES else node.module


def when_loaded(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run when a module is loaded."""
    for statement in body:
        if isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING":
            yield from when_loaded(statement.orelse)
        elif isinstance(statement, ast.If | ast.Try | ast.With):
            for part in ("body", "orelse", "finalbody"):
                yield from when_loaded(getattr(statement, part, []))
        elif not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield statement


def test_rooms_import_one_way() -> None:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-logo"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout


def test_no_module_waits_for_itself_to_be_loaded() -> None:
    graph = {name: {*imports([*when_loaded(tree.body)])} & TREES.keys() for name, tree in TREES.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" ← ".join(error.args[1]))


def test_only_the_rooms_around_the_schema_know_hydra() -> None:
    found = {
        name for name, tree in TREES.items() if {module.split(".")[0] for module in imports([tree])} & CONFIGURATION
    }
    assert {name for name in found if name.split(".")[1] not in SEE_A_CONFIGURATION} == set()


def test_no_drawer_for_everything() -> None:
    assert {name for name in TREES if DRAWERS & {*name.split(".")}} == set()


def test_no_file_is_longer_than_a_sitting() -> None:
    lines = {name_of(path): len(path.read_text().splitlines()) for path in MODULES}
    assert {name: count for name, count in lines.items() if count > 300} == {}
