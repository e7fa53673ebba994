"""Some updates of every optimizer, as one of several processes: `python -m tests.training.steps_of_processes …`."""

import sys
from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer
from tests.policy.adapted import adapted_policy, stir
from tests.policy.tiny import prompt, tiny_policy
from tests.tasks.fakes import RuleJudge, expert, never
from torch import Tensor
from torch.distributed.tensor import DTensor

from cgpo.data.pairs import Pair
from cgpo.distributed.rendezvous import find_rendezvous, joined_processes
from cgpo.judges.panel.panel import Panel
from cgpo.optimizer import CODPO, CRPG, CRRAFT, DPO, GRPO, PPO, RAFT, REINFORCE, RLOO, Lagrangian, OnlineDPO
from cgpo.stages.preferences import OfflinePairs, write_pairs
from cgpo.tasks.expert import Expert
from cgpo.training.module import CGPOModule
from cgpo.training.steps import Steps
from cgpo.training.strategies import Joined, strategy_of
from cgpo.training.update import ConstrainedUpdate

UPDATES = 2
ADAPTED = "adapted_"
"""Begins the name of an optimizer whose policy has adapters."""
OPTIMIZERS = {
    "crpg": CRPG(8.0),
    "codpo": CODPO(0.2, 0.1),
    "crraft": CRRAFT(8.0),
    "ppo": PPO(beta=0.1),
    "lagrangian": Lagrangian(PPO(beta=0.1), learning_rate=0.7),
    "reinforce": REINFORCE(),
    "rloo": RLOO(),
    "grpo": GRPO(),
    "raft": RAFT(),
    "online_dpo": OnlineDPO(),
    "dpo": DPO(),
}


def tasks(optimizer: Any, folder: Path) -> list[Expert]:
    """Batches that no number of processes deals out evenly, one of a single prompt, and one that is all violated."""
    settings: dict[str, Any] = {"responses_per_prompt": 4}
    if isinstance(optimizer, DPO):
        write_pairs(folder, [Pair(prompt(5, 6), "w20 w21 w22", "w23"), Pair(prompt(7), "w24", "w25 w26")])
        settings = {"sampler": OfflinePairs(4, pairs=[str(folder)]), "responses_per_prompt": 2}
    return [
        expert(name="chat", weight=0.5, batch_size=3, optimizer=deepcopy(optimizer), **settings),
        expert(name="math", weight=2.0, batch_size=1, optimizer=deepcopy(optimizer), **settings),
        expert(
            name="code",
            batch_size=2,
            optimizer=deepcopy(optimizer),
            **{**settings, "panel": Panel({"never": RuleJudge(never)})},
        ),
        expert(name="safety", batch_size=5, optimizer=deepcopy(optimizer), **settings),
    ]


def module_of(name: str, folder: Path) -> CGPOModule:
    """AdamW, clipping, and for those that need it a critic and two steps on a rollout."""
    optimizer = OPTIMIZERS[name.removeprefix(ADAPTED)]
    policy = adapted_policy() if name.startswith(ADAPTED) else tiny_policy()
    if name.startswith(ADAPTED):
        stir(policy.model)
    update = ConstrainedUpdate(30)
    if optimizer.uses_values:
        update = ConstrainedUpdate(30, epochs=2, critic_learning_rate=0.02)
    return CGPOModule(
        policy,
        tasks(optimizer, folder),
        update,
        weight_optimizer=lambda groups: torch.optim.AdamW(groups, lr=0.01, weight_decay=0.1),
        schedule=lambda step: 1.0 / (1 + step),
        seed=3,
        clip_norm=0.5,
    )


def run(
    module: CGPOModule,
    devices: int,
    strategy: str,
    tensor_parallel: int = 1,
    updates: int = UPDATES,
    **settings: Any,
) -> None:
    """Trains as this process of those that have met, or alone."""
    taken = find_rendezvous()
    trainer = Trainer(
        accelerator="cpu",
        devices=devices,
        strategy=strategy_of(strategy, devices, 1, tensor_parallel),
        plugins=[] if taken is None else [Joined(taken, devices)],
        max_steps=updates,
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **{"logger": False, **settings},
    )
    trainer.fit(module, Steps(module.experts, updates, module.seed).loader())


def weights(module: CGPOModule) -> Tensor:
    """All weights, the critic's too, put together from their pieces."""
    return torch.cat([whole(p.detach()).flatten() for p in module.parameters()]).clone()


def whole(tensor: Any) -> Tensor:
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def results(names: Sequence[str], devices: int, strategy: str, peers: int, folder: Path) -> Iterator[tuple[str, Any]]:
    """For each optimizer how the weights were `moved`, and the `multipliers` of each task at the end."""
    for name in names:
        module = module_of(name, folder)
        before = weights(module)
        run(module, devices, strategy, peers)
        multipliers = [module.optimizer_states[e.name].get("multipliers", {}) for e in module.experts]
        yield name, {"moved": weights(module) - before, "multipliers": multipliers}


def main() -> None:
    taken = find_rendezvous()
    assert taken is not None
    strategy, peers, folder, *names = sys.argv[1:]
    with joined_processes(taken):
        found = dict(results(names, taken.size, strategy, int(peers), Path(folder)))
    torch.save(found, Path(folder) / f"found-by-{taken.rank}.pt")


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
