"""Tells open pages that something moved: a stream of server-sent events, which names orders and nothing else."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial

import anyio
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from workdocket.domain.errors import WorkError
from workdocket.ports import EventQuery, ReadTx
from workdocket.service.desk import Desk
from workdocket.service.glance import Glances
from workdocket.surfaces.inbox.pages import SAFE

BEAT_SECONDS = 15.0
PACE_SECONDS = 0.2
"""From one notice to the next: a burst of changes is told as one."""

LONGEST_SECONDS = 600.0
"""A stream ends then, and its page opens another: so who listens is asked for anew."""

AT_ONCE = 500
MOST_STREAMS = 12
"""Of one principal."""

MOST_STREAMS_IN_ALL = 256


class Streams:
    """The open streams of this process."""

    def __init__(self, desk: Desk, glances: Glances) -> None:
        self._desk = desk
        self._glances = glances
        self._open: Counter[str] = Counter()

    def stream(self, principal: str, present: Callable[[], Awaitable[bool]], since: tuple[int, int]) -> Stream:
        """A stream for a principal for as long as ``present`` says so. Raises ``WorkError`` for one too many.

        ``since`` are the last event and the turn of the looks that its page is of: it tells what came after.
        """
        if self._open[principal] >= MOST_STREAMS or self._open.total() >= MOST_STREAMS_IN_ALL:
            raise WorkError("limit_exceeded", "too many pages listen at once", limit="streams", value=MOST_STREAMS)
        return Stream(self._desk, self._glances, self._open, principal, present, since)


class Stream:
    """One of them, as an answer to a request."""

    def __init__(
        self,
        desk: Desk,
        glances: Glances,
        count: Counter[str],
        principal: str,
        present: Callable[[], Awaitable[bool]],
        since: tuple[int, int],
    ) -> None:
        self._desk = desk
        self._glances = glances
        self._count = count
        self._principal = principal
        self._present = present
        self._since = since

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        told = {**SAFE, "Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
        headers = [(name.lower().encode(), value.encode()) for name, value in told.items()]
        self._count[self._principal] += 1
        try:
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            async with anyio.create_task_group() as group:

                async def until_gone() -> None:
                    request = Request(scope, receive)
                    while (await request.receive())["type"] != "http.disconnect":
                        pass
                    group.cancel_scope.cancel()

                group.start_soon(until_gone)
                with anyio.move_on_after(LONGEST_SECONDS):
                    await self._tell(send)
                group.cancel_scope.cancel()
            await send({"type": "http.response.body", "body": b""})
        finally:
            self._count[self._principal] -= 1

    async def _tell(self, send: Send) -> None:
        store, (seen, turn) = self._desk.store, self._since
        await _send(send, "open", {})
        while not self._desk.ending:
            tick = store.tick
            if not await self._present():
                await _send(send, "signed-out", {})
                return
            orders, seen = await store.read(partial(_moved, after=seen))
            looked, turn = self._glances.turn != turn, self._glances.turn
            if orders or looked:
                await _send(send, "moved", {"orders": orders, "since": f"at={seen}&turn={turn}"})
            else:
                await send({"type": "http.response.body", "body": b": still here\n\n", "more_body": True})
            await store.wait(tick, BEAT_SECONDS)
            await anyio.sleep(PACE_SECONDS)


def _moved(tx: ReadTx, after: int) -> tuple[list[str], int]:
    """The orders that something happened to since an event, and the last event."""
    events = tx.events(EventQuery(after=after, limit=AT_ONCE))
    return list(dict.fromkeys(event.order_id for event in events)), events[-1].seq if events else after


async def _send(send: Send, event: str, data: object) -> None:
    text = f"event: {event}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n"
    await send({"type": "http.response.body", "body": text.encode(), "more_body": True})
