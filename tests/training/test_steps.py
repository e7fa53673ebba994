"""Which prompts an update gets."""

import pytest
from tests.tasks.fakes import expert

from cgpo.training.steps import Steps, batch_at
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


def test_each_update_has_its_prompts_of_every_task() -> None:
    experts = [expert(name="a", batch_size=3), expert(name="b", batch_size=2)]
    steps = Steps(experts, updates=4, seed=7)
    batches = list(steps.loader())
    assert len(steps) == len(batches) == 4
    assert [list(batch) for batch in batches] == [["a", "b"]] * 4
    assert [len(batch["a"]) for batch in batches] == [3] * 4
    of_a = [p.key for batch in batches for p in batch["a"]]
    assert sorted(of_a[:4]) == sorted(p.key for p in experts[0].prompts), "an epoch is without replacement"
    assert batches[2] == Steps(experts, updates=9, seed=7)[2]
    assert [Steps(experts, 4, seed)[0] for seed in range(5)] != [batches[0]] * 5
