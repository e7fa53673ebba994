"""What a judge asks a language model, and the three ways in which that can end."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from cgpo.errors import UserError
from cgpo.types import Sample

FILE = "judge.json"
"""Beside the weights of a model that was trained to be a judge: the question it was trained on."""


@dataclass(frozen=True)
class Question:
    """A question about a response.

    Attributes:
        template: the text with its fields, as `cgpo.judges.language_model.rendering.load_template` returns it.
        positive: the answer that means *satisfied*, as it follows the rendered template (`" yes"`).
        negative: the answer that means *violated*.
        title: what messages call it.
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
        """The question that the model in a folder was trained on; `None` where it is no trained judge.

        Raises:
            UserError: the file is there and cannot be read.
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
        positive: of the positive answer.
        negative: of the negative one.
        positive_is_bound: the positive answer was not among those listed, so that its value is the most it can be.
        negative_is_bound: the same of the negative one.
    """

    positive: float
    negative: float
    positive_is_bound: bool = False
    negative_is_bound: bool = False


@dataclass(frozen=True)
class Said:
    """The model said one of the two answers; how sure it was is not known."""

    positive: bool


@dataclass(frozen=True)
class Unanswered:
    """The model gave neither answer, or could not be asked."""

    reason: str


Answer = Weighed | Said | Unanswered


class Backend(Protocol):
    """Where a judge's model runs."""

    @property
    def usage(self) -> Mapping[str, int]:
        """What was spent so far: `calls` of the model and `tokens` of prompts and answers."""
        ...

    @property
    def version(self) -> str:
        """What tells two states of a model of one name apart; empty where nothing does."""
        ...

    def prepare(self) -> None:
        """Finds out whether the model can be asked at all; asked again it does nothing.

        Raises:
            UserError: it cannot, and will not be without another configuration.
        """
        ...

    @property
    def asking(self) -> Sequence[Sample]:
        """The samples that are under way, for another thread to look at."""
        ...

    def ask(self, samples: Sequence[Sample]) -> list[Answer]:
        """One answer a sample, in order."""
        ...

    def interrupt(self, reason: str) -> None:
        """Ends what is under way, if it can: unanswered, for this reason."""
        ...

    def close(self) -> None:
        """Lets go of connections."""
        ...
