"""A causal language model as the policy: loading it, freezing a reference, and saving it for `transformers`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import save_file  # pyright: ignore[reportUnknownVariableType]
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from cgpo.distributed.sharding import full_state_dict
from cgpo.errors import UserError, first_line
from cgpo.files import new_folder
from cgpo.models.adapters import (
    ADAPTER,
    AdaptersDisabled,
    add_adapters,
    has_adapters,
    is_adapter_weight,
    lora_settings,
    merge_adapters,
)
from cgpo.models.chat import context_length, encode_prompt, tokenize
from cgpo.models.pretrained import load_complete, load_on_meta_device, load_tokenizer, torch_dtype, without_dropout
from cgpo.models.quantization import quantize
from cgpo.types import Prompt


@dataclass(frozen=True)
class CausalPolicy:
    """Text in, tokens and log-probabilities out; implements `cgpo.protocols.Policy`.

    Attributes:
        model: the `transformers` causal language model.
        tokenizer: its tokenizer; prompts are rendered through its chat template if it has one.
        eos_ids: the tokens that end a response.
        pad_id: the token that pads batches.
        context_length: the most tokens of a prompt and its response together.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    eos_ids: frozenset[int]
    pad_id: int
    context_length: int

    def encode_prompt(self, prompt: Prompt) -> list[int]:
        """Tokenizes a prompt, chat template applied, so that the response can follow."""
        return encode_prompt(self.tokenizer, prompt)

    def encode_response(self, text: str) -> list[int]:
        """Tokenizes a given response and appends the token that ends it."""
        end = self.tokenizer.eos_token_id
        return [*tokenize(self.tokenizer, text), end if end in self.eos_ids else min(self.eos_ids)]

    def decode(self, ids: Sequence[int]) -> str:
        """Turns a response's tokens into text, without special tokens."""
        tokenizer: Any = self.tokenizer
        return tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def frozen_copy(self) -> CausalPolicy:
        """Returns the policy as it is without its adapters, out of reach of every gradient: `π_ref`.

        A policy with adapters is not copied: its reference is the same model with the adapters disabled, whose base
        weights never change. Any other policy is copied, weights included.
        """
        if has_adapters(self.model):
            # It offers what is asked of a reference's model without being one, and registers no weights.
            return replace(self, model=cast(PreTrainedModel, AdaptersDisabled(self.model)))
        return replace(self, model=deepcopy(self.model).eval().requires_grad_(False))

    def save(self, folder: str | PathLike[str]) -> None:
        """Writes a folder that `AutoModelForCausalLM.from_pretrained` and `AutoTokenizer` load; see `write_policy`.

        Raises:
            UserError: the folder already contains something.
        """
        write_policy(self, full_state_dict(self.model), Path(folder))


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
        gradient_checkpointing: recomputes activations in the backward pass.
        lora: the settings of adapters, which are then all that is trained (see `cgpo.config.LoraConfig`);
            `None` trains the model's own weights.

    Raises:
        UserError: the folder is missing or is not a causal language model; the dtype does not exist; a setting of the
            adapters is out of range, one of their targets does not exist, or peft is missing.
    """
    return _load(load_complete, path, dtype, gradient_checkpointing, lora)


def load_policy_on_meta_device(
    path: str,
    dtype: str = "float32",
    gradient_checkpointing: bool = False,
    lora: Mapping[str, Any] | None = None,
) -> CausalPolicy:
    """Builds the policy that `load_policy` would load, without weights.

    It is for a process whose shard of the weights another process sends. See `load_policy` for the arguments.
    """
    return _load(load_on_meta_device, path, dtype, gradient_checkpointing, lora)


def _load(
    load: Callable[..., Any], path: str, dtype: str, gradient_checkpointing: bool, lora: Mapping[str, Any] | None
) -> CausalPolicy:
    settings = None if lora is None else lora_settings(lora)
    model = load(AutoModelForCausalLM, path, dtype=torch_dtype(dtype))
    without_dropout(model)
    policy = policy_from_model(model, load_tokenizer(path))
    if settings is not None:
        add_adapters(policy.model, settings)
    if gradient_checkpointing:
        model.gradient_checkpointing_enable()
        model.train()  # nothing is recomputed in evaluation mode; there is no dropout that this would bring back
    return policy


def policy_from_model(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> CausalPolicy:
    """Makes a policy of a model and a tokenizer in memory; both their configurations tell what ends a response.

    Raises:
        UserError: neither of them names a token that ends a response.
    """
    eos_ids = find_eos_ids(model, tokenizer)
    if not eos_ids:
        raise UserError(f"{model.config.name_or_path}: no eos_token_id, so that a response could never end")
    pad_id = tokenizer.pad_token_id if isinstance(tokenizer.pad_token_id, int) else min(eos_ids)
    return CausalPolicy(model, tokenizer, eos_ids, pad_id, context_length(model.config, tokenizer))


def find_eos_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> frozenset[int]:
    """Finds every token that ends a response; a checkpoint may name several in its generation configuration."""
    generation: Any = model.generation_config
    configured = None if generation is None else generation.eos_token_id
    candidates: list[Any] = [*configured] if isinstance(configured, list) else [configured]
    return frozenset(i for i in (*candidates, tokenizer.eos_token_id) if isinstance(i, int))


def frozen_reference(policy: CausalPolicy, device: str, quantization: str | None = None) -> CausalPolicy:
    """Makes a reference policy `π_ref` with weights of its own that no gradient reaches.

    Args:
        policy: the policy that training starts from, without adapters.
        device: where the reference lies from now on (`cpu`, `cuda:1`).
        quantization: `None`, `int8` or `int4` (see `cgpo.models.quantization`).

    Raises:
        UserError: the model cannot be put on this device, or cannot be quantized.
    """
    reference = policy.frozen_copy()
    quantize(reference.model, quantization)
    try:
        nn.Module.to(reference.model, device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"reference_device: the reference cannot be put on {device}: {first_line(error)}") from error
    return reference


def write_policy(policy: CausalPolicy, weights: dict[str, Tensor], folder: Path) -> None:
    """Writes a folder that `AutoModelForCausalLM.from_pretrained` and `AutoTokenizer` load, whole or not at all.

    Adapters are merged into the folder's weights, and are also saved alone in `adapter/`, where
    `peft.PeftModel.from_pretrained` loads them on the model that training started from. Only one of several processes
    calls this.

    Args:
        policy: its model's weights are neither read nor changed, so that they may be sharded.
        weights: the model's full state dict on the CPU. It is emptied on the way: if nothing else refers to these
            tensors, merging takes the memory of one layer rather than that of a second model.
        folder: is made; may exist if it is empty.

    Raises:
        UserError: the folder already contains something.
    """
    with new_folder(folder) as unfinished:
        if has_adapters(policy.model):
            _write_adapters(policy.model, weights, unfinished / "adapter")
            merge_adapters(policy.model, weights)
        tokenizer: Any = policy.tokenizer
        _model_with(policy.model, weights).save_pretrained(unfinished)
        tokenizer.save_pretrained(unfinished)


def _write_adapters(model: Any, weights: Mapping[str, Tensor], folder: Path) -> None:
    folder.mkdir()
    adapters = {
        f"base_model.model.{name.replace(f'.{ADAPTER}.', '.')}": weight.contiguous()
        for name, weight in weights.items()
        if is_adapter_weight(name)
    }
    save_file(adapters, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = replace(model.peft_config[ADAPTER], inference_mode=True)
    config.target_modules = sorted(config.target_modules)  # a set, whose order would differ from run to run
    config.save_pretrained(str(folder))


def _model_with(model: PreTrainedModel, weights: dict[str, Tensor]) -> Any:
    """Builds a model of the same class without adapters around these weights, which are not copied."""
    with torch.device("meta"):
        empty: Any = type(model)(deepcopy(model.config))
    missing, unexpected = empty.load_state_dict(weights, strict=False, assign=True)
    weights.clear()
    assert not unexpected, unexpected
    empty.tie_weights()
    assert not any(p.is_meta for p in empty.parameters()), missing
    empty.generation_config = deepcopy(model.generation_config)
    return empty
