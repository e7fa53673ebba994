"""A file of rows from its first to its last: what is written, in which order, with how much memory."""

import json
import tracemalloc
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console
from tests.judge_files.fakes import Says, read, row, without_seconds, write

from cgpo.errors import UserError
from cgpo.judge_files import judge_file, judge_rows
from cgpo.judge_files.output import state_path, summary_path
from cgpo.progress import shown_on
from cgpo.terminal import Terminal
from cgpo.types import Prompt, Sample, Verdict

JUDGES = {"a": Says("a"), "b": Says("b")}


def test_every_row_in_order_with_its_fields_and_verdicts(tmp_path: Path) -> None:
    rows = [row(1, True, a="satisfied", b="satisfied"), row(2, a="violated", b="undecided"), row(3, a="undecided")]
    output = tmp_path / "new/folder/verdicts.jsonl"
    judge_file(write(tmp_path / "rows.jsonl", rows), output, JUDGES)
    found = without_seconds(output)
    assert [{k: v for k, v in r.items() if k not in ("verdicts", "satisfied")} for r in found] == rows
    assert [r["satisfied"] for r in found] == [True, False, None]
    assert found[1]["verdicts"] == {
        "a": {"outcome": "violated", "reason": "r2"},
        "b": {"outcome": "undecided", "reason": "r2"},
    }
    assert not state_path(output).exists()


def test_the_rows_bytes_are_kept(tmp_path: Path) -> None:
    line = '{"prompt":"é\\u00e9", "response":"r" ,"big":123456789012345678901234567890, "x":1.0e0, "x":2 }'
    (tmp_path / "rows.jsonl").write_text(line + "\r\n")
    judge_file(tmp_path / "rows.jsonl", tmp_path / "out.jsonl", {})
    assert (tmp_path / "out.jsonl").read_text() == line[:-1] + ',"verdicts":{},"satisfied":true}\n'


def test_a_rows_seconds_are_its_share_of_the_call(tmp_path: Path) -> None:
    rows = [row(i, a="satisfied") for i in range(4)]
    output = tmp_path / "out.jsonl"
    found = judge_file(write(tmp_path / "rows.jsonl", rows), output, {"a": Says("a", seconds=0.02)}, chunk=4)
    shares = [r["verdicts"]["a"]["seconds"] for r in read(output)]
    assert len(set(shares)) == 1
    assert found["judges"]["a"]["seconds"] == pytest.approx(sum(shares))
    assert found["judges"]["a"]["seconds"] >= 0.02


@pytest.mark.parametrize("chunk", [2, 7, 100])
def test_the_size_of_a_chunk_changes_nothing(tmp_path: Path, chunk: int) -> None:
    rows = [row(i, i % 3 == 0, a=("satisfied", "violated", "undecided")[i % 3]) for i in range(11)]
    source = write(tmp_path / "rows.jsonl", rows)
    for name, size in (("one", 1), ("other", chunk)):
        judge_file(source, tmp_path / name, JUDGES, chunk=size)
    assert without_seconds(tmp_path / "one") == without_seconds(tmp_path / "other")


class Never(Says):
    """Must not be asked."""

    def judge(self, samples: Sequence[Sample]) -> list[Verdict]:
        raise UserError(f"{len(samples)} rows were judged")


class Late(Says):
    """Finds out what is wrong with a row only when it judges it."""

    def judge(self, samples: Sequence[Sample]) -> list[Verdict]:
        for sample in samples:
            super().check_prompt(sample.prompt)
        return super().judge(samples)

    def check_prompt(self, prompt: Prompt) -> None:
        pass


def test_a_wrong_row_is_found_before_anything_is_judged(tmp_path: Path) -> None:
    rows = [*(row(i, a="satisfied") for i in range(300)), row(300, a="nonsense")]
    source = write(tmp_path / "rows.jsonl", rows)
    with pytest.raises(UserError, match=r"rows.jsonl line 301: metadata 'a' is 'nonsense'"):
        judge_file(source, tmp_path / "out.jsonl", {"a": Never("a")}, chunk=10)
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]


