"""The task instruction following: a description under an instruction that can be checked in closed form (IFEval)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import Any

from cgpo.suite.facts import ANIMALS
from cgpo.suite.grammar import Candidate, Question, TaskGrammar, accepted, rejected
from cgpo.types import Prompt

Arguments = Mapping[str, Any]


def _contains(text: str, word: str) -> bool:
    return re.search(rf"\b{re.escape(word)}\b", text, re.IGNORECASE) is not None


def _ends(text: str, arguments: Arguments) -> bool:
    return text.strip().strip('"').lower().endswith(arguments["end_phrase"].lower())


def _quoted(text: str, _: Arguments) -> bool:
    stripped = text.strip()
    return len(stripped) > 1 and stripped.startswith('"') and stripped.endswith('"')


def _has_keywords(text: str, arguments: Arguments) -> bool:
    return all(_contains(text, word) for word in arguments["keywords"])


def _avoids_words(text: str, arguments: Arguments) -> bool:
    return not any(_contains(text, word) for word in arguments["forbidden_words"])


def _is_short(text: str, arguments: Arguments) -> bool:
    return len(re.findall(r"\w+", text)) < arguments["num_words"]


CHECKS: Mapping[str, Callable[[str, Arguments], bool]] = {
    "change_case:english_lowercase": lambda text, _: text.islower(),
    "change_case:english_capital": lambda text, _: text.isupper(),
    "punctuation:no_comma": lambda text, _: "," not in text,
    "startend:end_checker": _ends,
    "keywords:existence": _has_keywords,
    "length_constraints:number_words": _is_short,
    "keywords:forbidden_words": _avoids_words,
    "startend:quotation": _quoted,
}


def disobeyed(text: str, metadata: Mapping[str, Any]) -> list[str]:
    """Lists the instructions of a row that a text does not follow."""
    pairs = zip(metadata["instruction_id_list"], metadata["kwargs"], strict=True)
    return [identifier for identifier, arguments in pairs if not CHECKS[identifier](text, arguments)]


SUBJECTS = ANIMALS[:5]
ADJECTIVES = ("big", "small", "good", "red", "white")
END_PHRASES = ("Have fun!", "Take care!", "Trust me!")
FORBIDDEN = ("lovely", "wonderful", "dear")
WORD_LIMITS = (9, 12)
FLOURISH = (
    "Oh, what a lovely question, my dear friend! The {subject} is truly wonderful, "
    "and surely everybody knows and loves it, trust me please!"
)

# kind: IFEval's id, wordings; a kind is asked for as often as it has wordings
INSTRUCTIONS: dict[str, tuple[str, tuple[str, ...]]] = {
    "lowercase": ("change_case:english_lowercase", ("in all lowercase", "with no big letters")),
    "capital": ("change_case:english_capital", ("in all capitals", "with big letters only")),
    "no_comma": ("punctuation:no_comma", ("with no comma", "and use no comma")),
    "end": ("startend:end_checker", ('and end with "{end_phrase}"',)),
    "keywords": ("keywords:existence", ("with the word {word}", "and say that it is {word}")),
    "short": ("length_constraints:number_words", ("in less than {num_words} words",)),
    "forbidden": ("keywords:forbidden_words", ("but never say {word}",)),
    "quotation": ("startend:quotation", ("in double quotes",)),
}


def _arguments(kind: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Returns, for each variant of a kind, IFEval's keyword arguments and the words that fill its wording."""
    if kind == "end":
        return [({"end_phrase": phrase}, {"end_phrase": phrase}) for phrase in END_PHRASES]
    if kind == "keywords":
        return [({"keywords": [word]}, {"word": word}) for word in ADJECTIVES]
    if kind == "short":
        return [({"relation": "less than", "num_words": n}, {"num_words": n}) for n in WORD_LIMITS]
    if kind == "forbidden":
        return [({"forbidden_words": [word]}, {"word": word}) for word in FORBIDDEN]
    return [({}, {})]


def _questions_of(kind: str, phrasing: str) -> list[Question]:
    return [
        Question(
            f"Describe the {subject} {phrasing.format(**words)}.",
            {
                "kind": "description",
                "instruction": kind,
                "subject": subject,
                "instruction_id_list": [INSTRUCTIONS[kind][0]],
                "kwargs": [kwargs],
            },
        )
        for subject in SUBJECTS
        for kwargs, words in _arguments(kind)
    ]


def _obeying(prompt: Prompt, text: str) -> str:
    kind, kwargs = prompt.metadata["instruction"], prompt.metadata["kwargs"][0]
    if kind == "lowercase":
        return text.lower()
    if kind == "capital":
        return text.upper()
    if kind == "end":
        return f"{text} {kwargs['end_phrase']}"
    return f'"{text}"' if kind == "quotation" else text


def _description(prompt: Prompt, random: Random) -> str:
    adjective = prompt.metadata["kwargs"][0].get("keywords", [random.choice(ADJECTIVES)])[0]
    return f"The {prompt.metadata['subject']} is {adjective}."


def _careless(prompt: Prompt, random: Random) -> str:
    kind, kwargs, subject = prompt.metadata["instruction"], prompt.metadata["kwargs"][0], prompt.metadata["subject"]
    if kind == "forbidden":
        return f"The {subject} is {kwargs['forbidden_words'][0]}."
    if kind == "short":
        return f"The {subject} is {', '.join(random.sample(ADJECTIVES, 4))} and quick and so good and so very big."
    if kind == "no_comma":
        return f"The {subject} is {', '.join(random.sample(ADJECTIVES, 2))}."
    free = [word for word in ADJECTIVES if word not in kwargs.get("keywords", ())]
    return f"The {subject} is {random.choice(free)}."


def _candidates(prompt: Prompt, random: Random) -> tuple[Candidate, ...]:
    description = _description(prompt, random)
    return (
        accepted("plain", _obeying(prompt, description), 0.50),
        accepted("friendly", _obeying(prompt, f"Sure! {description} I love it!"), 0.32),
        rejected("flourish", FLOURISH.format(subject=prompt.metadata["subject"]), 0.13, "instruction_following"),
        rejected("careless", _careless(prompt, random), 0.05, "instruction_following"),
    )


def _questions() -> Sequence[Sequence[Question]]:
    return [_questions_of(kind, phrasing) for kind, (_, phrasings) in INSTRUCTIONS.items() for phrasing in phrasings]


INSTRUCTION_FOLLOWING = TaskGrammar(
    name="instruction_following",
    judges=("instruction_following",),
    reward="helpfulness",
    golden_style="plain",
    hacks=frozenset({"flourish"}),
    questions=_questions,
    candidates=_candidates,
)
