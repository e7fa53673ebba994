"""Judge models: fine-tuning on labelled responses, and measuring on rows that were held out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from cgpo.bounds import ModelPath
from cgpo.data.holdout import held_out_flags
from cgpo.errors import UserError
from cgpo.judge_files import judge_file
from cgpo.judge_files.rows import ResponseRow, read_responses
from cgpo.judges.language_model.judge import LanguageModelJudge
from cgpo.judges.language_model.question import Question
from cgpo.judges.language_model.rendering import answer_token, load_template, needs_ground_truth, render
from cgpo.policy.causal import load_policy
from cgpo.stages.fitting import FitSettings, fit
from cgpo.tensors import pad_rows
from cgpo.types import Sample

LabelledRow = tuple[Sequence[int], int]
"""The tokens of a judge's question, and the index of the right answer."""


class LabelledSamples(Protocol):
    """A source of labelled responses."""

    def load(self) -> Sequence[tuple[Sample, bool]]:
        """Loads samples, each with whether the judge's constraint is satisfied."""
        ...


@dataclass(frozen=True)
class JudgeModelTraining:
    """Trains only the answer token: the judge reads the softmax over the two answers (section 4.1.4).

    Attributes:
        policy: folder or hub id of the language model to start from.
        template: the name or path of the judge's template.
        positive: the answer that means satisfied, one token.
        negative: the answer that means violated, one token.
        samples: the labelled responses.
        fit: how the model is fitted.
    """

    policy: ModelPath
    template: str
    positive: str
    negative: str
    samples: LabelledSamples
    fit: FitSettings

    def build(self, folder: Path) -> None:
        """Writes the judge model as a `transformers` folder, together with the question that it was trained on."""
        policy = load_policy(self.policy)
        template = load_template(self.template)
        answers = [answer_token(word, template, policy.tokenizer) for word in (self.negative, self.positive)]
        if answers[0] == answers[1]:
            raise UserError(f"judge model: the answers {self.positive!r} and {self.negative!r} are the same token")
        limit = policy.context_length - 1
        examples = [
            (render(template, sample, policy.tokenizer, limit), int(satisfied))
            for sample, satisfied in self.samples.load()
        ]
        loss = partial(answer_loss, answers=answers, pad_id=policy.pad_id)
        fit(policy.model, examples, loss, self.fit, f"judge model for {self.template}")
        policy.save(folder)
        Question(template, self.positive, self.negative, self.template).save(folder)


def answer_loss(model: nn.Module, batch: Sequence[LabelledRow], answers: Sequence[int], pad_id: int) -> Tensor:
    """Computes the mean cross-entropy of the right answer among the two answers, at the answer position."""
    device = next(model.parameters()).device
    tokens, mask = pad_rows([row for row, _ in batch], pad_id, device)
    output: Any = model(input_ids=tokens, use_cache=False)
    last = output.logits[torch.arange(len(batch), device=device), mask.sum(-1) - 1]
    labels = torch.tensor([label for _, label in batch], device=device)
    return cross_entropy(last[:, list(answers)].float(), labels)


HELD_OUT, VERDICTS, SUMMARY = "held_out.jsonl", "held_out_verdicts.jsonl", "training.json"
"""The files beside the model: the rows held out, its verdicts on them, and the numbers."""


@dataclass(frozen=True)
class LabelledRows:
    """Labelled rows of a file, split by prompt: rows of one prompt are all on the same side.

    Attributes:
        train: the rows to train on.
        held_out: the rows to judge at the end.
        unlabelled: the number of rows without a label, which were left out.
    """

    train: Sequence[ResponseRow]
    held_out: Sequence[ResponseRow]
    unlabelled: int

    def load(self) -> list[tuple[Sample, bool]]:
        """Returns the samples to train on, each with whether it is satisfied."""
        return [(row.sample, bool(row.label)) for row in self.train]


