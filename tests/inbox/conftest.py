"""A real Chromium for the whole run, and an inbox of its own for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from tests.inbox.chromium import started
from tests.support.harness import LIMIT
from tests.support.kept import kept
from tests.support.reviewing import Crew, Office, office


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        launched = await started(playwright)
        yield launched
        await launched.close()


@pytest_asyncio.fixture(loop_scope="session")
async def desk(tmp_path: Path) -> AsyncIterator[Office]:
    async with kept(office(tmp_path)) as found:
        yield found


@pytest.fixture
def crew(desk: Office) -> Crew:
    return Crew(desk.house)


@pytest_asyncio.fixture(loop_scope="session")
async def page(browser: Browser, desk: Office) -> AsyncIterator[Page]:
    async for found in _page(browser, desk):
        yield found


@pytest_asyncio.fixture(loop_scope="session")
async def other(browser: Browser, desk: Office) -> AsyncIterator[Page]:
    """Of another person, with another browser profile."""
    async for found in _page(browser, desk):
        yield found


async def _page(browser: Browser, desk: Office) -> AsyncIterator[Page]:
    """Fails the test for anything that the page complains of."""
    context = await browser.new_context(base_url=desk.url, viewport={"width": 1280, "height": 860})
    context.set_default_timeout(LIMIT * 1000)
    page = await context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda said: complaints.append(said.text) if "Content Security Policy" in said.text else None)
    yield page
    await context.close()
    assert complaints == []
