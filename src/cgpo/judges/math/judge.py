"""The judge of mathematics, which compares the response's final answer with the row's (section 4.1.4)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

from annotated_types import Ge, Gt

from cgpo.bounds import Unit, check_arguments
from cgpo.errors import UserError
from cgpo.judges.base import Judge
from cgpo.judges.math.answer_equality import clean, same
from cgpo.judges.math.symbolic import Symbolic
from cgpo.types import Outcome, Prompt, Sample, Verdict

_FINAL = re.compile(r"\bfinal answer is\b:?+[ \t]*+(?=\S)", re.IGNORECASE)
_HASHES = re.compile(r"^[ \t]*####[ \t]*(?P<answer>\S[^\n]*)", re.MULTILINE)
_LINE = re.compile(r"^[ \t]*A:[ \t]*(?P<answer>\S[^\n]*)", re.MULTILINE)
_BOXED = re.compile(r"\\f?boxed\s*\{")
_BRACE = re.compile(r"[{}]")


def final_answer(response: str) -> str | None:
    r"""Finds the last sentence of the form `The final answer is X.`; its full stop does not belong to the answer."""
    start = max((match.end() for match in _FINAL.finditer(response)), default=None)
    if start is None:
        return None
    end = response.find("\n", start)
    return _sentence(response[start : len(response) if end < 0 else end].strip())


def boxed(response: str) -> str | None:
    r"""Finds the last `\boxed{X}` whose braces match."""
    openings = {match.end() for match in _BOXED.finditer(response)}
    open_braces: list[int] = []
    last, answer = -1, None
    for brace in _BRACE.finditer(response) if openings else ():
        if brace[0] == "{":
            open_braces.append(brace.end())
        elif open_braces:
            start = open_braces.pop()
            if start in openings and start > last:
                last, answer = start, response[start : brace.start()].strip()
    return answer or None


def gsm8k(response: str) -> str | None:
    """Finds the last line of the form `#### X`."""
    return _last(_HASHES, response)


def answer_line(response: str) -> str | None:
    """Finds the last line of the form `A: X`."""
    return _last(_LINE, response)


FORMS: Mapping[str, Callable[[str], str | None]] = {
    "boxed": boxed,
    "final_answer": final_answer,
    "gsm8k": gsm8k,
    "answer_line": answer_line,
}
"""Every known form, in the order in which they are tried if a prompt names none."""


def extract(response: str, form: str | None) -> str | None:
    """Finds the final answer in the named form, or in the first known form that the response contains."""
    for name in FORMS if form is None else (form,):
        answer = FORMS[name](response)
        if answer is not None:
            return answer
    return None


def _last(pattern: re.Pattern[str], response: str) -> str | None:
    answer = None
    for match in pattern.finditer(response):
        answer = match["answer"].strip()
    return answer


def _sentence(text: str) -> str | None:
    """Cuts off what follows a sentence on its line: at a full stop before a space, outside of `$…$`."""
    inside = False
    for i, character in enumerate(text):
        if character == "$" and text[i - 1 : i] != "\\":
            inside = not inside
        if character == "." and not inside and (i + 1 == len(text) or text[i + 1].isspace()):
            return text[:i].strip() or None
    return text


_LONGEST_ANSWER = 1000


class MathJudge(Judge):
    r"""Is satisfied if the response's final answer, in the required form, equals the row's.

    The judge applies to rows with metadata `answer` (a text or a number, or a whole solution whose answer has a known
    form) and without `unit_tests`. The form is the row's `answer_form`, or else the judge's: `final_answer`
    (`The final answer is X.`), `boxed` (`\boxed{X}`), `gsm8k` (`#### X`) or `answer_line` (`A: X`). A right answer in
    another form is a violation, on purpose. If no form is named, the first known one in the response counts, in the
    order boxed, final_answer, gsm8k, answer_line.

    Two answers are equal as `cgpo.judges.math.answer_equality.same` says (thousands separators, currencies, per cent,
    units, choice letters), else as math-verify says. A rounded decimal counts as an exact answer only if the row says
    so: `answer_decimals: 2` accepts `0.33` for `1/3` and `1.41` for `\sqrt{2}`, since they have two digits at least.

    Numbers, letters and words are compared directly, mathematics in a process that is killed at its limits of time and
    memory; the sample is then undecided.

    Args:
        form: the form that prompts ask for if their row names none.
        lenient: whether an answer in another known form counts if the response has none in the required form.
        decimals: the value of `answer_decimals` if the row names none.
        timeout: the seconds that a mathematical comparison may take.
        memory_mb: the memory that it may use.

    Raises:
        UserError: a form is unknown, or an argument is out of range.
    """

    def __init__(
        self,
        form: str | None = None,
        lenient: bool = False,
        decimals: Annotated[int, Ge(1), Unit("digits")] | None = None,
        timeout: Annotated[float, Gt(0), Unit("seconds")] = 3.0,
        memory_mb: Annotated[int, Ge(256), Unit("MB")] = 2048,
    ) -> None:
        check_arguments(MathJudge, locals())
        self._form = _known(form, "math judge")
        self._lenient = lenient
        self._decimals = _digits(decimals, "math judge: decimals")
        self._symbolic = Symbolic(timeout, memory_mb)

    def judge(self, samples: Sequence[Sample]) -> list[Verdict]:
        """Returns one verdict per sample, undecided if a mathematical comparison fails or takes too long."""
        verdicts: list[Verdict] = []
        for sample in samples:
            self.judging = (sample,)
            verdicts.append(self._judge_one(sample))
        return verdicts

    def check_prompt(self, prompt: Prompt) -> None:
        """Checks that the row's answer, its form and its decimals can be read, if it has an answer.

        Raises:
            UserError: naming the row.
        """
        if _applies(prompt):
            _truth(prompt)
            _form_of(prompt)
            _decimals_of(prompt)

    def close(self) -> None:
        """Ends the process that compares expressions."""
        self._symbolic.close()

    def _judge_one(self, sample: Sample) -> Verdict:
        if not _applies(sample.prompt):
            return Verdict(Outcome.NOT_APPLICABLE, "the row has no answer")
        truth = _truth(sample.prompt)
        form = _form_of(sample.prompt) or self._form
        answer = extract(sample.response, form)
        if answer is None and self._lenient:
            answer = extract(sample.response, None)
        if answer is None:
            asked = f" in the form {form}" if form and not self._lenient else ""
            return Verdict(Outcome.VIOLATED, f"no final answer{asked}")
        if len(answer) > _LONGEST_ANSWER:
            return Verdict(Outcome.VIOLATED, f"the final answer has {len(answer)} characters")
        decimals = _decimals_of(sample.prompt) or self._decimals
        try:
            equal = same(truth, answer, decimals)
            if equal is None:
                equal = self._symbolic.same(clean(truth), clean(answer), decimals)
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


def _decimals_of(prompt: Prompt) -> int | None:
    return _digits(prompt.metadata.get("answer_decimals"), f"row {prompt.key}: metadata 'answer_decimals'")


def _digits(number: object, where: str) -> int | None:
    if number is None or (isinstance(number, int) and not isinstance(number, bool) and number > 0):
        return number
    raise UserError(f"{where} must be a number of digits, 1 or more, not {number!r}")


def _truth(prompt: Prompt) -> str:
    """Returns the row's answer, reducing a whole solution to the answer that it ends with."""
    answer = prompt.metadata["answer"]
    if isinstance(answer, bool) or not isinstance(answer, str | int | float):
        raise UserError(f"row {prompt.key}: metadata 'answer' must be a text or a number, not {answer!r}")
    text = str(answer).strip()
    return extract(text, None) or text
