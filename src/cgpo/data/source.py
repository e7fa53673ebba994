"""Sources of prompts: a file or data set, and mixtures of sources; and which prompts fit a model's context."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Protocol

from cgpo.data.conversation import parse_conversation
from cgpo.data.fields import Field, FieldSpec, Template
from cgpo.data.files import Row, preview, read_rows
from cgpo.data.holdout import check_holdout, held_out_flags
from cgpo.errors import UserError
from cgpo.types import Prompt


@dataclass(frozen=True)
class PromptSplits:
    """A source's prompts.

    Attributes:
        train: the prompts to train on.
        held_out: the prompts kept for evaluation.
    """

    train: tuple[Prompt, ...]
    held_out: tuple[Prompt, ...]


class PromptSource(Protocol):
    """Anything that prompts come from."""

    def load(self) -> PromptSplits:
        """Loads the prompts, the same ones each time."""
        ...


class PromptFile:
    """Prompts from a file (JSONL, JSON, CSV, Parquet) or a data set of the `datasets` library.

    Args:
        path: the file, or the id of the data set if `split` is given.
        columns: name in the templates → where it comes from (see `cgpo.data.fields.Field`).
        template: the prompt's text, with `{name}` for each of `columns`; line ends around it are dropped.
        metadata: what judges read: name → where it comes from, as in `columns`.
        response: the golden response: a template as above, or the name of a column; a blank one counts as none.
        conversation: instead of `columns` and the templates, the column of a whole conversation, which history, text
            and response come from (see `cgpo.data.conversation.parse_conversation`).
        limit: the most rows to take: the first ones that match `where`.
        where: column → the value, or list of values, that rows must have.
        holdout: the prompts kept from training: a share below 1, or a number of prompts.
        seed: the seed of the choice of held-out prompts.
        split: the data set's split; `None` for a file.
        subset: the name of the data set's configuration, if it has several.

    Raises:
        UserError: the arguments contradict each other.
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
        """Reads the prompts, split into those to train on and those held out.

        Raises:
            UserError: a row does not fit the mapping, and the message names its file, line and field; or no prompt is
                left to train on.
        """
        prompts = [prompt for _, prompt in self.rows()]
        flags = held_out_flags(prompts, self.holdout, self.seed)
        train = tuple(prompt for prompt, out in zip(prompts, flags, strict=True) if not out)
        if not train:
            raise UserError(f"{self.path}: no prompts to train on ({len(prompts)} rows read, {sum(flags)} held out)")
        return PromptSplits(train, tuple(prompt for prompt, out in zip(prompts, flags, strict=True) if out))

    def rows(self, given: Iterable[Row] | None = None) -> Iterator[tuple[Row, Prompt]]:
        """Yields each row that matches `where`, up to `limit`, with its prompt.

        Args:
            given: rows to read instead of those of the file.

        Raises:
            UserError: a row does not fit the mapping.
        """
        everything = read_rows(self.path, self.split, self.subset) if given is None else given
        rows = (row for row in everything if self._matches(row))
        for row in islice(rows, self.limit):
            yield row, self._prompt(row)

    def _matches(self, row: Row) -> bool:
        for column, wanted in self.where.items():
            choices = [wanted] if isinstance(wanted, str | int | float) else list(wanted)
            if str(row.value(column)) not in map(str, choices):
                return False
        return True

    def _prompt(self, row: Row) -> Prompt:
        prompt = self._from_template(row) if self.template is not None else self._from_conversation(row)
        if not prompt.text.strip():
            raise row.error(f"the prompt is empty; fields: {', '.join(map(str, row.fields))}")
        return replace(prompt, metadata={name: field.read(row) for name, field in self.metadata.items()})

    def _from_template(self, row: Row) -> Prompt:
        assert self.template is not None
        response = None if self.response is None else self.response.fill(row, self.fields)
        return Prompt(
            row.key,
            self.template.fill(row, self.fields).strip("\n"),
            response if response and response.strip() else None,
        )

    def _from_conversation(self, row: Row) -> Prompt:
        assert self.conversation is not None
        value = row.value(self.conversation)
        try:
            parsed = parse_conversation(value)
        except ValueError as error:
            raise row.error(f"field '{self.conversation}': {error}; found {preview(value)}") from error
        return Prompt(
            row.key, parsed.text, parsed.response if parsed.response.strip() else None, history=parsed.history
        )


class Mixture:
    """The disjoint union of sources: every prompt of every source once; each keeps its own held-out prompts.

    Args:
        sources: name → source; the name becomes the prefix of the prompts' keys.

    Raises:
        UserError: there is no source, or a name contains a slash.
    """

    def __init__(self, sources: Mapping[str, PromptSource]) -> None:
        if not sources:
            raise UserError("a mixture needs at least one source")
        for name in sources:
            if not name or "/" in name:
                raise UserError(f"mixture: a source's name must be a word without slashes, found {name!r}")
        self.sources = dict(sources)

    def load(self) -> PromptSplits:
        """Loads the prompts of all sources, in the order of the sources.

        Raises:
            UserError: a source has two prompts with the same key, or cannot be read.
        """
        loaded = {name: source.load() for name, source in self.sources.items()}
        train = tuple(_prefixed(name, prompt) for name, splits in loaded.items() for prompt in splits.train)
        held_out = tuple(_prefixed(name, prompt) for name, splits in loaded.items() for prompt in splits.held_out)
        twice = [key for key, count in Counter(prompt.key for prompt in train + held_out).items() if count > 1]
        if twice:
            raise UserError(f"mixture: {len(twice)} keys stand for two prompts, the first is '{twice[0]}'")
        return PromptSplits(train, held_out)


def _prefixed(name: str, prompt: Prompt) -> Prompt:
    return replace(prompt, key=f"{name}/{prompt.key}")


def fits_context(
    prompts: Sequence[Prompt], encode: Callable[[Prompt], Sequence[int]], limit: int
) -> tuple[tuple[Prompt, ...], int]:
    """Keeps the prompts of at most `limit` tokens.

    Args:
        prompts: the prompts, in any order.
        encode: tokenizes a prompt as the policy reads it, chat template included.
        limit: the most tokens of a prompt: the context length minus the longest response.

    Returns:
        The prompts that fit, in their order, and the number of those that do not.
    """
    kept = tuple(prompt for prompt in prompts if len(encode(prompt)) <= limit)
    return kept, len(prompts) - len(kept)
