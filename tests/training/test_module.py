"""One iteration (Algorithm 2) with small fakes around a real tiny model."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from lightning import LightningModule
from tests.policy.tiny import prompt, tiny_policy
from tests.tasks.fakes import CountingSampler, RuleJudge, WordReward, always, even, expert, never
from tests.training.tiny_runs import RATE, adam, fit, module_of, sgd, three_tasks, weights
from torch import Tensor

from cgpo.judges.panel.panel import Panel
from cgpo.optimizer import CODPO, CRPG, CRRAFT
from cgpo.protocols import JudgePanel
from cgpo.seeds import derived_seed
from cgpo.tasks.expert import Expert
from cgpo.training.observer import Observer
from cgpo.training.steps import Steps
from cgpo.training.update import ConstrainedUpdate, Forward
from cgpo.types import Objective, Outcome, Sample, Verdicts


def gradient_alone(task: Expert) -> Tensor:
    """A task's own gradient at the first weights, by hand and without the module."""
    policy, update = tiny_policy(), ConstrainedUpdate(10_000)
    reference = policy.frozen_copy()
    helper = module_of([task])
    prompts = Steps([task], 1, 3)[0][task.name]
    seeds = [derived_seed(3, "rollout", 0, task.name, place) for place in range(len(prompts))]
    rollout = task.sampler.sample(policy, prompts, task.responses_per_prompt, seeds)
    baselines = helper.baselines[task.name].lookup(prompts)
    reward, verdicts = task.reward.score(rollout.samples), task.panel.judge(rollout.samples)
    inputs = update.inputs(policy, task, rollout, [baseline.text for baseline in baselines])
    forward = update.forward(policy, reference, rollout, inputs)
    training_batch = update.score(rollout, inputs, forward, reward, verdicts, baselines)
    update.backward(policy, task, inputs, training_batch, {}, Tensor.backward)
    return torch.cat([p.grad.flatten() for p in policy.model.parameters() if p.grad is not None])


def test_one_step_on_the_weighted_sum_of_gradients_at_the_same_weights() -> None:
    module = module_of(three_tasks())
    before = weights(module)
    fit(module, 1)
    # The weight ρ_l of each task is in its own gradient; here it is taken out and put back by hand.
    total = sum(
        (task.weight * gradient_alone(replace(task, weight=1.0)) for task in three_tasks()), start=torch.zeros(1)
    )
    step = weights(module) - before
    wanted = -RATE * total
    assert wanted.norm() > 1e-3
    assert (step - wanted).norm() <= 1e-10 * wanted.norm()


def test_tasks_in_another_order_take_the_same_step() -> None:
    forwards, backwards = module_of(three_tasks()), module_of(three_tasks()[::-1])
    fit(forwards, 1)
    fit(backwards, 1)
    torch.testing.assert_close(weights(forwards), weights(backwards), rtol=1e-10, atol=1e-12)


def test_clipping_keeps_the_direction() -> None:
    free, clipped = module_of(three_tasks()), module_of(three_tasks(), clip_norm=0.01)
    before = weights(free)
    fit(free, 1)
    fit(clipped, 1)
    whole, cut = weights(free) - before, weights(clipped) - before
    assert whole.norm() > 0.01 * RATE
    torch.testing.assert_close(cut, whole * (0.01 * RATE / whole.norm()), rtol=1e-3, atol=1e-9)


