"""The test's side of the processes that serve a walk. No answer is waited for longer than a test may wait."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from tests.support.harness import LIMIT, TYPES, passed_on
from tests.support.process import START_LIMIT

Answer = dict[str, Any]

PROGRAM = Path(__file__).with_name("zygote.py")


class Gone(Exception):
    """The process ended before it answered."""


class Line:
    """A socket on which JSON texts come back, one on a line."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.sock.settimeout(LIMIT)
        self._lines = sock.makefile("rb")

    def heard(self, asked: Any) -> Answer:
        try:
            line = self._lines.readline()
        except TimeoutError:
            raise AssertionError(f"no answer within {LIMIT:g} s to {asked}") from None
        except ConnectionResetError:
            line = b""
        if not line.endswith(b"\n"):
            raise Gone(asked)
        answer: Answer = json.loads(line)
        return answer

    def say(self, message: Answer) -> None:
        try:
            self.sock.sendall(json.dumps(message).encode() + b"\n")
        except BrokenPipeError:
            raise Gone(message) from None

    def close(self) -> None:
        self._lines.close()
        self.sock.close()


class Zygote:
    """Forks worker processes, and says what became of them."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(PROGRAM), str(theirs.fileno()), str(TYPES)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={"PATH": "/usr/bin:/bin", **passed_on()},
            )
        self._line = Line(ours)
        self._line.sock.settimeout(START_LIMIT)
        self._line.heard("start")
        self._line.sock.settimeout(LIMIT)
        self._names = count(1)

    def start(self, folder: Path, settings: dict[str, Any]) -> Worker:
        ours, theirs = socket.socketpair()
        task = {"folder": str(folder), "settings": settings, "ids": f"t{next(self._names)}"}
        with theirs:
            socket.send_fds(self._line.sock, [json.dumps(task).encode()], [theirs.fileno()])
            pid = self._line.heard(task)["pid"]
        return Worker(self, pid, Line(ours))

    def reap(self, pid: int) -> int:
        """The status of a worker that has ended, or is about to. Its locks are gone then."""
        self._line.sock.sendall(json.dumps({"reap": pid}).encode())
        status: int = self._line.heard(f"reap {pid}")["status"]
        return status

    def close(self) -> None:
        self._line.close()
        self._process.wait(LIMIT)


class Worker:
    """One process that has the product open."""

    def __init__(self, zygote: Zygote, pid: int, line: Line) -> None:
        self._zygote = zygote
        self._line = line
        self.pid = pid
        self._line.heard("open")

    def call(self, request: Answer) -> tuple[Answer | None, bool]:
        """The answer, ``None`` if the process ended before; and whether it lives on, with nothing left to do."""
        answer = None
        try:
            self._line.say(request)
            answer = self._line.heard(request)
            self._line.heard(f"the end of what follows {request}")
        except Gone:
            return answer, False
        return answer, True

    def ended(self) -> int:
        """Its status, as of a process that ends or has ended by itself."""
        self._line.close()
        return self._zygote.reap(self.pid)

    def stop(self) -> int:
        """Its status after it has closed in good order."""
        self._line.say({"stop": True})
        with_pending = self._line
        status = self._zygote.reap(self.pid)
        with_pending.close()
        return status


@contextmanager
def zygote() -> Iterator[Zygote]:
    made = Zygote()
    try:
        yield made
    finally:
        made.close()


def fork_is_possible() -> bool:
    return hasattr(os, "fork") and hasattr(socket, "send_fds")
