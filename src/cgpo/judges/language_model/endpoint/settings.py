"""The settings of an endpoint: where it is, and how patiently and how often it is asked."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any
from urllib.parse import urlsplit

from annotated_types import Ge, Gt, Le

from cgpo.bounds import Unit, check_fields
from cgpo.errors import UserError

Seconds = Annotated[float, Gt(0), Unit("seconds")]
Share = Annotated[float, Ge(0), Le(1)]


@dataclass(frozen=True)
class Endpoint:
    """An OpenAI-compatible server and how to ask it.

    Attributes:
        url: the server's base URL, with the version: `http://localhost:8000/v1`.
        model: the name by which the server knows the model.
        api_key_env: the name of the environment variable that contains the key; without it no key is sent.
        concurrency: the most requests at a time.
        connect_timeout: the seconds in which a connection must be made.
        read_timeout: the seconds in which the server must send something.
        deadline: the seconds that a question may take in all, including retries and the waits between them.
        retries: further attempts after a time-out, a closed connection, or the status 408, 409, 429 or 5xx. Between
            them the client waits exponentially longer, with jitter, or as long as the server's `Retry-After` says.
        logprobs: whether to ask for log-probabilities; without them the text of the server's answer is read.
        max_tokens: the most tokens of an answer whose text is read.
        least_mass: the least probability that the two answers must have together for their log-probabilities to decide.
        max_characters: the most characters of a message; a longer one is shortened.
        max_undecided: the share of undecided answers, over the last `window`, beyond which the run stops; 1 never
            stops it.
        window: the number of answers over which that share is taken.
        extra_body: further fields of the request, such as `chat_template_kwargs`.

    Raises:
        UserError: a value is out of its range.
    """

    url: str
    model: str
    api_key_env: str | None = None
    concurrency: Annotated[int, Ge(1)] = 16
    connect_timeout: Seconds = 10.0
    read_timeout: Seconds = 60.0
    deadline: Seconds = 300.0
    retries: Annotated[int, Ge(0)] = 4
    logprobs: bool = True
    max_tokens: Annotated[int, Ge(1)] = 16
    least_mass: Share = 0.01
    max_characters: Annotated[int, Ge(1)] = 20_000
    max_undecided: Share = 1.0
    window: Annotated[int, Ge(1)] = 100
    extra_body: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @classmethod
    def of(cls, settings: Mapping[str, Any] | Endpoint, judge: str) -> Endpoint:
        """Makes the endpoint of a configuration.

        Raises:
            UserError: naming the judge and the setting that is missing, unknown, or out of its range.
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
            reason = str(error).removeprefix(f"{cls.__name__}.")
            raise UserError(f"judge {judge}: endpoint: {reason}") from error

    def __post_init__(self) -> None:
        check_fields(self)
        if not self.model:
            raise UserError("model is empty: it must be the name by which the server knows its model")
        self._check_url()
        if self.api_key_env is not None and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", str(self.api_key_env)):
            # The value may be the key itself, so it is not repeated.
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
        """The API key, read from the environment whenever it is used, and stored nowhere."""
        return os.environ.get(self.api_key_env) if self.api_key_env else None
