"""Cut off and gone on is as if nothing had happened."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.policy.adapted import adapted_policy
from tests.policy.tiny import prompt, tiny_policy
from tests.tasks.fakes import CountingSampler, RuleJudge, even, expert
from tests.training.checkpoints.training import (
    CutOff,
    CutOffError,
    assert_same,
    cut_off_and_gone_on,
    everything,
    module,
    train,
)
from tests.training.tiny_runs import three_tasks

from cgpo.distributed.process_group import ALONE
from cgpo.errors import UserError
from cgpo.judges.base import Judge
from cgpo.judges.panel.cache import VerdictCache
from cgpo.judges.panel.panel import Panel
from cgpo.optimizer import CODPO, CRPG, PPO, Lagrangian
from cgpo.training.callbacks import Checkpoints
from cgpo.training.checkpoints.catalogue import checkpoints, newest_whole
from cgpo.training.checkpoints.reading import load_tensors, trained_tensors
from cgpo.training.checkpoints.writing import write_checkpoint
from cgpo.training.module import CGPOModule
from cgpo.training.update import ConstrainedUpdate
from cgpo.types import Sample, Verdict

REFERENCES = tuple(prompt(5 + i, 9 + i) for i in range(4))
"""Without golden responses, so that each baseline is drawn from the reference."""


class Counting(RuleJudge):
    """A judge that counts its calls, as those do that pay for them."""

    deterministic = True

    def __init__(self) -> None:
        super().__init__(even)
        self.usage = {"calls": 0, "tokens": 0}

    def judge(self, samples: Sequence[Sample]) -> list[Verdict]:
        self.usage["calls"] += len(samples)
        return super().judge(samples)


def with_critic() -> CGPOModule:
    update = ConstrainedUpdate(40, critic_learning_rate=0.05, epochs=2)
    return module([expert(optimizer=PPO(), responses_per_prompt=4)], update=update)


def with_multipliers() -> CGPOModule:
    return module([expert(optimizer=Lagrangian(CRPG(kl_max=8.0), learning_rate=0.3))])


def with_adapters() -> CGPOModule:
    return module([expert(optimizer=CODPO(0.2, 0.1), responses_per_prompt=4)], policy=adapted_policy())


@pytest.mark.parametrize("at", [1, 2, 5])
@pytest.mark.parametrize("make", [lambda: module(three_tasks()), with_critic, with_multipliers, with_adapters])
def test_to_the_last_bit(make: Callable[[], CGPOModule], at: int, tmp_path: Path) -> None:
    whole = train(make(), None)
    assert everything(whole)["rates"][0] != pytest.approx(0.01), "the schedule has moved the rate"
    assert_same(cut_off_and_gone_on(make, tmp_path, at), whole)


def test_multipliers_go_on_from_where_they_were(tmp_path: Path) -> None:
    whole = train(with_multipliers(), None)
    resumed = cut_off_and_gone_on(with_multipliers, tmp_path, 4)
    states: Any = [found.optimizer_states["chat"] for found in (whole, resumed)]
    assert states[0]["multipliers"]["even"] > 0
    assert states[1] == states[0]


def test_baselines_that_were_drawn_are_not_drawn_again(tmp_path: Path) -> None:
    def make(sampler: CountingSampler) -> CGPOModule:
        return module([expert(prompts=REFERENCES, sampler=sampler)])

    whole, first, second = CountingSampler(), CountingSampler(), CountingSampler()
    one = train(make(whole), None)
    with pytest.raises(CutOffError):
        train(make(first), Checkpoints(str(tmp_path), every=2), CutOff(4))
    keeper = Checkpoints(str(tmp_path), every=2)
    keeper.origin, _ = newest_whole(tmp_path)
    other = train(make(second), keeper, done=4)
    assert [keys for keys, count, _ in second.drawn if count == 1] == []
    assert first.drawn + second.drawn == whole.drawn
    assert one.baselines["chat"].state_dict() == other.baselines["chat"].state_dict()
    assert_same(one, other)


def panel(judge: Judge) -> Panel:
    return Panel({"even": judge}, cache=VerdictCache(), versions={"even": "1"}, max_calls=1000)


def test_verdicts_and_what_judges_have_spent_are_kept(tmp_path: Path) -> None:
    judges: list[Counting] = []

    def make() -> CGPOModule:
        judges.append(Counting())
        return module([expert(panel=panel(judges[-1]))])

    whole = train(make(), None)
    resumed = cut_off_and_gone_on(make, tmp_path, 4)
    panels: list[Any] = [found.experts[0].panel for found in (whole, resumed)]
    states = [panel.state_dict() for panel in panels]
    assert states[0]["spent"] == {"even": {"calls": judges[0].usage["calls"], "tokens": 0}}
    assert states[1]["spent"] == states[0]["spent"]
    assert judges[0].asked == judges[1].asked + judges[2].asked, "none is asked about what it has judged"
    assert judges[2].asked


def test_adapters_alone_lie_in_their_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CutOffError):
        train(with_adapters(), Checkpoints(str(tmp_path), every=2), CutOff(3))
    from torch.distributed.checkpoint.filesystem import FileSystemReader

    names = FileSystemReader(tmp_path / "step-00000002" / "weights").read_metadata().state_dict_metadata
    assert len(names) == 4 * 2 * 2 * 7, "weight, step and two moments, of A and B, in two layers' seven matrices"
    assert all("lora_" in name for name in names)


def saved(policy: Any, folder: Path, steps: int) -> tuple[torch.optim.AdamW, Any]:
    trained = [parameter for parameter in policy.model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=0.1)
    for _ in range(steps):
        for parameter in trained:
            parameter.grad = torch.full_like(parameter, 0.5)
        optimizer.step()
    assert write_checkpoint(folder, 1, trained_tensors(policy.model, optimizer), {}, ALONE) is None
    (found,) = checkpoints(folder)
    return optimizer, found


def test_an_optimizer_that_has_not_stepped(tmp_path: Path) -> None:
    policy, other = tiny_policy(0), tiny_policy(1)
    _, found = saved(policy, tmp_path, steps=0)
    optimizer = torch.optim.AdamW(other.model.parameters())
    load_tensors(found, other.model, optimizer, alone=True)
    assert optimizer.state == {}
    assert all(torch.equal(a, b) for a, b in zip(policy.model.parameters(), other.model.parameters(), strict=True))


@pytest.mark.parametrize(
    ("layers", "wrong"),
    [
        (1, "it has weights of model.layers.1.self_attn.q_proj.weight, which this run does not train"),
        (3, "it lacks the weights of model.layers.2.input_layernorm.weight, which this run trains"),
    ],
)
def test_weights_of_another_model_are_refused_by_name(layers: int, wrong: str, tmp_path: Path) -> None:
    _, found = saved(tiny_policy(), tmp_path, steps=1)
    other = tiny_policy(num_hidden_layers=layers)
    with pytest.raises(UserError) as error:
        load_tensors(found, other.model, torch.optim.AdamW(other.model.parameters()), alone=True)
    where, _, said = str(error.value).partition(": ")
    assert where == str(tmp_path / "step-00000001")
    assert said == wrong


def test_weights_of_another_shape_are_refused_by_name(tmp_path: Path) -> None:
    _, found = saved(tiny_policy(), tmp_path, steps=1)
    other = tiny_policy(intermediate_size=48)
    with pytest.raises(UserError, match=r"its weights of \S+ are \[.*32.*\], and this run trains \[.*48.*\]"):
        load_tensors(found, other.model, torch.optim.AdamW(other.model.parameters()), alone=True)
