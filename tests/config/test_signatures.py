"""What a class takes, read from its source without running it."""

import importlib
import inspect
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import pytest
from annotated_types import Gt

from cgpo.bounds import ModelPath, Unit
from cgpo.config import signatures, sources
from cgpo.config.signatures import REQUIRED, Untold, signature_of

PACKAGE = {
    "__init__.py": """
        from .inner import Plain as Renamed, Settings
        from . import inner
        from .deep.leaf import Leaf
        try:
            import something_that_is_not_there
        except ImportError:
            something_that_is_not_there = None
    """,
    "inner.py": '''
        from __future__ import annotations
        import typing as t
        from collections.abc import Mapping, Sequence
        from dataclasses import KW_ONLY, dataclass, field
        from typing import Annotated, ClassVar, Literal, TypeVar
        from annotated_types import Gt
        from cgpo.bounds import ModelPath, Unit
        from .constants import DEFAULT, KINDS, PerName

        raise RuntimeError("this module is only read")

        Colour = Literal["red", "green"]

        class Plain:
            """Says something.

            More of it.

            Args:
                path: where it lies, and a second line
                    of it.
                kind (str): which
                    one.
                **others: passed on.
            """

            ways = ("a", "b")
            least = 2

            def __init__(
                self, path: ModelPath, kind: Colour = "red", *, each: PerName[int] = 1, kinds: Sequence[str] = KINDS,
                mine: SomethingUnknown | None = None, size: t.Optional[int] = DEFAULT, **others: object,
            ) -> None: ...

        class Child(Plain):
            """A child.

            Args:
                path: another sentence.
            """

            least = 3

        @dataclass(frozen=True)
        class Settings:
            """Some settings.

            Attributes:
                rate: the rate.
                name: the name.
            """

            shared: ClassVar[int] = 4
            rate: Annotated[float, Gt(0), Unit("seconds")]
            name: str = "x"
            _: KW_ONLY
            table: Mapping[str, int] = field(default_factory=dict)
            plain: int = field(default=7)
            made: int = field(init=False, default=0)
            untyped = 3

        @dataclass
        class MoreSettings(Settings):
            """More settings.

            Attributes:
                rate: another rate.
            """

            extra: bool = False

        def function(a: int, b: str = "b" * 2) -> None:
            """Does it.

            Args:
                a: the first.
            """
    ''',
    "constants.py": """
        from collections.abc import Mapping
        from typing import TypeVar
        T = TypeVar("T")
        PerName = T | Mapping[str, T]
        DEFAULT = None
        KINDS = ("a", "b")
    """,
    "deep/leaf.py": """
        class Leaf:
            def __init__(self, x: int) -> None: ...
            @classmethod
            def of(cls, y: str) -> "Leaf": ...
    """,
    "dynamic.py": """
        import functools
        def decorated(kind): return kind
        @decorated
        class Odd:
            '''Odd.

            Args:
                x: odd.
            '''
            def __init__(self, x: int, y=2): ...
        Partial = functools.partial(Odd, y=3)
    """,
}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    folder = tmp_path / "read_only_package"
    for name, text in PACKAGE.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        lines = text.splitlines()
        indent = next(len(line) - len(line.lstrip()) for line in lines if line.strip())
        (folder / name).write_text("\n".join(line[indent:] for line in lines))
    monkeypatch.syspath_prepend(tmp_path)
    for cache in (signatures.signature_of, sources.read_module, sources._file):
        cache.cache_clear()
    return "read_only_package"


def test_a_class_is_read_with_its_docstring(package: str) -> None:
    found = signature_of(f"{package}.Renamed")
    assert (found.name, found.summary, found.takes_more) == ("Plain", "Says something.", True)
    assert {name: (p.annotation, p.default) for name, p in found.parameters.items()} == {
        "path": (ModelPath, REQUIRED),
        "kind": (Literal["red", "green"], "red"),
        "each": (int | Mapping[str, int], 1),
        "kinds": (Sequence[str], ["a", "b"]),
        "mine": (object, None),
        "size": (int | None, None),
    }
    assert found.parameters["path"].sentence == "where it lies, and a second line of it."
    assert found.parameters["kind"].sentence == "which one."
    assert (found.constants["least"], found.constants["ways"]) == (2, ["a", "b"])
    assert package not in sys.modules


