"""The MCP door of a house, for a client in this process, and what is behind it on disk."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp import Client
from mcp.types import (
    CallToolResult,
    EmptyResult,
    ResourceUpdatedNotification,
    SubscribeRequest,
    SubscribeRequestParams,
    UnsubscribeRequest,
    UnsubscribeRequestParams,
)

from tests.support.harness import LIMIT, House
from workdocket.storage.engine import dbapi
from workdocket.surfaces.identity import ROLES, Caller, local_caller
from workdocket.surfaces.server import Door


@dataclass
class Visitor:
    """A real MCP client that keeps what it sent and heard."""

    client: Client
    heard: list[tuple[str, dict[str, Any], CallToolResult]]

    async def call(self, tool: str, **arguments: Any) -> CallToolResult:
        result = await self.client.call_tool(tool, arguments)
        assert isinstance(result, CallToolResult)
        self.heard.append((tool, arguments, result))
        return result

    async def ok(self, tool: str, **arguments: Any) -> dict[str, Any]:
        result = await self.call(tool, **arguments)
        assert not result.is_error, result
        assert result.structured_content is not None
        return result.structured_content

    async def refused(self, tool: str, **arguments: Any) -> dict[str, Any]:
        result = await self.call(tool, **arguments)
        assert result.is_error, result
        assert result.structured_content is not None
        error: dict[str, Any] = result.structured_content["error"]
        return error


@asynccontextmanager
async def visit(home: House, name: str = "ann", *roles: str, mode: Any = "auto") -> AsyncIterator[Visitor]:
    async with Client(door(home, name, *roles), mode=mode) as client:
        yield Visitor(client, [])


def door(home: House, name: str = "ann", *roles: str, **more: Any) -> Door:
    return door_of(home, local_caller(name, roles or ROLES), **more)


def door_of(home: House, caller: Caller, **more: Any) -> Door:
    return Door(home.app, lambda: caller, **more)


@dataclass
class Listener:
    """A client that has subscribed to addresses, and the addresses that it was told about."""

    client: Client
    told: asyncio.Queue[str]

    async def next(self) -> str:
        async with asyncio.timeout(LIMIT):
            return await self.told.get()

    async def until(self, uri: str) -> None:
        while await self.next() != uri:
            pass

    async def subscribe(self, uri: str) -> None:
        """As a client of the handshake era does it."""
        await self.client.session.send_request(SubscribeRequest(params=SubscribeRequestParams(uri=uri)), EmptyResult)

    async def unsubscribe(self, uri: str) -> None:
        await self.client.session.send_request(
            UnsubscribeRequest(params=UnsubscribeRequestParams(uri=uri)), EmptyResult
        )


@asynccontextmanager
async def listening(server: Any, mode: Any, *addresses: str) -> AsyncIterator[Listener]:
    """A client of either era on a door, or on a process, that wants to be told about the addresses."""
    told: asyncio.Queue[str] = asyncio.Queue()

    async def keep(message: Any) -> None:
        if isinstance(message, ResourceUpdatedNotification):
            told.put_nowait(message.params.uri)

    async with Client(server, mode=mode, message_handler=keep) as client:
        listener = Listener(client, told)
        if mode == "legacy":
            for uri in addresses:
                await listener.subscribe(uri)
            yield listener
        else:
            async with client.listen(resource_subscriptions=addresses):
                yield listener


def stored(folder: Path) -> dict[str, list[Any]]:
    """Every row of every table. Another SQLite library in this process would take away the locks of the product's."""
    with closing(dbapi.connect(f"file:{folder / 'work.db'}?mode=ro", uri=True)) as database:
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {table: database.execute(f"SELECT * FROM {table}").fetchall() for table in tables}
