"""The checks of all kinds of instructions; each returns whether the response follows its instruction."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from cgpo.judges.instruction_following.judge import checker, compare
from cgpo.judges.instruction_following.text import language, sentences, tokens, words


@checker("detectable_content:number_placeholders")
def number_placeholders(response: str, *, num_placeholders: int) -> bool:
    """The response has at least so many placeholders in square brackets, such as `[address]`."""
    return sum(map(_placeholders, response.split("\n"))) >= num_placeholders


@checker("detectable_content:postscript")
def postscript(response: str, *, postscript_marker: str) -> bool:
    """The response has a postscript after the marker; `P.S.` and `P.P.S` may be spaced."""
    spaced = {"P.P.S": r"p\.\s?p\.\s?s", "P.S.": r"p\.\s?s\."}
    pattern = spaced.get(postscript_marker, re.escape(postscript_marker.lower()))
    return re.search(pattern, response.lower()) is not None


@checker("combination:repeat_prompt")
def repeat_prompt(response: str, *, prompt_to_repeat: str) -> bool:
    """The response begins with the prompt, word for word, in any case."""
    return response.strip().lower().startswith(prompt_to_repeat.strip().lower())


@checker("combination:two_responses")
def two_responses(response: str) -> bool:
    """The response consists of two different ones, divided by `******`."""
    parts = [part.strip() for part in response.split("******")]
    if not all(parts[1:-1]):
        return False
    filled = [part for part in parts if part]
    return len(filled) == 2 and filled[0] != filled[1]


@checker("startend:end_checker")
def end_checker(response: str, *, end_phrase: str) -> bool:
    """The response ends with the phrase and nothing after it; a closing quotation mark may follow."""
    return response.strip().strip('"').lower().endswith(end_phrase.strip().lower())


@checker("startend:quotation")
def quotation(response: str) -> bool:
    """The whole response is in double quotation marks."""
    text = response.strip()
    return len(text) > 1 and text.startswith('"') and text.endswith('"')


def _placeholders(line: str) -> int:
    """Counts brackets that are closed again, in one pass: a pattern would search for each bracket's end anew."""
    count, opening = 0, line.find("[")
    while opening >= 0 and (closing := line.find("]", opening)) >= 0:
        count += 1
        opening = line.find("[", closing)
    return count


_CONSTRAINED = ("My answer is yes.", "My answer is no.", "My answer is maybe.")


@checker("detectable_format:number_bullet_lists")
def number_bullet_lists(response: str, *, num_bullets: int) -> bool:
    """The response has exactly so many bullet points: lines that begin with `* ` or `-`."""
    stars = re.findall(r"^[^\S\n]*\*[^\*].*$", response, re.MULTILINE)
    dashes = re.findall(r"^[^\S\n]*-.*$", response, re.MULTILINE)
    return len(stars) + len(dashes) == num_bullets


@checker("detectable_format:number_highlighted_sections")
def number_highlighted_sections(response: str, *, num_highlights: int) -> bool:
    """The response has at least so many highlighted parts, `*such*` or `**such**`."""
    single = [match for match in re.findall(r"\*([^\n*]*)\*", response) if match.strip()]
    double = [match for match in re.findall(r"\*\*([^\n*]*)\*\*", response) if match.strip()]
    return len(single) + len(double) >= num_highlights


@checker("detectable_format:multiple_sections")
def multiple_sections(response: str, *, section_spliter: str, num_sections: int) -> bool:
    """The response has at least so many sections, each with a heading such as `SECTION 1`."""
    return len(re.findall(rf"{re.escape(section_spliter)}\s?\d+", response)) >= num_sections


@checker("detectable_format:json_format")
def json_format(response: str) -> bool:
    """The whole response is JSON, which may be in a fenced block."""
    text = re.sub(r"^```(?:json)?", "", response.strip(), count=1, flags=re.IGNORECASE).removesuffix("```").strip()
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


@checker("detectable_format:title")
def title(response: str) -> bool:
    """The response has a title in double angular brackets, `<<such>>`."""
    for line in response.split("\n"):
        opening, closing = line.find("<<"), line.rfind(">>")
        if 0 <= opening < closing - 2 and line[opening:closing].strip("<> "):
            return True
    return False


