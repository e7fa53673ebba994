"""The judge itself: every instruction of the row, strictly or loosely."""

from __future__ import annotations

from collections.abc import Sequence

from cgpo.judges.instruction_following.registry import CHECKERS, instructions
from cgpo.types import Outcome, Prompt, Sample, Verdict


class InstructionFollowingJudge:
    """Satisfied where the response follows every instruction of the row.

    Applies to rows with metadata `instruction_id_list` (ids such as `length_constraints:number_words`) and `kwargs`
    (their arguments, aligned). An empty response follows nothing.

    Args:
        strict: judge the response as it is. Otherwise an instruction is followed when it is followed by the response
            without its first line, its last line, both, or its asterisks: openings such as "Sure, here it is:" are
            then forgiven.
    """

    def __init__(self, strict: bool = True) -> None:
        self._strict = strict
        self.judging: Sequence[Sample] = ()

    def judge(self, samples: Sequence[Sample]) -> list[Verdict]:
        """One verdict a sample; the reason names the instructions that were not followed.

        Raises:
            UserError: a row's instructions are unknown or incomplete.
        """
        verdicts: list[Verdict] = []
        for sample in samples:
            self.judging = (sample,)
            verdicts.append(self._judge_one(sample))
        return verdicts

    def check_prompt(self, prompt: Prompt) -> None:
        """Asserts that the row's instructions are known and complete, if it has any.

        Raises:
            UserError: naming the row, the instruction and what is wrong with it.
        """
        if prompt.metadata.get("instruction_id_list") is not None:
            instructions(prompt.metadata, f"row {prompt.key}")

    def followed(self, sample: Sample) -> dict[int, bool]:
        """For each instruction of the row, by its place, whether the response follows it."""
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
