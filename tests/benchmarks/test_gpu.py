"""What of the benchmark on a GPU a CPU can show; its figures it cannot."""

import json
import os
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.processes import run, wait_for_the_end_of

from cgpo.rollout import DecodingSampler
from cgpo.types import Prompt

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
STAGES = {"rollout", "reward", "reference", "update", "step"}


@pytest.fixture(autouse=True)
def _siblings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmark's files name each other as scripts do."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def module(name: str) -> Any:
    return import_module(name)


def test_steps_are_measured_at_toy_size(tmp_path: Path) -> None:
    """By the command, which measures each part in a process of its own."""
    output = tmp_path / "gpu.json"
    line = ["--tiny", "--device", "cpu", "--kinds", "step", "trl", "--output", str(output)]
    done = run("gpu", *line, environment={**os.environ, "PYTHONPATH": str(BENCHMARKS)})
    assert done.returncode == 0, done.stderr
    step, trl = json.loads(output.read_text())["parts"]
    assert step["status"].startswith("done"), step["status"]
    assert [row["variant"] for row in step["rows"]] == ["bf16 dynamic", "bf16 static", "bf16-mixed dynamic"]
    for row in step["rows"]:
        assert row["stages"].keys() == STAGES
        assert 8 * 8 <= row["tokens"] <= 8 * 16, "8 responses of 8 to 16 tokens"
        assert sum(row["stages"].values()) < row["seconds"]
        assert row["update_utilisation"] is None, "a CPU's peak is not known"
    assert trl["status"].startswith(("done", "left out: no TRL")), trl["status"]


def test_decoding_is_measured_at_toy_size() -> None:
    (part,) = module("gpu_parts").parts_of(["tiny"], ["decode"])
    rows = part.measure(module("gpu_policies").TINY, "cpu")
    engines = ("dynamic", "static", "generate", "generate-static", "generate-batch", "generate-compiled")
    assert [(row["variant"], row["rows"]) for row in rows] == [(e, n) for e in engines for n in (1, 4)]


def test_what_a_model_costs() -> None:
    """Two layers of 9,344 weights, 32 of the last norm, 512 · 32 of the head; keys and values of width 16."""
    policy = module("gpu_policies").build_policy("tiny", "cpu", torch.bfloat16)
    cost = module("gpu_bounds").cost_of(policy.model)
    assert (cost.body, cost.head) == (18_720, 16_384)
    assert (cost.layers, cost.attention, cost.cached) == (2, 32, 64)
    assert cost.weight_bytes == 70_208
    assert cost.decoded_bytes(rows=3, prompt=10, tokens=2) == 2 * 70_208 + 3 * (11 + 12) * 64 * 2
    assert cost.update_flops([(3, 2)]) == 561_600 + 196_608 + 9_600
    assert cost.update_flops([(3, 2), (3, 2)]) == 2 * cost.update_flops([(3, 2)])


@pytest.mark.parametrize(
    ("name", "weights"),
    [("qwen-0.5b", 494_032_768), ("qwen-1.5b", 1_543_714_304), ("llama-1b", 1_235_814_400)],
)
def test_shapes_have_the_published_number_of_weights(name: str, weights: int) -> None:
    policy = module("gpu_policies").build_policy(name, "meta", torch.bfloat16)
    cost = module("gpu_bounds").cost_of(policy.model)
    assert cost.body + cost.head == weights
    assert cost.weight_bytes == 2 * weights


def test_words_are_tokens() -> None:
    policies = module("gpu_policies")
    policy = policies.build_policy("tiny", "cpu", torch.float32)
    texts = policies.prompt_texts(20, 16, 12, 512)
    lengths = [len(policy.encode_prompt(Prompt("", text))) for text in texts]
    assert lengths[0] == max(lengths) == 16
    assert min(lengths) == 12
    assert policy.decode([2, 30, 511]) == "2 1e 1ff"
    assert policy.decode([policies.EOS, policies.PAD]) == ""


def test_lengths_are_forced_on_both_engines_alike() -> None:
    policies = module("gpu_policies")
    policy = policies.build_policy("tiny", "cpu", torch.float32)
    policies.force_lengths(policy.model, policies.TINY)
    prompts = [Prompt(text, text) for text in policies.prompt_texts(4, 16, 12, 512)]
    dynamic, static = (
        DecodingSampler(16, engine=engine).sample(policy, prompts, 8, seed=0) for engine in ("dynamic", "static")
    )
    lengths = dynamic.response_mask.sum(-1)
    assert lengths.min() == 8
    assert lengths.max() == 16
    assert 9 < lengths.float().mean() < 14, "12, a little less for the cut at 16"
    assert torch.equal(static.response_mask, dynamic.response_mask)


def command(script: str) -> list[str]:
    """A part that runs `script`; `rows` adds a row."""
    return [sys.executable, "-c", f"import sys, os, time\nrows = open(sys.argv[2], 'a')\n{script}"]


def apart(script: str, tmp_path: Path, seconds: float = 30.0, left: float = 1000.0) -> dict[str, Any]:
    parts = module("gpu_parts")
    return parts.run_apart(parts.Part("step", "tiny", "bf16", seconds), left, command(script), tmp_path)


def test_a_part_that_is_killed_keeps_what_it_had(tmp_path: Path) -> None:
    script = "print('{\"a\": 1}', file=rows, flush=True)\nos.fork()\nprint(os.getpid(), flush=True)\ntime.sleep(100)"
    found = apart(script, tmp_path, seconds=2)
    assert found["status"] == "killed after 2 s"
    assert found["rows"] == [{"a": 1}]
    pids = [int(line) for line in (tmp_path / "said.txt").read_text().split()]
    assert len(pids) == 2
    wait_for_the_end_of(*pids)


def test_a_part_that_fails_says_why(tmp_path: Path) -> None:
    found = apart("raise RuntimeError('out of memory')", tmp_path)
    assert found["status"] == "failed: RuntimeError: out of memory"
    assert found["rows"] == []
    assert apart("os._exit(3)", tmp_path)["status"] == "failed: it said nothing"


def test_without_time_a_part_is_left_out(tmp_path: Path) -> None:
    assert apart("", tmp_path, left=19.0)["status"] == "left out: no time was left"


def test_the_most_wanted_comes_first_of_every_model() -> None:
    parts = module("gpu_parts").parts_of(["qwen-0.5b", "qwen-1.5b"], ["step", "trl"])
    assert [(part.kind, part.model[5:], part.variant) for part in parts] == [
        ("step", "0.5b", "bf16 dynamic"),
        ("step", "0.5b", "bf16 static"),
        ("trl", "0.5b", "bf16"),
        ("step", "1.5b", "bf16 dynamic"),
        ("step", "1.5b", "bf16 static"),
        ("trl", "1.5b", "bf16"),
        ("step", "0.5b", "bf16-mixed dynamic"),
        ("step", "1.5b", "bf16-mixed dynamic"),
    ]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu.py"])
    with pytest.raises(SystemExit, match=r"^error: torch finds no GPU; --tiny --device cpu runs"):
        module("gpu").main()
