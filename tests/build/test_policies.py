"""Names and folders of the policies that are put side by side."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cgpo.build.policies import derived_names, named_policies
from cgpo.errors import UserError


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


def named(policies: object, model: str = "model") -> dict[str, str]:
    return named_policies({"policies": policies, "model": {"path": model}}, reserved="opponent")


def test_a_list_a_mapping_or_the_model_alone() -> None:
    assert named(None, "artifact:warmup") == {"warmup": "artifact:warmup"}
    assert named(["runs/a/policy"]) == {"a": "runs/a/policy"}
    assert named({"mine": "runs/a/policy", 1: "b"}) == {"mine": "runs/a/policy", "1": "b"}


def test_a_runs_folder_stands_for_its_policy(tmp_path: Path) -> None:
    (tmp_path / "run/policy").mkdir(parents=True)
    assert named([str(tmp_path / "run")]) == {"run": f"{tmp_path}/run/policy"}
    (tmp_path / "run/config.json").touch()
    assert named([str(tmp_path / "run")]) == {"run": f"{tmp_path}/run"}, "it is a model itself"


@pytest.mark.parametrize(
    ("policies", "message"),
    [
        ([], "write a list of paths"),
        ("runs/a", "policies is 'runs/a': write a list of paths"),
        ([3], "policies: 3 is no path"),
        ({"a": None}, "policies: None is no path"),
        ({"opponent": "a"}, "policies.opponent: this name is taken"),
    ],
)
def test_what_cannot_be_policies(policies: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        named(policies)
