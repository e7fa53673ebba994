"""The judge that asks a language model for the probability of one answer against another (section 4.1.4)."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Lt

from cgpo.bounds import ModelPath, Unit, check_arguments
from cgpo.errors import UserError
from cgpo.judges.base import Cost, Judge
from cgpo.judges.language_model.in_process import InProcess
from cgpo.judges.language_model.question import Answer, Backend, Question, Said, Unanswered, Weighed
from cgpo.judges.language_model.rendering import load_template, needs_ground_truth
from cgpo.types import Outcome, Prompt, Sample, Verdict


class LanguageModelJudge(Judge):
    """Is satisfied if the model finds the positive answer at least as probable as `threshold` (section 4.1.4).

    The judges of false refusal, factuality and safety are all of this class. They differ in the template, in the two
    answers and in the prompts that they apply to. The model runs in this process, or behind an OpenAI-compatible
    endpoint.

    A model that was trained to be a judge (`cgpo train-judge`) has the template and the answers that it was trained on
    in its folder; they replace the arguments. A response that is too long for the model is shortened in its middle: its
    beginning (which contains refusals) and its end (which contains answers) are kept, see
    `cgpo.judges.language_model.rendering.render`.

    Args:
        template: the name of a template of the package (`false_refusal`, `factuality`, `safety`), the path of a `.txt`
            file, or `llama_guard` for a model of that family in this process, whose chat template shows the
            conversation and asks.
        positive: the answer that means *satisfied*, as it follows the template (`" yes"`); one token in process.
        negative: the answer that means *violated*.
        model: the folder or hub name of a `transformers` causal language model; not read if there is an endpoint.
        endpoint: the server to ask instead: `url`, `model`, and the other settings of
            `cgpo.judges.language_model.endpoint.Endpoint`.
        applies_to: a metadata key; the judge is not applicable to rows without it.
        unless: a metadata key; the judge is not applicable to rows where it is true.
        threshold: the least probability of the positive answer among the two.
        device: the device of a model in this process.
        batch_size: the most responses in a forward pass of a model in this process.
        max_length: the most tokens of a rendering for a model in this process; by default what the model can read.
        dtype: the precision of a model in this process: `auto` as stored, or `float32`, `bfloat16`, `float16`.
        quantization: how a model in this process is quantized: `None`, `int8` or `int4` (see
            `cgpo.models.quantization`).

    Raises:
        UserError: there is no model or endpoint, or a wrong one, no such template, or an answer is not one token.
    """

    def __init__(
        self,
        template: str,
        positive: str,
        negative: str,
        model: ModelPath | None = None,
        endpoint: Mapping[str, Any] | None = None,
        applies_to: str | None = None,
        unless: str | None = None,
        threshold: Annotated[float, Gt(0), Lt(1)] = 0.5,
        device: str = "cpu",
        batch_size: Annotated[int, Ge(1), Unit("responses")] = 32,
        max_length: Annotated[int, Ge(1), Unit("tokens")] | None = None,
        dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
        quantization: Literal["int8", "int4"] | None = None,
    ) -> None:
        check_arguments(LanguageModelJudge, locals())
        if endpoint is None and model is None:
            raise UserError(f"judge {template}: give it a model=FOLDER_OR_HUB_ID or an endpoint={{url:…,model:…}}")
        self.cost = Cost.MODEL if endpoint is None else Cost.ENDPOINT
        question = Question(load_template(template), positive, negative, template)
        if endpoint is not None:
            if template == "llama_guard":
                raise UserError("judge llama_guard: the chat template is the model's own, so it runs in this process")
            self._question = question
            self._backend = _endpoint(endpoint, question)
        else:
            self._question = Question.of_model(str(model)) or question
            self._backend = InProcess(str(model), self._question, device, batch_size, max_length, dtype, quantization)
            self.models = self._backend.models
        self.version = self._backend.version
        self._applies_to = applies_to
        self._unless = unless
        self._threshold = threshold

    @property
    def usage(self) -> Mapping[str, int]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The `calls` of the model so far, and the `tokens`."""
        return self._backend.usage

    def check_prompt(self, prompt: Prompt) -> None:
        """Checks that the row has what the template asks for, and, the first time, that an endpoint can be asked.

        Raises:
            UserError: the row lacks its `ground_truth`, or the endpoint's configuration is wrong.
        """
        needed = needs_ground_truth(self._question.template) and self._not_applicable(prompt) is None
        if needed and prompt.metadata.get("ground_truth") is None:
            raise UserError(f"row {prompt.key}: judge {self._question.title} needs metadata 'ground_truth'")
        self._backend.prepare()

    def judge(self, samples: Sequence[Sample]) -> list[Verdict]:
        """Returns one verdict per sample, undecided if the model gave no usable answer.

        Raises:
            UserError: a row lacks what the template asks for, the endpoint's configuration is wrong, or more of its
                answers are undecided than its configuration allows.
        """
        verdicts = {i: self._not_applicable(sample.prompt) for i, sample in enumerate(samples)}
        asked = [i for i, verdict in verdicts.items() if verdict is None]
        answers = self._backend.ask([samples[i] for i in asked])
        verdicts |= {i: self._verdict(answer) for i, answer in zip(asked, answers, strict=True)}
        return [verdict for verdict in verdicts.values() if verdict is not None]

    @property
    def judging(self) -> Sequence[Sample]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The samples that the model is being asked about now."""
        return self._backend.asking

    def interrupt(self, reason: str) -> None:
        """Cancels the requests to an endpoint that are not answered yet; a model in this process ends its batch."""
        self._backend.interrupt(reason)

    def close(self) -> None:
        """Closes connections."""
        self._backend.close()

    def _not_applicable(self, prompt: Prompt) -> Verdict | None:
        if self._applies_to is not None and prompt.metadata.get(self._applies_to) is None:
            return Verdict(Outcome.NOT_APPLICABLE, f"the row has no {self._applies_to}")
        if self._unless is not None and prompt.metadata.get(self._unless):
            return Verdict(Outcome.NOT_APPLICABLE, f"the row is marked {self._unless}")
        return None

    def _verdict(self, answer: Answer) -> Verdict:
        if isinstance(answer, Unanswered):
            return Verdict(Outcome.UNDECIDED, answer.reason)
        if isinstance(answer, Said):
            word = (self._question.positive if answer.positive else self._question.negative).strip()
            outcome = Outcome.SATISFIED if answer.positive else Outcome.VIOLATED
            return Verdict(outcome, f"answered {word}; no probability, so that the threshold did not apply")
        return self._weighed(answer)

    def _weighed(self, answer: Weighed) -> Verdict:
        """Makes a verdict of log-probabilities; one that is only a bound decides nothing beyond itself."""
        margin = answer.positive - answer.negative
        if not math.isfinite(margin):
            values = f"log-probabilities {answer.positive}, {answer.negative}"
            return Verdict(Outcome.UNDECIDED, f"the judge model's answer is not finite ({values})")
        probability = 1 / (1 + math.exp(-margin)) if margin > -700 else 0.0
        passes = probability >= self._threshold
        sign = "≥" if answer.negative_is_bound else "≤" if answer.positive_is_bound else "="
        word = self._question.positive.strip()
        reason = f"P({word}) {sign} {probability:.3f}, threshold {self._threshold:g}, margin {margin:+.2f}"
        if (passes and answer.positive_is_bound) or (not passes and answer.negative_is_bound):
            return Verdict(Outcome.UNDECIDED, f"{reason}: the server listed too few alternatives to tell")
        return Verdict(Outcome.SATISFIED if passes else Outcome.VIOLATED, reason)


def _endpoint(settings: Mapping[str, Any], question: Question) -> Backend:
    """Makes the backend of an endpoint, whose client is imported only if there is one."""
    if importlib.util.find_spec("openai") is None:
        raise UserError(f"judge {question.title}: an endpoint needs the package openai: pip install 'cgpo[endpoint]'")
    from cgpo.judges.language_model.endpoint import Endpoint, EndpointBackend

    return EndpointBackend(Endpoint.of(settings, question.title), question)
