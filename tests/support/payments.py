"""A web service on a real socket that makes payments, and can be told to be a bad one."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from tests.support.harness import LIMIT

IMPATIENT = 0.3
"""Seconds that a client of a service that says nothing waits, where it is to give up."""


@dataclass
class Payments:
    """``manners`` says how the next posts are treated, one each; after that they are answered as they should be.

    ``lost``: made, and the connection dropped. ``mute``: made, and no answer until the end. ``broken``: made, and
    answered with 500. ``away``: not made, and the connection dropped. ``refused``: not made, and answered with 422.
    """

    url: str
    manners: list[str] = field(default_factory=list)
    made: list[tuple[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def found(self, key: str) -> Any:
        return next((payment for made, payment in self.made if made == key), None)

    # how a client calls it

    def send(self, headers: Mapping[str, str], *, timeout: float = LIMIT) -> Any:
        request = Request(f"{self.url}/payments", b'{"amount": 10}', dict(headers), method="POST")
        with urlopen(request, timeout=timeout) as answer:
            return json.load(answer)

    def find(self, key: str) -> Any:
        try:
            with urlopen(f"{self.url}/payments/{key}", timeout=LIMIT) as answer:
                return json.load(answer)
        except HTTPError as error:
            with error:
                if error.code == 404:
                    return None
                raise


@contextmanager
def payments(*manners: str) -> Iterator[Payments]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.service = Payments(f"http://127.0.0.1:{server.server_port}", list(manners))  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.service  # type: ignore[attr-defined]
    finally:
        server.service._over.set()  # type: ignore[attr-defined]
        server.shutdown()
        thread.join(LIMIT)
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        service: Payments = self.server.service  # type: ignore[attr-defined]
        payment = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        how = service.manners.pop(0) if service.manners else "well"
        if how not in ("away", "refused"):
            service.made.append((self.headers["Idempotency-Key"], payment))
        treat: dict[str, Callable[[], Any]] = {
            "well": lambda: self._answer(201, payment),
            "broken": lambda: self._answer(500, {}),
            "refused": lambda: self._answer(422, {}),
            "mute": lambda: service._over.wait(LIMIT),
        }
        treat.get(how, lambda: None)()

    def do_GET(self) -> None:
        service: Payments = self.server.service  # type: ignore[attr-defined]
        key = self.path.rpartition("/")[2]
        service.asked.append(key)
        payment = service.found(key)
        self._answer(404 if payment is None else 200, payment)

    def _answer(self, status: int, body: Any) -> None:
        sent = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    def log_message(self, format: str, *args: Any) -> None: ...
