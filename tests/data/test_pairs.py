import json
from pathlib import Path

import pytest

from cgpo.data.pairs import Pair, PairFile
from cgpo.errors import UserError
from cgpo.types import Prompt


def written(folder: Path, *rows: dict[str, object]) -> str:
    file = folder / "set" / "pairs.jsonl"
    file.parent.mkdir()
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


def test_pairs_of_responses(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        {"prompt": "a?", "chosen": "good", "rejected": ""},
        {"prompt": "b?", "chosen": "same", "rejected": "same"},
    )
    splits = PairFile(path, columns={"question": "prompt"}).load()
    assert splits.train == (Pair(Prompt("set/pairs.jsonl:1", "a?", response="good"), "good", ""),)
    assert splits.held_out == ()
    assert splits.left_out == (f"{path} line 2: both responses are the same",)


def test_pairs_of_conversations(tmp_path: Path) -> None:
    start = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: Tea?\n\nAssistant:"
    path = written(
        tmp_path,
        {"chosen": f"{start} Yes.", "rejected": f"{start} No."},
        {"chosen": f"{start} Yes.", "rejected": "\n\nHuman: Coffee?\n\nAssistant: No."},
    )
    splits = PairFile(path, conversation=True).load()
    (pair,) = splits.train
    assert (pair.chosen, pair.rejected, pair.prompt.text, len(pair.prompt.history)) == ("Yes.", "No.", "Tea?", 2)
    assert splits.left_out == (f"{path} line 2: the two conversations differ before their last answer",)


def test_two_pairs_with_one_prompt_are_on_one_side(tmp_path: Path) -> None:
    rows = ({"prompt": f"{i % 15}?", "chosen": f"{i}", "rejected": "x"} for i in range(30))
    splits = PairFile(written(tmp_path, *rows), columns={"question": "prompt"}, holdout=0.4).load()
    assert len(splits.train) + len(splits.held_out) == 30
    assert not {pair.prompt.text for pair in splits.train} & {pair.prompt.text for pair in splits.held_out}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "a?", "chosen": "x"}, "line 1: no field 'rejected'; found: prompt, chosen"),
        ({"prompt": "a?", "chosen": "x", "rejected": 1}, "line 1: field 'rejected': expected a text, found int 1"),
        ({"prompt": "a?", "chosen": "x", "rejected": "x"}, r"no pairs to train on \(0 read, 1 left out\)"),
    ],
)
def test_a_row_that_does_not_fit_is_named(tmp_path: Path, row: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        PairFile(written(tmp_path, row), columns={"question": "prompt"}).load()
