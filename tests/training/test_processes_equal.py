"""Two updates by several processes come to those of one, to rounding: every optimizer, whole copies and pieces.

The tasks' batches are of 3, 1, 2 and 5 prompts, so that processes have different numbers of them, and some none.
"""

from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from tests.processes import together
from tests.training.steps_of_processes import ADAPTED, OPTIMIZERS, results

ALL = tuple(OPTIMIZERS)
CONSTRAINED = ("crpg", "codpo", "crraft")


@pytest.mark.parametrize(
    ("count", "strategy", "peers", "names"),
    [
        pytest.param(2, "ddp", 1, ALL, id="ddp-2"),
        pytest.param(4, "ddp", 1, (*CONSTRAINED, "lagrangian", "dpo"), id="ddp-4"),
        pytest.param(2, "fsdp", 1, (*ALL, f"{ADAPTED}crpg"), id="fsdp-2"),
        pytest.param(4, "fsdp", 1, CONSTRAINED, id="fsdp-4"),
        pytest.param(2, "fsdp", 2, ("crpg", "crraft"), id="fsdp_tp-2"),
        pytest.param(4, "fsdp", 2, ("crpg", "crraft"), id="fsdp_tp-4"),
    ],
)
def test_processes_come_to_the_weights_of_one(
    tmp_path: Path, count: int, strategy: str, peers: int, names: tuple[str, ...]
) -> None:
    together(count, "tests.training.steps_of_processes", strategy, str(peers), str(tmp_path), *names, folder=tmp_path)
    by_rank = [torch.load(tmp_path / f"found-by-{rank}.pt", weights_only=True) for rank in range(count)]
    for name in names:
        wanted = alone(name)
        size = wanted["moved"].norm()
        assert size > 0.1, f"{name} moves the weights"
        for found in by_rank:
            assert (found[name]["moved"] - wanted["moved"]).norm() < 1e-9 * size, name
            assert found[name]["multipliers"] == wanted["multipliers"], name
    if "lagrangian" in names:  # two updates of two steps, at each of which all is violated and a twentieth allowed
        assert alone("lagrangian")["multipliers"][2] == {"never": pytest.approx(4 * 0.7 * 0.95)}


@lru_cache
def alone(name: str) -> dict[str, Any]:
    """What one process comes to."""
    with TemporaryDirectory() as folder:
        return dict(results([name], 1, "single", 1, Path(folder)))[name]
