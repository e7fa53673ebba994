"""An evaluation's own keys: policies by name, what they are measured from, and what is wrong with them."""

import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.config.reading import complaint, read

from cgpo.config.evaluating import start_of
from cgpo.config.policies import derived_names, named_policies
from cgpo.errors import UserError

CASES = {
    "evaluation.pass_at=[1,8]": [
        "evaluation.pass_at: pass@8 needs 8 responses to a prompt, and evaluation.samples is 4"
    ],
    "evaluation.pass_at=0": ["evaluation.pass_at is 0: it must be a whole number of at least 1"],
    "evaluation.samples=-1": ["evaluation.samples is -1: it must be a whole number of at least 0"],
    "evaluation.samples=0 evaluation.greedy=null": ["samples is 0 and greedy is null"],
    "evaluation.prompts=1": ["evaluation.prompts is 1: it must be a whole number of at least 2"],
    "evaluation.resamples=1": ["evaluation.resamples is 1: ", "at least 100"],
    "evaluation.keep=some": ["evaluation.keep is 'some': ", "or null"],
    "evaluation.greedy=no": ["evaluation.greedy is 'no': it must be a mapping"],
    "+evaluation.greedy.topk=1": ["evaluation.greedy.topk: DecodingSampler takes no such", "did you mean top_k?"],
    "evaluation.greedy.top_k=-1": ["evaluation.greedy.top_k is -1: it must be a whole number of at least 0"],
    "evaluation.also_judge=[safty]": ["evaluation.also_judge: there is no choice 'safty'", "did you mean safety?"],
    "evaluation.also_judge=[3]": ["evaluation.also_judge.0 is 3: it must be a text"],
    "evaluation.win_by=rewrd": ["evaluation.win_by: there is no choice 'rewrd'", "did you mean reward?"],
    "evaluation.win_by=[reward,math]": ["the task general_chat does not ask the judge math", "evaluation.also_judge"],
    "judges=[math] evaluation.win_by=safety": ["evaluation.win_by: there is no choice 'safety'; choose gold, math, "],
    "evaluation.win_by=gold tasks.math_code.gold=null": ["evaluation.win_by: the task math_code has no gold judge"],
    "evaluation.opponent=/does/not/exist": ["evaluation.opponent: /does/not/exist: there is no such model folder"],
    "+evaluation.sample=3": ["evaluation.sample: there is no such key under evaluation", "did you mean samples?"],
    "reference=/does/not/exist": ["reference: /does/not/exist: there is no such model folder"],
    "reference=artifact:wramup": ["artifact:wramup: ", "did you mean warmup?"],
    "reference=3": ["reference is 3: it must be a text"],
    "policies=[/does/not/exist,artifact:sft]": ["policies.exist: /does/not/exist: there is no such model folder"],
    "policies=[artifact:stf,artifact:warmup]": ["artifact:stf: ", "did you mean sft?"],
    "policies=[artifact:sft,artifact:sft]": ["policies: artifact:sft is there twice"],
    "policies={opponent:artifact:sft}": ["policies.opponent: this name is taken"],
    "policies=runs/a": ["policies is 'runs/a': write a list of paths"],
    "policies=[3]": ["policies: 3 is no path of a policy"],
    "policies=[]": ["policies is []: write a list of paths"],
    "updates=0": ["updates is 0"],
}


@pytest.mark.parametrize("line", CASES)
def test_one_line_names_the_key_and_the_choices(line: str) -> None:
    message = complaint(*(shlex.split(line) if "null" in line or "judges" in line else [line]), command="evaluate")
    assert [part for part in CASES[line] if part not in message] == [], message


