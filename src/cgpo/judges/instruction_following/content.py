"""Instructions on what the response contains: placeholders, a postscript, the prompt, its beginning and its end."""

from __future__ import annotations

import re

from cgpo.judges.instruction_following.registry import checker


@checker("detectable_content:number_placeholders")
def number_placeholders(response: str, *, num_placeholders: int) -> bool:
    """At least so many placeholders in square brackets, such as `[address]`."""
    return sum(map(_placeholders, response.split("\n"))) >= num_placeholders


@checker("detectable_content:postscript")
def postscript(response: str, *, postscript_marker: str) -> bool:
    """A postscript after the marker; `P.S.` and `P.P.S` may be spaced."""
    spaced = {"P.P.S": r"p\.\s?p\.\s?s", "P.S.": r"p\.\s?s\."}
    pattern = spaced.get(postscript_marker, re.escape(postscript_marker.lower()))
    return re.search(pattern, response.lower()) is not None


@checker("combination:repeat_prompt")
def repeat_prompt(response: str, *, prompt_to_repeat: str) -> bool:
    """The response begins with the prompt, word for word, in whatever case."""
    return response.strip().lower().startswith(prompt_to_repeat.strip().lower())


@checker("combination:two_responses")
def two_responses(response: str) -> bool:
    """Two different responses, divided by `******`."""
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
    """The whole response stands in double quotation marks."""
    text = response.strip()
    return len(text) > 1 and text.startswith('"') and text.endswith('"')


def _placeholders(line: str) -> int:
    """Brackets that are closed again, in one pass: a pattern would look for each bracket's end anew."""
    count, opening = 0, line.find("[")
    while opening >= 0 and (closing := line.find("]", opening)) >= 0:
        count += 1
        opening = line.find("[", closing)
    return count
