"""MCP over streamable HTTP: the SDK's sessions, each with its own memory of what it sent last.

A client of the handshake era that lost a stream comes back with the id of the last event it saw (``Last-Event-ID``) and
is sent what came after. Clients of the later era have no sessions; they make the call again.
"""

from __future__ import annotations

from collections import deque
from itertools import count, dropwhile, islice
from typing import Any

from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.types import JSONRPCMessage

EVENTS_KEPT = 32
RETRY_MS = 1000
"""How long a client waits before it comes back for the rest of a stream."""


class LastEvents(EventStore):
    """The last events of one session. An event that is no longer there resumes nothing."""

    def __init__(self) -> None:
        self._kept: deque[tuple[str, str, JSONRPCMessage | None]] = deque(maxlen=EVENTS_KEPT)
        self._numbers = count(1)

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        event_id = str(next(self._numbers))
        self._kept.append((event_id, stream_id, message))
        return event_id

    async def replay_events_after(self, last_event_id: str, send_callback: EventCallback) -> str | None:
        rest = list(dropwhile(lambda event: event[0] != last_event_id, self._kept))
        if not rest:
            return None
        stream_id = rest[0][1]
        for event_id, stream, message in islice(rest, 1, None):
            if stream == stream_id and message is not None:
                await send_callback(EventMessage(message, event_id))
        return stream_id


class Sessions(StreamableHTTPSessionManager):
    """Gives each session a store of its own: the ids of streams are those of requests, the same in every session."""

    def __init__(self, app: Any, **more: Any) -> None:
        super().__init__(app, retry_interval=RETRY_MS, **more)

    @property
    def event_store(self) -> EventStore:
        return LastEvents()

    @event_store.setter
    def event_store(self, none: EventStore | None) -> None:
        """The SDK would share one among all sessions."""
