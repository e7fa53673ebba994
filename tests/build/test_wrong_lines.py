"""What a person gets wrong at the command line is said in one line, before anything dear is built."""

import shlex
import sys
from pathlib import Path

import pytest
from tests.processes import run

from cgpo.cli.main import find, run_verb
from cgpo.runs import session


class TooLateError(Exception):
    """The first dear thing would be built now."""


def complaint(monkeypatch: pytest.MonkeyPatch, folder: Path, line: str, verb: str = "train") -> str:
    """The one line that `cgpo train …`, or another verb, ends with."""

    def built(*_: object) -> None:
        raise TooLateError

    monkeypatch.setattr(session, "artifact_store", built)
    monkeypatch.setattr(sys, "argv", ["cgpo"])
    monkeypatch.chdir(folder)
    with pytest.raises(SystemExit) as caught:
        run_verb(find(verb), [f"hydra.run.dir={folder}/run", *shlex.split(line)], ("cgpo", verb))
    message = caught.value.code
    assert isinstance(message, str)
    assert message.startswith("error: ")
    assert len(message.splitlines()) == 1
    return message.removeprefix("error: ")


CASES = {
    # A group's choice.
    "optimizer=crgp": ["optimizer=crgp: ", "codpo, crpg, crraft, ", "did you mean crpg?"],
    "judges=[math,cod]": ["judges=cod: ", "factuality", "did you mean code?"],
    "tasks=papre": ["tasks=papre: ", "general_chat", "did you mean paper?"],
    "trainer=cpuu": ["trainer=cpuu: ", "choose cpu, "],
    "data=gsm9k": ["data=gsm9k: ", "did you mean gsm8k?"],
    "experiment=nothing": ["experiment=nothing: there is no such choice"],
    "'experiment=[stories,real_smoke]'": ["experiment: choose one; a file of your own, experiment/NAME.yaml"],
    # A key that Hydra does not find.
    "optimzer=crpg": ["optimzer: ", "did you mean optimizer?"],
    "updatess=3": ["updatess: ", "did you mean updates?"],
    "optimizer.kl_mx=1": ["optimizer.kl_mx: ", "factor_cap, kl_max (did you mean kl_max?)"],
    "tasks.math_code.batchsize=3": ["tasks.math_code.batchsize: ", "did you mean batch_size?"],
    "tasks.mathcode.batch_size=3": ["tasks.mathcode: ", "did you mean math_code?"],
    "tasks.math_code.optimizer.factor_cap=1": ["to add one, write +tasks.math_code.optimizer.factor_cap"],
    "panel.shortcircuit=true": ["panel.shortcircuit: ", "did you mean short_circuit?"],
    "weights.learning_rate=1e-4": ["weights.learning_rate: this key is now optim.learning_rate"],
    "baseline=reference": ["baseline: this key is now baseline_responses; "],
    "reference=artifact:sft": ["reference: training measures the KL divergence from the policy that it starts from"],
    # An override that cannot be read.
    "'judges=[math,math'": ["judges=[math,math: this override cannot be read"],
    "updates": ["updates: this override cannot be read"],
    "=3": ["=3: this override has no key"],
    "+=3": ["+=3: this override has no key"],
    # What the schema says, too.
    "updates=0": ["updates is 0: it must be a whole number of at least 1"],
    # What only making it can tell.
    "trainer.options.accelerator=tpux": ["trainer.options: ", "tpux"],
    "+trainer.options.gpus=1": ["trainer.options: ", "gpus"],
    "panel.cache.path=/dev/null/x": ["panel.cache.path: /dev/null/x cannot be used as a cache of verdicts"],
    "judges.math.form=boxd": ["judges.math: ", "answer form 'boxd' is none of boxed"],
    "optimizer=ppo_lagrangian update.critic_learning_rate=null": ["null: Lagrangian needs a critic"],
    "judges.safety.endpoint={url:localhost:8000/v1,model:m}": ["safety: endpoint: url is 'localhost:8000"],
    "judges.safety.endpoint={url:http://localhost:8000/v1}": ["judges.safety: judge safety: endpoint: ", "'model' is"],
    "judges.safety.endpoint={url:http://localhost/v1,model:m,retry:1}": ["no setting 'retry'; choose ", "retries"],
    "judges.safety.endpoint={url:http://127.0.0.1:9/v1,model:m,retries:0}": ["127.0.0.1:9/v1: no connection"],
    "judges.safety.model=null": ["judges.safety: ", "model=FOLDER_OR_HUB_ID or an endpoint={url:…,model:…}"],
}


@pytest.mark.parametrize("line", CASES)
def test_one_line_names_the_key_and_the_choices(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: str) -> None:
    message = complaint(monkeypatch, tmp_path, line)
    assert [part for part in CASES[line] if part not in message] == [], message
    assert not (tmp_path / "run" / "config.yaml").exists(), "what failed at start-up is no run"


def test_a_right_configuration_gets_through(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(TooLateError):
        complaint(monkeypatch, tmp_path, "")


def test_a_row_that_a_judge_cannot_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    row = '{"prompt": "Say a.", "instruction_id_list": ["keywords:existense"], "kwargs": [{"keywords": ["a"]}]}'
    (tmp_path / "rows.jsonl").write_text(f"{row}\n{row}\n")
    chosen = "tasks=real_ifeval data=ifeval judges=instruction_following reward=constant pipeline=none model.path=."
    (tmp_path / "config.json").write_text("{}")
    line = f"{chosen} data.ifeval.path={tmp_path}/rows.jsonl"
    message = complaint(monkeypatch, tmp_path, line)
    assert "/rows.jsonl:1: unknown instruction" in message
    assert "'keywords:existense'; known are " in message


def test_a_cache_without_a_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CGPO_CACHE_DIR", "")
    monkeypatch.setattr(sys, "argv", ["cgpo"])
    with pytest.raises(SystemExit) as caught:
        run_verb(find("train"), [f"hydra.run.dir={tmp_path}/run"], ("cgpo", "train"))
    assert caught.value.code == "error: cache_dir is empty: name a folder, or unset CGPO_CACHE_DIR"


def test_a_cache_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(sys, "argv", ["cgpo"])
    line = [f"hydra.run.dir={tmp_path}/run", f"cache_dir={tmp_path}/file/cache"]
    with pytest.raises(SystemExit) as caught:
        run_verb(find("train"), line, ("cgpo", "train"))
    assert str(caught.value.code).startswith(f"error: cache_dir: {tmp_path}/file/cache cannot be made: ")


@pytest.mark.parametrize(
    ("module", "line", "parts"),
    [
        ("train", "optimizer=crgp", ["optimizer=crgp", "choose codpo, crpg, crraft, "]),
        ("evaluate", "model.path=/does/not/exist", ["model.path: /does/not/exist"]),
        ("sft", "pipeline.sft.fit.steps=0", ["pipeline.sft", "steps is 0"]),
        ("sft", "trainer.threads=0", ["trainer.threads is 0: it must be a whole number of at least 1, or auto"]),
        ("train", "--nonsense", ["unrecognized arguments: --nonsense"]),
    ],
)
def test_a_real_command_ends_with_one_line(tmp_path: Path, module: str, line: str, parts: list[str]) -> None:
    done = run("cgpo", module, f"cache_dir={tmp_path}/cache", line, folder=tmp_path)
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    *usage, last = done.stderr.splitlines()
    assert [part for part in parts if part not in last] == []
    assert usage == [] or usage[0].startswith("usage: ")
    assert not (tmp_path / "cache").exists()
