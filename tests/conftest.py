"""Fixtures that every test may use."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.support.harness import House, house
from tests.support.kept import kept

settings.register_profile("here", deadline=None)  # how long an example takes is the machine's affair
settings.load_profile("here")


@pytest.fixture
async def home(tmp_path: Path) -> AsyncIterator[House]:
    """The product with the usual settings."""
    async with kept(house(tmp_path)) as found:
        yield found


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
