"""Runs that are killed, told to end, or find their checkpoints damaged, end as those that are not."""

import os
import re
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.end_to_end.killing import Kill
from tests.end_to_end.resuming import CUT_OFF, UPDATES, assert_same, metrics, samples, summary, train, until_done

pytestmark = pytest.mark.timeout(1200)
CHECKPOINTS = re.compile(r"goes on after update (\d+)")
CACHED = re.compile(r"cache_hit_rate$")
"""Each process has a cache of its own."""
TWO = ("trainer=ddp", "trainer.devices=2")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def whole(folder: Path) -> Path:
    """A run that nothing happens to."""
    done = train(folder, "hydra.run.dir=whole", kills=[])
    assert done.returncode == 0, done.stderr
    return folder / "whole"


@pytest.fixture(scope="module")
def cut_off(folder: Path, whole: Path) -> Path:
    """The same, killed in its seventh update, with a checkpoint after each before."""
    kept = ("callbacks.checkpoints.every=1", "callbacks.checkpoints.keep_last=9")
    done = train(folder, "hydra.run.dir=cut_off", *kept, kills=[Kill(6, "judges")])
    assert done.returncode == -signal.SIGKILL
    return folder / "cut_off"


@pytest.fixture
def again(cut_off: Path, request: pytest.FixtureRequest) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(cut_off, cut_off.with_name(request.node.name)))


def resumed_at(said: str) -> list[int]:
    return [int(step) for step in CHECKPOINTS.findall(said)]


def test_killed_on_the_way_it_ends_the_same(folder: Path, whole: Path) -> None:
    kills = [Kill(1, "rollout", 0.1), Kill(3, "update"), Kill(4, "checkpoint", 0.05), Kill(6, "judges")]
    attempts = until_done(folder, "hydra.run.dir=killed", kills=kills)
    assert [attempt.returncode for attempt in attempts] == [-signal.SIGKILL] * 4 + [0]
    assert_same(folder / "killed", whole)
    assert "no checkpoint: the run begins anew" in attempts[1].stdout
    assert resumed_at(attempts[2].stdout) == [3]
    assert resumed_at(attempts[3].stdout) in ([3], [4]), "the fourth's was half written, or just whole"
    assert resumed_at(attempts[4].stdout) == [6]
    assert not list((folder / "killed/checkpoints").glob("*.unfinished"))
    assert sorted(path.name for path in (folder / "killed/checkpoints").iterdir()) == ["step-00000004", "step-00000006"]


def test_told_to_end_it_saves_and_is_found_again(folder: Path, whole: Path) -> None:
    broadcast = train(folder, "trainer.resume=auto", kills=[Kill(4, "rollout", number=signal.SIGTERM)])
    assert broadcast.returncode == 128 + signal.SIGTERM, broadcast.stderr
    (run,) = (file.parent for file in (folder / "runs").glob("*/*/config.yaml"))
    end = f"SIGTERM: the run ends after 5 of {UPDATES} updates, saved in {run}/checkpoints"
    assert f"{end}\n" in broadcast.stdout
    assert "to go on: python -m cgpo.train " in broadcast.stdout
    assert "Traceback" not in broadcast.stdout + broadcast.stderr
    assert (run / "checkpoints/step-00000005").is_dir()

    # Newer ones: of another command, and one that has come to its end.
    other, ended = (Path(shutil.copytree(run, run.with_name(name))) for name in ("99-99-98", "99-99-99"))
    overrides = (other / ".hydra/overrides.yaml").read_text()
    (other / ".hydra/overrides.yaml").write_text(overrides.replace(f"updates={UPDATES}", "updates=9"))
    (ended / "summary.json").write_text("{}")
    for number, one in enumerate((run, other, ended)):
        os.utime(one, (number, number))

    done = train(folder, "trainer.resume=auto")
    assert done.returncode == 0, done.stderr
    assert resumed_at(done.stdout) == [5]
    assert_same(run, whole)


