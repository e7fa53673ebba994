import pytest

from cgpo.data.conversation import Conversation, parse_conversation


def test_turns_of_one_speaker_become_one() -> None:
    text = "\n\nHuman: A\n\nHuman: B\n\nand: C\n\nAssistant: D\n\nAssistant: E"
    assert parse_conversation(text) == Conversation((), "A\n\nB\n\nand: C", "D\n\nE")


def test_an_empty_answer_is_an_answer() -> None:
    assert parse_conversation("\n\nHuman: A\n\nAssistant:") == Conversation((), "A", "")


def test_messages() -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello"},
    ]
    assert parse_conversation(messages) == Conversation(({"role": "system", "content": "Be brief."},), "Hi", "Hello")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("Once\n\nHuman: A\n\nAssistant: B", "must begin with 'Human:'"),
        ("\n\nHuman: A", r"must end with a user's turn and an answer, this one has \['user'\]"),
        ("\n\nAssistant: A", "must end with a user's turn"),
        ("\n\nHuman: A\n\nAssistant: B\n\nHuman: C", "must end with a user's turn"),
        (7, "expected a transcript or a list of messages"),
        ([{"role": "user"}], "a message needs a role and a content"),
        ([{"role": "bot", "content": "x"}], "a message's role is system, user or assistant, not 'bot'"),
    ],
)
def test_what_is_no_conversation_is_refused(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_conversation(value)
