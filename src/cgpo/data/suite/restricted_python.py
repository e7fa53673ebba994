"""Reads a one-line function without running it, so that the oracle is independent of the judge that does."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable

FENCE = re.compile(r"```(?:python)?\n(.*?)```", re.DOTALL)
MAX_SOURCE = 400
MAX_VALUE = 10**9


class UnsupportedCodeError(ValueError):
    """The text is not a one-line function of the restricted form."""


def only_block(response: str) -> str:
    """The source in the response's one fenced block."""
    blocks = FENCE.findall(response)
    if len(blocks) != 1:
        raise UnsupportedCodeError(f"{len(blocks)} fenced blocks")
    return blocks[0]


def parse_function(source: str, name: str) -> Callable[[int], int]:
    """The meaning of `def name(x): return <expression>`, whole-number arithmetic, min and max.

    Args:
        source: the text of the function.
        name: what it must be called.

    Raises:
        UnsupportedCodeError: the text is anything else; the returned function raises it too.
    """
    if len(source) > MAX_SOURCE:
        raise UnsupportedCodeError("too long")
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UnsupportedCodeError("not Python") from error
    if len(body) != 1 or not isinstance(function := body[0], ast.FunctionDef) or function.name != name:
        raise UnsupportedCodeError(f"not one function {name}")
    argument = ast.unparse(function.args)
    if function.decorator_list or not argument.isidentifier():
        raise UnsupportedCodeError("not a function of one plain argument")
    if len(function.body) != 1 or not isinstance(last := function.body[0], ast.Return) or last.value is None:
        raise UnsupportedCodeError("not a single return")
    expression = last.value
    return lambda x: _value(expression, argument, x)


def _value(node: ast.expr, argument: str, x: int) -> int:
    match node:
        case ast.Constant(value=int(value)) if not isinstance(value, bool):
            result = value
        case ast.Name(id=identifier) if identifier == argument:
            result = x
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            result = -_value(operand, argument, x)
        case ast.BinOp(left=left, op=operator, right=right):
            result = _binary(operator, _value(left, argument, x), _value(right, argument, x))
        case ast.Call(func=ast.Name(id="max" | "min" as called), args=[_, _, *_] as items, keywords=[]):
            result = (max if called == "max" else min)(_value(item, argument, x) for item in items)
        case _:
            raise UnsupportedCodeError(f"{type(node).__name__} is not supported")
    if abs(result) > MAX_VALUE:
        raise UnsupportedCodeError("too large a number")
    return result


def _binary(operator: ast.operator, left: int, right: int) -> int:
    match operator:
        case ast.Add():
            return left + right
        case ast.Sub():
            return left - right
        case ast.Mult():
            return left * right
        case _:
            raise UnsupportedCodeError(f"{type(operator).__name__} is not supported")
