"""A policy as a folder that `transformers` loads; adapters both merged into it and alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from cgpo.distributed.sharding import whole_state
from cgpo.errors import UserError
from cgpo.files import new_folder
from cgpo.models.adapters import SharedBase, adapted_layers, has_adapters, is_adapter
from cgpo.models.pretrained import describe, load_tokenizer, load_whole, torch_dtype, without_dropout
from cgpo.policy.lora import ADAPTER, add_adapters, lora_settings
from cgpo.policy.reader import context_length, encode_prompt
from cgpo.types import Prompt


@dataclass(frozen=True)
class CausalPolicy:
    """Text in, tokens and log-probabilities out; implements `cgpo.protocols.Policy`.

    Attributes:
        model: the `transformers` causal language model.
        tokenizer: its tokenizer; where it has a chat template, prompts are rendered through it.
        eos_ids: the tokens that end a response.
        pad_id: the token that fills batches up.
        context_length: the most tokens, prompt and response together.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    eos_ids: frozenset[int]
    pad_id: int
    context_length: int

    def encode_prompt(self, prompt: Prompt) -> list[int]:
        """The prompt's tokens, chat template applied, ready for the response to follow."""
        return encode_prompt(self.tokenizer, prompt)

    def encode_response(self, text: str) -> list[int]:
        """A given response's tokens, with the token that ends it."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]  # pyright: ignore[reportAssignmentType]
        end = self.tokenizer.eos_token_id
        return [*ids, end if end in self.eos_ids else min(self.eos_ids)]

    def decode(self, ids: Sequence[int]) -> str:
        """The response's text without special tokens."""
        text = self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text if isinstance(text, str) else "".join(text)

    def frozen_copy(self) -> CausalPolicy:
        """The policy as it is when its adapters change nothing, out of reach of every gradient: `π_ref`.

        With adapters it is the same model with the adapters disabled: it shares the base's weights, which never change.
        Without, it has weights of its own.
        """
        if has_adapters(self.model):
            # It answers to what is asked of a reference's model, and registers no weights.
            return replace(self, model=cast(PreTrainedModel, SharedBase(self.model)))
        return replace(self, model=deepcopy(self.model).eval().requires_grad_(False))

    def save(self, folder: Path) -> None:
        """Writes a folder that `AutoModelForCausalLM.from_pretrained` and `AutoTokenizer` load; see `write_policy`.

        Raises:
            UserError: the folder holds something already.
        """
        write_policy(self, whole_state(self.model), folder)


def load_policy(
    path: str,
    dtype: str = "float32",
    gradient_checkpointing: bool = False,
    lora: Mapping[str, Any] | None = None,
) -> CausalPolicy:
    """Loads a policy from a `transformers` folder or hub id, without dropout.

    Args:
        path: folder or hub id.
        dtype: `float32`, `bfloat16` or `float16`.
        gradient_checkpointing: recompute activations in the backward pass.
        lora: settings of adapters, see `cgpo.policy.lora.LoraSettings`, which are then all that is trained; `None`
            trains the model's own weights.

    Raises:
        UserError: the folder is missing, or holds something else; the dtype does not exist; a setting of the adapters
            is out of its range, one of their targets does not exist, or peft is missing.
    """
    return _policy(load_whole, path, dtype, gradient_checkpointing, lora)


def describe_policy(
    path: str,
    dtype: str = "float32",
    gradient_checkpointing: bool = False,
    lora: Mapping[str, Any] | None = None,
) -> CausalPolicy:
    """The same without weights, for a process that gets its piece of them from another; see `load_policy`."""
    return _policy(describe, path, dtype, gradient_checkpointing, lora)


def _policy(
    read: Callable[..., Any], path: str, dtype: str, gradient_checkpointing: bool, lora: Mapping[str, Any] | None
) -> CausalPolicy:
    settings = None if lora is None else lora_settings(lora)
    model = read(AutoModelForCausalLM, path, dtype=torch_dtype(dtype))
    policy = policy_of(without_dropout(model), load_tokenizer(path))  # pyright: ignore[reportArgumentType]
    if settings is not None:
        add_adapters(policy.model, settings)
    if gradient_checkpointing:
        policy.model.gradient_checkpointing_enable()
        policy.model.train()  # in evaluation mode nothing is recomputed; there is no dropout that it would bring back
    return policy


