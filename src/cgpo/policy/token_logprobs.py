"""The last step of a causal model, from hidden states to log-probabilities, a chunk of tokens at a time.

Logits are the largest tensor of a training step: at 128,256 tokens of vocabulary a float32 row is half a megabyte, and
the softmax and the backward pass want it several times over. Here they exist for one chunk of tokens only, and are
computed again in the backward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import FSDPModule
from torch.utils.checkpoint import checkpoint


class TokenLogprobs(torch.autograd.Function):
    """`log softmax(logits)` at one token of each row, with the logits alone kept for the backward pass.

    Where the same logits are computed twice, the second pass can be given the first one's log-probabilities: it then
    needs no softmax, and its backward pass makes the gradient `g · (1[token] − softmax(logits))` of them in one buffer.
    """

    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, known: Tensor | None) -> Tensor:
        """`[n]` from `[n, V]` logits, `[n]` tokens, and the `[n]` answers where they are known already."""
        picked = logits.gather(1, targets[:, None]).squeeze(1)
        if known is None:
            known = logits.log_softmax(-1).gather(1, targets[:, None]).squeeze(1)
        ctx.save_for_backward(logits, targets, picked - known)
        return known.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        """`[n, V]` from `[n]`."""
        logits, targets, normalizer = ctx.saved_tensors
        (gradient,) = gradients
        found = (logits - normalizer[:, None]).exp_().mul_(-gradient[:, None])
        return found.scatter_add_(1, targets[:, None], gradient[:, None]), None, None


Tail = Callable[[Tensor], Tensor]
"""From the head's output to logits, element by element."""

SOFT_CAPS = ("final_logit_softcapping", "logits_soft_cap")
"""Settings of a bound on logits: `cap · tanh(logit / cap)`, as in Gemma 2."""

SCALES = ("logit_scale", "logits_scaling", "lm_head_multiplier", "output_multiplier")
"""Settings that multiply logits, as in Cohere's models, or divide them, as in Granite."""


def tail_of(model: nn.Module, raw: Tensor, logits: Tensor) -> Tail | None:
    """Finds what happened between the head's output and the logits.

    What the configuration suggests is accepted where it gives the logits that the model gave, to the last bit.

    Args:
        model: with a `transformers` configuration.
        raw: `[…, V]`, the head's output.
        logits: `[…, V]`, what the model made of it.

    Returns:
        The function; `None` where none of the known ones gives these logits.
    """
    if raw.shape != logits.shape:
        return None
    for tail in _suggested(getattr(model, "config", None)):
        if _same(tail(raw), logits):
            return tail
    # The same object needs no comparison, for which a GPU would have to be waited for.
    return unchanged if logits is raw or _same(raw, logits) else None


def unchanged(raw: Tensor) -> Tensor:
    """The head's output as it is: most models."""
    return raw


def _suggested(config: Any) -> Iterator[Tail]:
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


LOGIT_BUDGET = 2**24
"""Logits of one chunk on a CPU: 130 tokens of a vocabulary of 128,256, at 64 MiB in float32.

The chunk, with its softmax or its gradient beside it, is small next to a model of that vocabulary. With 512 tokens of
vocabulary 32,768 positions are one chunk, of which nothing is computed twice.
"""
GPU_LOGIT_BUDGET = 2**27
"""The same on a GPU, which would read the head's matrix oftener than it computes with it: 1,046 such tokens, half a GB
in float32."""


def precision(model: nn.Module) -> torch.dtype:
    """In which a model's log-probabilities are taken: float32, or float64 for a float64 model."""
    return torch.float64 if next(model.parameters()).dtype == torch.float64 else torch.float32


def chosen_logprobs(
    model: nn.Module, inputs: Mapping[str, Any], chosen: Tensor, targets: Tensor, temperature: float
) -> Tensor:
    """Log-probabilities of one token at each of some positions.

    The model is entered through its forward pass alone. The head is used before that ends, while FSDP has the weights
    gathered, and the log-probabilities are its output, on which FSDP gathers them again for the backward pass. Hooks
    take the hidden states where they enter the head, and let a single position through: what the model does to its
    logits shows what it does to all. Where that is nothing known (`cgpo.policy.token_logprobs`) the model is run again and its
    logits are taken whole.

    Args:
        model: a `transformers` causal language model, plain, sharded by FSDP2, or inside a `peft` wrapper.
        inputs: what it reads, without labels: `input_ids`, `[N, W]`, and so on.
        chosen: `[N, P]` bool: which of the last `P` positions.
        targets: `[n]` tokens, one for each chosen position, row by row.
        temperature: what the logits are divided by.

    Returns:
        `[n]`, in `precision(model)`.
    """
    entrance, head = _entrance(model), _head(model)
    if head is not None:
        found = _Tap(head, chosen, targets, temperature, precision(model)).run(entrance, inputs)
        if found is not None:
            return found
    return _logprobs(_at(chosen, entrance(**inputs).logits), targets, temperature, precision(model))


