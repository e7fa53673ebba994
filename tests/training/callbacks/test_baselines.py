import torch
from tests.policy.tiny import prompt
from tests.tasks.fakes import CountingSampler, expert
from tests.training.tiny_runs import fit, module_of, weights

from cgpo.training.callbacks import BaselinesAhead
from cgpo.training.module import CGPOModule

PROMPTS = tuple(prompt(5 + i, 9 + i) for i in range(7))


def trained(updates: int, *callbacks: BaselinesAhead) -> tuple[CGPOModule, list[int]]:
    """A module after some updates, and how many baselines each call of the sampler drew."""
    sampler = CountingSampler()
    module = module_of([expert(prompts=PROMPTS, sampler=sampler)])
    fit(module, updates, *callbacks)
    return module, [len(keys) for keys, copies, _ in sampler.drawn if copies == 1]


def test_baselines_of_several_updates_are_drawn_together() -> None:
    _, alone = trained(5)
    _, ahead = trained(5, BaselinesAhead(2))
    assert alone == [2, 2, 2, 1]
    assert ahead == [4, 3]


def test_no_more_is_drawn_than_the_updates_need() -> None:
    _, ahead = trained(2, BaselinesAhead(10))
    assert ahead == [4]


def test_the_weights_are_the_same_as_without() -> None:
    alone, _ = trained(4)
    ahead, _ = trained(4, BaselinesAhead(3))
    assert torch.allclose(weights(alone), weights(ahead), rtol=1e-12, atol=1e-12)
