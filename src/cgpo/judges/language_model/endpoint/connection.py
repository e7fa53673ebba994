"""Sends requests to an endpoint by the `openai` client, which handles time-outs, retries and back-off."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import openai

from cgpo.judges.language_model.endpoint.reading import spent
from cgpo.judges.language_model.endpoint.settings import Endpoint

T = TypeVar("T")
_SHOWN = 200
"""How many characters of a server's own message a reason quotes."""


@dataclass(frozen=True)
class Failure:
    """A question that got no completion, after all retries.

    Attributes:
        reason: why, in one line, without the key.
        status: the server's status code, if it answered.
        unreachable: whether no connection could be made at all.
    """

    reason: str
    status: int | None = None
    unreachable: bool = False


class Connection:
    """A client whose event loop has its own thread, so that it works everywhere, including in notebooks."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.usage = {"calls": 0, "tokens": 0}
        self._endpoint = endpoint
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="judge endpoint", daemon=True)
        self._thread.start()
        self._client = openai.AsyncOpenAI(
            base_url=endpoint.url,
            api_key=endpoint.key or "none",
            timeout=openai.Timeout(endpoint.read_timeout, connect=endpoint.connect_timeout),
            max_retries=endpoint.retries,
            http_client=openai.DefaultAsyncHttpxClient(event_hooks={"request": [self._count]}),
        )

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Returns a coroutine's result; if the wait is interrupted, the coroutine is cancelled."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        finally:
            future.cancel()

    def soon(self, call: Callable[[], object]) -> None:
        """Makes the loop's thread call something."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call)

    def close(self) -> None:
        """Closes connections and ends the thread."""
        if self._loop.is_closed():
            return
        with suppress(OSError, RuntimeError):
            self.run(self._client.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def complete(self, message: str, parameters: Mapping[str, Any], retries: int) -> Any:
        """Returns the completion of a message, as parsed JSON, or a `Failure`."""
        limit = self._endpoint.deadline
        try:
            async with asyncio.timeout(limit):
                completions: Any = self._client.with_options(max_retries=retries).chat.completions
                raw = await completions.with_raw_response.create(
                    model=self._endpoint.model,
                    messages=[{"role": "user", "content": message}],
                    extra_body=dict(self._endpoint.extra_body),
                    **parameters,
                )
            body: object = raw.http_response.json()
        except TimeoutError:
            return Failure(f"no answer within the deadline of {limit:g} s")
        except openai.APIStatusError as error:
            return Failure(self._reason(_status(error)), status=error.status_code)
        except openai.APITimeoutError:
            return Failure("the server did not answer in time")
        except openai.APIConnectionError as error:
            return Failure(self._reason(_deepest(error)), unreachable=_is_unreachable(error))
        except ValueError as error:
            return Failure(self._reason(f"its answer is no JSON: {error}"))
        except Exception as error:  # whatever else a server makes the client raise is a failure, never a verdict
            return Failure(self._reason(f"{type(error).__name__}: {error}"))
        self.usage["tokens"] += spent(body)
        return body

    async def _count(self, request: object) -> None:
        self.usage["calls"] += 1

    def _reason(self, text: str) -> str:
        line = " ".join(text.split())[:_SHOWN]
        key = self._endpoint.key
        return line.replace(key, "***") if key else line


def _status(error: openai.APIStatusError) -> str:
    """Describes a status; what a server says of a refused key is left out, since it repeats the key."""
    if error.status_code in (401, 403):
        return f"HTTP {error.status_code}: the server refuses the key, or wants one"
    answer: object = error.body
    body = cast("Mapping[str, object]", answer) if isinstance(answer, Mapping) else dict[str, object]()
    return f"HTTP {error.status_code}: {body.get('message') or body.get('detail') or error.message}"


def _chain(error: BaseException) -> list[BaseException]:
    found = [error]
    while (cause := found[-1].__cause__ or found[-1].__context__) is not None and cause not in found:
        found.append(cause)
    return found


def _deepest(error: BaseException) -> str:
    words = [str(cause) for cause in _chain(error) if str(cause)]
    return f"no connection: {words[-1]}" if _is_unreachable(error) else f"the connection broke: {words[-1]}"


def _is_unreachable(error: BaseException) -> bool:
    return any(isinstance(cause, ConnectionRefusedError | socket.gaierror) for cause in _chain(error))
