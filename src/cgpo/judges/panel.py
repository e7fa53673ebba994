"""The mixture of judges: every judge on every response, and the logical AND of what they say (Algorithm 1)."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import orjson
import torch

from cgpo.errors import UserError
from cgpo.protocols import Judge
from cgpo.types import Outcome, Sample, Verdict, Verdicts

_background: ThreadPoolExecutor | None = None
_background_lock = threading.Lock()


class Panel:
    """The judges of a task.

    A response is violated when any judge finds a violation, undecided when none does but one is undecided, and
    satisfied otherwise: also where no judge applies, or where the panel is empty.

    Args:
        judges: by name; the order is the order in which they run.
    """

    def __init__(self, judges: Mapping[str, Judge]) -> None:
        self._judges = dict(judges)

    @property
    def names(self) -> tuple[str, ...]:
        """The judges' names, in order."""
        return tuple(self._judges)

    def judge(self, samples: Sequence[Sample]) -> Verdicts:
        """Verdicts on `N` responses; equal responses to equal prompts are judged once.

        A judge that raises is undecided on every sample of the call, with the exception as its reason.

        Raises:
            UserError: a judge found bad input, such as a row whose metadata it cannot read.
            ValueError: a judge answered more or fewer verdicts than there are samples.
        """
        distinct, index = _distinct(samples)
        by_judge: dict[str, tuple[Verdict, ...]] = {}
        seconds: dict[str, float] = {}
        for name, judge in self._judges.items():
            started = time.perf_counter()
            verdicts = _ask(name, judge, distinct) if distinct else []
            seconds[name] = time.perf_counter() - started
            by_judge[name] = tuple(verdicts[i] for i in index)
        conclusions = [
            _conjunction([verdicts[i].outcome for verdicts in by_judge.values()]) for i in range(len(samples))
        ]
        return Verdicts(
            by_judge=by_judge,
            satisfied=torch.tensor([c is Outcome.SATISFIED for c in conclusions], dtype=torch.bool),
            decided=torch.tensor([c is not Outcome.UNDECIDED for c in conclusions], dtype=torch.bool),
            seconds=seconds,
        )

    def submit(self, samples: Sequence[Sample]) -> Future[Verdicts]:
        """The same in a background thread that all panels share, so that a task is judged while the next rolls out."""
        return _executor().submit(self._judge_without_gradients, tuple(samples))

    def close(self) -> None:
        """Closes the judges that hold processes or connections."""
        for judge in self._judges.values():
            close = getattr(judge, "close", None)
            if close is not None:
                with suppress(OSError):
                    close()

    def _judge_without_gradients(self, samples: Sequence[Sample]) -> Verdicts:
        with torch.no_grad():
            return self.judge(samples)


def _executor() -> ThreadPoolExecutor:
    global _background
    with _background_lock:
        if _background is None:
            _background = ThreadPoolExecutor(max_workers=1, thread_name_prefix="judges")
        return _background


def _ask(name: str, judge: Judge, samples: Sequence[Sample]) -> list[Verdict]:
    try:
        verdicts = judge.judge(samples)
    except UserError:
        raise
    except Exception as error:  # a judge's failure is not the policy's: it leaves the sample undecided
        failed = Verdict(Outcome.UNDECIDED, f"the judge failed: {type(error).__name__}: {error}")
        return [failed] * len(samples)
    if len(verdicts) != len(samples):
        raise ValueError(f"judge {name}: answered {len(verdicts)} verdicts on {len(samples)} samples")
    return verdicts


def _conjunction(outcomes: Sequence[Outcome]) -> Outcome:
    """Kleene's AND over the judges that apply; true where none does."""
    for outcome in (Outcome.VIOLATED, Outcome.UNDECIDED):
        if outcome in outcomes:
            return outcome
    return Outcome.SATISFIED


def _distinct(samples: Sequence[Sample]) -> tuple[list[Sample], list[int]]:
    """The samples without repetition, and for each sample which of those it is."""
    places: dict[tuple[object, ...], int] = {}
    distinct: list[Sample] = []
    index: list[int] = []
    for sample in samples:
        place = places.setdefault(_content(sample), len(distinct))
        if place == len(distinct):
            distinct.append(sample)
        index.append(place)
    return distinct, index


def _content(sample: Sample) -> tuple[object, ...]:
    """Everything that a judge may read of a sample."""
    prompt = sample.prompt
    try:
        context = orjson.dumps([dict(prompt.metadata), [dict(turn) for turn in prompt.history]])
    except TypeError:  # metadata that is no JSON: only the same prompt counts as equal
        context = id(prompt)
    return prompt.key, prompt.text, prompt.response, sample.response, context
