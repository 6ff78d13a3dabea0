"""Many servers on one file, as when several agents of one machine each start their own."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.support.harness import LIMIT, house
from tests.support.process import Server, serving

NAMES = ("ann", "bob", "cem", "dee", "eva", "fox")
ORDERS, ITEMS_EACH = 30, 10
ITEMS = ORDERS * ITEMS_EACH


@dataclass
class Day:
    """What six servers did with 300 items, and what the log says of it afterwards."""

    leased: list[str] = field(default_factory=list)
    submitted: list[str] = field(default_factory=list)
    approvals: list[tuple[str, str | None]] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    orders: list[dict[str, Any]] = field(default_factory=list)

    def named(self, event: str) -> list[dict[str, Any]]:
        return [row for row in self.events if row["event"] == event]


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Day:
    return asyncio.run(work_a_day(tmp_path_factory.mktemp("day")))


@asynccontextmanager
async def servers(folder: Path, names: tuple[str, ...]) -> AsyncIterator[list[Server]]:
    """One process per name, started two at a time, so that a start stays a matter of seconds on a small machine."""
    async with AsyncExitStack() as stack:
        started: list[Server] = []
        for pair in (names[n : n + 2] for n in range(0, len(names), 2)):
            contexts = [serving(folder, "--actor", name) for name in pair]
            started += await asyncio.gather(*(stack.enter_async_context(one) for one in contexts))
        yield started


async def work_a_day(folder: Path) -> Day:
    day = Day()
    async with servers(folder, NAMES) as crew:
        together = asyncio.Barrier(len(crew))
        pairs = zip(crew, [*crew[1:], crew[0]], strict=True)
        async with asyncio.TaskGroup() as group:
            for worker, neighbour in pairs:
                group.create_task(work(day, worker, neighbour, together))
    async with house(folder) as closed:
        ann = closed.person("ann")
        day.events = await ann.events()
        day.orders = (await ann.ok("list_orders", limit=100))["orders"]
    return day


async def work(day: Day, me: Server, neighbour: Server, together: asyncio.Barrier) -> None:
    """File a share of the orders, then work until nothing is left. Whoever ends an order approves it, and so does its
    neighbour at the same time."""
    async with asyncio.timeout(LIMIT):
        await together.wait()
    for _ in range(ORDERS // len(NAMES)):
        await tried(day, me, "propose", type="test.batch", payload={"batches": ITEMS_EACH})
    async with asyncio.timeout(LIMIT):
        await together.wait()
    while items := (await tried(day, me, "checkout"))["items"]:
        [item] = items
        day.leased.append(item["id"])
        handed_in = await tried(
            day, me, "submit", item_id=item["id"], lease_token=item["lease"]["token"], result={"count": 1}
        )
        day.submitted.append(handed_in["item"]["id"])
        if handed_in["order"]["state"] == "submitted":
            both = await asyncio.gather(*(approve(me_or_other, item["order_id"]) for me_or_other in (me, neighbour)))
            day.approvals += [(item["order_id"], refusal) for refusal in both]


async def tried(day: Day, server: Server, tool: str, **arguments: Any) -> dict[str, Any]:
    refusal, answer = await server.call(tool, **arguments)
    if refusal:
        day.refusals.append(refusal)
    return answer


async def approve(server: Server, order_id: str) -> str | None:
    refusal, _ = await server.call("approve", order_id=order_id)
    return refusal


@pytest.mark.scenario("many-processes")
def test_each_item_is_leased_once(day: Day) -> None:
    assert len(day.leased) == ITEMS
    assert Counter(day.leased).most_common(1)[0][1] == 1


@pytest.mark.scenario("many-processes")
def test_each_item_is_submitted_once(day: Day) -> None:
    assert sorted(day.submitted) == sorted(day.leased)
    assert Counter(row["item_id"] for row in day.named("item.submitted")) == Counter(day.leased)


@pytest.mark.scenario("many-processes")
def test_each_order_is_approved_and_applied_once(day: Day) -> None:
    ids = [order["id"] for order in day.orders]
    assert len(ids) == ORDERS
    assert {order["state"] for order in day.orders} == {"completed"}
    for event in ("order.approved", "order.applied", "order.completed"):
        assert Counter(row["order_id"] for row in day.named(event)) == Counter(ids), event


@pytest.mark.scenario("many-processes")
def test_of_two_who_approve_at_once_one_is_told_that_it_is_done(day: Day) -> None:
    assert Counter(order_id for order_id, refusal in day.approvals if refusal is None) == Counter(
        order["id"] for order in day.orders
    )
    assert {refusal for _, refusal in day.approvals} - {None} <= {"illegal_transition", "stale"}


@pytest.mark.scenario("many-processes")
def test_no_caller_sees_a_lock(day: Day) -> None:
    assert day.refusals == []


@pytest.mark.scenario("many-processes")
def test_the_servers_took_turns(day: Day) -> None:
    holders = [row["actor_id"] for row in day.named("item.leased")]
    changes = sum(one != other for one, other in pairwise(holders))
    shares = Counter(holders)

    assert changes > ITEMS / 3
    assert set(shares) == set(NAMES)
    assert min(shares.values()) > ITEMS / len(NAMES) / 4


@pytest.mark.scenario("many-processes", "audit-chain")
def test_the_log_of_all_has_no_gap_and_one_chain(day: Day) -> None:
    assert [row["seq"] for row in day.events] == list(range(1, len(day.events) + 1))
    assert all(later["prev_hash"] == earlier["hash"] for earlier, later in pairwise(day.events))


@pytest.mark.scenario("N13")
async def test_ten_agents_on_three_servers_find_ten_different_items(tmp_path: Path) -> None:
    async with servers(tmp_path, NAMES[:3]) as crew:
        # given
        await crew[0].ok("propose", type="test.batch", payload={"batches": 10})

        # when
        calls = [crew[n % 3].ok("checkout", agent=f"agent {n}") for n in range(10)]
        answers = await asyncio.gather(*calls)

    # then
    assert sorted(len(answer["items"]) for answer in answers) == [1] * 10
    assert len({answer["items"][0]["id"] for answer in answers}) == 10


@pytest.mark.scenario("checkout-waits")
async def test_a_waiting_checkout_is_answered_when_another_process_files_work(tmp_path: Path) -> None:
    async with servers(tmp_path, NAMES[:2]) as (ann, bob):
        # given
        waiting = ann.begin_call("checkout", wait_seconds=50)
        await ann.ok("my_work")
        assert not waiting.done()

        # when
        order = (await bob.ok("propose", type="test.echo", payload={"message": "hi"}))["order"]

        # then
        async with asyncio.timeout(LIMIT):
            answer = (await waiting)["result"]["structuredContent"]
        assert [item["order_id"] for item in answer["items"]] == [order["id"]]


@pytest.mark.scenario("checkout-waits")
async def test_a_waiting_checkout_is_answered_when_another_process_gives_an_item_back(tmp_path: Path) -> None:
    async with servers(tmp_path, NAMES[:2]) as (ann, bob):
        # given
        await bob.ok("propose", type="test.echo", payload={"message": "hi"})
        [item] = (await bob.ok("checkout"))["items"]
        waiting = ann.begin_call("checkout", wait_seconds=50)
        await ann.ok("my_work")

        # when
        await bob.ok("release", item_id=item["id"], lease_token=item["lease"]["token"])

        # then
        async with asyncio.timeout(LIMIT):
            answer = (await waiting)["result"]["structuredContent"]
        assert [taken["id"] for taken in answer["items"]] == [item["id"]]
