import threading
from collections.abc import Sequence

import torch
from tests.policy.tiny import prompt, tiny_policy
from tests.tasks.fakes import CountingSampler, RuleJudge, WordReward, even, expert

from cgpo.judges.base import Judge
from cgpo.judges.panel.panel import Panel
from cgpo.tasks.baseline_responses import BaselineCache, rewards_of, satisfied_of
from cgpo.types import Outcome, Sample, Verdict

GOLDEN = [prompt(5, 6, response="w10 w11"), prompt(7, response="w20"), prompt(8, response="")]
BARE = [prompt(9), prompt(10, 11), prompt(12, 13, 14)]


def test_golden_responses_are_scored_and_judged() -> None:
    sampler = CountingSampler()
    found = BaselineCache(expert(sampler=sampler), tiny_policy(), seed=0).lookup(GOLDEN)
    assert [b.text for b in found] == ["w10 w11", "w20", ""]
    assert torch.allclose(rewards_of(found), torch.tensor([0.21, 0.2, 0.0]))
    assert satisfied_of(found).tolist() == [True, False, True]
    assert sampler.drawn == []


def test_each_prompt_is_worked_out_once() -> None:
    reward, judge, sampler = WordReward(), RuleJudge(even), CountingSampler()
    cache = BaselineCache(expert(reward=reward, panel=Panel({"even": judge}), sampler=sampler), tiny_policy(), seed=0)
    first = cache.lookup([GOLDEN[0], BARE[0], GOLDEN[0]])
    again = cache.lookup([BARE[0], BARE[1], GOLDEN[0]])
    assert [s.prompt.key for s in reward.asked] == [GOLDEN[0].key, BARE[0].key, BARE[1].key]
    assert [s.prompt.key for s in judge.asked] == [GOLDEN[0].key, BARE[0].key, BARE[1].key]
    assert [keys for keys, _, _ in sampler.drawn] == [(BARE[0].key,), (BARE[1].key,)]
    assert first[0] is first[2] is again[2]
    assert first[1] is again[0]


def test_a_draw_depends_on_the_seed_and_the_key_alone() -> None:
    policy = tiny_policy()
    alone = {p.key: BaselineCache(expert(), policy, seed=3).lookup([p])[0].text for p in BARE}
    cache = BaselineCache(expert(name="other", batch_size=1, responses_per_prompt=7), policy, seed=3)
    cache.lookup([GOLDEN[0]])
    assert [b.text for b in cache.lookup(BARE[::-1])] == [alone[p.key] for p in BARE[::-1]]
    other_seed = BaselineCache(expert(), policy, seed=4).lookup(BARE)
    assert [b.text for b in other_seed] != [alone[p.key] for p in BARE]
    renamed = prompt(9, 10, 11, key="another key"), prompt(9, 10, 11)
    texts = {b.text for seed in range(5) for b in BaselineCache(expert(), policy, seed).lookup(renamed)}
    assert len(texts) > 5, "two keys of one text draw apart"


def test_the_reference_option_draws_even_where_there_is_a_golden_response() -> None:
    sampler = CountingSampler()
    found = BaselineCache(expert(sampler=sampler), tiny_policy(), seed=0, option="reference").lookup(GOLDEN)
    assert [keys for keys, _, _ in sampler.drawn] == [tuple(p.key for p in GOLDEN)]
    assert [b.text for b in found] != [p.response for p in GOLDEN]


def test_the_reference_is_what_is_drawn_from() -> None:
    texts = [BaselineCache(expert(), tiny_policy(seed), seed=0).lookup(BARE) for seed in (0, 1)]
    assert texts[0] != texts[1]


class Patient(Judge):
    """Judges only when it is let."""

    def __init__(self) -> None:
        self.let = threading.Event()

    def judge(self, samples: Sequence[Sample]) -> list[Verdict]:
        assert self.let.wait(timeout=60)
        return [Verdict(even(sample), "") for sample in samples]


def test_texts_do_not_wait_for_judges() -> None:
    judge, reward = Patient(), WordReward()
    cache = BaselineCache(expert(panel=Panel({"patient": judge}), reward=reward), tiny_policy(), seed=0)
    assert cache.texts(GOLDEN) == ["w10 w11", "w20", ""]
    judge.let.set()
    assert satisfied_of(cache.lookup(GOLDEN)).tolist() == [True, False, True]
    assert cache.texts(GOLDEN) == ["w10 w11", "w20", ""]
    assert len(reward.asked) == 3


def test_an_undecided_judge_does_not_pass_a_baseline() -> None:
    panel = Panel({"lost": RuleJudge(lambda _: Outcome.UNDECIDED)})
    assert not BaselineCache(expert(panel=panel), tiny_policy(), seed=0).lookup(GOLDEN)[0].satisfied
    empty = BaselineCache(expert(panel=Panel({})), tiny_policy(), seed=0).lookup(GOLDEN)[1]
    assert empty.satisfied
