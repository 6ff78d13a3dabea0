"""Finding orders again, looking at one, at its items and at what happened to it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.support.harness import LIMIT, House, Person, house
from workdocket.domain.model import iso


async def listed(someone: Person, **wanted: Any) -> list[str]:
    return [row["id"] for row in (await someone.ok("list_orders", **wanted))["orders"]]


async def pages(someone: Person, **wanted: Any) -> list[list[str]]:
    found: list[list[str]] = []
    cursor: dict[str, Any] = {}
    while len(found) < 50:
        answer = await someone.ok("list_orders", **wanted, **cursor)
        found.append([row["id"] for row in answer["orders"]])
        if "next_cursor" not in answer:
            return found
        cursor = {"cursor": answer["next_cursor"]}
    raise AssertionError("the pages never end")


async def completed(home: House, order_id: str) -> None:
    ann = home.person("ann")
    await ann.hand_in(await ann.take(order_id=order_id))
    await ann.ok("approve", order_id=order_id)


# listing


@pytest.mark.scenario("L1")
async def test_a_list_has_a_row_for_every_order_and_their_number(home: House) -> None:
    ann = home.person("ann")
    await ann.propose(priority=5, meta={"batch": 1})
    await ann.propose("test.batch", {"batches": 3})

    answer = await ann.ok("list_orders")

    assert answer["total"] == 2
    first, second = answer["orders"]
    assert (first["id"], first["type"], first["state"], first["priority"]) == ("WO-1", "test.echo", "queued", 5)
    assert (first["items_count"], second["items_count"]) == (1, 3)
    assert first["created_at"] == iso(home.clock.now())
    assert second["items"] == {"queued": 3}
    assert "payload" not in first


@pytest.mark.scenario("L2")
async def test_a_list_by_state_has_only_orders_in_that_state(home: House) -> None:
    ann = home.person("ann")
    done, waiting = await ann.propose(), await ann.propose()
    await completed(home, done)

    assert await listed(ann, state="queued") == [waiting]
    assert await listed(ann, state="completed") == [done]


@pytest.mark.scenario("L2")
@pytest.mark.parametrize("field", ["state", "item_state"])
async def test_an_unknown_state_is_refused_with_the_known_ones(home: House, field: str) -> None:
    refusal = await home.person("ann").refused("list_orders", "invalid_request", **{field: "qeued"})

    [finding] = refusal["details"]["findings"]
    assert (finding["code"], finding["path"]) == ("enum", f"/{field}")
    assert "queued" in finding["message"]


@pytest.mark.scenario("L3")
async def test_a_list_by_type_has_only_orders_of_that_type(home: House) -> None:
    ann = home.person("ann")
    await ann.propose()
    free = await ann.propose("test.free", {})

    assert await listed(ann, type="test.free") == [free]


@pytest.mark.scenario("L4")
async def test_filters_are_combined_with_and(home: House) -> None:
    ann = home.person("ann")
    done, _, wanted = await ann.propose(), await ann.propose("test.free", {}), await ann.propose()
    await completed(home, done)

    assert await listed(ann, state="queued", type="test.echo") == [wanted]


@pytest.mark.scenario("L7")
async def test_a_list_from_a_priority_up_leaves_out_lower_ones(home: House) -> None:
    ann = home.person("ann")
    _, middle, high = [await ann.propose(priority=priority) for priority in (30, 70, 90)]

    assert await listed(ann, min_priority=51) == [high, middle]
    assert await listed(ann, min_priority=70) == [high, middle]


@pytest.mark.scenario("L8")
async def test_a_list_may_be_cut_by_time_on_both_sides(home: House) -> None:
    ann = home.person("ann")
    ids, cuts = [], []
    for _ in range(3):
        ids.append(await ann.propose())
        home.clock.forward(10)
        cuts.append(iso(home.clock.now()))
        home.clock.forward(10)

    assert await listed(ann, created_after=cuts[0]) == ids[1:]
    assert await listed(ann, created_before=cuts[1]) == ids[:2]
    assert await listed(ann, created_after=cuts[0], created_before=cuts[1]) == [ids[1]]


@pytest.mark.scenario("L8")
@pytest.mark.parametrize("time", ["yesterday", "2026-01-01T10:00:00", ""])
async def test_a_time_that_is_none_or_has_no_zone_is_refused(home: House, time: str) -> None:
    refusal = await home.person("ann").refused("list_orders", "invalid_request", created_after=time)

    assert [finding["path"] for finding in refusal["details"]["findings"]] == ["/created_after"]


@pytest.mark.scenario("L9")
async def test_a_list_by_meta_has_only_orders_with_that_value(home: House) -> None:
    ann = home.person("ann")
    wanted, _ = await ann.propose(meta={"batch_id": 42, "who": "x"}), await ann.propose(meta={"batch_id": 99})

    assert await listed(ann, meta={"batch_id": 42}) == [wanted]
    assert await listed(ann, meta={"batch_id": 42, "who": "x"}) == [wanted]
    assert await listed(ann, meta={"batch_id": 42, "who": "y"}) == []


@pytest.mark.scenario("L4")
async def test_a_list_by_requester_has_only_that_callers_orders(home: House) -> None:
    ann, bob = home.person("ann"), home.person("bob")
    await ann.propose()
    his = await bob.propose()

    assert await listed(ann, requested_by="bob") == [his]


@pytest.mark.scenario("L4")
async def test_a_list_by_item_state_has_orders_with_such_an_item(home: House) -> None:
    ann = home.person("ann")
    await ann.propose()
    batch = await ann.propose("test.batch", {"batches": 2})
    await ann.take(order_id=batch)

    assert await listed(ann, item_state="leased") == [batch]


@pytest.mark.scenario("L4")
async def test_orders_with_something_to_check_out_are_told_from_those_without(home: House) -> None:
    ann = home.person("ann")
    taken, free, later = await ann.propose(), await ann.propose(), None
    later = await ann.propose(not_before=iso(home.clock.now() + 60_000))
    blocked = await ann.propose(depends_on=[free])
    await ann.take(order_id=taken)

    assert await listed(ann, has_available_items=True) == [free]
    assert await listed(ann, has_available_items=False) == [taken, later, blocked]


@pytest.mark.scenario("L4", "expiry-needs-no-cron")
async def test_an_item_whose_lease_ran_out_is_something_to_check_out(home: House) -> None:
    ann = home.person("ann")
    order_id = await ann.propose()
    await ann.take()

    home.clock.forward(601)

    assert await listed(ann, has_available_items=True) == [order_id]
    assert await listed(ann, has_available_items=False) == []


@pytest.mark.scenario("L12")
async def test_a_list_is_sorted_as_asked(home: House) -> None:
    ann = home.person("ann")
    ids = []
    for priority in (50, 10, 90):
        ids.append(await ann.propose(priority=priority))
        home.clock.forward(1)

    assert await listed(ann, sort="priority") == [ids[1], ids[0], ids[2]]
    assert await listed(ann, sort="-created_at") == ids[::-1]
    assert await listed(ann, sort="-id") == ids[::-1]


@pytest.mark.scenario("L14")
async def test_by_default_the_highest_priority_comes_first_and_then_the_oldest(home: House) -> None:
    ann = home.person("ann")
    ids = []
    for priority in (10, 50, 10, 50):
        ids.append(await ann.propose(priority=priority))
        home.clock.forward(1)

    assert await listed(ann) == [ids[1], ids[3], ids[0], ids[2]]


@pytest.mark.scenario("L19")
async def test_a_page_has_20_orders_unless_asked_otherwise(home: House) -> None:
    ann = home.person("ann")
    ids = [await ann.propose() for _ in range(21)]

    answer = await ann.ok("list_orders")

    assert [row["id"] for row in answer["orders"]] == ids[:20]
    assert answer["total"] == 21
    assert await listed(ann, cursor=answer["next_cursor"]) == ids[20:]


@pytest.mark.scenario("L20")
async def test_a_page_has_at_most_100_orders(home: House) -> None:
    ann = home.person("ann")
    await asyncio.gather(*(ann.propose() for _ in range(101)))

    answer = await ann.ok("list_orders", limit=200)

    assert len(answer["orders"]) == 100
    assert "next_cursor" in answer


@pytest.mark.scenario("L12", "L19")
@pytest.mark.parametrize("sort", ["-priority,created_at", "state", "type,-priority", "-changed_at", "-id", "id"])
async def test_pages_show_every_order_once_in_the_order_of_the_whole(home: House, sort: str) -> None:
    ann = home.person("ann")
    for n in range(7):
        await ann.propose("test.free", {}, priority=n % 2)
        await ann.propose(priority=n % 3)
        home.clock.forward(n % 2)
    whole = await listed(ann, sort=sort)

    found = await pages(ann, sort=sort, limit=3)

    assert [order_id for page in found for order_id in page] == whole
    assert len(set(whole)) == 14


@pytest.mark.scenario("L19")
async def test_a_page_goes_on_from_where_it_was_although_orders_come_and_go(home: House) -> None:
    ann = home.person("ann")
    ids = [await ann.propose() for _ in range(4)]
    first = await ann.ok("list_orders", limit=2)

    await ann.propose(priority=9)
    await ann.ok("cancel", order_id=ids[0])

    assert await listed(ann, limit=2, cursor=first["next_cursor"]) == ids[2:]


@pytest.mark.scenario("L23")
@pytest.mark.parametrize("sort", ["prio", "-payload", "priority;drop table orders", "--priority"])
async def test_an_unknown_sort_is_refused_with_the_known_ones(home: House, sort: str) -> None:
    refusal = await home.person("ann").refused("list_orders", "invalid_request", sort=sort)

    [finding] = refusal["details"]["findings"]
    assert finding["path"] == "/sort"
    assert "priority, created_at" in finding["message"]


@pytest.mark.scenario("L23")
async def test_a_cursor_of_another_sort_is_refused(home: House) -> None:
    ann = home.person("ann")
    await ann.propose()
    await ann.propose()
    cursor = (await ann.ok("list_orders", limit=1))["next_cursor"]

    refusal = await ann.refused("list_orders", "invalid_request", sort="id", cursor=cursor)

    assert [finding["path"] for finding in refusal["details"]["findings"]] == ["/cursor"]


@pytest.mark.scenario("L25")
async def test_every_filter_at_once_leaves_the_one_that_fits_them_all(home: House) -> None:
    ann, bob = home.person("ann"), home.person("bob")
    await ann.propose(priority=60)
    await bob.propose("test.free", {}, priority=60)
    await bob.propose(priority=10)
    wanted = await bob.propose(priority=60, meta={"k": "v"})

    found = await listed(
        ann,
        state="queued",
        type="test.echo",
        min_priority=50,
        requested_by="bob",
        meta={"k": "v"},
        item_state="queued",
        has_available_items=True,
        sort="-created_at",
    )

    assert found == [wanted]


# looking at one


@pytest.mark.scenario("G1")
async def test_an_order_is_shown_with_its_items_and_recent_events(home: House) -> None:
    ann = home.person("ann")
    order_id = await ann.propose("test.batch", {"batches": 2}, priority=3, meta={"a": 1})

    answer = await ann.ok("get_order", order_id=order_id)

    order = answer["order"]
    assert (order["id"], order["state"], order["payload"], order["meta"]) == (
        order_id,
        "queued",
        {"batches": 2},
        {"a": 1},
    )
    assert [item["id"] for item in answer["items"]] == ["WO-1.1", "WO-1.2"]
    assert [event["event"] for event in answer["recent_events"]] == ["order.proposed", "order.planned"]
    assert answer["findings"] == []
    assert answer["version"] == answer["recent_events"][-1]["seq"]
    assert order_id in answer["next"]


@pytest.mark.scenario("G1")
async def test_a_finished_order_is_shown_with_its_decision_and_diff(home: House) -> None:
    ann = home.person("ann")
    order_id = await ann.propose()
    await completed(home, order_id)

    answer = await ann.ok("get_order", order_id=order_id)

    assert answer["decision"]["verdict"] == "approve"
    assert answer["diff"]["changes"] == [{"op": "added", "path": "/WO-1.1", "before": None, "after": "hi"}]
    assert answer["recent_events"][-1]["event"] == "order.completed"


@pytest.mark.scenario("G1")
async def test_an_order_with_many_items_says_how_many_are_left_out(home: House) -> None:
    ann = home.person("ann")
    order_id = await ann.propose("test.batch", {"batches": 120})

    answer = await ann.ok("get_order", order_id=order_id)

    assert len(answer["items"]) + answer["items_left_out"] == answer["order"]["items_count"] == 120


@pytest.mark.scenario("G2")
async def test_a_leased_item_is_shown_with_its_holder_and_expiry_but_not_with_the_token(home: House) -> None:
    ann = home.person("ann")
    order_id = await ann.propose()
    lease = (await ann.take())["lease"]

    answer = await home.person("bob").ok("get_order", order_id=order_id)

    [item] = answer["items"]
    assert (item["state"], item["attempts"], item["max_attempts"]) == ("leased", 0, 3)
    assert (item["leased_by"], item["lease_expires_at"]) == ("ann", lease["expires_at"])
    assert lease["token"] not in str(answer)
    assert lease["token"] not in str(await home.person("bob").ok("get_item", item_id=item["id"]))
    assert lease["token"] not in str(await home.person("bob").events())


@pytest.mark.scenario("G2")
async def test_an_item_is_shown_with_what_went_in_and_what_came_out(home: House) -> None:
    ann = home.person("ann")
    await ann.propose()
    first = await ann.take()
    await ann.ok("fail", item_id=first["id"], lease_token=first["lease"]["token"], reason="no luck")
    failed = (await ann.ok("get_item", item_id=first["id"]))["item"]
    home.clock.forward(3600)
    await ann.hand_in(await ann.take(), evidence=["seen"], notes="done")

    item = (await ann.ok("get_item", item_id=first["id"]))["item"]

    assert failed["error"]["message"] == "no luck"
    assert item["input"] == {"message": "hi"}
    assert item["result"] == {"message": "hi", "verified": True}
    assert (item["evidence"], item["notes"]) == (["seen"], "done")
    assert [attempt["end"] for attempt in item["attempts"]] == ["failed", "submitted"]
    assert (item["parts"], item["late_results"], item["feedback"]) == ([], [], [])


# waiting for news


@pytest.mark.scenario("G1")
async def test_a_wait_ends_when_the_order_changes(home: House) -> None:
    ann = home.person("ann")
    order_id = await ann.propose()
    seen = (await ann.ok("get_order", order_id=order_id))["version"]
    waiting = asyncio.create_task(ann.ok("get_order", order_id=order_id, wait_seconds=50, since_version=seen))

    await home.person("bob").take()

    async with asyncio.timeout(LIMIT):
        answer = await waiting
    assert answer["order"]["state"] == "checked_out"
    assert answer["version"] > seen


@pytest.mark.scenario("G1")
async def test_a_wait_does_not_miss_what_happened_before_it(home: House) -> None:
    ann = home.person("ann")
    order_id = await ann.propose()
    seen = (await ann.ok("get_order", order_id=order_id))["version"]
    await ann.take()

    async with asyncio.timeout(LIMIT):
        answer = await ann.ok("get_order", order_id=order_id, wait_seconds=50, since_version=seen)

    assert answer["order"]["state"] == "checked_out"


@pytest.mark.scenario("G1")
async def test_nobody_waits_for_an_order_that_is_over(home: House) -> None:
    ann = home.person("ann")
    order_id = await ann.propose()
    await ann.ok("cancel", order_id=order_id)

    async with asyncio.timeout(LIMIT):
        answer = await ann.ok("get_order", order_id=order_id, wait_seconds=50)

    assert answer["order"]["state"] == "cancelled"


# what happened


@pytest.mark.scenario("X4")
async def test_a_call_that_needs_one_of_two_ids_names_what_is_missing(home: House) -> None:
    refusal = await home.person("ann").refused("retry", "invalid_request")

    assert "order_id" in refusal["message"]
    assert "item_id" in refusal["message"]
    assert [finding["code"] for finding in refusal["details"]["findings"]] == ["required"]


@pytest.mark.scenario("X4")
async def test_without_an_order_or_item_the_events_of_all_are_shown(home: House) -> None:
    ann = home.person("ann")
    await ann.propose()
    await ann.propose()

    assert [event["order_id"] for event in await ann.events()] == ["WO-1", "WO-1", "WO-2", "WO-2"]


@pytest.mark.scenario("X5")
async def test_every_event_says_what_happened_to_what_by_whom_and_when(home: House) -> None:
    ann = home.person("ann")
    order_id = await ann.propose()
    await completed(home, order_id)

    events = await ann.events(order_id)

    assert [event["seq"] for event in events] == sorted({event["seq"] for event in events})
    for event in events:
        assert event["order_id"] == order_id
        assert event["event"].startswith(("order.", "item.", "decision."))
        assert event["at"] == iso(home.clock.now())
        assert {"actor_type", "actor_id", "prev_hash", "hash"} <= event.keys()


@pytest.mark.scenario("X5")
async def test_events_may_be_asked_for_by_item_name_and_actor(home: House) -> None:
    ann, bob = home.person("ann"), home.person("bob")
    order_id = await ann.propose("test.batch", {"batches": 2})
    item = await bob.take()

    by_item = await ann.ok("events", item_id=item["id"])
    by_name = await ann.ok("events", order_id=order_id, event="order.planned")
    by_actor = await ann.ok("events", actor="bob")

    assert [event["event"] for event in by_item["events"]] == ["item.leased"]
    assert [event["event"] for event in by_name["events"]] == ["order.planned"]
    assert {event["actor_id"] for event in by_actor["events"]} == {"bob"}


@pytest.mark.scenario("X5")
async def test_a_page_of_events_is_at_most_500_long_and_goes_on_with_its_cursor(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        ann = home.person("ann")
        await asyncio.gather(*(ann.propose() for _ in range(251)))

        first = await ann.ok("events", limit=9999)
        second = await ann.ok("events", limit=9999, after=first["next_cursor"])

    seqs = [event["seq"] for event in [*first["events"], *second["events"]]]
    assert (len(first["events"]), seqs) == (500, list(range(1, 503)))
    assert "next_cursor" not in second
