"""Twenty kills at random points of a run (`make soak`): it ends as one that nothing happens to."""

import random
import time
from collections import Counter
from pathlib import Path

import pytest
from tests.end_to_end.killing import Kill
from tests.end_to_end.resuming import assert_same, train, until_done

from cgpo.seeds import derived_seed

KILLS = 20
STAGES = ("rollout", "judges", "update", "reference", "checkpoint")
ONE: tuple[str, ...] = ()
TWO = ("trainer=fsdp", "trainer.devices=2")


def kills(seed: int, processes: int) -> list[Kill]:
    """At any update and stage, up to 0.8 seconds into it, of any process; every stage as often as the others."""
    chance = random.Random(derived_seed(seed, "soak", processes))
    stages = [stage for stage in STAGES for _ in range(KILLS // len(STAGES))]
    chance.shuffle(stages)
    updates = sorted(chance.randrange(7) for _ in stages)
    return [
        Kill(update, stage, round(chance.uniform(0.0, 0.8), 3), chance.randrange(processes))
        for update, stage in zip(updates, stages, strict=True)
    ]


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize(("processes", "overrides"), [(1, ONE), (2, TWO)])
def test_twenty_kills(processes: int, overrides: tuple[str, ...], tmp_path: Path) -> None:
    done = train(tmp_path, "hydra.run.dir=whole", *overrides, kills=[])
    assert done.returncode == 0, done.stderr
    planned = kills(0, processes)
    start = time.monotonic()
    attempts = until_done(tmp_path, "hydra.run.dir=killed", *overrides, kills=planned)
    said = ", ".join(f"{count} in {stage}" for stage, count in Counter(kill.stage for kill in planned).items())
    print(f"\n{processes} process(es): {len(attempts) - 1} kills ({said}), {time.monotonic() - start:.0f} s")
    assert len(attempts) == KILLS + 1
    assert_same(tmp_path / "killed", tmp_path / "whole")
