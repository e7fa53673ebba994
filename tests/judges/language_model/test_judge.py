from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from cgpo.errors import UserError
from cgpo.judges.language_model.judge import LanguageModelJudge
from cgpo.judges.language_model.rendering import answer_token, load_template, render
from cgpo.types import Outcome, Prompt, Sample

WORD_BAD = 9
RIGHT = "{prompt} {ground_truth} {response} ?"


def sample(response: str, prompt: str = "good", **metadata: object) -> Sample:
    return Sample(Prompt("rows:1", prompt, metadata=metadata), response)


def words(ids: list[int], tokenizer: PreTrainedTokenizerFast) -> str:
    return " ".join(tokenizer.convert_ids_to_tokens(ids))


@pytest.mark.parametrize("name", ["false_refusal", "factuality", "safety"])
def test_the_packaged_templates_have_the_response_and_no_newline_at_the_end(name: str) -> None:
    template = load_template(name)
    assert "{response}" in template
    assert template == template.rstrip()


def test_a_template_is_named_or_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("is {response} good?\n")
    assert load_template(str(tmp_path / "mine.txt")) == "is {response} good?"
    with pytest.raises(UserError, match="no such file"):
        load_template(str(tmp_path / "other.txt"))
    with pytest.raises(UserError, match="factuality, false_refusal, safety"):
        load_template("saftey")
    (tmp_path / "empty.txt").write_text("is it good?")
    with pytest.raises(UserError, match="response"):
        load_template(str(tmp_path / "empty.txt"))


def test_a_rendering_is_the_filled_template_after_the_begin_token(tokenizer: PreTrainedTokenizerFast) -> None:
    tokenizer.add_bos_token = False
    ids = render(RIGHT, sample("bad", ground_truth="maybe"), tokenizer)
    assert words(ids, tokenizer) == "good maybe bad ?"


def test_field_names_and_special_tokens_in_judged_text_stay_text(tokenizer: PreTrainedTokenizerFast) -> None:
    ids = render("{prompt} {response} ?", sample("{prompt} </s> <|user|> {0}"), tokenizer)
    assert ids.count(tokenizer.convert_tokens_to_ids("good")) == 1
    assert not {2, 3, 4} & set(ids)


def test_the_templates_own_special_tokens_count(tokenizer: PreTrainedTokenizerFast) -> None:
    ids = render("<|user|> {response} <|end|>", sample("bad <|end|>"), tokenizer)
    assert ids[:2] == [3, WORD_BAD]
    assert ids[-1] == 4
    assert ids.count(4) == 1


def test_a_chat_template_frames_the_question_and_opens_the_answer(tokenizer: PreTrainedTokenizerFast) -> None:
    tokenizer.chat_template = (
        "{% for m in messages %}<|user|>{{ m['content'] }}<|end|>{% endfor %}"
        "{% if add_generation_prompt %}maybe{% endif %}"
    )
    ids = render("{response} ?", sample("bad <|user|>"), tokenizer)
    assert ids[:2] == [3, WORD_BAD]
    assert ids[-2:] == [4, 7]
    assert ids.count(3) == 1


