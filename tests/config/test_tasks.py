"""Tasks made whole, and the judges of those they list that a run asks."""

from pathlib import Path

import pytest
from tests.config.reading import complaint, read

from cgpo.config import Component, TrainConfig

LEFT_OUT = "judges that tasks list and this run does not ask: "


def test_a_task_has_the_runs_optimizer_with_its_own_limit() -> None:
    tasks = read().tasks
    assert {name: task.optimizer.arguments["kl_max"] for name, task in tasks.items()} == {
        "general_chat": 8.0,
        "instruction_following": 16.0,
        "math_code": 16.0,
        "engagement": 8.0,
        "harmful_intent": 8.0,
    }
    assert {task.optimizer.where for task in tasks.values()} == {f"tasks.{name}.optimizer" for name in tasks}


def test_what_a_task_has_of_its_own_reaches_it_alone() -> None:
    tasks = read(
        "+tasks.math_code.optimizer.factor_cap=2",
        "tasks.math_code.kl_max=30",
        "tasks.engagement.judges=[safety]",
        "+tasks.engagement.rollout.temperature=0.5",
        "tasks.general_chat.data=[general_chat,engagement]",
    ).tasks
    assert {name for name, task in tasks.items() if task.optimizer.arguments["factor_cap"] == 2} == {"math_code"}
    assert {name for name, task in tasks.items() if task.optimizer.arguments["kl_max"] == 30} == {"math_code"}
    assert {name for name, task in tasks.items() if task.rollout.arguments["temperature"] == 0.5} == {"engagement"}
    assert tasks["engagement"].judges == ("safety",)
    assert tasks["general_chat"].data == ("general_chat", "engagement")


def test_a_task_can_have_an_optimizer_of_another_kind() -> None:
    tasks = read("+tasks.math_code.optimizer={_target_:cgpo.optimizer.CRRAFT,kl_max:5}").tasks
    assert tasks["math_code"].optimizer == Component("cgpo.optimizer.CRRAFT", {"kl_max": 5})
    assert tasks["engagement"].optimizer.target == "cgpo.optimizer.CRPG"


def test_an_optimizer_with_a_limit_of_its_own_keeps_it() -> None:
    found = read("optimizer.kl_max=3", "tasks.math_code.kl_max=null")
    assert {task.optimizer.arguments["kl_max"] for task in found.tasks.values()} == {3}


def test_any_class_with_an_argument_kl_max_gets_the_tasks_limit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "an_optimizer_of_ones_own.py").write_text(
        "class Mine:\n    def __init__(self, kl_max: float, beta: float = 1.0): ...\n"
        "class Free:\n    def __init__(self, kl_max: float = 4.0): ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    for name, limits in (("Mine", {8.0, 16.0}), ("Free", {8.0, 16.0})):
        tasks = read("optimizer=crraft", f"optimizer._target_=an_optimizer_of_ones_own.{name}").tasks
        assert {task.optimizer.arguments["kl_max"] for task in tasks.values()} == limits
    tasks = read("optimizer=raft", "optimizer._target_=an_optimizer_of_ones_own.Free").tasks
    assert [task.optimizer.arguments for task in tasks.values()] == [{}] * 5


def test_what_no_task_names_is_left_out() -> None:
    found = read("tasks=reasoning", "judges=all")
    assert (set(found.judges), set(found.reward), set(found.data)) == ({"math", "code"}, {"helpfulness"}, {"math_code"})
    assert found.notes == ()


@pytest.mark.parametrize(
    ("overrides", "note"),
    [
        (["judges=[math]", "tasks=reasoning"], "math_code → code"),
        (["judges=none", "tasks=reasoning"], "math_code → math, code"),
        (
            ["judges=rules"],
            "general_chat → false_refusal, factuality; engagement → false_refusal; harmful_intent → safety",
        ),
        (
            [
                "judges=[math,false_refusal_rules]",
                "tasks=[math_code,engagement]",
                "tasks.engagement.judges=[false_refusal_rules]",
            ],
            "math_code → code",
        ),
        (
            ["judges=[math]", "tasks=[math_code,engagement]", "tasks.math_code.judges=[math]"],
            "engagement → false_refusal",
        ),
    ],
)
def test_judges_that_a_run_leaves_out_are_told_in_one_line(overrides: list[str], note: str) -> None:
    assert read(*overrides).notes == (f"{LEFT_OUT}{note}",)


def test_a_chosen_judge_that_no_task_lists_is_told() -> None:
    found: TrainConfig = read("judges=[math,code,safety]", "tasks=reasoning")
    assert found.notes == (
        "judges that no task lists, so that nobody asks them: safety; tasks.math_code.judges=[safety]",
    )
    assert read("judges=all", "tasks=reasoning").notes == ()


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (
            ["judges=[math]", "tasks=[math_code,engagement]", "tasks.engagement.judges=[safety]"],
            ["tasks.engagement.judges is [safety], and this run asks math", "add safety to judges=[…]"],
        ),
        (
            ["judges=none", "tasks=reasoning", "tasks.math_code.judges=math"],
            ["tasks.math_code.judges is [math], and this run asks no judges"],
        ),
        (
            ["judges=[math,false_refusal_rules]", "tasks=[math_code,engagement]"],
            ["tasks.engagement.judges: false_refusal is not among ", "did you mean false_refusal_rules, "],
        ),
    ],
)
def test_a_task_is_not_left_without_judges_by_accident(overrides: list[str], parts: list[str]) -> None:
    message = complaint(*overrides)
    assert [part for part in parts if part not in message] == [], message


def test_a_choice_and_its_key_have_one_name() -> None:
    found = read("tasks=real_xstest", "data=xstest", "reward=constant", "judges=[false_refusal_rules]")
    assert list(found.judges) == ["false_refusal_rules"]
    assert found.tasks["xstest"].judges == ("false_refusal_rules",)


def test_callbacks_that_name_judges_get_them() -> None:
    alarm = read("callbacks.alarm.judges=[safety]", "tasks=reasoning").callbacks["alarm"]
    given = alarm.arguments["judges"]
    assert isinstance(given, dict)
    assert given["safety"].target == "cgpo.judges.language_model.LanguageModelJudge"


def test_a_judge_behind_an_endpoint_needs_no_model() -> None:
    endpoint = "judges.safety.endpoint={url:'http://localhost:8000/v1',model:m}"
    assert read(endpoint).judges["safety"].arguments["model"] is None
    assert read().judges["safety"].arguments["model"] == "artifact:judge_safety"
