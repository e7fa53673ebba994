"""The last step of a causal model, from hidden states to log-probabilities, one chunk of tokens at a time.

Logits are the largest tensor of a training step: with a vocabulary of 128,256 tokens one float32 row takes half a
megabyte, and the softmax and the backward pass each need more of the same size. Here the logits exist for one chunk of
tokens only, and are computed again in the backward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.utils import checkpoint

from cgpo.tensors import at_least_float32

LOGIT_BUDGET = 2**24
"""Logits of one chunk on a CPU: 130 tokens with a vocabulary of 128,256, at 64 MiB in float32.

The chunk, with its softmax or its gradient beside it, is small next to a model with that vocabulary. With a vocabulary
of 512 tokens, 32,768 positions are one chunk, of which nothing is computed twice.
"""
GPU_LOGIT_BUDGET = 2**27
"""Logits of one chunk on a GPU, 1,046 such tokens at half a GB in float32.

Smaller chunks would read the head's matrix more often than they compute with it.
"""


class TokenLogprobs(torch.autograd.Function):
    """`log softmax(logits)` at one token of each row, saving only the logits for the backward pass.

    Where the same logits are computed twice, the second pass can be given the first one's log-probabilities. It then
    needs no softmax, and its backward pass turns the logits into the gradient `g · (1[token] − softmax(logits))` in one
    buffer.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, known: Tensor | None) -> Tensor:
        """Computes `[n]` log-probabilities.

        Args:
            ctx: torch's context.
            logits: `[n, V]`.
            targets: `[n]` tokens.
            known: the `[n]` results, if they are known already.
        """
        picked = logits.gather(1, targets[:, None]).squeeze(1)
        if known is None:
            known = logits.log_softmax(-1).gather(1, targets[:, None]).squeeze(1)
        ctx.save_for_backward(logits, targets, picked - known)
        return known.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """Computes the `[n, V]` gradient of the logits from the `[n]` gradient of the result."""
        logits, targets, normalizer = ctx.saved_tensors
        (gradient,) = gradients
        softmax = (logits - normalizer[:, None]).exp_()
        return softmax.mul_(-gradient[:, None]).scatter_add_(1, targets[:, None], gradient[:, None]), None, None


LogitTransform = Callable[[Tensor], Tensor]
"""Turns the head's output into logits, element by element."""

SOFT_CAPS = ("final_logit_softcapping", "logits_soft_cap")
"""Settings that bound logits: `cap · tanh(logit / cap)`, as in Gemma 2."""

SCALES = ("logit_scale", "logits_scaling", "lm_head_multiplier", "output_multiplier")
"""Settings that multiply logits, as in Cohere's models, or divide them, as in Granite."""


def find_logit_transform(model: nn.Module, raw: Tensor, logits: Tensor) -> LogitTransform | None:
    """Finds what a model does between its head's output and its logits.

    A transform that the configuration suggests is accepted if it gives the model's logits to the last bit.

    Args:
        model: a model with a `transformers` configuration.
        raw: `[…, V]`, the head's output.
        logits: `[…, V]`, what the model made of it.

    Returns:
        The transform, or `None` if none of the known ones gives these logits.
    """
    if raw.shape != logits.shape:
        return None
    for transform in _suggested_transforms(getattr(model, "config", None)):
        if _same(transform(raw), logits):
            return transform
    # The same object needs no comparison, for which the CPU would have to wait for the GPU.
    return unchanged if logits is raw or _same(raw, logits) else None


def unchanged(raw: Tensor) -> Tensor:
    """Returns the head's output as it is, as most models do."""
    return raw


def _suggested_transforms(config: Any) -> Iterator[LogitTransform]:
    text = config.get_text_config() if hasattr(config, "get_text_config") else config
    for name in SOFT_CAPS:
        if number := getattr(text, name, None):
            yield partial(_capped, cap=number)
    for name in SCALES:
        if number := getattr(text, name, None):
            yield partial(_multiplied, factor=number)
            yield partial(_divided, divisor=number)


def _same(found: Tensor, logits: Tensor) -> bool:
    return torch.allclose(found.to(logits.dtype), logits, rtol=0.0, atol=0.0, equal_nan=True)


def _capped(raw: Tensor, cap: float) -> Tensor:
    return torch.tanh(raw / cap) * cap


def _multiplied(raw: Tensor, factor: float) -> Tensor:
    return raw * factor


def _divided(raw: Tensor, divisor: float) -> Tensor:
    return raw / divisor


def logprob_dtype(model: nn.Module) -> torch.dtype:
    """The dtype of a model's log-probabilities and values; see `cgpo.tensors.at_least_float32`."""
    return at_least_float32(next(model.parameters()).dtype)


def selected_logprobs(
    model: nn.Module, inputs: Mapping[str, Any], selected: Tensor, targets: Tensor, temperature: float
) -> Tensor:
    """Computes the log-probability of one token at each of some positions.

    The model is only entered through its forward pass. The head is applied before that pass ends, while FSDP has the
    weights gathered, and the log-probabilities are the pass's output, on which FSDP gathers the weights again for the
    backward pass. Hooks take the hidden states where they enter the head and let a single position through: what the
    model does to its logits tells what it does to all. If that is nothing known (`find_logit_transform`), the model is
    run again and its logits are taken whole.

    Args:
        model: a `transformers` causal language model, plain, sharded by FSDP2, or inside a `peft` wrapper.
        inputs: the model's inputs without labels: `input_ids`, `[N, W]`, and so on.
        selected: `[N, P]` bool, which of the last `P` positions.
        targets: `[n]` tokens, one for each selected position, row by row.
        temperature: divides the logits.

    Returns:
        `[n]`, in `logprob_dtype(model)`.
    """
    entrance, head, dtype = _entrance(model), _head(model), logprob_dtype(model)
    if head is not None:
        found = _HookedForward(head, selected, targets, temperature, dtype).run(entrance, inputs)
        if found is not None:
            return found
    return _logprobs(_select(selected, entrance(**inputs).logits), targets, temperature, dtype)


