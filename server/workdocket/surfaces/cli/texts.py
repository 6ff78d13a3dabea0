"""Texts for a terminal: harmless on one line, and two of many lines compared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.cells import chop_cells
from rich.text import Text

from workdocket.surfaces import texts
from workdocket.surfaces.texts import Change, has_lines, leaves, plain

__all__ = ["Change", "compared", "has_lines", "leaves", "plain"]

COLOURS = {"-": "red", "+": "green"}
TAB = "→   "


def compared(before: Any, after: Any, width: int) -> Iterator[Text]:
    """Two values line by line, each line with a sign, none wider than ``width`` cells.

    A line that is too long goes on after its sign and a mark, so that no part of it passes for a line of its own.
    """
    for sign, line in texts.compared(before, after):
        if sign == "@":
            yield Text(f"@@ {line} @@", style="cyan")
        else:
            yield from _folded(sign, line, width)


def _folded(sign: str, line: str, width: int) -> Iterator[Text]:
    pieces = chop_cells(plain(line.replace("\t", TAB)), max(width - 2, 2)) or [""]
    for n, piece in enumerate(pieces):
        yield Text(f"{sign}{'…' if n else ' '}{piece}".rstrip(), style=COLOURS.get(sign, ""))
