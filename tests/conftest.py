"""Fixtures that every test may use."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

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


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The sums of what tests counted: ``record_property("figures", (of what, {name: number}))``."""
    sums: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for report in (one for found in terminalreporter.stats.values() for one in found):
        for name, value in getattr(report, "user_properties", ()):
            if name == "figures" and report.when == "call":
                sums[value[0]].update(value[1])
    for of_what, figures in sums.items():
        counted = ", ".join(f"{number} {name}" for name, number in figures.items())
        terminalreporter.write_line(f"{of_what}: {counted}")
