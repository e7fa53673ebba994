"""What an evaluation finds wrong where it looks at models, and what lets it begin."""

from pathlib import Path

import pytest
from tests.build.test_wrong_lines import TooLateError, complaint
from tests.conf.test_conf import SMALL
from tests.policy.tiny import save_tiny, tiny_model, tiny_tokenizer


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


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("policies=[{models}/few,{models}/many]", ["policies.many: ", "reads other tokens than policies.few"]),
        ("policies=[{models}/few,{models}/empty]", ["policies.empty: ", "holds no config.json"]),
        ("evaluation.sample=3", ["evaluation.sample: there is no such key under evaluation", "did you mean samples?"]),
    ],
)
def test_one_line_names_the_key(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, models: Path, line: str, parts: list[str]
) -> None:
    message = complaint(monkeypatch, tmp_path, f"'{line.format(models=models)}'", "evaluate")
    assert [part for part in parts if part not in message] == [], message
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
