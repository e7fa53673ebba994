import pytest

from cgpo.data.source import Mixture, PromptSplits
from cgpo.errors import UserError
from cgpo.types import Prompt


class Fixed:
    def __init__(self, train: list[str], held_out: list[str]) -> None:
        self.splits = PromptSplits(tuple(Prompt(k, k) for k in train), tuple(Prompt(k, k) for k in held_out))

    def load(self) -> PromptSplits:
        return self.splits


def test_the_union_is_disjoint_though_keys_are_equal() -> None:
    splits = Mixture({"one": Fixed(["1", "2"], ["3"]), "two": Fixed(["1"], [])}).load()
    assert [(prompt.key, prompt.text) for prompt in splits.train] == [("one/1", "1"), ("one/2", "2"), ("two/1", "1")]
    assert [prompt.key for prompt in splits.held_out] == ["one/3"]


def test_a_source_that_gives_two_prompts_one_key() -> None:
    with pytest.raises(UserError, match="1 keys stand for two prompts, the first is 'one/1'"):
        Mixture({"one": Fixed(["1"], ["1"])}).load()


def test_names_keep_sources_apart() -> None:
    with pytest.raises(UserError, match="a word without slashes, found 'a/b'"):
        Mixture({"a/b": Fixed(["1"], [])})
    with pytest.raises(UserError, match="at least one source"):
        Mixture({})
