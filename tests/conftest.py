"""Fixtures that every test may use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.harness import House, house


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    """The product with the usual settings, opened and closed in one task, as its task groups ask for."""
    opened: asyncio.Future[House] = asyncio.get_running_loop().create_future()
    over = asyncio.Event()

    async def keep() -> None:
        try:
            async with house(tmp_path) as found:
                opened.set_result(found)
                await over.wait()
        except BaseException as error:
            if opened.done():
                raise
            opened.set_exception(error)

    keeper = asyncio.create_task(keep())
    yield await opened
    over.set()
    await keeper
