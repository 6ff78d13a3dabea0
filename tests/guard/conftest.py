"""A house with the types of the guarded host."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.harness import CountedIds, HandClock, House, Person, settings_for
from tests.support.host import TYPES
from tests.support.kept import kept
from workdocket.app import open_app


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    """A house with these types and a clock that shows the time at which the guard looks."""
    clock, ids = HandClock(time.time_ns() // 1_000_000), CountedIds()
    async with kept(open_app(settings_for(tmp_path), registry=TYPES, clock=clock, ids=ids, sweep=False)) as app:
        yield House(app, clock, ids)


@pytest.fixture
def work(home: House) -> Person:
    return home.person("agent")
