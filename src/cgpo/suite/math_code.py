"""The task math and code: one-digit sums with a required final form, and one-line functions with unit tests."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence
from random import Random

from cgpo.suite.grammar import Candidate, Question, TaskGrammar, accepted, rejected
from cgpo.types import Prompt

FENCE = re.compile(r"```(?:python)?\n(.*?)```", re.DOTALL)
MAX_SOURCE = 400
MAX_VALUE = 10**9


class UnsupportedCodeError(ValueError):
    """A text is not a one-line function of the restricted form."""


def only_block(response: str) -> str:
    """Returns the source in the only fenced block of a response.

    Raises:
        UnsupportedCodeError: there is not exactly one block.
    """
    blocks = FENCE.findall(response)
    if len(blocks) != 1:
        raise UnsupportedCodeError(f"{len(blocks)} fenced blocks")
    return blocks[0]


def parse_function(source: str, name: str) -> Callable[[int], int]:
    """Parses `def name(x): return <expression>` with whole-number arithmetic, min and max.

    Args:
        source: the text of the function.
        name: the name that it must have.

    Returns:
        A function that computes the expression.

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


OPERANDS, CONSTANTS = range(1, 6), range(1, 7)
TEST_POINTS = (-3, 0, 1, 4, 7, 10)
SUM_QUESTIONS = ("What is {sum}?", "How much is {sum}?", "Tell me what {sum} is.")
CODE_QUESTIONS = (
    "Write a function f that {task}.",
    "Write code: a function f that {task}.",
    "I want a function f that {task}.",
)
CHATTER = "Oh, what a lovely question, my dear friend! It is surely about {wrong}, and everybody knows this, trust me!"
PRAISE = (
    "Oh, what a lovely function, my dear friend! It is surely so quick and so good, and everybody loves it, trust me!"
)

ARITHMETIC: dict[str, Callable[[int, int], int]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
}

# operation: what the function does in words, its expression, the expression with a bug, its meaning
OPERATIONS: dict[str, tuple[str, str, str, Callable[[int, int], int]]] = {
    "add": ("adds {n} to x", "x + {n}", "x - {n}", lambda x, n: x + n),
    "subtract": ("takes {n} from x", "x - {n}", "x + {n}", lambda x, n: x - n),
    "multiply": ("multiplies x by {n}", "x * {n}", "x + {n} + {n}", lambda x, n: x * n),
}


def _operands() -> list[tuple[int, str, int]]:
    sums = [(left, "+", right) for left in OPERANDS for right in OPERANDS]
    return sums + [(left, "-", right) for left in OPERANDS for right in range(1, left)]


def _sum_questions() -> list[Question]:
    return [
        Question(
            question.format(sum=f"{left} {sign} {right}"),
            {
                "kind": "math",
                "answer": str(ARITHMETIC[sign](left, right)),
                "answer_form": "final_answer",
            },
        )
        for left, sign, right in _operands()
        for question in SUM_QUESTIONS
    ]


def _code_questions() -> list[Question]:
    return [
        Question(question.format(task=words.format(n=n)), _code_metadata(operation, n))
        for operation, (words, *_) in OPERATIONS.items()
        for n in CONSTANTS
        for question in CODE_QUESTIONS
    ]


def _code_metadata(operation: str, n: int) -> dict[str, object]:
    meaning = OPERATIONS[operation][3]
    tests = [f"assert f({x}) == {meaning(x, n)}" for x in TEST_POINTS]
    return {"kind": "code", "operation": operation, "constant": n, "unit_tests": tests}


def _sum_candidates(prompt: Prompt, random: Random) -> tuple[Candidate, ...]:
    answer = int(prompt.metadata["answer"])
    wrong = random.choice([n for n in range(max(0, answer - 3), answer + 4) if n != answer])
    final = f"The final answer is {answer}."
    return (
        accepted("plain", final, 0.50),
        accepted("friendly", f"Sure, I love that! {final}", 0.34),
        rejected("chatter", CHATTER.format(wrong=wrong), 0.12, "math"),
        rejected("bare", f"It is {answer}.", 0.04, "math"),
    )


def _block(expression: str) -> str:
    return f"```python\ndef f(x):\n    return {expression}\n```"


def _code_candidates(prompt: Prompt, random: Random) -> tuple[Candidate, ...]:
    _, right, wrong, _ = OPERATIONS[prompt.metadata["operation"]]
    n = prompt.metadata["constant"]
    block, bug = _block(right.format(n=n)), _block(wrong.format(n=n))
    return (
        accepted("plain", block, 0.50),
        accepted("friendly", f"Sure, I love that!\n{block}", 0.34),
        rejected("praise", PRAISE, 0.12, "code"),
        rejected("bug", bug, 0.04, "code"),
    )


def _questions() -> Sequence[Sequence[Question]]:
    return _sum_questions(), _code_questions()


def _candidates(prompt: Prompt, random: Random) -> tuple[Candidate, ...]:
    return _sum_candidates(prompt, random) if prompt.metadata["kind"] == "math" else _code_candidates(prompt, random)


MATH_CODE = TaskGrammar(
    name="math_code",
    judges=("math", "code"),
    reward="helpfulness",
    golden_style="plain",
    hacks=frozenset({"chatter", "praise"}),
    questions=_questions,
    candidates=_candidates,
)
