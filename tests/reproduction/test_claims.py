"""What becomes of a claim, by results of which the answer is plain."""

from tests.reproduction.synthetic import results

from cgpo.reproduction.claims import Status, findings
from cgpo.reproduction.figures import not_dominated
from cgpo.reproduction.results import Results

AS_IN_THE_PAPER = {
    "warmup": (0.70, 0.0),
    "dpo": (0.60, 1.0),
    "ppo": (0.20, 2.0),
    "crpg": (0.90, 0.5),
    "crraft": (0.85, 0.4),
    "codpo": (0.75, 0.3),
    "crpg_without_judges": (0.10, 2.0),
    "crpg_from_sft": (0.80, 0.5),
    "crpg_from_dpo": (0.82, 0.5),
    "ipo": (0.60, 1.0),
    "slic": (0.55, 1.0),
}


def standings(found: Results) -> dict[str, Status]:
    return {finding.key: finding.status for finding in findings(found)}


def test_results_as_in_the_paper_hold_every_claim() -> None:
    assert set(standings(results(AS_IN_THE_PAPER)).values()) == {Status.HELD}


def test_the_opposite_holds_none() -> None:
    found = results({**dict.fromkeys(AS_IN_THE_PAPER, (0.9, 0.5)), "crpg": (0.3, 0.5), "crraft": (0.3, 0.5)})
    assert set(standings(found).values()) == {Status.NOT_HELD}


def test_claims_without_runs_are_not_tested() -> None:
    assert set(standings(results({"raft": (0.8, 0.5)})).values()) == {Status.NOT_TESTED}


def test_one_seed_shows_no_difference() -> None:
    found = {finding.key: finding for finding in findings(results(AS_IN_THE_PAPER, seeds=(0,)))}
    finding = found["better_everywhere"]
    assert finding.status is Status.NOT_HELD
    assert "CRPG against DPO: better on 0, worse on 0, no difference shown on 2 of 2 tasks" in finding.evidence


def test_a_fall_without_a_risen_reward_is_no_gaming() -> None:
    found = standings(results({**AS_IN_THE_PAPER, "ppo": (0.2, -1.0)}))
    assert found["ppo_games_code"] is Status.NOT_HELD


def test_a_fall_of_less_than_half_holds_in_part() -> None:
    found = standings(results({**AS_IN_THE_PAPER, "ppo": (0.5, 2.0)}))
    assert found["ppo_games_code"] is Status.IN_PART


def test_the_pareto_front() -> None:
    found = results({"warmup": (0.7, 0.0), "crpg": (0.9, 0.5), "dpo": (0.6, 1.0)})
    policies = found.data["evaluations"]
    for evaluation in policies:
        own = evaluation["policies"]["dpo"]
        evaluation["policies"]["dpo"] = {**own, "math_code": {"sampled": {"success": 0.99}}}
    assert not_dominated(found, ["warmup", "crpg", "dpo"]) == {"crpg", "dpo"}
