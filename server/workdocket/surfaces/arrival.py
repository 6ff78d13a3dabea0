"""Requests on their way in: nothing further in sees one before it has arrived, whole and in time, nor a message of MCP
that is none."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import anyio
from mcp.types import INVALID_REQUEST
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from workdocket.domain.errors import WorkError
from workdocket.surfaces import envelope
from workdocket.surfaces.entrance import refusal, too_large

log = logging.getLogger("workdocket.http")

BODY_SECONDS = 30.0
"""How long a request may take to arrive."""

LAST = {"Connection": "close"}
"""Of the answer to a request of which not everything was read, or whose end is in doubt."""


ENDED = WorkError("not_found", "the session has ended", hint="Open another one.")


class Arrival:
    """Lets a POST further in once its body is there. Whoever goes away before that is not answered any more.

    ``arriving`` are the scopes of those that it waits for: cancelled, they are refused.
    """

    def __init__(self, app: ASGIApp, most_bytes: int, arriving: set[anyio.CancelScope]) -> None:
        self._app = app
        self._most_bytes = most_bytes
        self._arriving = arriving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        try:
            body = await self._in_time(Headers(scope=scope), receive)
        except TimeoutError:
            late = WorkError("invalid_request", "the request did not arrive in time", hint="Send it again.")
            await refusal(late, status=408, headers=LAST)(scope, receive, send)
        except WorkError as error:
            await refusal(error, headers=LAST)(scope, receive, send)
        else:
            if body is not None:
                await self._app(scope, again(body, receive), send)

    async def _in_time(self, headers: Headers, receive: Receive) -> bytes | None:
        if "content-length" in headers and "transfer-encoding" in headers:
            raise WorkError("invalid_request", "the request says its length in two ways", hint="Send one of them.")
        with anyio.move_on_after(BODY_SECONDS) as waiting:
            self._arriving.add(waiting)
            try:
                return await self._body(receive)
            finally:
                self._arriving.discard(waiting)
        raise TimeoutError

    async def _body(self, receive: Receive) -> bytes | None:
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            if len(body) > self._most_bytes:
                raise too_large(self._most_bytes)
            if not message.get("more_body"):
                return bytes(body)


class Messages:
    """What is posted to MCP has to be one of its messages, and no request under the id of one in the same session that
    is not answered yet: the SDK would give both answers to one of them, and the other would never end."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._waiting: set[tuple[str, str]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        body = (await receive()).get("body", b"")
        answer = Once(send)
        try:
            message = envelope.opened(body)
            with self._alone(Headers(scope=scope).get("mcp-session-id"), message):
                await self._app(scope, again(body, receive), answer)
        except envelope.Unfit as unfit:
            number = unfit.ids[0] if len(unfit.ids) == 1 else None
            await Response(unfit.answer(number), 400, media_type="application/json")(scope, receive, answer)
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            log.info("a message came to a session that had just ended")
        if not answer.begun:
            await refusal(ENDED)(scope, receive, answer)
        await answer.end()

    @contextmanager
    def _alone(self, session: str | None, message: Mapping[str, Any]) -> Iterator[None]:
        if session is None or "method" not in message or "id" not in message:
            yield
            return
        request = session, str(message["id"])
        if request in self._waiting:
            raise envelope.Unfit(INVALID_REQUEST, "a request with this id is not answered yet", (message["id"],))
        self._waiting.add(request)
        try:
            yield
        finally:
            self._waiting.discard(request)


class Once:
    """An answer that is begun once and ended once. Where a session ends, or whoever listens to it goes away, the SDK
    begins another one, or ends none."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = self._over = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and self.begun:
            message = {"type": "http.response.body", "body": b""}
        if not self._over:
            self.begun = True
            self._over = message["type"] == "http.response.body" and not message.get("more_body")
            await self._send(message)

    async def end(self) -> None:
        if self.begun:
            await self({"type": "http.response.body", "body": b""})


def again(body: bytes, receive: Receive) -> Receive:
    """What was read already, and then whatever comes."""
    first: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def received() -> Message:
        return first.pop() if first else await receive()

    return received
