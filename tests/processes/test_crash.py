"""Servers that are killed with signal 9: what was answered stays true, and what was begun is finished by the next."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.support import doomed
from tests.support.harness import LIMIT, House, Person, house
from tests.support.process import Gone, Server, comes_true, environment, serving
from workdocket.app import SystemClock
from workdocket.storage.engine import dbapi

DOOMED = ("-P", doomed.__file__, "serve")
KILLED = -signal.SIGKILL


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


async def submitted_ledger(server: Server, folder: Path, **pauses: Path) -> str:
    """An order that only waits for approval; its apply writes to ``folder/ledger`` and waits at the given FIFOs."""
    for fifo in pauses.values():
        os.mkfifo(fifo)
    payload = {"file": str(folder / "ledger"), **{name: str(fifo) for name, fifo in pauses.items()}}
    order_id = (await server.ok("propose", type="test.ledger", payload=payload))["order"]["id"]
    [item] = (await server.ok("checkout"))["items"]
    await server.ok("submit", item_id=item["id"], lease_token=item["lease"]["token"], result={})
    return str(order_id)


async def completed(server: Server, order_id: str) -> dict[str, Any]:
    """The order once it is completed: within seconds, not when some claim runs out."""
    async with asyncio.timeout(LIMIT):
        while True:
            answer = await server.ok("get_order", order_id=order_id, wait_seconds=1)
            if answer["order"]["state"] == "completed":
                return answer


async def attempts_in_events(server: Server, order_id: str) -> list[tuple[str, int, bool]]:
    """Name, attempt and whether it was interrupted, of what the log says of applying."""
    rows = (await server.ok("events", order_id=order_id, limit=500))["events"]
    applying = [row for row in rows if row["event"] in ("apply.attempt_failed", "order.applied")]
    return [(row["event"], row["data"]["attempt"], row["data"].get("interrupted", False)) for row in applying]


@pytest.mark.scenario("apply-resumes")
async def test_killed_after_the_approval_and_before_the_effect_the_next_server_applies_it(tmp_path: Path) -> None:
    # given
    approver = await Server.start(tmp_path, program=DOOMED, DOOM="after:INSERT INTO decisions")
    await approver.greet()
    order_id = await submitted_ledger(approver, tmp_path)

    # when
    approving = approver.begin_call("approve", order_id=order_id)
    assert await approver.ended() == KILLED
    assert isinstance(approving.exception(), Gone)
    assert not (tmp_path / "ledger.attempts").exists()

    # then
    async with serving(tmp_path) as successor:
        await completed(successor, order_id)
        assert len(lines(tmp_path / "ledger")) == 1
        assert lines(tmp_path / "ledger.attempts") == [f"1 {successor.process.pid}"]
        assert await attempts_in_events(successor, order_id) == [("order.applied", 1, False)]


@pytest.mark.scenario("apply-resumes")
@pytest.mark.parametrize("pause, written", [("pause_before", 0), ("pause_after", 1)])
async def test_killed_in_the_middle_of_apply_the_next_server_finishes_it(
    tmp_path: Path, pause: str, written: int
) -> None:
    """Before the effect's own line is in the file, and after it is and before anybody recorded that."""
    # given
    fifo = tmp_path / "fifo"
    async with serving(tmp_path) as approver:
        order_id = await submitted_ledger(approver, tmp_path, **{pause: fifo})

        # when
        approver.begin_call("approve", order_id=order_id)
        await comes_true(lambda: len(lines(tmp_path / ("ledger" if written else "ledger.attempts"))) == 1)
        await approver.kill()
    assert len(lines(tmp_path / "ledger")) == written
    fifo.unlink()

    # then
    async with serving(tmp_path) as successor:
        await completed(successor, order_id)
        assert len(lines(tmp_path / "ledger")) == 1
        assert lines(tmp_path / "ledger.attempts") == [f"1 {approver.process.pid}", f"2 {successor.process.pid}"]
        assert await attempts_in_events(successor, order_id) == [
            ("apply.attempt_failed", 1, True),
            ("order.applied", 2, False),
        ]


