"""How a stdio server comes up: the list of tools first, then types and database; alone, and with fifteen others."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from tests.support.harness import LIMIT, house
from tests.support.process import START_LIMIT, Server, comes_true
from tests.support.raw import rows

SINCE_2026 = {
    "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "1"},
    }
}
"""What every request of that protocol carries; so the first may be any."""

ECHO = """
from workdocket import Diff, OrderType

class Echo(OrderType):
    name = "test.echo"
    payload = {"type": "object"}

    def apply(self, order, ctx):
        return Diff.between(None, order.payload)
"""

GATED = (
    """
import os
from pathlib import Path

here = Path(__file__).parent
(here / f"at-the-gate-{os.getpid()}").touch()
os.close(os.open(here / "gate", os.O_RDONLY))
"""
    + ECHO
)
"""A type that is loaded once somebody has opened the pipe beside it for writing."""

LATER = """
import sys
from workdocket.storage import migrate

shipped = migrate.load
more = migrate.Script(len(shipped()) + 1, "later", "CREATE TABLE later (n INTEGER); INSERT INTO later VALUES (1);")
migrate.load = lambda folder=None: [*shipped(), more]

from workdocket.surfaces.cli import main
main()
"""
"""A later version of the product, with one migration more."""


@asynccontextmanager
async def started(folder: Path, plugin: str, *options: str, **more: Any) -> AsyncIterator[Server]:
    """A server with one order type, to which nobody has said anything yet."""
    file = folder / "plugin.py"
    if not file.exists():
        file.write_text(plugin)
    server = await Server.start(folder, *options, WORKDOCKET_ORDER_TYPES=json.dumps([str(file)]), **more)
    try:
        yield server
    finally:
        await server.kill()


@asynccontextmanager
async def gate(folder: Path) -> AsyncIterator[Callable[[], None]]:
    """The pipe that gated types wait for; the function opens it."""
    os.mkfifo(folder / "gate")
    held: list[int] = []
    yield lambda: held.append(os.open(folder / "gate", os.O_WRONLY | os.O_NONBLOCK))
    for end in held:
        os.close(end)


def at_the_gate(folder: Path) -> int:
    return len(list(folder.glob("at-the-gate-*")))


def list_tools(server: Server) -> asyncio.Future[dict[str, Any]]:
    return server.begin("tools/list", SINCE_2026)


def propose(server: Server) -> asyncio.Future[dict[str, Any]]:
    call = {"name": "propose", "arguments": {"type": "test.echo", "payload": {}}}
    return server.begin("tools/call", {**call, **SINCE_2026})


# alone


@pytest.mark.scenario("lists-first")
async def test_tools_are_listed_before_types_are_loaded_and_a_call_waits_for_them(tmp_path: Path) -> None:
    async with gate(tmp_path) as open_gate, started(tmp_path, GATED) as server:
        # given a server that cannot get past its types
        listing = list_tools(server)

        # then
        async with asyncio.timeout(START_LIMIT):
            assert len((await listing)["result"]["tools"]) > 10
        assert at_the_gate(tmp_path) == 0
        assert not (tmp_path / "work.db").exists()

        # when it is called, and can
        filing = propose(server)
        await comes_true(lambda: at_the_gate(tmp_path) == 1)
        assert not filing.done()
        open_gate()

        # then
        async with asyncio.timeout(LIMIT):
            assert (await filing)["result"]["structuredContent"]["order"]["id"] == "WO-1"


@pytest.mark.scenario("lists-first")
async def test_types_and_database_are_opened_although_nobody_calls(tmp_path: Path) -> None:
    async with started(tmp_path, ECHO):
        await comes_true((tmp_path / "work.db").exists, START_LIMIT)


BROKEN = "raise RuntimeError('out of order')\n"


@pytest.mark.scenario("lists-first", "types-refused-at-start")
@pytest.mark.parametrize("said", ["nothing", "list", "call", "end"])
async def test_a_broken_type_stops_the_start_whatever_was_asked_meanwhile(tmp_path: Path, said: str) -> None:
    async with started(tmp_path, BROKEN) as server:
        # when
        asked = {"list": [list_tools], "call": [list_tools, propose]}.get(said, [])
        answers = [ask(server) for ask in asked]
        if said == "end":
            server.close_stdin()

        # then
        assert await server.ended(START_LIMIT) == 1
        assert "plugin.py:1: RuntimeError: out of order. Mend the file, or leave it out." in server.log.read_text()
        assert "Traceback" not in server.log.read_text()
        assert not (tmp_path / "work.db").exists()
        for answer in answers[1:]:
            assert not answer.done() or answer.cancelled() or answer.exception()


# with others


SERVERS = 16
ALL_UP = 3 * START_LIMIT
"""Seconds until so many have come up, which share the cores."""

CASES = ["a new database", "one that is there", "one to migrate"]


@pytest.mark.slow
@pytest.mark.scenario("starts-together")
@pytest.mark.parametrize("case", CASES)
async def test_servers_that_open_one_file_at_the_same_instant_all_answer(
    tmp_path: Path, record_property: Callable[[str, object], None], case: str
) -> None:
    # given as many servers, all of them about to open the file
    if case != "a new database":
        async with house(tmp_path):
            pass
    program = ("-c", LATER, "serve") if case == "one to migrate" else ()
    async with gate(tmp_path) as open_gate, AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(started(tmp_path, GATED, program=program)) for _ in range(SERVERS)]
        listings = [list_tools(server) for server in servers]
        filings = [propose(server) for server in servers]
        await comes_true(lambda: at_the_gate(tmp_path) == SERVERS, ALL_UP)

        # when
        opened = time.monotonic()
        open_gate()
        waits = await asyncio.gather(*(answered(filing, opened) for filing in filings))

        # then
        assert all(listing.result()["result"]["tools"] for listing in listings)
        filed = {filing.result()["result"]["structuredContent"]["order"]["id"] for filing in filings}
        log = (tmp_path / "serve.log").read_text()

    assert filed == {f"WO-{number}" for number in range(1, SERVERS + 1)}
    assert "locked" not in log
    assert "Traceback" not in log
    if case == "one to migrate":
        assert rows(tmp_path, "SELECT n FROM later") == [{"n": 1}]
    spread = {"median": round(median(waits)), "at last": round(max(waits))}
    record_property("figures", (f"ms until {SERVERS} servers on {case} had filed an order", spread))


async def answered(answer: asyncio.Future[dict[str, Any]], since: float) -> float:
    """Milliseconds until it was there."""
    async with asyncio.timeout(START_LIMIT):
        await asyncio.wait([answer])
    return (time.monotonic() - since) * 1000