@pytest.mark.parametrize(
    ("overrides", "found"),
    [
        ([], {"pass_at": (1, 4), "win_by": ("reward",), "also_judge": ("refusal", "suite_safety")}),
        (["evaluation.samples=1"], {"pass_at": (1,)}),
        (["evaluation.samples=0"], {"pass_at": ()}),
        (["evaluation.pass_at=2"], {"pass_at": (2,)}),
        (["evaluation.pass_at=[4,1,4]"], {"pass_at": (1, 4)}),
        (["evaluation.win_by=gold"], {"win_by": ("gold",)}),
        (["evaluation.win_by=[]", "evaluation.greedy=null"], {"win_by": (), "greedy": None}),
    ],
)
def test_settings_that_depend_on_others(overrides: list[str], found: dict[str, object]) -> None:
    settings = read(*overrides, command="evaluate").evaluation
    assert {key: getattr(settings, key) for key in found} == found


def test_judges_are_asked_besides_where_they_are_not_the_tasks_own() -> None:
    config = read("evaluation.also_judge=[safety,refusal]", command="evaluate")
    assert config.also_judged("harmful_intent") == ("refusal",)
    assert config.also_judged("math_code") == ("safety", "refusal")
    assert read().also_judged("math_code") == ()


def test_what_is_not_asked_is_told() -> None:
    config = read("judges=[math,code]", "tasks=reasoning", "evaluation.also_judge=[safety]", command="evaluate")
    assert config.notes == ("evaluation.also_judge: safety is not asked, as judges=… does not choose it",)


def test_a_policy_is_measured_from_where_its_run_began(tmp_path: Path) -> None:
    policy = tmp_path / "run/policy"
    policy.mkdir(parents=True)
    (policy / "config.json").write_text("{}")
    assert start_of(str(policy)) == str(policy)
    (tmp_path / "run/config.yaml").write_text("model: {path: 'artifact:sft'}\n")
    assert start_of(str(policy)) == start_of(str(tmp_path / "run")) == "artifact:sft"
    config = read(f"model.path={tmp_path}/run", command="evaluate")
    assert (config.reference, config.policies) == ("artifact:sft", {"run": str(policy)})
    assert read(f"policies=[{tmp_path}/run]", command="evaluate").reference == "artifact:warmup"
    assert read(f"policies=[{tmp_path}/run]", "reference=artifact:sft", command="evaluate").reference == "artifact:sft"


def test_a_policy_without_a_run_is_its_own_reference_and_that_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    config = read(f"model.path={tmp_path}", command="evaluate")
    assert config.reference == str(tmp_path)
    assert config.notes == (
        f"reference: {tmp_path} is what is evaluated, so that its KL divergence is 0; name reference=…",
    )


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["runs/a/policy", "runs/b/policy"], ["a", "b"]),
        (["runs/a/policy", "artifact:sft"], ["a", "sft"]),
        (["artifact:sft", "sft"], None),
        (["meta-llama/Llama-3.2-1B"], ["Llama-3.2-1B"]),
        (["one/seed0/policy", "two/seed0/policy"], ["one/seed0", "two/seed0"]),
        (["x/a/policy", "x/a/policy/"], None),
        (["policy"], ["policy"]),
        (["a", "b/a"], ["a", "b/a"]),
        (["/", "/b"], ["/", "b"]),
    ],
)
def test_a_name_is_as_long_as_it_takes(paths: list[str], names: list[str] | None) -> None:
    if names is None:
        with pytest.raises(UserError, match="is there twice"):
            derived_names(paths)
    else:
        assert derived_names(paths) == names


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=4).map("/".join), min_size=1, unique=True))
def test_names_never_clash(paths: list[str]) -> None:
    names = derived_names(paths)
    assert len(set(names)) == len(paths)
    assert all(path.endswith(name) for path, name in zip(paths, names, strict=True))


def test_a_runs_folder_stands_for_its_policy(tmp_path: Path) -> None:
    (tmp_path / "a/policy").mkdir(parents=True)
    given_names = {"first": str(tmp_path / "a"), "second": str(tmp_path / "b")}
    assert named_policies(given_names, "x", "opponent") == {
        "first": str(tmp_path / "a/policy"),
        "second": str(tmp_path / "b"),
    }
    assert named_policies(None, str(tmp_path / "a"), "opponent") == {"a": str(tmp_path / "a/policy")}
