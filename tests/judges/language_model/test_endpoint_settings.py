"""Judges behind an endpoint: what is wrong stops at start-up, what is set is kept to."""

import asyncio
import logging
import sys
from collections.abc import Callable
from typing import Any

import pytest
from tests.judges.language_model.asking import YES_NO, ask, judge_at, reliable, samples
from tests.judges.language_model.scripted_server import Reply, Script, ScriptedServer, said

from cgpo.errors import UserError
from cgpo.judges.language_model.judge import LanguageModelJudge
from cgpo.types import Outcome, Prompt, Verdict

pytest.importorskip("openai", reason="the extra endpoint is not installed")


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