@checker("detectable_format:constrained_response")
def constrained_response(response: str, *, options: Sequence[str] = _CONSTRAINED) -> bool:
    """The response contains one of the options, by default those of IFEval."""
    return any(option in response for option in options)


@checker("keywords:existence")
def existence(response: str, *, keywords: Sequence[str]) -> bool:
    """Every keyword occurs, in any case."""
    return all(keyword.lower() in response.lower() for keyword in keywords)


@checker("keywords:frequency")
def frequency(response: str, *, keyword: str, frequency: int, relation: str) -> bool:
    """The keyword occurs less than, or at least, so many times."""
    return compare(response.lower().count(keyword.lower()), relation, frequency)


@checker("keywords:forbidden_words")
def forbidden_words(response: str, *, forbidden_words: Sequence[str]) -> bool:
    """None of the words occurs as a whole word."""
    return not any(re.search(rf"\b{re.escape(word)}\b", response, re.IGNORECASE) for word in forbidden_words)


@checker("keywords:letter_frequency")
def letter_frequency(response: str, *, letter: str, let_frequency: int, let_relation: str) -> bool:
    """The letter occurs less than, or at least, so many times, in any case."""
    return compare(response.lower().count(letter.lower()), let_relation, let_frequency)


@checker("language:response_language")
def response_language(response: str, *, language: str) -> bool:
    """The response is in the language with that ISO 639-1 code; one without letters is in every language."""
    return _is_in(response, language)


@checker("change_case:english_capital")
def english_capital(response: str) -> bool:
    """The response is English, in capital letters only."""
    return response.isupper() and _is_in(response.lower(), "en")


@checker("change_case:english_lowercase")
def english_lowercase(response: str) -> bool:
    """The response is English, in small letters only."""
    return response.islower() and _is_in(response, "en")


@checker("change_case:capital_word_frequency")
def capital_word_frequency(response: str, *, capital_frequency: int, capital_relation: str) -> bool:
    """Less than, or at least, so many words are written in capitals."""
    return compare(sum(token.isupper() for token in tokens(response)), capital_relation, capital_frequency)


@checker("punctuation:no_comma")
def no_comma(response: str) -> bool:
    """The response has no comma."""
    return "," not in response


def _is_in(response: str, code: str) -> bool:
    return language(response) in (code, None)


@checker("length_constraints:number_sentences")
def number_sentences(response: str, *, num_sentences: int, relation: str) -> bool:
    """The response has less than, or at least, so many sentences."""
    return compare(len(sentences(response)), relation, num_sentences)


@checker("length_constraints:number_words")
def number_words(response: str, *, num_words: int, relation: str) -> bool:
    """The response has less than, or at least, so many words."""
    return compare(len(words(response)), relation, num_words)


@checker("length_constraints:number_paragraphs")
def number_paragraphs(response: str, *, num_paragraphs: int) -> bool:
    """The response has exactly so many paragraphs, divided by `***`, which may also begin or end it."""
    paragraphs = [part.strip() for part in re.split(r"\s?\*\*\*\s?", response)]
    if not all(paragraphs[1:-1]):
        return False
    return sum(bool(paragraph) for paragraph in paragraphs) == num_paragraphs


@checker("length_constraints:nth_paragraph_first_word")
def nth_paragraph_first_word(response: str, *, num_paragraphs: int, nth_paragraph: int, first_word: str) -> bool:
    """The response has exactly so many paragraphs, divided by an empty line; the n-th begins with the word."""
    paragraphs = re.split(r"\n\n", response)
    filled = sum(bool(paragraph.strip()) for paragraph in paragraphs)
    if filled != num_paragraphs or not 1 <= nth_paragraph <= filled:
        return False
    begin = paragraphs[nth_paragraph - 1].split()
    if not begin:
        return False
    word = re.split(r"[.,?!'\"]", begin[0].lstrip("'\""))[0]
    return word.lower() == first_word.lower()
