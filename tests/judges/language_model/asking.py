"""A judge behind a scripted server, and what it is asked."""

from typing import Any

from tests.judges.language_model.scripted_server import Reply, Script, ScriptedServer, said

from cgpo.judges.language_model.judge import LanguageModelJudge
from cgpo.types import Prompt, Sample, Verdict

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
