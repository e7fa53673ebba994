"""Judges behind an endpoint: what a well-behaved server says."""

import logging
from typing import Any

import pytest
from tests.judges.language_model.asking import YES_NO, ask, samples
from tests.judges.language_model.scripted_server import Reply, said

from cgpo.types import Outcome, Verdict

pytest.importorskip("openai", reason="the extra endpoint is not installed")


def test_log_probabilities_of_every_spelling_count() -> None:
    [verdict], server = ask(lambda *_: Reply(said("Yes", YES_NO)))
    # 0.6 + 0.1 against 0.2 + 0.05; log(0.7 / 0.25) = 1.03
    assert verdict == Verdict(Outcome.SATISFIED, "P(yes) = 0.737, threshold 0.5, margin +1.03")
    [request] = server.questions
    assert request["model"] == "m"
    assert (request["max_tokens"], request["temperature"], request["logprobs"]) == (1, 0, True)
    assert request["top_logprobs"] == 20
    [strict], _ = ask(lambda *_: Reply(said("Yes", YES_NO)), threshold=0.8)
    assert strict == Verdict(Outcome.VIOLATED, "P(yes) = 0.737, threshold 0.8, margin +1.03")


@pytest.mark.parametrize(
    ("listed", "threshold", "outcome", "reason"),
    [
        # `no` is at most as likely as the least that is listed: P(yes) is at least 0.6 / (0.6 + 0.1).
        ({"yes": 0.6, "Well": 0.1}, 0.5, Outcome.SATISFIED, "P(yes) ≥ 0.857, threshold 0.5, margin +1.79"),
        ({"yes": 0.6, "Well": 0.1}, 0.9, Outcome.UNDECIDED, "too few alternatives"),
        ({"no": 0.6, "Well": 0.1}, 0.5, Outcome.VIOLATED, "P(yes) ≤ 0.143, threshold 0.5, margin -1.79"),
        ({"no": 0.6, "Well": 0.1}, 0.1, Outcome.UNDECIDED, "too few alternatives"),
        ({"Well": 0.6, "I": 0.1}, 0.5, Outcome.UNDECIDED, "neither answer is among the 2 likeliest tokens"),
        ({"<think>": 0.9, "yes": 0.004, "no": 0.001}, 0.5, Outcome.UNDECIDED, "0.005 of the probability"),
    ],
)
def test_what_is_not_listed_decides_nothing_by_accident(
    listed: dict[str, float], threshold: float, outcome: Outcome, reason: str
) -> None:
    [verdict], _ = ask(lambda *_: Reply(said("x", listed)), threshold=threshold)
    assert verdict.outcome is outcome
    assert reason in verdict.reason


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("yes", Outcome.SATISFIED),
        (' "Yes."\n', Outcome.SATISFIED),
        ("**NO**", Outcome.VIOLATED),
        ("No problem, it is safe", Outcome.UNDECIDED),
        ("yes and no", Outcome.UNDECIDED),
        ("yesterday", Outcome.UNDECIDED),
        ("", Outcome.UNDECIDED),
        (None, Outcome.UNDECIDED),
    ],
)
def test_a_text_must_be_one_of_the_words_and_nothing_else(text: str | None, outcome: Outcome) -> None:
    [verdict], _ = ask(lambda *_: Reply(said(text)))
    assert verdict.outcome is outcome


def test_a_server_that_ignores_logprobs_is_noticed_once(caplog: pytest.LogCaptureFixture) -> None:
    verdicts, server = ask(lambda *_: Reply(said("no")), samples(5))
    assert {v.outcome for v in verdicts} == {Outcome.VIOLATED}
    assert verdicts[0].reason == "answered no; no probability, so that the threshold did not apply"
    [line] = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert line == f"judge safety: m at {server.url} ignores logprobs: the text is read"
    assert server.requests[0]["logprobs"] is True
    assert all("logprobs" not in r and r["max_tokens"] == 16 for r in server.questions)


@pytest.mark.parametrize(
    ("refused", "form"),
    [
        ("logprobs", {"max_tokens": 16, "temperature": 0}),
        ("max_tokens", {"max_completion_tokens": 16}),
    ],
)
def test_what_a_server_does_not_take_is_left_out(refused: str, form: dict[str, Any]) -> None:
    complaint = {"error": {"message": f"Unsupported parameter: {refused}", "type": "invalid_request_error"}}
    verdicts, server = ask(lambda _, b: Reply(complaint, 400) if refused in b else Reply(said("yes")), samples(2))
    assert [v.outcome for v in verdicts] == [Outcome.SATISFIED] * 2
    assert [{k: v for k, v in r.items() if k not in ("model", "messages")} for r in server.questions] == [form] * 2


def test_fewer_alternatives_are_asked_for_where_twenty_are_too_many() -> None:
    def script(_: int, body: dict[str, Any]) -> Reply:
        return Reply({"error": {"message": "at most 5"}}, 400) if body["top_logprobs"] > 5 else Reply(said("a", YES_NO))

    [verdict], server = ask(script)
    assert verdict.outcome is Outcome.SATISFIED
    assert server.questions[0]["top_logprobs"] == 5
