"""Which prompts are held out: decided by a hash of their text, and so the same on every machine and in every run."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b

from cgpo.errors import UserError
from cgpo.types import Prompt


def held_out_flags(prompts: Sequence[Prompt], holdout: float, seed: int) -> list[bool]:
    """Decides for each prompt whether it is held out from training.

    Prompts are held out in the order of their hashes, which depend only on the seed and the prompt's text, so that one
    row more or less moves at most the border. Equal prompts fall on the same side, so that nothing is both trained on
    and held out.

    Args:
        prompts: the prompts of one source.
        holdout: below 1 a share of the prompts, at least one and never all that differ; otherwise a number of prompts;
            0 for none. Both are exact, unless the last prompt held out equals further ones.
        seed: another seed makes another choice.

    Raises:
        UserError: `holdout` is negative, or a number of prompts that is not whole.
    """
    check_holdout(holdout)
    hashes = [_hash(prompt, seed) for prompt in prompts]
    count = min(int(holdout), len(hashes)) if holdout >= 1 else round(holdout * len(hashes))
    threshold = sorted(hashes)[count - 1] if count else -1.0
    if 0 < holdout < 1:
        different = sorted(set(hashes))
        least = different[0] if different else -1.0
        most = different[-2] if len(different) > 1 else -1.0
        threshold = min(max(threshold, least), most)
    return [value <= threshold for value in hashes]


def check_holdout(holdout: float) -> None:
    """Checks that `holdout` is a share or a number of prompts.

    Raises:
        UserError: it is neither.
    """
    whole = float(holdout).is_integer()
    if (
        isinstance(holdout, bool)
        or holdout < 0
        or (holdout > 1 and not whole)
        or (holdout == 1 and isinstance(holdout, float))
    ):
        raise UserError(f"holdout: expected a share below 1 or a whole number of prompts, found {holdout!r}")


def _hash(prompt: Prompt, seed: int) -> float:
    turns = [f"{turn['role']}:{turn['content']}" for turn in prompt.history]
    digest = blake2b(
        "\0".join([str(seed), *turns, prompt.text]).encode("utf-8", "surrogatepass"), digest_size=6
    ).digest()
    return int.from_bytes(digest) / 2.0**48
