"""The MCP door of a house, for a client in this process, and what is behind it on disk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp import Client
from mcp.types import CallToolResult

from tests.support.harness import House
from workdocket.storage.engine import dbapi
from workdocket.surfaces.identity import ROLES, local_caller
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
    caller = local_caller(name, roles or ROLES)
    async with Client(Door(home.app, lambda: caller), mode=mode) as client:
        yield Visitor(client, [])


def stored(folder: Path) -> dict[str, list[Any]]:
    """Every row of every table. Another SQLite library in this process would take away the locks of the product's."""
    with closing(dbapi.connect(f"file:{folder / 'work.db'}?mode=ro", uri=True)) as database:
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {table: database.execute(f"SELECT * FROM {table}").fetchall() for table in tables}
