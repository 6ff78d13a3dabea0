"""A call that takes long says that it is still at it, and one that is cancelled is over at once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError
from mcp.types import CallToolResult

from tests.support.doors import door
from tests.support.harness import LIMIT, House, held

ERAS = pytest.mark.parametrize("mode", ["auto", "legacy"])
OFTEN = 0.02


class Heard:
    """What a client is told of progress; ``enough`` once that was several times."""

    def __init__(self) -> None:
        self.words: list[tuple[float, float | None, str | None]] = []
        self.enough = asyncio.Event()

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:
        self.words.append((progress, total, message))
        if len(self.words) == 3:
            self.enough.set()

    def rises(self) -> bool:
        seen = [progress for progress, _, _ in self.words]
        return all(a < b for a, b in pairwise(seen)) and seen[0] > 0


async def call(client: Client, tool: str, heard: Heard | None, **arguments: Any) -> Any:
    result = await client.call_tool(tool, arguments, progress_callback=heard)
    assert isinstance(result, CallToolResult)
    assert not result.is_error, result
    return result.structured_content


async def while_it_runs(calling: Awaitable[Any], heard: Heard, then: Callable[[], Awaitable[Any]]) -> Any:
    """The call's answer; ``then`` is done once it has told of its progress several times."""
    running = asyncio.ensure_future(calling)
    async with asyncio.timeout(LIMIT):
        await heard.enough.wait()
        await then()
        return await running


# progress


@ERAS
@pytest.mark.scenario("progress")
async def test_a_checkout_that_waits_tells_how_long_it_has(home: House, mode: Any) -> None:
    heard = Heard()
    async with Client(door(home, progress_every=OFTEN), mode=mode) as ann:
        waiting = call(ann, "checkout", heard, wait_seconds=50)
        answer = await while_it_runs(waiting, heard, home.person("bob").propose)

    assert len(answer["items"]) == 1
    assert heard.rises()
    assert {(total, message) for _, total, message in heard.words} == {(50, "waiting for work")}


@ERAS
@pytest.mark.scenario("progress")
async def test_who_waits_for_an_order_is_told_so(home: House, mode: Any) -> None:
    order_id = await home.person("bob").propose()
    heard = Heard()
    async with Client(door(home, progress_every=OFTEN), mode=mode) as ann:
        waiting = call(ann, "get_order", heard, order_id=order_id, wait_seconds=50)
        answer = await while_it_runs(waiting, heard, home.person("bob").take)

    assert answer["order"]["state"] == "checked_out"
    assert heard.rises()


@ERAS
@pytest.mark.scenario("progress")
async def test_an_apply_that_takes_long_tells_that_it_goes_on(home: House, tmp_path: Path, mode: Any) -> None:
    # given an order whose apply goes on when something is read from a pipe
    work, fifo = home.person("bob"), tmp_path / "fifo"
    os.mkfifo(fifo)
    paused = {"file": str(tmp_path / "ledger"), "pause_before": str(fifo)}
    order_id = await work.propose("test.ledger", paused)
    await work.hand_in(await work.take())
    heard = Heard()
    async with Client(door(home, progress_every=OFTEN), mode=mode) as ann:
        approving = call(ann, "approve", heard, order_id=order_id)
        answer = await while_it_runs(approving, heard, lambda: asyncio.to_thread(fifo.read_text))

    assert answer["applied"] is True
    assert heard.rises()
    assert {message for _, _, message in heard.words} == {"the change is being applied"}


@ERAS
@pytest.mark.scenario("progress")
async def test_nobody_is_told_who_did_not_ask(home: House, mode: Any) -> None:
    messages: list[Any] = []

    async def keep(message: Any) -> None:
        messages.append(message)

    async with Client(door(home, progress_every=0.001), mode=mode, message_handler=keep) as ann:
        await call(ann, "checkout", None, wait_seconds=0.1)

    assert messages == []


@ERAS
@pytest.mark.scenario("progress")
async def test_a_call_that_does_not_wait_tells_nothing(home: House, mode: Any) -> None:
    heard = Heard()
    async with Client(door(home, progress_every=0), mode=mode) as ann:
        for tool in ("checkout", "order_types", "list_orders"):
            await call(ann, tool, heard)

    assert heard.words == []


# cancellation


@ERAS
@pytest.mark.scenario("cancelled-writes-nothing")
async def test_a_checkout_that_was_cancelled_takes_nothing(home: House, mode: Any) -> None:
    heard = Heard()
    async with Client(door(home, progress_every=OFTEN), mode=mode) as ann:
        # given a call that waits, on the server as well
        waiting = asyncio.create_task(call(ann, "checkout", heard, wait_seconds=50))
        async with asyncio.timeout(LIMIT):
            await heard.enough.wait()
        # when it is cancelled, and there is something to take
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        order_id = (await call(ann, "propose", None, type="test.echo", payload={"message": "hi"}))["order"]["id"]
        # then who asks next has it, and it was leased once
        [item] = (await call(ann, "checkout", None))["items"]
        await call(ann, "heartbeat", None, **held(item))
        events = (await call(ann, "events", None, order_id=order_id))["events"]

    assert [event["event"] for event in events].count("item.leased") == 1
    assert waiting.cancelled()


@ERAS
@pytest.mark.scenario("cancelled-writes-nothing")
async def test_a_call_that_its_client_waits_for_no_longer_takes_nothing(home: House, mode: Any) -> None:
    async with Client(door(home), mode=mode) as ann:
        with pytest.raises(MCPError, match=r"(?i)timed out"):
            await ann.call_tool("checkout", {"wait_seconds": 50}, read_timeout_seconds=0.05)
        order_id = (await call(ann, "propose", None, type="test.echo", payload={"message": "hi"}))["order"]["id"]
        await call(ann, "my_work", None)
        shown = await call(ann, "get_order", None, order_id=order_id)

    assert shown["order"]["state"] == "queued"
    assert [event["event"] for event in shown["recent_events"]] == ["order.proposed", "order.planned"]
