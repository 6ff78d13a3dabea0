"""A receiver of webhooks on a real socket, which keeps what it gets and answers as it is told."""

from __future__ import annotations

import asyncio
import json
import queue
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.harness import LIMIT

Manner = int | str | tuple[int, Mapping[str, str]]


@dataclass(frozen=True)
class Got:
    """One request. ``headers`` have small letters."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


@dataclass
class Receiver:
    """``manners`` say how the next requests are answered, one each; those after them with 204.

    A number is a status, with headers in a pair; ``mute`` says nothing until the end, ``away`` drops the connection.
    """

    url: str
    manners: list[Manner] = field(default_factory=list)
    got: list[Got] = field(default_factory=list)
    _new: queue.Queue[Got] = field(default_factory=queue.Queue)
    _over: threading.Event = field(default_factory=threading.Event)

    async def next(self) -> Got:
        """The next request that no one has been given yet."""
        return await asyncio.to_thread(self._new.get, timeout=LIMIT)

    def keep(self, request: Got) -> Manner:
        self.got.append(request)
        manner = self.manners.pop(0) if self.manners else 204
        self._new.put(request)
        return manner


@contextmanager
def receiver(*manners: Manner) -> Iterator[Receiver]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    made = Receiver(f"http://127.0.0.1:{server.server_port}/T0/hush-hush", list(manners))
    server.receiver = made  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield made
    finally:
        made._over.set()
        server.shutdown()
        thread.join(LIMIT)
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        made: Receiver = self.server.receiver  # type: ignore[attr-defined]
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        manner = made.keep(Got(self.path, headers, body))
        if manner == "mute":
            made._over.wait(LIMIT)
        if isinstance(manner, str):
            return
        status, more = manner if isinstance(manner, tuple) else (manner, {})
        self.send_response(status)
        for name, value in more.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        """Who follows a redirect is seen as well."""
        self.do_POST()

    def log_message(self, format: str, *args: Any) -> None: ...
