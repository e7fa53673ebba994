"""What a class or function takes, and what its docstring says of it: read from its source, if that tells."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module

from cgpo.config.annotations import ANYTHING, constant, evaluate
from cgpo.config.docstrings import arguments_of, summary_of
from cgpo.config.sources import Definition, Module, Node, UnreadableError, find, find_expression

HARMLESS = ("final", "runtime_checkable", "total_ordering")
"""Decorators of a class that leave what it takes as it is."""
DATACLASS = "dataclass"


@dataclass(frozen=True)
class Required:
    """The default of an argument that has none."""


@dataclass(frozen=True)
class Untold:
    """A default, or another value, that only running the source would tell."""

    text: str = "…"


REQUIRED = Required()


@dataclass(frozen=True)
class Parameter:
    """An argument by name: what it may be, as `cgpo.bounds` has it, its default, and what it means."""

    name: str
    annotation: object
    default: object
    sentence: str = ""

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is REQUIRED


@dataclass(frozen=True)
class Signature:
    """What a class or function takes.

    Attributes:
        name: of the class or function.
        summary: the first paragraph of its docstring.
        parameters: by name, in order.
        takes_more: whether it takes arguments of any name.
        constants: values that the class gives all its objects, such as `min_responses = 2`.
    """

    name: str
    summary: str
    parameters: Mapping[str, Parameter]
    takes_more: bool = False
    constants: Mapping[str, object] = field(default_factory=dict[str, object])


@cache
def signature_of(path: str) -> Signature:
    """The signature of the class or function of a dotted path; it is imported only where its source does not tell.

    Raises:
        ImportError, AttributeError: there is none.
        Exception: whatever importing a module raises that its source does not explain.
    """
    parts = path.split(".")
    if not all(part.isidentifier() for part in parts) or len(parts) < 2:
        raise ImportError(f"{path!r} is no dotted path of a class")
    try:
        return _read(find(path))
    except UnreadableError:
        return _inspected(path)


def _read(definition: Definition) -> Signature:
    module, node = definition.module, definition.node
    docstring = ast.get_docstring(node) or ""
    if not isinstance(node, ast.ClassDef):
        bound = any(ast.unparse(d) == "classmethod" for d in node.decorator_list)
        parameters, takes_more = _of_function(module, node, arguments_of(docstring), skip=bound)
        return Signature(node.name, summary_of(docstring), parameters, takes_more)
    parameters, takes_more = _of_class(definition)
    return Signature(node.name, summary_of(docstring), parameters, takes_more, _constants(definition))


def _of_class(definition: Definition) -> tuple[dict[str, Parameter], bool]:
    module, node = definition.module, definition.node
    assert isinstance(node, ast.ClassDef)
    names = [ast.unparse(d.func if isinstance(d, ast.Call) else d).rpartition(".")[2] for d in node.decorator_list]
    if any(name not in (*HARMLESS, DATACLASS) for name in names):
        raise UnreadableError(node.name)
    said = arguments_of(ast.get_docstring(node) or "")
    functions = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name in ("__init__", "__new__")]
    for function in functions:
        if not any(ast.unparse(d).endswith("overload") for d in function.decorator_list):
            own = arguments_of(ast.get_docstring(function) or "")
            return _of_function(module, function, {**said, **own}, skip=True)
    inherited: dict[str, Parameter] = {}
    takes_more = False
    for base in reversed(list(_bases(definition))):
        parameters, more = _of_class(base)
        inherited, takes_more = {**inherited, **parameters}, takes_more or more
    if DATACLASS not in names:
        return {name: _retold(p, said) for name, p in inherited.items()}, takes_more
    own_fields = {p.name: p for p in _fields(module, node, said)}
    return {name: _retold(p, said) for name, p in {**inherited, **own_fields}.items()}, takes_more


def _bases(definition: Definition) -> Iterator[Definition]:
    """The base classes that may say what the class takes."""
    node = definition.node
    assert isinstance(node, ast.ClassDef)
    for base in node.bases:
        if ast.unparse(base).partition("[")[0].rpartition(".")[2] in ("object", "Generic", "Protocol", "ABC"):
            continue
        found = find_expression(definition.module, base)
        if isinstance(found.node, ast.ClassDef):
            yield found


def _of_function(module: Module, node: Node, said: Mapping[str, str], skip: bool) -> tuple[dict[str, Parameter], bool]:
    assert not isinstance(node, ast.ClassDef)
    positional = [*node.args.posonlyargs, *node.args.args]
    missing: list[ast.expr | None] = [None] * (len(positional) - len(node.args.defaults))
    pairs = [*zip(positional, [*missing, *node.args.defaults], strict=True)][1 if skip else 0 :]
    pairs += zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    found = {
        argument.arg: Parameter(
            argument.arg,
            evaluate(module, argument.annotation),
            REQUIRED if default is None else _value(module, default),
            said.get(argument.arg, ""),
        )
        for argument, default in pairs
    }
    return found, node.args.kwarg is not None


def _fields(module: Module, node: ast.ClassDef, said: Mapping[str, str]) -> Iterator[Parameter]:
    for statement in node.body:
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        written = ast.unparse(statement.annotation)
        if "ClassVar" in written or written.rpartition(".")[2] == "KW_ONLY":
            continue
        name, default = statement.target.id, statement.value
        value: object = REQUIRED if default is None else _value(module, default)
        if isinstance(default, ast.Call) and ast.unparse(default.func).rpartition(".")[2] == "field":
            options = {keyword.arg: keyword.value for keyword in default.keywords}
            if "init" in options and _value(module, options["init"]) is False:
                continue
            given = options.get("default")
            value = (
                _value(module, given) if given is not None else Untold() if "default_factory" in options else REQUIRED
            )
        yield Parameter(name, evaluate(module, statement.annotation), value, said.get(name, ""))


def _value(module: Module, expression: ast.expr) -> object:
    try:
        return constant(module, expression)
    except ValueError:
        return Untold(ast.unparse(expression))


def _retold(parameter: Parameter, said: Mapping[str, str]) -> Parameter:
    sentence = said.get(parameter.name, parameter.sentence)
    return Parameter(parameter.name, parameter.annotation, parameter.default, sentence)


def _constants(definition: Definition) -> dict[str, object]:
    """The values of a class's names that all its objects share, those of its bases included."""
    node = definition.node
    assert isinstance(node, ast.ClassDef)
    found: dict[str, object] = {}
    for base in reversed(list(_bases(definition))):
        found |= _constants(base)
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef):
            found[statement.name] = Untold()
        elif isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            found |= {t.id: _value(definition.module, statement.value) for t in targets if isinstance(t, ast.Name)}
    return found


