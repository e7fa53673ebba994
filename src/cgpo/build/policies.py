"""The policy of a configuration, and how the policies of an evaluation read."""

from __future__ import annotations

from collections.abc import Mapping

from torch import nn

from cgpo.build.devices import training_device
from cgpo.config import EvaluateConfig, TrainConfig, artifacts, policy_keys
from cgpo.errors import UserError
from cgpo.models.chat import ModelPromptEncoder, load_prompt_encoder
from cgpo.policy.causal import CausalPolicy, load_policy, load_policy_on_meta_device


def build_policy(config: TrainConfig, weights: bool = True) -> CausalPolicy:
    """The policy that is trained.

    Args:
        config: references resolved.
        weights: whether they are read; otherwise another process sends this one its share.

    Raises:
        UserError: the model cannot be loaded.
    """
    load = load_policy if weights else load_policy_on_meta_device
    model = config.model
    lora = None if model.lora is None else model.lora.model_dump()
    return load(model.path, dtype_of(config), model.gradient_checkpointing, lora)


def load_evaluated(config: EvaluateConfig, path: str) -> CausalPolicy:
    """A policy that is evaluated, on the device where this process works.

    Raises:
        UserError: the model cannot be loaded.
    """
    at = config.model_copy(update={"model": config.model.model_copy(update={"path": path})})
    policy = build_policy(at)
    nn.Module.to(policy.model, training_device(config.trainer))
    return policy


def dtype_of(config: TrainConfig) -> str:
    """The precision of the weights that are trained: the trainer may ask for bfloat16 throughout."""
    return "bfloat16" if config.trainer.precision == "bf16-true" else config.model.dtype


def model_readers(config: EvaluateConfig) -> dict[str, ModelPromptEncoder]:
    """How the reference and each policy reads, by key of the configuration; results of the pipeline are left out.

    Raises:
        UserError: a model cannot be read, or reads other tokens than the reference.
    """
    named = {"reference": config.reference, **policy_keys(config)}
    readers = {key: load_prompt_encoder(path) for key, path in named.items() if not artifacts(path)}
    if readers:
        check_same_tokens(readers, next(iter(readers)))
    return readers


def check_same_tokens(readers: Mapping[str, ModelPromptEncoder], reference: str) -> None:
    """Asserts that all models read the same tokens, without which there is no KL divergence between them.

    Args:
        readers: key of the configuration → the model it names.
        reference: the key that the others are compared with.

    Raises:
        UserError: naming the key of one that differs.
    """
    vocabulary = readers[reference].tokenizer.get_vocab()
    for key, reader in readers.items():
        if reader.tokenizer.get_vocab() != vocabulary:
            raise UserError(
                f"{key}: {reader.name} reads other tokens than {reference}, "
                f"{readers[reference].name}; name the model that the policies were trained from, "
                "reference=FOLDER, and evaluate apart what was trained from another"
            )
