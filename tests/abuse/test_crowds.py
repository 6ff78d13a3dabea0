"""Very many calls at once, calls taken back, and connections that end in the middle: each call is done once, or not."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.abuse.doors import DOORS, Door, Http, Sse, Stdio, piped, session, streamed
from tests.abuse.sockets import (
    BOTH,
    ECHO,
    JSON,
    abused,
    answered,
    count_of,
    heard,
    hung_up,
    left_open,
    request,
    sound,
    until_closed,
)
from tests.support.harness import LIMIT
from tests.support.process import Server
from tests.support.raw import rows
from tests.support.web import Served, reached

pytestmark = pytest.mark.asyncio(loop_scope="module")

Ways = dict[str, Any]
CROWD = 1_000


def errand(n: int) -> tuple[str, dict[str, Any]]:
    """Of each ten calls two file an order, which ten apart are the same two, two take work, and six read."""
    match n % 10:
        case 0 | 1:
            return "propose", {**ECHO, "idempotency_key": f"p{n // 20}.{n % 10}"}
        case 2 | 3:
            return "checkout", {"idempotency_key": f"t{n // 20}.{n % 10}"}
        case 4:
            return "my_work", {}
        case 5:
            return "explain", {}
        case _:
            return "list_orders", {"limit": 3}


def once_each(folder: Path, told: list[tuple[str, dict[str, Any], dict[str, Any]]]) -> None:
    """Every call has its answer, a repeat has the same, and the database has what was told and nothing else. That there
    is no work is told anew each time."""
    by_key: dict[str, set[str]] = {}
    for tool, arguments, answer in told:
        assert "error" not in answer, (tool, answer)
        if "idempotency_key" in arguments and answer.get("items") != []:
            same = {key: value for key, value in answer.items() if key != "replayed"}
            by_key.setdefault(arguments["idempotency_key"], set()).add(json.dumps(same, sort_keys=True))
    different = [answers for answers in by_key.values() if len(answers) > 1]
    assert not different, different[0]
    answers = {key: json.loads(*found) for key, found in by_key.items()}
    filed = [answer["order"]["id"] for answer in answers.values() if "order" in answer]
    taken = [item["id"] for answer in answers.values() for item in answer.get("items", ()) if "lease" in item]
    assert len(filed) == len(set(filed)) == count_of(folder, "orders") == CROWD // 10
    assert len(taken) == len(set(taken)) == count_of(folder, "leases")


@pytest.mark.scenario("abuse-crowds", "key-concurrent")
@pytest.mark.parametrize("modern", [False, True])
async def test_a_thousand_calls_in_one_write_to_a_pipe_are_each_answered_once(
    tmp_path: Path, modern: bool, record_property: Callable[[str, object], None]
) -> None:
    async with piped(tmp_path, modern) as way:
        calls = {f"call {n}": errand(n) for n in range(CROWD)}
        waiting = {n: way.server.expect(n) for n in calls}
        begun = time.monotonic()
        way.server.write(b"".join(called(way, n, *call) for n, call in calls.items()))
        told = [(*calls[n], await answer_of(waiting[n])) for n in calls]
        took = time.monotonic() - begun
        sent = [json.loads(line) for line in bytes(way.server.written).splitlines()]
        answers = Counter(message["id"] for message in sent)
        assert {n: answers[n] for n in calls} == dict.fromkeys(calls, 1)
    once_each(tmp_path, told)
    record_property(
        "figures", (f"a pipe, {'2026' if modern else '2025'}", {"calls": CROWD, "ms in all": round(took * 1000)})
    )


def called(way: Door, n: Any, tool: str, arguments: dict[str, Any]) -> bytes:
    params = way.enveloped({"name": tool, "arguments": arguments})
    return json.dumps({"jsonrpc": "2.0", "id": n, "method": "tools/call", "params": params}).encode() + b"\n"


async def answer_of(waiting: asyncio.Future[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = (await asyncio.wait_for(waiting, LIMIT))["result"]["structuredContent"]
    return found


@pytest.mark.scenario("abuse-crowds", "key-concurrent")
@pytest.mark.parametrize("door", ["/v1", "/mcp"])
async def test_a_thousand_calls_on_fifty_connections_are_each_answered_once(
    tmp_path: Path, door: str, record_property: Callable[[str, object], None]
) -> None:
    async def batch(server: Served, numbers: range) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
        """All in one write, as fast clients do; the last one ends the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        calls = [errand(n) for n in numbers]
        for n, (tool, arguments) in enumerate(calls, 1):
            writer.write(asked(server, door, tool, arguments, last=n == len(calls)))
        answers = heard(await until_closed(reader))
        await hung_up(writer)
        assert [answer.status for answer in answers] == [200] * len(calls)
        return [(*call, content(answer.json())) for call, answer in zip(calls, answers, strict=True)]

    async with abused(tmp_path) as server:
        begun = time.monotonic()
        told = await asyncio.gather(*(batch(server, range(n, CROWD, 50)) for n in range(50)))
        took = time.monotonic() - begun
    once_each(tmp_path, [one for some in told for one in some])
    record_property("figures", (f"50 connections to {door}", {"calls": CROWD, "ms in all": round(took * 1000)}))


