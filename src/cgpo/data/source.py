"""Prompts of one file or data set, through a column mapping."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Protocol

from cgpo.data.conversation import parse_conversation
from cgpo.data.fields import Field, FieldSpec, Template
from cgpo.data.files import read_rows
from cgpo.data.holdout import check_holdout, held_out_flags
from cgpo.data.rows import Row, describe
from cgpo.errors import UserError
from cgpo.types import Prompt


@dataclass(frozen=True)
class PromptSplits:
    """A source's prompts: those trained on and those kept for evaluation."""

    train: tuple[Prompt, ...]
    held_out: tuple[Prompt, ...]


class PromptSource(Protocol):
    """Anything prompts come from."""

    def load(self) -> PromptSplits:
        """Reads the prompts; the same each time."""
        ...


class PromptFile:
    """Prompts from a file (JSONL, JSON, CSV, Parquet) or a data set of the `datasets` library.

    Args:
        path: the file, or the data set's id where `split` is given.
        columns: name in the templates → where it comes from (see `cgpo.data.fields.Field`).
        template: the prompt's text, with `{name}` for each of `columns`; blank lines at its ends are dropped.
        metadata: what judges read: name → where it comes from, as in `columns`.
        response: the golden response: a template as above, or the name of a column; a blank one counts as none.
        conversation: instead of `columns` and the templates, the column of a whole conversation (see
            `cgpo.data.conversation.parse_conversation`): history, text and response come from it.
        limit: the most rows to take, the first ones that `where` lets pass.
        where: column → the value, or list of values, that rows are taken for.
        holdout: the prompts kept from training: a share below 1, or a number of them.
        seed: which prompts are held out.
        split: the data set's split; `None` for a file.
        subset: the data set's configuration name, if it has several.

    Raises:
        UserError: the mapping contradicts itself.
    """

    def __init__(
        self,
        path: str,
        columns: Mapping[str, FieldSpec] | None = None,
        template: str = "{question}",
        metadata: Mapping[str, FieldSpec] | None = None,
        response: str | None = None,
        conversation: str | None = None,
        limit: int | None = None,
        where: Mapping[str, Any] | None = None,
        holdout: float = 0,
        seed: int = 0,
        split: str | None = None,
        subset: str | None = None,
    ) -> None:
        if (columns is None) == (conversation is None):
            raise UserError(f"{path}: give either columns (with a template) or a conversation column")
        if limit is not None and limit < 1:
            raise UserError(f"{path}: limit must be at least 1, found {limit}")
        check_holdout(holdout)
        self.path, self.split, self.subset = path, split, subset
        self.conversation, self.limit, self.where, self.holdout, self.seed = (
            conversation,
            limit,
            where or {},
            holdout,
            seed,
        )
        self.fields = {name: Field(name, spec) for name, spec in (columns or {}).items()}
        self.metadata = {name: Field(name, spec) for name, spec in (metadata or {}).items()}
        self.template = Template(template, tuple(self.fields)) if conversation is None else None
        if response is not None and "{" not in response:
            self.fields.setdefault(response, Field(response, response))
            response = f"{{{response}}}"
        self.response = None if response is None else Template(response, tuple(self.fields))

    def load(self) -> PromptSplits:
        """Reads the prompts, split into those trained on and those held out.

        Raises:
            UserError: a row does not fit the mapping (names file, line and field), or no row is left to train on.
        """
        prompts = [prompt for _, prompt in self.rows()]
        flags = held_out_flags(prompts, self.holdout, self.seed)
        train = tuple(prompt for prompt, out in zip(prompts, flags, strict=True) if not out)
        if not train:
            raise UserError(f"{self.path}: no prompts to train on ({len(prompts)} rows read, {sum(flags)} held out)")
        return PromptSplits(train, tuple(prompt for prompt, out in zip(prompts, flags, strict=True) if out))

    def rows(self) -> Iterator[tuple[Row, Prompt]]:
        """Each row that `where` and `limit` let pass, with its prompt.

        Raises:
            UserError: a row does not fit the mapping.
        """
        rows = (row for row in read_rows(self.path, self.split, self.subset) if self._wanted(row))
        for row in islice(rows, self.limit):
            yield row, self._prompt(row)

    def _wanted(self, row: Row) -> bool:
        for column, wanted in self.where.items():
            choices = [wanted] if isinstance(wanted, str | int | float) else list(wanted)
            if str(row.value(column)) not in map(str, choices):
                return False
        return True

    def _prompt(self, row: Row) -> Prompt:
        prompt = self._written(row) if self.template is not None else self._spoken(row)
        if not prompt.text.strip():
            raise row.error(f"the prompt is empty; fields: {', '.join(map(str, row.fields))}")
        return replace(prompt, metadata={name: field.read(row) for name, field in self.metadata.items()})

    def _written(self, row: Row) -> Prompt:
        assert self.template is not None
        response = None if self.response is None else self.response.fill(row, self.fields)
        return Prompt(
            row.key,
            self.template.fill(row, self.fields).strip("\n"),
            response if response and response.strip() else None,
        )

    def _spoken(self, row: Row) -> Prompt:
        assert self.conversation is not None
        value = row.value(self.conversation)
        try:
            spoken = parse_conversation(value)
        except ValueError as error:
            raise row.error(f"field '{self.conversation}': {error}; found {describe(value)}") from error
        return Prompt(
            row.key, spoken.text, spoken.response if spoken.response.strip() else None, history=spoken.history
        )
