"""What a row's metadata say its programs are tested against."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cgpo.errors import UserError
from cgpo.judges.sandbox import Tests
from cgpo.types import Prompt


def row_tests(prompt: Prompt) -> Tests | None:
    """The row's tests, `None` where it has none.

    The first of these that the metadata have: `unit_tests` (with `test_setup_code`), `test` with `entry_point` (and
    `code_prefix`), `inputs` with `outputs`.

    Raises:
        UserError: naming the row and the key that cannot be read.
    """
    metadata, where = prompt.metadata, f"row {prompt.key}: metadata"
    if metadata.get("unit_tests"):
        return Tests(_texts(metadata, "unit_tests", where), setup=_text(metadata, "test_setup_code", where))
    if metadata.get("test") and metadata.get("entry_point"):
        return Tests(
            (_text(metadata, "test", where),),
            entry_point=_text(metadata, "entry_point", where),
            prefix=_text(metadata, "code_prefix", where),
        )
    if metadata.get("inputs") or metadata.get("outputs"):
        inputs, outputs = (_texts(metadata, key, where) for key in ("inputs", "outputs"))
        if len(inputs) != len(outputs):
            raise UserError(f"{where} 'inputs' has {len(inputs)} texts, but 'outputs' {len(outputs)}")
        return Tests(outputs, inputs=inputs)
    return None


def _texts(metadata: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    texts = metadata.get(key)
    if isinstance(texts, str) or not isinstance(texts, Iterable) or not all(isinstance(text, str) for text in texts):
        kind = "lines of Python" if key == "unit_tests" else "texts"
        raise UserError(f"{where} {key!r} must be a list of {kind}")
    return tuple(texts)


def _text(metadata: Mapping[str, Any], key: str, where: str) -> str:
    text = metadata.get(key)
    if text is not None and not isinstance(text, str):
        raise UserError(f"{where} {key!r} must be a text, not {text!r}")
    return text or ""
