"""A panel that is never asked has an answer of the form of one that was."""

from tests.policy.tiny import prompt
from tests.tasks.fakes import RuleJudge, even

from cgpo.judges.panel.cache import VerdictCache
from cgpo.judges.panel.panel import Panel, PeerPanel
from cgpo.types import Outcome, Sample


def test_nobody_was_asked_and_nothing_is_refused() -> None:
    samples = [Sample(prompt(5), "w4"), Sample(prompt(6), "w4 w5")]
    silent = PeerPanel(("math", "safety"))
    found = silent.judge(samples)
    assert list(found.by_judge) == ["math", "safety"]
    assert [verdict.outcome for given in found.by_judge.values() for verdict in given] == [Outcome.NOT_ASKED] * 4
    assert (found.satisfied.tolist(), found.decided.tolist()) == ([True, True], [True, True])
    assert dict(found.seconds) == {"math": 0.0, "safety": 0.0}
    assert found.cached == {}
    assert silent.submit(samples).result().by_judge == found.by_judge


def test_it_has_the_names_and_types_of_the_panel_that_it_stands_for() -> None:
    panel = Panel({"even": RuleJudge(even)})
    asked, silent = panel.judge([Sample(prompt(5), "w4")]), PeerPanel(panel.names).judge([Sample(prompt(5), "w4")])
    assert silent.by_judge.keys() == asked.by_judge.keys()
    assert silent.satisfied.dtype == asked.satisfied.dtype
    assert silent.decided.shape == asked.decided.shape


def test_it_has_the_metrics_of_a_panel_that_keeps_verdicts() -> None:
    panel = Panel({"even": RuleJudge(even)}, cache=VerdictCache())
    assert panel.cached == ("even",)
    silent = PeerPanel(panel.names, panel.cached).judge([Sample(prompt(5), "w4")])
    assert silent.cached == {"even": 0}
    assert silent.cached.keys() == panel.judge([Sample(prompt(5), "w4")]).cached.keys()


def test_of_no_samples_nothing_is_said() -> None:
    found = PeerPanel(("math",)).judge([])
    assert found.by_judge == {"math": ()}
    assert found.satisfied.shape == (0,)
