"""What a person gets wrong is said in one line that names the key, before anything dear is built."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

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
    "judges=al": ["judges=al: ", "did you mean all?"],
    "tasks=papre": ["tasks=papre: ", "general_chat", "did you mean paper?"],
    "reward=papr": ["reward=papr: ", "did you mean paper?"],
    "trainer=cpuu": ["trainer=cpuu: ", "choose cpu, "],
    "data=gsm9k": ["data=gsm9k: ", "did you mean gsm8k?"],
    "model=suit": ["model=suit: ", "did you mean suite?"],
    "rollout=sampl": ["rollout=sampl: ", "sample"],
    "logger=wandbb": ["logger=wandbb: ", "none, wandb"],
    "experiment=nothing": ["experiment=nothing: there is no such choice"],
    # A key.
    "optimzer=crpg": ["optimzer: ", "did you mean optimizer?"],
    "updatess=3": ["updatess: ", "did you mean updates?"],
    "optimizer.kl_mx=1": ["optimizer.kl_mx: ", "factor_cap, kl_max (did you mean kl_max?)"],
    "tasks.math_code.batchsize=3": ["tasks.math_code.batchsize: ", "did you mean batch_size?"],
    "+tasks.math_code.batchsize=3": ["tasks.math_code: there is no key 'batchsize'", "did you mean batch_size?"],
    "tasks.mathcode.batch_size=3": ["tasks.mathcode: ", "did you mean math_code?"],
    "tasks.math_code.optimizer.factor_cap=1": ["to add one, write +tasks.math_code.optimizer.factor_cap"],
    "+tasks.math_code.optimizer.beta=1": ["tasks.math_code.optimizer.beta: CRPG takes no", "factor_cap, kl_max"],
    "+tasks.math_code.rollout.temprature=1": ["tasks.math_code.rollout.temprature: ", "did you mean temperature?"],
    "+judges.code.seconds=1": ["judges.code.seconds: CodeJudge takes no", "memory_mb, timeout, workers"],
    "+model.dtyp=float32": ["model.dtyp: ", "did you mean dtype?"],
    "~judges.safety.template": ["judges.safety: LanguageModelJudge", "'template'"],
    "optimizer._target_=cgpo.optimizer.CRGP": ["_target_ is 'cgpo.optimizer.CRGP': it cannot be imported"],
    # A task.
    "tasks=[]": ["tasks: choose at least one"],
    "tasks.math_code=3": ["tasks.math_code is 3: ", "batch_size"],
    "tasks.math_code.responses_per_prompt=0": ["tasks.math_code.responses_per_prompt is 0: ", "at least 1"],
    "tasks.math_code.batch_size=2.5": ["tasks.math_code.batch_size is 2.5: ", "whole number"],
    "tasks.math_code.weight=-1": ["tasks.math_code.weight is -1: ", "above 0"],
    "tasks.math_code.kl_max=-1": ["tasks.math_code.kl_max is -1: ", "above 0"],
    "tasks.math_code.kl_max=0": ["tasks.math_code.kl_max is 0: ", "above 0"],
    "tasks.math_code.kl_max=null": ["tasks.math_code.kl_max is missing"],
    "tasks.math_code.kl_max=inf": ["tasks.math_code.optimizer: ", "kl_max is inf"],
    "optimizer=codpo tasks.math_code.responses_per_prompt=1": ["responses_per_prompt is 1: CODPO needs at least 2"],
    "tasks.math_code.data=[]": ["tasks.math_code.data: the task has no prompts"],
    "tasks.math_code.data=engagment": ["tasks.math_code.data: ", "did you mean engagement?"],
    "tasks.math_code.judges=[mth]": ["tasks.math_code.judges: there is no choice 'mth'", "did you mean math?"],
    "tasks.math_code.reward=helpfulnes": ["tasks.math_code.reward: ", "did you mean helpfulness?"],
    # A value.
    "updates=0": ["updates is 0: ", "whole number of at least 1"],
    "updates=-3": ["updates is -3: "],
    "panel.on_error=ignore": ["panel.on_error is 'ignore': it must be undecided, violated or raise"],
    "panel.on_error={cod:raise}": ["panel.on_error: there is no choice 'cod'", "did you mean code?"],
    "panel.on_error={code:rise}": ["panel.on_error.code is 'rise': it must be undecided, violated or raise"],
    "panel.max_calls=-1": ["panel.max_calls is -1: it must be a whole number of at least 0, or null"],
    "panel.cache.size=0": ["panel.cache.size is 0: it must be a whole number of at least 1"],
    "panel.cache.path=/dev/null/x": ["panel.cache.path: /dev/null/x cannot be used as a cache of verdicts"],
    "panel.shortcircuit=true": ["panel.shortcircuit: ", "did you mean short_circuit?"],
    "updates=abc": ["updates is 'abc': "],
    "updates=1.5": ["updates is 1.5: "],
    "seed=abc": ["seed is 'abc': "],
    "weights.learning_rate=0": ["weights.learning_rate is 0: ", "above 0"],
    "weights.learning_rate=nan": ["weights.learning_rate is nan: "],
    "weights.final_factor=2": ["weights.final_factor is 2: "],
    "weights.clip_norm=0": ["weights.clip_norm is 0: ", "or null"],
    "rollout.temperature=0": ["rollout.temperature is 0: "],
    "+tasks.math_code.rollout.temperature=-1": ["tasks.math_code.rollout: ", "temperature is -1"],
    "optimizer=codpo optimizer.beta=0": ["optimizer: CODPO.beta is 0: "],
    "baseline=foo": ["baseline is 'foo': it must be golden or reference"],
    "trainer.threads=x": ["trainer.threads is 'x': it must be auto, or"],
    "trainer.options.accelerator=tpux": ["trainer.options: ", "tpux"],
    "+trainer.options.devices=2": ["trainer.options.devices: this is set by trainer.devices"],
    "trainer.devices=2": ["trainer.devices: 2 processes need trainer=ddp or trainer=fsdp"],
    "trainer.devices=0": ["trainer.devices is 0: it must be a whole number of at least 1"],
    "trainer.strategy=zero": ["trainer.strategy is 'zero': choose single, ddp, fsdp"],
    "trainer.precision=16": ["trainer.precision is 16: choose 32-true, bf16-mixed, bf16-true"],
    "trainer.tensor_parallel=2": ["trainer.tensor_parallel is 2: this needs trainer=fsdp_tp"],
    "+trainer.options.gpus=1": ["trainer.options: ", "gpus"],
    "callbacks.evaluation.prompts=-1": ["callbacks.evaluation.prompts is -1: "],
    "callbacks.alarm.judges=[math,fcts]": ["callbacks.alarm.judges: there is no choice 'fcts'; ", "factuality"],
    "callbacks.alarm.signals=[golden]": ["callbacks.alarm.signals is ['golden']: ", "gold, judges, agreement"],
    "callbacks.alarm.sigmas=0": ["callbacks.alarm.sigmas is 0: ", "above 0"],
    "callbacks.alarm.stop=maybe": ["callbacks.alarm.stop is 'maybe': ", "true or false"],
    "callbacks.watchdog.after=0": ["callbacks.watchdog.after is 0: ", "seconds above 0, or null"],
    "callbacks.watchdog.act=perhaps": ["callbacks.watchdog.act is 'perhaps': ", "true or false"],
    "~callbacks.evaluation": ["callbacks.evaluation is missing"],
    "judges.code.timeout=-1": ["judges.code: ", "timeout -1"],
    "pipeline.sft.fit.steps=0": ["pipeline.sft", "steps is 0"],
    "pipeline.warmup.fit.steps=0": ["pipeline.warmup.fit: steps is 0"],
    "pipeline.warmup.fit.steps=x": ["pipeline.warmup.fit: "],
    # Something that is not there.
    "model.path=/does/not/exist": ["model.path: /does/not/exist: there is no such model folder"],
    "model.path=${oc.env:PWD}/empty": ["/empty: this folder holds no config.json"],
    "model.path=artifact:wramup": ["artifact:wramup: ", "did you mean warmup?"],
    "callbacks.samples.path=artifact:rewrd": ["artifact:rewrd: ", "reward_unified"],
    "experiment=stories": ["model.path is missing: write model.path=…"],
    "model.dtype=float3": ["model.dtype is 'float3': choose float32"],
    "reward.safety.path=/does/not/exist": ["reward.safety.path: /does/not/exist: "],
    "judge_models.safety=/does/not/exist": ["judges.safety.model: /does/not/exist: "],
    # A judge behind an endpoint.
    "judges.safety.endpoint={url:localhost:8000/v1,model:m}": ["safety: endpoint: url is 'localhost:8000"],
    "judges.safety.endpoint={url:http://localhost:8000/v1}": ["judges.safety: judge safety: endpoint: ", "'model' is"],
    "judges.safety.endpoint={url:http://localhost/v1,model:m,retry:1}": ["no setting 'retry'; choose ", "retries"],
    "judges.safety.endpoint={url:http://127.0.0.1:9/v1,model:m,retries:0}": ["127.0.0.1:9/v1: no connection"],
    "judges.safety.model=null": ["judges.safety: ", "model=FOLDER_OR_HUB_ID or an endpoint={url:…,model:…}"],
    "pipeline.sft.base=artifact:warmup": ["pipeline: ", "a recipe needs its own result"],
    # An override that cannot be read.
    "'judges=[math,math'": ["judges=[math,math: this override cannot be read"],
    "updates": ["updates: this override cannot be read"],
    "=3": ["=3: this override has no key"],
    "+=3": ["+=3: this override has no key"],
    "data_dir='${nothing}/x'": ["data_dir"],
}


@pytest.mark.parametrize("line", CASES)
def test_one_line_names_the_key_and_the_choices(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: str) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PWD", str(tmp_path))
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
    line = f"{chosen} data.ifeval.path={tmp_path}/rows.jsonl reference=null"
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
    with pytest.raises(SystemExit) as caught:
        line = [f"hydra.run.dir={tmp_path}/run", f"cache_dir={tmp_path}/file/cache"]
        run_verb(find("train"), line, ("cgpo", "train"))
    assert str(caught.value.code).startswith(f"error: cache_dir: {tmp_path}/file/cache cannot be made: ")


@pytest.mark.parametrize(
    ("module", "line", "parts"),
    [
        ("train", "optimizer=crgp", ["optimizer=crgp", "choose codpo, crpg, crraft, "]),
        ("train", "updates=0", ["updates is 0", "at least 1"]),
        ("evaluate", "model.path=/does/not/exist", ["model.path: /does/not/exist"]),
        ("sft", "pipeline.sft.fit.steps=0", ["pipeline.sft", "steps is 0"]),
        ("sft", "trainer.threads=0", ["trainer.threads is 0: it must be auto, or"]),
        ("train", "--nonsense", ["unrecognized arguments: --nonsense"]),
    ],
)
def test_a_real_command_ends_with_one_line(tmp_path: Path, module: str, line: str, parts: list[str]) -> None:
    command = [sys.executable, "-m", "cgpo", module, f"cache_dir={tmp_path}/cache", line]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    *usage, last = done.stderr.splitlines()
    assert [part for part in parts if part not in last] == []
    assert usage == [] or usage[0].startswith("usage: ")
    assert not (tmp_path / "cache").exists()