def read_labelled(path: Path, held_out: float, seed: int) -> LabelledRows:
    """Reads and splits a file of labelled rows.

    Args:
        path: a JSONL file with `prompt`, `response`, `metadata` and `label`.
        held_out: the share or number of rows to hold out; rows of one prompt stay together.
        seed: another seed makes another choice.

    Raises:
        UserError: a row cannot be read, one side has no rows, or all rows to train on have the same label.
    """
    rows = list(read_responses(path))
    labelled = [row for row in rows if row.label is not None]
    if not labelled:
        raise UserError(f"{path}: no row has a label (true = satisfied, false = violated)")
    flags = held_out_flags([row.sample.prompt for row in labelled], held_out, seed)
    sides = {side: [row for row, out in zip(labelled, flags, strict=True) if out is side] for side in (False, True)}
    for side, what in ((False, "train on"), (True, "hold out")):
        if not sides[side]:
            raise UserError(
                f"held_out={held_out}: no rows are left to {what}; rows of one prompt stay together, and {path} has "
                f"{len({row.sample.prompt.text for row in labelled})} prompts with a label"
            )
    if len({row.label for row in sides[False]}) == 1:
        raise UserError(f"{path}: all rows to train on have the label {str(sides[False][0].label).lower()}")
    return LabelledRows(sides[False], sides[True], len(rows) - len(labelled))


@dataclass(frozen=True)
class LabelledJudge:
    """Fine-tunes a judge model on labelled rows and measures it on the rows held out.

    Attributes:
        model: folder or hub id of the language model to start from.
        template: the name or path of the judge's template.
        positive: the answer that means satisfied, one token.
        negative: the answer that means violated, one token.
        fit: how the model is fitted.
    """

    model: str
    template: str
    positive: str
    negative: str
    fit: FitSettings

    def build(self, rows: LabelledRows, output: Path) -> Mapping[str, Any]:
        """Writes the judge model as a `transformers` folder, with the rows held out and its verdicts on them.

        Args:
            rows: the labelled rows.
            output: the folder to make.

        Returns:
            The summary of its verdicts on the rows held out, as `cgpo judge` writes it.

        Raises:
            UserError: the output exists or cannot be made, the model cannot be loaded, or a row lacks what the
                template needs.
        """
        check_free(output)
        _check_ground_truths(rows, self.template)
        unfinished = output.with_name(f"{output.name}.unfinished")
        try:
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(parents=True)
        except OSError as error:
            raise UserError(f"output={output}: cannot be made: {error.strerror}") from error
        try:
            question = (self.template, self.positive, self.negative)
            JudgeModelTraining(self.model, *question, rows, self.fit).build(unfinished)
            summary = self._measure(rows, unfinished)
            unfinished.rename(output)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        return summary

    def _measure(self, rows: LabelledRows, folder: Path) -> Mapping[str, Any]:
        judge = LanguageModelJudge(self.template, self.positive, self.negative, model=str(folder))
        lines = b"".join(row.line + b"\n" for row in rows.held_out)
        (folder / HELD_OUT).write_bytes(lines)
        judges = {Path(self.template).stem: judge}
        summary = judge_file(folder / HELD_OUT, folder / VERDICTS, judges, settings={"template": self.template})
        satisfied = sum(bool(row.label) for row in rows.held_out)
        counts = {"trained_on": len(rows.train), "held_out": len(rows.held_out), "unlabelled": rows.unlabelled}
        majority = max(satisfied, len(rows.held_out) - satisfied) / len(rows.held_out)
        facts = {"model": self.model, **counts, "majority": majority, "judges": summary["judges"]}
        (folder / SUMMARY).write_text(json.dumps(facts, indent=2) + "\n")
        return {**summary, **facts}


def check_free(output: Path) -> None:
    """Checks that nothing would be overwritten.

    Raises:
        UserError: the output exists.
    """
    if output.exists():
        raise UserError(f"output={output} is there already, and is never overwritten; choose another")


def _check_ground_truths(rows: LabelledRows, template: str) -> None:
    """Checks all rows, also those that training does not read, for a ground truth if the template needs one."""
    if needs_ground_truth(load_template(template)):
        for row in (*rows.train, *rows.held_out):
            if row.sample.prompt.metadata.get("ground_truth") is None:
                raise UserError(f"{row.sample.prompt.key}: the template {template} needs metadata 'ground_truth'")
