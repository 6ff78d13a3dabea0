"""A house with the types of the guarded host."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.harness import LIMIT, CountedIds, HandClock, House, Person, settings_for
from tests.support.host import TYPES
from workdocket.app import open_app


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    """A house with these types and a clock that shows the time at which the guard looks."""
    opened: asyncio.Future[House] = asyncio.get_running_loop().create_future()
    over = asyncio.Event()

    async def keep() -> None:
        clock, ids = HandClock(time.time_ns() // 1_000_000), CountedIds()
        async with open_app(settings_for(tmp_path), registry=TYPES, clock=clock, ids=ids, sweep=False) as app:
            opened.set_result(House(app, clock, ids))
            await over.wait()

    keeper = asyncio.create_task(keep())
    yield await asyncio.wait_for(opened, LIMIT)
    over.set()
    await keeper


@pytest.fixture
def work(home: House) -> Person:
    return home.person("agent")
