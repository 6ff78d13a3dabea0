"""A command on a terminal of its own, as somebody at a keyboard meets it: what it asks is waited for, then answered."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.harness import LIMIT
from tests.support.process import START_LIMIT, environment

TAKE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(1, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, "-m", "workdocket", *sys.argv[1:]])
"""
COLOURS = re.compile("\x1b\\[[0-9;]*m")


@dataclass
class Terminal:
    """``shown`` is all that came on the screen, ``unread`` what came since the last question that was met."""

    process: subprocess.Popen[bytes]
    keyboard: int
    screen: int
    shown: str = ""
    unread: str = field(default="")

    def until(self, *questions: str, within: float = LIMIT) -> re.Match[str]:
        """The first of these patterns to come, and all of ``unread`` up to its end taken as read."""
        wanted = re.compile("|".join(questions))
        end = time.monotonic() + within
        while not (found := wanted.search(self.unread)):
            if not self._more(end):
                raise AssertionError(f"no {' or '.join(questions)} after {self.unread[-2_000:]!r}")
        self.unread = self.unread[found.end() :]
        return found

    def press(self, keys: str) -> None:
        os.write(self.keyboard, keys.encode())

    def ended(self, within: float = LIMIT) -> int:
        """The exit code, once all that it wrote is read."""
        end = time.monotonic() + within
        while self._more(end):
            pass
        return self.process.wait(max(end - time.monotonic(), 0.1))

    @property
    def lines(self) -> list[str]:
        """What was shown, without colours."""
        return COLOURS.sub("", self.shown).replace("\r\n", "\n").split("\n")

    def _more(self, end: float) -> bool:
        """Whether there was more to read before the time is over, and the other side there to write it."""
        if not select.select([self.screen], [], [], max(end - time.monotonic(), 0))[0]:
            return False
        try:
            read = os.read(self.screen, 65536)
        except OSError:
            return False
        text = read.decode(errors="replace")
        self.shown += text
        self.unread += COLOURS.sub("", text)
        return bool(read)


@contextmanager
def terminal(
    folder: Path, *words: str, columns: int = 80, piped: bool = False, until: str = "> ", **more: str
) -> Iterator[Terminal]:
    """``workdocket`` with these words, met at its first question; with ``piped`` it is answered through a pipe."""
    screen, other_end = pty.openpty()
    fcntl.ioctl(other_end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    given, keyboard = os.pipe() if piped else (other_end, screen)
    process = subprocess.Popen(
        [sys.executable, "-c", TAKE_TERMINAL, *words],
        stdin=given, stdout=other_end, stderr=other_end, cwd=folder, start_new_session=True,
        env=environment(folder, LANG="C.UTF-8", **{"TERM": "dumb", **more}),
    )  # fmt: skip
    try:
        for one in {given, other_end}:
            os.close(one)
        met = Terminal(process, keyboard, screen)
        met.until(until, within=START_LIMIT)
        yield met
    finally:
        process.kill()
        process.wait(LIMIT)
        for one in {screen, keyboard}:
            close(one)


def close(one: int) -> None:
    try:
        os.close(one)
    except OSError:
        return
