"""The process of the program under test, which loads the program and answers calls into it."""

from __future__ import annotations

import contextlib
import itertools
from typing import Any

from cgpo.sandbox.inside.messages import GoneError, Link, decode, encode

_MOST_ITEMS = 1_000_000


def serve(link: Link, work: dict[str, Any]) -> None:
    """Waits for the tester to begin, loads the program, and answers requests until the tester is gone."""
    link.receive()
    namespace: dict[str, Any] = {"__name__": "program"}
    with contextlib.suppress(Exception):  # it may need names of the program: the tester runs it too
        exec(work["setup"], namespace)
    objects = _Objects(link)
    try:
        exec(_compiled(work["prefix"], work["program"]), namespace)
        answer: list[Any] = ["ok", [name for name in namespace if type(name) is str], []]
    except BaseException as error:
        answer = _error(error)
    while True:
        try:
            link.send(answer)
            request = link.receive()
        except GoneError:
            return
        try:
            answer = objects.answer(request, namespace)
        except GoneError:
            return
        except BaseException as error:
            answer = _error(error)


def _compiled(prefix: str, program: str) -> Any:
    """Compiles the program after the beginning that the prompt shows, or alone if the two do not fit together."""
    if prefix:
        with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
            return compile(prefix + "\n" + program, "<program>", "exec")
    return compile(program, "<program>", "exec")


def _error(error: BaseException) -> list[Any]:
    kinds = [kind.__name__ for kind in type(error).__mro__]
    try:
        text = str(error)[:300]
    except BaseException:
        text = ""
    return ["error", kinds, text]


class _Objects:
    """The program's objects that the tester refers to by number, and the tester's functions likewise."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.kept: list[Any] = []
        self.numbers: dict[int, int] = {}

    def answer(self, request: list[Any], namespace: dict[str, Any]) -> list[Any]:
        """Returns the encoded result of one request, and the arguments that it changed in place."""
        verb, *rest = request
        if verb == "global":
            return ["ok", self.encode(namespace[rest[0]]), []]
        target = self.kept[rest[0]]
        arguments = [self.decode(item) for item in rest[1]]
        if verb == "call":
            named = {name: self.decode(item) for name, item in rest[2].items()}
            result = self.encode(target(*arguments, **named))
            after = [self.encode(a) if isinstance(a, (list, dict, set)) else None for a in arguments]
            return ["ok", result, [a if a != rest[1][i] else None for i, a in enumerate(after)]]
        return ["ok", self.encode(_apply(verb, target, arguments)), []]

    def encode(self, value: Any) -> Any:
        return encode(value, self._refer)

    def decode(self, data: Any) -> Any:
        return decode(data, self._resolve)

    def _refer(self, value: Any) -> list[Any]:
        if id(value) not in self.numbers:
            self.numbers[id(value)] = len(self.kept)
            self.kept.append(value)
        return ["p", self.numbers[id(value)]]

    def _resolve(self, data: list[Any]) -> Any:
        owner, number = data
        return self.kept[number] if owner == "p" else self._callback(number)

    def _callback(self, number: int) -> Any:
        def call(*arguments: Any) -> Any:
            self.link.send(["callback", number, [self.encode(a) for a in arguments]])
            kind, value = self.link.receive()
            if kind == "error":
                raise RuntimeError(value)
            return self.decode(value)

        return call


def _apply(verb: str, target: Any, arguments: list[Any]) -> Any:
    if verb == "getattr":
        return getattr(target, arguments[0])
    if verb == "setattr":
        return setattr(target, *arguments)
    if verb == "list":
        items: list[Any] = list(itertools.islice(target, _MOST_ITEMS))
        return items
    if verb == "next":
        return next(target)
    if verb == "len":
        return len(target)
    if verb == "item":
        return target[arguments[0]]
    if verb == "bool":
        return bool(target)
    return repr(target)
