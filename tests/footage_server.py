"""A server on loopback whose answers a test scripts, and that remembers what it was asked."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Request:
    path: str
    method: str
    headers: dict[str, str]


@dataclass
class Answer:
    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None  # what Content-Length says, when that is a lie
    stop_after: int | None = None  # hang up after so many bytes
    stall: threading.Event | None = None  # wait for it in the middle of the body


def as_json(value: Any, status: int = 200, **headers: str) -> Answer:
    return Answer(json.dumps(value).encode(), status, {"Content-Type": "application/json", **headers})


def ranged(data: bytes, request: Request, kind: str = "video/mp4") -> Answer:
    """`data` as a file, by Range where that is asked for."""
    asked = request.headers.get("range", "")
    headers = {"Content-Type": kind, "Accept-Ranges": "bytes"}
    if asked.startswith("bytes="):
        first = int(asked[6:].split("-")[0])
        if first >= len(data):
            return Answer(b"", 416, {"Content-Range": f"bytes */{len(data)}"})
        headers["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
        return Answer(data[first:], 206, headers)
    return Answer(data, 200, headers)


class Scripted:
    def __init__(self, answer: Callable[[Request], Answer], tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Request] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                request = Request(self.path, self.command, {key.lower(): value for key, value in self.headers.items()})
                outer.requests.append(request)
                reply = answer(request)
                self.send_response(reply.status)
                for key, value in reply.headers.items():
                    self.send_header(key, value)
                self.send_header("Content-Length", str(len(reply.body) if reply.length is None else reply.length))
                self.end_headers()
                if self.command == "HEAD":
                    return
                if reply.stall is not None:
                    self.wfile.write(reply.body[: len(reply.body) // 2])
                    self.wfile.flush()
                    reply.stall.wait(60)
                    reply.body = reply.body[len(reply.body) // 2 :]
                self.wfile.write(reply.body if reply.stop_after is None else reply.body[: reply.stop_after])
                if reply.stop_after is not None or reply.length is not None:
                    self.wfile.flush()
                    self.close_connection = True
                    self.connection.shutdown(2)

            do_HEAD = do_GET

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                pass

        self.server = Quiet(("127.0.0.1", 0), Handler)
        if tls is not None:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.origin = f"http{'s' if tls else ''}://127.0.0.1:{self.server.server_address[1]}"


@contextmanager
def scripted(answer: Callable[[Request], Answer], tls: ssl.SSLContext | None = None) -> Iterator[Scripted]:
    one = Scripted(answer, tls)
    threading.Thread(target=one.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield one
    finally:
        one.server.shutdown()
        one.server.server_close()
