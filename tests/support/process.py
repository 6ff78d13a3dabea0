"""A server as a process in the test's hand: spoken to line by line, so that it can be garbled, killed and watched."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.harness import LIMIT, TYPES, Refusal, passed_on

HANDSHAKE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "raw", "version": "1"},
}


START_LIMIT = 20.0
"""Seconds for a process to come up: mostly imports, which crawl on a machine that does other things as well."""


class Gone(Exception):
    """The server ended before it answered."""


def environment(folder: Path, **more: str) -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "WORKDOCKET_DATABASE": f"sqlite:///{folder / 'work.db'}",
        "WORKDOCKET_ORDER_TYPES": json.dumps([str(TYPES)]),
        **passed_on(),
        **more,
    }


@dataclass
class Server:
    """One process. ``written`` is every byte it put on stdout; what it put on stderr is in the file ``log``."""

    process: asyncio.subprocess.Process
    log: Path
    written: bytearray = field(default_factory=bytearray)
    _next: int = 0
    _waiting: dict[Any, asyncio.Future[dict[str, Any]]] = field(default_factory=dict)
    _reading: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, folder: Path, *options: str, program: tuple[str, ...] = (), **more: str) -> Server:
        """``workdocket serve`` as a host starts it, or another ``program`` in its place."""
        log = folder / f"{'-'.join(options).replace('/', '') or 'serve'}.log"
        with log.open("ab") as stderr:
            process = await asyncio.create_subprocess_exec(
                sys.executable, *(program or ("-m", "workdocket", "serve")), *options,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=stderr,
                limit=64 << 20, cwd=folder, env=environment(folder, **more),
            )  # fmt: skip
        server = cls(process, log)
        server._reading = asyncio.create_task(server._read())
        return server

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            self.written += line
            message = json.loads(line)
            answer = self._waiting.pop(message.get("id"), None) if "method" not in message else None
            if answer is not None and not answer.done():
                answer.set_result(message)
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(Gone())

    def write(self, raw: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(raw)

    def close_stdin(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    def begin(self, method: str, params: dict[str, Any]) -> asyncio.Future[dict[str, Any]]:
        """Send a request; the future is its whole answer."""
        self._next += 1
        answer = self.expect(self._next)
        request = {"jsonrpc": "2.0", "id": self._next, "method": method, "params": params}
        self.write(json.dumps(request).encode() + b"\n")
        return answer

    def expect(self, number: Any) -> asyncio.Future[dict[str, Any]]:
        """The answer to what is sent next under that id."""
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        if self._reading is not None and self._reading.done():
            answer.set_exception(Gone())
        return answer

    async def request(self, method: str, **params: Any) -> Any:
        async with asyncio.timeout(LIMIT):
            return (await self.begin(method, params))["result"]

    async def greet(self) -> Server:
        """The handshake, after which tools can be called."""
        async with asyncio.timeout(START_LIMIT):
            await self.begin("initialize", HANDSHAKE)
        self.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
        return self

    def begin_call(self, tool: str, **arguments: Any) -> asyncio.Future[dict[str, Any]]:
        return self.begin("tools/call", {"name": tool, "arguments": arguments})

    async def call(self, tool: str, **arguments: Any) -> tuple[str | None, dict[str, Any]]:
        """The code of the refusal, if it is one, and the structured content."""
        result = await self.request("tools/call", name=tool, arguments=arguments)
        answer: dict[str, Any] = result["structuredContent"]
        return (answer["error"]["code"] if result.get("isError") else None), answer

    async def ok(self, tool: str, **arguments: Any) -> dict[str, Any]:
        refusal, answer = await self.call(tool, **arguments)
        if refusal:
            raise Refusal(json.dumps(answer))
        return answer

    async def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        if self.process.returncode is None:
            self.process.kill()
        await self.ended()

    async def ended(self, within: float = LIMIT) -> int:
        """The exit code, once the process has ended and all of its output is read."""
        assert self._reading is not None
        async with asyncio.timeout(within):
            code = await self.process.wait()
            await self._reading
        for answer in self._waiting.values():
            answer.exception() if answer.done() and not answer.cancelled() else answer.cancel()
        self.close_stdin()
        return code


@asynccontextmanager
async def serving(folder: Path, *options: str, **more: Any) -> AsyncIterator[Server]:
    """A server that has shaken hands; killed at the end if it is still there."""
    started = await Server.start(folder, *options, **more)
    try:
        yield await started.greet()
    finally:
        await started.kill()


@asynccontextmanager
async def frozen(server: Server) -> AsyncIterator[None]:
    """The process stopped wherever it is, as when the lid of a laptop is shut; it goes on at the end."""
    process = server.process.pid
    server.process.send_signal(signal.SIGSTOP)
    try:
        await comes_true(lambda: os.waitpid(process, os.WUNTRACED | os.WNOHANG)[0] == process)
        yield
    finally:
        server.process.send_signal(signal.SIGCONT)


async def comes_true(fact: Callable[[], bool], within: float = LIMIT) -> None:
    """Wait for something that another process does to the file system."""
    async with asyncio.timeout(within):
        while not fact():  # noqa: ASYNC110 - nothing in this process could set an event
            await asyncio.sleep(0.005)
