"""What a component stands for is made as its configuration says."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import pytest

from cgpo.build.objects import make, make_with, target_of, without_artifacts
from cgpo.config import Component
from cgpo.config.components import components
from cgpo.errors import UserError

HERE = __name__


class Part:
    def __init__(self, *values: object, size: int = 1, inner: object = None) -> None:
        if size < 0:
            raise UserError(f"Part.size is {size}: it must not be negative")
        self.values, self.size, self.inner = values, size, inner


def made(config: Any) -> Any:
    return make(components("key", config))


def test_plain_values_stay_as_they_are() -> None:
    value = {"a": [1, "x", None, {"b": True}]}
    assert made(value) == value


def test_inner_components_are_made_first() -> None:
    part = {"_target_": f"{HERE}.Part"}
    found = made({**part, "inner": {"parts": [{**part, "size": 3}]}, "_args_": [1, part]})
    assert found.values[0] == 1
    assert isinstance(found.values[1], Part)
    assert found.inner["parts"][0].size == 3
    assert isinstance(found.inner, Mapping)
    assert isinstance(found.inner["parts"], Sequence)


def test_a_component_that_does_not_recurse_passes_mappings_on() -> None:
    inner = {"_target_": f"{HERE}.Part", "size": 2}
    assert made({"_target_": f"{HERE}.Part", "_recursive_": False, "inner": inner}).inner == inner


def test_a_partial_component_is_called_later() -> None:
    later = made({"_target_": f"{HERE}.Part", "_partial_": True, "size": 4})
    assert isinstance(later, partial)
    assert later(1, inner="x").__dict__ == {"values": (1,), "size": 4, "inner": "x"}


def test_further_arguments_may_be_objects() -> None:
    given = object()
    assert make_with(Component(f"{HERE}.Part", {"size": 2}), inner=given).inner is given


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"size": -1}, r"^key: Part\.size is -1: it must not be negative$"),
        ({"colour": "red"}, r"^key: .*unexpected keyword argument 'colour'$"),
        ({"size": "x"}, r"^key: '<' not supported"),
    ],
)
def test_what_a_class_refuses_is_said_with_the_key(config: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        made({"_target_": f"{HERE}.Part", **config})


def test_a_target_may_lie_in_a_class() -> None:
    assert target_of("pathlib.Path.home")() == target_of("pathlib.Path").home()
    with pytest.raises(ImportError):
        target_of("pathlib.NoSuchThing")


def test_parts_of_a_recipe_that_need_no_artifact() -> None:
    fit = {"_target_": "a.Fit", "steps": 1}
    recipe = components(
        "pipeline.x", {"_target_": "a.Stage", "policy": "artifact:sft", "fit": fit, "more": [{"y": fit}]}
    )
    assert [part.where for part in without_artifacts(recipe)] == ["pipeline.x.fit", "pipeline.x.more.0.y"]
    assert [part.target for part in without_artifacts(components("", fit))] == ["a.Fit"]
