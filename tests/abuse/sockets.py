"""HTTP said by hand: bytes out, and whole answers in."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.harness import LIMIT
from tests.support.raw import everything, rows
from tests.support.web import Served, reached, served

JSON = "Content-Type: application/json"
BOTH = "Accept: application/json, text/event-stream"
ECHO = {"type": "test.echo", "payload": {"message": "hi"}}


@dataclass(frozen=True)
class Answer:
    status: int
    head: str
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def message(self) -> dict[str, Any]:
        """The JSON-RPC message, as which or in a stream of which it came."""
        lines = [line for line in self.body.splitlines() if line.startswith(b"data: ")]
        found: dict[str, Any] = json.loads(lines[-1][6:] if lines else self.body)
        return found

    def header(self, name: str) -> str:
        [line] = [line for line in self.head.splitlines() if line.lower().startswith(f"{name}:")]
        return line.partition(":")[2].strip()


def request(
    method: str, path: str, body: Any = b"", *headers: str, host: str = "127.0.0.1", last: bool = True
) -> bytes:
    """A request with its length, unless the headers say how long it is; ``last`` asks for the end of the connection."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", f"Host: {host}", *headers]
    lines += ["Connection: close"] if last else []
    if content and not any(line.startswith(("Content-Length", "Transfer-Encoding")) for line in headers):
        lines.append(f"Content-Length: {len(content)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + content


def propose(key: str = "", **options: Any) -> bytes:
    return request("POST", "/v1/propose", ECHO, JSON, *([f"Idempotency-Key: {key}"] if key else []), **options)


HEALTH = request("GET", "/healthz")


def heard(stream: bytes) -> list[Answer]:
    """What a server said on one connection; half an answer is a fault."""
    answers = []
    while stream:
        head, end, stream = stream.partition(b"\r\n\r\n")
        assert end, "half an answer"
        status, lower = int(head[9:12]), head.lower()
        if b"transfer-encoding: chunked" in lower:
            body, stream = _unchunked(stream)
        else:
            sizes = [int(line[15:]) for line in lower.splitlines() if line.startswith(b"content-length:")]
            size = 0 if status in (100, 304) else sizes[0] if sizes else len(stream)
            assert len(stream) >= size, "half an answer"
            body, stream = stream[:size], stream[size:]
        answers.append(Answer(status, head.decode("latin-1"), body))
    return answers


def _unchunked(stream: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        line, end, stream = stream.partition(b"\r\n")
        assert end, "half an answer"
        size = int(line, 16)
        body, stream = body + stream[:size], stream[size + 2 :]
        if size == 0:
            return body, stream


async def until_closed(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the server closes the connection, or throws it away; silence is bounded."""
    said = b""
    with suppress(ConnectionError):
        while piece := await asyncio.wait_for(reader.read(1 << 16), LIMIT):
            said += piece
    return said


async def said(server: Served, *pieces: bytes) -> bytes:
    """What the server says to all that, on a connection of its own. Of several pieces each has arrived before the next
    is sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        with suppress(ConnectionError):
            for number, piece in enumerate(pieces):
                if number:
                    await said(server, HEALTH)
                writer.write(piece)
                await writer.drain()
        return await until_closed(reader)
    finally:
        await hung_up(writer)


async def hung_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await asyncio.wait_for(writer.wait_closed(), LIMIT)


async def answered(server: Served, *pieces: bytes) -> list[Answer]:
    answers = heard(await said(server, *pieces))
    assert all(answer.status < 500 for answer in answers), answers
    return answers


def statuses(answers: Iterable[Answer]) -> list[int]:
    return [answer.status for answer in answers]


async def left_open(server: Served, data: bytes) -> asyncio.StreamWriter:
    """A connection on which something was said, and nothing more will be."""
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(data)
    await writer.drain()
    return writer


@asynccontextmanager
async def abused(folder: Path, *options: str, **environment: str) -> AsyncIterator[Served]:
    """A server that has to be well after whatever is done to it: it answers, it ends, it logged no defect, and its
    database is sound."""
    async with served(folder, *options, **environment) as server:
        yield server
        await reached(server)
        server.end()
        assert await server.ended() == 143
    assert not defects(server.said), "".join(server.said)[-5000:]
    sound(folder)


def defects(log: list[str]) -> list[str]:
    return [line for line in log if "Traceback" in line or line.startswith("ERROR")]


@contextmanager
def unchanged(folder: Path) -> Iterator[None]:
    """Not one row of the database is another one afterwards."""
    before = everything(folder)
    yield
    assert everything(folder) == before


def sound(folder: Path) -> None:
    """Nothing is half written: no broken page or reference, no gap in the log, and each row has the event that made
    it, once."""
    assert [list(row.values()) for row in rows(folder, "PRAGMA integrity_check")] == [["ok"]]
    assert rows(folder, "PRAGMA foreign_key_check") == []
    events = rows(folder, "SELECT seq, event, order_id, item_id FROM events ORDER BY seq")
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    told = Counter((event["event"], event["order_id"], event["item_id"]) for event in events)
    made = {("order.proposed", row["id"], None): 1 for row in rows(folder, "SELECT id FROM orders")}
    for row in rows(
        folder, "SELECT item_id, order_id, count(*) AS n FROM leases JOIN items ON id = item_id GROUP BY 1"
    ):
        made["item.leased", row["order_id"], row["item_id"]] = row["n"]
    assert {what: n for what, n in told.items() if what[0] in ("order.proposed", "item.leased")} == made
    open_leases = rows(folder, "SELECT item_id FROM leases WHERE ended_at IS NULL")
    held = rows(folder, "SELECT id FROM items WHERE state IN ('leased', 'in_progress')")
    assert {row["item_id"] for row in open_leases} == {row["id"] for row in held}


def count_of(folder: Path, table: str) -> int:
    found: int = rows(folder, f"SELECT count(*) AS n FROM {table}")[0]["n"]
    return found
