"""When two configurations of a judge may share their verdicts, and how a run's panel is made."""

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.processes import run

from cgpo.build.objects import make
from cgpo.build.panels import build_panel
from cgpo.build.panels import judge_version as version_of
from cgpo.config import Component
from cgpo.config.components import check_components, components
from cgpo.errors import UserError
from cgpo.judges.instruction_following import InstructionFollowingJudge
from cgpo.types import Prompt, Sample


def judge_version(config: dict[str, Any]) -> str:
    return version_of(component(config))


def component(config: dict[str, Any], key: str = "judges.mine") -> Component:
    found = components(key, config)
    assert isinstance(found, Component)
    return found


MATH = {"_target_": "cgpo.judges.math.MathJudge", "form": None, "timeout": 3.0}


def test_a_version_is_of_the_settings() -> None:
    version = judge_version(MATH)
    assert judge_version(dict(reversed(MATH.items()))) == version
    others = [{**MATH, "form": "boxed"}, {**MATH, "timeout": 4.0}, {**MATH, "_target_": "cgpo.judges.code.CodeJudge"}]
    assert len({version, *map(judge_version, others)}) == 4


@pytest.mark.parametrize("nested", [lambda path: path, lambda path: {"of": [path]}])
def test_a_version_is_of_the_files_that_the_settings_name(tmp_path: Path, nested: Any) -> None:
    (tmp_path / "model").mkdir()
    weights, words = tmp_path / "model/weights", tmp_path / "words.txt"
    versions = []
    for content in ("a", "b", "bb"):
        for file in (weights, words):
            file.write_text(content)
            os.utime(file, ns=(0, len(versions)))
        versions += [judge_version({**MATH, "form": nested(str(path))}) for path in (weights.parent, words)]
    assert len(set(versions)) == 6


def test_a_version_is_of_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a_judge_of_ones_own.py"
    file.write_text("class Mine: ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    before = judge_version({"_target_": "a_judge_of_ones_own.Mine"})
    assert judge_version({"_target_": "a_judge_of_ones_own.Mine"}) == before
    elsewhere = {
        "_target_": "cgpo.judges.panel.process_judge.ProcessJudge",
        "judge": {"_target_": "a_judge_of_ones_own.Mine"},
    }
    before_elsewhere = judge_version(elsewhere)
    file.write_text("class Mine: pass\n")
    assert judge_version({"_target_": "a_judge_of_ones_own.Mine"}) != before
    assert judge_version(elsewhere) != before_elsewhere


def test_where_a_model_lies_does_not_decide_its_verdicts() -> None:
    judge = {"_target_": "cgpo.judges.math.MathJudge"}
    parts = [
        judge_version({**judge, "device": device, "parts": [{"device": device}]}) for device in ("cuda:0", "cuda:1")
    ]
    assert parts[0] == parts[1] != judge_version({**judge, "parts": [{"depth": 1}]})


VERSIONS = """
import json, sys
from pathlib import Path
from cgpo.build.panels import judge_version
from cgpo.config import compose, read_config

models = [f"judge_models.{name}={sys.argv[1]}/{name}" for name in ("false_refusal", "factuality", "safety")]
judges = read_config(compose("train", ["judges=all", *models]), "train", Path("run")).judges
assert judges["safety"].arguments["model"] == f"{sys.argv[1]}/safety"
print(json.dumps({name: judge_version(judge) for name, judge in judges.items()}))
"""


def test_a_version_is_the_same_in_every_process(tmp_path: Path) -> None:
    for name in ("false_refusal", "factuality", "safety"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights").write_text(name)
        (tmp_path / name / "config.json").write_text("{}")
    script = ("-c", VERSIONS, str(tmp_path))
    environment = {**os.environ, "PYTHONHASHSEED": "20260131"}
    first = subprocess.run([sys.executable, *script], env=environment, capture_output=True, timeout=100, check=True)
    second = run(*script)
    assert json.loads(first.stdout) == json.loads(second.stdout)
    assert len(set(json.loads(first.stdout).values())) == 6


def rows(*instructions: str) -> list[Sample]:
    metadata = {"instruction_id_list": list(instructions), "kwargs": [{} for _ in instructions]}
    return [Sample(Prompt("row", "question", metadata=metadata), "no comma")]


def test_a_judge_in_a_process_of_its_own_is_a_matter_of_configuration() -> None:
    follows = {"_target_": "cgpo.judges.instruction_following.InstructionFollowingJudge", "_partial_": True}
    config = {"_target_": "cgpo.judges.panel.process_judge.ProcessJudge", "judge": {**follows, "strict": False}}
    check_components(component(config))
    judge = make(component(config))
    try:
        assert [verdict.outcome for verdict in judge.judge(rows("punctuation:no_comma"))] == ["satisfied"]
    finally:
        judge.close()
    with pytest.raises(UserError, match=r"judges.mine: judge is to be made in another process: write _partial_"):
        make(component({**config, "judge": {**follows, "_partial_": False}}))


def test_a_changed_setting_never_gets_an_old_verdict(tmp_path: Path) -> None:
    settings = {
        "_target_": "cgpo.judges.panel.panel.Panel",
        "cache": {"_target_": "cgpo.judges.panel.cache.VerdictCache", "path": str(tmp_path / "verdicts.db")},
    }
    hits = []
    for strict in (True, False, True):
        config = {"_target_": "cgpo.judges.instruction_following.InstructionFollowingJudge", "strict": strict}
        panel = build_panel(
            component(settings, "panel"), {"follows": InstructionFollowingJudge(strict)}, {"follows": component(config)}
        )
        hits.append(panel.of(["follows"]).judge(rows("punctuation:no_comma")).cached["follows"])
        panel.close()
    assert hits == [0, 0, 1]
