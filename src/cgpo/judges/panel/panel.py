"""The mixture of judges: every judge on every response, and the logical AND of their verdicts (Algorithm 1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from itertools import groupby
from typing import Any, cast

import torch
from torch import nn

from cgpo.bounds import check_arguments
from cgpo.errors import UserError
from cgpo.judges.base import Judge, check_judge
from cgpo.judges.panel.background import in_background
from cgpo.judges.panel.batch import Answer
from cgpo.judges.panel.cache import DistinctSamples, VerdictCache, distinct_samples
from cgpo.judges.panel.settings import Beyond, BeyondCap, Cap, Caps, Failure, OnError, PerJudge, of_judge
from cgpo.judges.panel.worker import JudgeWorker
from cgpo.protocols import JudgePanel
from cgpo.types import Outcome, Sample, Verdict, Verdicts


class PeerPanel(JudgePanel):
    """A panel that asks no judge: tensor-parallel peers have the same samples, and only the first has them judged.

    Args:
        names: the names of the judges that it replaces.
        cached: those of them whose verdicts are kept, so that metrics have the same names in every process.
    """

    def __init__(self, names: Sequence[str], cached: Sequence[str] = ()) -> None:
        self._names = tuple(names)
        self._cached = tuple(cached)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the judges that it replaces."""
        return self._names

    @property
    def cached(self) -> tuple[str, ...]:
        """Those of them whose verdicts are kept."""
        return self._cached

    def judge(self, samples: Sequence[Sample]) -> Verdicts:
        """Returns verdicts which say that no judge was asked."""
        not_asked = (Verdict(Outcome.NOT_ASKED, "another process asks"),) * len(samples)
        true = torch.ones(len(samples), dtype=torch.bool)
        by_judge, seconds = dict.fromkeys(self.names, not_asked), dict.fromkeys(self.names, 0.0)
        return Verdicts(by_judge, true, true, seconds, dict.fromkeys(self.cached, 0))

    def submit(self, samples: Sequence[Sample]) -> Future[Verdicts]:
        """Returns the same as a future that is already done."""
        done: Future[Verdicts] = Future()
        done.set_result(self.judge(samples))
        return done


