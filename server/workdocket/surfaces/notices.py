"""Tells subscribers what changed, whoever changed it: the log is followed for as long as somebody listens.

Two eras, one bus. A client of the modern era opens a stream, which the SDK serves from the bus. For a session of the
handshake era a ``Reader`` hears the same bus and writes to that session.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import anyio
from mcp.server import ServerRequestContext
from mcp.server.connection import Connection
from mcp.server.session import ServerSession
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    ResourcesListChanged,
    ResourceUpdated,
    ServerEvent,
)
from mcp.types import SubscriptionsListenRequestParams, SubscriptionsListenResult

from workdocket.domain.errors import WorkError
from workdocket.domain.machine import TERMINAL
from workdocket.domain.model import Event
from workdocket.ports import EventQuery, Store
from workdocket.service.desk import Desk
from workdocket.surfaces.resources import QUEUE, address, resolved

log = logging.getLogger("workdocket.notices")

AT_ONCE = 500
"""Events read in one go."""

PACE_SECONDS = 0.1
"""From one round of notices to the next: a burst of changes is told as one."""

LOOK_ANYWAY_SECONDS = 30.0
AFTER_A_FAILURE_SECONDS = 1.0

STUCK_SECONDS = 10.0
"""How long a session may take to read a notice before it is dropped."""

MOST_ADDRESSES = 100
"""Of one session, or of one stream."""

MOST_STREAMS = 32
"""Of one principal."""

MOST_STREAMS_IN_ALL = 512


class Reader:
    """A session of the handshake era: what it has subscribed to, and what it is still to be told, each thing once."""

    def __init__(self, session: ServerSession) -> None:
        self.connection: Connection = session._connection  # a session is of one request, its connection is not
        self.addresses: set[str] = set()
        self.held = AsyncExitStack()
        self.scope = anyio.CancelScope()
        self._session = session
        self._due: dict[str, None] = {}
        self._news = anyio.Event()

    def hear(self, event: ServerEvent) -> None:
        if isinstance(event, ResourceUpdated) and event.uri in self.addresses:
            self._due[event.uri] = None
            self._news.set()

    async def serve(self) -> None:
        """Pass on what is heard until it is dropped, or reads no more."""
        async with self.held:
            with self.scope:
                try:
                    await self._tell()
                except Exception as error:
                    log.warning("a subscriber is dropped: %r", error)

    async def _tell(self) -> None:
        while True:
            await self._news.wait()
            self._news = anyio.Event()
            while self._due:
                uri = next(iter(self._due))
                del self._due[uri]
                with anyio.fail_after(STUCK_SECONDS):
                    await self._session.send_resource_updated(uri)


class Follower:
    """Reads the log on from a place, and publishes what it finds."""

    def __init__(self, store: Store, bus: InMemorySubscriptionBus, place: int) -> None:
        self.scope = anyio.CancelScope()
        self._store = store
        self._bus = bus
        self._place = place

    async def run(self) -> None:
        with self.scope:
            while True:
                try:
                    await self._round()
                except Exception as error:
                    log.warning("the log cannot be followed for now: %r", error)
                    await anyio.sleep(AFTER_A_FAILURE_SECONDS)

    async def _round(self) -> None:
        """Tell what happened since the last round; wait where nothing did."""
        tick = self._store.tick
        events = await self._store.read(lambda tx: tx.events(EventQuery(after=self._place, limit=AT_ONCE)))
        if not events:
            await self._store.wait(tick, LOOK_ANYWAY_SECONDS)
            return
        self._place = events[-1].seq
        for notice in notices(events):
            await self._bus.publish(notice)
        await anyio.sleep(PACE_SECONDS)


class Notices:
    """Everybody who listens at one door."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._bus = InMemorySubscriptionBus()
        self._streams = ListenHandler(self._bus, max_subscriptions=MOST_STREAMS_IN_ALL)
        self._streams_of: Counter[str] = Counter()
        self._readers: dict[Connection, Reader] = {}
        self._admitting = anyio.Lock()
        self._coming = anyio.Lock()
        self._listening = 0
        self._following = anyio.CancelScope()
        self._closed = False

    async def listen(
        self, principal: str, ctx: ServerRequestContext[Any, Any], params: SubscriptionsListenRequestParams
    ) -> SubscriptionsListenResult:
        """One stream of the modern era, until either side ends it. An address that is none of ours is left out of what
        is acknowledged."""
        wanted = params.notifications
        ours = [uri for uri in wanted.resource_subscriptions or () if resolved(uri)]
        self._check_room("addresses", len(ours), MOST_ADDRESSES)
        self._check_room("streams", self._streams_of[principal] + 1, MOST_STREAMS)
        wanted = wanted.model_copy(update={"resource_subscriptions": ours})
        self._streams_of[principal] += 1
        try:
            async with AsyncExitStack() as held:
                if ours or wanted.resources_list_changed:
                    await held.enter_async_context(self._followed())
                return await self._streams(ctx, params.model_copy(update={"notifications": wanted}))
        finally:
            self._streams_of -= Counter([principal])

    async def subscribe(self, session: ServerSession, uri: str) -> None:
        """One more address for a session of the handshake era."""
        async with self._admitting:
            reader = self._readers.get(session._connection)
            has = reader.addresses if reader else set()
            self._check_room("addresses", len(has | {uri}), MOST_ADDRESSES)
            reader = reader or await self._admit(session)
            reader.addresses.add(uri)

    def unsubscribe(self, session: ServerSession, uri: str) -> None:
        reader = self._readers.get(session._connection)
        if reader is not None:
            reader.addresses.discard(uri)
            if not reader.addresses:
                self._drop(reader)

    def close(self) -> None:
        """Let nobody in any more, and end what is open: a stream with a last answer that says so. Does not wait."""
        self._closed = True
        self._streams.close()
        for reader in list(self._readers.values()):
            self._drop(reader)

    def _check_room(self, what: str, wanted: int, most: int) -> None:
        if self._closed:
            raise WorkError("busy", "the server is ending", hint="Connect again.")
        if wanted > most:
            hint = f"Listen to {QUEUE} instead of many."
            raise WorkError("limit_exceeded", f"{most} {what} can be listened to at most", hint=hint, limit=most)

    async def _admit(self, session: ServerSession) -> Reader:
        reader = Reader(session)
        await reader.held.enter_async_context(self._followed())
        reader.held.callback(self._bus.subscribe(reader.hear))
        reader.held.callback(self._drop, reader)
        reader.connection.exit_stack.callback(self._drop, reader)
        self._readers[reader.connection] = reader
        self._desk.start(reader.serve)
        return reader

    def _drop(self, reader: Reader) -> None:
        if self._readers.get(reader.connection) is reader:
            del self._readers[reader.connection]
        reader.scope.cancel()

    @asynccontextmanager
    async def _followed(self) -> AsyncIterator[None]:
        """The log is followed while anybody is in here, from where it was when the first came in."""
        async with self._coming:
            if not self._listening:
                place = await self._desk.store.read(lambda tx: tx.last_event())
                follower = Follower(self._desk.store, self._bus, place)
                self._following = follower.scope
                self._desk.start(follower.run)
            self._listening += 1
        try:
            yield
        finally:
            self._listening -= 1
            if not self._listening:
                self._following.cancel()


def notices(events: Sequence[Event]) -> Iterator[ServerEvent]:
    """What is to be told about events: each address once, and that the list of open orders is another one."""
    yield from (ResourceUpdated(uri=uri) for uri in dict.fromkeys(uri for event in events for uri in _touched(event)))
    if any(
        event.event == "order.proposed" or (event.item_id is None and event.to_state in TERMINAL) for event in events
    ):
        yield ResourcesListChanged()


def _touched(event: Event) -> Iterator[str]:
    yield address("orders", event.order_id)
    if event.item_id is not None:
        yield address("items", event.item_id)
    if event.to_state is not None:
        yield QUEUE
