"""A policy with adapters in two processes, weights shared out by FSDP2, against the same in one process."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.policy.sharded_process import work
from tests.policy.tiny import save_tiny
from transformers import AutoModelForCausalLM

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("sharded_process.py")
TOKENS = torch.tensor([[5, 6, 7]])


def two_processes(folder: Path, precision: str) -> list[dict[str, Any]]:
    """What each of them found; both are killed where they do not end by themselves."""
    paths = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    processes = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), str(rank), "2", str(folder), precision],
            env={**os.environ, "PYTHONPATH": paths},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        for rank in (0, 1)
    ]
    try:
        said = [process.communicate(timeout=150)[0] for process in processes]
    finally:
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)
    return [torch.load(folder / f"found_{rank}.pt") for rank in (0, 1)]


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "mixed"])
def test_two_processes_find_what_one_finds(tmp_path: Path, precision: str) -> None:
    save_tiny(tmp_path / "model")
    found = two_processes(tmp_path, precision)
    for each in found:
        fresh_reference, fresh_policy = each["fresh"]
        assert torch.equal(fresh_reference, fresh_policy), "fresh adapters change nothing"
        assert all(torch.equal(given, fresh_reference) for given in each["reference"]), "the reference stays"
        assert not torch.allclose(each["policy"][0], fresh_reference, atol=0.1)
        assert not torch.allclose(each["policy"][2], each["policy"][0], atol=0.01), "the policy learns"
        assert len(each["gradients"][0]) == 28
    if precision == "mixed":  # one process that computes in bfloat16 has nothing to compare with
        return
    alone = work(tmp_path, precision, 0, 1)
    near = {"rtol": 1e-4, "atol": 1e-5} if precision == "float32" else {"rtol": 0.1, "atol": 0.1}
    for each in found:
        for name in ("policy", "reference"):
            for shared, single in zip(each[name], alone[name], strict=True):
                torch.testing.assert_close(shared, single[each["rows"]], **near)
        for shared, single in zip(each["gradients"], alone["gradients"], strict=True):
            assert shared.keys() == single.keys()
            for name, gradient in single.items():
                scale = gradient.norm().item()
                assert scale > 1e-3
                assert (shared[name] - gradient).norm() <= (1e-4 if precision == "float32" else 0.1) * scale, name
    if precision == "float32":
        texts = iter(alone["drawn"])
        by_row = {row: [next(texts) for _ in range(4)] for row in alone["rows"]}
        assert all(each["drawn"] == [text for row in each["rows"] for text in by_row[row]] for each in found)
        saved = [AutoModelForCausalLM.from_pretrained(tmp_path / f"saved_by_{n}") for n in (1, 2)]
        first, second = (model(TOKENS).logits for model in saved)
        torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-3)
        base = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
        assert not torch.allclose(first, base(TOKENS).logits, atol=0.1)
