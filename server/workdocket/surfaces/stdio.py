"""MCP over standard input and output: protocol only on stdout from the first byte, and an end within two seconds."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import stat
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
from mcp.server import ServerRequestContext
from mcp.server.context import CallNext, HandlerResult
from mcp.server.stdio import stdio_server

from workdocket.raised import as_raised
from workdocket.settings import Settings
from workdocket.surfaces import envelope
from workdocket.surfaces.identity import Caller
from workdocket.surfaces.logs import configure
from workdocket.surfaces.server import Door
from workdocket.surfaces.signals import heed

log = logging.getLogger("workdocket.stdio")

LONGEST_LINE = 64 << 20
LAST_SECONDS = 1.0
LAST_ANSWERS_SECONDS = 1.0
"""How long a client that has closed its end may take to read the last answers."""

QUIET_SECONDS = 0.5
AT_THE_DOOR = {"initialize", "notifications/initialized", "ping", "server/discover", "tools/list"}


AtEnd = Callable[[Callable[[], None]], None]
"""Told when there will be no more calls, and how to drop what is not read."""


class Lines:
    """Standard input, a line at a time, read by the event loop. What is no message is answered here: further in it
    would be dropped without a word, and its sender would wait for nothing."""

    def __init__(self, reader: asyncio.StreamReader, wire: Wire, at_end: Callable[[], None]) -> None:
        self._reader = reader
        self._wire = wire
        self._at_end = at_end

    async def __aiter__(self) -> AsyncIterator[str]:
        while True:
            try:
                line = await self._reader.readline()
            except ValueError:
                yield "a line longer than this server reads"
                continue
            if not line:
                self._at_end()
                return
            try:
                envelope.opened(line)
            except envelope.Unfit as unfit:
                log.warning("a message is refused: %s", unfit.fault[:300])
                for number in unfit.ids:
                    await self._wire.write(unfit.answer(number) + "\n")
                    await self._wire.flush()
            else:
                yield line.decode()


class Wire:
    """Standard output, written by the event loop until nobody is taken to read it any more."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._dropped = False

    def drop(self) -> None:
        self._dropped = True
        if not self._writer.is_closing():
            self._writer.transport.abort()

    async def write(self, text: str) -> None:
        if not self._dropped:
            self._writer.write(text.encode())

    async def flush(self) -> None:
        if not self._dropped:
            await self._writer.drain()


def _is_pipe(fd: int) -> bool:
    mode = os.fstat(fd).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def divert() -> tuple[int, int] | None:
    """Take the wire away from everything else: prints go to stderr. ``None`` where the loop can't read the wire."""
    if sys.platform == "win32" or not (_is_pipe(0) and _is_pipe(1)):
        return None
    sys.stdout.flush()
    wire = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return wire


@asynccontextmanager
async def _streams(wire: tuple[int, int] | None, at_end: AtEnd) -> AsyncIterator[tuple[Any, Any]]:
    if wire is None:
        async with stdio_server() as streams:
            yield streams
        return
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LONGEST_LINE)
    incoming, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(wire[0], "rb", 0)
    )
    outgoing, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, os.fdopen(wire[1], "wb", 0))
    writer = asyncio.StreamWriter(outgoing, protocol, None, loop)
    try:
        out = Wire(writer)
        lines = Lines(reader, out, lambda: at_end(out.drop))
        async with stdio_server(stdin=lines, stdout=out) as streams:  # type: ignore[arg-type]
            yield streams
    finally:
        incoming.close()
        outgoing.close()


class Opening:
    """The house behind a door, opened when somebody asks for what is in it, or for nothing for a moment.

    A host that starts many servers waits for what each of them can do, and the door alone knows that.
    """

    def __init__(self, door: Door) -> None:
        self._door = door
        self._drop: Callable[[], None] | None = None
        self._asked = anyio.Event()
        self._open = anyio.Event()
        self._over = anyio.Event()
        self._quiet = anyio.CancelScope()
        door.middleware.append(self._hold)

    async def _hold(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        self._quiet.deadline = anyio.current_time() + QUIET_SECONDS
        if ctx.method not in AT_THE_DOOR:
            self._asked.set()
            await self._open.wait()
        return await call_next(ctx)

    async def keep(self, settings: Settings) -> None:
        """Open it in time, and close it at the end; raises what opening it raises."""
        self._quiet.deadline = anyio.current_time() + QUIET_SECONDS
        with self._quiet:
            await self._asked.wait()
        from workdocket.app import open_app

        async with open_app(settings, sweep=True) as app:
            gc.freeze()
            gc.enable()
            self._door.let_in(app)
            self._open.set()
            self._count_down()
            await self._over.wait()

    def last_call(self, drop: Callable[[], None]) -> None:
        """There will be no more calls: answers that nobody has read by then are dropped, counted from an open house."""
        self._drop = drop
        self._asked.set()
        self._count_down()

    def _count_down(self) -> None:
        if self._drop is not None and self._open.is_set():
            asyncio.get_running_loop().call_later(LAST_ANSWERS_SECONDS, self._drop)

    def end(self) -> None:
        self._asked.set()
        self._over.set()


async def _serve(settings: Settings, caller: Caller, wire: tuple[int, int] | None) -> int:
    code = 0
    async with anyio.create_task_group() as group:

        def end(number: int) -> None:
            nonlocal code
            code = 128 + number
            group.cancel_scope.cancel()

        if sys.platform != "win32":
            await group.start(heed, end)
        door = Door(None, lambda: caller)
        opening = Opening(door)
        async with anyio.create_task_group() as house:
            async with _streams(wire, opening.last_call) as (incoming, outgoing):
                house.start_soon(opening.keep, settings)
                server = door._lowlevel_server
                await server.run(incoming, outgoing, server.create_initialization_options())
            opening.end()
        group.cancel_scope.cancel()
    return code


def serve(settings: Settings, caller: Caller) -> int:
    """Serve until the client closes the pipe or a signal comes; returns the exit code."""
    wire = divert()
    configure(settings.log_level, settings.log_format)
    with as_raised():
        code = anyio.run(_serve, settings, caller, wire)
    _leave(code)
    return code


def _leave(code: int) -> None:
    """Plug-in code that is stuck in a thread does not keep the process: its effect is resumed by the next one."""
    stuck = [one for one in threading.enumerate() if one is not threading.main_thread() and not one.daemon]
    for thread in stuck:
        thread.join(LAST_SECONDS / len(stuck))
    if any(thread.is_alive() for thread in stuck):
        sys.stderr.flush()
        os._exit(code)
