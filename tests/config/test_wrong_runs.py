"""What a person gets wrong about a run is said in one line: the key, what it must be, the nearest right name."""

import shlex
from pathlib import Path

import pytest
from tests.config.reading import complaint, read

CASES = {
    # A key.
    "+optimizer.kl_mx=1": ["optimizer.kl_mx: CRPG takes no such argument; choose ", "(did you mean kl_max?)"],
    "+updatess=3": ["updatess: there is no such key; choose ", "(did you mean updates?)"],
    "+experment=stories": ["experment: there is no such key; ", "(did you mean experiment?)"],
    "+learning_rate=1": ["learning_rate: there is no such key; did you mean optim.learning_rate?"],
    "+optim.learningrate=1": ["optim.learningrate: there is no such key under optim; ", "did you mean learning_rate?"],
    "+tasks.math_code.batchsize=3": ["tasks.math_code.batchsize: there is no such key", "did you mean batch_size?"],
    "+tasks.math_code.optimizer.beta=1": ["tasks.math_code.optimizer.beta: CRPG takes no", "factor_cap, kl_max"],
    "+tasks.math_code.rollout.temprature=1": ["tasks.math_code.rollout.temprature: ", "did you mean temperature?"],
    "+judges.code.seconds=1": ["judges.code.seconds: CodeJudge takes no", "memory_mb, timeout, workers"],
    "+model.dtyp=float32": ["model.dtyp: ", "did you mean dtype?"],
    "+panel.shortcircuit=true": ["panel.shortcircuit: Panel takes no such argument", "did you mean short_circuit?"],
    "~judges.safety.template": ["judges.safety.template is missing: LanguageModelJudge needs it"],
    "~optim.clip_norm": ["optim.clip_norm is missing: write optim.clip_norm=…"],
    "optimizer._target_=cgpo.optimizer.CRGP": ["_target_ is 'cgpo.optimizer.CRGP': it cannot be imported", "CRPG?"],
    "optimizer._target_=no_such_module.Mine": ["it cannot be imported: No module named 'no_such_module'"],
    "~optimizer._target_": ["optimizer is {'kl_max': None, 'factor_cap': None}: it must be a class, _target_, and its"],
    # A key of before.
    "+weights.learning_rate=1": ["weights: this key is now optim; "],
    "+baseline=golden": ["baseline: this key is now baseline_responses; ", "sampled (formerly reference)"],
    "+reference=artifact:sft": ["reference: training measures the KL divergence from ", "model.path"],
    "+update._target_=mine.Update": ["update._target_: the update is no class of one's own any more"],
    # A task.
    "tasks=[]": ["tasks: choose at least one"],
    "tasks.math_code=3": ["tasks.math_code is 3: it must be a mapping with the keys data, reward, judges, "],
    "~tasks.math_code.reward": ["tasks.math_code.reward is missing"],
    "tasks.math_code.responses_per_prompt=0": ["tasks.math_code.responses_per_prompt is 0: ", "at least 1"],
    "tasks.math_code.batch_size=2.5": ["tasks.math_code.batch_size is 2.5: ", "whole number"],
    "tasks.math_code.batch_size=true": ["tasks.math_code.batch_size is True: ", "whole number"],
    "tasks.math_code.weight=-1": ["tasks.math_code.weight is -1: it must be a number above 0"],
    "tasks.math_code.kl_max=-1": ["tasks.math_code.kl_max is -1: it must be a number above 0, in nats a response"],
    "tasks.math_code.kl_max=0": ["tasks.math_code.kl_max is 0: ", "above 0"],
    "tasks.math_code.kl_max=null": ["tasks.math_code.kl_max is missing: CRPG needs a KL limit, ", "nats a response"],
    "optimizer=crraft tasks.math_code.kl_max=null": ["tasks.math_code.kl_max is missing: CRRAFT needs"],
    "tasks.math_code.kl_max=inf": ["tasks.math_code.kl_max is inf: "],
    "tasks.math_code.optimizer=3": ["tasks.math_code.optimizer is 3: it must be a class"],
    "optimizer=codpo tasks.math_code.responses_per_prompt=1": ["responses_per_prompt is 1: CODPO needs at least 2"],
    "tasks.math_code.data=[]": ["tasks.math_code.data: the task has no prompts"],
    "tasks.math_code.data=engagment": ["tasks.math_code.data: there is no choice", "did you mean engagement?"],
    "tasks.math_code.data=[3]": ["tasks.math_code.data.0 is 3: it must be a text"],
    "tasks.math_code.judges=[mth]": ["tasks.math_code.judges: there is no choice 'mth'", "did you mean math?"],
    "tasks.math_code.reward=helpfulnes": ["tasks.math_code.reward: ", "did you mean helpfulness?"],
    # A value.
    "updates=0": ["updates is 0: it must be a whole number of at least 1"],
    "updates=abc": ["updates is 'abc': "],
    "updates=1.5": ["updates is 1.5: "],
    "seed=abc": ["seed is 'abc': it must be a whole number of at least 0"],
    "optim.learning_rate=0": ["optim.learning_rate is 0: it must be a number above 0"],
    "optim.learning_rate=nan": ["optim.learning_rate is nan: "],
    "optim.final_factor=2": ["optim.final_factor is 2: it must be a number from 0 to 1"],
    "optim.clip_norm=0": ["optim.clip_norm is 0: it must be a number above 0, or null"],
    "update.recompute_logprobs=maybe": ["update.recompute_logprobs is 'maybe': it must be true, false or auto"],
    "update.max_tokens=0": ["update.max_tokens is 0: "],
    "optimizer=ppo update.critic_learning_rate=null": ["update.critic_learning_rate is null: PPO needs a critic"],
    "optimizer=codpo optimizer.beta=0": ["optimizer.beta is 0: it must be a number above 0"],
    "baseline_responses=foo": ["baseline_responses is 'foo': it must be golden or sampled"],
    "rollout.temperature=0": ["rollout.temperature is 0: it must be a number above 0"],
    "rollout.engine=dynamc": ["rollout.engine is 'dynamc': ", "(did you mean dynamic?)"],
    "+tasks.math_code.rollout.temperature=-1": ["tasks.math_code.rollout.temperature is -1: "],
    "panel.on_error=ignore": ["panel.on_error is 'ignore': it must be undecided, violated or raise"],
    "panel.on_error={cod:raise}": ["panel.on_error: there is no choice 'cod'", "did you mean code?"],
    "panel.on_error={code:rise}": ["panel.on_error.code is 'rise': it must be undecided, violated or raise"],
    "panel.max_calls=-1": ["panel.max_calls is -1: it must be a whole number of at least 0, "],
    "panel.cache.size=0": ["panel.cache.size is 0: it must be a whole number of at least 1"],
    "trainer.threads=x": ["trainer.threads is 'x': it must be a whole number of at least 1, or auto"],
    "trainer.devices=0": ["trainer.devices is 0: it must be a whole number of at least 1, or auto"],
    "trainer.devices=2": ["trainer.devices: 2 processes need trainer=ddp or trainer=fsdp"],
    "trainer.nodes=3": ["trainer.devices: 3 processes need trainer=ddp or trainer=fsdp"],
    "trainer.strategy=zero": ["trainer.strategy is 'zero': it must be single, ddp or fsdp"],
    "trainer.precision=bf16": ["trainer.precision is 'bf16': ", "bf16-mixed"],
    "trainer.tensor_parallel=2": ["trainer.tensor_parallel is 2: this needs trainer=fsdp_tp"],
    "trainer=fsdp trainer.devices=3 trainer.tensor_parallel=2": ["trainer.tensor_parallel is 2: ", "3 processes"],
    "+trainer.options.devices=2": ["trainer.options.devices: this is set by trainer.devices"],
    "+trainer.options.plugins=[]": ["trainer.options.plugins: this is set by the run itself"],
    "callbacks.evaluation.prompts=-1": ["callbacks.evaluation.prompts is -1: "],
    "callbacks.alarm.judges=[math,fcts]": ["callbacks.alarm.judges: there is no choice 'fcts'; ", "factuality"],
    "callbacks.alarm.signals=[golden]": ["callbacks.alarm.signals is ['golden']: ", "gold, judges, agreement"],
    "callbacks.alarm.sigmas=0": ["callbacks.alarm.sigmas is 0: ", "above 0"],
    "callbacks.alarm.stop=maybe": ["callbacks.alarm.stop is 'maybe': ", "true or false"],
    "callbacks.watchdog.after=0": ["callbacks.watchdog.after is 0: it must be a number above 0, in seconds, or null"],
    "callbacks.checkpoints.monitor=sucess": ["callbacks.checkpoints.monitor is 'sucess': ", "did you mean success?"],
    "~callbacks.evaluation": ["callbacks.evaluation is missing: a run's summary needs it"],
    "judges.code.timeout=-1": ["judges.code.timeout is -1: it must be a number above 0, in seconds"],
    "judges.safety.quantization=int3": ["judges.safety.quantization is 'int3': it must be int8 or int4, or null"],
    "models_quantization=int3": ["models_quantization is 'int3': it must be int8 or int4, or null"],
    "pipeline.warmup.fit.steps=0": ["pipeline.warmup.fit.steps is 0: it must be a whole number of at least 1"],
    "pipeline.sft.fit.steps=x": ["pipeline.sft.fit.steps is 'x': "],
    "model.dtype=float3": ["model.dtype is 'float3': it must be float32, ", "(did you mean float32?)"],
    # Adapters.
    "model.lora={r:0}": ["model.lora.r is 0: it must be a whole number of at least 1"],
    "model.lora={rank:4}": ["model.lora.rank: there is no such key under model.lora; choose alpha, dropout, r, seed"],
    "model.lora={dropout:0.05}": ["model.lora.dropout is 0.05: it must be 0, since log-probabilities must be those"],
    "model.lora={targets:[]}": ["model.lora.targets is []: it must be all-linear, or a list of names"],
    "model.lora=true": ["model.lora is True: it must be a mapping with the keys r, alpha, ", ", or null"],
    "model.lora={r:8} reference_device=cpu": ["reference_device: with adapters (model.lora)", "reference_device=null"],
    # Something that is not there.
    "model.path=/does/not/exist": ["model.path: /does/not/exist: there is no such model folder"],
    "model.path=${oc.env:PWD}/empty": ["/empty: this folder holds no config.json"],
    "model.path=${oc.env:PWD}/broken": ["/broken/config.json is not valid JSON"],
    "model.path=artifact:wramup": ["artifact:wramup: no recipe of that name", "did you mean warmup?"],
    "pipeline=none": ["artifact:warmup: no recipe of that name under pipeline; ", "pipeline=suite"],
    "callbacks.samples.path=artifact:rewrd": ["artifact:rewrd: ", "reward_unified"],
    "experiment=stories": ["model.path is missing: name the model to train, a folder or a hub id, model.path="],
    "experiment=qwen_0_5b model.size=small": ["model.size is 'small': choose full, tiny"],
    "reward.safety.path=/does/not/exist": ["reward.safety.path: /does/not/exist: "],
    "judge_models.safety=/does/not/exist": ["judges.safety.model: /does/not/exist: "],
    "pipeline.sft.base=artifact:warmup": ["pipeline: ", "a recipe needs its own result"],
    "data_dir='${nothing}/x'": ["data_dir: "],
}


@pytest.mark.parametrize("line", CASES)
def test_one_line_names_the_key_and_the_choices(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/config.json").write_text("{")
    monkeypatch.setenv("PWD", str(tmp_path))
    message = complaint(*shlex.split(line))
    assert [part for part in CASES[line] if part not in message] == [], message


def test_a_right_configuration_is_read() -> None:
    config = read()
    assert (config.updates, config.optim.learning_rate, config.run_folder) == (70, 5e-4, "the_run")
    assert config.notes == ()


def test_a_class_of_ones_own_is_checked_like_ours(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "a_reward_of_ones_own.py").write_text(
        "from cgpo.bounds import ModelPath\n"
        "class Mine:\n"
        "    def __init__(self, path: ModelPath, device: str, quantization: str | None, scale: float = 1.0): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    mine = ["reward.safety._target_=a_reward_of_ones_own.Mine"]
    assert read(*mine).reward["safety"].get("scale") == 1.0
    assert complaint(*mine, "reward.safety.path=/no").startswith("reward.safety.path: /no: there is no such model")
    assert complaint(*mine, "+reward.safety.scale=x").startswith("reward.safety.scale is 'x': it must be a number")
