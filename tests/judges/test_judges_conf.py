"""The judges' config files: how they compose, and that each names a judge. A new file is tested by being there."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import get_class, instantiate
from omegaconf import OmegaConf

from cgpo.judges import Judge

CONF = Path(__file__).parents[2] / "conf" / "judges"
FILES = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(CONF.glob("*.yaml"))}
LISTS = {name: content["defaults"] for name, content in FILES.items() if "defaults" in content}
"""Choices that stand for several judges."""
SINGLE = sorted(FILES.keys() - LISTS.keys() - {"none"})


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root config with nothing but the judges."""
    (tmp_path / "judges").symlink_to(CONF)
    models = {name: f"models/{name}" for name in SINGLE}
    (tmp_path / "config.yaml").write_text(
        yaml.safe_dump({"defaults": ["_self_", {"judges": "none"}], "judge_models": models})
    )
    GlobalHydra.instance().clear()
    return tmp_path


def composed(root: Path, *overrides: str) -> dict[str, Any]:
    with initialize_config_dir(str(root), version_base=None):
        judges = OmegaConf.to_container(compose("config", list(overrides)).judges, resolve=True)
    assert isinstance(judges, dict)
    return {str(name): settings for name, settings in judges.items()}


@pytest.mark.parametrize("name", sorted(LISTS))
def test_a_choice_of_several_has_these_and_no_others(root: Path, name: str) -> None:
    assert sorted(composed(root, f"judges={name}")) == sorted(LISTS[name])


@pytest.mark.parametrize("name", SINGLE)
def test_a_choice_and_its_key_have_one_name(root: Path, name: str) -> None:
    assert list(composed(root, f"judges={name}")) == [name]


@pytest.mark.parametrize("name", SINGLE)
def test_each_file_names_a_judge_and_arguments_that_it_takes(root: Path, name: str) -> None:
    settings = composed(root, f"judges={name}")[name]
    judge = get_class(settings.pop("_target_"))
    assert issubclass(judge, Judge)
    assert set(settings) <= set(judge.__init__.__annotations__)


def test_no_judge_is_chosen_by_default_and_several_may_be(root: Path) -> None:
    assert composed(root) == {}
    assert list(composed(root, "judges=[math,code]")) == ["math", "code"]
    assert len(composed(root, "judges=[rules,false_refusal_rules]")) == len(LISTS["rules"]) + 1


def test_what_the_paper_has_is_there(root: Path) -> None:
    rules, models = {"math", "code", "instruction_following"}, {"false_refusal", "factuality", "safety"}
    assert set(LISTS["rules"]) == rules
    assert set(LISTS["llm"]) == models
    assert rules | models <= set(LISTS["all"])
    assert all(composed(root, f"judges={name}")[name]["model"] == f"models/{name}" for name in models)


def test_the_rules_are_built(root: Path) -> None:
    with initialize_config_dir(str(root), version_base=None):
        config = compose("config", ["judges=[math,instruction_following,false_refusal_rules]"])
    assert [type(judge).__name__ for judge in instantiate(config.judges).values()] == [
        "MathJudge",
        "InstructionFollowingJudge",
        "RefusalRulesJudge",
    ]
