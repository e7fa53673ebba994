"""What a person gets wrong when evaluating is said in one line, before anything dear is built."""

from pathlib import Path

import pytest
from tests.build.test_wrong_inputs import TooLateError, complaint
from tests.conf.test_conf import SMALL
from tests.policy.tiny import save_tiny, tiny_model, tiny_tokenizer


CASES = {
    "evaluation.pass_at=[1,8]": [
        "evaluation.pass_at: pass@8 needs 8 responses to a prompt, and evaluation.samples is 4"
    ],
    "evaluation.pass_at=0": ["evaluation.pass_at: 0 is no whole number of at least 1"],
    "evaluation.samples=-1": ["evaluation.samples is -1: it must be a whole number of at least 0"],
    "evaluation.samples=0 evaluation.greedy=null": ["samples is 0 and greedy is null"],
    "evaluation.prompts=1": ["evaluation.prompts is 1: it must be a whole number of at least 2"],
    "evaluation.resamples=1": ["evaluation.resamples is 1: ", "at least 100"],
    "evaluation.keep=some": ["evaluation.keep is 'some': ", "or null for all"],
    "evaluation.greedy=no": ["evaluation.greedy is 'no': it must be a mapping"],
    "+evaluation.greedy.topk=1": ["evaluation.greedy.topk: DecodingSampler takes no such", "did you mean top_k?"],
    "evaluation.greedy.top_k=-1": ["evaluation.greedy: ", "top_k is -1"],
    "evaluation.also_judge=[safty]": ["evaluation.also_judge: there is no choice 'safty'", "did you mean safety?"],
    "evaluation.also_judge=[3]": ["evaluation.also_judge: 3 is no name"],
    "evaluation.win_by=rewrd": ["evaluation.win_by: there is no choice 'rewrd'", "did you mean reward?"],
    "evaluation.win_by=[reward,math]": ["the task general_chat does not ask the judge math", "evaluation.also_judge"],
    "judges=[math] evaluation.win_by=safety": ["evaluation.win_by: there is no choice 'safety'; choose gold, math, "],
    "evaluation.win_by=gold tasks.math_code.gold=null": ["evaluation.win_by: the task math_code has no gold judge"],
    "evaluation.opponent=/does/not/exist": ["evaluation.opponent: /does/not/exist: there is no such model folder"],
    "evaluation.sample=3": ["evaluation.sample: there is no such key under evaluation", "did you mean samples?"],
    "+evaluation.sample=3": ["evaluation: there is no key 'sample'", "did you mean samples?"],
    "reference=/does/not/exist": ["reference: /does/not/exist: there is no such model folder"],
    "reference=artifact:wramup": ["artifact:wramup: ", "did you mean warmup?"],
    "policies=[/does/not/exist,artifact:sft]": ["policies.exist: /does/not/exist: there is no such model folder"],
    "policies=[artifact:stf,artifact:warmup]": ["artifact:stf: ", "did you mean sft?"],
    "policies=[artifact:sft,artifact:sft]": ["policies: artifact:sft is there twice"],
    "policies={opponent:artifact:sft}": ["policies.opponent: this name is taken"],
    "policies=runs/a": ["policies is 'runs/a': write a list of paths"],
    "policies=[${oc.env:PWD}/few,${oc.env:PWD}/many]": ["policies.many: ", "reads other tokens than policies.few"],
    "policies=[${oc.env:PWD}/few,${oc.env:PWD}/empty]": ["policies.empty: ", "holds no config.json"],
    "updates=0": ["updates is 0"],
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models that read different tokens, and a folder that is none."""
    folder = tmp_path_factory.mktemp("models")
    save_tiny(folder / "few")
    tiny_model(vocab_size=33).save_pretrained(folder / "many")
    tokenizer = tiny_tokenizer()
    tokenizer.add_tokens(["unheard-of"])
    tokenizer.save_pretrained(folder / "many")
    (folder / "empty").mkdir()
    return folder


@pytest.mark.parametrize("line", CASES)
def test_one_line_names_the_key_and_the_choices(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, models: Path, line: str
) -> None:
    monkeypatch.setenv("PWD", str(models))
    message = complaint(monkeypatch, tmp_path, f"'{line}'" if " " not in line else line, "evaluate")
    assert [part for part in CASES[line] if part not in message] == [], message
    assert not (tmp_path / "run" / "config.yaml").exists(), "what failed at start-up is no run"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "policies=[artifact:sft,artifact:warmup] evaluation.pass_at=[1,2,4]",
        "evaluation.samples=2 evaluation.greedy=null evaluation.win_by=[]",
        "evaluation.samples=0",
        "judges=none",
        "evaluation.also_judge=[refusal,safety,false_refusal] 'evaluation.win_by=[reward,gold,safety]'",
        "evaluation.opponent=artifact:sft tasks=reasoning judges=[math,code]",
    ],
)
def test_a_right_configuration_gets_through(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, line: str) -> None:
    with pytest.raises(TooLateError):
        complaint(monkeypatch, tmp_path, " ".join([*SMALL, line]), "evaluate")
