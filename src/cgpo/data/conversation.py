"""A whole conversation in one column: HH-RLHF's transcripts, or a list of `{role, content}` messages."""

from __future__ import annotations

import re
from dataclasses import dataclass

from cgpo.types import Message

_SPEAKER = re.compile(r"(?:^|\n\n)(Human|Assistant):")
_ROLES = {"Human": "user", "Assistant": "assistant"}


@dataclass(frozen=True)
class Conversation:
    """A conversation, cut where the policy takes over.

    Attributes:
        history: the turns before the user's last, oldest first.
        text: what the user says last.
        response: the assistant's answer to it.
    """

    history: tuple[Message, ...]
    text: str
    response: str


def parse_conversation(value: object) -> Conversation:
    r"""Cuts a conversation that ends with the assistant's answer.

    Args:
        value: `"\n\nHuman: …\n\nAssistant: …"` with any number of turns, or a list of messages. Turns of one speaker
            that follow each other become one.

    Raises:
        ValueError: it is neither, or does not end with a user's turn and the assistant's answer to it.
    """
    if isinstance(value, str):
        turns = _transcript(value)
    elif isinstance(value, list):
        turns = [_message(item) for item in value]
    else:
        raise ValueError("expected a transcript or a list of messages")
    turns = _merged(turns)
    roles = [role for role, _ in turns]
    if roles[-2:] != ["user", "assistant"]:
        raise ValueError(f"a conversation must end with a user's turn and an answer, this one has {roles}")
    history = tuple({"role": role, "content": content} for role, content in turns[:-2])
    return Conversation(history, text=turns[-2][1], response=turns[-1][1])


def _transcript(text: str) -> list[tuple[str, str]]:
    before, *parts = _SPEAKER.split(text)
    if before.strip() or not parts:
        raise ValueError("a transcript must begin with 'Human:'")
    return [(_ROLES[speaker], content.strip()) for speaker, content in zip(parts[::2], parts[1::2], strict=True)]


def _message(item: object) -> tuple[str, str]:
    if not isinstance(item, dict) or not isinstance(item.get("content"), str):
        raise ValueError("a message needs a role and a content")
    role = item.get("role")
    if role not in {"system", "user", "assistant"}:
        raise ValueError(f"a message's role is system, user or assistant, not {role!r}")
    return role, item["content"]


def _merged(turns: list[tuple[str, str]]) -> list[tuple[str, str]]:
    merged: list[tuple[str, str]] = []
    for role, content in turns:
        if merged and merged[-1][0] == role:
            content = f"{merged.pop()[1]}\n\n{content}".strip()
        merged.append((role, content))
    return merged
