"""Configuration files of other programs: one entry put in or taken out, and all the rest left as it is.

``jsontext`` and ``tomltext`` edit the text, each by the same three functions; ``place`` reads and writes the file.
"""

from __future__ import annotations

from typing import Any, Protocol


class Broken(ValueError):
    """The text is not what it should be; the message names the line."""


class Unfit(ValueError):
    """The text is sound, but can't be edited without a risk to the rest of it."""


class Form(Protocol):
    """A kind of text. ``path`` leads to the entry from the outermost object, by its keys."""

    def parse(self, text: str) -> dict[str, Any]:
        """What is in the text. Raises :class:`Broken`."""

    def put(self, text: str, path: tuple[str, ...], value: dict[str, Any]) -> str:
        """The text with ``value`` at ``path``. Raises :class:`Broken` or :class:`Unfit`."""

    def drop(self, text: str, path: tuple[str, ...]) -> str:
        """The text without what is at ``path``."""
