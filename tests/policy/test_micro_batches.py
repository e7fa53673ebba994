from hypothesis import given
from hypothesis import strategies as st

from cgpo.policy.micro_batches import PASS_COST, length_grouped_batches, padded_batches

LENGTHS = st.lists(st.integers(1, 600), max_size=40)


def cost(batches: list[list[int]], lengths: list[int]) -> int:
    return sum(len(part) * max(lengths[i] for i in part) + PASS_COST for part in batches)


@given(LENGTHS, st.integers(1, 5000))
def test_everything_once_longest_first_and_never_dearer(lengths: list[int], max_tokens: int) -> None:
    grouped, plain = length_grouped_batches(lengths, max_tokens), padded_batches(lengths, max_tokens)
    assert [i for part in grouped for i in part] == [i for part in plain for i in part]
    assert len(grouped) >= len(plain), "a batch is only ever cut"
    assert cost(grouped, lengths) <= cost(plain, lengths)


def test_by_hand() -> None:
    # One of 300 beside three of 100: a cut saves 3 · 200 tokens. 100 beside 90: it would save 10.
    assert length_grouped_batches([100, 300, 90, 100], 10_000) == [[1], [0, 3, 2]]
    assert length_grouped_batches([64] * 8, 10_000) == [list(range(8))]
    assert length_grouped_batches([], 10) == []
