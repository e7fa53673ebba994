"""Prompts from a file, a data set, or rows in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from typing import Any, cast

from cgpo.data.fields import FieldSpec
from cgpo.data.files import Row, make_row, read_rows
from cgpo.data.source import PromptFile
from cgpo.errors import UserError, choose
from cgpo.types import Prompt

TEXTS = ("prompt", "question", "instruction", "text", "problem", "query", "input")
"""Columns that are taken for the prompt's text where nobody names one, the first that is there."""


def read_prompts(
    rows: str | PathLike[str] | Iterable[Mapping[str, Any]],
    *,
    template: str | None = None,
    columns: Mapping[str, FieldSpec] | None = None,
    metadata: Mapping[str, FieldSpec] | Sequence[str] | None = None,
    response: str | None = None,
    conversation: str | None = None,
    where: Mapping[str, Any] | None = None,
    limit: int | None = None,
    split: str | None = None,
    subset: str | None = None,
) -> tuple[Prompt, ...]:
    r"""Reads prompts from a file (JSONL, JSON, CSV, Parquet), a data set of the `datasets` library, or rows in memory.

    A column is named, or described by a mapping with `column`, `extract`, `values`, `default` or `constant` (see
    `cgpo.data.fields.Field`).

    Example:
        ```python
        import cgpo

        rows = [{"question": "What is 2 + 3?", "answer": "2 + 3 = 5\n#### 5"}]
        prompts = cgpo.read_prompts(
            rows,
            template="{question} End with: The final answer is <number>",
            metadata={"answer": {"column": "answer", "extract": "gsm8k_answer"}},
        )
        assert prompts[0].metadata == {"answer": "5"}
        ```

    Args:
        rows: a path; with `split` the id of a data set; or mappings from columns to values.
        template: the prompt's text, with `{name}` for a column, or for a name of `columns`. By default the text is the
            first column there is of prompt, question, instruction, text, problem, query and input.
        columns: name in the template → where it comes from, for names that are not columns.
        metadata: what judges read: name → where it comes from; or names of columns. By default every column that the
            prompt is not made of.
        response: the golden response: a column, or a template.
        conversation: instead of a template, the column of a whole conversation.
        where: column → the value, or list of values, that rows are taken for.
        limit: the most rows.
        split: of the data set, such as `train`.
        subset: the data set's configuration name, where it has several.

    Raises:
        UserError: a row or an argument is not what it should be; the message names the row, or the argument.
    """
    found = list(_rows(rows, split, subset))
    if not found:
        raise UserError(f"read_prompts: there are no rows in {rows if isinstance(rows, str | PathLike) else 'rows'}")
    there = list(found[0].fields)
    if conversation is not None and (template or columns):
        raise UserError("read_prompts: give either a conversation, or a template with its columns")
    if conversation is None:
        template = "{" + _text_column(there) + "}" if template is None else template
        columns = {**{name: name for name in there}, **(columns or {})}
    if metadata is None:
        used = {conversation, response, *(name for name in there if f"{{{name}}}" in f"{template} {response}")}
        metadata = {name: {"column": name, "default": None} for name in there if name not in used}
    elif not isinstance(metadata, Mapping):
        metadata = {name: name for name in metadata}
    source = PromptFile(
        "read_prompts", columns, template or "", metadata, response, conversation, limit=limit, where=where
    )
    prompts = tuple(prompt for _, prompt in source.rows(found))
    if not prompts:
        raise UserError(f"read_prompts: none of the {len(found)} rows is taken; look at where={where!r}")
    return prompts


def _rows(rows: object, split: str | None, subset: str | None) -> Iterable[Row]:
    if isinstance(rows, str | PathLike):
        return read_rows(str(cast(object, rows)), split, subset)
    if isinstance(rows, Mapping) or not isinstance(rows, Iterable):
        raise UserError(
            f"read_prompts: rows is {type(cast(object, rows)).__name__}: it must be a path, or a list of mappings"
        )
    listed = list(cast(Iterable[object], rows))
    return [make_row("rows", number, f"row {number}", row) for number, row in enumerate(listed, start=1)]


def _text_column(there: Sequence[str]) -> str:
    for name in TEXTS:
        if name in there:
            return name
    raise UserError(f'read_prompts: name the column of the prompt\'s text, template="{{NAME}}"; {choose("", there)}')
