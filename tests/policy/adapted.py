"""Tiny policies with adapters that have learnt something."""

from pathlib import Path

import torch
from tests.policy.tiny import save_tiny, tiny_policy
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor

from cgpo.config import LoraConfig
from cgpo.models.adapters import add_adapters, is_adapter_weight
from cgpo.policy.causal import CausalPolicy

SETTINGS = {"r": 3, "alpha": 6}
LINEAR = ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]


def adapted_policy(dtype: torch.dtype = torch.float64, **config: object) -> CausalPolicy:
    """The tiny policy with fresh adapters on all its linear layers."""
    policy = tiny_policy(dtype=dtype, **config)
    add_adapters(policy.model, LoraConfig(**SETTINGS))
    return policy


def stir(model: nn.Module, seed: int = 0) -> None:
    """Gives a model's adapters, which may lie in parts, random values, so that they change its distributions."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if is_adapter_weight(name):
                value = torch.empty(weight.shape, dtype=weight.dtype).normal_(std=0.3, generator=generator)
                parts = isinstance(weight, DTensor)
                weight.copy_(distribute_tensor(value, weight.device_mesh, weight.placements) if parts else value)


def base_weights(model: nn.Module) -> dict[str, Tensor]:
    """Copies of all weights but the adapters'."""
    return {name: weight.clone() for name, weight in model.state_dict().items() if not is_adapter_weight(name)}


def adapter_weights(model: nn.Module) -> dict[str, Tensor]:
    """Copies of the adapters' weights."""
    return {name: weight.clone() for name, weight in model.state_dict().items() if is_adapter_weight(name)}


def save_linear_conv(folder: Path) -> Path:
    """A model of another family, whose matrices lie transposed and have biases: a random GPT-2."""
    from transformers import GPT2Config, GPT2LMHeadModel

    save_tiny(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        GPT2LMHeadModel(
            GPT2Config(
                vocab_size=32,
                n_positions=64,
                n_embd=16,
                n_layer=2,
                n_head=2,
                initializer_range=0.4,
                bos_token_id=1,
                eos_token_id=1,
                pad_token_id=0,
            )
        ).save_pretrained(folder)
    return folder
