"""The tester's process, which runs the tests against proxies of the program's objects, in its own interpreter."""

from __future__ import annotations

import ast
import builtins
import importlib
import traceback
from collections.abc import Callable, Iterator
from typing import Any, cast

from cgpo.sandbox.inside.messages import GoneError, Link, decode, encode

STANDARD = (
    *("bisect", "cmath", "collections", "copy", "datetime", "decimal", "fractions", "functools", "heapq", "itertools"),
    *("json", "math", "operator", "random", "re", "statistics", "string", "sys", "time", "typing"),
)
_ALWAYS = {"__name__", "__builtins__", "__doc__", "__file__"}


class UnsendableError(Exception):
    """A test passes the program something that cannot leave the tester, so that the judge cannot decide."""


class Proxy:
    """A proxy of an object of the program: every operation is a message. It equals nothing but itself."""

    def __init__(self, program: Program, number: int) -> None:
        object.__setattr__(self, "_program", program)
        object.__setattr__(self, "_number", number)

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Calls the program's function or class."""
        return self._program.call(self._number, arguments, named)

    def __getattr__(self, name: str) -> Any:
        return self._program.ask("getattr", self._number, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._program.ask("setattr", self._number, name, value)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._program.ask("list", self._number))

    def __next__(self) -> Any:
        return self._program.ask("next", self._number)

    def __len__(self) -> int:
        return self._program.ask("len", self._number)

    def __getitem__(self, key: Any) -> Any:
        return self._program.ask("item", self._number, key)

    def __bool__(self) -> bool:
        return self._program.ask("bool", self._number) is True

    def __repr__(self) -> str:
        return str(self._program.ask("repr", self._number))

    def __eq__(self, other: object) -> bool:
        return type(other) is Proxy and other._number == self._number

    def __hash__(self) -> int:
        return hash(self._number)


