"""A judge as its panels ask it: one batch at a time, through its cache, within its caps, its failures told apart."""

from __future__ import annotations

import hashlib
import logging
import math
import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import nn

from cgpo.errors import UserError
from cgpo.judges.cache import VerdictCache
from cgpo.judges.settings import BeyondCap, Caps, OnError
from cgpo.protocols import Cost, Judge
from cgpo.types import Outcome, Sample, Verdict

_log = logging.getLogger(__name__)


class JudgeError(RuntimeError):
    """A judge failed whose failures are to end the run (`on_error: raise`)."""


@dataclass(frozen=True)
class Answer:
    """What a judge said.

    Attributes:
        verdicts: one a sample.
        cached: for each whether it was known before; `None` where the judge has no cache.
        seconds: wall-clock.
    """

    verdicts: list[Verdict]
    cached: list[bool] | None
    seconds: float


class Member:
    """A judge with what its panels keep about it; all panels of a run share it.

    Args:
        name: of the judge.
        judge: itself.
        on_error: what an exception counts as.
        caps: what it may spend.
        cache: where its verdicts are kept, unless it says that it is not deterministic.
        version: a text that is equal for two judges only if their verdicts are; `None`: nothing is known of how it was
            made, and its verdicts are used by itself alone.

    Raises:
        UserError: its cost is no number, or it is to be capped and does not count.
    """

    def __init__(
        self,
        name: str,
        judge: Judge,
        on_error: OnError = OnError.UNDECIDED,
        caps: Caps | None = None,
        cache: VerdictCache | None = None,
        version: str | None = None,
    ) -> None:
        self.name = name
        self.cost = _cost(name, judge)
        self._judge = judge
        self._on_error = on_error
        self._caps = caps or Caps()
        self._cache = cache if getattr(judge, "deterministic", True) else None
        identity = version if version is not None else uuid.uuid4().hex
        self._identity = f"{identity}\n{getattr(judge, 'version', '')}\n".encode()
        self._thread: ThreadPoolExecutor | None = None
        self._said = False

    @property
    def models(self) -> Sequence[nn.Module]:
        """The language models that the judge runs in this process."""
        return getattr(self._judge, "models", ())

    def ask(self, samples: Sequence[Sample], digests: Sequence[bytes | None]) -> Future[Answer]:
        """Judges samples in the judge's own thread, after what it was asked before."""
        return self._executor().submit(self._answer, samples, digests)

    def close(self) -> None:
        """Ends the thread, and the judge if it holds processes or connections."""
        if self._thread is not None:
            self._thread.shutdown(wait=False, cancel_futures=True)
            self._thread = None
        close = getattr(self._judge, "close", None)
        if close is not None:
            with suppress(OSError):
                close()

    def _executor(self) -> ThreadPoolExecutor:
        if self.cost == Cost.MODEL:  # models would take each other's cores
            return _models
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"judge-{self.name}")
        return self._thread

    def _answer(self, samples: Sequence[Sample], digests: Sequence[bytes | None]) -> Answer:
        started = time.perf_counter()
        keys = [None if d is None or self._cache is None else self._key(d) for d in digests]
        known = self._cache.lookup([key for key in keys if key is not None]) if self._cache is not None else {}
        found: list[Verdict | None] = [known.get(key) if key is not None else None for key in keys]
        cached = [verdict is not None for verdict in found]
        missing = [i for i, verdict in enumerate(found) if verdict is None]
        fresh: dict[bytes, Verdict] = {}
        verdicts, sure = self._within_caps([samples[i] for i in missing])
        for i, verdict in zip(missing, verdicts, strict=True):
            found[i] = verdict
            if (key := keys[i]) is not None and sure:
                fresh[key] = verdict
        if self._cache is not None:
            self._cache.store(fresh)
        return Answer(
            [verdict for verdict in found if verdict is not None],
            cached if self._cache is not None else None,
            time.perf_counter() - started,
        )

    def _key(self, digest: bytes) -> bytes:
        return hashlib.sha256(self._identity + digest).digest()

    def _within_caps(self, samples: Sequence[Sample]) -> tuple[list[Verdict], bool]:
        """The verdicts, and whether the judge itself gave them all."""
        if not self._caps:
            return self._call(samples)
        verdicts: list[Verdict] = []
        sure = True
        while len(verdicts) < len(samples):
            usage = _usage(self._judge)
            if (reached := self._caps.reached(usage)) is not None:
                self._say(reached)
                rest = len(samples) - len(verdicts)
                verdicts += [Verdict(Outcome.UNDECIDED, f"not judged: {reached}")] * rest
                break
            start = len(verdicts)
            room = self._caps.room(usage)
            part, whole = self._call(samples[start : None if room is None else start + room])
            verdicts += part
            sure = sure and whole
        return verdicts, sure

    def _say(self, reached: str) -> None:
        if self._caps.beyond is BeyondCap.STOP:
            raise UserError(f"judge {self.name}: {reached}; panel.beyond_cap=undecided would go on without it")
        if not self._said:
            _log.warning("judge %s: %s; what it is asked from now on stays undecided", self.name, reached)
            self._said = True

    def _call(self, samples: Sequence[Sample]) -> tuple[list[Verdict], bool]:
        if not samples:
            return [], True
        try:
            with torch.no_grad():
                verdicts = self._judge.judge(samples)
        except UserError:
            raise
        except Exception as error:  # a judge's failure is not the policy's
            why = f"{type(error).__name__}: {error}"
            if self._on_error is OnError.RAISE:
                raise JudgeError(f"judge {self.name} failed: {why}") from error
            outcome = Outcome.VIOLATED if self._on_error is OnError.VIOLATED else Outcome.UNDECIDED
            return [Verdict(outcome, f"the judge failed: {why}")] * len(samples), False
        if len(verdicts) != len(samples):
            raise ValueError(f"judge {self.name}: answered {len(verdicts)} verdicts on {len(samples)} samples")
        return list(verdicts), True


_models = ThreadPoolExecutor(1, thread_name_prefix="judge-models")


def counts(judge: Judge) -> bool:
    """Whether a judge says what it spends."""
    return hasattr(judge, "usage")


def _usage(judge: Judge) -> Mapping[str, int]:
    return judge.usage  # pyright: ignore[reportAttributeAccessIssue]


def _cost(name: str, judge: Judge) -> float:
    cost = getattr(judge, "cost", Cost.RULES)
    if not isinstance(cost, int | float) or not math.isfinite(cost):
        raise UserError(f"judge {name}: its cost is {cost!r}: it must be a number")
    return cost
