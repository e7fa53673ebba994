"""Judges behind an endpoint: what a well-behaved server says, what a misbehaving one cannot do."""

import asyncio
import logging
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.judges.language_model.scripted_server import Reply, Script, ScriptedServer, said

from cgpo.errors import UserError
from cgpo.judges.language_model.judge import LanguageModelJudge
from cgpo.judges.panel.background import in_background
from cgpo.types import Outcome, Prompt, Sample, Verdict

pytest.importorskip("openai", reason="the extra endpoint is not installed")

YES_NO = {"Yes": 0.6, " no": 0.2, " yes": 0.1, "NO": 0.05, "Well": 0.04}


def sample(response: str, **metadata: object) -> Sample:
    return Sample(Prompt("rows:1", "May I?", metadata=metadata), response)


def samples(count: int) -> list[Sample]:
    return [sample(f"response {i}") for i in range(count)]


def judge_at(server: ScriptedServer | str, threshold: float = 0.5, **settings: Any) -> LanguageModelJudge:
    url = server if isinstance(server, str) else server.url
    endpoint = {"url": url, "model": "m", "retries": 0, "read_timeout": 5.0, **settings}
    return LanguageModelJudge(
        template="safety", positive=" yes", negative=" no", endpoint=endpoint, threshold=threshold
    )


def asked_about(body: dict[str, Any]) -> str:
    """The response in a request of the template `safety`."""
    lines = body["messages"][0]["content"].splitlines()
    [start] = [i for i, line in enumerate(lines) if line.startswith("[") and line.endswith(" response]")][:1]
    return lines[start + 1]


def ask(script: Script, asked: list[Sample] | None = None, **settings: Any) -> tuple[list[Verdict], ScriptedServer]:
    with ScriptedServer(script) as server:
        judge = judge_at(server, **settings)
        verdicts = judge.judge(asked or samples(1))
        judge.close()
    return verdicts, server


def reliable(reply: Reply) -> Script:
    """Greets well, and answers every question in one way."""
    return lambda _, body: Reply(said("yes", YES_NO)) if greets(body) else reply


def greets(body: dict[str, Any]) -> bool:
    return body["messages"][0]["content"].startswith("Answer with one word: yes.")


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


