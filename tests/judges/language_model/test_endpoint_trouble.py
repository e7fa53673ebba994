"""Judges behind an endpoint: what a misbehaving server cannot do."""

import logging
import time
from typing import Any

import pytest
from tests.judges.language_model.asking import YES_NO, ask, asked_about, greets, judge_at, reliable, samples
from tests.judges.language_model.scripted_server import Reply, ScriptedServer, said

from cgpo.errors import UserError
from cgpo.judges.panel.background import in_background
from cgpo.types import Outcome

pytest.importorskip("openai", reason="the extra endpoint is not installed")


BROKEN = {
    "an error of the server": (Reply({"error": {"message": "out of memory"}}, 500), "HTTP 500: out of memory"),
    "too many requests": (Reply({}, 429, {"Retry-After": "0.01"}), "HTTP 429"),
    "a bare error": (Reply(b"<html>Bad gateway</html>", 502), "HTTP 502"),
    "a closed connection": (Reply(hang_up=True), "the connection broke"),
    "an empty body": (Reply(b""), "no JSON"),
    "garbage": (Reply(b"\x00\xff{{{"), "no JSON"),
    "half a JSON": (Reply(b'{"choices": [{"mess'), "no JSON"),
    "no object": (Reply([1, 2]), "cannot be read"),
    "no choices": (Reply({"choices": []}), "cannot be read"),
    "choices of null": (Reply({"choices": None}), "cannot be read"),
    "no message": (Reply({"choices": [{"message": None}]}), "cannot be read"),
    "a number for a text": (Reply({"choices": [{"message": {"content": 1}}]}), "cannot be read"),
    "words for logprobs": (Reply({"choices": [{"message": {"content": "yes"}, "logprobs": "yes"}]}), "cannot be read"),
    "a positive logprob": (
        Reply(
            {"choices": [{"message": {"content": "yes"}, "logprobs": {"content": [{"token": "yes", "logprob": 3}]}}]}
        ),
        "no log-probability",
    ),
    "a logprob that is text": (
        Reply({"choices": [{"logprobs": {"content": [{"token": "yes", "logprob": "-1"}]}, "message": {}}]}),
        "cannot be read",
    ),
    "very slow": (Reply(said("yes", YES_NO), delay=0.6), "did not answer in time"),
    "a drop now and then": (Reply(said("yes", YES_NO), drip=0.05), "within the deadline of 0.8 s"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_read_is_undecided_and_nothing_is_lost(name: str) -> None:
    broken, reason = BROKEN[name]

    def script(_: int, body: dict[str, Any]) -> Reply:
        return broken if not greets(body) and asked_about(body) == "response 1" else Reply(said("Yes", YES_NO))

    verdicts, _ = ask(script, samples(3), read_timeout=0.3, deadline=0.8)
    assert [v.outcome for v in verdicts] == [Outcome.SATISFIED, Outcome.UNDECIDED, Outcome.SATISFIED]
    assert reason in verdicts[1].reason
    assert "\n" not in verdicts[1].reason


@pytest.mark.parametrize("name", ["an error of the server", "too many requests", "a closed connection", "very slow"])
def test_what_may_pass_is_tried_again(name: str) -> None:
    verdicts, server = ask(
        lambda number, _: BROKEN[name][0] if number % 2 else Reply(said("Yes", YES_NO)),
        samples(2),
        retries=6,
        concurrency=1,
        read_timeout=0.3,
    )
    assert [v.outcome for v in verdicts] == [Outcome.SATISFIED] * 2
    assert len(server.questions) == 4, "each question failed once"


def test_half_of_all_requests_fail_and_the_rest_is_right() -> None:
    failures = [Reply({}, 500), Reply(hang_up=True), Reply(b"{"), Reply({}, 503)]

    def script(_: int, body: dict[str, Any]) -> Reply:
        if greets(body):
            return Reply(said("yes", YES_NO))
        i = int(asked_about(body).split()[1])
        return (
            failures[i // 2 % 4]
            if i % 2
            else Reply(said("x", {"yes": 0.9, "no": 0.1} if i % 4 else {"no": 0.9, "yes": 0.1}))
        )

    verdicts, _ = ask(script, samples(64))
    expected = [Outcome.VIOLATED, Outcome.UNDECIDED, Outcome.SATISFIED, Outcome.UNDECIDED] * 16
    assert [v.outcome for v in verdicts] == expected


def test_a_server_that_dies_is_not_asked_again_and_again_and_may_come_back(caplog: pytest.LogCaptureFixture) -> None:
    with ScriptedServer(reliable(Reply(said("x", YES_NO)))) as server:
        judge = judge_at(server, concurrency=4)
        assert {v.outcome for v in judge.judge(samples(3))} == {Outcome.SATISFIED}
    before = judge.usage["calls"]
    verdicts = judge.judge(samples(100))
    assert {v.outcome for v in verdicts} == {Outcome.UNDECIDED}
    assert "no connection" in verdicts[0].reason
    assert verdicts[-1].reason.endswith("(not asked again in this batch)")
    assert judge.usage["calls"] - before <= 12, "eight in a row, and what was under way besides"
    assert {v.outcome for v in judge.judge(samples(100))} == {Outcome.UNDECIDED}
    assert judge.usage["calls"] - before <= 13, "one greeting"
    with ScriptedServer(reliable(Reply(said("x", YES_NO))), port=server.port):
        assert {v.outcome for v in judge.judge(samples(3))} == {Outcome.SATISFIED}
    judge.close()
    lines = [r.getMessage().split(": ")[1] for r in caplog.records if r.levelno >= logging.WARNING]
    assert lines == [f"m at {server.url} does not answer", f"m at {server.url} answers again"]


def test_the_run_stops_beyond_the_configured_share_of_undecided() -> None:
    with ScriptedServer(reliable(Reply({}, 500))) as server:
        judge = judge_at(server, max_undecided=0.5, window=8)
        assert {v.outcome for v in judge.judge(samples(7))} == {Outcome.UNDECIDED}
        with pytest.raises(UserError) as caught:
            judge.judge(samples(1))
        judge.close()
    line = str(caught.value)
    assert line.startswith(f"judge safety: 8 of the last 8 answers of m at {server.url} are undecided, beyond max_und")
    assert "HTTP 500" in line
    assert "\n" not in line


def test_half_undecided_is_not_beyond_a_half() -> None:
    def script(number: int, body: dict[str, Any]) -> Reply:
        return Reply(said("yes", YES_NO)) if greets(body) or number % 2 else Reply({}, 500)

    verdicts, _ = ask(script, samples(20), max_undecided=0.5, window=20, concurrency=1)
    assert sum(v.outcome is Outcome.UNDECIDED for v in verdicts) == 10


def test_a_row_that_the_server_refuses_is_undecided_alone() -> None:
    refusal = Reply({"error": {"message": "maximum context length is 10 tokens"}}, 400)
    verdicts, server = ask(
        lambda _, b: refusal if not greets(b) and "7" in asked_about(b) else Reply(said("x", YES_NO)), samples(20)
    )
    assert [i for i, v in enumerate(verdicts) if v.outcome is Outcome.UNDECIDED] == [7, 17]
    assert verdicts[7].reason == "HTTP 400: maximum context length is 10 tokens"
    assert len(server.questions) == 20


def test_requests_that_hang_are_taken_back_and_the_others_keep_their_answers() -> None:
    hanging = {"response 1", "response 3"}

    def script(_: int, body: dict[str, Any]) -> Reply:
        hangs = not greets(body) and any(text in asked_about(body) for text in hanging)
        return Reply(said("yes", YES_NO), delay=5.0 if hangs else 0.0)

    with ScriptedServer(script) as server:
        judge = judge_at(server, read_timeout=30.0)
        found = in_background("asks", lambda: judge.judge(samples(5)))
        deadline = time.monotonic() + 10
        while len(server.requests) < 6 or len(judge.judging) != 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert {sample.response for sample in judge.judging} == hanging
        judge.interrupt("late")
        verdicts = found.result(timeout=60)
        outcomes = [verdict.outcome for verdict in verdicts]
        assert outcomes == [Outcome.SATISFIED, Outcome.UNDECIDED] * 2 + [Outcome.SATISFIED]
        assert [verdict.reason for verdict in verdicts if verdict.outcome is Outcome.UNDECIDED] == ["late"] * 2
        hanging.clear()
        assert {verdict.outcome for verdict in judge.judge(samples(5))} == {Outcome.SATISFIED}
        judge.close()