class Recorder(Observer):
    """Every hook's name, its task and the update it belongs to; what it was handed is checked on the way."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.steps: list[int] = []
        self.stages: list[str] = []
        self.objectives: list[Objective] = []
        self.decided: list[list[bool]] = []

    def on_rollout(self, module: LightningModule, expert: Expert, rollout: Any) -> None:
        self.calls.append(("on_rollout", expert.name))
        self.steps.append(module.global_step)
        self.samples = rollout.samples

    def on_reward(self, module: LightningModule, expert: Expert, rollout: Any, reward: Tensor) -> None:
        self.calls.append(("on_reward", expert.name))
        assert torch.equal(reward, WordReward().score(rollout.samples))

    def on_verdicts(self, module: LightningModule, expert: Expert, rollout: Any, verdicts: Verdicts) -> None:
        self.calls.append(("on_verdicts", expert.name))
        assert torch.equal(verdicts.satisfied, expert.panel.judge(rollout.samples).satisfied)

    def on_training_batch(
        self, module: LightningModule, expert: Expert, rollout: Any, verdicts: Verdicts, training_batch: Any
    ) -> None:
        self.calls.append(("on_training_batch", expert.name))
        self.decided.append(training_batch.decided.flatten().tolist())

    def on_objective(self, module: LightningModule, expert: Expert, objective: Objective) -> None:
        self.calls.append(("on_objective", expert.name))
        self.objectives.append(objective)

    def on_stage(self, module: LightningModule, stage: str, seconds: float) -> None:
        assert seconds >= 0
        self.stages.append(stage)


def test_hooks_are_called_in_the_order_of_the_verbs() -> None:
    recorder = Recorder()
    trainer = fit(module_of([expert(name="a"), expert(name="b")]), 2, recorder)
    assert trainer.global_step == 2
    drawn = [(hook, task) for task in "ab" for hook in ("on_rollout", "on_reward")]
    learnt = [(hook, task) for task in "ab" for hook in ("on_verdicts", "on_training_batch", "on_objective")]
    assert recorder.calls == 2 * (drawn + learnt)
    assert recorder.steps == [0, 0, 1, 1]
    assert recorder.stages == 2 * (
        2 * ["baselines", "rollout", "reward"] + 2 * ["reference", "judges", "gather", "update"] + ["step"]
    )


@pytest.mark.parametrize("optimizer", [sgd, adam])
def test_the_same_seed_repeats_the_weights_to_the_last_bit(optimizer: Callable[..., Any]) -> None:
    runs = []
    for noise in (1, 2):
        module = module_of(three_tasks(), weight_optimizer=optimizer)
        torch.manual_seed(noise)
        before = weights(module)
        fit(module, 3)
        assert not torch.equal(before, weights(module))
        runs.append(weights(module))
    assert torch.equal(*runs)


def test_another_seed_gives_other_weights() -> None:
    first, other = module_of(three_tasks()), module_of(three_tasks(), seed=4)
    fit(first, 1)
    fit(other, 1)
    assert not torch.equal(weights(first), weights(other))


def test_every_rollout_has_a_seed_of_its_own() -> None:
    samplers = {name: CountingSampler() for name in "ab"}
    golden = tuple(prompt(5 + i, response="w4") for i in range(4))
    fit(module_of([expert(name=name, prompts=golden, sampler=s) for name, s in samplers.items()]), 3)
    seeds = [seed for sampler in samplers.values() for _, _, of_prompts in sampler.drawn for seed in of_prompts]
    assert len(seeds) == len(set(seeds)) == 12, "of each prompt, too"


@pytest.mark.parametrize("optimizer", [sgd, adam])
@pytest.mark.parametrize("objective", [CRPG(8.0), CODPO(), CRRAFT(8.0)], ids=lambda o: type(o).__name__)
def test_all_violated_leaves_the_weights_as_they_were(optimizer: Callable[..., Any], objective: Any) -> None:
    tasks = [expert(name=n, panel=Panel({"never": RuleJudge(never)}), optimizer=objective) for n in "ab"]
    module = module_of(tasks, weight_optimizer=optimizer, clip_norm=1.0)
    before = weights(module)
    trainer = fit(module, 2)
    assert trainer.global_step == 2
    assert torch.equal(before, weights(module))


def lost_on_even(sample: Sample) -> Outcome:
    """Undecided where the number of words is even, satisfied elsewhere."""
    return Outcome.UNDECIDED if even(sample) is Outcome.SATISFIED else Outcome.SATISFIED


def test_an_undecided_sample_is_left_out() -> None:
    recorder = Recorder()
    task = expert(panel=Panel({"lost": RuleJudge(lost_on_even)}), batch_size=4, responses_per_prompt=6)
    fit(module_of([task]), 1, recorder)
    found = recorder.decided[0]
    assert found == [lost_on_even(s) is Outcome.SATISFIED for s in recorder.samples]
    assert any(found)
    assert not all(found)


def test_a_judge_that_is_undecided_on_everything_teaches_nothing() -> None:
    module = module_of([expert(panel=Panel({"lost": RuleJudge(lambda _: Outcome.UNDECIDED)}))])
    before = weights(module)
    fit(module, 1)
    assert torch.equal(before, weights(module))


class PatientPanel(JudgePanel):
    """Judges only once the last task's responses have been drawn: what a background panel may well do."""

    def __init__(self, last: CountingSampler) -> None:
        self.last = last
        self.panel = Panel({"always": RuleJudge(always)})

    @property
    def names(self) -> Sequence[str]:
        return self.panel.names

    def judge(self, samples: Sequence[Sample]) -> Verdicts:
        return self.panel.judge(samples)

    def submit(self, samples: Sequence[Sample]) -> Future[Verdicts]:
        return Patient(self, samples)


