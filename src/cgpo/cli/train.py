"""`cgpo train`: the main job."""

from __future__ import annotations

import sys
from pathlib import Path

import cgpo
from cgpo.cli.interrupt import ENDED_BY, STATUS, Interrupted
from cgpo.cli.verb import LOADING, Call, Verb
from cgpo.progress import bar, say, show

PROGRAM = (sys.executable, "-m", cgpo.__name__, "train")
"""What the processes of a run are started by that trains in several."""


def run(call: Call) -> None:
    """Trains, and shows what the run came to."""
    from cgpo.config import read_config

    config = read_config(call.config, "train")
    call.note(config.notes)
    with bar(LOADING, None):
        from cgpo.runs.resume import is_complete
        from cgpo.runs.session import begin
        from cgpo.runs.train import train
        from cgpo.training.preemption import PreemptedError
        from cgpo.training.summary import summary_view

        session = begin(config, call.config)
    if session.resumed and is_complete(session.folder):
        say(f"{session.folder}: this run has come to its end already")
        return
    try:
        summary = train(session, PROGRAM)
    except PreemptedError as ended:
        say(str(ended), important=True)
        _say_how_to_go_on(call)
        sys.exit(ended.status)
    except Interrupted:
        say("Ctrl-C: the run is stopped", important=True)
        _say_how_to_go_on(call)
        sys.exit(STATUS)
    except SystemExit as ended:
        if ended.code in ENDED_BY:
            _say_how_to_go_on(call)
        raise
    if summary is not None:
        show(summary_view(summary))
        say(f"all of it lies in {session.folder}")


def _say_how_to_go_on(call: Call) -> None:
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from cgpo.distributed.rendezvous import find_rendezvous

    if find_rendezvous() is not None:
        return  # whoever started the processes says how to start them again
    overrides = ["trainer.resume=auto"]
    if HydraConfig.get().mode is RunMode.MULTIRUN:
        overrides.append(f"hydra.sweep.dir={Path(HydraConfig.get().sweep.dir).absolute()}")
    say(f"to go on: {call.typed(*overrides)}", important=True)


VERB = Verb(
    name="train",
    summary="post-train a policy on many tasks at once, under constraints",
    about=(
        "Makes what is missing (tokenizer, SFT policy, reward models, judge models, warm-up), trains one policy on "
        "every chosen task at once, evaluates it on held-out prompts before and after, and leaves a folder "
        "runs/<date>/<time> with config.yaml, metrics.csv, samples.jsonl, summary.json and policy/. Ctrl-C saves a "
        "checkpoint first."
    ),
    examples=(
        ("train", "CRPG, all judges, the paper's five tasks"),
        ("train optimizer=crraft judges=[math,code] tasks=reasoning seed=3", "another optimizer, fewer tasks"),
        ("train -m optimizer=crpg,codpo seed=0,1", "a sweep: four runs and a table"),
        ("train trainer=fsdp trainer.devices=2", "two processes, each with a part of every model"),
        ("train trainer.resume=auto", "go on with the run that was cut off"),
    ),
    run=run,
    root="train",
    sweeps=True,
)
