"""A program given a message on its standard input. It gets no shell, no secret of ours, and no end of time."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import anyio
from anyio import to_thread

from workdocket.channel import NotDelivered
from workdocket.delivery.surroundings import reduced_environment

log = logging.getLogger("workdocket.delivery")

SECONDS = 30.0
"""How long a program may take."""
GRACE_SECONDS = 1.0
"""How long the rest of its output, or its end after it was killed, is waited for."""
LONGEST_OUTPUT = 4096


class Running(asyncio.SubprocessProtocol):
    """The beginning of what a program says, and whether it has ended and said all of it."""

    def __init__(self) -> None:
        self.output = bytearray()
        self.ended = asyncio.Event()
        self.silent = asyncio.Event()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self.output += data[: LONGEST_OUTPUT - len(self.output)]

    def process_exited(self) -> None:
        self.ended.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.silent.set()


async def run(program: Sequence[str], given: bytes, *, seconds: float = SECONDS) -> None:
    """Run a program to its end; killed with all that it started when it takes too long or nobody waits any more.

    Raises ``NotDelivered`` unless it ends with 0.
    """
    name = Path(program[0]).name
    try:
        transport, running = await asyncio.get_running_loop().subprocess_exec(
            Running, *program, env=reduced_environment(), stderr=subprocess.STDOUT, start_new_session=True
        )
    except (OSError, ValueError) as error:
        raise NotDelivered(
            f"{name} cannot be run: {getattr(error, 'strerror', None) or type(error).__name__}"
        ) from None
    late = False
    try:
        stdin = transport.get_pipe_transport(0)
        assert isinstance(stdin, asyncio.WriteTransport)
        stdin.write(given)
        stdin.close()
        with anyio.move_on_after(seconds) as limit:
            await running.ended.wait()
        late = limit.cancelled_caught
        with anyio.move_on_after(0 if late else GRACE_SECONDS):
            await running.silent.wait()
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(GRACE_SECONDS):
            if not running.ended.is_set():
                await to_thread.run_sync(_kill, transport.get_pid())
                await running.ended.wait()
        transport.close()
        log.debug("%s said %r", name, bytes(running.output))
    if late:
        raise NotDelivered(f"{name} was not done after {seconds:g} s, and was killed")
    if code := transport.get_returncode():
        raise NotDelivered(f"{name} ended with {code}")


def _kill(pid: int) -> None:
    """A program and what it has started."""
    if sys.platform == "win32":
        subprocess.run(["taskkill", "/F", "/T", "/PID", str(pid)], check=False, capture_output=True)
    else:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
