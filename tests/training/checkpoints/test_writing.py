"""A checkpoint that cannot be written leaves the run and its other checkpoints as they are."""

import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from tests.policy.tiny import prompt
from tests.processes import run
from tests.tasks.fakes import RuleJudge, always, expert
from tests.training.checkpoints.training import UPDATES, CutOff, CutOffError, assert_same, module, train

from cgpo.distributed.process_group import ALONE
from cgpo.training.callbacks import Checkpoints, Evaluator
from cgpo.training.checkpoints.catalogue import checkpoints
from cgpo.training.checkpoints.writing import write_checkpoint
from cgpo.training.preemption import PreemptedError


class Told(Callback):
    """Sends SIGTERM as an update begins."""

    def __init__(self, update: int) -> None:
        self.update = update

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if pl_module.global_step == self.update:
            os.kill(os.getpid(), signal.SIGTERM)


LIMITED = """
import resource, sys
from pathlib import Path
import torch
from cgpo.distributed.process_group import ALONE
from cgpo.training.checkpoints.writing import write_checkpoint

root, small = Path(sys.argv[1]), {"weight.w": torch.zeros(10)}
assert write_checkpoint(root, 1, small, {}, ALONE) is None
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
print(write_checkpoint(root, 2, {"weight.w": torch.zeros(100_000)}, {}, ALONE))
print(write_checkpoint(root, 2, small, {"verdicts": torch.zeros(100_000)}, ALONE))
print(write_checkpoint(root, 3, small, {}, ALONE))
"""


def test_a_file_that_grows_too_large(tmp_path: Path) -> None:
    done = run("-c", LIMITED, str(tmp_path))
    assert done.returncode == 0, done.stderr
    of_weights, of_state, last = done.stdout.splitlines()
    assert "File too large" in of_weights
    assert "File too large" in of_state
    assert last == "None"
    assert [found.step for found in checkpoints(tmp_path)] == [3, 1]
    assert all(found.damage() is None for found in checkpoints(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000001", "step-00000003"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_full_disk(tmp_path: Path) -> None:
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)], capture_output=True)
    if mounted.returncode:
        pytest.skip("no small disk can be mounted here")
    try:
        assert write_checkpoint(tmp_path, 1, {"weight.w": torch.zeros(10)}, {}, ALONE) is None
        problem = write_checkpoint(tmp_path, 2, {"weight.w": torch.zeros(1_000_000)}, {}, ALONE)
        assert problem is not None
        assert "No space left on device" in problem
        assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]
        assert write_checkpoint(tmp_path, 3, {"weight.w": torch.zeros(10)}, {}, ALONE) is None
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_training_goes_on_without_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "checkpoints").write_text("a file is in the way")
    keeper = Checkpoints(str(tmp_path / "checkpoints"), every=2)
    resumed = train(module([expert()]), keeper)
    assert resumed.global_step == UPDATES
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("no checkpoint")]
    assert [line.split(": ")[0] for line in said] == ["no checkpoint after update 2", "no checkpoint after update 4"]
    assert all(line.endswith("; those of before are kept") for line in said)
    assert_same(resumed, train(module([expert()]), None))


def test_what_was_left_unfinished_is_written_anew(tmp_path: Path) -> None:
    left = tmp_path / "step-00000002.unfinished"
    left.mkdir()
    (left / "half").write_text("of a file")
    assert write_checkpoint(tmp_path, 2, {"weight.w": torch.zeros(3)}, {}, ALONE) is None
    (found,) = checkpoints(tmp_path)
    assert "half" not in found.files
    assert found.damage() is None
    assert not left.exists()


def test_one_of_the_same_step_is_replaced(tmp_path: Path) -> None:
    for score in (0.1, 0.2):
        assert write_checkpoint(tmp_path, 2, {"weight.w": torch.zeros(3)}, {}, ALONE, score) is None
    assert [found.score for found in checkpoints(tmp_path)] == [0.2]


def test_sigterm_belongs_to_whom_it_did_before(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    train(module([expert()]), Checkpoints(str(tmp_path), every=2))
    assert signal.getsignal(signal.SIGTERM) is before
    with pytest.raises(CutOffError):
        train(module([expert()]), Checkpoints(str(tmp_path), every=2), CutOff(3))
    assert signal.getsignal(signal.SIGTERM) is before


def test_sigterm_ends_the_run_at_the_end_of_an_update_and_saves(tmp_path: Path) -> None:
    with pytest.raises(PreemptedError) as ended:
        train(module([expert()]), Checkpoints(str(tmp_path), every=5), Told(2))
    assert str(ended.value) == f"SIGTERM: the run ends after 3 of {UPDATES} updates, saved in {tmp_path}"
    assert [found.step for found in checkpoints(tmp_path)] == [3]


@pytest.mark.parametrize("gold", [None, RuleJudge(always)])
def test_one_at_each_evaluation_whether_or_not_that_knows_how_good_the_policy_is(gold: Any, tmp_path: Path) -> None:
    held_out = tuple(prompt(5 + i) for i in range(4))
    evaluator = Evaluator(prompts=4, prompts_during=4, every=3)
    train(module([expert(held_out=held_out, gold=gold)]), Checkpoints(str(tmp_path), every=4), evaluator)
    found = {each.step: each.score for each in checkpoints(tmp_path)}
    assert found == {4: None, 3: None if gold is None else 1.0}


def test_the_logs_of_a_run_whose_checkpoints_lie_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/samples.jsonl").write_text("{}\n")
    train(module([expert()]), Checkpoints(str(tmp_path / "far/away"), every=4, logs=str(tmp_path / "run")))
    (found,) = checkpoints(tmp_path / "far/away")
    assert found.logs["samples.jsonl"] == 3


def test_no_more_checkpoints_than_the_policy_keeps(tmp_path: Path) -> None:
    train(module([expert()]), Checkpoints(str(tmp_path), every=1, keep_last=2, keep_best=0))
    assert [found.step for found in checkpoints(tmp_path)] == [5, 4], "none after the last update"
