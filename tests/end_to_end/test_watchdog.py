"""A run with a judge of the user's own that stalls: it is named, given up, and the run ends well."""

import csv
import json
import re
from pathlib import Path

from tests.end_to_end.tiny import cgpo

from cgpo.stages.suite import SuitePolicy

JUDGE = '''
import time

from cgpo.judges import Judge
from cgpo.types import Outcome, Verdict


class Sleepy(Judge):
    """Falls asleep for good at the second sample of its fourth batch: the responses of the second update."""

    def __init__(self):
        self.batches = 0
        self.judging = ()

    def judge(self, samples):
        self.batches += 1
        verdicts = []
        for sample in samples:
            self.judging = [sample]
            if self.batches == 4 and len(verdicts) == 1:
                while True:
                    time.sleep(1)
            verdicts.append(Verdict(Outcome.SATISFIED, "awake"))
        return verdicts
'''
ARGUMENTS = [
    "tasks=harmful_intent",
    "judges=none",
    "+judges.sleepy._target_=judge_that_falls_asleep.Sleepy",
    "tasks.harmful_intent.judges=[sleepy]",
    "reward=constant",
    "tasks.harmful_intent.reward=constant",
    "pipeline=none",
    "logger=none",
    "trainer.threads=1",
    "updates=3",
    "rollout.max_new_tokens=8",
    "data.harmful_intent.train_size=32",
    "data.harmful_intent.held_out_size=4",
    "callbacks.evaluation.prompts=0",
    "callbacks.evaluation.every=0",
    "callbacks.samples.every=1",
    "callbacks.samples.per_task=100",
    "callbacks.watchdog.after=3",
    "hydra.run.dir=run",
]


def test_a_stalled_judge_is_named_and_the_run_ends_well(tmp_path: Path) -> None:
    SuitePolicy(layers=1).load().save(tmp_path / "policy")
    (tmp_path / "judge_that_falls_asleep.py").write_text(JUDGE)
    line = [*ARGUMENTS, f"model.path={tmp_path}/policy"]
    done = cgpo("train", *line, folder=tmp_path, PYTHONPATH=str(tmp_path))
    assert done.returncode == 0, done.stderr

    with (tmp_path / "run/metrics.csv").open() as file:
        rates = [row["judges/harmful_intent/sleepy/undecided_rate"] for row in csv.DictReader(file)]
    assert [float(rate) for rate in rates if rate] == [0.0, 1.0, 0.0]
    assert json.loads((tmp_path / "run/summary.json").read_text())["updates"] == 3
    (line,) = [line for line in done.stderr.splitlines() if "given up" in line]
    found = re.fullmatch(
        r"watchdog: rank 0, after 1 updates, stage judges of task harmful_intent for \d+ s: waits for judge sleepy "
        r"for \d+ s, asked about \d+ samples, now at (\S+); given up, their samples are undecided: sleepy",
        line,
    )
    assert found is not None, line
    rows = [json.loads(row) for row in (tmp_path / "run/samples.jsonl").read_text().splitlines()]
    assert found[1] in {row["key"] for row in rows if row["step"] == 1}
    reasons = {row["verdicts"]["sleepy"]["reason"] for row in rows if row["satisfied"] is None}
    assert len(reasons) == 1
    assert re.fullmatch(r"no verdict after \d+ s \(callbacks.watchdog.after\)", reasons.pop())
