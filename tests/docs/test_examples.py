"""What the documentation shows works: its Python runs, its command lines compose, its pages are all reachable."""

from __future__ import annotations

import inspect
import json
import re
import shutil
import sys
import textwrap
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from tests.docs.pages import PAGES, ROOT, blocks, command_lines, first_of_sweep, name

import cgpo
from cgpo.cli.compose import _translated
from cgpo.cli.main import NAMES, find
from cgpo.config import ROOTS, compose, read_config

POLICIES = ("HuggingFaceTB/SmolLM2-135M-Instruct", "artifact:sft")
"""The policies that examples name; a tiny one that has learnt nothing takes their places."""
MODULES = {"my_judges": "Politeness", "my_rewards": "Brevity", "my_optimizers": "BestOfBatch", "my_metrics": "Words"}
"""Modules of one's own that the examples name, each with a class that tells which block is the module."""
MODELS = (
    *(
        f"runs/{run}{policy}"
        for run in ("2026-01-31/12-00-00", "a", "b", "default", "none")
        for policy in ("", "/policy")
    ),
    *("models/my_guard", "models/stories1M", "models/stories8M", "stories260K", "stories3M"),
)
"""Folders of models that the examples name; empty ones take their places."""
WITH_PYTHON = [page for page in PAGES if blocks(page, "python")]
WITH_COMMANDS = [page for page in PAGES if next(command_lines(page), None) and page.name != "reproduction.md"]
NAMED_BY_READER = re.compile(r"^(HOST|NAME|FILE|FOLDER\w*|MODEL)$|…")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from cgpo.stages.suite import SuitePolicy

    folder = tmp_path_factory.mktemp("model") / "policy"
    SuitePolicy(layers=1).load().save(folder)
    return folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with the rows that examples judge."""
    monkeypatch.chdir(tmp_path)
    row = {"prompt": "What is 3 + 4?", "response": r"It is \boxed{7}.", "metadata": {"answer": "7"}, "label": True}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")
    for models in MODELS:
        (tmp_path / models).mkdir(parents=True, exist_ok=True)
        (tmp_path / models / "config.json").write_text("{}")
    return tmp_path


def with_model(code: str, model: Path) -> str:
    """The code with the tiny model in the place of those that it names."""
    for policy in POLICIES:
        code = code.replace(policy, str(model))
    return code


def with_modules(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writes the modules and YAML files of one's own that a page shows, or else those that other pages show."""
    pages = [*(other for other in PAGES if other != page), page]
    for module, class_name in MODULES.items():
        monkeypatch.delitem(sys.modules, module, raising=False)
        for shown in pages:
            code = "\n".join(block.text for block in blocks(shown, "python") if "class " in block.text)
            if f"class {class_name}" in code:
                (folder / f"{module}.py").write_text(code)
    for block in (block for shown in pages for block in blocks(shown, "yaml")):
        if block.file and block.file.startswith("my_conf/"):
            (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.file).write_text(block.text)
    monkeypatch.syspath_prepend(str(folder))


@pytest.mark.parametrize("page", WITH_PYTHON, ids=name)
def test_the_python_of_a_page_runs_from_top_to_bottom(
    page: Path, folder: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"__name__": "__main__"}
    for number, block in enumerate(blocks(page, "python"), 1):
        code = with_model(block.text, model)
        exec(compile(code, f"{name(page)}, Python block {number}", "exec"), names)


def test_the_examples_of_public_names_run(folder: Path, model: Path) -> None:
    page = (ROOT / "docs" / "reference" / "python.md").read_text()
    shown = {}
    for public in re.findall(r"^::: cgpo\.(\w+)$", page, re.MULTILINE):
        text = inspect.getdoc(getattr(cgpo, public)) or ""
        for number, code in enumerate(re.findall(r"```python\n(.*?)```", text, re.DOTALL), 1):
            shown[f"cgpo.{public}, example {number}"] = with_model(textwrap.dedent(code), model)
    assert {"cgpo.fit, example 1", "cgpo.Task, example 1"} <= set(shown)
    names = {"__name__": "__main__"}  # an example may go on with what one before it made
    for title, code in shown.items():
        shutil.rmtree("my_policy", ignore_errors=True)
        exec(compile(code, title, "exec"), names)


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=name)
def test_the_command_lines_of_a_page_compose(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_modules(page, folder, monkeypatch)
    for verb, *arguments in command_lines(page):
        assert verb in (*NAMES, "--help", "--version"), f"{name(page)}: cgpo {verb}"
        if verb not in ROOTS or "--help" in arguments or any(NAMED_BY_READER.search(a) for a in arguments):
            continue
        own = [Path(after) for flag, after in pairwise(arguments) if flag == "--config-dir"]
        typed = [a for a in arguments if a not in ("--config-dir", *map(str, own))]
        overrides = first_of_sweep(_translated(find(verb), typed))
        try:
            read_config(compose(verb, overrides, own), verb, folder / "run")
        except Exception as error:
            raise AssertionError(f"{name(page)}: cgpo {verb} {' '.join(arguments)}\n{error}") from error


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "yaml")], ids=name)
def test_the_yaml_of_a_page_is_yaml(page: Path) -> None:
    for block in blocks(page, "yaml"):
        assert yaml.safe_load(block.text), block.text


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "reproduction.md"], ids=name)
def test_the_files_that_a_page_names_are_there(page: Path) -> None:
    """Python files below `src/cgpo` or the repository's root; names in `<…>` and in my_conf are the reader's."""
    for file in re.findall(r"`((?:\w+/)+\w+\.py)\b", page.read_text()):
        assert (ROOT / "src/cgpo" / file).exists() or (ROOT / file).exists(), file


def test_every_page_is_in_the_navigation() -> None:
    listed = set(re.findall(r"(?:: |- )(\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE))
    pages = {page.relative_to(ROOT / "docs").as_posix() for page in PAGES if ROOT / "docs" in page.parents}
    assert pages <= listed
    assert listed - pages == {
        "contributing.md",
        "changelog.md",
        "reference/configuration.md",
        "reference/commands.md",
        "reference/metrics.md",
    }


def test_no_page_sends_its_reader_out_of_the_repository() -> None:
    for page in [*PAGES, ROOT / "CHANGELOG.md"]:
        text = page.read_text(encoding="utf-8")
        assert "../shared" not in text, name(page)
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
            if "://" in target or page.name == "reproduction.md":
                continue
            made = {"changelog.md", "contributing.md", "configuration.md", "commands.md", "metrics.md"}
            assert (page.parent / target).exists() or Path(target).name in made, f"{name(page)}: {target}"


def test_every_public_name_is_in_the_reference() -> None:
    page = (ROOT / "docs" / "reference" / "python.md").read_text()
    assert set(re.findall(r"^::: cgpo\.(\w+)$", page, re.MULTILINE)) == set(cgpo.__all__) - {"__version__"}


def test_the_architecture_names_every_room_in_the_order_of_imports() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text().split("## Rooms")[1].split("\n## ")[0]
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = contracts[0]["layers"]
    assert re.findall(r"^    (\S.*)$", page, re.MULTILINE) == layers
    described = re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)))
    assert sorted(described) == sorted(room for layer in layers for room in layer.split(" | "))


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120
