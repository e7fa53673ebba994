import pytest
import torch
from tests.policy.tiny import prompt, tiny_policy
from tests.tasks.fakes import RuleJudge, WordReward, even, expert, never

from cgpo.evaluation.held_out import evaluate, share
from cgpo.judges.panel.panel import Panel
from cgpo.policy.logprobs import response_logprobs, rollout_responses
from cgpo.rollout import DecodingSampler
from cgpo.types import Outcome, Sample, Verdict

PROMPTS = tuple(prompt(5 + i, 20 - i) for i in range(8))


def three_ways(sample: Sample) -> Outcome:
    """By the number of words: satisfied, violated, not applicable, undecided, in turns."""
    return list(Outcome)[len(sample.response.split()) % 4]


def test_every_number_by_hand() -> None:
    policy, reference = tiny_policy(0), tiny_policy(1)
    task = expert(panel=Panel({"ways": RuleJudge(three_ways), "even": RuleJudge(even)}), gold=RuleJudge(three_ways))
    found = evaluate(policy, reference, task, PROMPTS, seed=1, measures={"half": WordReward(0.005)}, max_tokens=25)
    result, samples = found.result, found.rollout.samples
    assert [s.prompt for s in samples] == list(PROMPTS)
    words = [s.response.split() for s in samples]
    ways = [len(w) % 4 for w in words]
    assert len(set(ways)) == 4, "every outcome must occur"

    assert result.prompts == 8
    assert result.length == pytest.approx(found.rollout.response_mask.sum().item() / 8)
    sums = [sum(int(w[1:]) for w in ws if w[1:].isdigit()) for ws in words]
    assert result.reward == pytest.approx(0.01 * sum(sums) / 8)
    assert result.measures == {"half": pytest.approx(0.005 * sum(sums) / 8)}
    satisfied, violated = ways.count(0), ways.count(1)
    assert result.success == satisfied / (satisfied + violated)
    odd = sum(len(w) % 2 for w in words)
    assert result.violation_rate == {"ways": violated / (satisfied + violated), "even": odd / 8}
    # Way 3, undecided, has an odd number of words, which the other judge calls violated: so all are decided. All of
    # way 0 and of way 2 (not applicable) are even.
    assert result.satisfied_rate == (ways.count(0) + ways.count(2)) / 8

    responses = rollout_responses(found.rollout)
    with torch.no_grad():
        of = [
            response_logprobs(p.model, responses.prompt_ids, responses.ids, responses.mask, 1.3, 0)
            for p in (policy, reference)
        ]
    ratio = (of[0] - of[1]).sum(-1)
    torch.testing.assert_close(found.log_ratio, ratio, rtol=1e-9, atol=1e-9)
    assert result.kl == pytest.approx(ratio.mean().item())


def test_undecided_responses_are_left_out_of_the_satisfied_rate() -> None:
    task = expert(panel=Panel({"ways": RuleJudge(three_ways)}))
    found = evaluate(tiny_policy(), tiny_policy(), task, PROMPTS, seed=1)
    ways = [len(s.response.split()) % 4 for s in found.rollout.samples]
    assert 3 in ways
    assert found.result.satisfied_rate == (ways.count(0) + ways.count(2)) / (8 - ways.count(3))


def test_the_reference_is_at_no_distance_from_itself() -> None:
    assert evaluate(tiny_policy(), tiny_policy(), expert(), PROMPTS, seed=1).result.kl == pytest.approx(0.0, abs=1e-9)


def test_the_distance_is_an_estimate_of_the_kl_divergence() -> None:
    """One-token responses: the mean log-ratio against the sum over all 32 tokens."""
    policy, reference = tiny_policy(0), tiny_policy(1)
    task = expert(sampler=DecodingSampler(1))
    found = evaluate(policy, reference, task, [prompt(5, 6)] * 5000, seed=0)
    with torch.no_grad():
        p, q = (m.model(input_ids=torch.tensor([[5, 6]])).logits[0, -1].log_softmax(0) for m in (policy, reference))
    exact = (p.exp() * (p - q)).sum().item()
    error = (found.log_ratio.std() / 5000**0.5).item()
    assert exact > 0.3
    assert abs(found.result.kl - exact) < 4 * error


def test_draws_depend_on_the_seed_and_the_task_alone() -> None:
    policy = tiny_policy()

    def drawn(seed: int = 0, **settings: object) -> tuple[str, ...]:
        return evaluate(policy, policy, expert(**settings), PROMPTS, seed).rollout.responses

    first = drawn()
    assert first == drawn(batch_size=1, responses_per_prompt=7, panel=Panel({"never": RuleJudge(never)}))
    assert first != drawn(seed=1)
    assert first != drawn(name="other")


def test_without_judges_there_is_nothing_to_say_of_success() -> None:
    result = evaluate(tiny_policy(), tiny_policy(), expert(panel=Panel({})), PROMPTS, seed=1).result
    assert result.success is None
    assert result.violation_rate == {}
    assert result.satisfied_rate == 1.0
    assert result.measures == {}


@pytest.mark.parametrize(
    ("outcomes", "wanted"),
    [
        ([Outcome.VIOLATED, Outcome.SATISFIED, Outcome.SATISFIED, Outcome.SATISFIED], 0.25),
        ([Outcome.VIOLATED, Outcome.UNDECIDED, Outcome.NOT_APPLICABLE], 1.0),
        ([Outcome.SATISFIED], 0.0),
        ([Outcome.UNDECIDED, Outcome.NOT_APPLICABLE], None),
        ([], None),
    ],
)
def test_share_is_among_the_judged(outcomes: list[Outcome], wanted: float | None) -> None:
    assert share([Verdict(o, "") for o in outcomes], Outcome.VIOLATED, Outcome.SATISFIED) == wanted
