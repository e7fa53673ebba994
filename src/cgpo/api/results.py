"""Results that show themselves: a mapping in code, a table at a terminal and in a notebook."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from html import escape
from io import StringIO
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

WIDTH = 100
"""Columns of a table that is printed."""
CELL = "text-align:{}; padding:2px 10px; white-space:nowrap"


class Result(Mapping[str, Any]):
    """Numbers by name, as they stand in a JSON file; printed, or at the end of a notebook's cell, they are a table.

    Args:
        content: the numbers.
    """

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._content = dict(content)

    @abstractmethod
    def view(self) -> RenderableType:
        """Tables and lines for people."""

    def __getitem__(self, key: str) -> Any:
        return self._content[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._content)

    def __len__(self) -> int:
        return len(self._content)

    def __rich__(self) -> RenderableType:
        return self.view()

    def __repr__(self) -> str:
        return text_of(self.view())

    def _repr_html_(self) -> str:
        return html_of(self.view())


def text_of(view: RenderableType) -> str:
    """What is shown at a terminal, without colours."""
    screen = StringIO()
    Console(file=screen, width=WIDTH, highlight=False).print(view)
    return "\n".join(line.rstrip() for line in screen.getvalue().rstrip().splitlines())


def html_of(view: RenderableType) -> str:
    """The same for a notebook."""
    if isinstance(view, Result):
        return html_of(view.view())
    if isinstance(view, Group):
        return "".join(html_of(part) for part in view.renderables)
    if isinstance(view, Table):
        return _table(view)
    return f"<p>{_cell(view)}</p>"


def _table(table: Table) -> str:
    aligned = [column.justify if column.justify == "right" else "left" for column in table.columns]
    heads = "".join(
        f'<th style="{CELL.format(side)}">{_cell(column.header)}</th>'
        for column, side in zip(table.columns, aligned, strict=True)
    )
    rows = "".join(
        "<tr>"
        + "".join(f'<td style="{CELL.format(side)}">{_cell(c)}</td>' for c, side in zip(cells, aligned, strict=True))
        + "</tr>"
        for cells in zip(*(column.cells for column in table.columns), strict=True)
    )
    title = f"<b>{_cell(table.title)}</b>" if table.title else ""
    caption = f"<br><small>{_cell(table.caption)}</small>" if table.caption else ""
    return f"<table><caption>{title}{caption}</caption><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def _cell(content: object) -> str:
    text = content if isinstance(content, Text) else Text.from_markup(str(content))
    plain = text.plain
    indent = len(plain) - len(plain.lstrip(" "))
    return "&nbsp;" * indent + escape(plain.lstrip(" "))
