"""Instructions on the response's form: lists, sections, titles, highlights, JSON, one of three sentences."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from cgpo.judges.instruction_following.registry import checker

_CONSTRAINED = ("My answer is yes.", "My answer is no.", "My answer is maybe.")


@checker("detectable_format:number_bullet_lists")
def number_bullet_lists(response: str, *, num_bullets: int) -> bool:
    """Exactly so many bullet points: lines that begin with `* ` or `-`."""
    stars = re.findall(r"^[^\S\n]*\*[^\*].*$", response, re.MULTILINE)
    dashes = re.findall(r"^[^\S\n]*-.*$", response, re.MULTILINE)
    return len(stars) + len(dashes) == num_bullets


@checker("detectable_format:number_highlighted_sections")
def number_highlighted_sections(response: str, *, num_highlights: int) -> bool:
    """At least so many highlighted parts, `*such*` or `**such**`."""
    single = [match for match in re.findall(r"\*([^\n*]*)\*", response) if match.strip()]
    double = [match for match in re.findall(r"\*\*([^\n*]*)\*\*", response) if match.strip()]
    return len(single) + len(double) >= num_highlights


@checker("detectable_format:multiple_sections")
def multiple_sections(response: str, *, section_spliter: str, num_sections: int) -> bool:
    """At least so many sections, each with a heading such as `SECTION 1`."""
    return len(re.findall(rf"{re.escape(section_spliter)}\s?\d+", response)) >= num_sections


@checker("detectable_format:json_format")
def json_format(response: str) -> bool:
    """The whole response is JSON, which may stand in a fenced block."""
    text = re.sub(r"^```(?:json)?", "", response.strip(), count=1, flags=re.IGNORECASE).removesuffix("```").strip()
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


@checker("detectable_format:title")
def title(response: str) -> bool:
    """A title in double angular brackets, `<<such>>`."""
    for line in response.split("\n"):
        opening, closing = line.find("<<"), line.rfind(">>")
        if 0 <= opening < closing - 2 and line[opening:closing].strip("<> "):
            return True
    return False


@checker("detectable_format:constrained_response")
def constrained_response(response: str, *, options: Sequence[str] = _CONSTRAINED) -> bool:
    """One of the given responses; IFEval's are: My answer is yes. My answer is no. My answer is maybe."""
    return any(option in response for option in options)
