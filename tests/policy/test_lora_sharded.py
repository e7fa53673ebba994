"""A policy with adapters in two processes, weights shared out by FSDP2, against the same in one process."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.policy.sharded_lora import work
from tests.policy.tiny import save_tiny
from tests.processes import together
from transformers import AutoModelForCausalLM

TOKENS = torch.tensor([[5, 6, 7]])


PRECISIONS = ("float32", "bfloat16", "mixed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What each of two processes found, in a folder for each precision."""
    folder = tmp_path_factory.mktemp("adapted")
    for precision in PRECISIONS:
        save_tiny(folder / precision / "model")
    together(2, "tests.policy.sharded_lora", str(folder), *PRECISIONS, folder=folder)
    return folder


@pytest.mark.parametrize("precision", PRECISIONS)
def test_two_processes_find_what_one_finds(folder: Path, precision: str) -> None:
    folder /= precision
    found: list[dict[str, Any]] = [torch.load(folder / f"found_{rank}.pt") for rank in (0, 1)]
    for each in found:
        fresh_reference, fresh_policy = each["fresh"]
        assert torch.equal(fresh_reference, fresh_policy), "fresh adapters change nothing"
        assert all(torch.equal(given, fresh_reference) for given in each["reference"]), "the reference stays"
        assert not torch.allclose(each["policy"][0], fresh_reference, atol=0.1)
        assert not torch.allclose(each["policy"][2], each["policy"][0], atol=0.01), "the policy learns"
        assert len(each["gradients"][0]) == 28
    if precision == "mixed":  # one process that computes in bfloat16 has nothing to compare with
        return
    alone = work(folder, precision, 0, 1)
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
        saved = [AutoModelForCausalLM.from_pretrained(folder / f"saved_by_{n}") for n in (1, 2)]
        first, second = (model(TOKENS).logits for model in saved)
        torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-3)
        base = AutoModelForCausalLM.from_pretrained(folder / "model")
        assert not torch.allclose(first, base(TOKENS).logits, atol=0.1)
