"""What `import cgpo` costs and offers."""

import ast
import subprocess
import sys
from pathlib import Path

import cgpo

HEAVY = ("torch", "lightning", "transformers", "numpy", "hydra", "omegaconf", "pydantic", "rich", "wandb")


def test_nothing_heavy_is_imported() -> None:
    program = f"import sys, cgpo; print([name for name in {HEAVY!r} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout.strip() == "[]"


def test_every_public_name_is_there_and_has_a_docstring() -> None:
    for name in cgpo.__all__:
        found = getattr(cgpo, name)
        assert name == "__version__" or found.__doc__, name
    assert set(cgpo.__all__) <= set(dir(cgpo))


def test_editors_are_told_of_every_public_name() -> None:
    tree = ast.parse(Path(cgpo.__file__).read_text())
    (checking,) = [node for node in tree.body if isinstance(node, ast.If)]
    told = {
        f"cgpo.{room}.{name}"
        for room, names in cgpo._ROOMS.items()
        for name in names  # pyright: ignore[reportPrivateUsage]
    }
    imported = [node for node in checking.body if isinstance(node, ast.ImportFrom)]
    assert {f"{node.module}.{alias.name}" for node in imported for alias in node.names} == told
    assert {path.rpartition(".")[2] for path in told} | {"__version__"} == set(cgpo.__all__)
    assert (Path(cgpo.__file__).parent / "py.typed").is_file()


def test_no_public_function_has_the_name_of_a_package() -> None:
    here = Path(cgpo.__file__).parent
    rooms = {path.stem for path in here.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert not rooms & set(cgpo.__all__), "importing the package would hide the function"
