"""The math judge: the final answer, in the form that the prompt asked for, against the row's (section 4.1.4)."""

from __future__ import annotations

from collections.abc import Sequence

from cgpo.errors import UserError
from cgpo.judges.answers import FORMS, extract
from cgpo.judges.plain import clean, same
from cgpo.judges.symbolic import Symbolic
from cgpo.types import Outcome, Prompt, Sample, Verdict

_LONGEST_ANSWER = 1000


class MathJudge:
    r"""Satisfied where the response's final answer, in the required form, equals the row's.

    Applies to rows with metadata `answer` (a text or a number; a whole solution with its answer in a known form will
    do) and without `unit_tests`. The form is the row's `answer_form`, else the judge's: `final_answer`
    (`The final answer is X.`), `boxed` (`\boxed{X}`), `gsm8k` (`#### X`) or `answer_line` (`A: X`). A right answer in
    another form is a violation, on purpose. Where nobody names a form, the first known one in the response counts.

    Plain numbers, letters and words are compared at once, mathematics in a process that is killed at its time limit:
    the sample is then undecided.

    Args:
        form: the form that prompts ask for where their row names none.
        timeout: seconds for a mathematical comparison.
        memory_mb: memory for it.

    Raises:
        UserError: an unknown form.
    """

    def __init__(self, form: str | None = None, timeout: float = 3.0, memory_mb: int = 2048) -> None:
        self._form = _known(form, "math judge")
        self._symbolic = Symbolic(timeout, memory_mb)

    def judge(self, samples: Sequence[Sample]) -> list[Verdict]:
        """One verdict a sample; undecided where a mathematical comparison fails or takes too long."""
        return [self._judge_one(sample) for sample in samples]

    def check_prompt(self, prompt: Prompt) -> None:
        """Asserts that the row's answer and its form can be read, if it has an answer.

        Raises:
            UserError: naming the row.
        """
        if _applies(prompt):
            _truth(prompt)
            _form_of(prompt)

    def close(self) -> None:
        """Ends the process of the mathematical comparison."""
        self._symbolic.close()

    def _judge_one(self, sample: Sample) -> Verdict:
        if not _applies(sample.prompt):
            return Verdict(Outcome.NOT_APPLICABLE, "the row has no answer")
        truth = _truth(sample.prompt)
        form = _form_of(sample.prompt) or self._form
        answer = extract(sample.response, form)
        if answer is None:
            return Verdict(Outcome.VIOLATED, f"no final answer in the form {form}" if form else "no final answer")
        if len(answer) > _LONGEST_ANSWER:
            return Verdict(Outcome.VIOLATED, f"the final answer has {len(answer)} characters")
        try:
            equal = same(truth, answer)
            if equal is None:
                equal = self._symbolic.same(clean(truth), clean(answer))
        except (TimeoutError, RuntimeError) as error:
            return Verdict(Outcome.UNDECIDED, f"answer {answer}, expected {truth}: {error}")
        if equal:
            return Verdict(Outcome.SATISFIED, f"answer {answer}, expected {truth}")
        return Verdict(Outcome.VIOLATED, f"answer {answer}, expected {truth}")


def _applies(prompt: Prompt) -> bool:
    return prompt.metadata.get("answer") is not None and not prompt.metadata.get("unit_tests")


def _form_of(prompt: Prompt) -> str | None:
    return _known(prompt.metadata.get("answer_form"), f"row {prompt.key}")


def _known(form: str | None, where: str) -> str | None:
    if form is not None and form not in FORMS:
        raise UserError(f"{where}: answer form {form!r} is none of {', '.join(FORMS)}")
    return form


def _truth(prompt: Prompt) -> str:
    """The row's answer: a whole solution is reduced to the answer that it ends with."""
    answer = prompt.metadata["answer"]
    if isinstance(answer, bool) or not isinstance(answer, str | int | float):
        raise UserError(f"row {prompt.key}: metadata 'answer' must be a text or a number, not {answer!r}")
    text = str(answer).strip()
    return extract(text, None) or text
