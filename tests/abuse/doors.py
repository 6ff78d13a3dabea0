"""Every way to say something to MCP, by hand: each takes any text as a message, and gives the answer that its sender
gets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.abuse.sockets import BOTH, JSON, Answer, answered, hung_up, request, sound
from tests.support.harness import LIMIT
from tests.support.process import HANDSHAKE, START_LIMIT, Server
from tests.support.web import Served

Message = dict[str, Any]
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
DOORS = ["stdio-2025", "stdio-2026", "mcp-2025", "mcp-2026", "sse-2025", "sse-2026"]


def message(method: str, params: Any = None, number: Any = 1) -> Message:
    return {"jsonrpc": "2.0", "id": number, "method": method} | ({} if params is None else {"params": params})


class Door:
    """Takes any text as a message."""

    modern: bool

    async def say(self, raw: bytes, number: Any = None) -> Message | None:
        """The answer to what has that id; ``None`` where it was taken without one."""
        raise NotImplementedError

    def enveloped(self, params: Mapping[str, Any]) -> Message:
        return {"_meta": META, **params} if self.modern else dict(params)

    async def ask(self, method: str, params: Mapping[str, Any] | None = None, number: Any = 1) -> Message:
        answer = await self.say(json.dumps(message(method, self.enveloped(params or {}), number)).encode(), number)
        assert answer is not None
        assert answer["id"] == number, answer
        return answer

    async def call(self, tool: str, number: Any = 1, **arguments: Any) -> Message:
        """The structured content of an answer or a refusal."""
        answer = await self.ask("tools/call", {"name": tool, "arguments": arguments}, number)
        found: Message = answer["result"]["structuredContent"]
        return found

    async def tell(self, method: str, **params: Any) -> None:
        notice = {"jsonrpc": "2.0", "method": method, "params": params}
        assert await self.say(json.dumps(notice).encode()) is None


class Stdio(Door):
    def __init__(self, server: Server, modern: bool) -> None:
        self.server = server
        self.modern = modern

    async def say(self, raw: bytes, number: Any = None) -> Message | None:
        if number is None:
            self.server.write(raw + b"\n")
            return None
        answer = self.server.expect(number)
        self.server.write(raw + b"\n")
        return await asyncio.wait_for(answer, LIMIT)


class Http(Door):
    def __init__(self, server: Served, session: str | None) -> None:
        self.server = server
        self.session = session
        self.modern = session is None

    def raw(self, raw: bytes, *more: str, last: bool = True) -> bytes:
        told = _read(raw)
        params = told.get("params")
        name = params.get("name") or params.get("uri") if isinstance(params, dict) else None
        headers = [f"Mcp-Session-Id: {self.session}"]
        if self.modern:
            headers = ["Mcp-Protocol-Version: 2026-07-28", f"Mcp-Method: {told.get('method')}", f"Mcp-Name: {name}"]
        return request("POST", "/mcp", raw, JSON, BOTH, *headers, *more, last=last)

    async def say(self, raw: bytes, number: Any = None) -> Message | None:
        [answer] = await answered(self.server, self.raw(raw))
        return None if answer.status == 202 else answer.message()


class Sse(Door):
    """Messages are posted; answers come on the stream."""

    def __init__(self, server: Served, reader: asyncio.StreamReader, modern: bool) -> None:
        self.server = server
        self.modern = modern
        self.path = ""
        self._reader = reader
        self._waiting: dict[Any, asyncio.Future[Message]] = {}

    async def listen(self) -> None:
        """Until the stream ends."""
        while line := await self._reader.readline():
            if line.startswith(b"data: /"):
                self.path = line[6:].decode().strip()
            elif line.startswith(b"data: "):
                told = json.loads(line[6:])
                if told.get("id") in self._waiting and "method" not in told:
                    self._waiting.pop(told["id"]).set_result(told)

    async def opened(self) -> None:
        async with asyncio.timeout(LIMIT):
            while not self.path:  # noqa: ASYNC110 - the reader sets it
                await asyncio.sleep(0.005)

    async def post(self, raw: bytes, *headers: str) -> Answer:
        [answer] = await answered(self.server, request("POST", self.path, raw, JSON, *headers))
        return answer

    async def say(self, raw: bytes, number: Any = None) -> Message | None:
        told = asyncio.get_running_loop().create_future()
        self._waiting[number] = told
        answer = await self.post(raw)
        if answer.status != 202:
            return answer.message()
        return None if number is None else await asyncio.wait_for(told, LIMIT)


def _read(raw: bytes) -> Message:
    try:
        told = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


async def session(server: Served) -> str:
    """Of the handshake era."""
    hello = request("POST", "/mcp", message("initialize", HANDSHAKE), JSON, BOTH)
    [opened] = await answered(server, hello)
    number = opened.header("mcp-session-id")
    await Http(server, number).tell("notifications/initialized")
    return number


@asynccontextmanager
async def streamed(server: Served, modern: bool) -> AsyncIterator[Sse]:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=64 << 20)
    writer.write(request("GET", "/sse"))
    door = Sse(server, reader, modern)
    listening = asyncio.create_task(door.listen())
    try:
        await door.opened()
        if not modern:
            await door.ask("initialize", HANDSHAKE, "hello")
            await door.tell("notifications/initialized")
        yield door
    finally:
        listening.cancel()
        await hung_up(writer)


@asynccontextmanager
async def piped(folder: Path, modern: bool, *options: str) -> AsyncIterator[Stdio]:
    server = await Server.start(folder, *options)
    try:
        door = Stdio(server, modern)
        if modern:
            server.write(json.dumps(message("server/discover", {"_meta": META}, "hello")).encode() + b"\n")
            await asyncio.wait_for(server.expect("hello"), START_LIMIT)
        else:
            await server.greet()
        yield door
        assert (await door.ask("tools/list", number="still there"))["result"]["tools"]
        server.close_stdin()
        assert await server.ended(within=2) == 0
    finally:
        await server.kill()
    assert "Traceback" not in server.log.read_text()
    sound(folder)
