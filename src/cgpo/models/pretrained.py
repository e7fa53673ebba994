"""Loads `transformers` models and tokenizers from a folder or a hub id, with errors that a user can act on."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import (
    get_hf_file_metadata,  # pyright: ignore[reportUnknownVariableType]
    hf_hub_url,
    try_to_load_from_cache,
)
from safetensors import SafetensorError
from torch import nn
from transformers import AutoConfig, AutoTokenizer, GenerationConfig, PreTrainedTokenizerBase

from cgpo.config.references import require_model_path
from cgpo.errors import UserError, first_line


def load_pretrained(auto_class: Any, path: str, **kwargs: Any) -> Any:
    """Calls `auto_class.from_pretrained(path)`, failing with one line.

    Args:
        auto_class: `AutoModelForCausalLM`, `AutoModelForSequenceClassification`, …
        path: a folder, or a hub id such as `meta-llama/Llama-3.1-8B`.
        **kwargs: passed on to `from_pretrained`.

    Raises:
        UserError: names the path and what is wrong with it.
    """
    require_model_path(path)
    try:
        return auto_class.from_pretrained(path, **kwargs)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise UserError(f"{path}: {auto_class.__name__} cannot load it: {first_line(error)}") from error


def load_complete(auto_class: Any, path: str, **kwargs: Any) -> Any:
    """Loads a model like `load_pretrained`, refusing a checkpoint that lacks weights, which would be random.

    Raises:
        UserError: names the path and the missing weights, or what else is wrong with it.
    """
    model, info = load_pretrained(auto_class, path, output_loading_info=True, **kwargs)
    if missing := sorted(info["missing_keys"]):
        shown = ", ".join(missing[:3]) + (f" and {len(missing) - 3} more" if len(missing) > 3 else "")
        raise UserError(f"{path}: the checkpoint lacks weights of a {type(model).__name__}: {shown}")
    return model


def load_on_meta_device(auto_class: Any, path: str, dtype: torch.dtype) -> Any:
    """Builds the model that `load_complete` would load on torch's meta device, where weights take no memory.

    Args:
        auto_class: `AutoModelForCausalLM`, …
        path: folder or hub id.
        dtype: the dtype of the weights.

    Raises:
        UserError: names the path and what is wrong with it.
    """
    config = load_pretrained(AutoConfig, path)
    with torch.device("meta"):
        model = auto_class.from_config(config, dtype=dtype).eval()
    generation_config: Any = GenerationConfig
    with suppress(OSError):  # the file is optional
        model.generation_config = generation_config.from_pretrained(path)
    return model


def is_on_meta_device(model: nn.Module) -> bool:
    """Tells whether a model has shapes but no weights; see `load_on_meta_device`."""
    return any(parameter.is_meta for parameter in model.parameters())


def load_tokenizer(path: str) -> PreTrainedTokenizerBase:
    """Loads the tokenizer beside a model.

    Raises:
        UserError: there is none.
    """
    return load_pretrained(AutoTokenizer, path)


def require_on_hub(path: str) -> None:
    """Checks that the model of a hub id is in the cache or can be downloaded; accepts any folder.

    It makes one request and does not retry, so that a run that cannot begin says so within seconds.

    Raises:
        UserError: the model does not exist, the hub cannot be reached, or a licence must be accepted first.
    """
    if Path(path).is_dir() or isinstance(try_to_load_from_cache(path, "config.json"), str):
        return
    try:
        get_hf_file_metadata(hf_hub_url(path, "config.json"))
    except Exception as error:  # from the client's HTTP library, which differs between versions
        raise UserError(
            f"{path}: no such folder here, and as a hub id neither in the cache nor within reach: {first_line(error)}"
        ) from error


def without_dropout(model: nn.Module) -> nn.Module:
    """Sets every dropout of a model to 0 in place: log-probabilities must be those of the policy that sampled."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = 0.0  # pyright: ignore[reportAttributeAccessIssue, reportArgumentType]
    return model


def torch_dtype(name: str) -> torch.dtype:
    """Returns the dtype of a name such as `float32` or `bfloat16`.

    Raises:
        UserError: torch has no floating-point dtype of that name.
    """
    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise UserError(f"model.dtype is {name!r}: choose float32, bfloat16 or float16")
    return dtype
