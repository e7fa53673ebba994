import math

import pytest
import torch

from cgpo.rollout.sampling import SamplingParameters, sample_tokens

PROBABILITIES = torch.tensor([0.4, 0.05, 0.25, 0.2, 0.1], dtype=torch.float64)


def draw(temperature: float = 1.0, top_p: float = 1.0, top_k: int = 0) -> SamplingParameters:
    return SamplingParameters(temperature, top_p, top_k)


def uniform(count: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def drawn(settings: SamplingParameters, times: int = 20_000) -> torch.Tensor:
    """How often each token is drawn; asserts the log-probabilities of the uncut distribution on the way."""
    logits = PROBABILITIES.log() + 3.0
    tokens, logprobs = sample_tokens(logits.expand(times, -1), settings, uniform(times))
    uncut = torch.log_softmax(logits / settings.temperature, dim=0)
    torch.testing.assert_close(logprobs, uncut[tokens], rtol=1e-12, atol=1e-12)
    return torch.bincount(tokens, minlength=5)


def assert_frequencies(counts: torch.Tensor, probabilities: torch.Tensor) -> None:
    """Pearson's chi-square, at most the 99.9 % quantile for 4 degrees of freedom (fewer where tokens are cut)."""
    assert (counts[probabilities == 0] == 0).all()
    kept = probabilities > 0
    expected = probabilities[kept] / probabilities.sum() * counts.sum()
    assert ((counts[kept] - expected) ** 2 / expected).sum().item() < 18.47


def test_frequencies_are_the_probabilities() -> None:
    assert_frequencies(drawn(draw()), PROBABILITIES)


def test_the_check_of_frequencies_can_fail() -> None:
    with pytest.raises(AssertionError):
        assert_frequencies(drawn(draw(temperature=1.2)), PROBABILITIES)


def test_temperature_divides_the_logits() -> None:
    assert_frequencies(drawn(draw(temperature=2.0)), PROBABILITIES.sqrt())
    assert_frequencies(drawn(draw(temperature=0.5)), PROBABILITIES**2)


@pytest.mark.parametrize(
    ("top_k", "kept"), [(1, [0]), (2, [0, 2]), (3, [0, 2, 3]), (4, [0, 2, 3, 4]), (5, range(5)), (99, range(5))]
)
def test_top_k(top_k: int, kept: list[int]) -> None:
    inside = torch.zeros(5, dtype=torch.float64)
    inside[list(kept)] = PROBABILITIES[list(kept)]
    assert_frequencies(drawn(draw(top_k=top_k)), inside)


@pytest.mark.parametrize(
    ("top_p", "kept"),
    [
        (0.01, [0]),  # the most probable token always stays
        (0.39, [0]),
        (0.41, [0, 2]),  # 0.4 falls short of it, so the next one is needed
        (0.64, [0, 2]),
        (0.66, [0, 2, 3]),
        (0.94, [0, 2, 3, 4]),
        (0.96, [0, 1, 2, 3, 4]),
    ],
)
def test_top_p_keeps_the_smallest_nucleus_of_that_mass(top_p: float, kept: list[int]) -> None:
    inside = torch.zeros(5, dtype=torch.float64)
    inside[kept] = PROBABILITIES[kept]
    assert_frequencies(drawn(draw(top_p=top_p)), inside)


def test_top_p_is_of_what_top_k_left() -> None:
    # Of 0.4, 0.25, 0.2 the shares are 0.47, 0.29, 0.24: a mass of 0.75 needs two, of 0.77 three
    for top_p, kept in ((0.75, [0, 2]), (0.77, [0, 2, 3])):
        inside = torch.zeros(5, dtype=torch.float64)
        inside[kept] = PROBABILITIES[kept]
        assert_frequencies(drawn(draw(top_k=3, top_p=top_p)), inside)


def test_top_p_is_taken_at_the_temperature() -> None:
    # Squared and normalised: 0.588, 0.009, 0.230, 0.147, 0.037; a mass of 0.8 needs 0.588 + 0.230
    inside = torch.tensor([0.16, 0.0, 0.0625, 0.0, 0.0], dtype=torch.float64)
    assert_frequencies(drawn(draw(temperature=0.5, top_p=0.8)), inside)


def test_a_tiny_temperature_is_greedy() -> None:
    counts = drawn(draw(temperature=1e-4), times=1000)
    assert counts.tolist() == [1000, 0, 0, 0, 0]


def test_rows_have_their_own_distribution() -> None:
    logits = torch.full((3, 4), -math.inf)
    logits[torch.arange(3), torch.tensor([2, 0, 3])] = 0.0
    tokens, logprobs = sample_tokens(logits, draw(), uniform(len(logits)))
    assert tokens.tolist() == [2, 0, 3]
    assert logprobs.tolist() == [0.0, 0.0, 0.0]


def test_the_random_number_is_found_among_the_cumulated_probabilities() -> None:
    # 0.4, 0.45, 0.7, 0.9, 1.0
    numbers = torch.tensor([0.0, 0.39, 0.41, 0.46, 0.69, 0.71, 0.89, 0.91, 0.999], dtype=torch.float64)
    tokens, _ = sample_tokens(PROBABILITIES.log().expand(9, -1), draw(), numbers)
    assert tokens.tolist() == [0, 0, 1, 2, 2, 3, 3, 4, 4]


def test_low_precision_logits_are_drawn_in_float32() -> None:
    logits = torch.randn(4, 8, generator=torch.Generator().manual_seed(0)).bfloat16()
    tokens, logprobs = sample_tokens(logits, draw(), uniform(len(logits)))
    assert logprobs.dtype == torch.float32
    wanted = logits.float().log_softmax(-1).gather(-1, tokens[:, None])[:, 0]
    assert torch.equal(logprobs, wanted)
