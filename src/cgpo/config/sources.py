"""Python source that is read without being run: which module defines a name, and what the definition says."""

from __future__ import annotations

import ast
import builtins
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from pathlib import Path

Node = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


class UnreadableError(Exception):
    """The source does not say what a name is; running it might."""


@dataclass(frozen=True)
class Imported:
    """A name that another module defines: `from module import name`, or the module itself."""

    module: str
    name: str | None


@dataclass(frozen=True)
class Module:
    """What a module's source binds at its top.

    Attributes:
        name: dotted.
        names: the definition, import or value that each name is bound to.
        complete: whether these are all: no `import *`, no `__getattr__`.
    """

    name: str
    names: Mapping[str, Node | Imported | ast.expr] = field(repr=False)
    complete: bool = True


class UnknownNameError(AttributeError):
    """A module binds no such name."""

    def __init__(self, module: Module, name: str) -> None:
        super().__init__(f"module {module.name!r} has no attribute {name!r}")
        self.close = next(iter(get_close_matches(name, module.names, n=1)), "")


@dataclass(frozen=True)
class Definition:
    """A class or function, and the module that defines it."""

    module: Module
    node: Node


@cache
def read_module(name: str) -> Module | None:
    """A module by its dotted name; `None` where there is no such source."""
    file = _file(name)
    if file is None:
        return None
    if not file.is_file():  # a namespace package
        return Module(name, {}, complete=False)
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    names: dict[str, Node | Imported | ast.expr] = {}
    complete = True
    for statement in _statements(tree.body):
        for bound, meaning in _bindings(statement, package):
            names[bound] = meaning
            complete = complete and bound not in ("*", "__getattr__")
    return Module(name, names, complete)


def find(path: str) -> Definition:
    """The class or function of a dotted path.

    Raises:
        ModuleNotFoundError: there is no such module.
        AttributeError: the module has no such name.
        UnreadableError: the source does not say.
    """
    parts = path.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        module = read_module(".".join(parts[:cut]))
        if module is not None:
            return _member(look_up(module, parts[cut]), parts[cut + 1 :])
    if not _exists(parts[0]):
        raise ModuleNotFoundError(f"No module named {parts[0]!r}")
    raise UnreadableError(path)


def look_up(module: Module, name: str) -> Definition:
    """What a name of a module stands for, followed through imports.

    Raises:
        ModuleNotFoundError, AttributeError, UnreadableError: see `find`.
    """
    seen: set[tuple[str, str]] = set()
    while (module.name, name) not in seen:
        seen.add((module.name, name))
        meaning = module.names.get(name)
        if isinstance(meaning, Node):
            return Definition(module, meaning)
        if isinstance(meaning, ast.Name | ast.Attribute):
            return find_expression(module, meaning)
        if not isinstance(meaning, Imported):
            break
        if meaning.name is None or (source := read_module(meaning.module)) is None:
            raise UnreadableError(f"{module.name}.{name}")
        module, name = source, meaning.name
    unknown = name not in module.names and not hasattr(builtins, name)
    if unknown and module.complete and _file(f"{module.name}.{name}") is None:
        raise UnknownNameError(module, name)
    raise UnreadableError(f"{module.name}.{name}")


def find_expression(module: Module, expression: ast.expr) -> Definition:
    """The class or function that an expression such as `Base` or `package.Base` names.

    Raises:
        ModuleNotFoundError, AttributeError, UnreadableError: see `find`.
    """
    if isinstance(expression, ast.Subscript):  # Base[T]
        return find_expression(module, expression.value)
    if isinstance(expression, ast.Name):
        return look_up(module, expression.id)
    root = expression
    while isinstance(root, ast.Attribute):
        root = root.value
    imported = module.names.get(root.id) if isinstance(root, ast.Name) else None
    if not isinstance(imported, Imported):
        raise UnreadableError(ast.unparse(expression))
    start = imported.module if imported.name is None else f"{imported.module}.{imported.name}"
    return find(".".join([start, *ast.unparse(expression).split(".")[1:]]))


def _member(definition: Definition, path: list[str]) -> Definition:
    """A class's own class or function: `Class.from_file`."""
    for name in path:
        inner = [n for n in definition.node.body if isinstance(n, Node) and n.name == name]
        if not isinstance(definition.node, ast.ClassDef) or not inner:
            raise UnreadableError(name)
        definition = Definition(definition.module, inner[-1])
    return definition


def _exists(top: str) -> bool:
    try:
        return importlib.util.find_spec(top) is not None
    except (ImportError, ValueError):
        return top in sys.modules


@cache
def _file(name: str) -> Path | None:
    """The file of a module, found without importing the packages around it; a folder for a namespace package."""
    top, *inner = name.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    places = [Path(place) for place in spec.submodule_search_locations or ()]
    found = Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else next(iter(places), None)
    for part in inner:
        around = places
        candidates = [c for place in around for c in (place / part / "__init__.py", place / f"{part}.py", place / part)]
        found = next((c for c in candidates if c.is_file() or (c.is_dir() and not c.suffix)), None)
        if found is None:
            return None
        places = [found.parent] if found.name == "__init__.py" else [found] if found.is_dir() else []
    return found


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module, those under `if` and `try` included."""
    for statement in body:
        if isinstance(statement, ast.If):
            yield from _statements([*statement.orelse, *statement.body])
        elif isinstance(statement, ast.Try):
            handled = [inner for handler in statement.handlers for inner in handler.body]
            yield from _statements([*handled, *statement.body, *statement.orelse, *statement.finalbody])
        else:
            yield statement


def _bindings(statement: ast.stmt, package: str) -> Iterator[tuple[str, Node | Imported | ast.expr]]:
    if isinstance(statement, Node):
        yield statement.name, statement
    elif isinstance(statement, ast.Import):
        for alias in statement.names:
            yield (
                alias.asname or alias.name.partition(".")[0],
                Imported(alias.name if alias.asname else alias.name.partition(".")[0], None),
            )
    elif isinstance(statement, ast.ImportFrom):
        above = package.split(".")[: len(package.split(".")) - max(0, statement.level - 1)]
        source = ".".join(filter(None, [*(above if statement.level else ()), statement.module or ""]))
        for alias in statement.names:
            yield alias.asname or alias.name, Imported(source, alias.name)
    elif isinstance(statement, ast.Assign):
        for target in statement.targets:
            if isinstance(target, ast.Name):
                yield target.id, statement.value
    elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value:
        yield statement.target.id, statement.value
