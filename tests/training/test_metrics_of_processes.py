"""Metrics add up over processes: each has samples of its own, and of some things none."""

import json
from pathlib import Path

import pytest
from tests.processes import together

MODULE = "tests.training.metrics_of_processes"


def test_rates_are_of_the_samples_of_all_processes(tmp_path: Path) -> None:
    together(2, MODULE, str(tmp_path), "rates", folder=tmp_path)
    rows = [json.loads((tmp_path / f"rows-of-{rank}.json").read_text()) for rank in range(2)]
    assert rows[0] == rows[1]
    (found,) = rows[0]
    assert found["judges/chat/a/violation_rate"] == pytest.approx(2 / 3)
    assert found["judges/chat/a/not_applicable_rate"] == 0.25
    assert found["judges/chat/b/violation_rate"] == 0.5
    assert found["judges/chat/a/cache_hit_rate"] == 0.25
    assert found["judges/chat/a/seconds"] == 2.0, "of one process, on average"
    assert found["judges/chat/agreement/a_b"] == pytest.approx(2 / 3)


def test_processes_that_count_different_things_are_told_which(tmp_path: Path) -> None:
    for failed in together(2, MODULE, str(tmp_path), "differing", folder=tmp_path, status=1):
        assert (
            "AssertionError: processes count different metrics; those that not all have, by rank: "
            "{0: ['seconds of the first'], 1: ['seconds of the second']}"
        ) in failed.stderr
