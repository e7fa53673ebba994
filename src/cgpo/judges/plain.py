"""The comparison of plain answers: numbers, choice letters and words. The rest is mathematics (`symbolic.py`)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

_CURRENCIES = {"$": "dollar", "€": "euro", "£": "pound", "¥": "yen"}
_NUMBER = re.compile(
    r"(?P<sign>[-+−]?)\s*(?P<currency>[$€£¥]?)\s*(?P<inner>[-−]?)"
    r"(?P<whole>\d{1,3}(?:,\d{3})+|\d*)(?P<decimals>\.\d+|\.)?(?:\s*/\s*(?P<below>\d+))?"
    r"\s*(?P<percent>%|percent\b|per cent\b)?\s*(?P<unit>[A-Za-z°][A-Za-z°/ ]*(?:\^?\{?[23²³]\}?)?)?",
)
_FRACTION = re.compile(r"(-?)\\[dt]?frac\s*(?:\{\s*(\d+)\s*\}\s*\{\s*(\d+)\s*\}|(\d)\s*(\d))")
_WRAPPER = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox|operatorname)\s*\{([^{}]*)\}")
_CHOICE = re.compile(r"\(?([A-Ja-j])\)?|(?:\(([A-J])\)|([A-J])[).:])\s.*", re.DOTALL)
_SCALES = {"hundred", "thousand", "million", "billion", "trillion", "dozen", "pair", "half"}
_NOTATION = {
    "x",
    "y",
    "z",
    "n",
    "e",
    "i",
    "pi",
    "sqrt",
    "log",
    "ln",
    "sin",
    "cos",
    "tan",
    "mod",
    "times",
    "plus",
    "minus",
}
_LINKS = {"or", "and", "not", "no", "nor", "to", "between", "than", "about", "is"}
_NO_UNITS = _SCALES | {scale + "s" for scale in _SCALES} | _NOTATION | _LINKS
_LONGEST = 60


@dataclass(frozen=True)
class _Number:
    value: Fraction
    is_ratio: bool
    decimals: int
    percent: bool
    unit: str


def same(truth: str, answer: str) -> bool | None:
    """Whether two answers are equal, as far as that is plain; `None` where it takes mathematics.

    A unit, a currency or a per-cent sign that only one of the two has is passed over (`18` and `$18`, `50%` and `50`);
    of two units both must name the same. `50%` also equals `0.5`. A decimal of four digits or more may stand for the
    ratio that it rounds or cuts off (`0.3333` for `1/3`).
    """
    left, right = clean(truth), clean(answer)
    if left == right or (left.isalpha() and len(left) > 1 and left.casefold() == right.casefold()):
        return True
    choice = _CHOICE.fullmatch(left) if left.isupper() or left.startswith("(") else None
    if choice is not None:
        other = _CHOICE.fullmatch(right)
        return other is not None and _letter(choice) == _letter(other)
    a, b = _number(left), _number(right)
    if a is not None and b is not None:
        return _same_unit(a.unit, b.unit) and _same_value(a, b)
    return False if _is_words(left) and _is_words(right) else None


def clean(text: str) -> str:
    """An answer without its wrapping: mathematics delimiters, text commands, emphasis, spaces, a last full stop."""
    text = text.strip()
    while True:
        before = text
        text = text.strip().rstrip(".").strip().strip("*_`").strip()
        for opening, closing in (("$", "$"), (r"\(", r"\)"), (r"\[", r"\]"), ('"', '"'), ("{", "}")):
            inner = text[len(opening) : len(text) - len(closing)]
            if text.startswith(opening) and text.endswith(closing) and inner and opening not in inner:
                text = inner
        text = _WRAPPER.sub(r"\1", text)
        if text == before:
            break
    for command in (r"\left", r"\right", r"\!", r"\,", r"\;", r"\:", r"\displaystyle"):
        text = re.sub(re.escape(command) + r"(?![A-Za-z])", "", text)
    text = text.replace(r"\$", "$").replace(r"\%", "%").replace(r"\ ", " ").replace("~", " ").replace(r"^\circ", "°")
    return " ".join(text.split())


def _letter(match: re.Match[str]) -> str:
    return next(group for group in match.groups() if group).upper()


def _number(text: str) -> _Number | None:
    if len(text) > _LONGEST:
        return None
    text = _FRACTION.sub(lambda m: f"{m[1]}{m[2] or m[4]}/{m[3] or m[5]}", text)
    match = _NUMBER.fullmatch(text)
    if match is None or not (match["whole"] or (match["decimals"] or ".") != "."):
        return None
    unit = (match["unit"] or "").strip()
    words = unit.lower().split()
    if (match["below"] and (match["decimals"] or not int(match["below"]))) or len(words) > 3 or _NO_UNITS & set(words):
        return None
    if len(unit) == 1 and text[-2:-1] != " " and unit != "°":
        return None  # `5x` is a product
    digits = (match["decimals"] or ".")[1:]
    value = Fraction(
        int((match["whole"] or "0").replace(",", "") + digits), 10 ** len(digits) * int(match["below"] or 1)
    )
    negative = (match["sign"] in ("-", "−")) != (match["inner"] in ("-", "−"))
    named = _CURRENCIES.get(match["currency"], unit)
    return _Number(
        -value if negative else value, match["below"] is not None, len(digits), bool(match["percent"]), named
    )


def _same_unit(a: str, b: str) -> bool:
    def stem(unit: str) -> str:
        return " ".join(word.removesuffix("s") for word in unit.lower().split())

    return not a or not b or stem(a) == stem(b)


def _same_value(a: _Number, b: _Number) -> bool:
    for x in {a.value, a.value / 100} if a.percent and not b.percent else {a.value}:
        for y in {b.value, b.value / 100} if b.percent and not a.percent else {b.value}:
            if x == y:
                return True
    decimals = max(a.decimals, b.decimals)
    return a.is_ratio != b.is_ratio and decimals >= 4 and abs(a.value - b.value) < Fraction(1, 10**decimals)


def _is_words(text: str) -> bool:
    return bool(re.fullmatch(r"[A-Za-z]{2,}(?: [A-Za-z]+)*", text))
