"""How a person at a terminal answers: one key where a terminal gives single keys, else a line for each answer."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from workdocket.surfaces.cli import show, texts

try:
    import termios
    import tty
except ImportError:  # where there are no such terminals, every answer is a line
    POSIX = False
else:
    POSIX = True

ESCAPE, END_OF_INPUT = b"\x1b", b"\x04"
LONGEST_LINE = 4096
QUIET_SECONDS = 0.05
"""So long after the last byte of an arrow key or the like, it is over."""


class Ended(Exception):
    """Nobody answers any more."""


class Answers(Protocol):
    single: bool
    """Whether one key is an answer, with nothing behind it."""

    def key(self, question: str) -> str:
        """One key, or what was sent instead of one; "" is Enter."""
        ...

    def line(self, question: str) -> str: ...


def answers() -> Answers:
    return SingleKeys(sys.stdin.fileno()) if POSIX and sys.stdin.isatty() else WholeLines()


class SingleKeys:
    """What was typed before a question was on the screen is thrown away: it is no answer to it."""

    single = True

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal

    def key(self, question: str) -> str:
        with self._one_by_one():
            asked(question)
            first = self._read(1)
            if first == ESCAPE or first > b"\x7f":
                first += self._rest()
        if first == END_OF_INPUT:
            raise Ended
        pressed = first.decode(errors="replace").strip()
        asked(f"{texts.plain(pressed)[:8]}\n")
        return pressed

    def line(self, question: str) -> str:
        asked(question)
        return self._read(LONGEST_LINE).decode(errors="replace").rstrip("\r\n")

    @contextmanager
    def _one_by_one(self) -> Iterator[None]:
        usual = termios.tcgetattr(self._terminal)
        try:
            tty.setcbreak(self._terminal, termios.TCSAFLUSH)
            yield
        finally:
            termios.tcsetattr(self._terminal, termios.TCSADRAIN, usual)

    def _read(self, most: int) -> bytes:
        try:
            found = os.read(self._terminal, most)
        except OSError as error:
            raise Ended from error
        if not found:
            raise Ended
        return found

    def _rest(self) -> bytes:
        found = b""
        while select.select([self._terminal], [], [], QUIET_SECONDS)[0]:
            found += self._read(LONGEST_LINE)
        return found


class WholeLines:
    """A line that has no end is no answer: who sent it was cut off."""

    single = False

    def key(self, question: str) -> str:
        return self.line(question).strip()

    def line(self, question: str) -> str:
        asked(question)
        found = sys.stdin.readline()
        if not found.endswith("\n"):
            raise Ended
        if not sys.stdin.isatty():
            asked(f"{texts.plain(found[:-1])}\n")
        return found.rstrip("\r\n")


def asked(text: str) -> None:
    show.out.file.write(text)
    show.out.file.flush()