def test_a_child_takes_what_its_base_takes(package: str) -> None:
    found = signature_of(f"{package}.inner.Child")
    assert list(found.parameters) == ["path", "kind", "each", "kinds", "mine", "size"]
    assert found.parameters["path"].sentence == "another sentence."
    assert found.parameters["kind"].sentence == "which one."
    assert found.constants["least"] == 3


def test_a_dataclass_takes_its_fields(package: str) -> None:
    found = signature_of(f"{package}.Settings")
    rate = found.parameters["rate"]
    assert (rate.annotation, rate.default) == (Annotated[float, Gt(0), Unit("seconds")], REQUIRED)
    assert {name: p.default for name, p in found.parameters.items() if name != "rate"} == {
        "name": "x",
        "table": Untold(),
        "plain": 7,
    }
    more = signature_of(f"{package}.inner.MoreSettings")
    assert list(more.parameters) == ["rate", "name", "table", "plain", "extra"]
    assert (more.parameters["rate"].sentence, more.parameters["name"].sentence) == ("another rate.", "the name.")


def test_functions_and_methods_are_read_too(package: str) -> None:
    found = signature_of(f"{package}.inner.function")
    assert {name: p.default for name, p in found.parameters.items()} == {"a": REQUIRED, "b": Untold("'b' * 2")}
    assert list(signature_of(f"{package}.Leaf.of").parameters) == ["y"]
    assert list(signature_of(f"{package}.deep.leaf.Leaf").parameters) == ["x"]
    assert package not in sys.modules


@pytest.mark.parametrize("name", ["Odd", "Partial"])
def test_what_the_source_does_not_tell_is_imported(package: str, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    target = Path(sources._file(f"{package}.dynamic") or "")
    (target.parent / "__init__.py").write_text("")
    assert list(signature_of(f"{package}.dynamic.{name}").parameters) == ["x", "y"]
    assert f"{package}.dynamic" in sys.modules
    for module in [module for module in sys.modules if module.startswith(package)]:
        monkeypatch.delitem(sys.modules, module)


@pytest.mark.parametrize(
    ("path", "kind", "message"),
    [
        ("read_only_package.Plane", AttributeError, "module 'read_only_package' has no attribute 'Plane'"),
        ("read_only_package.inner.Setings", AttributeError, "has no attribute 'Setings'"),
        ("no_such_package.Thing", ModuleNotFoundError, "No module named 'no_such_package'"),
        ("nothing", ImportError, "is no dotted path"),
        ("", ImportError, "is no dotted path"),
        ("read_only_package..inner", ImportError, "is no dotted path"),
    ],
)
def test_what_is_not_there(package: str, path: str, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        signature_of(path)


def test_a_library_is_read_without_being_imported() -> None:
    code = (
        "import sys; from cgpo.config.signatures import signature_of as s; "
        "print(list(s('lightning.pytorch.callbacks.EarlyStopping').parameters)[:2], 'lightning' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['monitor', 'min_delta'] False"


@pytest.mark.parametrize(
    "module", ["optimizer", "rollout", "rewards.bradley_terry", "training.callbacks", "judges.code"]
)
def test_what_is_read_is_what_python_says(module: str) -> None:
    loaded = importlib.import_module(f"cgpo.{module}")
    classes = [
        name for name in dir(loaded) if inspect.isclass(vars(loaded)[name]) and "cgpo" in vars(loaded)[name].__module__
    ]
    assert classes
    for name in classes:
        kind = vars(loaded)[name]
        if getattr(kind, "_is_protocol", False) or issubclass(kind, Exception):
            continue
        expected = [
            p.name
            for p in inspect.signature(kind).parameters.values()
            if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        ]
        assert list(signature_of(f"cgpo.{module}.{name}").parameters) == expected, name
