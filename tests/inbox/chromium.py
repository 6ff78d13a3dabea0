"""The Chromium of this machine. A missing one is a fault, never a reason to leave tests out."""

from __future__ import annotations

import shutil

from playwright.async_api import Browser, Playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
START_SECONDS = 20


async def started(playwright: Playwright) -> Browser:
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    assert found, "There is no Chromium here. On Debian: apt-get install chromium"
    return await playwright.chromium.launch(executable_path=found, args=["--no-sandbox"], timeout=START_SECONDS * 1000)
