"""How a question is dressed up as a prompt: who asks, and how politely."""

from __future__ import annotations

from itertools import product

GREETINGS = ("", "Hello! ", "Hey! ")
ASKERS = ("", *(f"{name}: " for name in ("Tom", "Anna", "Ben", "Eva", "Max", "Kim")))
CLOSINGS = ("", " Thanks!", " Please!", " Be quick!")


def dressed(question: str) -> list[str]:
    """Every way to ask a question."""
    return [
        f"{greeting}{asker}{question}{closing}" for greeting, asker, closing in product(GREETINGS, ASKERS, CLOSINGS)
    ]
