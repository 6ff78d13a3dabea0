from __future__ import annotations

import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workdocket.domain.errors import WorkError
from workdocket.domain.machine import (
    ITEM,
    ITEM_TABLE,
    JOINT,
    OPEN,
    ORDER,
    ORDER_TABLE,
    TERMINAL,
    Row,
    Table,
    allowed,
    joint,
    step,
)

# The promised tables, row by row in their own words; the last column is what the code calls the command.

PROMISED_ITEM = """
queued | checkout | leased | item.leased | checkout
leased | progress (first heartbeat or part) | in_progress | item.started | progress
leased, in_progress | submit | submitted | item.submitted | submit
leased, in_progress | finalize | submitted | item.finalized | finalize
leased, in_progress | release | queued | item.released | release
leased, in_progress | fail, retryable, attempts left | queued | item.attempt_failed | fail_attempt
leased, in_progress | expire, attempts left | queued | item.lease_expired | expire
queued (its last lease expired, none newer) | any call with that last token | leased | item.reclaimed | reclaim
leased, in_progress | fail for good, or expire or fail with no attempt left | failed | item.failed | fail
submitted | order approved | accepted | item.accepted | accept
accepted | order applied | completed | item.completed | complete
submitted, accepted (after a failed apply) | rejected for rework | queued | item.returned | return
submitted, queued, leased, in_progress | order rejected for good | rejected | item.rejected | reject
failed | retry | queued | item.retried | retry
failed, rejected, submitted, accepted | order dead-lettered | dead_lettered | item.dead_lettered | dead_letter
rejected | order requeued | queued | item.requeued | requeue
queued, leased, in_progress, submitted | order cancelled | cancelled | item.cancelled | cancel
accepted, failed, rejected | order cancelled | cancelled | item.cancelled | cancel
"""

PROMISED_ORDER = """
submitted | approve | approved | order.approved | approve
approved | applied | applied | order.applied | apply
applied | complete (same transaction) | completed | order.completed | complete
approved | apply gave up | failed | order.apply_failed | give_up
failed (after an apply) | retry | approved | order.retried | retry_apply
failed (failed items) | retry | by the joint state | order.retried | retry
submitted, failed (after an apply) | reject, rework | by the joint state | order.returned | rework
queued, checked_out, in_progress, submitted | reject for good | rejected | order.rejected | reject
rejected | requeue | by the joint state | order.requeued | requeue
rejected, failed | dead-letter | dead_lettered | order.dead_lettered | dead_letter
queued, checked_out, in_progress, submitted, rejected, failed | cancel | cancelled | order.cancelled | cancel
"""

BEYOND_ITEM = {
    ("accepted", "reject", "rejected", "item.rejected"),
    ("submitted", "stop", "failed", "item.failed"),
    ("accepted", "stop", "failed", "item.failed"),
    ("failed", "waive", "cancelled", "item.waived"),
}
"""Accepted work in an order that came back from its apply and is then refused for good must go somewhere. What is
rejected for the same reasons again and again goes to a person, and not back to the queue. A failed item can be left
out, so that the others do not wait for it for good."""

BEYOND_ORDER = {("approved", "drift", JOINT, "order.drifted")}
"""The world moved between approval and apply."""

Step = tuple[str, str, str, str]


def promised(text: str) -> set[Step]:
    steps = set()
    for line in text.strip().splitlines():
        sources, _, target, event, command = (cell.strip() for cell in line.split("|"))
        target = JOINT if target == "by the joint state" else target
        steps |= {(source.strip(), command, target, event) for source in re.sub(r"\(.*?\)", "", sources).split(",")}
    return steps


def steps_of(rows: tuple[Row, ...]) -> set[Step]:
    return {(source, row.command, row.target, row.event) for row in rows for source in row.sources}


def targets(row: Row) -> tuple[str, ...]:
    return OPEN if row.target == JOINT else (row.target,)


def reachable(table: Table, start: str, more: dict[str, set[str]] | None = None) -> set[str]:
    found, todo = {start}, [start]
    while todo:
        state = todo.pop()
        following = {target for (source, _), row in table.items() if source == state for target in targets(row)}
        for one in (following | (more or {}).get(state, set())) - found:
            found.add(one)
            todo.append(one)
    return found


TABLES = pytest.mark.parametrize("table", [ITEM, ORDER], ids=["item", "order"])
ITEM_STATES = sorted({source for source, _ in ITEM} | {row.target for row in ITEM_TABLE})
ORDER_STATES = sorted({source for source, _ in ORDER} | {one for row in ORDER_TABLE for one in targets(row)})
FOLLOWS_ITEMS = {state: set(OPEN) for state in OPEN}
OPEN_ITEM_STATES = ("queued", "leased", "in_progress", "submitted", "accepted", "failed")


def test_the_item_table_is_the_promised_one():
    assert steps_of(ITEM_TABLE) == promised(PROMISED_ITEM) | BEYOND_ITEM


def test_the_order_table_is_the_promised_one():
    assert steps_of(ORDER_TABLE) == promised(PROMISED_ORDER) | BEYOND_ORDER