WRONG: dict[str, tuple[Script, str]] = {
    "the key": (
        lambda *_: Reply({"error": {"message": "Incorrect key sk-secret"}}, 401),
        "HTTP 401: the server refuses the key",
    ),
    "the model": (lambda *_: Reply({"error": {"message": "no model m"}}, 404), "HTTP 404: no model m"),
    "the request": (
        lambda *_: Reply({"error": {"message": "model m is unknown"}}, 400),
        "HTTP 400: model m is unknown",
    ),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("start", [LanguageModelJudge.check_prompt, LanguageModelJudge.judge])
def test_a_wrong_configuration_stops_at_start_up(name: str, start: Callable[..., object]) -> None:
    script, reason = WRONG[name]
    with ScriptedServer(script) as server:
        judge = judge_at(server)
        with pytest.raises(UserError) as caught:
            start(judge, Prompt("rows:1", "") if start is LanguageModelJudge.check_prompt else samples(1))
        judge.close()
    assert str(caught.value).startswith(f"judge safety: endpoint m at {server.url}: {reason}")
    assert "secret" not in str(caught.value)


def test_a_server_that_was_never_there_stops_at_start_up() -> None:
    with ScriptedServer(reliable(Reply())) as server:
        pass
    judge = judge_at(server)
    with pytest.raises(
        UserError, match=r"judge safety: endpoint m at http://.*: no connection: .*refused|Connect call"
    ):
        judge.check_prompt(Prompt("rows:1", ""))
    judge.close()


def test_an_outage_at_start_up_is_no_wrong_configuration() -> None:
    replies = iter([Reply({}, 500), *[Reply(said("yes", YES_NO))] * 2])
    with ScriptedServer(lambda *_: next(replies)) as server:
        judge = judge_at(server)
        for row in range(5):
            judge.check_prompt(Prompt(f"rows:{row}", ""))
        assert len(server.requests) == 1, "a greeting, and not one a row"
        assert [v.outcome for v in judge.judge(samples(1))] == [Outcome.SATISFIED]
        judge.close()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"url": "localhost:8000/v1"}, "it must look like http://localhost:8000/v1"),
        ({"url": "http://"}, "it must look like"),
        ({"url": "http://host:99999/v1"}, "it must look like"),
        ({"url": "http://me:sk-secret@host/v1"}, "url must hold no user, password or query"),
        ({"url": "http://host/v1?key=sk-secret"}, "url must hold no user, password or query"),
        ({"url": None}, "the setting 'url' is missing"),
        ({"model": None}, "the setting 'model' is missing"),
        ({"modell": "x"}, "there is no setting 'modell'; choose api_key_env, "),
        ({"api_key": "sk-secret"}, "there is no setting 'api_key'"),
        ({"api_key_env": "sk-secret"}, "must be the name of an environment variable"),
        ({"api_key_env": "NO_SUCH_KEY"}, "the environment variable NO_SUCH_KEY is not set"),
        ({"retries": -1}, "retries is -1: it must be a whole number of at least 0"),
        ({"concurrency": 0}, "concurrency is 0"),
        ({"read_timeout": "x"}, "read_timeout is 'x'"),
        ({"max_undecided": 2}, "max_undecided is 2: it must be a number from 0 to 1"),
        ({"max_characters": 100}, "its own text is"),
    ],
)
def test_a_wrong_setting_is_one_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as caught:
        judge_at("http://127.0.0.1:9/v1", **settings).judge(samples(1))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_neither_model_nor_endpoint_nor_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="judge safety: give it a model=FOLDER_OR_HUB_ID or an endpoint"):
        LanguageModelJudge(template="safety", positive="yes", negative="no")
    with pytest.raises(UserError, match="the answers 'yes' and 'Yes' are the same"):
        LanguageModelJudge(
            template="safety", positive=" yes", negative="Yes", endpoint={"url": "http://localhost/v1", "model": "m"}
        )
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(UserError, match=r"needs the package openai: pip install 'cgpo\[endpoint\]'"):
        judge_at("http://127.0.0.1:9/v1")


def test_the_key_is_sent_and_told_to_nobody(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("MY_KEY", "sk-secret")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-another-server")
    caplog.set_level(logging.DEBUG)
    echo = Reply({"error": {"message": "cannot serve sk-secret"}}, 500)
    [verdict], server = ask(reliable(echo), api_key_env="MY_KEY")
    assert verdict.reason == "HTTP 500: cannot serve ***"
    assert set(server.keys) == {"Bearer sk-secret"}
    assert "sk-secret" not in caplog.text
    _, server = ask(reliable(echo))
    assert set(server.keys) == {"Bearer none"}


def test_no_more_requests_at_a_time_than_configured() -> None:
    verdicts, server = ask(reliable(Reply(said("x", YES_NO), delay=0.02)), samples(24), concurrency=3)
    assert [v.outcome for v in verdicts] == [Outcome.SATISFIED] * 24
    assert server.most_at_once == 3


def test_calls_and_tokens_are_counted_and_survive_a_close() -> None:
    with ScriptedServer(lambda *_: Reply(said("x", YES_NO, tokens=11))) as server:
        judge = judge_at(server)
        assert judge.usage == {"calls": 0, "tokens": 0}
        judge.judge(samples(2))
        judge.close()
        judge.judge(samples(1))
        assert judge.usage == {"calls": 4, "tokens": 44}, "three questions and a greeting"
        judge.close()


def test_it_works_where_an_event_loop_runs_already() -> None:
    async def notebook(judge: LanguageModelJudge) -> list[Verdict]:
        return judge.judge(samples(2))

    with ScriptedServer(reliable(Reply(said("x", YES_NO)))) as server:
        judge = judge_at(server)
        assert len(asyncio.run(notebook(judge))) == 2
        judge.close()


def test_further_fields_of_the_request_reach_the_server() -> None:
    _, server = ask(reliable(Reply(said("x", YES_NO))), extra_body={"chat_template_kwargs": {"enable_thinking": False}})
    assert {str(r["chat_template_kwargs"]) for r in server.requests} == {"{'enable_thinking': False}"}


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