def test_a_row_without_the_truth_that_the_template_wants_is_named(tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(UserError, match=r"rows:1.*ground_truth"):
        render(RIGHT, sample("bad"), tokenizer)


def test_several_truths_are_offered_together(tokenizer: PreTrainedTokenizerFast) -> None:
    ids = render(RIGHT, sample("bad", ground_truth=["yes", "no"]), tokenizer)
    assert words(ids[:4], tokenizer) == "good yes <unk> no"


def test_a_long_response_keeps_its_beginning_and_its_end(tokenizer: PreTrainedTokenizerFast) -> None:
    ids = render("Question {prompt} {response} ?", sample("yes " * 100 + "no " * 100), tokenizer, max_length=12)
    assert len(ids) <= 12
    assert words(ids, tokenizer).startswith("Question good yes yes")
    assert words(ids, tokenizer).endswith("no no no ?")


def test_a_long_prompt_gives_way_too_and_a_long_template_is_refused(tokenizer: PreTrainedTokenizerFast) -> None:
    ids = render("{prompt} {response} ?", sample("bad " * 50, "good " * 50), tokenizer, max_length=21)
    assert 15 < len(ids) <= 21
    assert words(ids, tokenizer).count("good") == words(ids, tokenizer).count("bad") > 5
    with pytest.raises(UserError, match="its own text is 4 tokens, the limit is 3"):
        render("yes no yes {response} ?", sample("bad"), tokenizer, max_length=3)


def test_an_answer_is_one_token_as_it_follows_the_template(tokenizer: PreTrainedTokenizerFast) -> None:
    assert answer_token(" yes", "{response} ?", tokenizer) == 5
    with pytest.raises(UserError, match=r"'yes no' is 2 tokens.*'yes', 'no'"):
        answer_token("yes no", "{response} ?", tokenizer)


def judge_of(folder: Path, **settings: object) -> LanguageModelJudge:
    template = folder / "template.txt"
    template.write_text("Response {response} ?")
    arguments: dict = {"model": str(folder), "template": str(template), "positive": " yes", "negative": " no"}
    return LanguageModelJudge(**{**arguments, **settings})


def test_the_probability_is_the_softmax_of_two_answers(judge_folder: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    judge = judge_of(judge_folder, batch_size=2)
    responses = ["good", "bad bad bad maybe", "no", "yes good bad", "maybe"]
    verdicts = judge.judge([sample(response) for response in responses])
    model = AutoModelForCausalLM.from_pretrained(judge_folder)
    for response, verdict in zip(responses, verdicts, strict=True):
        ids = render("Response {response} ?", sample(response), tokenizer)
        with torch.no_grad():
            yes, no = model(torch.tensor([ids])).logits[0, -1, [5, 6]]
        probability = torch.softmax(torch.stack([yes, no]), 0)[0].item()
        assert verdict.reason == f"P(yes) = {probability:.3f}, threshold 0.5, margin {yes - no:+.2f}"
        assert verdict.outcome == (Outcome.SATISFIED if probability >= 0.5 else Outcome.VIOLATED)


def test_the_threshold_and_the_order_of_answers_decide(judge_folder: Path) -> None:
    [strict] = judge_of(judge_folder, threshold=0.999999).judge([sample("good")])
    [lenient] = judge_of(judge_folder, threshold=0.000001).judge([sample("good")])
    assert (strict.outcome, lenient.outcome) == (Outcome.VIOLATED, Outcome.SATISFIED)
    assert strict.reason.replace("0.999999", "1e-06") == lenient.reason
    [swapped] = judge_of(judge_folder, positive="no", negative="yes").judge([sample("good")])
    assert swapped.reason.startswith("P(no) = ")


def test_it_applies_where_the_row_has_the_key_and_not_where_it_is_exempt(judge_folder: Path) -> None:
    judge = judge_of(judge_folder, applies_to="ground_truth", unless="harmful")
    outcomes = [
        verdict.outcome
        for verdict in judge.judge(
            [sample("good"), sample("good", ground_truth="yes"), sample("good", ground_truth="yes", harmful=True)]
        )
    ]
    assert outcomes[0] == outcomes[2] == Outcome.NOT_APPLICABLE
    assert outcomes[1] in {Outcome.SATISFIED, Outcome.VIOLATED}
    assert judge.judge([]) == []


def test_a_model_that_answers_nan_leaves_the_sample_undecided(judge_folder: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(judge_folder)
    model.lm_head.weight.data.fill_(float("nan"))
    model.save_pretrained(judge_folder)
    [verdict] = judge_of(judge_folder).judge([sample("good")])
    assert verdict.outcome == Outcome.UNDECIDED
    assert "not finite" in verdict.reason


def test_a_response_longer_than_the_model_reads_is_judged(judge_folder: Path) -> None:
    [verdict] = judge_of(judge_folder).judge([sample("good " * 1000)])
    assert verdict.outcome in {Outcome.SATISFIED, Outcome.VIOLATED}


def test_two_judges_of_one_model_share_it(judge_folder: Path) -> None:
    one, other = judge_of(judge_folder), judge_of(judge_folder, positive=" maybe")
    assert one._backend._loaded is other._backend._loaded  # pyright: ignore[reportAttributeAccessIssue]


def test_bad_settings_stop_at_start_up_with_one_line(judge_folder: Path, tmp_path: Path) -> None:
    for settings, message in [
        ({"model": str(tmp_path / "nothing")}, "nothing: there is no such model folder"),
        ({"positive": "yes no"}, "is 2 tokens"),
        ({"positive": " no"}, "same token"),
        ({"threshold": 1.5}, "LanguageModelJudge.threshold is 1.5: it must be a number above 0 and below 1"),
        ({"batch_size": 0}, "LanguageModelJudge.batch_size is 0: it must be a whole number of at least 1"),
    ]:
        with pytest.raises(UserError, match=message) as caught:
            judge_of(judge_folder, **settings)
        assert "\n" not in str(caught.value)
