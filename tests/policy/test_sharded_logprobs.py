"""Two processes that share a model's pieces find what one finds."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 100.0
ROUNDING = 2e-5
HALF_ROUNDING = 0.05
"""Of bfloat16 numbers, which have eight bits, after two layers."""

VARIANTS = ("tied", "untied", "freed_root", "own_head", "checkpointing", "softcap", "mixed")
ADAPTED = ("lora", "lora_inside") if find_spec("peft") else ()
WEIGHTS = {"untied": 21, "own_head": 21, "softcap": 24, "lora": 8, "lora_inside": 8}
"""Weights that have a gradient: 9 in a Llama's layer, 11 in a Gemma's, 4 in LoRA's; norm, embedding, head."""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, float]]:
    """What rank 0 of two processes says of each variant; both are killed if they are not done in time."""
    command = [sys.executable, str(Path(__file__).with_name("sharded.py"))]
    path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
    processes = [
        subprocess.Popen(
            [*command, str(rank), str(tmp_path_factory.getbasetemp() / "meeting"), *VARIANTS, *ADAPTED],
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        for rank in range(2)
    ]
    deadline = time.monotonic() + LIMIT
    while any(process.poll() is None for process in processes) and time.monotonic() < deadline:
        if any(process.poll() for process in processes):
            break  # the other one waits for it in vain
        time.sleep(0.1)
    for process in processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    answers = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], answers[0][1] + answers[1][1]
    return json.loads(answers[0][0].splitlines()[-1])


@pytest.mark.parametrize("variant", VARIANTS)
def test_sharded_equals_alone(variant: str, found: dict[str, dict[str, float]]) -> None:
    limit = HALF_ROUNDING if variant == "mixed" else ROUNDING
    assert found[variant]["logprobs"] < limit
    assert found[variant]["gradients"] < limit
    assert found[variant]["weights"] == WEIGHTS.get(variant, 20)


@pytest.mark.parametrize("variant", ADAPTED)
def test_sharded_with_adapters(variant: str, found: dict[str, dict[str, float]]) -> None:
    """FSDP's root is the wrapper, or the model inside it."""
    assert found[variant]["logprobs"] < ROUNDING
    assert found[variant]["gradients"] < ROUNDING
    assert found[variant]["weights"] == WEIGHTS[variant]
