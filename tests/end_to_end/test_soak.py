"""Twenty kills at random points of a run (`make soak`): it ends as one that nothing happens to."""

import random
import signal
import time
from pathlib import Path

import pytest
from tests.end_to_end.killing import Kill, read
from tests.end_to_end.resuming import CUT_OFF, assert_same, train

from cgpo.seeds import derived_seed
from cgpo.training.checkpoints.catalogue import newest_whole

KILLS = 20
STAGES = ("rollout", "judges", "update", "reference", "checkpoint")
LAST = 6
"""The updates after which the last checkpoint is made."""
ONE: tuple[str, ...] = ()
TWO = ("trainer=fsdp", "trainer.devices=2")


def next_kill(number: int, step: int, processes: int) -> Kill:
    """Up to 0.8 seconds into a stage of any process; the updates are spread over the run.

    Args:
        number: of kills before.
        step: updates done at the newest checkpoint.
        processes: of the run.
    """
    chance = random.Random(derived_seed(0, "soak", processes, number))
    stages = STAGES[:-1] if step >= LAST else STAGES
    update = max(step, number * (LAST + 1) // KILLS)
    stage = "checkpoint" if number % 4 == 3 and step < LAST else chance.choice(stages)
    update = min(update, LAST - 1) if stage == "checkpoint" else update
    return Kill(update, stage, round(chance.uniform(0.0, 0.8), 3), chance.randrange(processes), int(signal.SIGKILL))


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(("processes", "overrides"), [(1, ONE), (2, TWO)])
def test_twenty_kills(processes: int, overrides: tuple[str, ...], tmp_path: Path) -> None:
    done = train(tmp_path, "hydra.run.dir=whole", *overrides, kills=[])
    assert done.returncode == 0, done.stderr
    start = time.monotonic()
    resume = ("hydra.run.dir=killed", "trainer.resume=auto", *overrides)
    for number in range(KILLS):
        newest, _ = newest_whole(tmp_path / "killed" / "checkpoints")
        kill = next_kill(number, 0 if newest is None else newest.step, processes)
        killed = train(tmp_path, *resume, kills=[kill])
        print(f"{processes} process(es), kill {number + 1}: {kill}", flush=True)
        assert killed.returncode in CUT_OFF, killed.stderr
        assert read(tmp_path / "plan") == []
    done = train(tmp_path, *resume, kills=[])
    assert done.returncode == 0, done.stderr
    print(f"{processes} process(es): {KILLS} kills, {time.monotonic() - start:.0f} s")
    assert_same(tmp_path / "killed", tmp_path / "whole")