@pytest.mark.scenario("apply-resumes")
async def test_a_server_that_runs_already_takes_over_what_a_killed_one_had_in_hand(tmp_path: Path) -> None:
    # given
    fifo = tmp_path / "fifo"
    async with serving(tmp_path, WORKDOCKET_SWEEP_EVERY_SECONDS="0.2") as bystander, serving(tmp_path) as approver:
        order_id = await submitted_ledger(approver, tmp_path, pause_before=fifo)
        approver.begin_call("approve", order_id=order_id)
        await comes_true(lambda: len(lines(tmp_path / "ledger.attempts")) == 1)

        # when
        fifo.unlink()
        await approver.kill()

        # then
        await completed(bystander, order_id)
        assert len(lines(tmp_path / "ledger")) == 1


@pytest.mark.scenario("apply-once")
async def test_a_server_that_starts_leaves_alone_what_a_living_one_has_in_hand(tmp_path: Path) -> None:
    # given
    fifo = tmp_path / "fifo"
    async with serving(tmp_path) as approver:
        order_id = await submitted_ledger(approver, tmp_path, pause_before=fifo)
        approving = approver.begin_call("approve", order_id=order_id)
        await comes_true(lambda: len(lines(tmp_path / "ledger.attempts")) == 1)

        # when
        async with serving(tmp_path, WORKDOCKET_SWEEP_EVERY_SECONDS="0.05") as other:
            news = other.begin_call("get_order", order_id=order_id, wait_seconds=1)
            async with asyncio.timeout(LIMIT):
                assert (await news)["result"]["structuredContent"]["order"]["state"] == "approved"
        await asyncio.to_thread(fifo.read_text)

        # then
        async with asyncio.timeout(LIMIT):
            assert (await approving)["result"]["structuredContent"]["applied"] is True
        assert lines(tmp_path / "ledger.attempts") == [f"1 {approver.process.pid}"]


@pytest.mark.scenario("N25")
async def test_heartbeats_are_answered_while_an_apply_takes_its_time(tmp_path: Path) -> None:
    # given
    fifo = tmp_path / "fifo"
    async with serving(tmp_path, "--actor", "ann") as ann, serving(tmp_path, "--actor", "bob") as bob:
        order_id = await submitted_ledger(ann, tmp_path, pause_before=fifo)
        await ann.ok("propose", type="test.batch", payload={"batches": 2})
        holds = [(person, (await person.ok("checkout"))["items"][0]) for person in (ann, bob)]
        approving = ann.begin_call("approve", order_id=order_id)
        await comes_true(lambda: len(lines(tmp_path / "ledger.attempts")) == 1)

        # when
        beats = [
            await person.ok("heartbeat", item_id=item["id"], lease_token=item["lease"]["token"])
            for _ in range(10)
            for person, item in holds
        ]

        # then
        assert not approving.done()
        assert len(beats) == 20
        await asyncio.to_thread(fifo.read_text)
        async with asyncio.timeout(LIMIT):
            assert (await approving)["result"]["structuredContent"]["applied"] is True


# at every commit