def _inspected(path: str) -> Signature:
    """The signature of what has to be imported to be known."""
    target = _imported(path)
    docstring = inspect.getdoc(target) or ""
    said = arguments_of(docstring)
    parameters = inspect.signature(target).parameters.values()
    named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    return Signature(
        getattr(target, "__name__", path.rpartition(".")[2]),
        summary_of(docstring),
        {
            p.name: Parameter(p.name, ANYTHING, REQUIRED if p.default is p.empty else p.default, said.get(p.name, ""))
            for p in named
        },
        any(p.kind is p.VAR_KEYWORD for p in parameters),
        {name: value for name, value in _shared(target) if not name.startswith("__")},
    )


def _shared(target: object) -> Iterable[tuple[str, object]]:
    return vars(target).items() if isinstance(target, type) else ()


def _imported(path: str) -> Callable[..., object]:
    """The class or function of a dotted path.

    Raises:
        ImportError, AttributeError: there is none, or it cannot be called.
    """
    parts = path.split(".")
    found: object = import_module(parts[0])
    for place, part in enumerate(parts[1:], start=1):
        try:
            found = getattr(found, part)
        except AttributeError:
            name = ".".join(parts[: place + 1])
            try:
                found = import_module(name)
            except ModuleNotFoundError as error:
                if error.name != name:
                    raise
                raise AttributeError(f"module {'.'.join(parts[:place])!r} has no attribute {part!r}") from None
    if not callable(found):
        raise ImportError(f"{path} is neither a class nor a function")
    return found
