"""Policies and reward models by folder, hub id, run, or artifact of the built-in suite."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any, Literal, Self

from torch import Tensor, nn

from cgpo import protocols
from cgpo.api.calls import on_screen
from cgpo.build.artifacts import artifact_store
from cgpo.build.devices import training_device
from cgpo.config import ARTIFACT, compose, read_config
from cgpo.config.policies import policy_path
from cgpo.errors import UserError
from cgpo.policy import causal
from cgpo.policy.causal import CausalPolicy
from cgpo.progress import say
from cgpo.rewards.bradley_terry import BradleyTerryReward, ConstantReward
from cgpo.rewards.function import FunctionReward
from cgpo.types import Sample

Dtype = Literal["float32", "bfloat16", "float16"]


def load_policy(
    path: str | PathLike[str],
    *,
    dtype: Dtype = "float32",
    gradient_checkpointing: bool = False,
    lora: Mapping[str, Any] | None = None,
) -> CausalPolicy:
    """Loads a policy: a causal language model with its tokenizer.

    Example:
        ```python
        import cgpo

        policy = cgpo.load_policy("artifact:sft")  # the built-in suite's; it is made where it is missing
        policy.save("before")
        ```

    Args:
        path: a `transformers` folder, a hub id, the folder of a run, or `artifact:NAME` for what the built-in suite's
            pipeline makes (`artifact:sft`, `artifact:warmup`).
        dtype: of its weights: `float32`, `bfloat16` or `float16`.
        gradient_checkpointing: recompute activations in the backward pass.
        lora: settings of adapters, which are then all that is trained, such as `{"r": 16, "alpha": 32}`.

    Raises:
        UserError: there is no such model, or a setting is not what it should be.
    """
    with on_screen(True):
        return loaded_policy(path, dtype, gradient_checkpointing, lora)


def loaded_policy(
    path: str | PathLike[str],
    dtype: str = "float32",
    gradient_checkpointing: bool = False,
    lora: Mapping[str, Any] | None = None,
) -> CausalPolicy:
    """The same for a function that has a screen already."""
    return causal.load_policy(local_path(path), dtype, gradient_checkpointing, lora)


class RewardModel:
    """A reward model: a number for each response, higher is better.

    A task's `reward` may be one of these, any object with the method `score`, or a function.

    Example:
        ```python
        import cgpo

        short = cgpo.RewardModel(lambda sample: -len(sample.response))
        sample = cgpo.Sample(cgpo.Prompt("row-1", "Say hello."), "hello")
        assert short.score([sample]).tolist() == [-5.0]
        ```

    Args:
        source: folder or hub id of a sequence classifier with one output, or `artifact:NAME`; or a function from a
            `cgpo.Sample` to a number.
        dtype: of the classifier's weights.
        device: where it lies; `auto` for a GPU where there is one.
        batch_size: responses in one forward pass.
        quantization: of its weights: `None`, `int8` or `int4`.

    Raises:
        UserError: there is no such model, or it has more than one output.
    """

    def __init__(
        self,
        source: str | Path | Callable[[Sample], float],
        *,
        dtype: Dtype = "float32",
        device: str = "auto",
        batch_size: int = 64,
        quantization: Literal["int8", "int4"] | None = None,
    ) -> None:
        self._inner: protocols.RewardModel
        if isinstance(source, str | Path):
            lies = training_device() if device == "auto" else device
            with on_screen(True):
                self._inner = BradleyTerryReward(local_path(source), dtype, lies, batch_size, quantization)
        elif callable(source):
            self._inner = FunctionReward(source)
        else:
            raise UserError(f"RewardModel.source is {source!r}: it must be a folder, a hub id, or a function")

    @classmethod
    def constant(cls, value: float = 0.0) -> Self:
        """The same reward for every response: what is left of a task where only its judges matter."""
        model = cls.__new__(cls)
        model._inner = ConstantReward(value)
        return model

    def score(self, samples: Sequence[Sample]) -> Tensor:
        """Rewards `[N]`, float32, on the CPU, in the order of the samples."""
        return self._inner.score(samples)

    @property
    def models(self) -> list[nn.Module]:
        """The models that several processes may share in pieces."""
        return self._inner.models if isinstance(self._inner, BradleyTerryReward) else []


def local_path(path: str | PathLike[str]) -> str:
    """The folder or hub id that is meant: a run stands for its policy, and an artifact is made where it is missing."""
    named = str(path)
    if not named.startswith(ARTIFACT):
        return policy_path(str(Path(named).expanduser()) if named.startswith("~") else named)
    config = read_config(compose("train"), "train", Path())
    return str(artifact_store(config.cache_dir, config.pipeline, say).path(named.removeprefix(ARTIFACT)))
