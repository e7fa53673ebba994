"""Help and reference are told from the schema, from docstrings and from the files' comments, without a second list."""

import re
from pathlib import Path

import pytest

from cgpo.config import SCHEMAS, KeyDescription, choices, describe, groups, reference_page
from cgpo.config.describing import as_yaml, sentences_of
from cgpo.config.mistakes import fields_of, section_in
from cgpo.config.sections import Section


@pytest.fixture(scope="module")
def keys() -> dict[str, KeyDescription]:
    return {key.key: key for key in describe("train")}


def test_a_key_has_type_unit_default_and_sentence(keys: dict[str, KeyDescription]) -> None:
    assert keys["optim.warmup_steps"] == KeyDescription(
        "optim.warmup_steps",
        "a whole number of at least 0",
        "updates",
        "5",
        "Updates over which the learning rate rises linearly to its highest.",
    )
    limit = keys["tasks.TASK.kl_max"]
    assert (limit.type, limit.unit, limit.default) == (
        "a number above 0, or null",
        "nats a response",
        "differs by task",
    )
    assert "sum over tokens of log π − log π_ref, at the rollout's temperature, before top-p" in limit.sentence
    assert keys["callbacks.watchdog.after"].unit == "seconds"


def test_arguments_of_the_chosen_classes_are_keys(keys: dict[str, KeyDescription]) -> None:
    assert keys["optimizer._target_"].default == "cgpo.optimizer.CRPG"
    assert keys["rollout.temperature"].type == "a number above 0"
    assert keys["judges.code.timeout"].unit == "seconds"
    assert "judges.{false_refusal,factuality,safety}.threshold" in keys
    assert "data.NAME.train_size" in keys
    assert keys["pipeline.sft.fit.steps"].default == "320"
    assert not [key for key in keys if key.endswith((".announce", "panel.judges", "panel.versions"))]


def test_another_choice_has_other_keys() -> None:
    keys = {key.key: key for key in describe("train", ["optimizer=grpo", "optimizer.beta=2"])}
    assert keys["optimizer.beta"].default == "2"
    assert "optimizer.kl_max" not in keys


def test_a_key_without_a_default_says_so() -> None:
    keys = {key.key: key for key in describe("judge")}
    assert keys["input"].default is None
    assert keys["chunk"].default == "128"


def sections(section: type[Section]) -> set[type[Section]]:
    inner = {found for annotation in fields_of(section).values() if (found := section_in(annotation)) is not None}
    return {section}.union(*map(sections, inner))


@pytest.mark.parametrize("section", sorted(set().union(*map(sections, SCHEMAS.values())), key=lambda s: s.__name__))
def test_every_key_of_the_schema_has_one_sentence(section: type[Section]) -> None:
    for key, sentence in sentences_of(section).items():
        assert re.fullmatch(r"[A-Z`].*\.", sentence), f"{section.__name__}.{key}: {sentence!r}"


def test_groups_offer_choices_with_what_their_files_say() -> None:
    found = {group.name: group for group in groups("train")}
    first, last = ["model", "data", "tasks", "reward", "judges", "panel"], ["trainer", "logger", "experiment"]
    assert list(found) == [*first, "rollout", "optimizer", "pipeline", *last]
    assert list(found["optimizer"].choices) == choices("optimizer")
    assert found["optimizer"].chosen == ("crpg",)
    assert found["experiment"].chosen == ()
    assert found["trainer"].choices["cpu"] == "One process on a CPU."
    assert all(group.sentence for group in found.values())
    assert [group.name for group in groups("judge")] == ["judges", "panel", "pipeline"]


@pytest.mark.parametrize("group", [group.name for group in groups("train")])
def test_every_choice_says_what_it_is(group: str) -> None:
    (found,) = [g for g in groups("train") if g.name == group]
    assert [choice for choice, said in found.choices.items() if not said] == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (5e-4, "0.0005"),
        ("", '""'),
        (" yes", '" yes"'),
        ("a b", "a b"),
        ([1, "a"], "[1, a]"),
        ({"a": {"b": None}}, "{a: {b: null}}"),
    ],
)
def test_values_are_shown_as_yaml_has_them(value: object, text: str) -> None:
    assert as_yaml(value) == text


def test_the_reference_page_tells_every_key_and_every_class() -> None:
    page = reference_page()
    for command in (
        "train",
        "evaluate",
        "judge",
        "train-judge",
        "benchmark",
        "reproduce",
        "plan",
        "report",
        "dashboard",
    ):
        assert f"## cgpo {command}\n" in page
    for target in ("cgpo.optimizer.CRPG", "cgpo.judges.math.MathJudge", "cgpo.training.callbacks.Checkpoints"):
        assert f"#### `{target}`\n" in page
    assert page.count("| `optim.learning_rate` |") == 1
    assert "| `kl_max` | a number above 0 (nats a response)" in page
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in rows} == {5}
    assert Path("/").as_posix() not in {row.split("|")[3].strip() for row in rows}
