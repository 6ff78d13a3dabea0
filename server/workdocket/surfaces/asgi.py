"""Every way in by HTTP, as one ASGI application: the inbox at /, MCP at /mcp and /sse, tools at /v1, /healthz.

One guard is in front of all.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, MutableMapping
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import anyio
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from workdocket.app import App
from workdocket.domain.errors import WorkError
from workdocket.settings import Settings
from workdocket.surfaces import oauth, openapi
from workdocket.surfaces.arrival import Arrival, Messages, Once
from workdocket.surfaces.bearer import bearer
from workdocket.surfaces.entrance import Address, Admission, refusal
from workdocket.surfaces.http import SAFE, Health, Shim, not_allowed
from workdocket.surfaces.identity import Caller, calling
from workdocket.surfaces.inbox.routes import Inbox
from workdocket.surfaces.problems import unexpected
from workdocket.surfaces.server import Door
from workdocket.surfaces.sessions import Sessions

ENVELOPE_BYTES = 3 << 20
"""What a request may be larger than a payload: it is JSON within JSON, and arguments come beside it."""

ASKED = ["Authorization", "Content-Type", "Idempotency-Key", "If-None-Match", "Last-Event-ID", "Mcp-Method", "Mcp-Name",
         "Mcp-Protocol-Version", "Mcp-Session-Id"]  # fmt: skip
SHOWN = ["ETag", "Mcp-Session-Id", "Retry-After", "WWW-Authenticate"]
"""Headers that pages of allowed origins may send, and may read."""

LAST_WORD_SECONDS = 0.3
"""How long streams stay open for answers once the server ends."""

NOT_FOUND = WorkError("not_found", "there is nothing at this path", hint="See /v1/openapi.json.")


class Web:
    """The application, and its end: ``app`` is what a server runs, ``close`` lets go of everything that waits."""

    def __init__(self, house: App, local: Caller) -> None:
        self._house = house
        self._closing = anyio.Event()
        self._arriving: set[anyio.CancelScope] = set()
        self._door = Door(house, _agent)
        most_bytes = house.settings.max_payload_bytes + ENVELOPE_BYTES
        guarded = TransportSecuritySettings(enable_dns_rebinding_protection=False)  # by the guard, for every route
        self._sessions = Sessions(
            self._door._lowlevel_server, security_settings=guarded, max_request_body_size=most_bytes
        )
        verify = bearer(house)
        sse = self._door.sse_app(transport_security=guarded, max_request_body_size=most_bytes)
        self.app: ASGIApp = Starlette(
            routes=[
                Route("/healthz", Health(house).__call__),
                Route("/v1/openapi.json", self._document),
                *_metadata(house.settings),
                Route("/v1/{tool}", Shim(house)),
                *_guarded([Route("/mcp", StreamableHTTPASGIApp(self._sessions)), *sse.routes]),
                *Inbox(house, verify, local).routes,
            ],
            middleware=[
                Middleware(Address, settings=house.settings),
                Middleware(
                    CORSMiddleware,
                    allow_origins=house.settings.allowed_origins,
                    allow_methods=["GET", "POST", "DELETE"],
                    allow_headers=ASKED,
                    expose_headers=SHOWN,
                ),
                Middleware(
                    Admission,
                    local=local,
                    demanded=house.tokens.demanded,
                    verify=verify,
                    challenge=partial(oauth.challenge, house.settings),
                    most_bytes=most_bytes,
                ),
                Middleware(Arrival, most_bytes=most_bytes, arriving=self._arriving),
                Middleware(Ending, closing=self._closing),
            ],
            exception_handlers={HTTPException: _http_refusal, Exception: _defect},
            lifespan=lambda _: self.running(),
        )

    def close(self) -> None:
        """Let calls that wait answer with what there is and then streams end, so that the server can."""
        self._house.desk.end_waits()
        self._door.close_streams()
        asyncio.get_running_loop().call_later(LAST_WORD_SECONDS, self._let_go)

    def _let_go(self) -> None:
        self._closing.set()
        for scope in list(self._arriving):
            scope.cancel()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The application's life, for a server that starts and ends applications; MCP is served within."""
        async with self._sessions.run():
            yield

    async def _document(self, request: Request) -> Response:
        return JSONResponse(openapi.document(secured=await self._house.tokens.demanded()), headers=SAFE)


class Ending:
    """Ends streams when the server does. They are open for as long as the client likes, so that it would wait for them
    in vain; to the streams it looks as if their client had gone."""

    def __init__(self, app: ASGIApp, closing: anyio.Event) -> None:
        self._app = app
        self._closing = closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        answer = Once(send)

        async def until_closing() -> Message:
            found: MutableMapping[str, Any] = {"type": "http.disconnect"}
            async with anyio.create_task_group() as group:

                async def close() -> None:
                    await self._closing.wait()
                    group.cancel_scope.cancel()

                group.start_soon(close)
                found = await receive()
                group.cancel_scope.cancel()
            return found

        await self._app(scope, until_closing, answer)
        await answer.end()


def _guarded(routes: Iterable[BaseRoute]) -> Iterator[BaseRoute]:
    """MCP's routes, but for messages only, and without the HEAD that Starlette adds to every GET: there is no length
    to tell of a stream, and the SDK would open one."""
    for route in routes:
        assert isinstance(route, Route | Mount)
        route.app = Messages(route.app)
        if isinstance(route, Route) and route.methods:
            route.methods.discard("HEAD")
        yield route


def _metadata(settings: Settings) -> list[Route]:
    """Where clients read which issuer gives them tokens (RFC 9728): for the server, and for its MCP endpoint."""

    def place(path: str) -> Route:
        async def told(request: Request) -> Response:
            return JSONResponse(oauth.protected_resource(settings, path), headers=SAFE)

        return Route(oauth.METADATA + path, told)

    return [place(path) for path in ("", "/mcp")] if settings.oauth_issuer else []


def _agent() -> Caller:
    """Who calls a tool by MCP is an agent, whoever's token it has."""
    caller = calling.get()
    return replace(caller, actor=replace(caller.actor, type="agent"))


async def _defect(request: Request, error: Exception) -> Response:
    return refusal(unexpected(error, request.url.path), headers=SAFE)


async def _http_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers: Mapping[str, str] = error.headers or {}
    if error.status_code == 405:
        return not_allowed(headers.get("Allow", "another method"))
    return refusal(NOT_FOUND, headers=SAFE)
