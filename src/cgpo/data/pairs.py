"""Preference pairs: what a reward model is trained on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from cgpo.data.conversation import parse_conversation
from cgpo.data.files import Row, describe
from cgpo.data.holdout import held_out_flags
from cgpo.data.source import PromptFile
from cgpo.errors import UserError
from cgpo.types import Prompt


@dataclass(frozen=True)
class Pair:
    """Two responses to a prompt, of which people prefer the first."""

    prompt: Prompt
    chosen: str
    rejected: str


@dataclass(frozen=True)
class PairSplits:
    """A source's pairs.

    Attributes:
        train: those trained on.
        held_out: those kept for measuring accuracy.
        left_out: a line for each row that prefers nothing (equal responses, or responses to different prompts), with
            its place and the reason.
    """

    train: tuple[Pair, ...]
    held_out: tuple[Pair, ...]
    left_out: tuple[str, ...]


class PairFile:
    """Preference pairs from a file or data set.

    Args:
        path: as for `PromptFile`.
        chosen: the column of the preferred response, or of the whole conversation that ends with it.
        rejected: the column of the other.
        conversation: whether `chosen` and `rejected` hold whole conversations; then `columns` and `template` are not
            to be given.
        options: everything else `PromptFile` takes, except `response`.

    Raises:
        UserError: the mapping contradicts itself.
    """

    def __init__(
        self, path: str, chosen: str = "chosen", rejected: str = "rejected", conversation: bool = False, **options: Any
    ) -> None:
        self.chosen, self.rejected = chosen, rejected
        self.prompts = PromptFile(path, conversation=chosen if conversation else None, **options)

    def load(self) -> PairSplits:
        """Reads the pairs; two pairs with the same prompt are on the same side of the split.

        Raises:
            UserError: a row does not fit the mapping (names file, line and field), or no pair is left to train on.
        """
        left_out: list[str] = []
        pairs = list(self._pairs(left_out))
        flags = held_out_flags([pair.prompt for pair in pairs], self.prompts.holdout, self.prompts.seed)
        train = tuple(pair for pair, out in zip(pairs, flags, strict=True) if not out)
        if not train:
            raise UserError(f"{self.prompts.path}: no pairs to train on ({len(pairs)} read, {len(left_out)} left out)")
        return PairSplits(train, tuple(p for p, out in zip(pairs, flags, strict=True) if out), tuple(left_out))

    def _pairs(self, left_out: list[str]) -> Iterator[Pair]:
        for row, prompt in self.prompts.rows():
            chosen, rejected = self._response(row, self.chosen, prompt), self._response(row, self.rejected, prompt)
            if chosen is None or rejected is None:
                left_out.append(f"{row.location}: the two conversations differ before their last answer")
            elif chosen == rejected:
                left_out.append(f"{row.location}: both responses are the same")
            else:
                yield Pair(replace(prompt, response=chosen or None), chosen, rejected)

    def _response(self, row: Row, column: str, prompt: Prompt) -> str | None:
        """The response in a column; `None` where its conversation has another prompt than the row's."""
        value = row.value(column)
        if self.prompts.conversation is None:
            if not isinstance(value, str):
                raise row.error(f"field '{column}': expected a text, found {describe(value)}")
            return value
        try:
            spoken = parse_conversation(value)
        except ValueError as error:
            raise row.error(f"field '{column}': {error}; found {describe(value)}") from error
        return spoken.response if (spoken.history, spoken.text) == (prompt.history, prompt.text) else None
