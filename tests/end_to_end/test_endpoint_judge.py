"""A run whose judge is behind an endpoint that stops answering half-way."""

import csv
import json
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from tests.end_to_end.tiny import cgpo
from tests.judges.language_model.scripted_server import Reply, ScriptedServer, said

from cgpo.stages.suite import SuitePolicy

pytest.importorskip("openai", reason="the extra endpoint is not installed")

RUN = [
    "tasks=harmful_intent",
    "judges=[safety]",
    "reward=constant",
    "tasks.harmful_intent.reward=constant",
    "pipeline=none",
    "logger=none",
    "trainer.threads=1",
    "updates=4",
    "rollout.max_new_tokens=8",
    "data.harmful_intent.train_size=32",
    "data.harmful_intent.held_out_size=4",
    "callbacks.evaluation.every=0",
    "callbacks.samples.every=1",
]


def train(folder: Path, server: ScriptedServer, **settings: Any) -> CompletedProcess[str]:
    SuitePolicy(layers=1).load().save(folder / "policy")
    endpoint = {"url": server.url, "model": "m", "retries": 0, "api_key_env": "MY_KEY", **settings}
    written = ",".join(f"{name}:{value}" for name, value in endpoint.items())
    override = f"judges.safety.endpoint={{{written}}}"
    arguments = [*RUN, f"model.path={folder}/policy", "hydra.run.dir=run", override]
    return cgpo("train", *arguments, folder=folder, MY_KEY="sk-secret")


def dying(number: int, _: dict[str, Any]) -> Reply:
    """Answers the first questions: both greetings, the evaluation before, and two of the four updates."""
    return Reply(said("yes", {"yes": 0.9, "no": 0.1})) if number < 60 else Reply(status=503)


def test_the_run_ends_well_and_shows_what_was_undecided(tmp_path: Path) -> None:
    with ScriptedServer(dying) as server:
        done = train(tmp_path, server)
    assert done.returncode == 0, done.stderr
    with (tmp_path / "run/metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row.get("judges/harmful_intent/safety/undecided_rate")]
    rates = [float(row["judges/harmful_intent/safety/undecided_rate"]) for row in rows]
    assert rates[0] == 0
    assert rates[-1] == 1
    lines = (tmp_path / "run/samples.jsonl").read_text().splitlines()
    reasons = {json.dumps(json.loads(line)["verdicts"]) for line in lines}
    assert any("P(yes) = 0.900, threshold 0.5, margin +2.20" in reason for reason in reasons)
    assert any("HTTP 503" in reason for reason in reasons)
    assert len([line for line in (done.stdout + done.stderr).splitlines() if "does not answer" in line]) == 1
    for file in (path for path in (tmp_path / "run").rglob("*") if path.is_file()):
        assert b"sk-secret" not in file.read_bytes(), file


def test_the_run_stops_where_more_is_undecided_than_it_may_be(tmp_path: Path) -> None:
    with ScriptedServer(dying) as server:
        done = train(tmp_path, server, max_undecided=0.5, window=20)
    assert done.returncode == 1
    line = done.stderr.splitlines()[-1]
    assert line.startswith("error: judge safety: ")
    assert f"of the last 20 answers of m at {server.url} are undecided, beyond max_undecided=0.5" in line
    assert "Traceback" not in done.stderr