class Patient(Future[Verdicts]):
    def __init__(self, panel: PatientPanel, samples: Sequence[Sample]) -> None:
        super().__init__()
        self.panel, self.samples = panel, samples

    def result(self, timeout: float | None = None) -> Verdicts:
        assert self.panel.last.drawn, "the last task's rollout must not wait for the first task's judges"
        return self.panel.judge(self.samples)


def test_judges_work_while_other_tasks_roll_out() -> None:
    last = CountingSampler()
    golden = tuple(prompt(5 + i, response="w4") for i in range(4))
    tasks = [expert(name="a", panel=PatientPanel(last)), expert(name="b", sampler=last, prompts=golden)]
    recorder = Recorder()
    fit(module_of(tasks), 1, recorder)
    assert len(recorder.objectives) == 2


@dataclass
class Noted(ConstrainedUpdate):
    """Notes its forward passes."""

    passes: list[str] = field(default_factory=list[str])

    def forward(self, *args: Any) -> Forward:
        self.passes.append("forward")
        return super().forward(*args)


def test_judges_of_a_single_task_work_during_the_reference_pass() -> None:
    update = Noted()

    class AfterThePass(Future[Verdicts]):
        def __init__(self, samples: Sequence[Sample]) -> None:
            super().__init__()
            self.samples = samples

        def result(self, timeout: float | None = None) -> Verdicts:
            assert update.passes, "neither the batch nor its baseline responses wait for their judges before"
            return Panel({"always": RuleJudge(always)}).judge(self.samples)

    class Waits:
        judge = Panel({}).judge

        def submit(self, samples: Sequence[Sample]) -> Future[Verdicts]:
            return AfterThePass(samples)

    recorder = Recorder()
    recorder.on_verdicts = lambda *_: None
    fit(module_of([expert(panel=Waits())], update=update), 1, recorder)
    assert len(recorder.objectives) == len(update.passes) == 1


def test_the_reference_stays_where_training_began() -> None:
    module = module_of(three_tasks())
    before = {name: value.clone() for name, value in module.reference.model.state_dict().items()}
    fit(module, 2)
    after = module.reference.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not [name for name in module.state_dict() if "reference" in name], "no checkpoint carries the reference"
    assert not torch.equal(
        torch.cat([v.flatten() for v in before.values()]),
        torch.cat([v.flatten() for v in module.policy.model.state_dict().values()]),
    )


def test_the_schedule_steps_once_an_update() -> None:
    asked: list[int] = []

    def halving(step: int) -> float:
        asked.append(step)
        return 0.0 if step == 0 else 1.0

    module = module_of(three_tasks(), schedule=halving)
    before = weights(module)
    fit(module, 1)
    assert torch.equal(before, weights(module)), "the first update has the factor of step 0"
    assert asked[-1] == 1


def test_training_raises_the_calibrated_reward_of_permitted_responses() -> None:
    """The whole loop learns: CRPG raises the share of responses that a judge passes."""
    task = expert(panel=Panel({"even": RuleJudge(even)}), reward=WordReward(0.0), batch_size=4, responses_per_prompt=16)
    module = module_of([task], weight_optimizer=adam, update=ConstrainedUpdate(), seed=1)

    def share() -> float:
        rollout = task.sampler.sample(module.policy, task.prompts, 50, seed=99)
        return task.panel.judge(rollout.samples).satisfied.float().mean().item()

    before = share()
    fit(module, 24)
    assert share() > before + 0.15
