"""The reference pages, each made from the code that it describes. A new one is a function under ``@page``."""

from __future__ import annotations

from collections.abc import Callable, Iterable

Page = Callable[[], Iterable[str]]
PAGES: dict[str, Page] = {}


def page(name: str) -> Callable[[Page], Page]:
    def register(lines: Page) -> Page:
        PAGES[name] = lines
        return lines

    return register
