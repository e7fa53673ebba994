"""Help pages: written for a person, and made of what there is."""

import shlex
from pathlib import Path

import pytest

from cgpo.cli.compose import _translated
from cgpo.cli.help import show_help
from cgpo.cli.main import NAMES, find
from cgpo.config import compose, describe, groups


def page(capsys: pytest.CaptureFixture[str], verb: str, *arguments: str) -> list[str]:
    show_help(find(verb), ["--help", *arguments])
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("name", NAMES)
def test_a_page_fits_a_screen_and_shows_five_examples_and_every_group(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    lines = page(capsys, name)
    assert lines[0].startswith(f"cgpo {name} ")
    assert len(find(name).examples) == 5
    assert max(len(line) for line in lines if not line.startswith("  cgpo ")) <= 80
    text = " ".join(" ".join(lines).split())
    for group in groups(name):
        assert f"{group.name}=" in text
        assert ", ".join(group.choices) in text


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_can_be_composed(name: str) -> None:
    for line, _ in find(name).examples:
        first, *arguments = shlex.split(line)
        assert first == name
        overrides = [part for part in _translated(find(name), arguments) if "=" in part and "my_conf" not in part]
        if "judges=[mine]" not in overrides:
            compose(name, [override.split(",")[0] if "-m" in arguments else override for override in overrides])


def test_choices_of_one_s_own_folder_are_offered(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "judges").mkdir()
    (tmp_path / "judges/politeness.yaml").write_text("# @package judges\npoliteness: {_target_: mine.Politeness}\n")
    assert "politeness" in " ".join(page(capsys, "train", "--config-dir", str(tmp_path)))
    assert "politeness" not in " ".join(page(capsys, "train"))


@pytest.mark.parametrize("name", ["train", "judge", "report"])
def test_all_keys_with_default_type_and_sentence(capsys: pytest.CaptureFixture[str], name: str) -> None:
    lines = page(capsys, name, "--all")
    for key in describe(name):
        assert f"{key.key} (to be given)" in lines if key.default is None else f"{key.key}: {key.default}" in lines
    assert all(line.startswith("      ") or not line.startswith(" ") for line in lines)


def test_some_keys_under_some_choices(capsys: pytest.CaptureFixture[str]) -> None:
    assert page(capsys, "train", "--all", "updates") == [
        "updates: 70",
        *page(capsys, "train", "--all", "updates")[1:],
    ]
    keys = [line.split(":")[0] for line in page(capsys, "train", "--all", "optim") if not line.startswith(" ")]
    assert "optim.learning_rate" in keys
    assert all(key.startswith("optim.") for key in keys)
    assert any("codpo" in line.lower() for line in page(capsys, "train", "--all", "optimizer=codpo", "optimizer"))
    assert page(capsys, "train", "--all", "nothing") == ["cgpo train has no key that begins with nothing"]