def asked(server: Served, door: str, tool: str, arguments: dict[str, Any], *, last: bool = True) -> bytes:
    if door == "/v1":
        return request("POST", f"/v1/{tool}", arguments, JSON, last=last)
    way = Http(server, None)
    return way.raw(called(way, 1, tool, arguments).strip(), last=last)


def content(answer: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = answer["result"]["structuredContent"] if "jsonrpc" in answer else answer
    return found


# calls that are taken back

RACES = 60


@pytest.mark.scenario("abuse-cancel", "key-replays")
@pytest.mark.parametrize("door", [door for door in DOORS if door != "mcp-2026"])
async def test_a_call_that_is_cancelled_at_any_moment_is_done_or_not(ways: Ways, folder: Path, door: str) -> None:
    way, dice = ways[door], random.Random(door)
    for tool, arguments in (("propose", ECHO), ("checkout", {})):
        keys = [f"{door} {tool} {n}" for n in range(RACES)]
        await raced(way, dice, [(tool, {**arguments, "idempotency_key": key}) for key in keys])
        answers = [await way.call(tool, idempotency_key=key, **arguments) for key in keys]
        if tool == "propose":
            orders = {answer["order"]["id"] for answer in answers}
            assert len(orders) == RACES
    told = {item["id"] for answer in answers for item in answer["items"]}
    held = rows(folder, "SELECT item_id FROM leases WHERE ended_at IS NULL")
    mine = {row["item_id"] for row in held if row["item_id"].partition(".")[0] in orders}
    assert mine <= told
    sound(folder)


async def raced(way: Door, dice: random.Random, calls: list[tuple[str, dict[str, Any]]]) -> None:
    """Every call, and a word that takes it back: before it, in the same breath, or a little later."""
    pending: list[asyncio.Task[Any]] = []
    for n, (tool, arguments) in enumerate(calls):
        number = f"race {n}"
        cancel = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": number}}
        words = [called(way, number, tool, arguments).strip(), json.dumps(cancel).encode()]
        if dice.random() < 0.2:
            words.reverse()
        for word in words:
            pending.append(asyncio.create_task(spoken(way, word)))
            for _ in range(dice.choice((0, 0, 1, 5))):
                await way.call("list_orders", "between", limit=1)
    await asyncio.gather(*pending)


async def spoken(way: Door, word: bytes) -> None:
    """Whatever the answer is, and where a call that was taken back has none, without it."""
    match way:
        case Stdio():
            way.server.write(word + b"\n")
        case Sse():
            assert (await way.post(word)).status == 202
        case Http():
            await answered(way.server, way.raw(word))


@pytest.mark.scenario("abuse-cancel", "http-gone")
async def test_a_call_that_waits_and_is_taken_back_takes_no_work_later(
    ways: Ways, server: Served, folder: Path
) -> None:
    wanted = {"type": "test.partial", "wait_seconds": 50}
    for door in ("stdio-2025", "stdio-2026", "sse-2025", "mcp-2025"):
        way = ways[door]
        call = asyncio.create_task(spoken(way, called(way, "wait", "checkout", wanted).strip()))
        await way.call("my_work", "between")
        await way.tell("notifications/cancelled", requestId="wait")
        async with asyncio.timeout(LIMIT):
            await call
    gone = await left_open(server, asked(server, "/mcp", "checkout", wanted))
    await ways["mcp-2026"].call("my_work")
    await hung_up(gone)
    for way in ways.values():
        await way.call("my_work", "between")

    order = (await ways["mcp-2026"].call("propose", type="test.partial", payload={}))["order"]["id"]
    await ways["mcp-2026"].call("my_work")

    [item] = (await ways["mcp-2026"].call("get_order", order_id=order))["items"]
    assert item["state"] == "queued"
    sound(folder)


# ends in the middle


@pytest.mark.scenario("abuse-crowds", "abuse-messages")
async def test_a_session_that_is_ended_under_its_calls_ends_each_of_them_whole(server: Served) -> None:
    for n in range(20):
        way = Http(server, await session(server))
        notice = way.raw(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')
        calls = [way.raw(called(way, number, "list_orders", {"limit": 1}).strip()) for number in range(3)]
        end = request("DELETE", "/mcp", b"", BOTH, f"Mcp-Session-Id: {way.session}")
        crowd = [notice, *calls[: n % 3], end, notice, *calls[n % 3 :]]
        told = [one for some in await asyncio.gather(*(answered(server, raw) for raw in crowd)) for one in some]
        assert {answer.status for answer in told} <= {200, 202, 404}


@pytest.mark.scenario("abuse-crowds", "abuse-messages")
async def test_a_stream_that_is_left_under_its_calls_ends_each_of_them_whole(server: Served) -> None:
    for n in range(20):
        async with streamed(server, modern=True) as way:
            call = called(way, 1, "list_orders", {"limit": 1}).strip()
            posts = [asyncio.create_task(way.post(call)) for _ in range(6)]
            for _ in range(n % 4):
                await reached(server)
        assert {answer.status for answer in await asyncio.gather(*posts)} <= {202, 404}


@pytest.mark.scenario("abuse-cancel", "ends-in-time", "kill-loses-nothing")
@pytest.mark.parametrize("how", ["the pipe ends", "the pipe ends within a line", "SIGTERM"])
async def test_a_pipe_that_ends_with_calls_under_way_loses_nothing_that_was_answered(tmp_path: Path, how: str) -> None:
    keys = [f"k{n}" for n in range(100)]
    server = await Server.start(tmp_path)
    try:
        way = Stdio(await server.greet(), modern=False)
        lines = [called(way, key, "propose", {**ECHO, "idempotency_key": key}) for key in keys]
        first = server.expect("k10")
        server.write(b"".join(lines) + (lines[0][:30] if "line" in how else b""))
        await asyncio.wait_for(first, LIMIT)
        server.process.terminate() if how == "SIGTERM" else server.close_stdin()
        assert await server.ended(within=2) == (143 if how == "SIGTERM" else 0)
    finally:
        await server.kill()
    assert "Traceback" not in server.log.read_text()
    sent = [json.loads(line) for line in bytes(server.written).splitlines()]
    told = {one["id"]: one["result"]["structuredContent"]["order"]["id"] for one in sent[1:] if "result" in one}
    assert set(told.values()) <= {row["id"] for row in rows(tmp_path, "SELECT id FROM orders")}
    sound(tmp_path)

    async with piped(tmp_path, False) as again:
        answers = {key: await again.call("propose", idempotency_key=key, **ECHO) for key in keys}
    assert {key: answers[key]["order"]["id"] for key in told} == told
    assert count_of(tmp_path, "orders") == len(keys)
