"""Components: read from mappings, written back, looked through."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from cgpo.config import Component, artifacts, leaves, mapped, plain, within
from cgpo.config.components import components

SCALARS = st.none() | st.booleans() | st.integers() | st.text("ab:", max_size=3) | st.just("artifact:x")
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
        | st.dictionaries(st.sampled_from("abc"), inner, max_size=3).map(lambda d: {"_target_": "m.C", **d})
        | st.tuples(inner, inner).map(lambda t: {"_target_": "m.D", "_args_": [t[0]], "_partial_": True, "x": t[1]})
    ),
    max_leaves=10,
)


@given(VALUES)
def test_what_is_read_is_written_back(value: Any) -> None:
    assert plain(components("key", value)) == value


@given(VALUES)
def test_changing_nothing_changes_nothing(value: Any) -> None:
    read = components("key", value)
    assert plain(mapped(read, lambda _, leaf: leaf)) == value
    assert str(value).count("artifact:x") == len([name for name in artifacts(read) if name == "x"])


def test_every_component_is_told_where_it_stands() -> None:
    inner = {"_target_": "m.Inner"}
    found = components("a", {"b": [{"_target_": "m.Outer", "c": {"d": inner}}], "e": inner})
    assert [(component.where, component.target) for component in within(found)] == [
        ("a.b.0.c.d", "m.Inner"),
        ("a.b.0", "m.Outer"),
        ("a.e", "m.Inner"),
    ]


def test_keys_about_making_are_no_arguments() -> None:
    found = components(
        "a", {"_target_": "m.C", "_args_": [1], "_partial_": True, "_recursive_": False, "_convert_": "all"}
    )
    assert found == Component("m.C", {}, positional=(1,), partial=True, nested=False)


def test_a_leaf_is_changed_under_its_own_name() -> None:
    found = components("a", {"_target_": "m.C", "device": "auto", "parts": [{"device": "auto", "name": "auto"}]})
    placed = mapped(found, lambda name, leaf: "cpu" if name == "device" else leaf)
    assert list(leaves(placed)) == ["cpu", "cpu", "auto"]


def test_an_argument_has_the_classs_default() -> None:
    sampler = Component("cgpo.rollout.DecodingSampler", {"max_new_tokens": 4})
    assert [sampler.get(name) for name in ("max_new_tokens", "top_p", "max_batch", "nothing")] == [4, 1.0, None, None]
    assert sampler.given(top_p=0.5).arguments == {"max_new_tokens": 4, "top_p": 0.5}
