"""The forms in which a prompt may ask for the final answer, and how each is read from a response."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

_FINAL = re.compile(r"\bfinal answer is\b:?+[ \t]*+(?=\S)", re.IGNORECASE)
_HASHES = re.compile(r"^[ \t]*####[ \t]*(?P<answer>\S[^\n]*)", re.MULTILINE)
_LINE = re.compile(r"^[ \t]*A:[ \t]*(?P<answer>\S[^\n]*)", re.MULTILINE)
_BOXED = re.compile(r"\\f?boxed\s*\{")
_BRACE = re.compile(r"[{}]")


def final_answer(response: str) -> str | None:
    r"""`The final answer is X.`: the last such sentence; its full stop does not belong to the answer."""
    start = max((match.end() for match in _FINAL.finditer(response)), default=None)
    if start is None:
        return None
    end = response.find("\n", start)
    return _sentence(response[start : len(response) if end < 0 else end].strip())


def boxed(response: str) -> str | None:
    r"""`\boxed{X}`: the last one whose braces match."""
    openings = {match.end() for match in _BOXED.finditer(response)}
    open_braces: list[int] = []
    last, answer = -1, None
    for brace in _BRACE.finditer(response) if openings else ():
        if brace[0] == "{":
            open_braces.append(brace.end())
        elif open_braces:
            start = open_braces.pop()
            if start in openings and start > last:
                last, answer = start, response[start : brace.start()].strip()
    return answer or None


def gsm8k(response: str) -> str | None:
    """`#### X` on a line of its own: the last one."""
    return _last(_HASHES, response)


def answer_line(response: str) -> str | None:
    """`A: X` on a line of its own: the last one."""
    return _last(_LINE, response)


FORMS: Mapping[str, Callable[[str], str | None]] = {
    "boxed": boxed,
    "final_answer": final_answer,
    "gsm8k": gsm8k,
    "answer_line": answer_line,
}
"""Every known form, in the order in which they are tried where a prompt names none."""


def extract(response: str, form: str | None) -> str | None:
    """The final answer in the named form, or in the first known form that the response has; `None` without one."""
    for name in FORMS if form is None else (form,):
        answer = FORMS[name](response)
        if answer is not None:
            return answer
    return None


def _last(pattern: re.Pattern[str], response: str) -> str | None:
    answer = None
    for match in pattern.finditer(response):
        answer = match["answer"].strip()
    return answer


def _sentence(text: str) -> str | None:
    """A sentence without what follows it on its line: up to a full stop before a space, outside of `$…$`."""
    inside = False
    for i, character in enumerate(text):
        if character == "$" and text[i - 1 : i] != "\\":
            inside = not inside
        if character == "." and not inside and (i + 1 == len(text) or text[i + 1].isspace()):
            return text[:i].strip() or None
    return text
