"""What failed and was left alone is put aside, with its history."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.harness import LIMIT, House, held, house
from workdocket.service.prune import prune

HOUR = 3600


async def failed(home: House) -> str:
    """An order that has failed just now."""
    ann = home.person("ann")
    order_id = await ann.propose()
    await ann.ok("fail", **held(await ann.take(order_id=order_id)), reason="cannot be done", retryable=False)
    return order_id


@pytest.mark.scenario("R6")
async def test_an_order_that_failed_two_days_ago_is_dead_lettered_and_a_fresh_one_is_not(home: House) -> None:
    # given
    ann = home.person("ann")
    old = await failed(home)
    home.clock.forward(26 * HOUR)
    young = await failed(home)
    home.clock.forward(22 * HOUR)

    # when
    await home.app.sweeper.sweep()

    # then
    assert [await ann.state(one) for one in (old, young)] == ["dead_lettered", "failed"]
    [last] = [event for event in await ann.events(old) if event["event"] == "order.dead_lettered"]
    assert (last["actor_type"], last["from_state"]) == ("system", "failed")
    assert last["message"] == "nobody took it up after it failed"
    assert (await ann.ok("get_item", item_id=f"{old}.1"))["item"]["state"] == "dead_lettered"


@pytest.mark.scenario("R6")
async def test_a_retry_starts_the_time_anew(home: House) -> None:
    # given
    ann = home.person("ann")
    order_id = await failed(home)
    home.clock.forward(40 * HOUR)
    await ann.ok("retry", order_id=order_id)
    await ann.ok("fail", **held(await ann.take()), reason="still not", retryable=False)

    # when
    home.clock.forward(10 * HOUR)
    await home.app.sweeper.sweep()

    # then
    assert await ann.state(order_id) == "failed"


@pytest.mark.scenario("R8")
async def test_the_time_is_a_setting(tmp_path: Path) -> None:
    async with house(tmp_path, dead_letter_after_hours=12) as home:
        order_id = await failed(home)
        home.clock.forward(15 * HOUR)

        await home.app.sweeper.sweep()

        assert await home.person("ann").state(order_id) == "dead_lettered"


@pytest.mark.scenario("R6")
async def test_many_are_put_aside_in_one_sweep_and_each_once_by_two_servers(home: House, tmp_path: Path) -> None:
    # given
    ann = home.person("ann")
    orders = [await failed(home) for _ in range(45)]
    home.clock.forward(49 * HOUR)

    # when
    async with house(tmp_path, clock=home.clock, ids=home.ids) as other, asyncio.timeout(LIMIT):
        await asyncio.gather(home.app.sweeper.sweep(), other.app.sweeper.sweep())

    # then
    ended = [event["order_id"] for event in await ann.events() if event["event"] == "order.dead_lettered"]
    assert sorted(ended) == sorted(orders)


@pytest.mark.scenario("N40")
async def test_what_is_pruned_and_put_aside_leaves_the_log_and_the_evidence(home: House) -> None:
    # given
    ann = home.person("ann")
    order_id = await ann.propose("test.batch", {"batches": 2}, idempotency_key="k")
    await ann.ok("submit", **held(await ann.take()), result={"count": 1}, evidence={"page": 7}, notes="seen")
    await ann.ok("fail", **held(await ann.take()), reason="cannot be done", retryable=False)
    before = await ann.events(order_id)

    # when
    home.clock.forward(8 * 24 * HOUR)
    pruned = await prune(home.app.desk)
    await home.app.sweeper.sweep()

    # then
    assert pruned["answers"]["removed"] > 0
    assert await ann.state(order_id) == "dead_lettered"
    assert (await ann.events(order_id))[: len(before)] == before
    item = (await ann.ok("get_item", item_id=f"{order_id}.1"))["item"]
    assert (item["evidence"], item["notes"], item["result"]) == ({"page": 7}, "seen", {"count": 1})
