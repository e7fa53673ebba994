"""A real HTTP server with the address of an OpenAI-compatible one, which does what a test tells it."""

import json
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True)
class Reply:
    """What is sent back.

    Attributes:
        body: as JSON, or raw bytes.
        status: of HTTP.
        headers: besides the usual ones.
        delay: seconds before anything is sent.
        drip: seconds between one byte and the next.
        hang_up: close the connection without a word.
    """

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    delay: float = 0.0
    drip: float = 0.0
    hang_up: bool = False


Script = Callable[[int, dict[str, Any]], Reply]
"""From the number of the request, counted from 0, and its body to the reply."""


def said(text: str | None, probabilities: Mapping[str, float] | None = None, tokens: int = 7) -> dict[str, Any]:
    """A completion in OpenAI's form, with the probabilities of what could have been its first token."""
    logprobs = None
    if probabilities is not None:
        listed = [{"token": token, "logprob": math.log(p), "bytes": None} for token, p in probabilities.items()]
        logprobs = {"content": [{**listed[0], "top_logprobs": listed}]}
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "logprobs": logprobs}
    usage = {"prompt_tokens": tokens - 1, "completion_tokens": 1, "total_tokens": tokens}
    return {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}


class ScriptedServer:
    """Serves on a free port of this machine while it is entered."""

    def __init__(self, script: Script, port: int = 0) -> None:
        self.script = script
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", port), _handler(self))
        self.port = self._server.server_address[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def questions(self) -> list[dict[str, Any]]:
        """The requests that are not greetings."""
        return [r for r in self.requests if not r["messages"][0]["content"].startswith("Answer with one word: ")]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def reply(self, body: dict[str, Any], key: str | None) -> Reply:
        with self._lock:
            number = len(self.requests)
            self.requests.append(body)
            self.keys.append(key)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        reply = self.script(number, body)
        time.sleep(reply.delay)
        with self._lock:
            self._at_once -= 1
        return reply


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that gave up is no news."""


def _handler(owner: ScriptedServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            reply = owner.reply(body, self.headers.get("Authorization"))
            self.close_connection = True
            if reply.hang_up:
                return
            content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self.send_response(reply.status)
            for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            for i in range(0, len(content), 1 if reply.drip else max(len(content), 1)):
                self.wfile.write(content[i : i + (1 if reply.drip else len(content))])
                self.wfile.flush()
                time.sleep(reply.drip)

        def log_message(self, *args: object) -> None:
            """Nothing on the screen."""

    return Handler
