"""Several sources as one task's data."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from cgpo.data.source import PromptSource, PromptSplits
from cgpo.errors import UserError
from cgpo.types import Prompt


class Mixture:
    """The disjoint union of sources: every prompt of every one, once; each keeps its own held-out prompts.

    Args:
        sources: name → source; a prompt's key is prefixed by the name.

    Raises:
        UserError: no source, or a name with a slash in it.
    """

    def __init__(self, sources: Mapping[str, PromptSource]) -> None:
        if not sources:
            raise UserError("a mixture needs at least one source")
        for name in sources:
            if not name or "/" in name:
                raise UserError(f"mixture: a source's name must be a word without slashes, found {name!r}")
        self.sources = dict(sources)

    def load(self) -> PromptSplits:
        """The prompts of all sources, in the sources' order.

        Raises:
            UserError: a source gave two prompts one key, or could not be read.
        """
        loaded = {name: source.load() for name, source in self.sources.items()}
        train = tuple(_prefixed(name, prompt) for name, splits in loaded.items() for prompt in splits.train)
        held_out = tuple(_prefixed(name, prompt) for name, splits in loaded.items() for prompt in splits.held_out)
        twice = [key for key, count in Counter(prompt.key for prompt in train + held_out).items() if count > 1]
        if twice:
            raise UserError(f"mixture: {len(twice)} keys stand for two prompts, the first is '{twice[0]}'")
        return PromptSplits(train, held_out)


def _prefixed(name: str, prompt: Prompt) -> Prompt:
    return replace(prompt, key=f"{name}/{prompt.key}")
