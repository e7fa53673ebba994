"""What travels in the wheel: the code, `conf/` as `cgpo/conf`, and the templates of judges and of the report."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

import cgpo

ROOT = Path(__file__).resolve().parents[1]
CONF_FILES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "conf").rglob("*.yaml"))
TEMPLATES = sorted(
    path.relative_to(ROOT / "src").as_posix()
    for room in ("judges/language_model", "reporting")
    for path in (ROOT / f"src/cgpo/{room}/templates").iterdir()
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    (file,) = folder.glob("*.whl")
    return file


def test_the_wheel_holds_every_config_template_and_module(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert CONF_FILES
    assert [name for name in CONF_FILES if f"cgpo/{name}" not in names] == []
    assert {Path(name).suffix for name in TEMPLATES} == {".txt", ".html", ".css", ".js"}
    assert [name for name in TEMPLATES if name not in names] == []
    modules = [path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src").rglob("*.py")]
    assert [name for name in modules if name not in names] == []
    assert [name for name in names if not name.startswith(("cgpo/", "cgpo-"))] == []


def test_an_unpacked_wheel_imports_away_from_the_repository(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    script = (
        "import sys; sys.path.insert(0, 'site'); import cgpo.data.source, importlib.resources as resources; "
        "files = resources.files('cgpo'); print(files); print(files.joinpath('conf/data/gsm8k.yaml').read_text())"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.splitlines()[0]).resolve() == (tmp_path / "site" / "cgpo").resolve()
    assert "_target_: cgpo.data.source.PromptFile" in done.stdout


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which pip has installed the wheel, and nothing else."""
    site = tmp_path_factory.mktemp("installed") / "site"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(site), str(wheel)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return site


def run_installed(site: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python -m cgpo.train` of the installed wheel, in an empty folder."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "PYTHONPATH": str(site)}
    command = [sys.executable, "-m", "cgpo.train", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=240)


def test_the_installed_wheel_reads_the_conf_it_brought(installed: Path, tmp_path: Path) -> None:
    (installed / "cgpo/conf/optimizer/of_the_wheel.yaml").write_text("_target_: cgpo.optimizer.CRPG\nkl_max: 3.5\n")
    done = run_installed(installed, tmp_path, "--cfg", "job", "optimizer=of_the_wheel", "tasks=reasoning")
    assert done.returncode == 0, done.stderr
    config = yaml.safe_load(done.stdout)
    assert config["optimizer"] == {"_target_": "cgpo.optimizer.CRPG", "kl_max": 3.5}
    assert list(config["tasks"]) == ["math_code"]


def test_the_installed_wheel_says_what_is_wrong(installed: Path, tmp_path: Path) -> None:
    done = run_installed(installed, tmp_path, "judges=[math,cod]")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: judges=cod: there is no such choice; choose all, code, ")


def test_the_development_environment_is_pinned_and_names_no_machine() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert {"torch", "lightning", "transformers", "hydra-core", "omegaconf", "hatchling", "ruff", "pyright"} <= set(
        pins
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11"


def test_the_version_has_one_place() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" in project["project"]["dynamic"]
    assert project["tool"]["hatch"]["version"]["path"] == "src/cgpo/__init__.py"
    assert (ROOT / "src/cgpo/__init__.py").read_text().count(f'__version__ = "{cgpo.__version__}"') == 1
    assert (ROOT / "CHANGELOG.md").read_text().split("\n## ")[1].startswith(cgpo.__version__)


def test_make_without_a_target_explains_itself() -> None:
    done = subprocess.run(["make", "--silent"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    listed = [line.split()[1] for line in done.stdout.splitlines()]
    assert listed == ["help", "train", "test", "check", "docs", "soak", "bench", "bench-gpu", "clean"]


def test_make_refuses_an_old_python_in_one_line(tmp_path: Path) -> None:
    old = tmp_path / "python3.10"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    command = ["make", "--silent", f"PYTHON={old}", f"VENV={tmp_path}/venv", f"{tmp_path}/venv/.ready"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert done.stderr.splitlines()[0].startswith("error: Python 3.11 or later is needed")
