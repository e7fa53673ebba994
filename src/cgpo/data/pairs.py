"""Preference pairs from a file or data set: what reward models are trained on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from cgpo.data.conversation import parse_conversation
from cgpo.data.files import Row, preview
from cgpo.data.holdout import held_out_flags
from cgpo.data.source import PromptFile
from cgpo.errors import UserError
from cgpo.types import Prompt


@dataclass(frozen=True)
class Pair:
    """Two responses to a prompt, of which the first is preferred.

    Attributes:
        prompt: the prompt.
        chosen: the preferred response.
        rejected: the other response.
    """

    prompt: Prompt
    chosen: str
    rejected: str


@dataclass(frozen=True)
class PairSplits:
    """A source's pairs.

    Attributes:
        train: the pairs to train on.
        held_out: the pairs kept for measuring accuracy.
        left_out: one line for each row that expresses no preference, because its responses are equal or answer
            different prompts, with its place and the reason.
    """

    train: tuple[Pair, ...]
    held_out: tuple[Pair, ...]
    left_out: tuple[str, ...]


class PairFile:
    """Preference pairs from a file or data set.

    Args:
        path: the file, or the id of the data set, as for `PromptFile`.
        chosen: the column of the preferred response, or of the whole conversation that ends with it.
        rejected: the column of the other response, or of its conversation.
        conversation: whether `chosen` and `rejected` contain whole conversations; then `columns` and `template` must
            not be given.
        options: all other arguments of `PromptFile` except `response`.

    Raises:
        UserError: the arguments contradict each other.
    """

    def __init__(
        self, path: str, chosen: str = "chosen", rejected: str = "rejected", conversation: bool = False, **options: Any
    ) -> None:
        self.chosen, self.rejected = chosen, rejected
        self.prompts = PromptFile(path, conversation=chosen if conversation else None, **options)

    def load(self) -> PairSplits:
        """Reads the pairs; pairs with the same prompt are on the same side of the split.

        Raises:
            UserError: a row does not fit the mapping, and the message names its file, line and field; or no pair is
                left to train on.
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
        """Returns the response in a column, or `None` if its conversation has another prompt than the row's."""
        if self.prompts.conversation is None:
            return row.text(column)
        value = row.value(column)
        try:
            parsed = parse_conversation(value)
        except ValueError as error:
            raise row.error(f"field '{column}': {error}; found {preview(value)}") from error
        return parsed.response if (parsed.history, parsed.text) == (prompt.history, prompt.text) else None
