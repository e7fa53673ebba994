"""A policy as the harness sees it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cgpo.errors import UserError
from cgpo.policy.causal import CausalPolicy


def harness_model(policy: CausalPolicy, batch_size: int | str, chat_template: bool) -> Any:
    """The harness's own way with `transformers` models (`HFLM`), around a policy in memory.

    Raises:
        UserError: a chat template is asked for, and the tokenizer has none.
    """
    from lm_eval.models.huggingface import HFLM  # pyright: ignore[reportMissingImports]

    if chat_template and policy.tokenizer.chat_template is None:
        raise UserError(
            "chat_template is true, but the model's tokenizer has none; write chat_template=false, or add one to "
            "tokenizer_config.json"
        )
    return HFLM(
        pretrained=policy.model,
        tokenizer=policy.tokenizer,  # pyright: ignore[reportArgumentType]
        backend="causal",
        max_length=policy.context_length,
        batch_size=batch_size,
    )


def count_cut(
    policy: CausalPolicy, samples: Iterable[Mapping[str, Any]], response_tokens: Mapping[str, int]
) -> dict[str, int]:
    """For each task the questions whose beginning the harness cut off, since the context had no room for them.

    Args:
        policy: what was asked.
        samples: see `Benchmarked.samples`.
        response_tokens: tokens that are kept free for a response; tasks of choices have none.
    """
    cut: dict[str, set[int]] = {}
    for sample in samples:
        ends = sample["choices"] or [""]
        room = policy.context_length - response_tokens.get(sample["task"], 0)
        longest = max(len(policy.tokenizer(sample["prompt"] + end)["input_ids"]) for end in ends)  # pyright: ignore[reportArgumentType]
        rows = cut.setdefault(sample["task"], set())
        if longest > room:
            rows.add(sample["row"])
    return {task: len(rows) for task, rows in cut.items()}
