import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cgpo.data.holdout import held_out_flags
from cgpo.data.source import PromptFile, fits_context
from cgpo.errors import UserError
from cgpo.types import Prompt


def written(folder: Path, *rows: Mapping[str, Any]) -> str:
    file = folder / "set" / "rows.jsonl"
    file.parent.mkdir(exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


def shout(text: str) -> str:
    return text.upper()


def sum_of_row(row: Mapping[str, Any]) -> int:
    return row["a"] + row["b"]


def test_a_row_becomes_a_prompt(tmp_path: Path) -> None:
    path = written(tmp_path, {"problem": "1+1?", "answer": "two\n#### 2", "tests": ["t1", "t2"], "level": 3})
    source = PromptFile(
        path,
        columns={"question": "problem", "tests": "tests", "answer": {"column": "answer", "extract": "gsm8k_answer"}},
        template="\n{question} {tests} \\boxed{} {\n",
        response="It is {answer}.",
        metadata={
            "answer": {"column": "answer", "extract": "gsm8k_answer"},
            "answer_form": {"constant": "boxed"},
            "hard": {"column": "level", "values": {1: False, 3: True}},
            "setup": {"column": "setup", "default": ""},
        },
    )
    splits = source.load()
    assert splits.held_out == ()
    assert splits.train == (
        Prompt(
            key="set/rows.jsonl:1",
            text="1+1? t1\nt2 \\boxed{} {",
            response="It is 2.",
            metadata={"answer": "2", "answer_form": "boxed", "hard": True, "setup": ""},
        ),
    )


def test_a_response_may_be_named_by_its_column_and_a_blank_one_is_none(tmp_path: Path) -> None:
    path = written(tmp_path, {"q": "a", "good": "yes"}, {"q": "b", "good": " "})
    prompts = PromptFile(path, {"question": "q"}, response="good").load().train
    assert [prompt.response for prompt in prompts] == ["yes", None]


def test_a_projects_own_extractor_by_its_dotted_path(tmp_path: Path) -> None:
    path = written(tmp_path, {"q": "a", "a": 1, "b": 2})
    metadata = {
        "loud": {"column": "q", "extract": f"{__name__}.shout"},
        "sum": {"extract": f"{__name__}.sum_of_row"},
    }
    assert PromptFile(path, {"question": "q"}, metadata=metadata).load().train[0].metadata == {"loud": "A", "sum": 3}


def test_where_and_limit(tmp_path: Path) -> None:
    path = written(tmp_path, *({"q": f"q{i}", "level": i % 3} for i in range(9)))
    prompts = PromptFile(path, {"question": "q"}, where={"level": [0, "2"]}, limit=4).load().train
    assert [prompt.text for prompt in prompts] == ["q0", "q2", "q3", "q5"]


def test_a_conversation_column_gives_history_text_and_response(tmp_path: Path) -> None:
    path = written(
        tmp_path, {"chosen": "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: Who are you?\n\nAssistant: A model."}
    )
    (prompt,) = PromptFile(path, conversation="chosen").load().train
    assert prompt.history == ({"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"})
    assert (prompt.text, prompt.response) == ("Who are you?", "A model.")


GOOD = {"q": "a?", "answer": "#### 1", "label": "safe"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "a?"}, "rows.jsonl line 2: no field 'q'; found: question"),
        ({**GOOD, "q": None}, "rows.jsonl line 2: field 'q' is null"),
        ({**GOOD, "q": "  \n"}, "rows.jsonl line 2: the prompt is empty; fields: q, answer, label"),
        ({**GOOD, "q": {"x": 1}}, "rows.jsonl line 2: field 'question': expected a text, found dict {'x': 1}"),
        ({**GOOD, "answer": "7"}, "rows.jsonl line 2: field 'answer': no answer after '####'; found str '7'"),
        (
            {**GOOD, "label": "odd"},
            "line 2: field 'harmful' (from label): expected one of ['safe', 'unsafe'], found str 'odd'",
        ),
        (
            {**GOOD, "label": ["safe"]},
            "line 2: field 'harmful' (from label): expected one of ['safe', 'unsafe'], found list",
        ),
    ],
)
def test_a_row_that_does_not_fit_is_named(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    source = PromptFile(
        written(tmp_path, GOOD, row),
        columns={"question": "q"},
        metadata={
            "answer": {"column": "answer", "extract": "gsm8k_answer"},
            "harmful": {"column": "label", "values": {"safe": False, "unsafe": True}},
        },
    )
    with pytest.raises(UserError) as raised:
        source.load()
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_conversation_that_does_not_fit_is_named(tmp_path: Path) -> None:
    source = PromptFile(written(tmp_path, {"chosen": "Hello there"}), conversation="chosen")
    with pytest.raises(UserError, match=r"line 1: field 'chosen': a transcript must begin with 'Human:'; found str"):
        source.load()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give either columns"),
        ({"columns": {"question": "q"}, "conversation": "c"}, "give either columns"),
        ({"columns": {"q": "q"}}, r"template '\{question\}': no column is given for \['question'\]; given: \['q'\]"),
        ({"columns": {"question": {"colum": "q"}}}, r"field 'question': unknown key \['colum'\]"),
        ({"columns": {"question": {"column": "q", "constant": 1}}}, "a constant stands alone"),
        ({"columns": {"question": {"default": 1}}}, "needs a column"),
        (
            {"columns": {"question": {"column": "q", "extract": "gsm8k"}}},
            "no extractor 'gsm8k'; there are: boxed_answer",
        ),
        (
            {"columns": {"question": {"column": "q", "extract": "no_such.f"}}},
            "extractor 'no_such.f' cannot be imported",
        ),
        ({"columns": {"question": {"column": "q", "extract": "math.pi"}}}, "extractor 'math.pi' is not a function"),
        ({"columns": {"question": "q"}, "limit": 0}, "limit must be at least 1"),
        ({"columns": {"question": "q"}, "holdout": 1.5}, "holdout: expected a share below 1 or a whole number"),
        ({"columns": {"question": "q"}, "holdout": -1}, "holdout: expected a share"),
        ({"columns": {"question": "q"}, "holdout": True}, "holdout: expected a share"),
    ],
)
def test_a_mapping_that_contradicts_itself_fails_at_once(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        PromptFile("rows.jsonl", **options)


def test_nothing_left_to_train_on(tmp_path: Path) -> None:
    path = written(tmp_path, {"q": "a"}, {"q": "b"})
    with pytest.raises(UserError, match=r"no prompts to train on \(2 rows read, 2 held out\)"):
        PromptFile(path, {"question": "q"}, holdout=5).load()


def test_held_out_prompts_are_the_same_in_every_run_and_hardly_depend_on_what_else_is_in_the_file(
    tmp_path: Path,
) -> None:
    rows = [{"q": f"question {i}"} for i in range(400)]
    first = PromptFile(written(tmp_path, *rows), {"question": "q"}, holdout=0.25).load()
    assert (len(first.held_out), len(first.train)) == (100, 300)
    assert [prompt.text for prompt in first.held_out[:3]] == ["question 4", "question 8", "question 13"]
    more = PromptFile(written(tmp_path, *rows, {"q": "one more"}), {"question": "q"}, holdout=0.25).load()
    assert len({p.text for p in more.held_out} ^ {p.text for p in first.held_out}) <= 2
    other = PromptFile(written(tmp_path, *rows), {"question": "q"}, holdout=0.25, seed=1).load()
    assert other.held_out != first.held_out


@pytest.mark.parametrize(
    ("rows", "share", "count"), [(60, 0.1, 6), (60, 0.01, 1), (3, 0.1, 1), (3, 0.99, 2), (1, 0.1, 0)]
)
def test_a_share_is_exact_and_leaves_something_on_both_sides(rows: int, share: float, count: int) -> None:
    for seed in range(20):
        flags = held_out_flags([Prompt(str(i), f"question {i}") for i in range(rows)], share, seed)
        assert sum(flags) == count


def test_a_number_of_held_out_prompts(tmp_path: Path) -> None:
    path = written(tmp_path, *({"q": f"question {i}"} for i in range(50)))
    assert len(PromptFile(path, {"question": "q"}, holdout=7).load().held_out) == 7


def test_two_rows_that_say_the_same_fall_on_the_same_side(tmp_path: Path) -> None:
    path = written(tmp_path, *({"q": f"question {i % 20}"} for i in range(40)))
    for holdout in (0.3, 5):
        splits = PromptFile(path, {"question": "q"}, holdout=holdout).load()
        assert not {prompt.text for prompt in splits.train} & {prompt.text for prompt in splits.held_out}
        assert splits.held_out


def test_prompts_too_long_for_the_context_are_left_out_and_counted() -> None:
    prompts = tuple(Prompt(f"rows:{i}", "x" * length) for i, length in enumerate((3, 9, 4, 5)))
    kept, left_out = fits_context(prompts, lambda prompt: range(len(prompt.text)), limit=4)
    assert ([prompt.key for prompt in kept], left_out) == (["rows:0", "rows:2"], 2)
