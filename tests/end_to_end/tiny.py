"""The commands at sizes at which nothing is learnt and everything is run."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.processes import run

TASKS = ("general_chat", "instruction_following", "math_code", "engagement", "harmful_intent")
PAIRS = ("helpfulness", "engagement", "safety")
JUDGES = ("false_refusal", "factuality", "safety")

PIPELINE = [
    "pipeline.sft.base.layers=1",
    "pipeline.sft.demonstrations.train_size=200",
    "pipeline.sft.demonstrations.repeats=1",
    "pipeline.sft.fit.steps=30",
    "pipeline.sft.fit.batch_size=32",
    *(f"pipeline.pairs_{name}.prompts_per_source=24" for name in PAIRS),
    *(f"pipeline.pairs_{name}.sampler.max_new_tokens=16" for name in PAIRS),
    *(f"pipeline.reward_{name}.fit.steps=3" for name in (*PAIRS, "unified")),
    *(f"pipeline.judge_{name}.fit.steps=3" for name in JUDGES),
    *(f"pipeline.judge_{name}.samples.size=64" for name in JUDGES),
    "pipeline.warmup.fit.steps=2",
]
RUN = [
    "trainer.threads=1",
    "updates=2",
    "rollout.max_new_tokens=16",
    *(f"data.{task}.train_size=64" for task in TASKS),
    *(f"data.{task}.held_out_size=16" for task in TASKS),
]


def environment_in(folder: Path, **further: str) -> dict[str, str]:
    """A home of its own, with a cache in it, and without a key for W&B."""
    plain = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(folder), "COLUMNS": "160"}
    # What the tests themselves import.
    plain |= {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    return {**plain, "CGPO_CACHE_DIR": str(folder / "cache"), **further}


def cgpo(verb: str, *arguments: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs `cgpo VERB` in a folder of its own."""
    return run("cgpo", verb, *arguments, folder=folder, environment=environment_in(folder, **environment))


def typed(*command: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs `python …` as a person types it, imports and all; nothing of it is left where it takes too long."""
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=folder,
        env=environment_in(folder, **environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=280)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)
