"""Run by `test_sharded_logprobs.py` as two processes: log-probabilities and gradients of sharded models.

`python -m tests.policy.sharded_logprobs VARIANT…` prints on rank 0 how each variant differs from one process, as JSON.
"""

import json
import sys
from copy import deepcopy
from typing import Any

import torch
import torch.distributed as dist
from tests.policy.tiny import PAD, tiny_model
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from transformers import Gemma2Config, Gemma2ForCausalLM

from cgpo.distributed.rendezvous import find_rendezvous, joined_processes
from cgpo.policy import token_logprobs as head
from cgpo.policy.logprobs import response_logprobs

PROMPTS = [[5, 6, 7, 8], [9], [10, 11], [12, 13, 14, 15, 16, 17]]
RESPONSES = torch.tensor([[20, 21, 1, 0], [4, 0, 0, 0], [22, 7, 8, 1], [30, 29, 28, 27]])
MASK = torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1]]).bool()
WEIGHTS = torch.arange(1.0, 17.0).view(4, 4)
WORLD = 2


def model_of(variant: str) -> nn.Module:
    if variant == "softcap":
        torch.manual_seed(0)
        width = {"hidden_size": 16, "intermediate_size": 32, "head_dim": 4}
        heads = {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
        config = Gemma2Config(vocab_size=32, final_logit_softcapping=3.0, initializer_range=0.4, **width, **heads)
        return Gemma2ForCausalLM(config).eval()
    model: Any = tiny_model(dtype=torch.float32, tie_word_embeddings=variant not in ("untied", "own_head"))
    if variant == "checkpointing":
        model.gradient_checkpointing_enable()
        model.train()
    if variant.startswith("lora"):
        from peft import LoraConfig, get_peft_model

        torch.manual_seed(1)
        targets = ["q_proj", "down_proj"]
        return get_peft_model(model, LoraConfig(r=2, target_modules=targets, init_lora_weights=False)).eval()
    return model


def shard(model: Any, variant: str) -> None:
    mesh = init_device_mesh("cpu", (WORLD,))
    settings: dict[str, Any] = {"mesh": mesh}
    if variant == "mixed":
        settings["mp_policy"] = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
    inner = model.get_base_model() if variant.startswith("lora") else model
    for layer in inner.model.layers:
        fully_shard(layer, **settings)
    if variant == "own_head":
        fully_shard(inner.lm_head, **settings)
    if variant in ("freed_root", "lora_inside"):
        settings["reshard_after_forward"] = True
    fully_shard(inner if variant == "lora_inside" else model, **settings)


def gradients(model: nn.Module) -> list[Tensor]:
    """Of every weight that has one, whole."""
    found = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    return [grad.full_tensor() if hasattr(grad, "full_tensor") else grad for grad in found]  # pyright: ignore[reportCallIssue]


def run(model: nn.Module, rows: slice, scale: float) -> Tensor:
    found = response_logprobs(model, PROMPTS[rows], RESPONSES[rows], MASK[rows], 0.7, PAD)
    (scale * (found * WEIGHTS[rows]).sum()).backward()
    return found.detach()


def differences(variant: str, rank: int) -> dict[str, float]:
    """Of the log-probabilities, the greatest; of the weights' gradients, the greatest relative to its norm."""
    model = model_of(variant)
    alone = deepcopy(model).to(torch.bfloat16 if variant == "mixed" else torch.float32)
    wanted = run(alone, slice(None), 1.0)
    shard(model, variant)
    rows = slice(2 * rank, 2 * rank + 2)
    found = run(model, rows, float(WORLD))  # FSDP takes the mean over processes
    pairs = list(zip(gradients(model), gradients(alone), strict=True))
    apart = max(((a.float() - b.float()).norm() / b.float().norm()).item() for a, b in pairs)
    largest = (found - wanted[rows]).abs().max()
    dist.all_reduce(largest, dist.ReduceOp.MAX)
    return {"logprobs": largest.item(), "gradients": apart, "weights": len(pairs)}


def main() -> None:
    taken = find_rendezvous()
    assert taken is not None
    torch.set_num_threads(1)
    head.LOGIT_BUDGET = 3 * 32  # three tokens a chunk
    with joined_processes(taken):
        found = {variant: differences(variant, taken.rank) for variant in sys.argv[1:]}
        if taken.rank == 0:
            print(json.dumps(found))


if __name__ == "__main__":
    main()
