"""The number of threads that is fastest."""

import pytest
import torch

from cgpo.training.fit import fastest_threads


class Work:
    """Takes a time that depends on the number of threads, by a clock of its own; remembers which were tried."""

    def __init__(self, fastest: int) -> None:
        self.fastest = fastest
        self.tried: list[int] = []
        self.seconds = 0.0

    def __call__(self) -> None:
        threads = torch.get_num_threads()
        self.tried.append(threads)
        self.seconds += 1.0 if threads == self.fastest else 1.5

    def clock(self) -> float:
        return self.seconds


@pytest.mark.parametrize(
    ("most", "fastest", "tried"), [(3, 3, [1, 2, 3]), (4, 2, [1, 2, 4]), (1, 1, [1]), (4, 1, [1, 2, 4])]
)
def test_the_fastest_number_of_threads_is_kept(most: int, fastest: int, tried: list[int]) -> None:
    work = Work(fastest)
    try:
        assert fastest_threads(work, most=most, clock=work.clock) == fastest
        assert torch.get_num_threads() == fastest
        assert sorted(set(work.tried)) == tried
        assert len(work.tried) == 3 * len(tried), "once to warm up, twice to measure"
    finally:
        torch.set_num_threads(1)
