"""A whole conversation in one column: HH-RLHF's transcripts, or a list of `{role, content}` messages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from cgpo.types import Message

_SPEAKER = re.compile(r"(?:^|\n\n)(Human|Assistant):")
_ROLES = {"Human": "user", "Assistant": "assistant"}
Turn = tuple[str, str]
"""A role and what it says."""


@dataclass(frozen=True)
class Conversation:
    """A conversation, split where the policy takes over.

    Attributes:
        history: the turns before the user's last one, oldest first.
        text: the user's last turn.
        response: the assistant's answer to it.
    """

    history: tuple[Message, ...]
    text: str
    response: str


def parse_conversation(value: object) -> Conversation:
    r"""Splits a conversation that ends with the assistant's answer.

    Args:
        value: `"\n\nHuman: …\n\nAssistant: …"` with any number of turns, or a list of messages. Consecutive turns of
            one speaker are joined.

    Raises:
        ValueError: it is neither, or does not end with a user's turn and the assistant's answer to it.
    """
    if isinstance(value, str):
        turns = _transcript(value)
    elif isinstance(value, list):
        turns = [_message(item) for item in cast("list[object]", value)]
    else:
        raise ValueError("expected a transcript or a list of messages")
    turns = _joined(turns)
    roles = [role for role, _ in turns]
    if roles[-2:] != ["user", "assistant"]:
        raise ValueError(f"a conversation must end with a user's turn and an answer, this one has {roles}")
    history = tuple({"role": role, "content": content} for role, content in turns[:-2])
    return Conversation(history, text=turns[-2][1], response=turns[-1][1])


def _transcript(text: str) -> list[Turn]:
    before, *parts = _SPEAKER.split(text)
    if before.strip() or not parts:
        raise ValueError("a transcript must begin with 'Human:'")
    return [(_ROLES[speaker], content.strip()) for speaker, content in zip(parts[::2], parts[1::2], strict=True)]


def _message(item: object) -> Turn:
    message: Mapping[str, Any] = {}
    if isinstance(item, Mapping):
        message = cast("Mapping[str, Any]", item)
    content, role = message.get("content"), message.get("role")
    if not isinstance(content, str):
        raise ValueError("a message needs a role and a content")
    if role not in {"system", "user", "assistant"}:
        raise ValueError(f"a message's role is system, user or assistant, not {role!r}")
    return role, content


def _joined(turns: list[Turn]) -> list[Turn]:
    """Joins consecutive turns of one speaker."""
    joined: list[Turn] = []
    for role, content in turns:
        if joined and joined[-1][0] == role:
            content = f"{joined.pop()[1]}\n\n{content}".strip()
        joined.append((role, content))
    return joined
