import gzip
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from cgpo.data.files import optional_module, read_rows
from cgpo.errors import UserError


def written(folder: Path, name: str, content: str | bytes) -> Path:
    file = folder / "set" / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file


def test_jsonl_counts_blank_lines_but_leaves_them_out(tmp_path: Path) -> None:
    file = written(tmp_path, "a.jsonl", '\ufeff{"q": "one"}\r\n\r\n   \n{"q": "two\\r\\nlines\\r"}')
    rows = list(read_rows(file))
    assert [dict(row.fields) for row in rows] == [{"q": "one"}, {"q": "two\nlines\n"}]
    assert [row.key for row in rows] == ["set/a.jsonl:1", "set/a.jsonl:4"]
    assert rows[1].location == f"{file} line 4"


def test_a_line_separator_inside_a_text_ends_no_line(tmp_path: Path) -> None:
    rows = list(read_rows(written(tmp_path, "a.jsonl", '{"q": "one\u2028two\x85three"}\n')))
    assert [row.fields["q"] for row in rows] == ["one\u2028two\x85three"]


def test_json_is_a_list_of_objects(tmp_path: Path) -> None:
    rows = list(read_rows(written(tmp_path, "a.json", '[{"q": ["x\\r\\n", 1]}, {"q": null}]')))
    assert [dict(row.fields) for row in rows] == [{"q": ["x\n", 1]}, {"q": None}]
    assert rows[1].key == "set/a.json:2"


def test_csv_names_the_line_where_a_record_starts(tmp_path: Path) -> None:
    rows = list(read_rows(written(tmp_path, "a.csv", '\ufeffq,label\r\n"two\r\nlines",safe\r\n\r\nlast,unsafe\r\n')))
    assert [dict(row.fields) for row in rows] == [
        {"q": "two\nlines", "label": "safe"},
        {"q": "last", "label": "unsafe"},
    ]
    assert [row.number for row in rows] == [2, 5]


def test_compressed_files_are_read_as_they_are(tmp_path: Path) -> None:
    rows = list(read_rows(written(tmp_path, "a.jsonl.gz", gzip.compress(b'{"q": "one"}\n'))))
    assert [(row.key, row.fields["q"]) for row in rows] == [("set/a.jsonl.gz:1", "one")]


def test_parquet_rows(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    table = pyarrow.Table.from_pylist([{"q": "one\r\n", "kwargs": [{"n": 1}]}, {"q": "two", "kwargs": [{"m": 2}]}])
    pyarrow.parquet.write_table(table, file)
    rows = list(read_rows(file))
    assert [row.fields["q"] for row in rows] == ["one\n", "two"]
    assert rows[1].location == f"{file} row 2"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"q": 1}\n{"q": \n', "a.jsonl line 2: not JSON"),
        ("a.jsonl", '{"q": 1}\n[1]\n', "a.jsonl line 2: expected an object with named fields, found list [1]"),
        ("a.jsonl", b'{"q": "\xff"}\n', "a.jsonl line 1: not JSON: str is not valid UTF-8"),
        ("a.json", '{"q": 1}', "a.json: expected a list of objects, found dict"),
        ("a.json", '{"q": 1}\n{"q": 2}', "is to be named .jsonl"),
        ("a.json", '[{"q": 1},\n{"q"]', "a.json line 2: not JSON"),
        ("a.csv", "q,label\none\n", "a.csv line 2: 1 fields where the header has 2: q, label"),
        ("a.csv", "q,q\n", "a.csv line 1: a column name stands twice: q, q"),
        ("a.csv", 'q,label\none,two\n"open,x\n', "a.csv line 3: not CSV"),
        ("a.csv", b"q\none\n\xe9\n", "a.csv line 3: not UTF-8: byte 0xe9"),
        ("a.jsonl.gz", "plain", "a.jsonl.gz: cannot be read: Not a gzipped file"),
        ("a.parquet", "plain text", "a.parquet: cannot be read as Parquet"),
        ("a.txt", "x", "a.txt: not a format that can be read (.jsonl, .json, .csv (each also as .gz) or .parquet)"),
    ],
)
def test_complaints_name_the_place(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    file = written(tmp_path, name, content)
    with pytest.raises(UserError) as raised:
        list(read_rows(file))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_missing_file() -> None:
    with pytest.raises(UserError, match=r"nowhere/a\.jsonl: no such file"):
        list(read_rows("nowhere/a.jsonl"))


def test_a_missing_module_is_named_with_the_extra_that_brings_it() -> None:
    with pytest.raises(UserError, match=r"reading x needs no_such_module: pip install 'cgpo\[data\]'"):
        optional_module("no_such_module.part", "reading x")


def test_a_folder_as_a_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("datasets", reason="the extra cgpo[data] is not installed")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "train.jsonl").write_text('{"q": "one"}\n{"q": "two"}\n')
    rows = list(read_rows(tmp_path, split="train"))
    assert [(row.key, row.fields["q"]) for row in rows] == [
        (f"{tmp_path}/train:1", "one"),
        (f"{tmp_path}/train:2", "two"),
    ]
    with pytest.raises(UserError, match="split 'test'"):
        list(read_rows(tmp_path, split="test"))