class Program:
    """The tester's end of the link to the program."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.functions: list[Callable[..., Any]] = []
        self.names: frozenset[str] = frozenset()

    def start(self) -> None:
        """Makes the program load; raises what it raised."""
        self.link.send("start")
        self.names = frozenset(self._answer([])[0])

    def look_up(self, name: str) -> Any:
        """Returns a global of the program."""
        self.link.send(["global", name])
        return self._decode(self._answer([])[0])

    def ask(self, verb: str, number: int, *arguments: Any) -> Any:
        """Performs one operation on an object of the program."""
        self.link.send([verb, number, [self._encode(a) for a in arguments]])
        return self._decode(self._answer([])[0])

    def call(self, number: int, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        """Calls a function; lists, dictionaries and sets that the program changes in place change here too."""
        sent = [self._encode(a) for a in arguments]
        self.link.send(["call", number, sent, {name: self._encode(value) for name, value in named.items()}])
        result, changed = self._answer(sent)
        for i, after in enumerate(changed[: len(arguments)]):
            if after is not None:
                _overwrite(arguments[i], self._decode(after))
        return self._decode(result)

    def _answer(self, sent: list[Any]) -> tuple[Any, list[Any]]:
        while True:
            try:
                kind, first, second = cast("tuple[str, Any, Any]", self.link.receive())
                if kind == "ok":
                    return first, list(second)
                if kind == "error":
                    error = _exception([str(name) for name in first], str(second))
                    break
                number: int = first
                function = self.functions[number]
                arguments = [self._decode(a) for a in second]
            except (ValueError, TypeError, IndexError) as problem:
                raise GoneError(f"malformed answer: {problem}") from None
            try:
                self.link.send(["ok", self._encode(function(*arguments))])
            except Exception as problem:
                self.link.send(["error", str(problem)[:300]])
        raise error

    def _encode(self, value: Any) -> Any:
        return encode(value, self._refer)

    def _decode(self, data: Any) -> Any:
        return decode(data, self._resolve)

    def _refer(self, value: Any) -> list[Any]:
        if type(value) is Proxy:
            return ["p", value._number]
        if not callable(value):
            raise UnsendableError(f"a test hands the program a {type(value).__name__}")
        self.functions.append(value)
        return ["x", len(self.functions) - 1]

    def _resolve(self, data: list[Any]) -> Any:
        if len(data) != 2 or type(data[1]) is not int or data[0] not in ("p", "x"):
            raise GoneError("malformed value")
        return Proxy(self, data[1]) if data[0] == "p" else self.functions[data[1]]


def _overwrite(argument: Any, after: Any) -> None:
    changeable: Any = argument
    if type(argument) is list and type(after) is list:
        changeable[:] = after
    elif isinstance(argument, (dict, set)) and type(after) is type(changeable):
        changeable.clear()
        changeable.update(after)


def _exception(kinds: list[str], text: str) -> Exception:
    """Makes an exception of the tester of what the program raised: of the nearest builtin class, under its own name."""
    for name in kinds:
        kind = getattr(builtins, name, None)
        if isinstance(kind, type) and issubclass(kind, Exception):
            try:
                return kind(text) if name == kinds[0] else type(kinds[0], (kind,), {})(text)
            except TypeError:  # such as UnicodeDecodeError, which wants more
                break
    return type(kinds[0] if kinds else "Exception", (Exception,), {})(text)


class Names(dict[str, Any]):
    """The tests' globals: their own names, then the standard library, then the program's.

    A builtin stays the builtin even if the program defines one of that name, except for the one that a test calls
    without calling anything else of the program (`assert sum(10, 15) == 6`), for that is what it tests. A module's
    name that a test calls (`assert string(3) == "3"`) is the program's.
    """

    def __init__(self, program: Program) -> None:
        super().__init__(__name__="tests", __builtins__=builtins)
        self.program = program
        self.tested_builtin: str | None = None
        self.called: frozenset[str] = frozenset()

    def __missing__(self, name: str) -> Any:
        if hasattr(builtins, name) and name != self.tested_builtin:
            raise KeyError(name)
        if name in STANDARD and not (name in self.called and name in self.program.names):
            return importlib.import_module(name)
        if name in self.program.names:
            return self.program.look_up(name)
        raise KeyError(name)

    def prepare(self, source: str) -> None:
        """Finds which names a test calls, and which builtin it tests if it tests nothing else."""
        self.tested_builtin = None
        if not any(hasattr(builtins, name) or name in STANDARD for name in self.program.names - _ALWAYS):
            return
        nodes = list(ast.walk(ast.parse(source)))
        names = [node.id for node in nodes if isinstance(node, ast.Name)]
        foreign = [name for name in names if not hasattr(builtins, name) and name not in STANDARD]
        calls = [node.func for node in nodes if isinstance(node, ast.Call)]
        called = [function.id for function in calls if isinstance(function, ast.Name)]
        self.called = frozenset(called)
        if not foreign and called and called[0] in self.program.names:
            self.tested_builtin = called[0]


def run(link: Link, report: Link, work: dict[str, Any]) -> None:
    """Runs the tests one after another and reports for each `None` for a pass, or the problem."""
    program = Program(link)
    names = Names(program)
    entry_point = work["entry_point"]
    try:
        program.start()
        if work["prefix"]:
            exec(work["prefix"], names)
            names.pop(entry_point, None)
        exec(work["setup"], names)
        if entry_point and entry_point not in program.names:
            raise NameError(f"name {entry_point!r} is not defined")
    except Exception as error:
        report.send(["load", _problem(error, ""), work["nonce"]])
        return
    for source in work["sources"]:
        try:
            if entry_point:
                exec(compile(source, "<test>", "exec"), names)
                names["check"](program.look_up(entry_point))
            else:
                names.prepare(source)
                exec(compile(source, "<test>", "exec"), names)
            problem = None
        except BaseException as error:
            problem = _problem(error, source)
        report.send(["test", problem, work["nonce"]])
    report.send(["done", len(work["sources"]), work["nonce"]])


def _problem(error: BaseException, source: str) -> list[str]:
    """Returns the kind of a problem (`program` or `judge`) and the problem in one line."""
    if isinstance(error, GoneError):
        return ["program", "the program ended or broke the protocol"]
    if isinstance(error, UnsendableError):
        return ["judge", str(error)]
    line = f"{type(error).__name__}: {error}".splitlines()[0][:200].rstrip(": ")
    lines = [frame.lineno or 0 for frame in traceback.extract_tb(error.__traceback__) if frame.filename == "<test>"]
    place = source.splitlines()[lines[-1] - 1].strip() if lines and lines[-1] <= len(source.splitlines()) else ""
    return ["program", f"{line} in `{place[:200]}`" if place else line]
