"""Which code of a response counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgpo.judges.code import Block, blocks, last_block


@pytest.mark.parametrize(
    ("response", "code"),
    [
        ("no code", None),
        ("```python\nx = 1\n", None),
        ("x = 1\n```", None),
        ("```python\nx = 1\n```", "x = 1\n"),
        ("```\nx = 1\n```", "x = 1\n"),
        ("```py\r\nx = 1\r\n```", "x = 1\n"),
        ("``` python title=a.py\nx = 1\n```  ", "x = 1\n"),
        ("a\n```python\nx = 1\n```\nor\n```python\nx = 2\n```\nb", "x = 2\n"),
        ("```python\nx = 1\n```\nand\n```python\nx = 2", "x = 1\n"),
        ("~~~python\ns = '''\n```\n'''\n~~~", "s = '''\n```\n'''\n"),
        ("````python\ns = '''\n```\n'''\n`````", "s = '''\n```\n'''\n"),
        ("1. So:\n   ```python\n   if x:\n       y()\n\n   ```", "if x:\n    y()\n\n"),
        ("```python x = 1```", None),
        ("```\n```", ""),
    ],
)
def test_the_last_complete_fenced_block_counts(response: str, code: str | None) -> None:
    assert last_block(response) == code


def test_a_named_tag_leaves_the_others_out() -> None:
    response = "```Python\na\n```\n```\nb\n```\n```bash\nc\n```"
    assert list(blocks(response)) == [Block("python", "a\n"), Block("", "b\n"), Block("bash", "c\n")]
    assert last_block(response, ["python"]) == "a\n"
    assert last_block(response, ["python", ""]) == "b\n"
    assert last_block(response, ["rust"]) is None


@given(st.lists(st.text("`~ab \n"), max_size=4), st.text("xy= \n"))
def test_whatever_comes_before_a_block_of_its_own_kind_is_found(before: list[str], code: str) -> None:
    fence = "`" * (max(map(len, before), default=0) + 3)
    noise = "".join(text.replace("`", "").replace("~", "") for text in before)
    assert last_block(f"{noise}\n{fence}python\n{code}\n{fence}\nend") == code + "\n"
