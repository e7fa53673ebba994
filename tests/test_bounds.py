"""What a value may be: checked, and said in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, Gt, Le, Lt
from hypothesis import given
from hypothesis import strategies as st

from cgpo.bounds import Unit, check_arguments, check_fields, complaint, fits, needed, unit_of
from cgpo.errors import UserError

Share = Annotated[float, Ge(0), Le(1)]
Seconds = Annotated[float, Gt(0), Unit("seconds")]
Colour = Literal["red", "green"]


@pytest.mark.parametrize(
    ("annotation", "right", "wrong"),
    [
        (int, [0, -3], [True, 1.0, "1", None]),
        (float, [0, 1.5, -2], [True, "1", None, float("inf"), float("nan")]),
        (bool, [True, False], [0, 1, "true", None]),
        (str, ["", "a"], [1, None, ["a"]]),
        (None, [None], [0, "", False]),
        (Share, [0, 0.5, 1], [-0.1, 1.1, True, "0.5"]),
        (Annotated[float, Gt(0), Lt(1)], [0.5], [0, 1]),
        (Seconds | None, [None, 0.1], [0, -1, "1"]),
        (int | Literal["auto"], [3, "auto"], ["aut", 1.5, None]),
        (Literal[1, True], [1, True], [0, False]),
        (Literal[1], [1], [True, 2]),
        (Colour, ["red"], ["blue", 1, None]),
        (Sequence[Colour], [[], ["red"], ("green", "red")], ["red", ["blue"], None]),
        (Mapping[str, Colour] | Colour, ["red", {}, {"a": "green"}], [{"a": "blue"}, "blue"]),
        (dict[str, int], [{}, {"a": 1}], [{"a": "1"}, []]),
        (list[int], [[1]], [["1"], 1]),
        (tuple[int, str], [(1, "a")], [1]),
        (object, [1, None, "a", []], []),
        (list, [[1, "a"]], [1, "a"]),
        (Any | None, [1, None], []),
    ],
)
def test_a_value_fits_or_does_not(annotation: object, right: list[object], wrong: list[object]) -> None:
    assert [value for value in right if not fits(annotation, value)] == []
    assert [value for value in wrong if fits(annotation, value)] == []


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (Annotated[int, Ge(1)], "a whole number of at least 1"),
        (Annotated[int, Ge(1)] | None, "a whole number of at least 1, or null"),
        (Annotated[int, Ge(1)] | Literal["auto"], "a whole number of at least 1, or auto"),
        (Annotated[float, Gt(0)], "a number above 0"),
        (Seconds, "a number above 0, in seconds"),
        (Annotated[int, Ge(1), Unit("updates")], "a whole number of at least 1"),
        (Share, "a number from 0 to 1"),
        (Annotated[float, Gt(0), Le(1)], "a number above 0 and of at most 1"),
        (bool, "true or false"),
        (bool | Literal["auto"], "true, false or auto"),
        (Colour, "red or green"),
        (Literal["a", "b", "c"] | None, "a, b or c, or null"),
        (Sequence[Colour], "a list of some of red, green"),
        (list[str] | str, "a list of texts, or a text"),
        (Mapping[str, int], "a mapping"),
        (object, ""),
        (str | object, ""),
    ],
)
def test_what_is_needed_in_words(annotation: object, words: str) -> None:
    assert needed(annotation) == words


@pytest.mark.parametrize(
    ("annotation", "value", "line"),
    [
        (Colour, "gren", "a.b is 'gren': it must be red or green (did you mean green?)"),
        (Share, 2, "a.b is 2: it must be a number from 0 to 1"),
        (
            Colour | Mapping[str, Colour],
            {"code": "rd"},
            "a.b.code is 'rd': it must be red or green (did you mean red?)",
        ),
        (int | Mapping[str, int] | None, {"code": None}, "a.b.code is None: it must be a whole number"),
    ],
)
def test_what_is_said_of_a_value_that_does_not_fit(annotation: object, value: object, line: str) -> None:
    assert complaint("a.b", annotation, value) == line


def test_a_unit_is_found_wherever_it_stands() -> None:
    assert unit_of(Seconds | None) == "seconds"
    assert unit_of(Mapping[str, Seconds] | float) == "seconds"
    assert unit_of(float | None) == ""


@given(st.integers(), st.integers(), st.integers())
def test_bounds_are_what_they_say(low: int, high: int, value: int) -> None:
    assert fits(Annotated[int, Ge(low), Lt(high)], value) is (low <= value < high)
    assert fits(Annotated[float, Gt(low), Le(high)], value) is (low < value <= high)


@dataclass(frozen=True)
class Waiting:
    after: Seconds
    colour: Colour = "red"
    made: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class WaitingLonger(Waiting):
    share: Share = 0.5


def test_a_dataclass_checks_its_fields_those_of_its_base_included() -> None:
    assert WaitingLonger(1.0).share == 0.5
    with pytest.raises(UserError, match=r"^Waiting\.after is 0: it must be a number above 0, in seconds$"):
        Waiting(0)
    with pytest.raises(UserError, match=r"^WaitingLonger\.after is -1: "):
        WaitingLonger(-1)
    with pytest.raises(UserError, match=r"^WaitingLonger\.share is 2: it must be a number from 0 to 1$"):
        WaitingLonger(1.0, share=2)
    with pytest.raises(UserError, match=r"^Waiting\.colour is 'blue': it must be red or green$"):
        Waiting(1.0, "blue")  # pyright: ignore[reportArgumentType]


class Asking:
    def __init__(self, timeout: Seconds = 3.0, colours: Sequence[Colour] = ()) -> None:
        check_arguments(Asking, locals())
        self.timeout = timeout


def test_a_class_checks_its_arguments() -> None:
    assert Asking(1).timeout == 1
    with pytest.raises(UserError, match=r"^Asking\.timeout is 0: it must be a number above 0, in seconds$"):
        Asking(0)
    with pytest.raises(UserError, match=r"^Asking\.colours is \['rd'\]: it must be a list of some of red, green$"):
        Asking(colours=["rd"])  # pyright: ignore[reportArgumentType]
