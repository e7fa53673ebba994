"""Results as texts and as tables of a notebook."""

from rich.console import Group
from rich.table import Table
from rich.text import Text

from cgpo.api.results import html_of, text_of


def view() -> Group:
    table = Table(title="a & b", caption="[bold]c[/]")
    table.add_column("name")
    table.add_column("number", justify="right")
    table.add_row("  <script>", Text("[1]"))
    return Group(table, Text("x < y"))


def test_html_shows_every_text_as_a_text() -> None:
    html = html_of(view())
    assert html.startswith("<table><caption><b>a &amp; b</b><br><small>c</small></caption><thead>")
    assert "&nbsp;&nbsp;&lt;script&gt;</td>" in html
    assert '<td style="text-align:right; padding:2px 10px; white-space:nowrap">[1]</td>' in html
    assert html.endswith("<p>x &lt; y</p>")


def test_a_text_has_no_colours_and_no_blanks_at_the_ends() -> None:
    text = text_of(view())
    assert "\x1b" not in text
    assert all(line == line.rstrip() for line in text.splitlines())
    assert text.endswith("x < y")
