"""The suite's knowledge of the world: five kinds of fact, each with a one-word answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class FactKind:
    """A kind of fact.

    Attributes:
        questions: wordings of the question, with a `{subject}`.
        statement: the answer as a sentence, with a `{subject}` and a `{value}`.
        truth: the right value for each subject.
    """

    questions: tuple[str, ...]
    statement: str
    truth: Mapping[str, str]

    @property
    def values(self) -> list[str]:
        """The distinct values, in the order in which they first appear."""
        return list(dict.fromkeys(self.truth.values()))

    def others(self, value: str) -> list[str]:
        """Lists the values that would be wrong."""
        return [other for other in self.values if other != value]


FACTS: Mapping[str, FactKind] = {
    "sound": FactKind(
        ("What does the {subject} say?", "Which sound does the {subject} make?"),
        "The {subject} says {value}.",
        {
            "cat": "meow",
            "dog": "woof",
            "cow": "moo",
            "duck": "quack",
            "pig": "oink",
            "sheep": "baa",
            "bee": "buzz",
            "owl": "hoot",
        },
    ),
    "food": FactKind(
        ("What does the {subject} eat?", "Which food does the {subject} like?"),
        "The {subject} eats {value}.",
        {
            "cat": "fish",
            "dog": "meat",
            "cow": "grass",
            "duck": "bread",
            "pig": "corn",
            "sheep": "grass",
            "bee": "honey",
            "owl": "mice",
        },
    ),
    "legs": FactKind(
        ("How many legs does the {subject} have?", "What number of legs does the {subject} have?"),
        "The {subject} has {value} legs.",
        {
            "cat": "four",
            "dog": "four",
            "cow": "four",
            "duck": "two",
            "pig": "four",
            "sheep": "four",
            "bee": "six",
            "owl": "two",
        },
    ),
    "color": FactKind(
        ("What color is the {subject}?", "Which color does the {subject} have?"),
        "The {subject} is {value}.",
        {
            "grass": "green",
            "snow": "white",
            "sky": "blue",
            "sun": "yellow",
            "night": "black",
            "rose": "red",
            "corn": "yellow",
            "egg": "white",
        },
    ),
    "capital": FactKind(
        ("What is the capital of {subject}?", "Which city is the capital of {subject}?"),
        "The capital of {subject} is {value}.",
        {
            "France": "Paris",
            "Italy": "Rome",
            "Spain": "Madrid",
            "Japan": "Tokyo",
            "Egypt": "Cairo",
            "Cuba": "Havana",
        },
    ),
}

ANIMALS = tuple(FACTS["sound"].truth)
