import pytest

from cgpo.data.source import fits_context
from cgpo.training.steps import batch_at
from cgpo.types import Prompt

PROMPTS = tuple(Prompt(f"rows:{i}", f"{i}") for i in range(10))


def texts(batch_size: int, seed: int, step: int, task: str = "", count: int = 10) -> list[str]:
    return [prompt.text for prompt in batch_at(PROMPTS[:count], batch_size, seed, step, task)]


def test_the_order_is_the_same_on_every_machine() -> None:
    assert texts(5, seed=0, step=0) + texts(5, seed=0, step=1) == list("1285093476")
    assert texts(5, seed=0, step=2, task="math") == list("17902")


def test_each_epoch_takes_every_prompt_once_in_an_order_of_its_own() -> None:
    walked = [text for step in range(10) for text in texts(3, seed=7, step=step)]
    epochs = [walked[start : start + 10] for start in (0, 10, 20)]
    assert [sorted(epoch) for epoch in epochs] == [sorted(map(str, range(10)))] * 3
    assert epochs[0] != epochs[1] != epochs[2]


def test_a_batch_larger_than_the_data_repeats_prompts_as_evenly_as_it_can() -> None:
    batch = texts(7, seed=0, step=0, count=3)
    assert sorted(batch[:3]) == sorted(batch[3:6]) == ["0", "1", "2"]
    assert len(batch) == 7


def test_seed_and_task_change_the_order() -> None:
    orders = {tuple(texts(10, seed, 0, task)) for seed in (0, 1) for task in ("", "math", "chat")}
    assert len(orders) == 6


@pytest.mark.parametrize(("count", "batch_size", "step"), [(0, 1, 0), (3, 0, 0), (3, 1, -1)])
def test_no_batch_can_be_made(count: int, batch_size: int, step: int) -> None:
    with pytest.raises(ValueError, match="no batch of"):
        batch_at(PROMPTS[:count], batch_size, 0, step)


def test_prompts_too_long_for_the_context_are_left_out_and_counted() -> None:
    prompts = tuple(Prompt(f"rows:{i}", "x" * length) for i, length in enumerate((3, 9, 4, 5)))
    kept, left_out = fits_context(prompts, lambda prompt: range(len(prompt.text)), limit=4)
    assert ([prompt.key for prompt in kept], left_out) == (["rows:0", "rows:2"], 2)
