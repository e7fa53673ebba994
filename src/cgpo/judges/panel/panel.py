"""The mixture of judges: every judge on every response, and the logical AND of what they say (Algorithm 1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from itertools import groupby
from typing import Any, Literal

import torch
from torch import nn

from cgpo.errors import UserError
from cgpo.judges.base import Judge, check_judge
from cgpo.judges.panel.background import in_background
from cgpo.judges.panel.batch import Answer
from cgpo.judges.panel.cache import DistinctSamples, VerdictCache, distinct_samples
from cgpo.judges.panel.settings import BeyondCap, Cap, Caps, Failure, OnError, PerJudge, cap, check_all, choice
from cgpo.judges.panel.worker import JudgeWorker
from cgpo.protocols import JudgePanel
from cgpo.types import Outcome, Sample, Verdict, Verdicts


class PeerPanel(JudgePanel):
    """Says nothing of any sample; tensor-parallel peers have the same samples, and only the first has them judged.

    Args:
        names: of the judges that it stands for.
        cached: those of them whose verdicts are kept, so that metrics have the same names everywhere.
    """

    def __init__(self, names: Sequence[str], cached: Sequence[str] = ()) -> None:
        self._names = tuple(names)
        self._cached = tuple(cached)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the judges that it stands for."""
        return self._names

    @property
    def cached(self) -> tuple[str, ...]:
        """Those of them whose verdicts are kept."""
        return self._cached

    def judge(self, samples: Sequence[Sample]) -> Verdicts:
        """No judge was asked."""
        nothing = (Verdict(Outcome.NOT_ASKED, "another process asks"),) * len(samples)
        all_of_them = torch.ones(len(samples), dtype=torch.bool)
        by_judge, seconds = dict.fromkeys(self.names, nothing), dict.fromkeys(self.names, 0.0)
        return Verdicts(by_judge, all_of_them, all_of_them, seconds, dict.fromkeys(self.cached, 0))

    def submit(self, samples: Sequence[Sample]) -> Future[Verdicts]:
        """The same, at once."""
        answered: Future[Verdicts] = Future()
        answered.set_result(self.judge(samples))
        return answered


