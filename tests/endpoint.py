"""A scripted OpenAI-compatible server on loopback, with every fault a provider can have.

    with Endpoint(["not JSON", error(429, retry_after=1), '{"query": "x"}']) as endpoint:
        Provider(endpoint.settings(), notes.append).answer(request)
    assert len(endpoint.requests) == 3

A reply is the text of an answer or a `Reply`; the script is a list of them (the last one is repeated)
or a function from the request's JSON to one.
"""

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from autoresearch.config import ModelSettings


@dataclass(frozen=True)
class Reply:
    """What the server does with one request. `body` replaces the usual JSON."""

    text: str | None = ""
    finish: str = "stop"
    refusal: str | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    delay: float = 0.0  # seconds before the reply
    drip: float = 0.0  # seconds between the bytes of the reply
    reset: bool = False  # break the connection instead of replying


def truncated(text: str) -> Reply:
    return Reply(text, finish="length")


def refusal(text: str = "I cannot help with that.") -> Reply:
    return Reply(None, refusal=text)


def filtered() -> Reply:
    return Reply("", finish="content_filter")


def slow(seconds: float, text: str = "late") -> Reply:
    return Reply(text, delay=seconds)


def dripping(seconds: float, text: str = "drop by drop") -> Reply:
    return Reply(text, drip=seconds)


def reset() -> Reply:
    return Reply(reset=True)


def raw(body: bytes) -> Reply:
    return Reply(body=body)


def empty_choices() -> Reply:
    return raw(json.dumps(_completion(Reply(), "any") | {"choices": []}).encode())


def error(
    status: int, code: str = "error", message: str = "no", retry_after: float | str | None = None
) -> Reply:
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    content = {"error": {"message": message, "type": code, "code": code, "param": None}}
    return Reply(status=status, headers=headers, body=json.dumps(content).encode())


Script = Sequence[str | Reply] | Callable[[dict[str, Any]], str | Reply]


class Endpoint:
    """The server, as a context manager. `requests` are the JSON bodies it was sent, in order,
    `times` when (monotonic seconds), `keys` the Authorization headers."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[dict[str, Any]] = []
        self.times: list[float] = []
        self.keys: list[str] = []
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def settings(self, **changes: Any) -> ModelSettings:
        """Settings that lead here."""
        return ModelSettings(**{"name": "local-model", "api_base": self.url, **changes})

    def reply_to(self, request: dict[str, Any], key: str) -> Reply:
        with self._lock:
            number = len(self.requests)
            self.requests.append(request)
            self.times.append(time.monotonic())
            self.keys.append(key)
        if callable(self.script):
            reply = self.script(request)
        else:
            reply = self.script[min(number, len(self.script) - 1)]
        return Reply(reply) if isinstance(reply, str) else reply

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _completion(reply: Reply, model: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": reply.text, "refusal": reply.refusal}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [{"index": 0, "message": message, "finish_reason": reply.finish}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
    }


def _handler(endpoint: Endpoint) -> type[BaseHTTPRequestHandler]:
    return type("Handler", (_Handler,), {"endpoint": endpoint})


class _Handler(BaseHTTPRequestHandler):
    endpoint: Endpoint
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = json.loads(content or b"{}")
        reply = self.endpoint.reply_to(request, self.headers.get("Authorization", ""))
        try:
            self._send(reply, str(request.get("model")))
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _send(self, reply: Reply, model: str) -> None:
        time.sleep(reply.delay)
        if reply.reset:
            # Lingering for no time makes close() send RST instead of FIN.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
            return
        body = reply.body
        if body is None:
            body = json.dumps(_completion(reply, model)).encode()
        self.send_response(reply.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.end_headers()
        step = 1 if reply.drip else len(body) or 1
        for start in range(0, len(body), step):
            self.wfile.write(body[start : start + step])
            time.sleep(reply.drip)
