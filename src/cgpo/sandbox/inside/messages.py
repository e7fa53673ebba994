"""Passes values between two processes that do not trust each other, as plain data and never as pickles."""

from __future__ import annotations

import collections
import decimal
import fractions
import json
import os
import struct
from collections.abc import Callable
from typing import Any, cast

LARGEST_MESSAGE = 1 << 26


class GoneError(Exception):
    """The other process has ended, or violates the protocol."""


class Link:
    """Length-prefixed JSON over a pair of file descriptors."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self.read_fd = read_fd
        self.write_fd = write_fd

    def send(self, message: Any) -> None:
        """Writes one message; raises `GoneError` if nobody reads any more."""
        data = json.dumps(message).encode()
        data = struct.pack("<I", len(data)) + data
        try:
            while data:
                data = data[os.write(self.write_fd, data) :]
        except OSError as error:
            raise GoneError(str(error)) from None

    def receive(self) -> Any:
        """Reads one message; raises `GoneError` at the end of the stream or if the message is malformed."""
        (length,) = struct.unpack("<I", self._read(4))
        if length > LARGEST_MESSAGE:
            raise GoneError("message too large")
        try:
            return json.loads(self._read(length))
        except (ValueError, RecursionError) as error:
            raise GoneError("malformed message") from error

    def _read(self, count: int) -> bytes:
        parts: list[bytes] = []
        while count:
            try:
                part = os.read(self.read_fd, min(count, 1 << 20))
            except OSError as error:
                raise GoneError(str(error)) from None
            if not part:
                raise GoneError("end of stream")
            parts.append(part)
            count -= len(part)
        return b"".join(parts)


_SEQUENCES = {"l": list, "t": tuple, "s": set, "z": frozenset, "q": collections.deque}


def encode(value: Any, refer: Callable[[Any], list[Any]]) -> Any:
    """Encodes a value as JSON; what is not plain data goes by reference, as the tagged number that `refer` returns."""
    if value is None or isinstance(value, (bool, str, float)):
        return value
    if isinstance(value, int):
        return int(value) if abs(value) < 1 << 60 else ["i", hex(value)]
    if isinstance(value, (bytes, bytearray)):
        return ["b", value.hex()]
    if isinstance(value, complex):
        return ["c", value.real, value.imag]
    if isinstance(value, decimal.Decimal):
        return ["D", str(value)]
    if isinstance(value, fractions.Fraction):
        return ["F", hex(value.numerator), hex(value.denominator)]
    if isinstance(value, dict):
        entries = cast("dict[Any, Any]", value).items()
        return ["d", *([encode(k, refer), encode(v, refer)] for k, v in entries)]
    for tag, kind in _SEQUENCES.items():
        if isinstance(value, kind):
            return [tag, *(encode(item, refer) for item in cast("list[Any]", value))]
    return refer(value)


def decode(data: Any, resolve: Callable[[list[Any]], Any]) -> Any:
    """Decodes what `encode` made; `resolve` returns what a tagged number refers to.

    It builds exact builtin types only, so that comparing two results never runs code of the sender.
    """
    if not isinstance(data, list):
        if isinstance(data, dict):
            raise GoneError("malformed value")
        return data
    try:
        tag, *rest = cast("list[Any]", data)
        if tag in _SEQUENCES:
            return cast("Any", _SEQUENCES[tag](decode(item, resolve) for item in rest))
        if tag == "d":
            return {decode(k, resolve): decode(v, resolve) for k, v in rest}
        if tag == "i":
            return int(rest[0], 16)
        if tag == "b":
            return bytes.fromhex(rest[0])
        if tag == "c":
            return complex(float(rest[0]), float(rest[1]))
        if tag == "D":
            return decimal.Decimal(str(rest[0]))
        if tag == "F":
            return fractions.Fraction(int(rest[0], 16), int(rest[1], 16))
    except (ValueError, TypeError, IndexError, ArithmeticError) as error:
        raise GoneError(f"malformed value: {error}") from None
    return resolve(cast("list[Any]", data))
