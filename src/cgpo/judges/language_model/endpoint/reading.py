"""What a completion says: the log-probabilities of two answers, or one of them in words, or neither."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from cgpo.judges.language_model.question import Answer, Said, Unanswered, Weighed

_AROUND = " \t\r\n\f\v\u00a0▁ĠĊ\"'`*_.,:;!()[]{}“”‘’"
"""What may stand around a word without making it another: white space as tokenizers write it, quotes, stops."""
_SHOWN = 60
"""Characters of an answer that a reason quotes."""


def read(body: Any, words: tuple[str, str], least_mass: float) -> Answer:
    """The answer in a completion.

    Args:
        body: the completion, as JSON gave it.
        words: the positive and the negative answer.
        least_mass: least probability that the two must have together.
    """
    try:
        choice = _choice(body)
        listed = alternatives(choice)
        return _weigh(listed, words, least_mass) if listed else _said(_text(choice), words)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        return Unanswered(f"the server's answer cannot be read: {type(error).__name__}: {_short(str(error))}")


def is_completion(body: Any) -> bool:
    """Whether it has the form of an OpenAI completion at all."""
    try:
        choice = _choice(body)
        alternatives(choice)
        _text(choice)
    except (KeyError, IndexError, TypeError, ValueError):
        return False
    return True


def has_logprobs(body: Any) -> bool:
    """Whether a completion lists log-probabilities of its first token."""
    return is_completion(body) and bool(alternatives(_choice(body)))


def spent(body: Any) -> int:
    """The tokens that a completion says it took; 0 where it does not say."""
    usage = body.get("usage") if isinstance(body, Mapping) else None
    total = usage.get("total_tokens") if isinstance(usage, Mapping) else None
    return total if isinstance(total, int) and not isinstance(total, bool) and total > 0 else 0


def alternatives(choice: Mapping[str, Any]) -> Mapping[str, float]:
    """Log-probability by token of what could have stood first; empty where the server lists none."""
    logprobs = _mapping(choice.get("logprobs") or {})
    content = _list(logprobs.get("content") or [])
    if not content:
        return {}
    first = _mapping(content[0])
    found = {}
    for entry in [*_list(first.get("top_logprobs") or []), first]:
        token, value = _mapping(entry)["token"], entry["logprob"]
        if not isinstance(token, str) or not isinstance(value, int | float) or isinstance(value, bool):
            raise TypeError("a log-probability is no number, or its token no text")
        if math.isnan(value) or value > 0.01:  # rounding may lift a probability a little above 1
            raise ValueError(f"{value} is no log-probability")
        found[token] = float(value)
    return found


def _weigh(listed: Mapping[str, float], words: tuple[str, str], least_mass: float) -> Answer:
    """Every spelling of a word counts for it; a word that is not listed is at most as likely as the least that is."""
    positive, negative = ([v for token, v in listed.items() if _bare(token) == _bare(word)] for word in words)
    mass = sum(map(math.exp, positive + negative))
    if not positive and not negative:
        return Unanswered(f"neither answer is among the {len(listed)} likeliest tokens: {_likeliest(listed)}")
    if mass < least_mass:
        return Unanswered(f"the two answers have {mass:.2g} of the probability together; {_likeliest(listed)}")
    least = min(listed.values())
    return Weighed(
        _log_sum(positive) if positive else least,
        _log_sum(negative) if negative else least,
        positive_is_bound=not positive,
        negative_is_bound=not negative,
    )


def _said(text: str, words: tuple[str, str]) -> Answer:
    """The text must be one of the two words and nothing else."""
    said = _bare(text)
    for word, positive in zip(words, (True, False), strict=True):
        if said == _bare(word):
            return Said(positive)
    expected = " or ".join(repr(word.strip()) for word in words)
    return Unanswered(f"the model was to say {expected}, and said {_short(text)!r}")


def _choice(body: Any) -> Mapping[str, Any]:
    return _mapping(_list(_mapping(body)["choices"])[0])


def _text(choice: Mapping[str, Any]) -> str:
    text = _mapping(choice["message"])["content"]
    if text is not None and not isinstance(text, str):
        raise TypeError("its content is no text")
    return text or ""


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"an object was expected, not {_short(str(value))}")
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"a list was expected, not {_short(str(value))}")
    return value


def _bare(text: str) -> str:
    return text.strip(_AROUND).casefold()


def _log_sum(values: Sequence[float]) -> float:
    largest = max(values)
    return largest if math.isinf(largest) else largest + math.log(sum(math.exp(v - largest) for v in values))


def _likeliest(listed: Mapping[str, float]) -> str:
    token = max(listed, key=lambda token: listed[token])
    return f"the likeliest is {_short(token)!r}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"
