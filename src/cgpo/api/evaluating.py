"""Comparing policies from Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge
from rich.console import Group, RenderableType
from torch import nn

from cgpo.api.calls import check_call, on_screen
from cgpo.api.models import Dtype, loaded_policy, local_path
from cgpo.api.results import Result
from cgpo.build.devices import training_device
from cgpo.build.policies import check_same_tokens
from cgpo.config.policies import derived_names
from cgpo.errors import UserError
from cgpo.evaluation.comparison import GREEDY, OPPONENT, SAMPLED, Decoding, EvaluationSettings, HeldOutTask
from cgpo.evaluation.side_by_side import SAMPLES, Candidate, compare
from cgpo.evaluation.tables import tables
from cgpo.evaluation.win_rate import GOLD, REWARD
from cgpo.files import read_json_lines
from cgpo.models.chat import ModelPromptEncoder, StrictestPromptEncoder, load_prompt_encoder
from cgpo.policy.causal import CausalPolicy
from cgpo.progress import say
from cgpo.rollout.decoding import DecodingSampler
from cgpo.run_files import Run
from cgpo.runs.folder import make_run_folder
from cgpo.tasks.expert import Expert
from cgpo.tasks.task import Bind, Scoring, Task, as_reward, bind_tasks
from cgpo.training.fit import choose_threads
from cgpo.training.summary import write_summary

AnyPolicy = str | Path | CausalPolicy | Run
"""A folder, a hub id, a run, or a policy that is loaded."""
Policies = AnyPolicy | Sequence[AnyPolicy] | Mapping[str, AnyPolicy]
"""One, some, or some by name."""


class Evaluation(Result):
    """Policies side by side: estimates with intervals, by policy, task and mode, and their differences from the first.

    Args:
        content: of `evaluation.json`.
        folder: that it lies in.
    """

    def __init__(self, content: Mapping[str, Any], folder: Path) -> None:
        super().__init__(content)
        self.folder = folder

    def samples(self) -> Iterator[dict[str, Any]]:
        """The responses behind the numbers, a row each."""
        return read_json_lines(self.folder / SAMPLES)

    def view(self) -> RenderableType:
        """What a person is shown, as rich draws it."""
        return Group(*tables(self))


def evaluate(
    policies: Policies,
    tasks: Task | Sequence[Task],
    *,
    reference: AnyPolicy | None = None,
    opponent: AnyPolicy | None = None,
    folder: str | PathLike[str] | None = None,
    seed: Annotated[int, Ge(0)] = 0,
    prompts: Annotated[int, Ge(2)] = 500,
    samples: Annotated[int, Ge(0)] = 4,
    greedy: bool = True,
    pass_at: Sequence[int] | None = None,
    win_by: Sequence[str] = (REWARD,),
    measures: Mapping[str, Scoring] | None = None,
    resamples: Annotated[int, Ge(100)] = 1000,
    keep: Annotated[int, Ge(0)] | None = None,
    panel: Bind | None = None,
    dtype: Dtype = "float32",
    threads: Annotated[int, Ge(1)] | Literal["auto"] = "auto",
    progress: bool = True,
) -> Evaluation:
    """Compares policies on the held-out prompts of tasks, with bootstrap intervals of every number and difference.

    Every policy gets the same prompts and, prompt by prompt, the same random numbers; models are loaded one after the
    other. The folder gets `evaluation.json` and `samples.jsonl`.

    Example:
        ```python
        import cgpo

        found = cgpo.evaluate({"before": "artifact:sft", "after": run}, [task], reference="artifact:sft", samples=2)
        print(found)
        ```

    Args:
        policies: one, some, or a mapping from names: `transformers` folders, hub ids, runs, `artifact:NAME`, or what
            `load_policy` loaded.
        tasks: with held-out prompts.
        reference: what the KL divergence is taken from, such as the model that training began with; `None` for none.
        opponent: whose responses win rates are against; by default the reference.
        folder: of the results; by default `runs/<date>/<time>`.
        seed: of all draws and resamples.
        prompts: the most held-out prompts of each task.
        samples: sampled responses to each of them; 0 for none.
        greedy: whether the likeliest response is looked at, too.
        pass_at: each k of pass@k; by default 1 and `samples`.
        win_by: what decides a win: `reward`, `gold`, names of judges.
        measures: further numbers of a response, by name: functions from a `cgpo.Sample` to a number, or objects with
            the method `score`.
        resamples: of the bootstrap.
        keep: responses kept of each policy, task and mode; `None` for all.
        panel: makes a `cgpo.Panel` of judges by name, where its settings are to be other than the default ones.
        dtype: of the weights that are loaded.
        threads: of torch on a CPU, or `auto` to measure.
        progress: whether lines and bars are shown.

    Returns:
        The numbers, which show themselves as tables.

    Raises:
        UserError: an argument is not what it should be, or a policy reads other tokens than the reference.
    """
    check_call(evaluate, {name: value for name, value in locals().items() if name in PLAIN})
    with on_screen(progress):
        candidates = _candidates(policies, dtype)
        base = None if reference is None else _candidate("reference", reference, dtype)
        facing = base if opponent is None else _candidate("opponent", opponent, dtype)
        others = [] if base is None else [base]
        _check_readers([*others, *candidates.values()])
        readers = [c.reader for c in (*candidates.values(), *others, *([] if facing is None else [facing]))]
        experts = bind_tasks([tasks] if isinstance(tasks, Task) else tasks, StrictestPromptEncoder(readers), panel)
        criteria = list(win_by) if facing is not None else []
        held_out = [_held_out(expert, prompts, samples, greedy) for expert in experts if len(expert.held_out) > 1]
        if not held_out:
            raise UserError("evaluate.tasks: none has two held-out prompts; give a task more, Task(…, held_out=…)")
        _check_criteria(criteria, [task.expert for task in held_out])
        settings = EvaluationSettings(
            seed=seed,
            pass_at=_pass_at(pass_at, samples),
            win_by=criteria,
            resamples=resamples,
            measures={name: as_reward(f"evaluate.measures[{name!r}]", of) for name, of in (measures or {}).items()},
        )
        made = make_run_folder(None if folder is None else Path(folder))
        first = next(iter([*others, *candidates.values()])).load()
        choose_threads(threads, first, held_out[0].expert, training_device())
        from_what = None if base is None else Candidate(base.path, lambda: first)
        against = from_what if facing is base or facing is None else Candidate(facing.path, facing.load)
        written = compare(
            made,
            held_out,
            settings,
            {name: Candidate(candidate.path, candidate.load) for name, candidate in candidates.items()},
            from_what,
            against if criteria else None,
            keep,
            "cgpo.evaluate",
        )
        write_summary(made / "evaluation.json", written)
        say(f"all of it lies in {made}")
    return Evaluation(written, made)


PLAIN = frozenset(
    {"seed", "prompts", "samples", "greedy", "pass_at", "win_by", "resamples", "keep", "dtype", "threads", "progress"}
)
"""Arguments that are checked by their annotations alone."""


@dataclass(frozen=True)
class _Candidate:
    """A policy that may not be loaded yet.

    Attributes:
        key: the argument that named it.
        path: as it is recorded.
        reader: how it reads.
        load: gives it, on the device of this process.
    """

    key: str
    path: str
    reader: ModelPromptEncoder
    load: Callable[[], CausalPolicy]


def _candidates(
    policies: AnyPolicy | Sequence[AnyPolicy] | Mapping[str, AnyPolicy], dtype: str
) -> dict[str, _Candidate]:
    if isinstance(policies, Mapping):
        named = {str(name): policy for name, policy in policies.items()}
    else:
        listed = [policies] if isinstance(policies, str | Path | CausalPolicy | Run) else list(policies)
        named = dict(zip(derived_names([_path(policy) for policy in listed]), listed, strict=True)) if listed else {}
    if not named:
        raise UserError("evaluate.policies: give at least one")
    if OPPONENT in named:
        raise UserError(f"evaluate.policies: the name {OPPONENT!r} is taken by what win rates are against")
    return {name: _candidate(f"policies[{name!r}]", policy, dtype) for name, policy in named.items()}


def _candidate(key: str, policy: object, dtype: str) -> _Candidate:
    if isinstance(policy, CausalPolicy):
        reader = ModelPromptEncoder(policy.tokenizer, policy.context_length)
        return _Candidate(key, _path(policy), reader, lambda: _placed(policy))
    path = local_path(_path(policy))
    return _Candidate(key, path, load_prompt_encoder(path), lambda: _placed(loaded_policy(path, dtype)))


def _path(policy: object) -> str:
    if isinstance(policy, CausalPolicy):
        return str(policy.model.config.name_or_path) or type(policy.model).__name__
    if isinstance(policy, str | Path):
        return str(policy)
    if isinstance(policy, Run):
        return str(policy.folder)
    raise UserError(f"evaluate: {policy!r} is no policy: it must be a path, a run, or what load_policy loaded")


def _placed(policy: CausalPolicy) -> CausalPolicy:
    nn.Module.to(policy.model, training_device())
    return policy


def _check_readers(candidates: Sequence[_Candidate]) -> None:
    check_same_tokens({f"evaluate.{c.key}": c.reader for c in candidates}, f"evaluate.{candidates[0].key}")


def _held_out(expert: Expert, prompts: int, samples: int, greedy: bool) -> HeldOutTask:
    decodings: dict[str, Decoding] = {}
    if samples:
        decodings[SAMPLED] = Decoding(expert.sampler, samples)
    if greedy:
        sampler = expert.sampler
        if not isinstance(sampler, DecodingSampler):
            raise UserError(f"evaluate.greedy: the sampler of {expert.name} is no DecodingSampler; write greedy=False")
        decodings[GREEDY] = Decoding(replace(sampler, top_k=1), 1)
    if not decodings:
        raise UserError("evaluate.samples is 0 and greedy is False, so that nothing would be drawn; set one of them")
    return HeldOutTask(expert, expert.held_out[:prompts], decodings)


def _pass_at(given: Sequence[int] | None, samples: int) -> list[int]:
    wanted = ({1, samples} if samples else set[int]()) if given is None else set(given)
    for k in wanted:
        if not 1 <= k <= samples:
            raise UserError(f"evaluate.pass_at: pass@{k} needs {k} responses to a prompt, and samples is {samples}")
    return sorted(wanted)


def _check_criteria(criteria: Sequence[str], experts: Sequence[Expert]) -> None:
    for criterion in criteria:
        for expert in experts:
            if criterion == GOLD and expert.gold is None:
                raise UserError(f"evaluate.win_by: the task {expert.name} has no gold judge")
            if criterion not in (REWARD, GOLD, *expert.panel.names):
                raise UserError(f"evaluate.win_by: the task {expert.name} has no judge {criterion!r}")
