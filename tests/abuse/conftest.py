"""One server for the tests of a module, and all doors to it: it has to be well after each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.abuse.doors import Http, piped, session, streamed
from tests.abuse.sockets import abused, defects
from tests.support.web import Served


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("abused")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(folder: Path) -> AsyncIterator[Served]:
    async with abused(folder) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ways(server: Served, folder: Path) -> AsyncIterator[dict[str, Any]]:
    """Every door, by its name."""
    async with AsyncExitStack() as open_:
        yield {
            "stdio-2025": await open_.enter_async_context(piped(folder, False, "--actor", "old")),
            "stdio-2026": await open_.enter_async_context(piped(folder, True, "--actor", "new")),
            "mcp-2025": Http(server, await session(server)),
            "mcp-2026": Http(server, None),
            "sse-2025": await open_.enter_async_context(streamed(server, False)),
            "sse-2026": await open_.enter_async_context(streamed(server, True)),
        }


@pytest.fixture(autouse=True)
def well(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each test has its own defects."""
    yield
    if "server" in request.fixturenames:
        assert not defects(request.getfixturevalue("server").said)
