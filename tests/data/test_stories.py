"""The openings of stories: how many, that none is held out and trained on, and that the judge can read them."""

import subprocess
import sys

import pytest

from cgpo.data.stories import KINDS, MOST, StorySource
from cgpo.errors import UserError
from cgpo.judges.instruction_following import InstructionFollowingJudge
from cgpo.types import Outcome, Sample

ALL = pytest.mark.parametrize("kind", KINDS)
KEPT = {
    "word": "She was so happy.",
    "no_comma": "She ran home.",
    "ending": "they were friends. The end.",
    "sentences": "She ran. She fell. She cried. She got up. She smiled.",
}
BROKEN = {
    "word": "She was so glad.",
    "no_comma": "So, she ran home.",
    "ending": "they were friends.",
    "sentences": "She ran. She fell. She cried. She got up.",
}
FINGERPRINT = """
from cgpo.data.stories import KINDS, StorySource
print([StorySource(kind, 20, 5, seed=1).load() for kind in KINDS])
"""


@ALL
def test_splits_are_large_and_share_no_text(kind: str) -> None:
    splits = StorySource(kind, 600, 200).load()
    assert (len(splits.train), len(splits.held_out)) == (600, 200)
    prompts = splits.train + splits.held_out
    assert len({prompt.text for prompt in prompts}) == len({prompt.key for prompt in prompts}) == 800


@ALL
def test_the_most_prompts_are_there(kind: str) -> None:
    splits = StorySource(kind, MOST - 1, 1).load()
    assert len({prompt.text for prompt in (*splits.train, *splits.held_out)}) == MOST


@ALL
def test_the_judge_reads_the_metadata(kind: str) -> None:
    judge = InstructionFollowingJudge()
    for prompt in StorySource(kind, 20, 0).load().train:
        judge.check_prompt(prompt)
        assert prompt.metadata["kind"] == kind
        assert prompt.text.startswith(KINDS[kind].instruction)
        outcomes = [v.outcome for v in judge.judge([Sample(prompt, KEPT[kind]), Sample(prompt, BROKEN[kind])])]
        assert outcomes == [Outcome.SATISFIED, Outcome.VIOLATED]


@ALL
def test_prompts_without_the_instruction_do_not_give_the_answer_away(kind: str) -> None:
    for prompt in StorySource(kind, 100, 0).load().train:
        story = prompt.text.removeprefix(KINDS[kind].instruction)
        assert "happy" not in story
        assert "The end." not in story


def test_the_seed_decides() -> None:
    first, again, other = (StorySource("word", 50, 10, seed=seed).load() for seed in (0, 0, 1))
    assert first == again
    assert first != other


def test_a_larger_source_begins_with_the_same_prompts() -> None:
    assert StorySource("word", 60, 0).load().train[:50] == StorySource("word", 50, 0).load().train


def test_nothing_depends_on_the_hash_seed() -> None:
    runs = [
        subprocess.run(
            [sys.executable, "-c", FINGERPRINT],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert runs[0]
    assert runs[0] == runs[1]


def test_bad_arguments_are_named() -> None:
    with pytest.raises(UserError, match="no kind 'poem'; choose word, no_comma"):
        StorySource("poem")
    with pytest.raises(UserError, match="train_size"):
        StorySource("word", 0)
    with pytest.raises(UserError, match="at most 10000"):
        StorySource("word", 10_000, 1)
