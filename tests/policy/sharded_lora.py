"""One of several processes that share a policy with adapters by FSDP2; writes what it found into a folder.

python -m tests.policy.sharded_lora FOLDER PRECISION…
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tests.policy.adapted import SETTINGS, stir
from tests.policy.tiny import PAD, prompt
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

from cgpo.distributed.rendezvous import find_rendezvous, joined_processes
from cgpo.policy.causal import CausalPolicy, load_policy, write_policy
from cgpo.policy.logprobs import response_logprobs
from cgpo.rollout import DecodingSampler

PROMPTS = ((5, 6, 7), (9,), (10, 11), (12, 13, 14, 15))
RESPONSES = ((7, 8, 9), (20, 21, 22), (23, 24, 25), (26, 27, 28))


def shard(model: Any, precision: str, processes: int) -> None:
    """Shards each decoder layer, then the rest."""
    halves = MixedPrecisionPolicy(torch.bfloat16, torch.float32) if precision == "mixed" else MixedPrecisionPolicy()
    mesh = init_device_mesh("cpu", (processes,))
    for module in [m for m in model.modules() if type(m).__name__ in model._no_split_modules]:
        fully_shard(module, mesh=mesh, mp_policy=halves)
    fully_shard(model, mesh=mesh, mp_policy=halves)


def sharded(model: nn.Module) -> list[FSDPModule]:
    """What has weights to gather; nothing in one process."""
    return [module for module in model.modules() if isinstance(module, FSDPModule)]


def logprobs(policy: CausalPolicy, rows: Sequence[int]) -> Tensor:
    ids = torch.tensor([RESPONSES[i] for i in rows])
    mask = torch.ones_like(ids, dtype=torch.bool)
    return response_logprobs(policy.model, [PROMPTS[i] for i in rows], ids, mask, 1.0, PAD)


def drawn(policy: CausalPolicy, rows: Sequence[int]) -> list[str]:
    """Responses to some prompts, while all weights are gathered: no process waits for another."""
    for module in sharded(policy.model):
        module.unshard()
        module.set_reshard_after_forward(False, recurse=False)
    reference = policy.frozen_copy()
    found = [
        text
        for i in rows
        for each in (policy, reference)
        for text in DecodingSampler(1 + 6 * i).sample(each, [prompt(*PROMPTS[i])], 2, seed=i).responses
    ]
    for module in sharded(policy.model):
        module.set_reshard_after_forward(True, recurse=False)
        module.reshard()
    return found


def full(tensor: Any) -> Tensor:
    """A weight or gradient that may lie in parts, whole."""
    return (tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor).detach().clone()


def work(folder: Path, precision: str, rank: int, processes: int) -> dict[str, Any]:
    """Two steps of training with reference evaluations before, between and after them."""
    policy = load_policy(
        str(folder / "model"), "bfloat16" if precision == "bfloat16" else "float32", precision != "bfloat16", SETTINGS
    )
    fresh = policy.frozen_copy()
    if processes > 1:
        shard(policy.model, precision, processes)
    rows = list(range(rank, len(PROMPTS), processes))
    found: dict[str, Any] = {"rows": rows, "fresh": [logprobs(fresh, rows), logprobs(policy, rows).detach()]}
    stir(policy.model)
    optimizer = torch.optim.AdamW([w for w in policy.model.parameters() if w.requires_grad], lr=0.01)
    reference = policy.frozen_copy()
    found["reference"], found["policy"], found["gradients"] = [], [], []
    for _ in range(2):
        optimizer.zero_grad()
        found["reference"].append(logprobs(reference, rows))
        own = logprobs(policy, rows)
        found["policy"].append(own.detach())
        logprobs(reference, rows)
        (own.sum() * processes).backward()
        held = {name: w.grad for name, w in policy.model.named_parameters() if w.grad is not None}
        found["gradients"].append({name: full(grad) for name, grad in held.items()})
        optimizer.step()
    found["reference"].append(logprobs(reference, rows))
    found["drawn"] = drawn(policy, rows)
    found["policy"].append(logprobs(policy, rows).detach())
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    weights = get_model_state_dict(policy.model, options=options)
    if rank == 0:
        write_policy(policy, dict(weights), folder / f"saved_by_{processes}")
    return found


def main() -> None:
    taken = find_rendezvous()
    assert taken is not None
    torch.set_num_threads(1)
    with joined_processes(taken):
        for precision in sys.argv[2:]:
            folder = Path(sys.argv[1]) / precision
            torch.save(work(folder, precision, taken.rank, taken.size), folder / f"found_{taken.rank}.pt")


if __name__ == "__main__":
    main()
