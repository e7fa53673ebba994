"""What an annotation means, told from its source; a name that only running would explain may be anything."""

from __future__ import annotations

import ast
import collections.abc
import typing
from collections.abc import Mapping

import annotated_types

from cgpo import bounds
from cgpo.config.sources import Imported, Module, read_module

BUILT_IN: Mapping[str, object] = {
    kind.__name__: kind for kind in (bool, dict, float, frozenset, int, list, set, str, tuple)
} | {"None": None}
VOCABULARY: Mapping[str, object] = {
    "typing": typing,
    "typing_extensions": typing,
    "collections.abc": collections.abc,
    "annotated_types": annotated_types,
    "cgpo.bounds": bounds,
}
"""Modules whose names are taken as they are: they say what a value may be."""
ANYTHING = object


def evaluate(module: Module, expression: ast.expr | None, bound: Mapping[str, object] | None = None) -> object:
    """The annotation that an expression of a module stands for.

    Args:
        module: whose names the expression uses.
        expression: as it is written; `None` where there is none.
        bound: what the variables of a generic alias stand for.

    Returns:
        Something that `cgpo.bounds.fits` understands; `object` where the source does not tell.
    """
    match expression:
        case ast.Constant(value=None):
            return None
        case ast.Constant(value=str(text)):
            return evaluate(module, ast.parse(text, mode="eval").body, bound)
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):
            return _union([evaluate(module, left, bound), evaluate(module, right, bound)])
        case ast.Subscript(value=generic, slice=inner):
            arguments = inner.elts if isinstance(inner, ast.Tuple) else [inner]
            return _subscripted(module, generic, arguments, bound or {})
        case ast.Name(id=name) if bound and name in bound:
            return bound[name]
        case ast.Name() | ast.Attribute():
            return _named(module, expression)
        case _:
            return ANYTHING


def constant(module: Module, expression: ast.expr | None) -> object:
    """The value of an expression made of literals and of names of such.

    Raises:
        ValueError: only running would tell.
    """
    match expression:
        case ast.Name(id=name):
            source, value = _assigned(module, name)
            if value is None:
                raise ValueError(name)
            return constant(source, value)
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            return [constant(module, element) for element in elements]
        case None:
            raise ValueError
        case _:
            try:
                return ast.literal_eval(expression)
            except (ValueError, TypeError, SyntaxError) as error:
                raise ValueError(ast.unparse(expression)) from error


def _named(module: Module, expression: ast.Name | ast.Attribute) -> object:
    if isinstance(expression, ast.Attribute):
        root = module.names.get(expression.value.id) if isinstance(expression.value, ast.Name) else None
        known = (
            VOCABULARY.get(root.module if root.name is None else f"{root.module}.{root.name}")
            if isinstance(root, Imported)
            else None
        )
        return ANYTHING if known is None else getattr(known, expression.attr, ANYTHING)
    meaning = module.names.get(expression.id)
    if meaning is None:
        return BUILT_IN.get(expression.id, ANYTHING)
    if isinstance(meaning, Imported) and meaning.module in VOCABULARY:
        found = getattr(VOCABULARY[meaning.module], meaning.name or "", ANYTHING)
        return ANYTHING if found is typing.Any else found
    source, value = _assigned(module, expression.id)
    return ANYTHING if value is None else evaluate(source, value)


def _assigned(module: Module, name: str) -> tuple[Module, ast.expr | None]:
    """The value that a name has at the top of the module that binds it, followed through imports."""
    for _ in range(20):
        meaning = module.names.get(name)
        if isinstance(meaning, ast.expr):
            return module, meaning
        if not isinstance(meaning, Imported) or meaning.name is None:
            break
        source = read_module(meaning.module)
        if source is None:
            break
        module, name = source, meaning.name
    return module, None


def _subscripted(module: Module, generic: ast.expr, arguments: list[ast.expr], bound: Mapping[str, object]) -> object:
    kind = evaluate(module, generic, bound)
    if kind is typing.Literal:
        try:
            return typing.Literal[tuple(constant(module, argument) for argument in arguments)]
        except ValueError:
            return ANYTHING
    if kind is typing.Annotated:
        metadata = [made for argument in arguments[1:] if (made := _metadata(module, argument)) is not None]
        first = evaluate(module, arguments[0], bound)
        return typing.Annotated[(first, *metadata)] if metadata else first
    if isinstance(generic, ast.Name) and (variables := _variables(module, generic.id)):
        source, alias = _assigned(module, generic.id)
        given = [evaluate(module, argument, bound) for argument in arguments]
        return evaluate(source, alias, dict(zip(variables, given, strict=False)))
    given = [... if ast.unparse(a) == "..." else evaluate(module, a, bound) for a in arguments]
    if kind is typing.Union or kind is typing.Optional:
        return _union([*given, *([None] if kind is typing.Optional else [])])
    if kind is typing.ClassVar or kind is typing.Final:
        return given[0]
    if any(kind is known for known in (*bounds.SEQUENCES, *bounds.MAPPINGS)):
        subscript: typing.Any = kind
        return subscript[tuple(given)]
    return ANYTHING


def _variables(module: Module, alias: str) -> list[str]:
    """The type variables of a generic alias, in order."""
    source, value = _assigned(module, alias)
    names = [node.id for node in ast.walk(value) if isinstance(node, ast.Name)] if value is not None else []
    return [name for name in dict.fromkeys(names) if _is_variable(source, name)]


def _is_variable(module: Module, name: str) -> bool:
    _, value = _assigned(module, name)
    return isinstance(value, ast.Call) and ast.unparse(value.func).rpartition(".")[2] == "TypeVar"


def _metadata(module: Module, expression: ast.expr) -> object | None:
    if not isinstance(expression, ast.Call):
        return None
    kind = evaluate(module, expression.func)
    if not isinstance(kind, type) or kind is ANYTHING:
        return None
    try:
        given = [constant(module, argument) for argument in expression.args]
        named = {k.arg: constant(module, k.value) for k in expression.keywords if k.arg is not None}
        return kind(*given, **named)
    except (ValueError, TypeError):
        return None


def _union(kinds: list[object]) -> object:
    return ANYTHING if ANYTHING in kinds else typing.Union[tuple(kinds)]  # noqa: UP007 (they are known only now)