async def run_doomed(folder: Path, point: str) -> dict[str, dict[str, Any]]:
    """What an errand that ends at that point had been answered before."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", doomed.__file__, "errand", str(folder / "ledger"),
        env=environment(folder, DOOM=point), cwd=folder, stdin=DEVNULL, stdout=PIPE,
    )  # fmt: skip
    async with asyncio.timeout(LIMIT):
        out, _ = await process.communicate()
    assert process.returncode == (KILLED if point else 0)
    return dict(json.loads(line) for line in out.splitlines())


def lasting(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "replayed"}


@pytest.mark.slow
@pytest.mark.scenario("kill-loses-nothing", "key-replays")
@pytest.mark.parametrize("commit", range(1, doomed.COMMITS + 1))
@pytest.mark.parametrize("side", ["before", "after"])
async def test_killed_at_any_commit_nothing_answered_is_undone_and_a_repeat_goes_on_from_there(
    tmp_path: Path, side: str, commit: int
) -> None:
    # given
    answered = await run_doomed(tmp_path, f"{side}:{commit}")

    # when
    again: dict[str, dict[str, Any]] = {}
    async with house(tmp_path, sweep=True, clock=SystemClock()) as opened:  # type: ignore[arg-type]
        async with asyncio.timeout(LIMIT):
            await doomed.errand(opened.app, str(tmp_path / "ledger"), again.__setitem__)
        orders, events = await everything(opened)

    # then
    assert {key: lasting(again[key]) for key in answered} == answered
    assert [order["state"] for order in orders] == ["completed"]
    assert len(lines(tmp_path / "ledger")) == 1
    names = Counter(row["event"] for row in events)
    interrupted = names.pop("apply.attempt_failed", 0)
    assert len(lines(tmp_path / "ledger.attempts")) <= interrupted + 1
    assert names == {
        "order.proposed": 1, "order.planned": 1, "item.leased": 4, "order.checked_out": 4, "item.started": 2,
        "order.in_progress": 2, "item.released": 1, "item.attempt_failed": 1, "order.queued": 2, "part.received": 1,
        "item.submitted": 2, "order.submitted": 2, "item.returned": 1, "order.returned": 1, "decision.recorded": 2,
        "item.accepted": 1, "order.approved": 1, "item.completed": 1, "order.applied": 1, "order.completed": 1,
    }  # fmt: skip


async def everything(opened: House) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    person = opened.person("auditor")
    return (await person.ok("list_orders", limit=100))["orders"], await person.events()


async def test_the_errand_commits_as_often_as_the_test_above_kills_it(tmp_path: Path) -> None:
    assert (await run_doomed(tmp_path, ""))["commits"] == {"count": doomed.COMMITS}


# at random


@dataclass
class Acknowledged:
    """What servers had answered before they were killed."""

    proposed: set[str] = field(default_factory=set)
    leased: set[tuple[str, str]] = field(default_factory=set)
    submitted: set[str] = field(default_factory=set)


async def worker(server: Server, seen: Acknowledged, done: asyncio.Semaphore) -> None:
    """Files, takes and hands in, until the server is gone."""
    while True:
        order = (await server.ok("propose", type="test.free", payload={}))["order"]
        seen.proposed.add(order["id"])
        for item in (await server.ok("checkout", count=2))["items"]:
            seen.leased.add((item["id"], item["lease"]["token"]))
            await server.ok("submit", item_id=item["id"], lease_token=item["lease"]["token"], result={"by": "us"})
            seen.submitted.add(item["id"])
        done.release()


async def killed_at_random(folder: Path, name: str, chance: random.Random, seen: Acknowledged, times: int) -> None:
    for _ in range(times):
        server = await (await Server.start(folder, "--actor", name)).greet()
        done = asyncio.Semaphore(0)
        crew = [asyncio.create_task(worker(server, seen, done)) for _ in range(3)]
        async with asyncio.timeout(LIMIT):
            for _ in range(chance.randrange(1, 12)):
                await done.acquire()
        server.process.kill()
        await server.ended()
        for outcome in await asyncio.gather(*crew, return_exceptions=True):
            assert isinstance(outcome, Gone), outcome


@pytest.mark.slow
@pytest.mark.scenario("kill-loses-nothing")
async def test_killed_twenty_times_at_random_nothing_that_was_answered_is_lost(tmp_path: Path) -> None:
    # given
    seen = Acknowledged()

    # when
    await asyncio.gather(
        killed_at_random(tmp_path, "ann", random.Random(1), seen, times=10),
        killed_at_random(tmp_path, "bob", random.Random(2), seen, times=10),
    )

    # then
    with dbapi.connect(tmp_path / "work.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        orders = {row[0] for row in database.execute("SELECT id FROM orders")}
        leases = set(database.execute("SELECT item_id, token FROM leases"))
        submitted = {row[0] for row in database.execute("SELECT id FROM items WHERE state = 'submitted'")}
    database.close()
    assert min(len(seen.proposed), len(seen.leased), len(seen.submitted)) > 20
    assert seen.proposed <= orders
    assert seen.leased <= leases
    assert seen.submitted <= submitted
    async with house(tmp_path, clock=SystemClock()) as opened:  # type: ignore[arg-type]
        await the_log_is_whole(opened.person("auditor"))


async def the_log_is_whole(person: Person) -> None:
    events = await person.events()
    assert [row["seq"] for row in events] == list(range(1, len(events) + 1))
    assert all(later["prev_hash"] == earlier["hash"] for earlier, later in pairwise(events))
