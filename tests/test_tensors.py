import math

import pytest
import torch

from cgpo.tensors import check_shape, first_argmax, first_argmin, masked_sum, pad_rows, take

NAN, INF = math.nan, math.inf


def test_masked_sum_leaves_out_what_is_masked_even_nan() -> None:
    values = torch.tensor([[1.0, 2.0, NAN], [INF, -4.0, 8.0], [NAN, NAN, NAN]], requires_grad=True)
    mask = torch.tensor([[True, True, False], [False, True, True], [False, False, False]])
    total = masked_sum(values, mask)
    assert total.tolist() == [3.0, 4.0, 0.0]
    total.sum().backward()
    assert values.grad is not None
    assert torch.equal(values.grad, mask.float())


@pytest.mark.parametrize(
    ("values", "mask", "highest", "lowest"),
    [
        ([1.0, 3.0, 2.0], [True, True, True], 1, 0),
        ([1.0, 3.0, 2.0], [True, False, True], 2, 0),
        ([-1.0, -3.0, -2.0], [False, True, True], 2, 1),  # 0/1 multiplication would find the masked 0
        ([5.0, 3.0, 4.0], [False, True, True], 2, 1),
        ([2.0, 2.0, 1.0, 1.0], [True] * 4, 0, 2),  # ties: the first
        ([2.0, 2.0, 1.0, 1.0], [False, True, False, True], 1, 3),
        ([NAN, 0.0, NAN], [False, True, False], 1, 1),
        ([INF, -1.0, -INF], [False, True, False], 1, 1),
        ([0.0, -INF, -INF], [False, False, True], 2, 2),
        ([0.0, INF, INF], [False, False, True], 2, 2),
        ([1.0, 2.0], [False, False], 0, 0),
    ],
)
def test_first_argmax_and_argmin(values: list[float], mask: list[bool], highest: int, lowest: int) -> None:
    assert first_argmax(torch.tensor([values]), torch.tensor([mask])).tolist() == [highest]
    assert first_argmin(torch.tensor([values]), torch.tensor([mask])).tolist() == [lowest]


def test_rows_are_independent() -> None:
    values = torch.tensor([[1.0, 2.0], [4.0, 3.0]])
    assert first_argmax(values, torch.ones(2, 2, dtype=torch.bool)).tolist() == [1, 0]
    assert take(values, torch.tensor([1, 0])).tolist() == [2.0, 4.0]


@pytest.mark.parametrize("shape", [(2, 3), (None, 3), (2, None), (None, None)])
def test_a_fitting_shape_passes(shape: tuple[int | None, ...]) -> None:
    check_shape("reward", torch.zeros(2, 3), *shape)


@pytest.mark.parametrize("shape", [(3, 2), (2,), (2, 3, 1), (None, 4), ()])
def test_another_shape_is_named(shape: tuple[int | None, ...]) -> None:
    with pytest.raises(ValueError, match=r"^reward has shape \(2, 3\), expected"):
        check_shape("reward", torch.zeros(2, 3), *shape)


def test_the_message_says_what_may_be_any() -> None:
    with pytest.raises(ValueError, match=r"expected \('any', 4\)"):
        check_shape("reward", torch.zeros(2, 3), None, 4)


def test_rows_are_filled_up_on_the_right() -> None:
    values, mask = pad_rows([[7, 8], [], [9]], fill=-1)
    assert values.tolist() == [[7, 8], [-1, -1], [9, -1]]
    assert mask.tolist() == [[True, True], [False, False], [True, False]]
    assert values.dtype == torch.int64
    empty, nothing = pad_rows([[], []], fill=0)
    assert (empty.shape, nothing.shape) == ((2, 0), (2, 0))
