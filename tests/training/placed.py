"""One of several processes that share models of which the first alone has read the weights; run by `test_placing.py`.

python -m tests.training.placed FOLDER PEERS
"""

import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from tests.policy.tiny import PAD
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import init_device_mesh

from cgpo.distributed.rendezvous import find_rendezvous, joined_processes
from cgpo.distributed.sharding import gathered_weights, is_sharded
from cgpo.models.quantization import quantize
from cgpo.policy.causal import CausalPolicy, load_policy, load_policy_on_meta_device
from cgpo.policy.critic import Critic
from cgpo.policy.logprobs import response_logprobs
from cgpo.training.placement import shard_all
from cgpo.training.update import ConstrainedUpdate

PROMPTS = [[5, 6, 7, 8], [9]]
RESPONSES = torch.tensor([[20, 21, 1, 0], [4, 22, 7, 8]])
MASK = torch.tensor([[1, 1, 1, 0], [1, 1, 1, 1]]).bool()


def answers(policy: CausalPolicy, reference: CausalPolicy, critic: nn.Module) -> list[Tensor]:
    """What each of the models says of the same responses."""
    with torch.no_grad(), gathered_weights(policy.model, reference.model, critic):
        of_policies = [response_logprobs(p.model, PROMPTS, RESPONSES, MASK, 1.0, PAD) for p in (policy, reference)]
        return [*of_policies, critic(PROMPTS, RESPONSES, MASK, PAD)]


def trio(policy: CausalPolicy) -> tuple[CausalPolicy, CausalPolicy, Any]:
    """A policy with its reference and its critic."""
    critic = Critic(policy.model)
    return policy, policy.frozen_copy(), critic


def check(path: Path, rank: int, meshes: tuple[Any, Any], lora: dict[str, Any] | None) -> None:
    """The models in pieces are those that are read whole."""
    settings = {"path": str(path), "lora": lora}
    whole = trio(load_policy(**settings))
    parted = trio((load_policy if rank == 0 else load_policy_on_meta_device)(**settings))
    ConstrainedUpdate(packing=True).attach(parted[0])  # tried where the weights are, and nowhere else
    assert (rank == 0) != all(parameter.is_meta for parameter in parted[0].model.parameters())
    for critic in (whole[2], parted[2]):
        nn.init.ones_(critic.head.weight)  # a head of zeros would tell nothing
    wanted = answers(*deepcopy(whole) if lora is None else whole)
    policy, reference, critic = parted
    frozen = load_policy(str(path)).model, quantize(load_policy(str(path)).model, "int8")
    shard_all([policy.model, critic, reference.model], frozen, meshes, False)
    assert [is_sharded(model) for model in frozen] == [True, False], "quantised weights cannot be cut"
    for found, expected in zip(answers(policy, reference, critic), wanted, strict=True):
        torch.testing.assert_close(found, expected)
    names = [list(dict(model.named_parameters())) for model in (policy.model, whole[0].model)]
    assert names[0] == names[1], "weights that layers share are still shared"
    assert policy.eos_ids == whole[0].eos_ids
    assert policy.model.generation_config.to_dict() == whole[0].model.generation_config.to_dict()  # pyright: ignore


def main() -> None:
    folder, peers = Path(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(1)
    taken = find_rendezvous()
    assert taken is not None
    with joined_processes(taken):
        names = ("data_parallel", "tensor_parallel")
        mesh = init_device_mesh("cpu", (taken.size // peers, peers), mesh_dim_names=names)
        meshes = mesh[names[0]], mesh[names[1]]
        for name in ("tied", "untied"):
            check(folder / name, taken.rank, meshes, None)
            if peers == 1:
                check(folder / name, taken.rank, meshes, {"r": 2})
    assert not distributed.is_initialized()


if __name__ == "__main__":
    main()
