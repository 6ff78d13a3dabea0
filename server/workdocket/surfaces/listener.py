"""Serves HTTP on a port until a signal comes, and then ends within seconds, whoever still listens to a stream."""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import anyio
import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from workdocket.app import App, open_app
from workdocket.domain.errors import WorkError
from workdocket.raised import as_raised
from workdocket.settings import Settings
from workdocket.surfaces.asgi import Web
from workdocket.surfaces.entrance import is_loopback
from workdocket.surfaces.identity import Caller
from workdocket.surfaces.logs import configure
from workdocket.surfaces.signals import heed

GRACE_SECONDS = 3
"""How long answers that are under way may take once the server ends."""


class Connection(H11Protocol):
    """As uvicorn's, which waits for the head of a request for ever, and stumbles over garbage that comes once an answer
    is on its way: here both only end the connection."""

    head_seconds = 10.0
    """How long a request may take to say what it is about."""

    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_waiting()

    def send_400_response(self, msg: str) -> None:
        if self.cycle is not None:
            self.cycle.disconnected = True
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()

    def _wait_for_head(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif self._late is None:
            self._late = self.loop.call_later(self.head_seconds, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None


class Server(uvicorn.Server):
    """Says where it listens once it does; signals are somebody else's."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._started()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def serve(settings: Settings, local: Caller) -> int:
    """Serve until a signal comes; returns the exit code. ``local`` is who calls where no token is asked for."""
    configure(settings.log_level, settings.log_format)
    with as_raised():
        return anyio.run(_serve, settings, local)


async def _serve(settings: Settings, local: Caller) -> int:
    async with open_app(settings, sweep=True) as house:
        gc.freeze()
        gc.enable()
        await _must_be_safe(house)
        with listening(settings.host, settings.port) as place:
            return await _until_signalled(house, local, place)


async def _until_signalled(house: App, local: Caller, place: socket.socket) -> int:
    web = Web(house, local)
    config = uvicorn.Config(
        web.app,
        http=Connection,
        lifespan="on",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = Server(config, lambda: _announce(place))
    code = 0
    async with anyio.create_task_group() as group:

        def end(number: int) -> None:
            nonlocal code
            code = 128 + number
            server.force_exit = server.should_exit
            server.should_exit = True
            web.close()

        await group.start(heed, end)
        await server.serve([place])
        group.cancel_scope.cancel()
    return code


async def _must_be_safe(house: App) -> None:
    if is_loopback(house.settings.host):
        return
    if not await house.tokens.demanded():
        raise WorkError(
            "invalid_request",
            f"on {house.settings.host} other machines reach this server, and there is no token yet",
            hint="Make one with: workdocket token create NAME --role ROLE. Or listen on 127.0.0.1.",
        )
    await house.tokens.must_suffice()


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens there; raises ``WorkError`` where that is not possible."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        place = socket.create_server((host.strip("[]"), port), family=family, backlog=1024)
    except OSError as error:
        message = f"cannot listen on {host} port {port}: {error.strerror}"
        raise WorkError("invalid_request", message, hint="Choose another with --port or --host.") from error
    with place:
        # Taken over by each connection. asyncio would see to it, but not for a socket that it did not make; and without
        # it the second half of an answer waits for the client's word on the first, which takes 40 ms.
        place.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield place


def _announce(place: socket.socket) -> None:
    host, port = place.getsockname()[:2]
    shown = f"[{host}]" if ":" in host else host
    print(f"listening on http://{shown}:{port}", file=sys.stderr, flush=True)  # noqa: T201 - to whoever started it
