"""Compares simple answers: numbers, choice letters and words. The rest is mathematics (`symbolic.py`)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

_CURRENCIES = {"$": "dollar", "€": "euro", "£": "pound", "¥": "yen"}
_CODES = {"usd": "dollar", "eur": "euro", "gbp": "pound", "jpy": "yen", "dollars": "dollar", "euros": "euro"}
_NUMBER = re.compile(
    r"(?P<sign>[-+−]?)\s*(?:US|CA|AU)?(?P<currency>[$€£¥]?)\s*(?P<inner>[-−]?)"
    r"(?:(?P<mixed>\d+)\s+(?=\d+\s*/))?"
    r"(?P<whole>\d{1,3}(?:,\d{3})+|\d{1,3}(?:[ \u00a0\u2009\u202f]\d{3})+|\d*)(?P<decimals>\.\d+|\.)?"
    r"(?:[eE](?P<exponent>[-+]?\d{1,2}))?(?:\s*/\s*(?P<below>\d+))?"
    r"\s*(?P<percent>%|percent\b|per cent\b)?\s*(?P<after>[$€£¥]?)"
    r"(?P<unit>[A-Za-z°][A-Za-z°/ ]*(?:\^?\{?[23²³]\}?)?)?",
)
_FRACTION = re.compile(r"(-?)\\[dt]?frac\s*(?:\{\s*(\d+)\s*\}\s*\{\s*(\d+)\s*\}|(\d)\s*(\d))")
_WRAPPER = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox|operatorname)\s*\{([^{}]*)\}")
_CHOICE = re.compile(
    r"(?:(?:[Oo]ption|[Cc]hoice|[Aa]nswer)\s+)?\(?([A-Ja-j])\)?|(?:\(([A-J])\)|([A-J])[).:])\s.*", re.DOTALL
)
_MULTIPLES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_SCALES = {*_MULTIPLES, "dozen", "pair", "half"}
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
_DECIMALS = 6


@dataclass(frozen=True)
class _Number:
    value: Fraction
    is_ratio: bool
    decimals: int
    percent: bool
    unit: str


def same(truth: str, answer: str, decimals: int | None = None) -> bool | None:
    """Returns whether two answers are equal, or `None` if it takes mathematics to tell.

    - Thousands may be separated by commas or spaces (`1,000`, `1 000`, `1{,}000`), or written out (`5 million`).
    - A unit, a currency or a per cent sign that only one of the two has is ignored (`18` and `$18`, `50%` and `50`);
      two units must be the same (`USD` is `dollars`). `50%` also equals `0.5`.
    - Mixed numbers (`2 1/2`), fractions in either notation and scientific notation are numbers.
    - A choice letter may be in parentheses, after `option`, or before its text (`(B)`, `B. 12 apples`).

    Args:
        truth: the right answer.
        answer: the other answer.
        decimals: how many digits after the point, at least, a decimal must have to count as the fraction that it
            rounds or truncates (2: `0.33` for `1/3`); `None` for 6, as math-verify rounds.
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
        return _same_unit(a.unit, b.unit) and _same_value(a, b, decimals)
    return False if _is_words(left) and _is_words(right) else None


def clean(text: str) -> str:
    """Removes what surrounds an answer: math delimiters, text commands, emphasis, spaces, a final full stop."""
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
    text = text.replace("{,}", ",")
    for command in (r"\left", r"\right", r"\!", r"\,", r"\;", r"\:", r"\displaystyle"):
        text = re.sub(re.escape(command) + r"(?![A-Za-z])", "", text)
    text = text.replace(r"\$", "$").replace(r"\%", "%").replace(r"\ ", " ").replace("~", " ").replace(r"^\circ", "°")
    return " ".join(text.split())


def _letter(match: re.Match[str]) -> str:
    return next(group for group in match.groups() if group).upper()


def _number(text: str) -> _Number | None:
    if len(text) > _LONGEST:
        return None
    text = _FRACTION.sub(lambda m: f"{m[1]} {m[2] or m[4]}/{m[3] or m[5]}", text).strip()
    match = _NUMBER.fullmatch(text)
    if match is None or not (match["whole"] or (match["decimals"] or ".") != "."):
        return None
    if match["below"] and (match["decimals"] or match["exponent"] or not int(match["below"])):
        return None
    unit, multiple = _unit(match, text)
    if unit is None:
        return None
    digits = (match["decimals"] or ".")[1:]
    whole = re.sub(r"\D", "", match["whole"] or "0")
    value = Fraction(int(whole + digits), 10 ** len(digits) * int(match["below"] or 1))
    value = (int(match["mixed"] or 0) + value) * Fraction(10) ** int(match["exponent"] or 0) * multiple
    negative = (match["sign"] in ("-", "−")) != (match["inner"] in ("-", "−"))
    named = _CURRENCIES.get(match["currency"] or match["after"], unit)
    return _Number(
        -value if negative else value, match["below"] is not None, len(digits), bool(match["percent"]), named
    )


def _unit(match: re.Match[str], text: str) -> tuple[str | None, int]:
    """Returns the unit (empty if there is none) and the factor of a word such as `million`; `None` for a wrong unit."""
    unit = (match["unit"] or "").strip()
    words = unit.lower().split()
    multiple = _MULTIPLES.get(words[0], 1) if words else 1
    if multiple > 1:
        words = words[1:]
        unit = " ".join(unit.split()[1:])
    if len(words) > 3 or _NO_UNITS & set(words):
        return None, 1
    if len(unit) == 1 and text[-2:-1] != " " and unit != "°":
        return None, 1  # `5x` is a product
    return unit, multiple


def _same_unit(a: str, b: str) -> bool:
    def stem(unit: str) -> str:
        return " ".join(_CODES.get(word, word.removesuffix("s")) for word in unit.lower().split())

    return not a or not b or stem(a) == stem(b)


def _same_value(a: _Number, b: _Number, decimals: int | None) -> bool:
    for x in {a.value, a.value / 100} if a.percent and not b.percent else {a.value}:
        for y in {b.value, b.value / 100} if b.percent and not a.percent else {b.value}:
            if x == y:
                return True
    written = max(a.decimals, b.decimals)
    if a.is_ratio == b.is_ratio or written < (decimals or _DECIMALS):
        return False
    return abs(a.value - b.value) < Fraction(1, 10**written)


def _is_words(text: str) -> bool:
    return bool(re.fullmatch(r"[A-Za-z]{2,}(?: [A-Za-z]+)*", text))