class Panel(JudgePanel):
    """Judges as one.

    A response is violated when any judge finds a violation, undecided when none does but one is undecided, and
    satisfied otherwise: also where no judge applies, or where the panel is empty.

    Each judge has a thread of its own, in which it judges one batch at a time; judges that run a language model in
    this process share one. Settings that may differ between judges take one value for all, or a mapping from names.

    Args:
        judges: by name.
        on_error: what a judge's exception counts as: `undecided`, `violated`, or `raise` to end the run.
        short_circuit: judges of a higher cost see only what no judge of a lower cost found violated. The conclusions
            are the same; the dearer judges' rates are then those of the samples that reached them.
        cache: where verdicts are kept between calls; `None` for nowhere.
        max_calls: most calls of judges that count them.
        max_tokens: most tokens of judges that count them.
        beyond_cap: what becomes of samples beyond a cap: `undecided`, or `stop` to end the run.
        versions: for each judge a text that is equal for two judges only if their verdicts are, see `JudgeWorker`.

    Raises:
        UserError: a setting is none of its choices, what is given as a judge does not subclass `Judge`, or a judge that
            is to be capped by name does not count.
    """

    def __init__(
        self,
        judges: Mapping[str, Judge],
        on_error: PerJudge[Failure] = "undecided",
        short_circuit: bool = False,
        cache: VerdictCache | None = None,
        max_calls: PerJudge[Cap] = None,
        max_tokens: PerJudge[Cap] = None,
        beyond_cap: Literal["undecided", "stop"] = "undecided",
        versions: Mapping[str, str] | None = None,
    ) -> None:
        if not isinstance(short_circuit, bool):
            raise UserError(f"panel.short_circuit is {short_circuit!r}: it must be true or false")
        check_all("on_error", on_error, lambda name: choice("on_error", on_error, name, OnError, "undecided"))
        for key, setting in (("max_calls", max_calls), ("max_tokens", max_tokens)):
            check_all(key, setting, lambda name, key=key, setting=setting: cap(key, setting, name))
        beyond = BeyondCap(choice("beyond_cap", beyond_cap, "", BeyondCap, "undecided"))
        self._short_circuit = short_circuit
        self._cache = cache
        self._workers: dict[str, JudgeWorker] = {}
        self._whole = self
        for name, given in judges.items():
            judge = check_judge(f"judges.{name}", given)
            caps = Caps()
            if judge.usage is not None:
                caps = Caps(cap("max_calls", max_calls, name), cap("max_tokens", max_tokens, name), beyond)
            else:
                _refuse_cap(name, judge, max_calls=max_calls, max_tokens=max_tokens)
            failure = OnError(choice("on_error", on_error, name, OnError, "undecided"))
            self._workers[name] = JudgeWorker(name, judge, failure, caps, cache, (versions or {}).get(name))

    def of(self, names: Sequence[str] | Mapping[str, str]) -> Panel:
        """The panel of some of these judges, which it shares with this one.

        Args:
            names: of the judges; or a mapping from what the panel is to call them to their names here.
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
        """The panel that was made with all judges; this one, or the one that `of` was asked of."""
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
        """Verdicts on `N` responses; equal responses to equal prompts are judged once.

        Raises:
            UserError: a judge found bad input, such as a row whose metadata it cannot read, or spent all it may.
            JudgeError: a judge failed whose failures end the run.
            ValueError: a judge answered more or fewer verdicts than there are samples.
        """
        once = distinct_samples(samples)
        given = self._given(once) if once.samples else self._nothing()
        by_judge = {name: tuple(given[name].verdicts[i] for i in once.index) for name in self._workers}
        conclusions = [
            conjunction([verdicts[i].outcome for verdicts in by_judge.values()]) for i in range(len(samples))
        ]
        return Verdicts(
            by_judge=by_judge,
            satisfied=torch.tensor([c is Outcome.SATISFIED for c in conclusions], dtype=torch.bool),
            decided=torch.tensor([c is not Outcome.UNDECIDED for c in conclusions], dtype=torch.bool),
            seconds={name: given[name].seconds for name in self._workers},
            cached={
                name: sum(known[i] for i in once.index)
                for name in self._workers
                if (known := given[name].cached) is not None
            },
        )

    def submit(self, samples: Sequence[Sample]) -> Future[Verdicts]:
        """The same in the background, so that a task is judged while the next rolls out."""
        return in_background("panel", partial(self.judge, tuple(samples)))

    def close(self) -> None:
        """Closes the judges that hold processes or connections, and the cache."""
        for worker in self._workers.values():
            worker.close()
        if self._cache is not None:
            self._cache.close()

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run must know of all judges of the run, also where this is the panel of some.

        `cache` are the verdicts that are kept in memory, `spent` what each judge that counts has spent.
        """
        spent = {name: worker.spent() for name, worker in self._whole._workers.items()}
        return {
            "cache": {} if self._cache is None else self._cache.state_dict(),
            "spent": {name: of for name, of in spent.items() if of},
        }

    def load_state_dict(self, states: Sequence[Mapping[str, Any]]) -> None:
        """Takes over the states of one process, or of several: their verdicts together, and the sum of what they spent.

        A judge that is no longer there is passed over.

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

    def _nothing(self) -> dict[str, Answer]:
        """Each judge's answer on no samples; the same judges say how many were cached as on some."""
        return {name: Answer([], [] if worker.keeps_verdicts else None, 0.0) for name, worker in self._workers.items()}

    def _given(self, once: DistinctSamples) -> dict[str, Answer]:
        """Each judge's answer on all distinct samples; the judges of one level work at the same time."""
        violated_by: dict[int, str] = {}
        given: dict[str, Answer] = {}
        for level in self._levels():
            asked = [i for i in range(len(once.samples)) if i not in violated_by]
            samples, digests = [once.samples[i] for i in asked], [once.digests[i] for i in asked]
            pending = {name: worker.ask(samples, digests) for name, worker in level.items()}
            for name, answer in [(name, future.result()) for name, future in pending.items()]:
                given[name] = _spread(answer, asked, violated_by, len(once.samples))
            if self._short_circuit:
                violated_by |= _first_violations({name: given[name] for name in level}, asked)
        return given

    def _levels(self) -> list[dict[str, JudgeWorker]]:
        """The judges by cost; one level where all see everything, the cheap ones first."""
        named = sorted(self._workers.items(), key=lambda item: item[1].cost)
        if not self._short_circuit:
            return [dict(named)]
        return [dict(level) for _, level in groupby(named, key=lambda item: item[1].cost)]


def conjunction(outcomes: Sequence[Outcome]) -> Outcome:
    """Kleene's AND over the judges that apply; true where none does."""
    for outcome in (Outcome.VIOLATED, Outcome.UNDECIDED):
        if outcome in outcomes:
            return outcome
    return Outcome.SATISFIED


def _spread(answer: Answer, asked: Sequence[int], violated_by: Mapping[int, str], size: int) -> Answer:
    """An answer on some samples as one on all: what was not asked says so."""
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
    """The samples that a level's judges found violated, each with the first judge that did."""
    found: dict[int, str] = {}
    for name, answer in level.items():
        for i in asked:
            if answer.verdicts[i].outcome is Outcome.VIOLATED:
                found.setdefault(i, name)
    return found


def _refuse_cap(name: str, judge: Judge, **caps: object) -> None:
    for key, setting in caps.items():
        if isinstance(setting, Mapping) and setting.get(name) is not None:
            kind = type(judge).__name__
            raise UserError(f"panel.{key}.{name}: {kind} does not count what it spends, so that it cannot be capped")
