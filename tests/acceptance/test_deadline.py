"""Deadlines: told once when they are missed, by whoever notices, and nothing else changes."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support import until
from tests.support.harness import LIMIT, Agent, House, Person, agent, held, house
from workdocket.app import SystemClock
from workdocket.domain.model import iso
from workdocket.service.desk import Call

MISSED = "order.deadline_missed"
HOUR = 3600


def in_an_hour(home: House) -> str:
    return iso(home.clock.now() + HOUR * 1000)


async def told(p: Person, order_id: str) -> list[dict[str, Any]]:
    return [event for event in await p.events(order_id) if event["event"] == MISSED]


# asked for


async def test_a_deadline_is_shown_with_its_order(home: House) -> None:
    a = home.person("A")
    deadline = in_an_hour(home)
    order = await a.propose(deadline=deadline)
    await a.propose()

    [with_one, without] = (await a.ok("list_orders"))["orders"]
    assert (with_one["deadline"], "deadline_missed_at" in with_one) == (deadline, False)
    assert "deadline" not in without
    assert (await a.ok("get_order", order_id=order))["order"]["deadline"] == deadline


async def test_a_deadline_may_be_the_moment_at_which_work_may_begin_in_any_time_zone(home: House) -> None:
    a = home.person("A")
    order = await a.propose(not_before="2030-01-01T00:00:00Z", deadline="2030-01-01T02:00:00+02:00")

    assert (await a.ok("get_order", order_id=order))["order"]["deadline"] == "2030-01-01T00:00:00.000Z"


@pytest.mark.scenario("deadline-ahead")
@pytest.mark.parametrize("validate_only", [False, True])
@pytest.mark.parametrize(
    ("seconds", "not_before", "codes"),
    [(0, None, ["past"]), (-1, None, ["past"]), (60, 61, ["before_start"]), (-1, 60, ["past", "before_start"])],
)
async def test_a_deadline_that_is_over_or_before_the_start_is_refused_and_leaves_nothing(
    home: House, seconds: float, not_before: float | None, codes: list[str], validate_only: bool
) -> None:
    a, now = home.person("A"), home.clock.now()
    asked = {"deadline": iso(now + round(seconds * 1000))}
    if not_before is not None:
        asked["not_before"] = iso(now + round(not_before * 1000))

    refusal = await a.refused(
        "propose", "invalid_request", type="test.echo", payload={"message": "hi"}, validate_only=validate_only, **asked
    )

    assert [(one["code"], one["path"]) for one in refusal["details"]["findings"]] == [
        (code, "/deadline") for code in codes
    ]
    assert (await a.ok("list_orders"))["total"] == 0


@pytest.mark.scenario("deadline-ahead", "key-replays")
async def test_a_repeat_under_the_key_is_answered_although_the_deadline_is_over_by_then(home: House) -> None:
    a = home.person("A")
    asked = {"deadline": in_an_hour(home), "idempotency_key": "k"}
    order = await a.propose(**asked)
    home.clock.forward(2 * HOUR)

    assert await a.propose(**asked) == order


# missed


@pytest.mark.scenario("deadline-told")
async def test_a_missed_deadline_is_told_once_by_the_system_and_work_goes_on(home: House) -> None:
    # given
    a = home.person("A")
    deadline = in_an_hour(home)
    order = await a.propose("test.batch", {"batches": 3}, deadline=deadline)
    await a.hand_in(await a.take(), {"count": 1})
    home.clock.forward(HOUR - 0.001)
    await home.app.sweeper.sweep()
    assert await told(a, order) == []
    home.clock.forward(0.001)

    # when
    for _ in range(3):
        await home.app.sweeper.sweep()

    # then
    [event] = await told(a, order)
    assert event["data"] == {"deadline": deadline, "state": "in_progress", "open_items": 2}
    assert (event["actor_type"], event["at"], "to_state" in event) == ("system", deadline, False)
    shown = (await a.ok("get_order", order_id=order))["order"]
    assert (shown["state"], shown["deadline_missed_at"]) == ("in_progress", deadline)
    for item in (await a.ok("checkout", count=2))["items"]:
        await a.hand_in(item, {"count": 1})
    assert (await a.ok("approve", order_id=order))["applied"]
    assert len(await told(a, order)) == 1


async def ended(p: Person, order: str, how: str) -> None:
    """An order brought to its end: done, stopped, or put aside."""
    if how == "completed":
        await p.hand_in(await p.take(order_id=order))
        await p.ok("approve", order_id=order)
    elif how == "cancelled":
        await p.ok("cancel", order_id=order)
    else:
        await p.ok("reject", order_id=order, errors=[{"message": "no"}])
        await p.app.orders.dead_letter(Call(p.caller.actor, "dead_letter", {"order_id": order}), order, None)
    assert await p.state(order) == how


ENDS = pytest.mark.parametrize("how", ["completed", "cancelled", "dead_lettered"])


@ENDS
@pytest.mark.scenario("deadline-told")
async def test_an_order_that_was_over_in_time_is_never_late(home: House, how: str) -> None:
    a = home.person("A")
    order = await a.propose(deadline=in_an_hour(home))
    await ended(a, order, how)
    trail = await a.events(order)

    home.clock.forward(2 * HOUR)
    await home.app.sweeper.sweep()

    assert await a.events(order) == trail
    assert "deadline_missed_at" not in (await a.ok("get_order", order_id=order))["order"]


@ENDS
@pytest.mark.scenario("deadline-told")
async def test_an_order_that_is_ended_late_is_told_to_be_late_although_no_sweep_came_by(home: House, how: str) -> None:
    a = home.person("A")
    order = await a.propose(deadline=in_an_hour(home))
    home.clock.forward(HOUR)

    await ended(a, order, how)
    await home.app.sweeper.sweep()

    names = await a.event_names(order)
    assert names.count(MISSED) == 1
    assert names.index(MISSED) < names.index(f"order.{how}")


@pytest.mark.scenario("deadline-told")
@pytest.mark.parametrize("how", ["failed", "rejected", "submitted"])
async def test_an_order_that_nobody_goes_on_with_is_late_as_well(home: House, how: str) -> None:
    a = home.person("A")
    order = await a.propose(deadline=in_an_hour(home))
    if how == "failed":
        await a.ok("fail", **held(await a.take()), reason="no", retryable=False)
    elif how == "rejected":
        await a.ok("reject", order_id=order, errors=[{"message": "no"}])
    else:
        await a.hand_in(await a.take())
    home.clock.forward(HOUR)

    await home.app.sweeper.sweep()

    [event] = await told(a, order)
    assert (event["data"]["state"], event["data"]["open_items"], await a.state(order)) == (how, 0, how)


@pytest.mark.scenario("deadline-told")
async def test_many_deadlines_that_are_over_at_once_are_told_in_one_round(home: House) -> None:
    a = home.person("A")
    orders = [await a.propose(deadline=in_an_hour(home)) for _ in range(45)]
    home.clock.forward(HOUR)

    await home.app.sweeper.sweep()

    assert sorted(event["order_id"] for event in await a.events() if event["event"] == MISSED) == sorted(orders)


@pytest.mark.scenario("deadline-told")
async def test_an_approval_is_not_stale_because_the_order_became_late_meanwhile(home: House, tmp_path: Path) -> None:
    # given: an approval whose preview has begun
    a, shown = home.person("A"), tmp_path / "shown"
    os.mkfifo(shown)
    payload = {"file": str(tmp_path / "ledger"), "shown": str(shown)}
    order = await a.propose("test.ledger", payload, deadline=in_an_hour(home))
    await a.hand_in(await a.take(), {})
    home.clock.forward(HOUR)
    async with asyncio.timeout(LIMIT), asyncio.TaskGroup() as group:
        approving = group.create_task(a.ok("approve", order_id=order))
        with await asyncio.to_thread(shown.open, "w") as preview:
            # when
            await home.app.sweeper.sweep()
            preview.write("the same")
        await until.order_in(a, order, "approved")
        await asyncio.to_thread(shown.write_text, "the same")

    # then
    assert approving.result()["applied"]
    assert len(await told(a, order)) == 1


# noticed


@pytest.mark.scenario("deadline-told")
async def test_who_waits_for_news_of_an_order_learns_that_it_is_late(home: House) -> None:
    a = home.person("A")
    order = await a.propose(deadline=in_an_hour(home))
    version = (await a.ok("get_order", order_id=order))["version"]
    home.clock.forward(HOUR)

    news, _ = await asyncio.gather(
        a.ok("get_order", order_id=order, since_version=version, wait_seconds=LIMIT), home.app.sweeper.sweep()
    )

    assert (news["version"], news["recent_events"][-1]["event"]) == (version + 1, MISSED)


async def late(p: Person, order: str) -> dict[str, Any]:
    """The order, once it is known to be late."""
    async with asyncio.timeout(LIMIT):
        seen = 0
        while True:
            news = await p.ok("get_order", order_id=order, since_version=seen, wait_seconds=LIMIT)
            if "deadline_missed_at" in news["order"]:
                shown: dict[str, Any] = news["order"]
                return shown
            seen = news["version"]


async def test_a_running_server_notices_at_the_deadline_and_not_at_its_next_round(tmp_path: Path) -> None:
    # given
    clock: Any = SystemClock()
    async with house(tmp_path, clock=clock) as home:
        order = await home.person("A").propose(deadline=iso(clock.now() + 1_500))

    # when
    async with house(tmp_path, clock=clock, sweep=True, sweep_every_seconds=HOUR) as home:
        shown = await late(home.person("A"), order)

    # then
    assert shown["deadline_missed_at"] >= shown["deadline"]


@pytest.mark.scenario("deadline-told", "many-processes")
async def test_two_servers_of_one_file_that_sweep_at_once_tell_it_once(tmp_path: Path) -> None:
    async with house(tmp_path) as one, house(tmp_path, clock=one.clock, ids=one.ids) as other:
        a = one.person("A")
        for round in range(1, 6):
            # given
            for _ in range(25):
                await a.propose(deadline=in_an_hour(one))
            one.clock.forward(HOUR)
            together = asyncio.Barrier(2)

            async def sweep(home: House, together: asyncio.Barrier) -> None:
                async with asyncio.timeout(LIMIT):
                    await together.wait()
                await home.app.sweeper.sweep()

            # when
            await asyncio.gather(sweep(one, together), sweep(other, together))

            # then
            about = [event["order_id"] for event in await a.events() if event["event"] == MISSED]
            assert (len(about), len(set(about))) == (round * 25, round * 25)


async def missed(one: Agent) -> list[str]:
    return [event["order_id"] for event in (await one.ok("events", event=MISSED, limit=500))["events"]]


@pytest.mark.slow
@pytest.mark.scenario("deadline-told", "many-processes")
async def test_two_processes_that_sweep_all_the_time_tell_it_once(tmp_path: Path) -> None:
    often = {"WORKDOCKET_SWEEP_EVERY_SECONDS": "0.01"}
    async with agent(tmp_path, "--actor", "A", **often) as one, agent(tmp_path, "--actor", "B", **often):
        deadline = iso(time.time_ns() // 1_000_000 + 2_000)
        for _ in range(20):
            filed = await one.ok("propose", type="test.free", payload={}, deadline=deadline)
        last: str = filed["order"]["id"]
        async with asyncio.timeout(LIMIT):
            while last not in (about := await missed(one)):
                await one.ok("get_order", order_id=last, wait_seconds=1)
        assert len(set(about)) == len(about) == 20
