"""Two processes that have it unequally hard neither stand still nor come to other results than one."""

import json
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from tests.processes import together
from tests.training.cases_of_processes import result
from tests.training.uneven import CASES, UPDATES

MODULE = "tests.training.cases_of_processes"


@pytest.fixture(scope="module", params=["ddp", "fsdp"])
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all cases, run by two processes."""
    folder = tmp_path_factory.mktemp(request.param)
    together(2, MODULE, request.param, "1", str(folder), folder=folder)
    return folder


@lru_cache
def alone(case: str) -> dict[str, Any]:
    """What one process comes to, with what it wrote."""
    with TemporaryDirectory() as name:
        found = result(case, 1, "single", 1, Path(name), first=True)
        return {**found, "samples": lines(Path(name), case, "samples"), "alarms": lines(Path(name), case, "alarms")}


def lines(folder: Path, case: str, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / case / f"{name}.jsonl").read_text().splitlines()]


def by_rank(folder: Path, case: str) -> list[dict[str, Any]]:
    return [torch.load(folder / f"found-by-{rank}.pt", weights_only=True)[case] for rank in range(2)]


def numbers(rows: list[Any]) -> list[tuple[int, dict[str, float]]]:
    """Rows of metrics without those that are seconds."""
    kept = [(s, {n: v for n, v in row.items() if "time/" not in n and "seconds" not in n}) for s, row in rows]
    return [(step, row) for step, row in kept if row]


def assert_same_rows(found: list[Any], wanted: list[Any]) -> None:
    found, wanted = numbers(found), numbers(wanted)
    assert [step for step, _ in found] == [step for step, _ in wanted]
    for (_, row), (_, other) in zip(found, wanted, strict=True):
        assert row == pytest.approx(other, rel=1e-5, abs=1e-7)


def near(value: Any) -> Any:
    return value if value is None or isinstance(value, str) else pytest.approx(value, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_weights_and_evaluations_are_those_of_one_process(ran: Path, case: str) -> None:
    wanted = alone(case)
    size = wanted["moved"].norm()
    assert (size == 0) == (case == "no_number")
    for found in by_rank(ran, case):
        assert found["updates"] == wanted["updates"] == (1 if case == "alarm" else UPDATES)
        assert (found["moved"] - wanted["moved"]).norm() <= 1e-9 * size
        assert found["evaluations"].keys() == {"chat", "math", "safety"}
        for task, labelled in wanted["evaluations"].items():
            assert labelled.keys() == {"before", "during", "after"}
            for label, of in labelled.items():
                assert found["evaluations"][task][label] == {name: near(value) for name, value in of.items()}


@pytest.mark.parametrize("case", CASES)
def test_metrics_are_of_all_samples(ran: Path, case: str) -> None:
    first, second = by_rank(ran, case)
    assert len(numbers(first["rows"])) > 4
    assert_same_rows(first["rows"], alone(case)["rows"])
    assert second["rows"] == []


def test_the_cases_are_what_they_are_called(ran: Path) -> None:
    """Of the numbers of the second update."""
    rows = {case: dict(pair for _, row in by_rank(ran, case)[0]["rows"] for pair in row.items()) for case in CASES}
    assert rows["violated"]["judges/math/near/violation_rate"] == 0.5
    assert rows["undecided"]["judges/math/near/undecided_rate"] == 0.5
    assert rows["undecided"]["judges/math/satisfied_rate"] == 1.0
    assert rows["long_responses"]["train/math/length"] > 4
    assert rows["usual"]["train/math/kl"] > 1e-6


def test_a_number_that_is_missing_at_one_process_stops_the_update_of_all(ran: Path) -> None:
    problem = "the reward is not finite in 6 of 12 places"
    for found in by_rank(ran, "no_number"):
        assert found["skipped"] == [(update, {"math": problem}) for update in (1, 2)]
        assert not found["moved"].any()
    assert by_rank(ran, "usual")[1]["skipped"] == []


@pytest.mark.parametrize("case", ["usual", "violated"])
def test_the_first_process_alone_writes_samples(ran: Path, case: str) -> None:
    """Of evaluations those that one process writes; of training its own part, 2, 2 and 0 prompts of the tasks."""
    found, wanted = lines(ran, case, "samples"), alone(case)["samples"]
    held_out = [row for row in found if row["split"] == "held_out"]
    assert len(held_out) == 3 * 3 * 4
    for row, other in zip(held_out, [row for row in wanted if row["split"] == "held_out"], strict=True):
        assert row == {name: pytest.approx(v, rel=1e-5) if isinstance(v, float) else v for name, v in other.items()}
    trained = [(row["step"], row["task"], row["key"], row["response"]) for row in found if row["split"] == "train"]
    by_one = [(row["step"], row["task"], row["key"], row["response"]) for row in wanted if row["split"] == "train"]
    assert len(by_one) == UPDATES * 3 * (3 + 4 + 1)
    assert len(trained) == UPDATES * 3 * (2 + 2 + 0)
    assert set(trained) <= set(by_one)


def test_an_alarm_stops_both_processes_and_is_written_once(ran: Path) -> None:
    """At the evaluation after the first update, and at the one at the end, which is at the same update."""
    found, wanted = lines(ran, "alarm", "alarms"), alone("alarm")["alarms"]
    assert [(row["task"], row["signal"], row["step"]) for row in found] == 2 * [("math", "gold", 1)]
    assert [row["message"] for row in found] == [row["message"] for row in wanted]
    assert lines(ran, "usual", "alarms") == []


def test_tensor_parallel_peers_have_the_same_samples_and_count_them_once(tmp_path: Path) -> None:
    cases = ("usual", "undecided")
    together(2, MODULE, "fsdp", "2", str(tmp_path), *cases, folder=tmp_path)
    for case in cases:
        first, second = by_rank(tmp_path, case)
        assert_same_rows(first["rows"], alone(case)["rows"])
        assert (
            first["evaluations"]["math"]["after"]["success"] == alone(case)["evaluations"]["math"]["after"]["success"]
        )
        assert torch.equal(first["moved"], second["moved"])
        assert len(lines(tmp_path, case, "samples")) == len(alone(case)["samples"])
