"""The question that a judge asks a language model, and the three kinds of answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from cgpo.errors import UserError
from cgpo.types import Sample

FILE = "judge.json"
"""The file beside the weights of a trained judge that contains the question it was trained on."""


@dataclass(frozen=True)
class Question:
    """A question about a response.

    Attributes:
        template: the text with its fields, as `cgpo.judges.language_model.rendering.load_template` returns it.
        positive: the answer that means *satisfied*, as it follows the rendered template (`" yes"`).
        negative: the answer that means *violated*.
        title: the name of the question in messages.
    """

    template: str
    positive: str
    negative: str
    title: str

    def save(self, folder: Path) -> None:
        """Writes the question beside a model that was trained on it."""
        (folder / FILE).write_text(json.dumps(asdict(self), indent=2), encoding="utf-8")

    @classmethod
    def of_model(cls, path: str) -> Question | None:
        """Reads the question that the model in a folder was trained on; returns `None` if it is no trained judge.

        Raises:
            UserError: the file exists but cannot be read.
        """
        file = Path(path) / FILE
        if not file.is_file():
            return None
        try:
            return cls(**json.loads(file.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise UserError(f"{file}: not what a trained judge writes: {error}") from error


@dataclass(frozen=True)
class Weighed:
    """The log-probabilities of the two answers, up to a constant that both share.

    Attributes:
        positive: the log-probability of the positive answer.
        negative: the log-probability of the negative answer.
        positive_is_bound: whether the positive answer was not listed, so that its value is an upper bound.
        negative_is_bound: whether the negative answer was not listed, so that its value is an upper bound.
    """

    positive: float
    negative: float
    positive_is_bound: bool = False
    negative_is_bound: bool = False


@dataclass(frozen=True)
class Said:
    """The model gave one of the two answers, but not how sure it was."""

    positive: bool


@dataclass(frozen=True)
class Unanswered:
    """The model gave neither answer, or could not be asked."""

    reason: str


Answer = Weighed | Said | Unanswered


class Backend(Protocol):
    """The place where a judge's model runs."""

    @property
    def usage(self) -> Mapping[str, int]:
        """The `calls` of the model so far, and the `tokens` of prompts and answers."""
        ...

    @property
    def version(self) -> str:
        """A text that distinguishes two versions of a model with the same name; empty if there is none."""
        ...

    def prepare(self) -> None:
        """Finds out whether the model can be asked at all; a second call does nothing.

        Raises:
            UserError: it cannot, and could not without another configuration.
        """
        ...

    @property
    def asking(self) -> Sequence[Sample]:
        """The samples that the model is being asked about now, for another thread to read."""
        ...

    def ask(self, samples: Sequence[Sample]) -> list[Answer]:
        """Returns one answer per sample, in order."""
        ...

    def interrupt(self, reason: str) -> None:
        """Ends the current questions, if possible; they are unanswered, for this reason."""
        ...

    def close(self) -> None:
        """Closes connections."""
        ...
