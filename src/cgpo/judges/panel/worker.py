"""Asks a judge for its panels: one batch at a time, through its cache, within its caps, handling its failures."""

from __future__ import annotations

import hashlib
import logging
import math
import threading
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from functools import partial
from typing import cast

import torch
from torch import nn

from cgpo.errors import UserError
from cgpo.judges.base import Cost, Judge
from cgpo.judges.panel.background import SerialThread, in_background
from cgpo.judges.panel.batch import Answer, Batch, JudgeActivity, watch
from cgpo.judges.panel.cache import VerdictCache
from cgpo.judges.panel.settings import BeyondCap, Caps, OnError
from cgpo.types import Outcome, Sample, Verdict

_log = logging.getLogger(__name__)
GRACE_SECONDS = 5.0
"""The seconds that an interrupted judge has to end by itself."""


class JudgeError(RuntimeError):
    """A judge failed, and its failures are to end the run (`on_error: raise`)."""


class JudgeWorker:
    """A judge with its thread, its cache and its caps; all panels of a run share it.

    Args:
        name: the judge's name.
        judge: the judge.
        on_error: what an exception counts as.
        caps: what the judge may spend.
        cache: where its verdicts are kept, unless the judge is not deterministic.
        version: a text that is equal for two judges only if their verdicts are; `None` if nobody knows how the judge
            was made, so that no other judge may use its verdicts.

    Raises:
        UserError: the judge's cost is not a number.
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
        self._cache = cache if judge.deterministic else None
        identity = version if version is not None else uuid.uuid4().hex
        self._identity = f"{identity}\n{judge.version}\n".encode()
        # Models in this process would compete for its cores.
        self._thread = _models if self.cost == Cost.MODEL else SerialThread(f"judge-{name}")
        self._lock = threading.Lock()
        self._batches: list[tuple[Batch, Future[None]]] = []
        self._spent_before: dict[str, int] = {}
        self._warned = False
        watch(self)

    @property
    def models(self) -> Sequence[nn.Module]:
        """The language models that the judge runs in this process."""
        return self._judge.models

    def ask(self, samples: Sequence[Sample], digests: Sequence[bytes | None]) -> Future[Answer]:
        """Judges samples in the judge's own thread, after the batches that it was asked about before."""
        batch = Batch(samples, digests)
        batch.cached = [False] * len(samples) if self.keeps_verdicts else None
        with self._lock:
            self._batches = [(batch, done) for batch, done in self._batches if not batch.answer.done()]
            self._batches.append((batch, self._thread.submit(partial(self._answer, batch))))
        return batch.answer

    @property
    def keeps_verdicts(self) -> bool:
        """Whether the judge's verdicts are cached."""
        return self._cache is not None

    def activity(self) -> JudgeActivity | None:
        """Returns what the judge is doing, or `None` if it is idle."""
        if (current := self._current()) is None:
            return None
        batch, _ = current
        judging = tuple(self._judge.judging)
        return JudgeActivity(
            judge=self.name,
            asked=len(batch.samples),
            began=batch.began or 0.0,
            samples=judging or tuple(batch.samples[i] for i in batch.open),
            give_up=partial(self._give_up, *current, grace=GRACE_SECONDS),
        )

    def give_up(self, reason: str, grace: float = GRACE_SECONDS) -> None:
        """Ends the current batch: samples without a verdict are undecided, and the run continues.

        A judge that overrides `interrupt` is asked to end the batch by itself, and its answer then counts. One that
        does not answer is left behind in its thread, which may never end and does not keep the process from ending; the
        next batch is judged in a new thread.

        Args:
            reason: the reason of the undecided verdicts.
            grace: the seconds that a judge has to end by itself after it was interrupted.
        """
        if (current := self._current()) is not None:
            self._give_up(*current, reason, grace)

    def _give_up(self, batch: Batch, done: Future[None], reason: str, grace: float) -> None:
        if batch.answer.done():
            return
        batch.given_up = reason
        if self._judge.interruptible:
            interruption = in_background(f"interrupt-{self.name}", partial(self._judge.interrupt, reason))
            wait([batch.answer], timeout=grace)
            if interruption.done() and (error := interruption.exception()) is not None:
                _log.warning("judge %s cannot be interrupted: %s: %s", self.name, type(error).__name__, error)
        if batch.finish():
            self._thread.leave(done)

    def close(self) -> None:
        """Closes the judge, and releases whoever waits for its answers."""
        with self._lock:
            batches, self._batches = self._batches, []
        for batch, done in batches:
            batch.cancel()
            self._thread.leave(done)
        with suppress(OSError):
            self._judge.close()

    def _current(self) -> tuple[Batch, Future[None]] | None:
        with self._lock:
            open_ = [(batch, done) for batch, done in self._batches if not batch.answer.done()]
        return next(((batch, done) for batch, done in open_ if batch.began is not None), None)

    def spent(self) -> dict[str, int]:
        """Returns the `calls` and `tokens` spent in this process and before it; empty if the judge does not count."""
        now = self._judge.usage or {}
        before = self._spent_before
        return {key: before.get(key, 0) + now.get(key, 0) for key in {**before, **now}}

    def resume(self, spent: Mapping[str, int]) -> None:
        """Continues counting from what was spent before this process began."""
        if self._judge.usage is not None:
            self._spent_before = dict(spent)

    def _answer(self, batch: Batch) -> None:
        """Finds a verdict for every sample of a batch, unless the batch is given up or cancelled meanwhile."""
        if batch.answer.done():
            return
        try:
            batch.start()
            keys = [None if d is None or self._cache is None else self._key(d) for d in batch.digests]
            if self._cache is not None:
                known = self._cache.lookup([key for key in keys if key is not None])
                batch.found = [known.get(key) if key is not None else None for key in keys]
                batch.cached = [verdict is not None for verdict in batch.found]
            asked = batch.open
            certain = self._within_caps(batch)
            fresh = {key: verdict for i in asked if (key := keys[i]) is not None and (verdict := batch.found[i])}
            if self._cache is not None and certain and not batch.answer.done():
                self._cache.store(fresh)
        except BaseException as error:
            batch.fail(error)
        else:
            batch.finish()

    def _key(self, digest: bytes) -> bytes:
        return hashlib.sha256(self._identity + digest).digest()

    def _within_caps(self, batch: Batch) -> bool:
        """Finds the verdicts that are not known yet; returns whether all of them are the judge's own."""
        certain = True
        while (rest := batch.open) and batch.given_up is None and not batch.answer.done():
            room = None
            if self._caps:
                spent = self.spent()
                if (reached := self._caps.reached(spent)) is not None:
                    self._warn(reached)
                    batch.fill(rest, [Verdict(Outcome.UNDECIDED, f"not judged: {reached}")] * len(rest))
                    break
                room = self._caps.room(spent)
            part = rest[:room]
            verdicts, own = self._call([batch.samples[i] for i in part], batch)
            batch.fill(part, verdicts)
            certain = certain and own
        return certain

    def _warn(self, reached: str) -> None:
        if self._caps.beyond is BeyondCap.STOP:
            raise UserError(f"judge {self.name}: {reached}; panel.beyond_cap=undecided would go on without it")
        if not self._warned:
            _log.warning("judge %s: %s; what it is asked from now on stays undecided", self.name, reached)
            self._warned = True

    def _call(self, samples: Sequence[Sample], batch: Batch) -> tuple[list[Verdict], bool]:
        try:
            with torch.no_grad():
                verdicts = self._judge.judge(samples)
        except UserError:
            raise
        except Exception as error:  # a judge's failure is not the policy's
            if batch.given_up is not None:
                return [Verdict(Outcome.UNDECIDED, batch.given_up)] * len(samples), False
            why = f"{type(error).__name__}: {error}"
            if self._on_error is OnError.RAISE:
                raise JudgeError(f"judge {self.name} failed: {why}") from error
            outcome = Outcome.VIOLATED if self._on_error is OnError.VIOLATED else Outcome.UNDECIDED
            return [Verdict(outcome, f"the judge failed: {why}")] * len(samples), False
        if len(verdicts) != len(samples):
            raise ValueError(f"judge {self.name}: answered {len(verdicts)} verdicts on {len(samples)} samples")
        return list(verdicts), True


_models = SerialThread("judge-models")


def _cost(name: str, judge: Judge) -> float:
    cost = cast("object", judge.cost)  # what a person's class has there may be anything
    if not isinstance(cost, int | float) or not math.isfinite(cost):
        raise UserError(f"judge {name}: its cost is {cost!r}: it must be a number")
    return cost
