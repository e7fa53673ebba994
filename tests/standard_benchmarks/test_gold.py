"""A model that knows the answers scores all points by the same path on which the stories models score none."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.config.reading import read

from cgpo.build.benchmarks import build_benchmarks
from cgpo.sandbox.sandbox import Sandbox
from cgpo.standard_benchmarks.programs import programs_in_sandbox
from cgpo.standard_benchmarks.run import HarnessResults, HarnessSettings, run_harness
from cgpo.standard_benchmarks.tasks import load_tasks

lm_eval = pytest.importorskip("lm_eval", reason="needs the extra lm-eval: pip install -e '.[lm-eval]'")
from lm_eval.api.model import LM  # noqa: E402

Answer = Callable[[Mapping[str, Any]], str]


class Gold(LM):
    """Generates what it is given, and finds true choices likelier than false ones."""

    def __init__(self, answer: Answer, is_true: Callable[[Mapping[str, Any], str], bool] | None = None) -> None:
        super().__init__()
        self.answer = answer
        self.is_true = is_true

    def generate_until(self, requests: list[Any]) -> list[str]:
        return [self.answer(request.doc) for request in requests]

    def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
        assert self.is_true is not None
        return [(0.0 if self.is_true(r.doc, r.args[1].removeprefix(" ")) else -1e3, True) for r in requests]

    def loglikelihood_rolling(self, requests: list[Any]) -> list[float]:
        raise NotImplementedError


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    sandbox = Sandbox(timeout=3.0)
    yield sandbox
    sandbox.close()


@pytest.fixture
def ask(shared: Path, sandbox: Sandbox) -> Callable[..., HarnessResults]:
    """Asks a model the questions of one of our benchmarks."""

    def ask(name: str, model: LM, asking: HarnessSettings) -> HarnessResults:
        paths = [f"data_dir={shared / 'data'}", "model.path=any/model"]
        config = read(f"benchmarks={name}", *paths, command="benchmark")
        benchmarks, documents = build_benchmarks(config)
        with programs_in_sandbox(sandbox):
            return run_harness(model, load_tasks(benchmarks, documents), asking)

    return ask


def values(found: HarnessResults) -> dict[str, float]:
    return {
        f"{task}: {metric}": score["value"]
        for tasks in found.scores.values()
        for task, scores in tasks.items()
        for metric, score in scores["metrics"].items()
    }


@pytest.mark.parametrize(
    ("name", "answer", "expected"),
    [
        (
            "gsm8k",
            lambda doc: " " + doc["answer"],
            {"gsm8k: exact_match, strict-match": 1, "gsm8k: exact_match, flexible-extract": 1},
        ),
        ("math", lambda doc: f" The answer is ${doc['answer']}$.", {"hendrycks_math500: exact_match": 1}),
        ("mbpp", lambda doc: doc["code"], {"mbpp: pass_at_1": 1}),
        ("humaneval", lambda doc: doc["canonical_solution"], {"humaneval: pass@1, create_test": 1}),
    ],
)
def test_right_answers_score_one_and_others_none(
    ask: Callable[..., HarnessResults], name: str, answer: Answer, expected: dict[str, float]
) -> None:
    found = ask(name, Gold(answer), HarnessSettings(limit=40, bootstrap=0))
    assert values(found) == expected
    assert len(found.samples) == len(expected) * min(40, 5 if name == "math" else 40)
    assert set(values(ask(name, Gold(lambda _: "Once upon a time"), HarnessSettings(limit=5))).values()) == {0}


def test_choices_are_those_that_the_file_calls_true(ask: Callable[..., HarnessResults]) -> None:
    def arc(doc: Mapping[str, Any], choice: str) -> bool:
        return choice == doc["choices"]["text"][int(doc["answerKey"]) - 1]

    def truthful(doc: Mapping[str, Any], choice: str) -> bool:
        targets = doc["mc2_targets"]
        return bool(dict(zip(targets["choices"], targets["labels"], strict=True))[choice])

    asking = HarnessSettings(limit=50, bootstrap=0)
    assert values(ask("arc", Gold(str, arc), asking)) == {"arc_challenge: acc": 1, "arc_challenge: acc_norm": 1}
    expected = {"truthfulqa_mc1: acc": 1, "truthfulqa_mc2: acc": 1}
    assert values(ask("truthfulqa", Gold(str, truthful), asking)) == pytest.approx(expected)


def test_ifeval_says_of_real_responses_what_the_official_checker_says(
    ask: Callable[..., HarnessResults], shared: Path
) -> None:
    verdicts = {}
    for kind in ("strict", "loose"):
        lines = (shared / f"data/ifeval/gpt2_verdicts_{kind}.jsonl").read_text().splitlines()
        verdicts[kind] = {row["prompt"]: row for row in map(json.loads, lines)}
    lines = (shared / "data/ifeval/input_data.jsonl").read_text().splitlines()
    questions = {row["prompt"]: row for row in map(json.loads, lines)}
    found = ask("ifeval", Gold(lambda doc: verdicts["strict"][doc["prompt"]]["response"]), HarnessSettings(bootstrap=0))
    assert len(found.samples) >= 477
    # Where the instruction counts a sign that is no letter, such as '#', the checker draws a letter by lot.
    lots = {
        sample["prompt"]
        for sample in found.samples
        if any(not (k.get("letter") or "a").isalpha() for k in questions[sample["prompt"]]["kwargs"])
    }
    differing = {
        sample["prompt"]
        for sample in found.samples
        for kind in ("strict", "loose")
        if sample["metrics"][f"inst_level_{kind}_acc"] != verdicts[kind][sample["prompt"]]["follow_instruction_list"]
    }
    assert len(lots) == 2
    assert differing <= lots


def test_examples_before_a_question_are_other_rows(ask: Callable[..., HarnessResults]) -> None:
    found = ask("arc", Gold(str, lambda doc, choice: True), HarnessSettings(limit=30, num_fewshot=3, bootstrap=0))
    for sample in found.samples:
        *examples, question = sample["prompt"].split("\n\n")
        assert len(examples) == 3
        assert all(example.split("\nAnswer:")[0] != question.split("\nAnswer:")[0] for example in examples)
    (scores,) = found.scores["arc"].values()
    assert (scores["rows"], scores["rows_there"], scores["num_fewshot"]) == (30, 1119, 3)