class _Tap:
    """One forward pass whose output is log-probabilities instead of logits."""

    def __init__(
        self, head: nn.Module, chosen: Tensor, targets: Tensor, temperature: float, dtype: torch.dtype
    ) -> None:
        self.head = head
        self.chosen = chosen
        self.targets = targets
        self.temperature = temperature
        self.dtype = dtype
        self.hidden: list[Tensor] = []
        self.raw: list[Tensor] = []

    def run(self, model: nn.Module, inputs: Mapping[str, Any]) -> Tensor | None:
        """`[n]` log-probabilities; `None` where the model's logits are not understood."""
        self.at_head = [
            self.head.register_forward_pre_hook(self._before_head),
            self.head.register_forward_hook(self._after_head),
        ]
        # Ahead of FSDP's own hook, which lets go of the weights.
        at_end = model.register_forward_hook(self._after_model, prepend=True)
        try:
            output = model(**inputs)
        finally:
            for hook in (*self.at_head, at_end):
                hook.remove()
        return output if isinstance(output, Tensor) else None

    def _before_head(self, head: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        self.hidden.append(args[0])
        return args[0][:1, -1:], *args[1:]

    def _after_head(self, head: nn.Module, args: tuple[Any, ...], raw: Tensor) -> None:
        self.raw.append(raw)

    def _after_model(self, model: nn.Module, args: tuple[Any, ...], output: Any) -> Tensor | None:
        """What the forward pass answers in place of its output; `None` leaves that."""
        for hook in self.at_head:
            hook.remove()
        if len(self.raw) != 1 or (tail := tail_of(model, self.raw[0], output.logits)) is None:
            return None
        hidden = _at(self.chosen, self.hidden[0])
        budget = LOGIT_BUDGET if hidden.device.type == "cpu" else GPU_LOGIT_BUDGET
        size = max(1, budget // output.logits.shape[-1])
        # A head that FSDP gathers at each of its own calls: processes with unequally many chunks would wait for ever.
        return self._in_chunks(hidden, max(1, len(hidden)) if isinstance(self.head, FSDPModule) else size, tail)

    def _in_chunks(self, hidden: Tensor, size: int, tail: Tail) -> Tensor:
        """`[n]` log-probabilities of `[n, H]` hidden states, at most `size` of them at once."""
        if len(hidden) <= size:
            return self._chunk(tail)(hidden, self.targets)
        parts = zip(hidden.split(size), self.targets.split(size), strict=True)
        if not torch.is_grad_enabled():
            return torch.cat([self._chunk(tail)(*part) for part in parts])
        again = {"use_reentrant": False, "preserve_rng_state": False}
        return torch.cat([checkpoint(self._chunk(tail), *part, **again) for part in parts])  # pyright: ignore[reportArgumentType]

    def _chunk(self, tail: Tail) -> Callable[[Tensor, Tensor], Tensor]:
        """From some hidden states and targets to log-probabilities, which a second call remembers."""
        known: list[Tensor] = []

        def compute(hidden: Tensor, targets: Tensor) -> Tensor:
            logits = tail(self.head(hidden[None])[0])
            found = _logprobs(logits, targets, self.temperature, self.dtype, *known)
            if not known:
                known.append(found.detach())
            return found

        return compute


def _at(chosen: Tensor, values: Tensor) -> Tensor:
    """`[n, D]` of `[N, W, D]` values: those at the chosen among the last positions."""
    places = chosen.flatten().nonzero().squeeze(1)
    return values[:, -chosen.shape[1] :].flatten(0, 1).index_select(0, places)  # its gradient is quicker than a mask's


def _logprobs(
    logits: Tensor, targets: Tensor, temperature: float, dtype: torch.dtype, known: Tensor | None = None
) -> Tensor:
    """`[n]` log-probabilities of `[n]` tokens under `[n, V]` logits."""
    logits = logits.to(dtype)
    found: Any = TokenLogprobs.apply(logits if temperature == 1.0 else logits / temperature, targets, known)
    return found


def _inner(model: Any) -> Any:
    """The causal language model inside a `peft` wrapper, its adapters still in it; any other model itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def _head(model: nn.Module) -> nn.Module | None:
    """The module that makes logits, where the model names one."""
    inner = _inner(model)
    return inner.get_output_embeddings() if hasattr(inner, "get_output_embeddings") else None


def _entrance(model: nn.Module) -> nn.Module:
    """The module to call: what FSDP shards, even inside a wrapper, whose own end comes after the weights are let go."""
    inner: nn.Module = _inner(model)
    if isinstance(inner, FSDPModule):
        return inner
    return model
