"""The file of verdicts: taken up where it was left, locked, never overwritten."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tests.judge_files.fakes import Says, read, row, without_seconds, write

from cgpo.errors import UserError
from cgpo.judge_files import judge_file
from cgpo.judge_files.output import state_path, summary_path
from cgpo.types import Sample, Verdict

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")])}
SETTINGS = {"judges": {"a": {"form": None, "limits": [1, 2]}}, "panel": {}}
SLOWLY = """
import sys
from tests.judge_files.fakes import Says
from cgpo.judge_files import judge_file
judge_file(sys.argv[1], sys.argv[2], {"a": Says("a", seconds=float(sys.argv[3]))}, settings={"s": 1}, chunk=5)
"""


def judge(source: Path, output: Path, **settings: object) -> None:
    judge_file(source, output, {"a": Says("a")}, settings={**SETTINGS, **settings}, chunk=2)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write(tmp_path / "rows.jsonl", [row(i, a="violated" if i % 3 else "satisfied") for i in range(8)])


@pytest.fixture
def half(source: Path, tmp_path: Path) -> Path:
    """A file of verdicts whose writing was cut off within its sixth line."""
    output = tmp_path / "half.jsonl"
    judge(source, output)
    lines = output.read_bytes().splitlines(keepends=True)
    output.write_bytes(b"".join(lines[:5]) + lines[5][:40])
    summary_path(output).unlink()
    state_path(output).write_text(json.dumps({"version": 1, "settings": SETTINGS}))
    return output


def refused(source: Path, output: Path, **settings: object) -> str:
    """What is said, once it is seen that nothing was touched."""
    before = {path: path.read_bytes() for path in output.parent.iterdir()}
    with pytest.raises(UserError) as caught:
        judge(source, output, **settings)
    assert {path: path.read_bytes() for path in output.parent.iterdir()} == before
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message


def test_the_incomplete_line_is_dropped_and_the_rest_is_judged(source: Path, half: Path, tmp_path: Path) -> None:
    asked: list[str] = []

    class Noting(Says):
        def judge(self, samples: Sequence[Sample]) -> list[Verdict]:
            asked.extend(sample.response for sample in samples)
            return super().judge(samples)

    judge_file(source, half, {"a": Noting("a")}, settings=SETTINGS)
    assert asked == ["r5", "r6", "r7"]
    judge(source, tmp_path / "whole.jsonl")
    assert without_seconds(half) == without_seconds(tmp_path / "whole.jsonl")
    counted = [json.loads(summary_path(path).read_text()) for path in (half, tmp_path / "whole.jsonl")]
    assert counted[0]["judges"]["a"]["outcomes"] == counted[1]["judges"]["a"]["outcomes"]
    assert not state_path(half).exists()


def test_a_finished_file_is_never_overwritten(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    judge(source, output)
    expected = f"{output} is finished (out.jsonl.summary.json lies beside it) and is never overwritten; choose another"
    assert refused(source, output).startswith(expected)
    output.unlink()
    assert refused(source, output).startswith(expected)


def test_a_file_of_something_else_is_not_touched(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "notes.txt"
    output.write_text("mine\n")
    assert refused(source, output) == (
        f"{output} exists already, and is not an unfinished file of verdicts; choose another output"
    )
    assert refused(source, source).startswith(f"{source} exists already")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"judges": {"a": {"form": "boxed", "limits": [1, 2]}}}, 'judges.a.form=null, not "boxed"'),
        ({"judges": {"a": {"form": None, "limits": [1, 3]}}}, "judges.a.limits=[1, 2], not [1, 3]"),
        ({"judges": {"b": {}}}, 'judges.a={"form": null, "limits": [1, 2]}, not null'),
        ({"panel": {"short_circuit": True}}, "panel.short_circuit=null, not true"),
        ({"more": 1}, "more=null, not 1"),
    ],
)
def test_other_settings_are_refused(source: Path, half: Path, settings: dict[str, object], said: str) -> None:
    assert refused(source, half, **settings) == (
        f"{half} was begun with {said}; finish it with the same settings, or choose another output"
    )


def test_a_file_of_another_version_is_refused(source: Path, half: Path) -> None:
    state_path(half).write_text(json.dumps({"version": 0, "settings": SETTINGS}))
    assert refused(source, half) == f"{half} was begun by another version of this program; choose another output"
    state_path(half).write_text("{")
    assert "half.jsonl.state.json cannot be read: " in refused(source, half)


def reworded(line: str) -> str:
    return line.replace("r2", "R2")


def with_a_field_less(line: str) -> str:
    return json.dumps({k: v for k, v in json.loads(line).items() if k != "label"}) + "\n"


@pytest.mark.parametrize("change", [reworded, with_a_field_less])
def test_a_changed_input_is_refused(source: Path, half: Path, change: Callable[[str], str]) -> None:
    lines = source.read_text().splitlines(keepends=True)
    source.write_text("".join([*lines[:2], change(lines[2]), *lines[3:]]))
    assert refused(source, half) == (
        f"{half} line 3 is not {source} line 3 with its verdicts: one of the two files was changed; restore it, or "
        "choose another output"
    )


def test_a_shorter_input_is_refused(source: Path, half: Path) -> None:
    write(source, [row(i, a="violated" if i % 3 else "satisfied") for i in range(3)])
    assert refused(source, half).startswith(f"{half} line 4 has no row in the input: one of the two files was changed")


@pytest.mark.parametrize("old", [b'"outcome":"violated"', b'"verdicts"', b'"seconds"', b"\n"])
def test_a_changed_output_is_refused(source: Path, half: Path, old: bytes) -> None:
    half.write_bytes(half.read_bytes().replace(old, old[:1] + b"?" + old[1:] if old != b"\n" else b"\n\n", 1))
    assert "is not " in refused(source, half)


def test_rows_that_were_not_judged_yet_may_change(source: Path, half: Path) -> None:
    rows = [row(i, a="violated" if i % 3 else "satisfied") for i in range(12)]
    write(source, [*rows[:5], row(50, a="undecided"), *rows[6:]])
    judge(source, half)
    assert [r["id"] for r in read(half)] == [0, 1, 2, 3, 4, 50, 6, 7, 8, 9, 10, 11]


def test_a_file_in_which_nothing_stands_yet_may_be_begun_with_other_settings(source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    output.touch()
    state_path(output).write_text(json.dumps({"version": 1, "settings": {"judges": {}}}))
    judge(source, output)
    assert len(read(output)) == 8


def test_what_is_no_file_is_no_output(source: Path, tmp_path: Path) -> None:
    for place in (tmp_path, Path("/dev/null")):
        with pytest.raises(UserError, match=f"^{place}: not a file that verdicts can be written to"):
            judge(source, place)


def test_a_disk_that_is_full_is_said_and_what_was_written_can_be_taken_up(slow: list[str], tmp_path: Path) -> None:
    limited = ["bash", "-c", 'ulimit -f 4; exec "$@"', "bash", *slow, "0"]
    done = subprocess.run(limited, env=ENVIRONMENT, cwd=ROOT, capture_output=True, text=True, timeout=60)
    output = tmp_path / "out.jsonl"
    assert done.stderr.splitlines()[-1] == f"cgpo.errors.UserError: {output}: cannot be written: File too large"
    assert output.stat().st_size <= 4096
    assert judge_file(tmp_path / "slow.jsonl", output, {"a": Says("a")}, settings={"s": 1})["rows"] == 60


@pytest.fixture
def slow(tmp_path: Path) -> list[str]:
    """A process that judges 60 rows, five at a time, with a pause each."""
    source = write(
        tmp_path / "slow.jsonl", [row(i, i % 2 == 0, a="violated" if i % 3 else "satisfied") for i in range(60)]
    )
    return [sys.executable, "-c", SLOWLY, str(source), str(tmp_path / "out.jsonl")]


def started(command: list[str], output: Path, lines: int) -> subprocess.Popen[bytes]:
    """The process, once it has written so many lines."""
    process = subprocess.Popen(command, env=ENVIRONMENT, cwd=ROOT, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not output.exists() or output.read_bytes().count(b"\n") < lines:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


def test_a_killed_process_is_taken_up_and_comes_to_the_same(slow: list[str], tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    process = started([*slow, "0.2"], output, 10)
    process.send_signal(signal.SIGKILL)
    process.wait()
    left = output.read_bytes()
    assert 10 <= left.count(b"\n") < 60
    with output.open("ab") as file:
        file.write(b'{"id": 17, "pro')  # what a kill within a write leaves

    found = judge_file(tmp_path / "slow.jsonl", output, {"a": Says("a")}, settings={"s": 1})
    assert output.read_bytes().startswith(left)
    whole = judge_file(tmp_path / "slow.jsonl", tmp_path / "whole.jsonl", {"a": Says("a")}, settings={"s": 1})
    assert without_seconds(output) == without_seconds(tmp_path / "whole.jsonl")
    for summary in (found, whole):
        del summary["output"], summary["judges"]["a"]["seconds"], summary["judges"]["a"]["seconds_per_row"]
    assert found == whole


def test_two_processes_do_not_write_one_file(slow: list[str], tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    process = started([*slow, "0.2"], output, 5)
    try:
        with pytest.raises(UserError, match=r"out.jsonl: another process is writing it; wait for it, or choose"):
            judge_file(tmp_path / "slow.jsonl", output, {"a": Says("a")}, settings={"s": 1})
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate()
    assert judge_file(tmp_path / "slow.jsonl", output, {"a": Says("a")}, settings={"s": 1})["rows"] == 60
