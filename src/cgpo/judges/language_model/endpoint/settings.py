"""Where an endpoint is, and how patiently and how often it is asked."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any
from urllib.parse import urlsplit

from cgpo.errors import UserError


def _positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")


def _count(least: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= least


def _share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


_RULES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "model": (lambda value: isinstance(value, str) and bool(value), "the name by which the server knows its model"),
    "concurrency": (_count(1), "a whole number of at least 1"),
    "connect_timeout": (_positive, "seconds above 0"),
    "read_timeout": (_positive, "seconds above 0"),
    "deadline": (_positive, "seconds above 0"),
    "retries": (_count(0), "a whole number of at least 0"),
    "logprobs": (lambda value: isinstance(value, bool), "true or false"),
    "max_tokens": (_count(1), "a whole number of at least 1"),
    "least_mass": (_share, "a number from 0 to 1"),
    "max_characters": (_count(1), "a whole number of at least 1"),
    "max_undecided": (_share, "a number from 0 to 1"),
    "window": (_count(1), "a whole number of at least 1"),
    "extra_body": (lambda value: isinstance(value, Mapping), "a mapping"),
}


@dataclass(frozen=True)
class Endpoint:
    """An OpenAI-compatible server and how to ask it.

    Attributes:
        url: its base, with the version: `http://localhost:8000/v1`.
        model: the name by which the server knows the model.
        api_key_env: name of the environment variable that holds the key; without it no key is sent.
        concurrency: requests under way at a time.
        connect_timeout: seconds for a connection.
        read_timeout: seconds in which the server must send something.
        deadline: seconds one question may take in all, retries and the waits between them included.
        retries: further attempts after a time-out, a closed connection, or the status 408, 409, 429 or 5xx; between
            them the client waits exponentially longer, with jitter, or as long as the server's `Retry-After` says.
        logprobs: ask for log-probabilities, where the server has them; without them its answer's text is read.
        max_tokens: most tokens of an answer whose text is read.
        least_mass: least probability that the two answers must have together for their log-probabilities to decide.
        max_characters: what a longer message is shortened to.
        max_undecided: the share of undecided answers, over the last `window`, beyond which the run stops; 1 never
            stops it.
        window: answers over which that share is taken.
        extra_body: further fields of the request, as the server takes them, such as `chat_template_kwargs`.

    Raises:
        UserError: a value is out of its range.
    """

    url: str
    model: str
    api_key_env: str | None = None
    concurrency: int = 16
    connect_timeout: float = 10.0
    read_timeout: float = 60.0
    deadline: float = 300.0
    retries: int = 4
    logprobs: bool = True
    max_tokens: int = 16
    least_mass: float = 0.01
    max_characters: int = 20_000
    max_undecided: float = 1.0
    window: int = 100
    extra_body: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @classmethod
    def of(cls, settings: Mapping[str, Any] | Endpoint, judge: str) -> Endpoint:
        """The endpoint of a configuration.

        Raises:
            UserError: naming the judge and the setting that is missing, not known, or out of its range.
        """
        if isinstance(settings, Endpoint):
            return settings
        known = [entry.name for entry in fields(cls)]
        try:
            for name in settings:
                if name not in known:
                    raise UserError(f"there is no setting {name!r}; choose {', '.join(sorted(known))}")
            for name in ("url", "model"):
                if settings.get(name) is None:
                    raise UserError(f"the setting {name!r} is missing")
            return cls(**settings)
        except UserError as error:
            raise UserError(f"judge {judge}: endpoint: {error}") from error

    def __post_init__(self) -> None:
        for name, (holds, needed) in _RULES.items():
            if not holds(getattr(self, name)):
                raise UserError(f"{name} is {getattr(self, name)!r}: it must be {needed}")
        self._check_url()
        if self.api_key_env is not None and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", str(self.api_key_env)):
            # What stands there may be the key itself, so it is not repeated.
            raise UserError("api_key_env must be the name of an environment variable, not a key")
        if self.api_key_env is not None and not os.environ.get(self.api_key_env):
            raise UserError(f"api_key_env: the environment variable {self.api_key_env} is not set")

    def _check_url(self) -> None:
        try:
            parts = urlsplit(str(self.url))
            fits = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError:
            fits = False
            parts = urlsplit("")
        if parts.username or parts.password or parts.query:
            raise UserError("url must hold no user, password or query: name a key's environment variable, api_key_env")
        if not fits:
            raise UserError(f"url is {self.url!r}: it must look like http://localhost:8000/v1")

    def __repr__(self) -> str:
        return f"{self.model} at {self.url}"

    @property
    def key(self) -> str | None:
        """The API key, read from the environment when it is used and kept nowhere."""
        return os.environ.get(self.api_key_env) if self.api_key_env else None
