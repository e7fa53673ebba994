"""Reads a completion: the log-probabilities of two answers, or one of them in words, or neither."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

from cgpo.judges.language_model.question import Answer, Said, Unanswered, Weighed

_AROUND = " \t\r\n\f\v\u00a0▁ĠĊ\"'`*_.,:;!()[]{}“”‘’"
"""Characters around a word that do not make it another word: white space as tokenizers write it, quotes, stops."""
_SHOWN = 60
"""How many characters of an answer a reason quotes."""


def read(body: Any, words: tuple[str, str], least_mass: float) -> Answer:
    """Reads the answer in a completion.

    Args:
        body: the completion, as parsed JSON.
        words: the positive and the negative answer.
        least_mass: the least probability that the two must have together.
    """
    try:
        choice = _choice(body)
        listed = alternatives(choice)
        return _weigh(listed, words, least_mass) if listed else _said(_text(choice), words)
    except (KeyError, IndexError, TypeError, ValueError) as error:
        return Unanswered(f"the server's answer cannot be read: {type(error).__name__}: {_short(str(error))}")


def is_completion(body: Any) -> bool:
    """Returns whether a body has the form of an OpenAI completion at all."""
    try:
        choice = _choice(body)
        alternatives(choice)
        _text(choice)
    except (KeyError, IndexError, TypeError, ValueError):
        return False
    return True


def has_logprobs(body: Any) -> bool:
    """Returns whether a completion lists log-probabilities of its first token."""
    return is_completion(body) and bool(alternatives(_choice(body)))


def spent(body: Any) -> int:
    """Returns the tokens that a completion says it took, or 0 if it does not say."""
    usage = cast("Mapping[str, object]", body).get("usage") if isinstance(body, Mapping) else None
    total = cast("Mapping[str, object]", usage).get("total_tokens") if isinstance(usage, Mapping) else None
    return total if isinstance(total, int) and not isinstance(total, bool) and total > 0 else 0


def alternatives(choice: Mapping[str, Any]) -> Mapping[str, float]:
    """Returns the log-probability of each possible first token; empty if the server lists none."""
    logprobs = _mapping(choice.get("logprobs") or {})
    content = _list(logprobs.get("content") or [])
    if not content:
        return {}
    first = _mapping(content[0])
    found: dict[str, float] = {}
    for entry in [*_list(first.get("top_logprobs") or []), first]:
        fields = _mapping(entry)
        token, value = fields["token"], fields["logprob"]
        if not isinstance(token, str) or not isinstance(value, int | float) or isinstance(value, bool):
            raise TypeError("a log-probability is no number, or its token no text")
        if math.isnan(value) or value > 0.01:  # rounding may lift a probability a little above 1
            raise ValueError(f"{value} is no log-probability")
        found[token] = float(value)
    return found


def _weigh(listed: Mapping[str, float], words: tuple[str, str], least_mass: float) -> Answer:
    """Weighs the two words: every spelling counts, and an unlisted word is at most as likely as the least listed."""
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
    """Reads a text that must be one of the two words and nothing else."""
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
    return cast("Mapping[str, Any]", value)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"a list was expected, not {_short(str(value))}")
    return cast("list[Any]", value)


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
