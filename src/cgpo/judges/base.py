"""The base of judges: text and metadata in, a verdict and its reason out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import TYPE_CHECKING

from cgpo.errors import UserError
from cgpo.types import Prompt, Sample, Verdict

if TYPE_CHECKING:
    from torch import nn


class Cost(IntEnum):
    """How expensive a judge is: the usual values of `Judge.cost`."""

    RULES = 0
    """The judge looks at text, in this process."""
    SANDBOX = 1
    """The judge runs programs."""
    MODEL = 2
    """The judge runs a language model in this process."""
    ENDPOINT = 3
    """The judge asks another machine."""


class Judge(ABC):
    """A constraint: says of each response whether it is satisfied, and why.

    A subclass has to define `judge`; everything else has a default. A verdict may depend on the response and on the
    prompt's text, history, metadata and golden response. It must not depend on the prompt's key, which names the row in
    messages: equal content is judged once.

    A judge is asked about one batch at a time, so it need not be thread-safe. Only `judging`, `usage` and `interrupt`
    are used by another thread meanwhile.

    Each attribute may be a class attribute, be assigned in `__init__`, or be a property:

    Attributes:
        cost: a number, of `Cost` or any other; with `panel.short_circuit` cheap judges are asked first.
        deterministic: `False` if the same sample may get another verdict next time. Nothing is cached then.
        version: a text that changes whenever the same settings would give other verdicts than before. Cached verdicts
            of another version are not used.
        models: the language models that the judge runs in this process, of which several processes may keep a piece
            each.
        usage: what was spent since the judge was made, under the keys `calls` and `tokens`; what caps look at. `None`
            if the judge does not count, so that it cannot be capped.
        judging: the samples that the judge is at now. A run that waits for the judge says which they are, and as long
            as they change the judge is not taken to be stuck. Empty if the judge does not say.
    """

    cost: float = Cost.RULES
    deterministic: bool = True
    version: str = ""
    models: Sequence[nn.Module] = ()
    usage: Mapping[str, int] | None = None
    judging: Sequence[Sample] = ()

    @abstractmethod
    def judge(self, samples: Sequence[Sample]) -> list[Verdict]:
        """Judges responses.

        A judge that fails on a sample answers `Outcome.UNDECIDED` for it, with the reason. If a prompt does not concern
        the judge, it answers `Outcome.NOT_APPLICABLE`.

        Args:
            samples: prompts with a response each.

        Returns:
            One verdict per sample, in order.
        """

    def check_prompt(self, prompt: Prompt) -> None:  # noqa: B027
        """Checks that the judge can read a prompt's metadata; called for every prompt at start-up.

        A prompt that the judge does not apply to is fine. The default accepts every prompt.

        Args:
            prompt: a row of a task that this judge constrains.

        Raises:
            UserError: naming the row, and what is wrong with it.
        """

    def interrupt(self, reason: str) -> None:  # noqa: B027
        """Makes `judge`, which another thread is in, return soon.

        Samples that have no verdict by then are to be `Outcome.UNDECIDED` with the given reason; `judge` may also
        raise. A judge that does not override this method, or does not obey, is left behind in its thread, and the next
        batch is judged in another thread.

        Args:
            reason: why the judge is to stop, for a person to read.
        """

    def close(self) -> None:  # noqa: B027
        """Ends the processes and connections that the judge holds. The default does nothing."""

    @property
    def interruptible(self) -> bool:
        """Whether the judge overrides `interrupt`."""
        return type(self).interrupt is not Judge.interrupt


def check_judge(key: str, judge: object) -> Judge:
    """Returns an object that is known to be a judge from then on.

    Args:
        key: where it was named, for the message.
        judge: what was given as a judge.

    Raises:
        UserError: it does not subclass `Judge`, or it is a class rather than an object.
    """
    kind = type(judge)
    if isinstance(judge, Judge):
        return judge
    if isinstance(judge, type) and issubclass(judge, Judge):
        raise UserError(f"{key}: {judge.__name__} is the class of a judge, not a judge; call it, {judge.__name__}()")
    raise UserError(f"{key}: {kind.__module__}.{kind.__qualname__} is not a judge; subclass cgpo.Judge")
