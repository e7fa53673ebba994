"""Openings of children's stories, each with an instruction in closed form that its continuation must follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from cgpo.data.source import PromptSplits
from cgpo.errors import UserError
from cgpo.types import Prompt

_GIRLS = ("Lily", "Mia", "Sue", "Amy", "Lucy", "Sara", "Anna", "Jane", "Molly", "Emma")
_BOYS = ("Tim", "Tom", "Ben", "Max", "Sam", "Jack", "Bob", "Joe", "Billy", "Timmy")
_ANIMALS = ("dog", "cat", "bird", "bunny", "bear", "frog", "duck", "fish", "mouse", "squirrel")
_THINGS = ("ball", "doll", "car", "book", "hat", "kite", "boat", "toy", "drum", "cup", "box", "bike")
_LOOKS = ("red", "blue", "big", "little", "new", "shiny", "pretty", "soft")
_PLACES = ("park", "garden", "forest", "beach", "house", "pond", "school", "store")

_Template = Callable[[Random], str]


@dataclass(frozen=True)
class Kind:
    """One kind of instruction.

    Attributes:
        instruction: the sentence before the story.
        check: the instruction id of the judge's check.
        kwargs: the arguments of the check.
        story: draws the beginning of a story.
    """

    instruction: str
    check: str
    kwargs: Mapping[str, Any]
    story: _Template


class StorySource:
    """Prompts of one kind of instruction, each text once: the instruction, then a story to be continued.

    The metadata is the `kind`, and what `InstructionFollowingJudge` reads: `instruction_id_list` and `kwargs`.

    Args:
        kind: `word`, `no_comma`, `ending` or `sentences`.
        train_size: the number of prompts to train on.
        held_out_size: the number of prompts kept for evaluation.
        seed: the seed of the prompts and their order.

    Raises:
        UserError: there is no such kind, or a size is out of range.
    """

    def __init__(self, kind: str, train_size: int = 600, held_out_size: int = 200, seed: int = 0) -> None:
        if kind not in KINDS:
            raise UserError(f"stories: there is no kind {kind!r}; choose {', '.join(KINDS)}")
        if train_size < 1 or held_out_size < 0:
            raise UserError(f"stories, {kind}: train_size must be at least 1 and held_out_size at least 0")
        if train_size + held_out_size > MOST:
            raise UserError(f"stories, {kind}: at most {MOST} prompts, {train_size + held_out_size} were asked for")
        self.kind, self.train_size, self.held_out_size, self.seed = kind, train_size, held_out_size, seed

    def load(self) -> PromptSplits:
        """Generates the prompts, the same ones each time."""
        drawn = self._prompts()
        prompts = tuple(next(drawn) for _ in range(self.train_size + self.held_out_size))
        return PromptSplits(prompts[: self.train_size], prompts[self.train_size :])

    def _prompts(self) -> Iterator[Prompt]:
        kind = KINDS[self.kind]
        metadata = {"kind": self.kind, "instruction_id_list": [kind.check], "kwargs": [dict(kind.kwargs)]}
        random = Random(f"stories/{self.kind}/{self.seed}")
        seen: set[str] = set()
        while True:
            story = kind.story(random)
            if story not in seen:
                key = f"{self.kind}/{self.seed}:{len(seen)}"
                seen.add(story)
                yield Prompt(key, f"{kind.instruction} {story}", metadata=metadata)


def _hero(random: Random) -> tuple[str, str, str]:
    """Draws who the story is about: girl or boy, the name, and the pronoun at the start of a sentence."""
    if random.random() < 0.5:
        return "girl", random.choice(_GIRLS), "She"
    return "boy", random.choice(_BOYS), "He"


def _opening(random: Random) -> str:
    """Draws the first two or three sentences of a story."""
    who, name, pronoun = _hero(random)
    look, thing, place = random.choice(_LOOKS), random.choice(_THINGS), random.choice(_PLACES)
    second = random.choice((f"had a {look} {thing}", f"loved to play with a {look} {thing}", f"found a {look} {thing}"))
    third = random.choice(("", f" One day {name} went to the {place}.", f" {name} wanted to go to the {place}."))
    return f"Once upon a time there was a little {who} named {name}. {pronoun} {second}.{third}"


def _nearly_finished(random: Random) -> str:
    """Draws a story that lacks only the rest of its last sentence."""
    who, name, pronoun = _hero(random)
    helper = random.choice(_ANIMALS)
    look, thing, place = random.choice(_LOOKS), random.choice(_THINGS), random.choice(_PLACES)
    closing = random.choice(("was so glad and hugged", "smiled and said thank you to"))
    return (
        f"Once upon a time there was a little {who} named {name}. {pronoun} lost a {look} {thing} in the {place}"
        f" and was very sad. A kind {helper} helped to look for it. They found the {thing} under a tree."
        f" {name} {closing} the {helper}. From that day on, they played together"
    )


KINDS: Mapping[str, Kind] = {
    "word": Kind("Use the word happy.", "keywords:existence", {"keywords": ["happy"]}, _opening),
    "no_comma": Kind("Use no commas.", "punctuation:no_comma", {}, _opening),
    "ending": Kind("Finish with: The end.", "startend:end_checker", {"end_phrase": "The end."}, _nearly_finished),
    "sentences": Kind(
        "Write at least five sentences.",
        "length_constraints:number_sentences",
        {"num_sentences": 5, "relation": "at least"},
        _opening,
    ),
}
MOST = 10_000
"""The most prompts of one kind; several times as many texts exist."""