class _HookedForward:
    """One forward pass that returns log-probabilities instead of logits."""

    def __init__(
        self, head: nn.Module, selected: Tensor, targets: Tensor, temperature: float, dtype: torch.dtype
    ) -> None:
        self.head = head
        self.selected = selected
        self.targets = targets
        self.temperature = temperature
        self.dtype = dtype
        self.hidden: list[Tensor] = []
        self.raw: list[Tensor] = []

    def run(self, model: nn.Module, inputs: Mapping[str, Any]) -> Tensor | None:
        """Returns `[n]` log-probabilities, or `None` if what the model does to its logits is not understood."""
        self.head_hooks = [
            self.head.register_forward_pre_hook(self._before_head),
            self.head.register_forward_hook(self._after_head),
        ]
        # Ahead of FSDP's own hook, which releases the weights.
        model_hook = model.register_forward_hook(self._after_model, prepend=True)
        try:
            output = model(**inputs)
        finally:
            for hook in (*self.head_hooks, model_hook):
                hook.remove()
        return output if isinstance(output, Tensor) else None

    def _before_head(self, head: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        self.hidden.append(args[0])
        return args[0][:1, -1:], *args[1:]

    def _after_head(self, head: nn.Module, args: tuple[Any, ...], raw: Tensor) -> None:
        self.raw.append(raw)

    def _after_model(self, model: nn.Module, args: tuple[Any, ...], output: Any) -> Tensor | None:
        """Returns what the forward pass answers instead of its output, or `None` to leave the output."""
        for hook in self.head_hooks:
            hook.remove()
        if len(self.raw) != 1 or (transform := find_logit_transform(model, self.raw[0], output.logits)) is None:
            return None
        hidden = _select(self.selected, self.hidden[0])
        budget = LOGIT_BUDGET if hidden.device.type == "cpu" else GPU_LOGIT_BUDGET
        size = max(1, budget // output.logits.shape[-1])
        if isinstance(self.head, FSDPModule):
            # FSDP gathers this head at each of its calls: processes with unequal numbers of chunks would deadlock.
            size = max(1, len(hidden))
        return self._in_chunks(hidden, size, transform)

    def _in_chunks(self, hidden: Tensor, size: int, transform: LogitTransform) -> Tensor:
        """Computes `[n]` log-probabilities of `[n, H]` hidden states, at most `size` of them at once."""
        if len(hidden) <= size:
            return self._chunk(transform)(hidden, self.targets)
        parts = zip(torch.split(hidden, size), torch.split(self.targets, size), strict=True)
        if not torch.is_grad_enabled():
            return torch.cat([self._chunk(transform)(*part) for part in parts])
        module: Any = checkpoint
        options = {"use_reentrant": False, "preserve_rng_state": False}
        return torch.cat([module.checkpoint(self._chunk(transform), *part, **options) for part in parts])

    def _chunk(self, transform: LogitTransform) -> Callable[[Tensor, Tensor], Tensor]:
        """Makes a function of one chunk's hidden states and targets that remembers its result for a second call."""
        known: list[Tensor] = []

        def compute(hidden: Tensor, targets: Tensor) -> Tensor:
            logits = transform(self.head(hidden[None])[0])
            logprobs = _logprobs(logits, targets, self.temperature, self.dtype, *known)
            if not known:
                known.append(logprobs.detach())
            return logprobs

        return compute


def _select(selected: Tensor, values: Tensor) -> Tensor:
    """Picks `[n, D]` values at the selected among the last positions of `[N, W, D]`."""
    places = selected.flatten().nonzero().squeeze(1)
    # The gradient of index_select is faster than that of a boolean mask.
    return values[:, -selected.shape[1] :].flatten(0, 1).index_select(0, places)


def _logprobs(
    logits: Tensor, targets: Tensor, temperature: float, dtype: torch.dtype, known: Tensor | None = None
) -> Tensor:
    """Computes `[n]` log-probabilities of `[n]` tokens under `[n, V]` logits."""
    logits = logits.to(dtype)
    function: Any = TokenLogprobs
    return function.apply(logits if temperature == 1.0 else logits / temperature, targets, known)


def _without_peft(model: Any) -> Any:
    """Returns the causal language model inside a `peft` wrapper, adapters included; any other model as it is."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _head(model: nn.Module) -> nn.Module | None:
    """Returns the module that makes logits, if the model names one."""
    inner = _without_peft(model)
    return inner.get_output_embeddings() if hasattr(inner, "get_output_embeddings") else None


def _entrance(model: nn.Module) -> nn.Module:
    """Returns the module to call: the one that FSDP shards, even inside a wrapper, which outlives its weights."""
    inner: nn.Module = _without_peft(model)
    if isinstance(inner, FSDPModule):
        return inner
    return model
