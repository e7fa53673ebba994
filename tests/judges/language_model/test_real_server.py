"""A judge model behind a real server, `transformers serve`, next to the same model in process."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from cgpo.errors import UserError
from cgpo.judges.language_model.judge import LanguageModelJudge
from cgpo.stages.fitting import FitSettings
from cgpo.stages.judge_model import JudgeModelTraining
from cgpo.suite.model import train_tokenizer
from cgpo.types import Outcome, Prompt, Sample

for package in ("openai", "fastapi", "uvicorn"):
    pytest.importorskip(package, reason="transformers[serving] is not installed")

TEMPLATE = "Response: {response}\nIs it good?"
WORDS = ("apple", "bread", "chair", "door", "earth", "fish", "green", "house")


def labelled() -> list[tuple[Sample, bool]]:
    texts = [f"{a} {b} {kind}" for a in WORDS for b in WORDS for kind in ("good", "bad")]
    return [(Sample(Prompt("rows:1", "?"), text), text.endswith("good")) for text in texts]


@dataclass(frozen=True)
class Labelled:
    def load(self) -> Sequence[tuple[Sample, bool]]:
        return labelled()


@pytest.fixture(scope="module")
def judge_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny judge that knows good from bad."""
    folder = tmp_path_factory.mktemp("judge")
    (folder / "good.txt").write_text(TEMPLATE)
    torch.manual_seed(0)
    torch.set_num_threads(1)
    tokenizer = train_tokenizer([TEMPLATE, " yes", " no", *(s.response for s, _ in labelled())] * 20, 400)
    sizes: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1}
    end: dict[str, Any] = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    config = LlamaConfig(vocab_size=len(tokenizer), num_attention_heads=2, max_position_embeddings=256, **sizes, **end)
    LlamaForCausalLM(config).save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    (folder / "model").mkdir()
    fit = FitSettings(steps=60, batch_size=16, learning_rate=1e-2)
    stage = JudgeModelTraining(str(folder / "base"), str(folder / "good.txt"), " yes", " no", Labelled(), fit)
    stage.build(folder / "model")
    return folder


@dataclass(frozen=True)
class Served:
    url: str
    model: str
    process: subprocess.Popen[bytes]


@pytest.fixture(scope="module")
def served(judge_model: Path) -> Iterator[Served]:
    """`transformers serve` with that model; killed at the end, if a test has not done so."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [Path(sys.executable).with_name("transformers"), "serve", judge_model / "model"]
    (judge_model / "hub").mkdir()
    with (judge_model / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--device", "cpu", "--host", "127.0.0.1", "--port", str(port)],
            env={**os.environ, "HF_HUB_CACHE": str(judge_model / "hub"), "HF_HUB_OFFLINE": "1"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        _wait(f"http://127.0.0.1:{port}/health", process, judge_model / "server.log")
        yield Served(f"http://127.0.0.1:{port}/v1", str(judge_model / "model"), process)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    pytest.fail(f"the server did not start:\n{log.read_text()}")


def judge_at(served: Served, folder: Path, **settings: Any) -> LanguageModelJudge:
    endpoint = {"url": served.url, "model": served.model, "max_tokens": 1, "concurrency": 4, "retries": 0, **settings}
    return LanguageModelJudge(template=str(folder / "good.txt"), positive=" yes", negative=" no", endpoint=endpoint)


def test_the_server_says_what_the_model_says_in_process(served: Served, judge_model: Path) -> None:
    samples = [sample for sample, _ in labelled()][::4] + [sample for sample, _ in labelled()][1::4]
    truth = [Outcome.SATISFIED if s.response.endswith("good") else Outcome.VIOLATED for s in samples]
    inside = LanguageModelJudge(model=served.model, template="safety", positive="?", negative="!")
    assert [v.outcome for v in inside.judge(samples)] == truth
    judge = judge_at(served, judge_model)
    verdicts = judge.judge(samples)
    judge.close()
    assert [v.outcome for v in verdicts] == truth
    assert {v.reason.split(";")[0] for v in verdicts} == {"answered yes", "answered no"}
    assert judge.usage["calls"] == len(samples) + 1
    assert judge.usage["tokens"] > 10 * len(samples)


def test_a_model_that_the_server_does_not_know(served: Served, judge_model: Path) -> None:
    judge = judge_at(served, judge_model, model="nobody/nothing")
    with pytest.raises(UserError, match=r"endpoint nobody/nothing at .*: HTTP 4\d\d: .*nobody/nothing"):
        judge.check_prompt(Prompt("rows:1", ""))
    judge.close()


def test_a_server_that_is_killed_leaves_the_rest_undecided(served: Served, judge_model: Path) -> None:
    samples = [sample for sample, _ in labelled()]
    judge = judge_at(served, judge_model)
    assert Outcome.UNDECIDED not in {v.outcome for v in judge.judge(samples[:8])}
    os.killpg(served.process.pid, signal.SIGKILL)
    served.process.wait()
    verdicts = judge.judge(samples)
    judge.close()
    assert [v.outcome for v in verdicts] == [Outcome.UNDECIDED] * len(samples)
    assert "connection" in verdicts[0].reason
