"""A judge model from labelled rows: fine-tuned on most of them, and measured on the rest."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cgpo.data.holdout import held_out_flags
from cgpo.errors import UserError
from cgpo.judges.language_model import LanguageModelJudge
from cgpo.judges.rendering import load_template, needs_ground_truth
from cgpo.judging import judge_file
from cgpo.judging.rows import Row, read_rows
from cgpo.stages.fitting import FitSettings
from cgpo.stages.judge_model import JudgeModelTraining
from cgpo.types import Sample

HELD_OUT, VERDICTS, SUMMARY = "held_out.jsonl", "held_out_verdicts.jsonl", "training.json"
"""What lies beside the model: the rows held out, its verdicts on them, and the numbers."""


@dataclass(frozen=True)
class LabelledRows:
    """Rows of a file with their labels, split by prompt: rows of one prompt are all on the same side.

    Attributes:
        train: to be trained on.
        held_out: to be judged at the end.
        unlabelled: how many rows had no label and were left out.
    """

    train: Sequence[Row]
    held_out: Sequence[Row]
    unlabelled: int

    def load(self) -> list[tuple[Sample, bool]]:
        """The samples to train on, each with whether it is satisfied."""
        return [(row.sample, bool(row.label)) for row in self.train]


def read_labelled(path: Path, held_out: float, seed: int) -> LabelledRows:
    """Reads and splits a file of labelled rows.

    Args:
        path: JSONL of `prompt`, `response`, `metadata` and `label`.
        held_out: the share of prompts whose rows to hold out, or the number of rows; rows of one prompt stay together.
        seed: another seed, another choice.

    Raises:
        UserError: a row cannot be read, or one side has no rows, or the rows to train on have one label only.
    """
    rows = list(read_rows(path))
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
    """Fine-tunes a judge model on labelled rows and measures it on those held out.

    Attributes:
        model: folder or hub name of the language model to start from.
        template: name or path of the judge's template.
        positive: the answer that means satisfied; one token.
        negative: the answer that means violated; one token.
        fit: how.
    """

    model: str
    template: str
    positive: str
    negative: str
    fit: FitSettings

    def build(self, rows: LabelledRows, output: Path) -> Mapping[str, Any]:
        """Writes the judge model, a `transformers` folder, with the rows held out and its verdicts on them.

        Returns:
            The summary of its verdicts on the rows held out, as `python -m cgpo.judge` writes it.

        Raises:
            UserError: the output is there already or cannot be made, the model cannot be loaded, or a row lacks what
                the template asks for.
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
    """Asserts that nothing would be overwritten.

    Raises:
        UserError: something is there.
    """
    if output.exists():
        raise UserError(f"output={output} is there already, and is never overwritten; choose another")


def _check_ground_truths(rows: LabelledRows, template: str) -> None:
    """Looks at the rows held out too, which the training itself does not read."""
    if needs_ground_truth(load_template(template)):
        for row in (*rows.train, *rows.held_out):
            if row.sample.prompt.metadata.get("ground_truth") is None:
                raise UserError(f"{row.sample.prompt.key}: the template {template} needs metadata 'ground_truth'")
