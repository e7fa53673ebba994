"""Strategies, who shares the batch under them, and models that are put into pieces; by one process."""

from typing import Any

import pytest
import torch
from lightning import Trainer
from lightning.pytorch.strategies import ModelParallelStrategy
from tests.policy.tiny import tiny_model, tiny_policy
from torch.distributed.device_mesh import init_device_mesh

from cgpo.distributed.process_group import ALONE
from cgpo.distributed.rendezvous import Rendezvous, joined_processes
from cgpo.distributed.sharding import gathered_weights, is_sharded, models_of
from cgpo.models.adapters import AdaptersDisabled
from cgpo.training.placement import shard_all
from cgpo.training.strategies import Replicated, meshes_of, processes_of, strategy_of


def test_strategies_by_name() -> None:
    assert strategy_of("single", 1, 1, 1) == "auto"
    assert isinstance(strategy_of("ddp", 2, 1, 1), Replicated)


@pytest.mark.parametrize(("devices", "nodes", "peers", "copies"), [(2, 1, 1, 2), (4, 2, 2, 4), (2, 1, 2, 1)])
def test_pieces_lie_over_copies_and_peers(devices: int, nodes: int, peers: int, copies: int) -> None:
    strategy: Any = strategy_of("fsdp", devices, nodes, peers)
    assert isinstance(strategy, ModelParallelStrategy)
    assert (strategy._data_parallel_size, strategy._tensor_parallel_size) == (copies, peers)


def test_a_copy_is_not_wrapped() -> None:
    model = tiny_model()
    assert Replicated()._setup_model(model) is model


def test_a_single_process_is_alone() -> None:
    trainer = Trainer(accelerator="cpu", devices=1, logger=False, enable_checkpointing=False)
    assert processes_of(trainer) == ALONE
    assert meshes_of(trainer) is None


class Holder:
    """Runs models, and says so."""

    def __init__(self, *models: torch.nn.Module) -> None:
        self.models = list(models)


def test_models_are_those_that_a_holder_names() -> None:
    model = tiny_model()
    assert models_of(Holder(model)) == [model]
    assert models_of(object()) == []


def test_every_model_is_put_into_pieces_once() -> None:
    policy, reward = tiny_policy(), tiny_model(1)
    reference = AdaptersDisabled(policy.model)
    ids = torch.tensor([[5, 6, 7]])
    before = policy.model(input_ids=ids).logits
    with joined_processes(Rendezvous()):
        mesh = init_device_mesh("cpu", (1, 1), mesh_dim_names=("data", "peers"))
        shard_all([policy.model, reference], [reward, reward], (mesh["data"], mesh["peers"]), mixed=False)
        assert is_sharded(policy.model)
        assert is_sharded(reward)
        assert not is_sharded(reference), "it has the policy's own weights"
        with gathered_weights(policy.model, reference), torch.no_grad():
            torch.testing.assert_close(policy.model(input_ids=ids).logits, before, rtol=1e-12, atol=1e-12)
