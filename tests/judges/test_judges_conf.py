"""The judges' config files: how they compose, and that each builds its judge."""

from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.utils import get_class, instantiate
from omegaconf import OmegaConf

CONF = Path(__file__).parents[2] / "conf" / "judges"
RULES = ["math", "code", "instruction_following"]
LLM = ["false_refusal", "factuality", "safety"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root config with nothing but the judges."""
    (tmp_path / "judges").symlink_to(CONF)
    models = {name: f"models/{name}" for name in LLM}
    (tmp_path / "config.yaml").write_text(
        yaml.safe_dump({"defaults": ["_self_", {"judges": "none"}], "judge_models": models})
    )
    GlobalHydra.instance().clear()
    return tmp_path


@pytest.mark.parametrize(
    ("override", "names"),
    [
        ([], []),
        (["judges=none"], []),
        (["judges=all"], RULES + LLM),
        (["judges=rules"], RULES),
        (["judges=llm"], LLM),
        (["judges=math"], ["math"]),
        (["judges=[math,code]"], ["math", "code"]),
        (["judges=[rules,false_refusal_rules]"], [*RULES, "false_refusal"]),
    ],
)
def test_judges_compose(root: Path, override: list[str], names: list[str]) -> None:
    with initialize_config_dir(str(root), version_base=None):
        judges = OmegaConf.to_container(compose("config", override).judges, resolve=True)
    assert isinstance(judges, dict)
    assert sorted(judges) == sorted(names)


@pytest.mark.parametrize("name", RULES + LLM)
def test_each_file_names_a_class_and_its_arguments(root: Path, name: str) -> None:
    with initialize_config_dir(str(root), version_base=None):
        settings = OmegaConf.to_container(compose("config", [f"judges={name}"]).judges[name], resolve=True)
    assert isinstance(settings, dict)
    arguments = get_class(str(settings.pop("_target_"))).__init__.__annotations__
    assert set(map(str, settings)) <= set(arguments)
    if name in LLM:
        assert settings["model"] == f"models/{name}"


def test_the_rules_are_built(root: Path) -> None:
    with initialize_config_dir(str(root), version_base=None):
        config = compose("config", ["judges=[math,instruction_following,false_refusal_rules]"])
    assert [type(judge).__name__ for judge in instantiate(config.judges).values()] == [
        "MathJudge",
        "InstructionFollowingJudge",
        "RefusalRulesJudge",
    ]


def test_every_file_was_looked_at() -> None:
    assert {path.stem for path in CONF.glob("*.yaml")} == {
        *RULES,
        *LLM,
        "all",
        "rules",
        "llm",
        "none",
        "false_refusal_rules",
    }
