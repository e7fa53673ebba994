"""What the commands read that do not train by tasks."""

import shlex

import pytest
from tests.config.reading import complaint, read

from cgpo.config import ROOTS, SCHEMAS, compose, config_folder

CASES = {
    "judge": {
        "": ["input is missing: name the file of rows, input=rows.jsonl"],
        "input=a": ["output is missing: name the file of verdicts, output=verdicts.jsonl"],
        "input='' output=b judges=[math]": ["input is missing: name the file of rows"],
        "input=a output=b": ["judges is missing: choose code, factuality, false_refusal, ", "judges=[math,code]"],
        "input=a output=b judges=[math] chunk=0": ["chunk is 0: it must be a whole number of at least 1"],
        "input=a output=b judges=[math] +judges.math.fom=boxed": ["judges.math.fom: MathJudge takes no", "mean form?"],
        "input=a output=b judges=[math] panel.on_error={mth:raise}": ["panel.on_error: ", "did you mean math?"],
        "input=a output=b judges=[safety]": ["judges.safety needs a language model: name one, judge_models.safety="],
        "input=a output=b judges=[safety] judge_models.safety=/no": ["judges.safety.model: /no: there is no such"],
        "input=a output=b judges=[safety] judge_models.safety=artifact:judge_safty": ["did you mean judge_safety?"],
        "input=a output=b judges=[math] +updates=3": ["updates: there is no such key"],
        "input=a output=b judges=[math] panel.on_error=vilated": ["panel.on_error is 'vilated': it must be undecided"],
        "input=a output=b judges=[math] +panel.fast=true": ["panel.fast: Panel takes no such argument"],
    },
    "train-judge": {
        "": ["input is missing: name the file of labelled rows, input=rows.jsonl"],
        "input=a output=b": ["model.path is missing: name the language model to start from, model.path=FOLDER"],
        "input=a output=b model.path=m": ["template is missing: name what the judge is asked: false_refusal, "],
        "input=a output=b model.path=/no template=safety": ["model.path: /no: there is no such model folder"],
        "input=a output=b model.path=m template=safety fit.steps=0": ["fit.steps is 0: "],
        "input=a output=b model.path=m template=safety held_out=x": ["held_out is 'x': it must be a number"],
        "input=a output=b model.path=m template=safety held_out=-1": ["held_out is -1: it must be a number"],
        "input=a output=b model.path=m template=safety +fit.stepz=0": [
            "fit.stepz: FitSettings takes no",
            "mean steps?",
        ],
        "input=a output=b model.path=m template=safety seed=-1": ["seed is -1: "],
    },
    "benchmark": {
        "": ["model.path is missing: name the model that is asked, model.path=FOLDER"],
        "model.path=m": ["benchmarks is missing: choose arc, gsm8k, ", "benchmarks=[gsm8k,ifeval]"],
        "model.path=/no benchmarks=gsm8k": ["model.path: /no: "],
        "model.path=m benchmarks=gsm8k limit=0": ["limit is 0: it must be a whole number of at least 1, or null"],
        "model.path=m benchmarks=gsm8k batch_size=all": ["batch_size is 'all': ", "or auto"],
        "model.path=m benchmarks=gsm8k num_fewshot=-1": ["num_fewshot is -1: "],
        "model.path=m benchmarks=gsm8k chat_template=1": ["chat_template is 1: it must be true or false"],
        "model.path=m benchmarks=gsm8k model.dtype=half": ["model.dtype is 'half': "],
        "model.path=m benchmarks=gsm8k +sandbox.tmeout=1": [
            "sandbox.tmeout: Sandbox takes no",
            "did you mean timeout?",
        ],
        "model.path=m benchmarks=gsm8k benchmarks.gsm8k.tasks=gsm8k": ["benchmarks.gsm8k.tasks is 'gsm8k': "],
    },
    "reproduce": {
        "workers=0": ["workers is 0: it must be a whole number of at least 1"],
        "seeds=[]": ["seeds: name at least one, such as seeds=[0]"],
        "seeds=[-1]": ["seeds.0 is -1: it must be a whole number of at least 0"],
        "seeds=x": ["seeds is 'x': it must be a whole number"],
        "+methods.crpg.titel=x": ["methods.crpg.titel: there is no such key under methods.crpg", "did you mean title?"],
        "+methods.mine={title:x}": ["methods.mine: write overrides, what it gives to cgpo train, or path"],
        "+methods.mine={path:a,overrides:[b]}": ["methods.mine: a path is evaluated as it is"],
        "+methods.mine={overrides:[b],from:nothing}": ["methods.mine.from is 'nothing': it must be a method"],
        "+methods.mine={overrides:[b],from:sft}": ["methods.mine.from is 'sft': it must be a method that is trained"],
        "+methods.mine={overrides:[b],from:crpg_from_dpo}": ["crpg_from_dpo itself starts from dpo"],
        "+methods.mine={overrides:[b],from:dpo,seeds:[9]}": ["methods.mine.from: dpo has no run with seed 9"],
    },
    "plan": {
        "plan.gpu_gb=0": ["plan.gpu_gb is 0: it must be a number above 0, in GB"],
        "plan.usable=1.5": ["plan.usable is 1.5: it must be a number above 0 and of at most 1"],
        "plan.format=jsn": ["plan.format is 'jsn': it must be table, markdown or json (did you mean json?)"],
        "plan.strategies=[{strategy:zero}]": ["plan.strategies.0.strategy is 'zero': it must be single, ddp or fsdp"],
        "+plan.gpus=3": ["plan.gpus: there is no such key under plan"],
        "+reference=x": ["reference: training measures"],
    },
    "report": {"": ["runs is missing: name the runs to show"], "runs=[a] samples=-1": ["samples is -1: "]},
    "dashboard": {"runs=[a]": ["entity is missing: name a user or team at W&B, entity=my-team"]},
}
LINES = [(command, line) for command, lines in CASES.items() for line in lines]


@pytest.mark.parametrize(("command", "line"), LINES)
def test_one_line_names_the_key_and_the_choices(command: str, line: str) -> None:
    message = complaint(*shlex.split(line), command=command)
    assert [part for part in CASES[command][line] if part not in message] == [], message


RIGHT = {
    "sft": "",
    "reward": "",
    "warmup": "",
    "evaluate": "",
    "judge": "input=a output=b judges=[math,code]",
    "train-judge": "input=a output=b model.path=m template=safety",
    "benchmark": "model.path=m benchmarks=all",
    "reproduce": "",
    "plan": "experiment=llama_70b",
    "report": "runs=[a,b]",
    "dashboard": "runs=a entity=me",
    "train": "",
}


@pytest.mark.parametrize("command", SCHEMAS)
def test_what_is_right_is_read(command: str) -> None:
    assert isinstance(read(*shlex.split(RIGHT[command]), command=command), SCHEMAS[command])


def test_every_command_starts_from_a_file() -> None:
    assert set(ROOTS) == set(SCHEMAS)
    assert {f"{root}.yaml" for root in ROOTS.values()} == {file.name for file in config_folder().glob("*.yaml")}


def test_composing_leaves_what_another_program_composes_alone() -> None:
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    with initialize_config_dir(str(config_folder()), version_base=None):
        compose("judge", ["judges=[math]"])
        assert hydra_compose("train", ["updates=4"]).updates == 4
