"""What an order and its items go through, and what they refuse to go through."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import raw, story, until
from tests.support.harness import LIMIT, House, Person, held
from workdocket.domain import machine
from workdocket.domain.model import iso

FINAL_ORDERS = {"completed", "dead_lettered", "cancelled"}
FINAL_ITEMS = {"completed", "dead_lettered", "cancelled"}

WHY = [{"code": "wrong", "message": "not what was asked for"}]

COMMANDS: dict[str, tuple[str, dict[str, Any]]] = {
    "approve": ("approve", {}),
    "reject": ("reject", {"errors": WHY}),
    "reject with rework": ("reject", {"errors": WHY, "rework": True}),
    "cancel": ("cancel", {}),
    "retry": ("retry", {}),
}

ALLOWED: dict[str, set[str]] = {
    "queued": {"cancel", "reject"},
    "checked_out": {"cancel", "reject"},
    "in_progress": {"cancel", "reject"},
    "submitted": {"approve", "cancel", "reject", "reject with rework"},
    "approved": set(),
    "completed": set(),
    "failed": {"cancel", "dead_letter", "reject with rework", "retry"},
    "rejected": {"cancel", "dead_letter", "requeue"},
    "dead_lettered": set(),
    "cancelled": set(),
}
"""What the tables allow. ``applied`` is left in the transaction that enters it, so nobody ever meets it."""


async def queued(home: House, folder: Path) -> str:
    return await home.person("requester").propose("test.ledger", {"file": str(folder / "ledger"), "fail_times": 1})


async def checked_out(home: House, folder: Path) -> str:
    order_id = await queued(home, folder)
    await home.person("worker").take(order_id=order_id)
    return order_id


async def in_progress(home: House, folder: Path) -> str:
    order_id = await queued(home, folder)
    item = await home.person("worker").take(order_id=order_id)
    await home.person("worker").ok("heartbeat", **held(item))
    return order_id


async def submitted(home: House, folder: Path) -> str:
    order_id = await queued(home, folder)
    item = await home.person("worker").take(order_id=order_id)
    await home.person("worker").hand_in(item)
    return order_id


async def approved(home: House, folder: Path) -> str:
    """Waits for the second attempt of its apply, and so for the clock."""
    order_id = await submitted(home, folder)
    await home.person("reviewer").refused("approve", "apply_failed", order_id=order_id)
    return order_id


async def completed(home: House, folder: Path) -> str:
    order_id = await approved(home, folder)
    home.clock.forward(60)
    await home.app.sweeper.sweep()
    await until.order_in(home.person("reviewer"), order_id, "completed")
    return order_id


async def failed(home: House, folder: Path) -> str:
    order_id = await queued(home, folder)
    item = await home.person("worker").take(order_id=order_id)
    await home.person("worker").ok("fail", **held(item), reason="no", retryable=False)
    return order_id


async def rejected(home: House, folder: Path) -> str:
    order_id = await queued(home, folder)
    await home.person("reviewer").ok("reject", order_id=order_id, errors=WHY)
    return order_id


async def dead_lettered(home: House, folder: Path) -> str:
    order_id = await rejected(home, folder)
    await story.dead_letter(home, order_id)
    return order_id


async def cancelled(home: House, folder: Path) -> str:
    order_id = await queued(home, folder)
    await home.person("requester").ok("cancel", order_id=order_id)
    return order_id


WAYS: dict[str, Callable[[House, Path], Awaitable[str]]] = {
    way.__name__: way
    for way in (
        queued, checked_out, in_progress, submitted, approved, completed, failed, rejected, dead_lettered, cancelled
    )
}  # fmt: skip

EVERY_REFUSAL = [
    (state, command) for state, allowed in ALLOWED.items() for command in COMMANDS if command not in allowed
] + [("failed", "reject with rework")]
"""An order that failed at its items, and not at its apply, has nothing that a reviewer could send back."""


@pytest.mark.scenario("E1")
async def test_an_order_goes_from_proposal_to_completion_and_its_trail_says_so(home: House) -> None:
    agent, reviewer = home.person("agent"), home.person("reviewer")

    # when
    order_id = await agent.propose(payload={"message": "hello"})
    item = await agent.take()
    await agent.ok("heartbeat", **held(item), progress=0.5)
    first = await agent.hand_in(item, {"message": "hello", "verified": True}, idempotency_key="once")
    again = await agent.hand_in(item, {"message": "hello", "verified": True}, idempotency_key="once")
    other = await agent.refused(
        "submit", "idempotency_conflict", **held(item), result={"verified": False}, idempotency_key="once"
    )
    digest = (await reviewer.ok("review", order_id=order_id))["digest"]
    approved = await reviewer.ok("approve", order_id=order_id, digest=digest)

    # then
    assert again == {**first, "replayed": True}
    assert other["retryable"] is False
    assert approved["order"] == {"id": order_id, "state": "completed"}
    names = await agent.event_names(order_id)
    told = ["order.proposed", "order.planned", "item.leased", "item.submitted", "order.approved", "order.completed"]
    assert [name for name in names if name in told] == told


@pytest.mark.scenario("states-as-tabled")
@pytest.mark.parametrize("state", ALLOWED)
async def test_every_order_state_can_be_reached_and_shows_itself(home: House, tmp_path: Path, state: str) -> None:
    order_id = await WAYS[state](home, tmp_path)

    assert await home.person("reader").state(order_id) == state


@pytest.mark.scenario("states-as-tabled", "one-event-per-row")
async def test_every_row_of_both_tables_is_walked_and_nothing_outside_of_them(home: House, tmp_path: Path) -> None:
    rows = {row.event for row in (*machine.ITEM_TABLE, *machine.ORDER_TABLE)}
    follows = {f"order.{state}" for state in machine.OPEN}

    # given
    await story.told(home, tmp_path)

    # then
    moves = [event for event in await home.person("auditor").events() if event.get("from_state")]
    assert {event["event"] for event in moves} == rows | follows
    assert [event for event in moves if not in_the_tables(event)] == []


def targets(row: machine.Row) -> tuple[str, ...]:
    return machine.OPEN if row.target == machine.JOINT else (row.target,)


def in_the_tables(event: dict[str, Any]) -> bool:
    source, name, target = event["from_state"], event["event"], event["to_state"]
    table = machine.ITEM_TABLE if "item_id" in event else machine.ORDER_TABLE
    by_row = any(source in row.sources and name == row.event and target in targets(row) for row in table)
    return by_row or ("item_id" not in event and source in machine.OPEN and name == f"order.{target}")


@pytest.mark.scenario("one-event-per-row", "M4")
@pytest.mark.parametrize(
    "tool, given, event, data",
    [
        ("heartbeat", {"progress": 0.1}, "item.started", None),
        ("release", {"reason": "lunch"}, "item.released", None),
        ("fail", {"reason": "no network", "retry_after_seconds": 30}, "item.attempt_failed", {"attempts": 1}),
        ("fail", {"reason": "impossible", "retryable": False}, "item.failed", {"attempts": 1, "retryable": False}),
        (
            "submit",
            {"result": {"message": "hi", "verified": True}, "notes": "seen"},
            "item.submitted",
            {"notes": "seen"},
        ),
    ],
)
async def test_a_move_leaves_one_event_with_actor_message_and_what_was_given(
    home: House, tool: str, given: dict[str, Any], event: str, data: dict[str, Any] | None
) -> None:
    agent = home.person("agent")
    order_id = await agent.propose()
    item = await agent.take(agent="the blue one")
    before = len(await agent.events(order_id))

    # when
    await agent.ok(tool, **held(item), **given)

    # then
    [moved] = [one for one in (await agent.events(order_id))[before:] if one.get("item_id") == item["id"]]
    assert (moved["event"], moved["actor_type"], moved["actor_id"]) == (event, "agent", "agent")
    assert (moved["from_state"], moved["attempt"], moved["at"]) == ("leased", 1, iso(home.clock.now()))
    assert moved.get("message") == given.get("reason")
    assert (data or {}).items() <= moved.get("data", {}).items()


@pytest.mark.scenario("refused-transition")
@pytest.mark.parametrize("state, command", EVERY_REFUSAL)
async def test_a_refused_command_changes_nothing_and_names_what_is_allowed(
    home: House, tmp_path: Path, state: str, command: str
) -> None:
    tool, arguments = COMMANDS[command]

    order_id = await WAYS[state](home, tmp_path)
    before = raw.everything(tmp_path)

    # when
    error = await home.person("boss").refused(tool, "illegal_transition", order_id=order_id, **arguments)

    # then
    assert error["details"]["from"] == state
    assert set(error["details"]["allowed"]) == ALLOWED[state] - {command}
    assert raw.everything(tmp_path) == before


@pytest.mark.scenario("M2")
async def test_a_completed_item_never_goes_back_to_the_queue(home: House, tmp_path: Path) -> None:
    agent = home.person("agent")
    order_id = await agent.propose()
    item = await agent.take()
    await agent.hand_in(item)
    await agent.ok("approve", order_id=order_id)
    before = raw.everything(tmp_path)

    await agent.refused("retry", "illegal_transition", item_id=item["id"])
    await agent.refused("release", "lease_lost", **held(item))
    await agent.refused("fail", "lease_lost", **held(item), reason="no")

    assert raw.everything(tmp_path) == before


@pytest.mark.scenario("M2")
async def test_an_accepted_item_is_not_queued_again_while_its_order_is_approved(home: House, tmp_path: Path) -> None:
    order_id = await approved(home, tmp_path)
    before = raw.everything(tmp_path)

    await home.person("worker").refused("retry", "illegal_transition", item_id=f"{order_id}.1")
    await home.person("worker").refused("reject", "illegal_transition", order_id=order_id, errors=WHY, rework=True)

    assert raw.everything(tmp_path) == before


@pytest.mark.scenario("M2")
@pytest.mark.parametrize("tool, arguments", [("submit", {"result": {}}), ("finalize", {})])
async def test_a_queued_item_is_not_handed_in_without_a_lease(
    home: House, tool: str, arguments: dict[str, Any]
) -> None:
    agent = home.person("agent")
    order_id = await agent.propose()

    await agent.refused(tool, "lease_lost", item_id=f"{order_id}.1", lease_token="made-up", **arguments)

    assert (await agent.ok("get_item", item_id=f"{order_id}.1"))["item"]["state"] == "queued"


@pytest.mark.scenario("M2")
@pytest.mark.parametrize("source, target", [("completed", "queued"), ("queued", "completed"), ("queued", "submitted")])
def test_the_item_table_has_no_short_cut(source: str, target: str) -> None:
    assert [row for row in machine.ITEM_TABLE if source in row.sources and row.target == target] == []


@pytest.mark.scenario("M3")
async def test_a_checkout_moves_item_and_order_and_the_time_of_the_move_is_kept(home: House) -> None:
    agent = home.person("agent")
    order_id = await agent.propose()
    home.clock.forward(90)

    # when
    item = await agent.take()

    # then
    shown = await agent.ok("get_order", order_id=order_id)
    assert (shown["order"]["state"], shown["items"][0]["state"]) == ("checked_out", "leased")
    assert shown["order"]["changed_at"] == iso(home.clock.now())
    moved = [event for event in shown["recent_events"] if event["at"] == iso(home.clock.now())]
    assert [event["event"] for event in moved] == ["item.leased", "order.checked_out"]
    assert moved[0]["item_id"] == item["id"]


@pytest.mark.scenario("M6")
def test_the_final_states_are_those_that_no_row_leaves() -> None:
    def final(rows: tuple[machine.Row, ...]) -> set[str]:
        targets = {row.target for row in rows} - {machine.JOINT}
        return targets - {source for row in rows for source in row.sources}

    assert final(machine.ORDER_TABLE) == FINAL_ORDERS == set(machine.TERMINAL)
    assert final(machine.ITEM_TABLE) == FINAL_ITEMS


@pytest.mark.scenario("M6")
async def test_a_part_is_validated_or_rejected_and_nothing_else(home: House) -> None:
    agent = home.person("agent")
    await agent.propose("test.partial", {})
    item = await agent.take()

    await agent.ok("submit_part", **held(item), part_key="identity", payload={"name": "Ada"})
    await agent.refused("submit_part", "invalid_part", **held(item), part_key="contacts", payload={"fake": True})

    shown = await agent.ok("get_item", item_id=item["id"])
    assert {part["key"]: part["status"] for part in shown["item"]["parts"]} == {
        "identity": "validated",
        "contacts": "rejected",
    }


Step = Callable[[House, str, dict[str, Any]], Awaitable[None]]


async def take(home: House, order_id: str, items: dict[str, Any]) -> None:
    item = await home.person("worker").take(order_id=order_id)
    items[item["id"]] = item


async def begin(home: House, order_id: str, items: dict[str, Any]) -> None:
    await home.person("worker").ok("heartbeat", **held(list(items.values())[-1]))


async def hand_in(home: House, order_id: str, items: dict[str, Any]) -> None:
    await home.person("worker").hand_in(items.popitem()[1], {"count": 1})


async def give_back(home: House, order_id: str, items: dict[str, Any]) -> None:
    await home.person("worker").ok("release", **held(items.popitem()[1]))


async def give_up(home: House, order_id: str, items: dict[str, Any]) -> None:
    await home.person("worker").ok("fail", **held(items.popitem()[1]), reason="no", retryable=False)


@pytest.mark.scenario("joint-state")
@pytest.mark.parametrize(
    "steps, states",
    [
        ([take, give_back], ["checked_out", "queued"]),
        ([take, begin, give_back], ["checked_out", "in_progress", "queued"]),
        ([take, take, give_back, give_back], ["checked_out", "checked_out", "checked_out", "queued"]),
        ([take, take, begin, hand_in], ["checked_out", "checked_out", "in_progress", "in_progress"]),
        ([take, hand_in, take, hand_in], ["checked_out", "in_progress", "in_progress", "submitted"]),
        ([take, give_up, take, give_up], ["checked_out", "queued", "checked_out", "failed"]),
        ([take, hand_in, take, give_up], ["checked_out", "in_progress", "in_progress", "failed"]),
        ([take, give_up, take, hand_in], ["checked_out", "queued", "checked_out", "failed"]),
    ],
)
async def test_an_open_order_is_where_its_two_items_are(home: House, steps: list[Step], states: list[str]) -> None:
    order_id = await home.person("requester").propose("test.batch", {"batches": 2})
    items: dict[str, Any] = {}
    seen = []

    for step in steps:
        await step(home, order_id, items)
        seen.append(await home.person("reader").state(order_id))

    assert seen == states


@pytest.mark.scenario("joint-state")
async def test_the_order_moves_in_the_transaction_of_its_item_and_only_when_its_state_differs(home: House) -> None:
    agent = home.person("agent")
    order_id = await agent.propose("test.batch", {"batches": 2})
    one = await agent.take()
    before = len(await agent.events(order_id))

    # when: a second item is taken, and then the first begun
    await agent.take()
    await agent.ok("heartbeat", **held(one))

    # then
    after = [event["event"] for event in (await agent.events(order_id))[before:]]
    assert after == ["item.leased", "item.started", "order.in_progress"]


@pytest.mark.scenario("joint-state")
async def test_no_reader_ever_sees_an_order_that_lags_behind_its_items(home: House) -> None:
    agent, reader = home.person("agent"), home.person("reader")
    order_id = await agent.propose("test.batch", {"batches": 8})

    async def work(worker: Person) -> None:
        for _ in range(4):
            await worker.hand_in(await worker.take(), {"count": 1})

    async def watch() -> list[tuple[str, str]]:
        seen = []
        while not seen or seen[-1][0] != "submitted":
            shown = await reader.ok("get_order", order_id=order_id)
            seen.append((shown["order"]["state"], machine.joint(item["state"] for item in shown["items"])))
        return seen

    async with asyncio.timeout(LIMIT):
        seen, *_ = await asyncio.gather(watch(), work(home.person("one")), work(home.person("two")))

    assert [pair for pair in seen if pair[0] != pair[1]] == []
