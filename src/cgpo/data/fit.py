"""Leaving out the prompts that a model's context cannot hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cgpo.types import Prompt


def fits_context(
    prompts: Sequence[Prompt], encode: Callable[[Prompt], Sequence[int]], limit: int
) -> tuple[tuple[Prompt, ...], int]:
    """Keeps the prompts of at most `limit` tokens.

    Args:
        prompts: the prompts, in any order.
        encode: a prompt's tokens as the policy reads them, chat template included.
        limit: the most tokens a prompt may have: the context length less the longest response.

    Returns:
        The prompts kept, in their order, and the number left out.
    """
    kept = tuple(prompt for prompt in prompts if len(encode(prompt)) <= limit)
    return kept, len(prompts) - len(kept)
