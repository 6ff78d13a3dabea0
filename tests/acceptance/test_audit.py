"""The trail: only ever added to, chained, and enough to tell every state from."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.support import raw, story
from tests.support.harness import House, held, house
from workdocket.storage import engine

# append-only


LIBRARIES = [sqlite3, engine.dbapi]

TAMPERING = {
    "update": "UPDATE events SET message = 'it was not me' WHERE seq = 1",
    "update of all": "UPDATE events SET actor_id = 'somebody'",
    "delete": "DELETE FROM events WHERE seq = 1",
    "delete of all": "DELETE FROM events",
    "replace": "REPLACE INTO events SELECT seq, at, 'order.forged', order_id, item_id, actor_type, actor_id, agent,"
    " client, attempt, from_state, to_state, message, data, diff, prev_hash, hash FROM events WHERE seq = 1",
    "upsert": "INSERT INTO events SELECT * FROM events WHERE seq = 1"
    " ON CONFLICT (seq) DO UPDATE SET event = 'order.forged'",
}


@pytest.mark.scenario("audit-append-only")
@pytest.mark.parametrize("library", LIBRARIES, ids=["sqlite3", "bundled"])
@pytest.mark.parametrize("how", TAMPERING)
async def test_the_database_refuses_to_change_or_delete_events(tmp_path: Path, how: str, library: ModuleType) -> None:
    # given
    async with house(tmp_path) as home:
        await home.person("agent").propose()
    before = raw.rows(tmp_path, "SELECT * FROM events")

    # when
    with raw.opened(tmp_path, library) as database, pytest.raises(library.IntegrityError, match="append-only"):
        database.execute(TAMPERING[how])

    # then
    assert raw.rows(tmp_path, "SELECT * FROM events") == before


@pytest.mark.scenario("audit-append-only")
async def test_an_event_outlives_what_it_is_about(home: House, tmp_path: Path) -> None:
    order_id = await home.person("agent").propose()

    with raw.opened(tmp_path) as database:
        database.execute("PRAGMA foreign_keys = ON")
        database.execute("DELETE FROM items")
        database.execute("DELETE FROM orders")

    assert [row["order_id"] for row in raw.rows(tmp_path, "SELECT order_id FROM events")] == [order_id, order_id]


# the chain

COVERED = (
    "seq", "at", "event", "order_id", "item_id", "actor_type", "actor_id", "agent", "client", "attempt",
    "from_state", "to_state", "message", "data", "diff", "prev_hash",
)  # fmt: skip


def hash_of(row: dict[str, Any]) -> str:
    """What the documentation says, with nothing but the standard library."""
    body = [json.loads(row[name]) if name in ("data", "diff") and row[name] else row[name] for name in COVERED]
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def first_broken(events: list[dict[str, Any]]) -> int | None:
    """The number of the first event that does not follow from the ones before it."""
    head = ""
    for place, event in enumerate(events, 1):
        if event["seq"] != place or event["prev_hash"] != head or event["hash"] != hash_of(event):
            return place
        head = event["hash"]
    return None


@pytest.mark.scenario("audit-chain")
async def test_the_chain_of_a_long_day_verifies_from_the_first_event_to_the_last(home: House, tmp_path: Path) -> None:
    await story.told(home, tmp_path)

    events = raw.rows(tmp_path, "SELECT * FROM events ORDER BY seq")

    assert len(events) > 100
    assert first_broken(events) is None


@pytest.mark.scenario("audit-chain")
async def test_the_chain_goes_on_after_a_restart(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        await home.person("agent").propose()
    async with house(tmp_path) as home:
        await home.person("agent").take()

    events = raw.rows(tmp_path, "SELECT * FROM events ORDER BY seq")
    assert [event["seq"] for event in events] == [1, 2, 3, 4]
    assert first_broken(events) is None


@pytest.mark.scenario("audit-chain")
@pytest.mark.parametrize(
    "tampering",
    [
        *(f"UPDATE events SET {name} = '7' WHERE seq = 3" for name in COVERED[1:]),
        "DELETE FROM events WHERE seq = 3",
        "UPDATE events SET seq = seq + 1000 WHERE seq = 3",
    ],
)
async def test_whoever_gets_around_the_database_breaks_the_chain(home: House, tmp_path: Path, tampering: str) -> None:
    # given
    agent = home.person("agent")
    await agent.propose()
    await agent.hand_in(await agent.take())

    # when: the triggers are gone, as they are for whoever may write the file
    with raw.opened(tmp_path) as database:
        database.execute("DROP TRIGGER events_are_never_changed")
        database.execute("DROP TRIGGER events_are_never_deleted")
        assert database.execute(tampering).rowcount == 1

    # then
    assert first_broken(raw.rows(tmp_path, "SELECT * FROM events ORDER BY seq")) == 3


@pytest.mark.scenario("audit-chain")
async def test_the_hashes_that_callers_see_are_those_that_are_stored(home: House, tmp_path: Path) -> None:
    agent = home.person("agent")
    await agent.propose()

    seen = [(event["prev_hash"], event["hash"]) for event in await agent.events()]

    assert seen == [(row["prev_hash"], row["hash"]) for row in raw.rows(tmp_path, "SELECT * FROM events ORDER BY seq")]


# replay


def replayed(events: list[dict[str, Any]]) -> tuple[dict[str, str], dict[str, str]]:
    """The state of every order and item, told by the events alone. A move from where nothing was is a broken trail."""
    orders: dict[str, str] = {}
    items: dict[str, str] = {}
    for event in events:
        if event["event"] == "order.planned":
            count = json.loads(event["data"])["items"]
            items |= {f"{event['order_id']}.{n}": "queued" for n in range(1, count + 1)}
        if event["to_state"] is not None:
            states, name = (items, event["item_id"]) if event["item_id"] else (orders, event["order_id"])
            assert states.get(name) == event["from_state"], event
            states[name] = event["to_state"]
    return orders, items


@pytest.mark.scenario("audit-replays", "one-event-per-row")
async def test_the_events_alone_tell_every_current_state(home: House, tmp_path: Path) -> None:
    # given
    await story.told(home, tmp_path)

    # when
    orders, items = replayed(raw.rows(tmp_path, "SELECT * FROM events ORDER BY seq"))

    # then
    assert orders == {row["id"]: row["state"] for row in raw.rows(tmp_path, "SELECT id, state FROM orders")}
    assert items == {row["id"]: row["state"] for row in raw.rows(tmp_path, "SELECT id, state FROM items")}
    assert len(set(orders.values())) >= 4


@pytest.mark.scenario("audit-replays")
async def test_every_prefix_of_the_trail_is_a_moment_that_was(home: House, tmp_path: Path) -> None:
    agent = home.person("agent")
    order_id = await agent.propose("test.batch", {"batches": 2})
    seen = []

    for _ in range(2):
        item = await agent.take()
        seen.append((await agent.ok("get_order", order_id=order_id))["version"])
        await agent.hand_in(item, {"count": 1})
        seen.append((await agent.ok("get_order", order_id=order_id))["version"])

    events = raw.rows(tmp_path, "SELECT * FROM events ORDER BY seq")
    states = [replayed(events[:version])[0][order_id] for version in seen]
    assert states == ["checked_out", "in_progress", "in_progress", "submitted"]


# reading it


@pytest.mark.scenario("X5")
async def test_each_event_says_what_about_which_order_when_and_by_whom(home: House, tmp_path: Path) -> None:
    await story.straight_through(home)

    events = await home.person("auditor").events()

    for event in events:
        assert {"seq", "order_id", "event", "at", "actor_type", "actor_id", "hash"} <= set(event)
    leased = next(event for event in events if event["event"] == "item.leased")
    assert (leased["actor_id"], leased["agent"], leased["attempt"]) == ("anna", "Anna's laptop", 1)


@pytest.mark.scenario("events-are-oldest-first")
async def test_events_are_read_oldest_first_and_page_by_page_without_gap_or_double(home: House) -> None:
    # given
    agent = home.person("agent")
    for _ in range(4):
        await agent.propose()

    # when
    pages, after = [], {}
    while True:
        page = await agent.ok("events", limit=3, **after)
        pages.append([event["seq"] for event in page["events"]])
        if "next_cursor" not in page:
            break
        after = {"after": page["next_cursor"]}

    # then
    assert pages == [[1, 2, 3], [4, 5, 6], [7, 8]]


@pytest.mark.scenario("events-are-oldest-first")
async def test_a_cursor_goes_on_with_what_came_later(home: House) -> None:
    agent = home.person("agent")
    await agent.propose()
    last = (await agent.ok("events"))["events"][-1]["seq"]

    await agent.propose()

    assert [event["seq"] for event in (await agent.ok("events", after=str(last)))["events"]] == [3, 4]


@pytest.mark.scenario("X4")
async def test_without_an_order_or_an_item_the_whole_trail_is_read(home: House) -> None:
    agent = home.person("agent")
    orders = [await agent.propose(), await agent.propose()]

    assert [event["order_id"] for event in (await agent.ok("events"))["events"]] == [*orders[:1] * 2, *orders[1:] * 2]


@pytest.mark.parametrize(
    "wanted, expected",
    [
        ({"order_id": "WO-2"}, ["order.proposed", "order.planned"]),
        ({"item_id": "WO-1.1"}, ["item.leased", "item.started"]),
        ({"event": "order.planned"}, ["order.planned", "order.planned"]),
        ({"actor": "worker"}, ["item.leased", "item.started"]),
        ({"actor": "worker", "event": "item.leased"}, ["item.leased"]),
    ],
)
async def test_the_trail_can_be_narrowed(home: House, wanted: dict[str, str], expected: list[str]) -> None:
    await home.person("requester").propose(priority=1)
    await home.person("requester").propose()
    item = await home.person("worker").take()
    await home.person("worker").ok("heartbeat", **held(item))

    answer = await home.person("reader").ok("events", **wanted)

    assert [event["event"] for event in answer["events"]] == expected


@pytest.mark.scenario("X3")
@pytest.mark.parametrize("asked, given", [({}, 50), ({"limit": 3}, 3), ({"limit": 500}, 500), ({"limit": 9999}, 500)])
async def test_at_most_the_asked_number_of_events_comes_back(home: House, asked: dict[str, int], given: int) -> None:
    # given: more than anybody may ask for at once
    agent = home.person("agent")
    for _ in range(2):
        await agent.ok("cancel", order_id=await agent.propose("test.batch", {"batches": 260}))

    # when
    answer = await agent.ok("events", **asked)

    # then
    assert len(answer["events"]) == given
    assert answer["next_cursor"] == str(answer["events"][-1]["seq"])


async def test_a_heartbeat_that_only_renews_leaves_no_event(home: House) -> None:
    agent = home.person("agent")
    order_id = await agent.propose()
    item = await agent.take()
    await agent.ok("heartbeat", **held(item))
    before = await agent.events(order_id)

    await agent.ok("heartbeat", **held(item), progress=0.9, note="nearly")

    assert await agent.events(order_id) == before
