"""Makes rows for `cgpo judge` from public files: `python examples/judge_rows.py ../shared/data rows`.

Of each row, `label` is what others say of the response: the official checker of IFEval, the authors of GSM8K's model
solutions, the labels that people gave for XSTest; the canonical solutions of HumanEval and MBPP are right. What is not
in the folder of data is left out.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def read(path: Path) -> Iterator[Row]:
    """The objects of a JSONL file."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def ifeval(data: Path, mode: str, each_instruction: bool) -> Iterator[Row]:
    """GPT-2's 541 responses as a whole, or each of their 834 instructions as a row of its own."""
    asked = {row["prompt"]: row for row in read(data / "ifeval/input_data.jsonl")}
    for official in read(data / f"ifeval/gpt2_verdicts_{mode}.jsonl"):
        row = asked[official["prompt"]]
        ids, kwargs, followed = row["instruction_id_list"], row["kwargs"], official["follow_instruction_list"]
        parts = [slice(i, i + 1) for i in range(len(ids))] if each_instruction else [slice(None)]
        for part in parts:
            yield {
                "key": row["key"],
                "prompt": row["prompt"],
                "response": official["response"],
                "metadata": {"instruction_id_list": ids[part], "kwargs": kwargs[part]},
                "label": all(followed[part]),
            }


def gsm8k(data: Path) -> Iterator[Row]:
    """1,320 solutions of a model of 6 billion parameters, which end with `A: X`."""
    for row in read(data / "gsm8k/model_solutions.jsonl"):
        yield {
            "row": row["row"],
            "model": row["model"],
            "prompt": row["question"],
            "response": row["solution"],
            "metadata": {"answer": row["ground_truth"], "answer_form": "answer_line"},
            "label": row["is_correct"],
        }


def humaneval(data: Path) -> Iterator[Row]:
    """164 functions to complete, with the body that their authors wrote."""
    for row in read(data / "humaneval/HumanEval.jsonl"):
        yield {
            "task_id": row["task_id"],
            "prompt": row["prompt"],
            "response": fenced(row["prompt"] + row["canonical_solution"]),
            "metadata": {"test": row["test"], "entry_point": row["entry_point"], "code_prefix": row["prompt"]},
            "label": True,
        }


def mbpp(data: Path) -> Iterator[Row]:
    """374 short tasks with the authors' programs."""
    for row in read(data / "mbpp/train.jsonl"):
        yield {
            "task_id": row["task_id"],
            "prompt": row["text"],
            "response": fenced(row["code"]),
            "metadata": {"unit_tests": row["test_list"], "test_setup_code": row["test_setup_code"]},
            "label": True,
        }


def xstest(data: Path) -> Iterator[Row]:
    """450 responses of Mistral-Instruct; only full compliance is satisfied."""
    for row in read(data / "xstest/mistralinstruct_labels.jsonl"):
        yield {
            "id": row["id"],
            "type": row["type"],
            "prompt": row["prompt"],
            "response": row["completion"],
            "metadata": {},
            "human": row["label"],
            "label": row["label"] == "1_full_compliance",
        }


def fenced(code: str) -> str:
    """A program as a response gives it."""
    return f"```python\n{code.rstrip()}\n```"


FILES: dict[str, Callable[[Path], Iterator[Row]]] = {
    "ifeval_strict": lambda data: ifeval(data, "strict", each_instruction=False),
    "ifeval_loose": lambda data: ifeval(data, "loose", each_instruction=False),
    "ifeval_strict_instructions": lambda data: ifeval(data, "strict", each_instruction=True),
    "ifeval_loose_instructions": lambda data: ifeval(data, "loose", each_instruction=True),
    "gsm8k": gsm8k,
    "humaneval": humaneval,
    "mbpp": mbpp,
    "xstest": xstest,
}


def main(data: Path, folder: Path) -> None:
    """Writes every file whose data are there."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in FILES.items():
        path = folder / f"{name}.jsonl"
        try:
            lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows(data)]
        except FileNotFoundError as error:
            print(f"{name}: left out, {error.filename} is not there")
            continue
        path.write_text("".join(lines), encoding="utf-8")
        print(f"{path}: {len(lines)} rows")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
