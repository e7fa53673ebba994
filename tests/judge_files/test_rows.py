"""Reading rows, and what is said of those that are not what they should be."""

import json
from pathlib import Path

import pytest
from tests.judge_files.fakes import row

from cgpo.errors import UserError
from cgpo.judge_files.rows import read_responses


def complaint(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        list(read_responses(path))
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def test_what_a_row_gives_to_the_judges(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    lines = [
        '\ufeff{"prompt": "p", "response": "r\\r\\n", "metadata": {"answer": 3}, "label": true, "x": [1]}  \r\n',
        "\n",
        '{"prompt": "", "response": "", "label": null}',
    ]
    path.write_bytes("".join(lines).encode())
    first, second = read_responses(path)
    assert first.line == lines[0].strip("\ufeff \r\n").encode()
    assert (first.sample.prompt.text, first.sample.response, first.label) == ("p", "r\r\n", True)
    assert first.sample.prompt.metadata == {"answer": 3}
    assert first.sample.prompt.key == f"{path} line 1"
    assert (second.sample.prompt.text, second.sample.response, second.label) == ("", "", None)
    assert second.sample.prompt.metadata == {}
    assert second.sample.prompt.key == f"{path} line 3"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"prompt": None}, "field 'prompt' must be a text, found NoneType None"),
        ({"response": 3}, "field 'response' must be a text, found int 3"),
        ({"response": ["a"]}, "field 'response' must be a text, found list ['a']"),
        ({"metadata": "answer"}, "field 'metadata' must be an object, found str 'answer'"),
        ({"metadata": [1]}, "field 'metadata' must be an object, found list [1]"),
        ({"label": 1}, "field 'label' must be true (satisfied), false (violated) or null, found int 1"),
        ({"label": "true"}, "field 'label' must be true (satisfied), false (violated) or null, found str 'true'"),
        ({"verdicts": {}}, "field 'verdicts' is what judging adds; drop it from the input, or rename it"),
        ({"satisfied": True}, "field 'satisfied' is what judging adds; drop it from the input, or rename it"),
    ],
)
def test_a_wrong_field_is_named_with_its_line(tmp_path: Path, change: dict[str, object], said: str) -> None:
    good = json.dumps(row(1)).encode()
    wrong = json.dumps({**row(2), **change}).encode()
    path = tmp_path / "rows.jsonl"
    assert complaint(path, good + b"\n" + wrong + b"\n") == f"{path} line 2: {said}"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"prompt": "p"}', "no field 'response'; a row needs prompt and response, found: prompt"),
        (b"{}", "no field 'prompt'; a row needs prompt and response, found: nothing"),
        (b'["p", "r"]', "expected an object with named fields, found list ['p', 'r']"),
        (b'{"prompt": "p", "response": "r"', "not JSON: "),
        (b'{"prompt": "\xff", "response": "r"}', "not JSON: "),
        (b'{"prompt": "p", "response": "r"}{}', "not JSON: "),
        (b'{"prompt": "\\ud800", "response": "r"}', "not JSON: "),
    ],
)
def test_a_line_that_is_no_row(tmp_path: Path, line: bytes, said: str) -> None:
    path = tmp_path / "rows.jsonl"
    assert complaint(path, b"\n\n" + line + b"\n").startswith(f"{path} line 3: {said}")


def test_a_file_that_is_not_there_or_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"rows.jsonl: no such file$"):
        next(read_responses(tmp_path / "rows.jsonl"))
    with pytest.raises(UserError, match=r": not a file$"):
        next(read_responses(tmp_path))