def test_a_row_that_only_its_judge_finds_wrong_stops_the_run_and_keeps_what_was_written(tmp_path: Path) -> None:
    rows = [row(i, a="nonsense" if i == 7 else "satisfied") for i in range(10)]
    source, output = write(tmp_path / "rows.jsonl", rows), tmp_path / "out.jsonl"
    with pytest.raises(UserError, match=r"rows.jsonl line 8: metadata"):
        judge_file(source, output, {"a": Late("a")}, chunk=2)
    assert [r["id"] for r in read(output)] == [0, 1, 2, 3, 4, 5]
    rows[7] = row(7, a="violated")
    write(source, rows)
    found = judge_file(source, output, {"a": Late("a")}, chunk=2)
    assert [r["satisfied"] for r in read(output)] == [i != 7 for i in range(10)]
    assert found["rows"] == 10


def test_an_empty_file_is_no_input(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("\n\n")
    with pytest.raises(UserError, match=r"rows.jsonl: there are no rows in it"):
        judge_file(tmp_path / "rows.jsonl", tmp_path / "out.jsonl", JUDGES)


def peaks(tmp_path: Path, rows: int) -> list[int]:
    """The most memory of judging rows of two thousand characters each, and of reading the verdicts again."""
    source, output = tmp_path / f"{rows}.jsonl", tmp_path / f"{rows}.verdicts.jsonl"
    with source.open("w") as file:
        for i in range(rows):
            file.write(json.dumps({**row(i, i % 2 == 0, a="satisfied"), "response": f"{i} " + "x" * 2000}) + "\n")
    found = []
    for _ in range(2):
        tracemalloc.start()
        judge_file(source, output, JUDGES, chunk=50, settings={"s": 1})
        found.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        unfinished(output)
    return found


def unfinished(output: Path) -> None:
    """Makes a finished file look like one whose process was killed before its end."""
    summary_path(output).unlink()
    state_path(output).write_text(json.dumps({"version": 1, "settings": {"s": 1}}))


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    few, many = peaks(tmp_path, 400), peaks(tmp_path, 6000)
    assert (tmp_path / "6000.jsonl").stat().st_size > 12_000_000
    for some, more in zip(few, many, strict=True):
        assert more < some + 300_000
        assert more < 3_000_000


def test_a_terminal_sees_how_far_it_is_and_nobody_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path / "rows.jsonl", [row(i, a="satisfied") for i in range(6)])
    judge_file(source, tmp_path / "quiet.jsonl", JUDGES)
    assert capsys.readouterr() == ("", "")
    shown = StringIO()
    with shown_on(Terminal(Console(file=shown, force_terminal=True, width=80))):
        judge_file(source, tmp_path / "shown.jsonl", JUDGES, chunk=2)
    assert capsys.readouterr() == ("", "")
    assert "judging rows.jsonl" in shown.getvalue()
    assert "0/6" in shown.getvalue()


def test_rows_in_memory() -> None:
    rows = ({**row(i, a="violated" if i == 1 else "satisfied"), "extra": i} for i in range(3))
    found = list(judge_rows(rows, {"a": Says("a")}, chunk=2))
    assert [r["satisfied"] for r in found] == [True, False, True]
    assert [r["extra"] for r in found] == [0, 1, 2]
    assert found[1]["verdicts"]["a"]["reason"] == "r1"
    with pytest.raises(UserError, match="row 2: no field 'response'"):
        list(judge_rows([row(1), {"prompt": "p"}], {"a": Says("a")}))


OTHER = st.text(min_size=1).filter(lambda name: name not in ("verdicts", "satisfied"))
VALUE = st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.lists(st.text(), max_size=2))
ROW = st.tuples(st.dictionaries(OTHER, VALUE, max_size=4), st.text(), st.text())


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ROW, min_size=1, max_size=6), st.integers(0, 100))
def test_whatever_a_row_holds_is_kept_and_any_part_of_the_output_can_be_taken_up(
    tmp_path: Path, drawn: list[tuple[dict[str, Any], str, str]], share: int
) -> None:
    rows = [{**other, "prompt": p, "response": r, "metadata": {}, "label": None} for other, p, r in drawn]
    for path in tmp_path.iterdir():
        path.unlink()
    source, output = write(tmp_path / "rows.jsonl", rows), tmp_path / "out.jsonl"
    judge_file(source, output, {"a": Says("a")}, settings={"s": 1}, chunk=2)
    whole = without_seconds(output)
    assert [{name: r[name] for name in rows[i]} for i, r in enumerate(whole)] == rows

    content = output.read_bytes()
    output.write_bytes(content[: len(content) * share // 100])
    unfinished(output)
    found = judge_file(source, output, {"a": Says("a")}, settings={"s": 1}, chunk=2)
    assert without_seconds(output) == whole
    assert found["rows"] == len(rows)
