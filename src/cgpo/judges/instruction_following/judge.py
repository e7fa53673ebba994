"""The judge itself, which checks every instruction of the row, strictly or loosely."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from cgpo.errors import UserError
from cgpo.judges.base import Judge
from cgpo.types import Outcome, Prompt, Sample, Verdict

Check = Callable[..., bool]
CHECKERS: dict[str, Check] = {}
"""Every known kind of instruction: its id and its check, `check(response, **kwargs) -> bool`."""

_RELATIONS: Mapping[str, Callable[[int, int], bool]] = {
    "less than": lambda count, bound: count < bound,
    "at least": lambda count, bound: count >= bound,
}
_KINDS = {"int": int, "str": str, "Sequence[str]": Sequence}


def checker(instruction_id: str) -> Callable[[Check], Check]:
    """Registers a check; its keyword-only parameters are the instruction's `kwargs`, required if without default."""

    def register(check: Check) -> Check:
        if instruction_id in CHECKERS:
            raise ValueError(f"instruction {instruction_id} is registered twice")
        CHECKERS[instruction_id] = check
        return check

    return register


def compare(count: int, relation: str, bound: int) -> bool:
    """Compares a count with a bound; `relation` is `less than` or `at least`."""
    if relation not in _RELATIONS:
        raise UserError(f"relation {relation!r} is none of {', '.join(_RELATIONS)}")
    return _RELATIONS[relation](count, bound)


def instructions(metadata: Mapping[str, Any], where: str) -> list[tuple[str, dict[str, Any]]]:
    """Reads a row's instructions with their arguments; keys whose value is `None` count as absent.

    Args:
        metadata: `instruction_id_list`, and `kwargs` aligned with it.
        where: the row's name, for the message.

    Raises:
        UserError: a kind is unknown, or arguments are missing, unknown or of the wrong type.
    """
    ids: object = metadata.get("instruction_id_list")
    kwargs: object = metadata.get("kwargs")
    if isinstance(ids, str) or not isinstance(ids, Sequence) or not isinstance(kwargs, Sequence | None):
        raise UserError(f"{where}: 'instruction_id_list' and 'kwargs' must be lists")
    names = cast("Sequence[str]", ids)
    rows = cast("Sequence[Mapping[str, object] | None]", [None] * len(names) if kwargs is None else kwargs)
    if len(names) != len(rows):
        raise UserError(f"{where}: {len(names)} instructions but {len(rows)} kwargs")
    found: list[tuple[str, dict[str, Any]]] = []
    for instruction_id, arguments in zip(names, rows, strict=True):
        given = {name: value for name, value in (arguments or {}).items() if value is not None}
        _check_arguments(instruction_id, given, where)
        found.append((instruction_id, given))
    return found


def _check_arguments(instruction_id: str, given: Mapping[str, Any], where: str) -> None:
    if instruction_id not in CHECKERS:
        raise UserError(f"{where}: unknown instruction {instruction_id!r}; known are {', '.join(sorted(CHECKERS))}")
    parameters = list(inspect.signature(CHECKERS[instruction_id]).parameters.values())[1:]
    for parameter in parameters:
        if parameter.name not in given:
            if parameter.default is not parameter.empty:
                continue
            raise UserError(f"{where}: instruction {instruction_id} lacks {parameter.name!r} in its kwargs")
        kind = _KINDS.get(str(parameter.annotation), object)
        value = given[parameter.name]
        if not isinstance(value, kind) or (kind is Sequence and isinstance(value, str)) or isinstance(value, bool):
            raise UserError(
                f"{where}: instruction {instruction_id}: {parameter.name} must be {parameter.annotation}, not {value!r}"
            )
        if parameter.name.endswith("relation") and value not in _RELATIONS:
            raise UserError(f"{where}: instruction {instruction_id}: {value!r} is none of {', '.join(_RELATIONS)}")
    unknown = set(given) - {parameter.name for parameter in parameters}
    if unknown:
        raise UserError(f"{where}: instruction {instruction_id} does not know {', '.join(sorted(unknown))}")


class InstructionFollowingJudge(Judge):
    """Is satisfied if the response follows every instruction of the row.

    The judge applies to rows with metadata `instruction_id_list` (ids such as `length_constraints:number_words`) and
    `kwargs` (their arguments, aligned). An empty response follows nothing.

    Args:
        strict: whether the response is judged as it is. Otherwise it may also follow an instruction without its first
            line, its last line, both, or its asterisks, which forgives openings such as "Sure, here it is:".
    """

    def __init__(self, strict: bool = True) -> None:
        self._strict = strict

    def judge(self, samples: Sequence[Sample]) -> list[Verdict]:
        """Returns one verdict per sample; the reason names the instructions that were not followed.

        Raises:
            UserError: a row's instructions are unknown or incomplete.
        """
        verdicts: list[Verdict] = []
        for sample in samples:
            self.judging = (sample,)
            verdicts.append(self._judge_one(sample))
        return verdicts

    def check_prompt(self, prompt: Prompt) -> None:
        """Checks that the row's instructions are known and complete, if it has any.

        Raises:
            UserError: naming the row, the instruction and what is wrong with it.
        """
        if prompt.metadata.get("instruction_id_list") is not None:
            instructions(prompt.metadata, f"row {prompt.key}")

    def followed(self, sample: Sample) -> dict[int, bool]:
        """Returns for each instruction of the row, by its index, whether the response follows it."""
        texts = [sample.response] if self._strict else _variants(sample.response)
        asked = instructions(sample.prompt.metadata, f"row {sample.prompt.key}")
        return {
            i: any(text.strip() and CHECKERS[instruction_id](text, **arguments) for text in texts)
            for i, (instruction_id, arguments) in enumerate(asked)
        }

    def _judge_one(self, sample: Sample) -> Verdict:
        ids = sample.prompt.metadata.get("instruction_id_list")
        if not ids:
            return Verdict(Outcome.NOT_APPLICABLE, "the row has no instructions")
        failed = [ids[i] for i, followed in self.followed(sample).items() if not followed]
        if failed:
            return Verdict(Outcome.VIOLATED, f"not followed: {', '.join(failed)}")
        return Verdict(Outcome.SATISFIED, f"all {len(ids)} instructions followed" if len(ids) > 1 else "followed")


def _variants(response: str) -> list[str]:
    lines = response.split("\n")
    cut = [response, *("\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1]))]
    return [*cut, *(text.replace("*", "") for text in cut)]
