"""Judging responses from Python."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.api.parts import Even, Short

import cgpo

ROWS = [
    {"prompt": "2 + 3?", "response": "The final answer is 5", "metadata": {"answer": "5"}, "label": True, "kept": [1]},
    {"prompt": "2 + 2?", "response": "The final answer is 5", "metadata": {"answer": "4"}},
]


def written(folder: Path) -> Path:
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return file


def test_rows_in_memory() -> None:
    found = cgpo.judge(ROWS, [cgpo.MathJudge()])
    assert [row["satisfied"] for row in found.rows] == [True, False]
    assert found.rows[0]["kept"] == [1]
    assert found.rows[1]["verdicts"]["math"]["reason"] == "answer 5, expected 4"
    assert found["rows"] == 2
    assert found["judges"]["math"]["against_labels"]["true_negatives"] == 1
    assert "1 (50.0 %)" in str(found)
    html = found._repr_html_()  # pyright: ignore[reportPrivateUsage]
    assert "verdicts on 2 rows" in html
    assert "<th" in html


def test_a_file_in_memory_and_into_a_file(tmp_path: Path) -> None:
    source = written(tmp_path)
    in_memory = cgpo.judge(source, {"m": cgpo.MathJudge()})
    filed = cgpo.judge(source, {"m": cgpo.MathJudge()}, tmp_path / "out.jsonl")
    of_rows = cgpo.judge(ROWS, {"m": cgpo.MathJudge()}, tmp_path / "of_rows.jsonl")
    outcomes = [[row["satisfied"] for row in found.rows] for found in (in_memory, filed, of_rows)]
    assert outcomes == [[True, False]] * 3
    assert json.loads((tmp_path / "out.jsonl.summary.json").read_text())["rows"] == 2
    lines = [json.loads(line) for line in (tmp_path / "of_rows.jsonl").read_text().splitlines()]
    assert lines == of_rows.rows
    with pytest.raises(cgpo.UserError, match=r"is finished .* and is never overwritten"):
        cgpo.judge(ROWS, {"m": cgpo.MathJudge()}, tmp_path / "of_rows.jsonl")


class Breaks(Even):
    """Is interrupted at its second chunk."""

    def __init__(self, calls: int) -> None:
        self.calls = calls

    def judge(self, samples: Any) -> list[cgpo.Verdict]:
        self.calls -= 1
        if self.calls < 0:
            raise cgpo.UserError("the power is gone")
        return super().judge(samples)


def test_an_unfinished_output_is_taken_up(tmp_path: Path) -> None:
    rows = [{"prompt": "p", "response": "w4 " * n} for n in range(1, 5)]
    with pytest.raises(cgpo.UserError, match="the power is gone"):
        cgpo.judge(rows, {"even": Breaks(1)}, tmp_path / "out.jsonl", chunk=2)
    found = cgpo.judge(rows, {"even": Breaks(9)}, tmp_path / "out.jsonl", chunk=2)
    assert [row["satisfied"] for row in found.rows] == [False, True, False, True]
    assert found["judges"]["even"]["outcomes"]["satisfied"]["rows"] == 2


def test_several_judges_agree_or_not() -> None:
    rows = [{"prompt": "p", "response": "w4 " * n} for n in range(1, 7)]
    found = cgpo.judge(rows, [Even(), Short()])
    assert [row["satisfied"] for row in found.rows] == [False, True, False, True, False, False]
    assert found["agreement"][0]["judges"] == ["even", "short"]
    assert str(found).count("agreement between judges") == 1


def test_a_panel_of_ones_own() -> None:
    found = cgpo.judge(ROWS, Even(), panel=lambda judges: cgpo.Panel(judges, max_calls=None, short_circuit=True))
    assert len(found.rows) == 2


@pytest.mark.parametrize(
    ("rows", "judges", "message"),
    [
        ([], [Even()], r"judge\.rows: there are no rows"),
        (ROWS, [], r"judge\.judges: give at least one judge"),
        (ROWS, [Even], r"judge\.judges\[0\]: Even is the class of a judge"),
        ([3], [Even()], r"judge\.rows: row 1 is 3"),
        ([{"prompt": "p"}], [Even()], "row 1: no field 'response'"),
        ([{"prompt": "p", "response": "r", "label": "yes"}], [Even()], "row 1: field 'label' must be true"),
        ([{"prompt": "p", "response": "r", "set": {1}}], [Even()], "row 1: it cannot be written as JSON"),
        ([{"prompt": "p", "response": "r", "metadata": {"answer": []}}], [cgpo.MathJudge()], "row row 1|row 1"),
        ("none.jsonl", [Even()], "none.jsonl: no such file"),
    ],
)
def test_what_is_wrong_is_said(rows: Any, judges: Any, message: str) -> None:
    with pytest.raises(cgpo.UserError, match=message):
        cgpo.judge(rows, judges)