def policy_of(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> CausalPolicy:
    """A policy of a model and a tokenizer in memory; ends of a response are read from both their configurations.

    Raises:
        UserError: neither of them names a token that ends a response.
    """
    eos_ids = end_tokens(model, tokenizer)
    if not eos_ids:
        raise UserError(f"{model.config.name_or_path}: no eos_token_id, so that a response could never end")
    pad_id = tokenizer.pad_token_id if isinstance(tokenizer.pad_token_id, int) else min(eos_ids)
    return CausalPolicy(model, tokenizer, eos_ids, pad_id, context_length(model.config, tokenizer))


def end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Every token that ends a response: a checkpoint may name several in its generation configuration."""
    configured = model.generation_config.eos_token_id if model.generation_config is not None else None
    named = configured if isinstance(configured, list) else [configured]
    return frozenset(i for i in (*named, tokenizer.eos_token_id) if isinstance(i, int))


if TYPE_CHECKING:
    from cgpo.policy.causal import CausalPolicy

Weights = dict[str, Tensor]


def write_policy(policy: CausalPolicy, weights: Weights, folder: Path) -> None:
    """Writes a folder that `AutoModelForCausalLM.from_pretrained` and `AutoTokenizer` load, whole or not at all.

    Where the policy has adapters they are part of the folder's weights, and lie in `adapter/` alone too, as
    `peft.PeftModel.from_pretrained` loads them on the model that training began from. Of several processes one calls
    this.

    Args:
        policy: its model's weights are neither read nor changed, so that they may be spread over processes.
        weights: the model's full state dict, on the CPU. It is emptied on the way: where nothing else holds on to these
            tensors, merging takes the memory of one layer and not of a second model.
        folder: is made; an empty one may be there.

    Raises:
        UserError: the folder holds something already.
    """
    with new_folder(folder) as unfinished:
        if has_adapters(policy.model):
            _write_adapters(policy.model, weights, unfinished / "adapter")
            merge_adapters(policy.model, weights)
        _holding(policy.model, weights).save_pretrained(unfinished)
        policy.tokenizer.save_pretrained(unfinished)


def merge_adapters(model: PreTrainedModel, weights: Weights) -> None:
    """Turns the weights of a model with adapters into those of its base with the adapters added, in place.

    `W + alpha / r · B·A` (Hu et al. 2021, eq. 3) is computed in float32 or better and rounded to `W`'s precision once.

    Args:
        model: says which layers have adapters, and their scale; its own weights are not looked at.
        weights: the model's full state dict; no tensor of it is changed, others take their place.
    """
    for name, layer in adapted_layers(model).items():
        base = weights.pop(f"{name}.base_layer.weight")
        precise = torch.promote_types(base.dtype, torch.float32)
        low, high = (weights.pop(f"{name}.lora_{m}.{ADAPTER}.weight").to(precise) for m in "AB")
        change = layer.scaling[ADAPTER] * (high @ low)
        weights[f"{name}.weight"] = (base.to(precise) + (change.T if layer.fan_in_fan_out else change)).to(base.dtype)
        if f"{name}.base_layer.bias" in weights:
            weights[f"{name}.bias"] = weights.pop(f"{name}.base_layer.bias")


def _write_adapters(model: PreTrainedModel, weights: Weights, folder: Path) -> None:
    folder.mkdir()
    alone = {
        f"base_model.model.{name.replace(f'.{ADAPTER}.', '.')}": weight.contiguous()
        for name, weight in weights.items()
        if is_adapter(name)
    }
    save_file(alone, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config: Any = replace(model.peft_config[ADAPTER], inference_mode=True)  # pyright: ignore[reportArgumentType]
    config.target_modules = sorted(config.target_modules)  # a set, whose order would differ from run to run
    config.save_pretrained(str(folder))


def _holding(model: PreTrainedModel, weights: Weights) -> PreTrainedModel:
    """A model of the same kind, without adapters, that holds these weights; they are not copied."""
    with torch.device("meta"):
        empty = type(model)(deepcopy(model.config))
    missing, unexpected = empty.load_state_dict(weights, strict=False, assign=True)
    weights.clear()
    assert not unexpected, unexpected
    empty.tie_weights()
    assert not any(p.is_meta for p in empty.parameters()), missing
    empty.generation_config = deepcopy(model.generation_config)
    return empty