class Panel(JudgePanel):
    """Several judges as one.

    A response is violated if any judge finds a violation, undecided if none does but one is undecided, and satisfied
    otherwise, also if no judge applies or the panel is empty.

    Each judge has its own thread, in which it judges one batch at a time; judges that run a language model in this
    process share a thread. Settings that may differ between judges take one value for all, or a mapping from names.

    Args:
        judges: the judges by name.
        on_error: what a judge's exception counts as: `undecided`, `violated`, or `raise` to end the run.
        short_circuit: whether judges of a higher cost see only what no judge of a lower cost found violated. The
            conclusions are the same; the expensive judges' rates are then those of the samples that reached them.
        cache: where verdicts are kept between calls; `None` to keep none.
        max_calls: the most calls of judges that count them.
        max_tokens: the most tokens of judges that count them.
        beyond_cap: what happens to samples beyond a cap: `undecided`, or `stop` to end the run.
        versions: for each judge a text that is equal for two judges only if their verdicts are, see `JudgeWorker`.

    Raises:
        UserError: a setting is out of range, an object given as a judge does not subclass `Judge`, or a judge that is
            to be capped by name does not count.
    """

    def __init__(
        self,
        judges: Mapping[str, Judge],
        on_error: PerJudge[Failure] = "undecided",
        short_circuit: bool = False,
        cache: VerdictCache | None = None,
        max_calls: PerJudge[Cap] = None,
        max_tokens: PerJudge[Cap] = None,
        beyond_cap: Beyond = "undecided",
        versions: Mapping[str, str] | None = None,
    ) -> None:
        check_arguments(Panel, locals())
        self._short_circuit = short_circuit
        self._cache = cache
        self._workers: dict[str, JudgeWorker] = {}
        self._whole = self
        for name, given in judges.items():
            judge = check_judge(f"judges.{name}", given)
            caps = Caps()
            if judge.usage is not None:
                calls, tokens = (of_judge(setting, name, None) for setting in (max_calls, max_tokens))
                caps = Caps(calls, tokens, BeyondCap(beyond_cap))
            else:
                _refuse_cap(name, judge, max_calls=max_calls, max_tokens=max_tokens)
            failure = OnError(of_judge(on_error, name, "undecided"))
            self._workers[name] = JudgeWorker(name, judge, failure, caps, cache, (versions or {}).get(name))

    def of(self, names: Sequence[str] | Mapping[str, str]) -> Panel:
        """Returns a panel of some of these judges, which it shares with this one.

        Args:
            names: the names of the judges; or a mapping from what the panel is to call them to their names here.
        """
        panel = Panel({}, short_circuit=self._short_circuit, cache=self._cache)
        renamed = names if isinstance(names, Mapping) else {name: name for name in names}
        panel._workers = {shown: self._workers[name] for shown, name in renamed.items()}
        panel._whole = self._whole
        return panel

    @property
    def names(self) -> tuple[str, ...]:
        """The judges' names, in order."""
        return tuple(self._workers)

    @property
    def whole(self) -> Panel:
        """The panel of all judges that this one is a part of, or this one itself."""
        return self._whole

    @property
    def models(self) -> list[nn.Module]:
        """The language models that the judges run in this process."""
        return [model for worker in self._workers.values() for model in worker.models]

    @property
    def cached(self) -> tuple[str, ...]:
        """The judges whose verdicts are kept."""
        return tuple(name for name, worker in self._workers.items() if worker.keeps_verdicts)

    def judge(self, samples: Sequence[Sample]) -> Verdicts:
        """Judges `N` responses; equal responses to equal prompts are judged once.

        Raises:
            UserError: a judge found bad input, such as a row whose metadata it cannot read, or reached a cap.
            JudgeError: a judge failed, and its failures are to end the run.
            ValueError: a judge returned more or fewer verdicts than there are samples.
        """
        distinct = distinct_samples(samples)
        given = self._answers(distinct) if distinct.samples else self._no_answers()
        by_judge = {name: tuple(given[name].verdicts[i] for i in distinct.index) for name in self._workers}
        conclusions = [
            conjunction([verdicts[i].outcome for verdicts in by_judge.values()]) for i in range(len(samples))
        ]
        return Verdicts(
            by_judge=by_judge,
            satisfied=torch.tensor([c is Outcome.SATISFIED for c in conclusions], dtype=torch.bool),
            decided=torch.tensor([c is not Outcome.UNDECIDED for c in conclusions], dtype=torch.bool),
            seconds={name: given[name].seconds for name in self._workers},
            cached={
                name: sum(known[i] for i in distinct.index)
                for name in self._workers
                if (known := given[name].cached) is not None
            },
        )

    def submit(self, samples: Sequence[Sample]) -> Future[Verdicts]:
        """Judges in the background, so that a task is judged while the next one rolls out."""
        return in_background("panel", partial(self.judge, tuple(samples)))

    def close(self) -> None:
        """Closes the judges and the cache."""
        for worker in self._workers.values():
            worker.close()
        if self._cache is not None:
            self._cache.close()

    def state_dict(self) -> dict[str, Any]:
        """Returns what a resumed run must know about all judges of the run, even if this panel has only some.

        `cache` contains the verdicts that are kept in memory, `spent` what each judge that counts has spent.
        """
        spent = {name: worker.spent() for name, worker in self._whole._workers.items()}
        return {
            "cache": {} if self._cache is None else self._cache.state_dict(),
            "spent": {name: of for name, of in spent.items() if of},
        }

    def load_state_dict(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Takes over the states of one or several processes: all of their verdicts, and the sum of what they spent.

        A judge that no longer exists is ignored.

        Raises:
            UserError: a state is damaged.
        """
        if self._cache is not None:
            self._cache.load_state_dict([state["cache"] for state in states])
        for name, worker in self._whole._workers.items():
            spent: Counter[str] = Counter()
            for state in states:
                spent.update(state["spent"].get(name, {}))
            worker.resume(spent)

    def _no_answers(self) -> dict[str, Answer]:
        """Returns each judge's answer on no samples, with a cache for the same judges as on some."""
        return {name: Answer([], [] if worker.keeps_verdicts else None, 0.0) for name, worker in self._workers.items()}

    def _answers(self, distinct: DistinctSamples) -> dict[str, Answer]:
        """Returns each judge's answer on all distinct samples; the judges of one level work at the same time."""
        violated_by: dict[int, str] = {}
        given: dict[str, Answer] = {}
        for level in self._levels():
            asked = [i for i in range(len(distinct.samples)) if i not in violated_by]
            samples, digests = [distinct.samples[i] for i in asked], [distinct.digests[i] for i in asked]
            pending = {name: worker.ask(samples, digests) for name, worker in level.items()}
            for name, answer in [(name, future.result()) for name, future in pending.items()]:
                given[name] = _spread(answer, asked, violated_by, len(distinct.samples))
            if self._short_circuit:
                violated_by |= _first_violations({name: given[name] for name in level}, asked)
        return given

    def _levels(self) -> list[dict[str, JudgeWorker]]:
        """Returns the judges by cost, the cheap ones first; a single level if every judge sees everything."""
        named = sorted(self._workers.items(), key=lambda item: item[1].cost)
        if not self._short_circuit:
            return [dict(named)]
        return [dict(level) for _, level in groupby(named, key=lambda item: item[1].cost)]


def conjunction(outcomes: Sequence[Outcome]) -> Outcome:
    """Computes Kleene's AND over the judges that apply, which is true if none does."""
    for outcome in (Outcome.VIOLATED, Outcome.UNDECIDED):
        if outcome in outcomes:
            return outcome
    return Outcome.SATISFIED


def _spread(answer: Answer, asked: Sequence[int], violated_by: Mapping[int, str], size: int) -> Answer:
    """Extends an answer on some samples to all; the others have verdicts which say that they were not asked about."""
    if len(asked) == size:
        return answer
    verdicts = dict(zip(asked, answer.verdicts, strict=True))
    known = None if answer.cached is None else dict(zip(asked, answer.cached, strict=True))
    return Answer(
        [verdicts.get(i) or Verdict(Outcome.NOT_ASKED, f"already violated by {violated_by[i]}") for i in range(size)],
        None if known is None else [known.get(i, False) for i in range(size)],
        answer.seconds,
    )


def _first_violations(level: Mapping[str, Answer], asked: Sequence[int]) -> dict[int, str]:
    """Returns the samples that a level's judges found violated, each with the first judge that did."""
    found: dict[int, str] = {}
    for name, answer in level.items():
        for i in asked:
            if answer.verdicts[i].outcome is Outcome.VIOLATED:
                found.setdefault(i, name)
    return found


def _refuse_cap(name: str, judge: Judge, **caps: object) -> None:
    for key, setting in caps.items():
        if isinstance(setting, Mapping) and cast("Mapping[str, object]", setting).get(name) is not None:
            kind = type(judge).__name__
            raise UserError(f"panel.{key}.{name}: {kind} does not count what it spends, so that it cannot be capped")
