"""How names and values are shown in a message."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

LONGEST_VALUE = 100


def nearest(name: str, known: Iterable[str]) -> str:
    """A question to append to a message, or nothing: ``; did you mean 'minimum'?``."""
    close = get_close_matches(name[:LONGEST_VALUE], known, 1)
    return f"; did you mean {close[0]!r}?" if close else ""


_BRIEF = reprlib.Repr()
_BRIEF.maxstring = _BRIEF.maxother = _BRIEF.maxlong = LONGEST_VALUE


def brief(value: Any) -> str:
    shown = _BRIEF.repr(value)
    return shown if len(shown) <= LONGEST_VALUE else f"{shown[:LONGEST_VALUE]}…"
