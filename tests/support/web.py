"""The HTTP door for tests: in this process with a clock in the test's hand, and as a server of its own."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.support.harness import LIMIT, TYPES, House, house, passed_on
from workdocket.surfaces.asgi import Web
from workdocket.surfaces.identity import ROLES, local_caller

START_LIMIT = 20.0
AT = "http://127.0.0.1:8787"


@dataclass
class Site:
    """The application in this process, and a client that nothing stands between."""

    house: House
    web: Web
    client: httpx2.AsyncClient

    async def post(self, tool: str, token: str | None = None, /, **arguments: Any) -> httpx2.Response:
        return await self.client.post(f"/v1/{tool}", json=arguments, headers=bearing(token))

    async def get(self, tool: str, token: str | None = None, /, **query: Any) -> httpx2.Response:
        return await self.client.get(f"/v1/{tool}", params=query, headers=bearing(token))

    async def token(self, name: str, *roles: str, kind: Any = "agent", expires_at: int | None = None) -> str:
        by = local_caller("operator").actor
        _, secret = await self.house.app.tokens.make(name, roles or ROLES, by, kind=kind, expires_at=expires_at)
        return secret


def bearing(token: str | None) -> dict[str, str]:
    return {} if token is None else {"Authorization": f"Bearer {token}"}


@asynccontextmanager
async def site(folder: Path, **overrides: Any) -> AsyncIterator[Site]:
    async with house(folder, **overrides) as home:
        web = Web(home.app, local_caller("local", overrides.pop("roles", ROLES)))
        transport = httpx2.ASGITransport(app=web.app)
        async with web.running(), httpx2.AsyncClient(transport=transport, base_url=AT) as client:
            yield Site(home, web, client)


@dataclass
class Served:
    """A server process that listens on a port of its own."""

    process: asyncio.subprocess.Process
    url: str
    said: list[str]
    """What it wrote to stderr, line by line; whole once it has ended."""

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def end(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    async def ended(self) -> int:
        return await asyncio.wait_for(self.process.wait(), LIMIT)


@asynccontextmanager
async def served(folder: Path, *options: str, **environment: str) -> AsyncIterator[Served]:
    settings = {
        "WORKDOCKET_DATABASE": f"sqlite:///{folder / 'work.db'}",
        "WORKDOCKET_ORDER_TYPES": json.dumps([str(TYPES)]),
    }
    command = [sys.executable, "-m", "workdocket", "serve", "--transport", "http", "--port", "0", *options]
    environment = {**settings, **passed_on(), **environment}
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=environment, stderr=asyncio.subprocess.PIPE
    )
    said: list[str] = []
    listening: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    hearing = asyncio.create_task(_hear(process, said, listening))
    try:
        yield Served(process, await asyncio.wait_for(listening, START_LIMIT), said)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await hearing


async def _hear(process: asyncio.subprocess.Process, said: list[str], listening: asyncio.Future[str]) -> None:
    assert process.stderr is not None
    async for line in process.stderr:
        said.append(line.decode())
        if line.startswith(b"listening on ") and not listening.done():
            listening.set_result(line.decode().split()[-1])
    if not listening.done():
        listening.set_exception(AssertionError(f"the server ended: {''.join(said)}"))


@dataclass
class Wire:
    """A connection on which a test says what it likes."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes | str) -> None:
        self.writer.write(data.encode() if isinstance(data, str) else data)
        await self.writer.drain()

    async def post(self, path: str, body: Any, *, length: int | None = None, **headers: str) -> None:
        """A request with a JSON body, of which ``length`` may lie."""
        content = json.dumps(body)
        lines = [f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        lines += [f"Content-Length: {len(content) if length is None else length}", "", content]
        await self.send("\r\n".join(lines))

    async def answer(self) -> tuple[int, bytes]:
        """Status and body of the next answer, which has to be whole."""
        async with asyncio.timeout(LIMIT):
            head = await self.reader.readuntil(b"\r\n\r\n")
            sizes = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
            body = await self.reader.readexactly(int(sizes[0].partition(b":")[2]))
        return int(head.split()[1]), body

    async def closed(self) -> bytes:
        """What came until the server closed the connection."""
        return await asyncio.wait_for(self.reader.read(), LIMIT)


@asynccontextmanager
async def wired(server: Served) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()


async def reached(server: Served) -> None:
    """What was sent before has reached the server: it answers what is sent now."""
    async with httpx2.AsyncClient(base_url=server.url, timeout=LIMIT) as http:
        assert (await http.get("/healthz")).status_code == 200
