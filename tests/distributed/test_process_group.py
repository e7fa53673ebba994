"""Who takes which prompts of a batch, and what processes tell each other: three real ones, and two pairs of peers."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from tests.distributed.talk_of_processes import DTYPES, tensors
from tests.processes import together

from cgpo.distributed.process_group import ALONE, Processes


@given(some.integers(1, 9), some.integers(0, 40), some.integers(0, 100))
def test_places_are_dealt_out_evenly_and_each_once(size: int, count: int, offset: int) -> None:
    of_ranks = [Processes(rank=rank, size=size).places(count, offset) for rank in range(size)]
    assert sorted(place for places in of_ranks for place in places) == list(range(count))
    assert all(places == sorted(places) for places in of_ranks)
    assert max(map(len, of_ranks)) - min(map(len, of_ranks)) <= 1
    for rank, places in enumerate(of_ranks):
        assert Processes(rank=0, size=size).places(count, offset, rank) == places


@given(some.lists(some.integers(0, 7), max_size=6), some.integers(1, 5))
def test_short_batches_one_after_another_are_dealt_out_like_a_long_one(counts: list[int], size: int) -> None:
    """With the number of prompts before it as a batch's offset."""
    of_ranks = [0] * size
    for i, count in enumerate(counts):
        for rank in range(size):
            of_ranks[rank] += len(Processes(rank=rank, size=size).places(count, sum(counts[:i])))
    assert max(of_ranks) - min(of_ranks) <= 1


def test_places_by_hand() -> None:
    three = [Processes(rank=rank, size=3) for rank in range(3)]
    assert [each.places(7) for each in three] == [[0, 3, 6], [1, 4], [2, 5]]
    assert [each.places(2, offset=7) for each in three] == [[], [0], [1]]
    assert three[2].places(7, rank=0) == [0, 3, 6]
    assert ALONE.places(3, offset=2) == [0, 1, 2]


def test_alone_there_is_nobody_to_tell() -> None:
    tensor = torch.tensor([1.0, 2.0])
    ALONE.sum([tensor])
    assert tensor.tolist() == [1.0, 2.0]
    assert (ALONE.largest(3), ALONE.any(False), ALONE.any(True)) == (3, False, True)
    assert ALONE.objects("x") == ["x"]
    assert [t.tolist() for (t,) in ALONE.rows([tensor])] == [[1.0, 2.0]]
    assert (ALONE.alone, ALONE.first) == (True, True)


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of three processes was told."""
    return _told(tmp_path_factory.mktemp("three"), 3, 1)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of two processes with a peer each was told; peers have other rows than those who speak for them."""
    return _told(tmp_path_factory.mktemp("pairs"), 4, 2)


def _told(folder: Path, count: int, peers: int) -> list[dict[str, Any]]:
    together(count, "tests.distributed.talk_of_processes", str(peers), str(folder), folder=folder, seconds=100)
    return [torch.load(folder / f"told-{rank}.pt", weights_only=True) for rank in range(count)]


def test_each_is_told_what_the_others_say(three: list[dict[str, Any]]) -> None:
    for found in three:
        assert found["largest"] == 12
        assert (found["any of one"], found["any of none"]) == (True, False)
        assert found["objects"] == [{"rank": 0}, {"rank": 1}, {"rank": 2}]
    assert [found["first"] for found in three] == [True, False, False]
    assert not any(found["alone"] for found in three)


def test_sums_are_in_place_and_by_dtype(three: list[dict[str, Any]]) -> None:
    for found in three:
        floats, doubles, whole = found["sums"]
        torch.testing.assert_close(floats, torch.tensor([[3.0, 6.0], [9.0, 12.0]]))
        torch.testing.assert_close(doubles, torch.tensor(3e-12, dtype=torch.float64), rtol=0, atol=1e-24)
        assert whole.tolist() == [2**53 + 3]


def test_rows_are_padded_to_the_widest_and_keep_their_numbers(three: list[dict[str, Any]]) -> None:
    """Process `r` has `2 - r` rows of width `3r + 1`: the last has none, and the widest."""
    for found in three:
        assert [len(rows) for rows in found["rows"]] == [len(DTYPES) + 1] * 3
        for rank, rows in enumerate(found["rows"]):
            for row, own in zip(rows, tensors(rank), strict=True):
                assert row.dtype == own.dtype
                assert len(row) == len(own) == 2 - rank
                if row.dim() == 1:
                    assert torch.equal(row, own)
                    continue
                assert row.shape[1:] == (7, 2)
                assert torch.equal(row[:, : own.shape[1]], own)
                assert not row[:, own.shape[1] :].any()


def test_peers_take_the_rows_of_the_first_of_them(pairs: list[dict[str, Any]]) -> None:
    assert [found["first"] for found in pairs] == [True, False, False, False]
    assert [found["objects"] for found in pairs] == [[{"rank": 0}, {"rank": 2}], [{"rank": 1}, {"rank": 3}]] * 2
    for found in pairs:
        assert found["largest"] == 13
        for rows, rank in zip(found["rows"], (0, 2), strict=True):
            for row, own in zip(rows, tensors(rank), strict=True):
                assert row.dtype == own.dtype
                assert torch.equal(row[:, : own.shape[1]] if own.dim() > 1 else row, own)
    assert [found["sums"][0][0, 0].item() for found in pairs] == [2.0, 4.0, 2.0, 4.0]