@pytest.mark.parametrize("rows", [ITEM_TABLE, ORDER_TABLE], ids=["item", "order"])
def test_no_state_and_command_lead_to_two_places(rows: tuple[Row, ...]):
    ways = Counter((source, row.command) for row in rows for source in row.sources)

    assert set(ways.values()) == {1}


def test_every_item_state_is_reachable():
    assert reachable(ITEM, "queued") == set(ITEM_STATES)


def test_every_order_state_is_reachable():
    assert reachable(ORDER, "queued", FOLLOWS_ITEMS) == set(ORDER_STATES)


@pytest.mark.parametrize("state", set(ITEM_STATES) - set(TERMINAL))
def test_no_item_state_is_a_trap(state: str):
    assert reachable(ITEM, state) & set(TERMINAL)


@pytest.mark.parametrize("state", set(ORDER_STATES) - set(TERMINAL))
def test_no_order_state_is_a_trap(state: str):
    assert reachable(ORDER, state) & set(TERMINAL)


@TABLES
@pytest.mark.parametrize("state", TERMINAL)
def test_nothing_leaves_a_terminal_state(table: Table, state: str):
    assert not [key for key in table if key[0] == state]


@TABLES
@given(data=st.data())
def test_a_random_walk_never_leaves_the_table(table: Table, data: st.DataObject):
    commands = sorted({command for _, command in table})
    state = "queued"

    for command in data.draw(st.lists(st.sampled_from(commands), max_size=30)):
        try:
            row = step(table, "WO-1", state, command)
        except WorkError:
            assert (state, command) not in table
        else:
            assert state in row.sources
            state = data.draw(st.sampled_from(targets(row)))

    assert state in {*ITEM_STATES, *ORDER_STATES}


@TABLES
def test_a_refused_step_names_what_is_allowed(table: Table):
    states = {source for source, _ in table} | set(TERMINAL)
    refused = [(state, command) for state in states for _, command in table if (state, command) not in table]

    for state, command in refused:
        with pytest.raises(WorkError) as refusal:
            step(table, "WO-1", state, command)

        assert refusal.value.code == "illegal_transition"
        assert refusal.value.details["from"] == state
        assert refusal.value.details["allowed"] == allowed(table, state)
        assert all(option in refusal.value.hint for option in allowed(table, state))


def test_a_refusal_speaks_the_words_of_the_caller():
    with pytest.raises(WorkError) as refusal:
        step(ORDER, "WO-1", "rejected", "retry_apply")

    assert str(refusal.value) == "WO-1 is rejected; retry is not possible from there"
    assert refusal.value.details["command"] == "retry"
    assert refusal.value.details["allowed"] == ["cancel", "dead_letter", "requeue"]


def test_what_nobody_can_ask_for_is_never_offered():
    assert allowed(ITEM, "queued") == ["cancel", "checkout", "reject"]
    assert allowed(ITEM, "leased") == ["cancel", "fail", "finalize", "heartbeat", "reject", "release", "submit"]
    assert allowed(ORDER, "failed") == ["cancel", "dead_letter", "reject with rework", "retry"]
    assert allowed(ORDER, "approved") == []


def test_a_state_that_allows_nothing_says_so():
    with pytest.raises(WorkError) as refusal:
        step(ORDER, "WO-1", "completed", "cancel")

    assert refusal.value.hint == "Nothing can be asked of it: completed."


@pytest.mark.parametrize(
    "items, expected",
    [
        ("submitted", "submitted"),
        ("submitted submitted", "submitted"),
        ("submitted accepted", "submitted"),
        ("failed", "failed"),
        ("failed submitted", "failed"),
        ("failed queued", "queued"),
        ("failed leased", "checked_out"),
        ("failed in_progress", "in_progress"),
        ("in_progress queued", "in_progress"),
        ("submitted queued", "in_progress"),
        ("submitted leased", "in_progress"),
        ("leased queued", "checked_out"),
        ("queued queued", "queued"),
        ("submitted rejected", "submitted"),
        ("cancelled leased", "checked_out"),
        ("failed cancelled", "failed"),
    ],
)
def test_the_joint_state_is_the_first_that_applies(items: str, expected: str):
    assert joint(items.split()) == expected


@given(st.lists(st.sampled_from(OPEN_ITEM_STATES), min_size=1, max_size=8))
def test_every_bag_of_item_states_has_the_promised_joint_state(items: list[str]):
    handed_in = [state in ("submitted", "accepted") for state in items]
    still_open = [state in ("queued", "leased", "in_progress") for state in items]
    in_words = [
        ("submitted", all(handed_in)),
        ("failed", "failed" in items and not any(still_open)),
        ("in_progress", "in_progress" in items or any(handed_in)),
        ("checked_out", "leased" in items),
        ("queued", True),
    ]

    assert joint(items) == next(state for state, holds in in_words if holds)


@given(st.lists(st.sampled_from(ITEM_STATES), max_size=6))
def test_the_joint_state_is_one_that_follows_the_items_whatever_they_are(items: list[str]):
    assert joint(items) in OPEN