def test_of_damaged_checkpoints_the_newest_whole_one_is_taken(folder: Path, whole: Path, again: Path) -> None:
    found = {step: again / "checkpoints" / f"step-{step:08d}" for step in range(1, 7)}
    assert all(path.is_dir() for path in found.values())
    shutil.copytree(found[6], again / "checkpoints/step-00000007.unfinished")
    (pieces,) = (found[6] / "weights").glob("*.distcp")
    content = bytearray(pieces.read_bytes())
    content[len(content) // 2] ^= 1
    pieces.write_bytes(content)
    (pieces,) = (found[5] / "weights").glob("*.distcp")
    pieces.write_bytes(pieces.read_bytes()[:1000])
    (found[4] / "manifest.json").unlink()
    (found[3] / "manifest.json").write_text("no manifest")

    done = train(folder, f"trainer.resume={again}", kills=[])
    assert done.returncode == 0, done.stderr
    said = re.findall(r"checkpoint \S+/step-0000000(\d) is damaged \((.*?)\): it is passed over", done.stdout)
    assert [step for step, _ in said] == ["6", "5", "4", "3"]
    reasons = ["__0_0.distcp has changed", "1000 bytes instead of", "manifest.json is missing", "manifest.json has"]
    assert all(reason in why for reason, (_, why) in zip(reasons, said, strict=True)), said
    assert resumed_at(done.stdout) == [2]
    assert_same(again, whole)


@pytest.mark.parametrize(("key", "now", "then"), [("updates", 9, 8), ("seed", 1, 0)])
def test_another_configuration_is_refused(key: str, now: int, then: int, folder: Path, cut_off: Path) -> None:
    before = state_of(cut_off)
    done = train(folder, "hydra.run.dir=cut_off", "trainer.resume=auto", f"{key}={now}", kills=[])
    assert done.returncode == 1
    said = f"error: {key} is {now}, but the run in {cut_off} was begun with {then}: a run goes on as it was begun; "
    assert done.stderr.splitlines()[-1] == f"{said}leave out trainer.resume for a new one"
    assert state_of(cut_off) == before


def test_a_run_that_has_ended_is_left_alone(folder: Path, whole: Path) -> None:
    before = state_of(whole)
    done = train(folder, "hydra.run.dir=whole", "trainer.resume=auto", kills=[])
    assert done.returncode == 0, done.stderr
    assert "whole: this run has come to its end already" in done.stdout
    assert state_of(whole) == before


def state_of(run: Path) -> dict[str, bytes]:
    """What a run has written, without Hydra's notes of the command."""
    files = [file for file in run.rglob("*") if file.is_file() and ".hydra" not in file.parts]
    return {str(file.relative_to(run)): file.read_bytes() for file in files if file.suffix != ".log"}


@pytest.fixture(scope="module")
def whole_of_two(folder: Path, whole: Path) -> Path:
    """Two processes that nothing happens to."""
    done = train(folder, "hydra.run.dir=two", *TWO, kills=[])
    assert done.returncode == 0, done.stderr
    return folder / "two"


def near(one: Path, other: Path, most: float = 1e-5) -> None:
    """The weights differ by no more than rounding."""
    left, right = (load_file(run / "policy" / "model.safetensors") for run in (one, other))
    assert left.keys() == right.keys()
    for name, weight in left.items():
        torch.testing.assert_close(right[name], weight, rtol=0, atol=most)
    assert summary(one)["updates"] == summary(other)["updates"] == UPDATES
    assert keys(one) == keys(other)
    for left, right in zip(metrics(one), metrics(other), strict=True):
        numbers = [
            {name: float(cell) for name, cell in row.items() if not CACHED.search(name)} for row in (left, right)
        ]
        assert numbers[0] == pytest.approx(numbers[1], rel=1e-4, abs=1e-4)


def keys(run: Path) -> Sequence[tuple[int, str, str]]:
    """Which responses were logged when."""
    return sorted((row["step"], row["task"], row["response"]) for row in samples(run))


@pytest.mark.soak
def test_two_processes_of_which_one_or_their_supervisor_is_killed(folder: Path, whole_of_two: Path) -> None:
    kills = [Kill(3, "update", rank=1), Kill(5, "judges", parent=True)]
    attempts = until_done(folder, "hydra.run.dir=two_killed", *TWO, kills=kills)
    assert [attempt.returncode for attempt in attempts] == [128 + signal.SIGKILL, -signal.SIGKILL, 0]
    assert "error: process 1 of 2 was ended by SIGKILL" in attempts[0].stderr
    assert [resumed_at(attempt.stdout) for attempt in attempts[1:]] == [[3], [4]]
    assert_same(folder / "two_killed", whole_of_two)


@pytest.mark.soak
def test_what_two_began_one_ends(folder: Path, whole: Path, whole_of_two: Path) -> None:
    begun = train(folder, "hydra.run.dir=two_to_one", *TWO, kills=[Kill(5, "rollout", rank=1)])
    assert begun.returncode in CUT_OFF, begun.stderr
    done = train(folder, "hydra.run.dir=two_to_one", "trainer.resume=auto")
    assert done.returncode == 0, done.stderr
    assert resumed_at(done.stdout) == [4]
    near(folder / "two_to_one", whole)
    near(whole_of_two, whole)


@pytest.mark.soak
def test_what_one_began_two_end_in_pieces(folder: Path, whole: Path, again: Path) -> None:
    shutil.rmtree(again / "checkpoints/step-00000006")  # what was counted for the row of update 6 is in that of 5
    done = train(folder, f"hydra.run.dir={again}", "trainer.resume=auto", "trainer=fsdp", "trainer.devices=2", kills=[])
    assert done.returncode == 0, done.stderr
    assert resumed_at(done.stdout) == [5]
    near(again, whole)
