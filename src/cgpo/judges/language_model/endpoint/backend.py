"""Asks an endpoint many questions at a time, after a first test; a failure never becomes a verdict."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from cgpo.errors import UserError
from cgpo.judges.language_model.endpoint.connection import Connection, Failure
from cgpo.judges.language_model.endpoint.reading import has_logprobs, is_completion, read
from cgpo.judges.language_model.endpoint.settings import Endpoint
from cgpo.judges.language_model.question import Answer, Question, Unanswered
from cgpo.judges.language_model.rendering import render_message
from cgpo.types import Sample

_log = logging.getLogger(__name__)

Parameters = Mapping[str, Any]
"""The parameters of a request."""
_REJECTED = (400, 422)
"""The status codes of servers that do not accept a request's parameters."""
_WRONG = (401, 403, 404, *_REJECTED)
"""The status codes of servers if the configuration is wrong."""
_ROW = (400, 413, 422)
"""The status codes of servers if a single row is too much for them."""


class EndpointBackend:
    """Asks a model behind an endpoint.

    Before the first question the server is tested with a request of the same form. Its answer shows whether key and
    model are right, and whether the server gives log-probabilities. If it does not, which is logged once, the text of
    its answers is read. A server that stops answering is not asked the rest of a batch, and tested again before the
    next one.

    Args:
        endpoint: the server, and how it is asked.
        question: what is asked; its answers are compared without the space around them.

    Raises:
        UserError: the two answers are the same.
    """

    def __init__(self, endpoint: Endpoint, question: Question) -> None:
        self._endpoint = endpoint
        self._question = question
        self._words = (question.positive.strip(), question.negative.strip())
        if self._words[0].casefold() == self._words[1].casefold():
            raise UserError(
                f"judge {question.title}: the answers {self._words[0]!r} and {self._words[1]!r} are the same"
            )
        self._parameters: Parameters | None = None
        self._tested = False
        self._failure = ""
        self._failed_in_a_row = 0
        self._recent: deque[bool] = deque(maxlen=endpoint.window)
        self._spent = {"calls": 0, "tokens": 0}
        self._connection: Connection | None = None
        self._under_way: dict[int, Sample] = {}
        self._requests: list[asyncio.Task[Answer]] = []
        self._interrupted: str | None = None

    @property
    def usage(self) -> Mapping[str, int]:
        """The requests sent, including retries, and the tokens that the server says they took."""
        now = self._connection.usage if self._connection else {}
        return {name: before + now.get(name, 0) for name, before in self._spent.items()}

    @property
    def version(self) -> str:
        """An empty text, since a server does not say which weights it serves under a name."""
        return ""

    def prepare(self) -> None:
        """Tests the server, if that has not been tried.

        Raises:
            UserError: the server cannot be reached, refuses the key, or does not know the model.
        """
        if not self._tested and not self._failure:
            connection = self._connect()
            connection.run(self._test(connection))

    def ask(self, samples: Sequence[Sample]) -> list[Answer]:
        """Returns one answer per sample.

        Raises:
            UserError: the configuration is wrong, or too many of the last answers are undecided.
        """
        limit = self._endpoint.max_characters
        messages = [render_message(self._question.template, sample, limit) for sample in samples]
        if not messages:
            return []
        connection = self._connect()
        self._interrupted = None
        answers = connection.run(self._ask_all(connection, samples, messages))
        self._check_undecided(answers)
        return answers

    @property
    def asking(self) -> Sequence[Sample]:
        """The samples whose requests are not answered yet."""
        return list(self._under_way.values())

    def interrupt(self, reason: str) -> None:
        """Cancels the requests that are not answered yet."""
        if self._connection is not None:
            self._interrupted = reason
            self._connection.soon(lambda: [request.cancel() for request in self._requests])

    def close(self) -> None:
        """Closes the connections; further questions make new ones."""
        if self._connection is not None:
            connection, self._spent = self._connection, dict(self.usage)
            self._connection = None
            connection.close()

    def _connect(self) -> Connection:
        if self._connection is None:
            self._connection = Connection(self._endpoint)
        return self._connection

    async def _ask_all(
        self, connection: Connection, samples: Sequence[Sample], messages: Sequence[str]
    ) -> list[Answer]:
        if self._parameters is None:
            await self._test(connection)
        gate = asyncio.Semaphore(self._endpoint.concurrency)

        async def ask(index: int) -> Answer:
            try:
                async with gate:
                    self._under_way[index] = samples[index]
                    return await self._ask_one(connection, messages[index])
            except asyncio.CancelledError:
                if self._interrupted is None:
                    raise
                return Unanswered(self._interrupted)
            finally:
                self._under_way.pop(index, None)

        self._requests = [asyncio.ensure_future(ask(index)) for index in range(len(messages))]
        return await asyncio.gather(*self._requests)

    async def _ask_one(self, connection: Connection, message: str) -> Answer:
        if self._parameters is None:
            return Unanswered(f"{self._failure} (not asked again in this batch)")
        body = await connection.complete(message, self._parameters, self._endpoint.retries)
        if isinstance(body, Failure):
            return self._failed(body)
        self._failed_in_a_row = 0
        return read(body, self._words, self._endpoint.least_mass)

    def _failed(self, failure: Failure) -> Answer:
        if failure.status not in _ROW:
            self._failed_in_a_row += 1
            if self._parameters is not None and self._failed_in_a_row >= max(8, self._endpoint.concurrency):
                self._give_up(failure.reason)
        return Unanswered(failure.reason)

    def _give_up(self, reason: str) -> None:
        self._parameters = None
        if not self._failure:
            _log.warning("judge %s: %r does not answer: %s", self._question.title, self._endpoint, reason)
        self._failure = reason

    async def _test(self, connection: Connection) -> None:
        """Finds the parameters that the server accepts; leaves none if it does not answer."""
        message = f"Answer with one word: {self._words[0]}."
        body: Any = None
        parameters: Parameters = {}
        for parameters in self._candidates():
            body = await connection.complete(message, parameters, 0 if self._tested else self._endpoint.retries)
            if not (isinstance(body, Failure) and body.status in _REJECTED):
                break
        if isinstance(body, Failure):
            self._refused(body)
        elif not is_completion(body):
            self._give_up("it answers, but not with completions of OpenAI's form")
        else:
            self._parameters = self._accepted(parameters, body)
            if self._failure:
                _log.warning("judge %s: %r answers again", self._question.title, self._endpoint)
            self._tested, self._failure, self._failed_in_a_row = True, "", 0

    def _refused(self, failure: Failure) -> None:
        if not self._tested and (failure.unreachable or failure.status in _WRONG):
            raise UserError(f"judge {self._question.title}: endpoint {self._endpoint!r}: {failure.reason}")
        self._give_up(failure.reason)

    def _accepted(self, parameters: Parameters, body: Any) -> Parameters:
        """Returns the parameters for further requests, from those of the first one and its answer."""
        if not self._endpoint.logprobs or ("logprobs" in parameters and has_logprobs(body)):
            return parameters
        if not self._tested:
            what = "ignores" if "logprobs" in parameters else "does not take"
            title = self._question.title
            _log.warning("judge %s: %r %s logprobs: the text is read", title, self._endpoint, what)
        return self._text_parameters() if "logprobs" in parameters else parameters

    def _candidates(self) -> list[Parameters]:
        """Returns the parameters that servers may accept, best first.

        Some servers list fewer alternatives, and some models do not accept `max_tokens`.
        """
        weighed: Parameters = {"max_tokens": 1, "temperature": 0, "logprobs": True}
        listed: list[Parameters] = [{**weighed, "top_logprobs": count} for count in (20, 5)]
        modern: Parameters = {"max_completion_tokens": self._endpoint.max_tokens}
        return [*(listed if self._endpoint.logprobs else []), self._text_parameters(), modern]

    def _text_parameters(self) -> Parameters:
        return {"max_tokens": self._endpoint.max_tokens, "temperature": 0}

    def _check_undecided(self, answers: Sequence[Answer]) -> None:
        """Stops the run if more of the last answers are undecided than was configured."""
        self._recent.extend(isinstance(answer, Unanswered) for answer in answers)
        undecided, window = sum(self._recent), self._endpoint.window
        if len(self._recent) == window and undecided > self._endpoint.max_undecided * window:
            last = next((a.reason for a in reversed(answers) if isinstance(a, Unanswered)), "")
            raise UserError(
                f"judge {self._question.title}: {undecided} of the last {window} answers of {self._endpoint!r} are "
                f"undecided, beyond max_undecided={self._endpoint.max_undecided:g}; the last: {last or 'earlier'}"
            )
