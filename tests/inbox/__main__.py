"""The pictures of the inbox in the documentation: taken of a seeded shop, with the clock standing still."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from playwright.async_api import async_playwright

from tests.inbox.chromium import started
from tests.support.pages import REPOSITORY
from tests.support.reviewing import busy_day, office

IMAGES = REPOSITORY / "docs" / "images"
WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
SELECTED = 3


async def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        async with office(Path(name)) as desk, async_playwright() as playwright:
            ids = await busy_day(desk.house, Path(name))
            browser = await started(playwright)
            for picture, path, size, scheme in (
                ("inbox-queue", "/", WIDE, "light"),
                ("inbox-queue-dark", "/", WIDE, "dark"),
                ("inbox-order", f"/orders/{ids['page']}", WIDE, "light"),
                ("inbox-order-dark", f"/orders/{ids['hostile']}", WIDE, "dark"),
                ("inbox-leases", "/leases", WIDE, "light"),
                ("inbox-flow", "/flow", WIDE, "light"),
                ("inbox-narrow", "/", NARROW, "light"),
            ):
                page = await browser.new_page(base_url=desk.url, viewport=size, color_scheme=scheme)  # type: ignore[arg-type]
                await page.goto(path)
                for box in (await page.get_by_role("checkbox", name="Select WO").all())[1 : 1 + SELECTED]:
                    await box.check()
                await page.mouse.move(0, 0)
                await page.evaluate("document.activeElement.blur(); window.scrollTo(0, 0)")
                await page.screenshot(path=IMAGES / f"{picture}.png", animations="disabled")
                await page.close()
                print(IMAGES / f"{picture}.png")
            await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
