from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.domain.build import NOW, POLICY, RITA, SECOND, effect, handed_in, held, item, names, order
from workdocket.domain import decide
from workdocket.domain.decide import deadline_findings, miss_deadline
from workdocket.domain.diff import Diff
from workdocket.domain.machine import ORDER_TABLE, TERMINAL
from workdocket.domain.model import SYSTEM, Change, iso

STATES = sorted({state for row in ORDER_TABLE for state in row.sources} | set(TERMINAL))
COUNTS = {"queued": 2, "leased": 1, "in_progress": 4, "submitted": 8, "failed": 16}


@pytest.mark.parametrize(
    ("deadline", "not_before", "codes"),
    [
        (NOW + 1, None, []),
        (NOW + 1, NOW + 1, []),
        (NOW + 5, NOW - 5, []),
        (NOW, None, ["past"]),
        (NOW - 1, NOW - 1, ["past"]),
        (NOW + 1, NOW + 2, ["before_start"]),
        (NOW - 1, NOW + 1, ["past", "before_start"]),
    ],
)
def test_a_deadline_lies_ahead_and_not_before_work_may_begin(deadline: int, not_before: int | None, codes: list[str]):
    findings = deadline_findings(deadline, not_before, NOW)

    assert [(one.code, one.path) for one in findings] == [(code, "/deadline") for code in codes]


def test_a_missed_deadline_is_told_with_the_state_and_the_number_of_open_items():
    late = order(state="in_progress", deadline=NOW - SECOND)

    change = miss_deadline(late, COUNTS, NOW)

    [event] = change.events
    assert (event.event, event.actor, event.at, event.from_state, event.to_state) == (
        "order.deadline_missed", SYSTEM, NOW, None, None,
    )  # fmt: skip
    assert event.data == {"deadline": iso(NOW - SECOND), "state": "in_progress", "open_items": 7}


def test_a_missed_deadline_changes_nothing_but_that_it_is_known():
    late = order(state="in_progress", deadline=NOW)

    change = miss_deadline(late, COUNTS, NOW)

    assert change.orders == (replace(late, deadline_missed_at=NOW, version=late.version + 1),)
    assert change == Change(orders=change.orders, events=change.events)


@pytest.mark.parametrize("state", STATES)
def test_a_deadline_can_be_missed_in_every_state_but_the_last_ones(state: str):
    change = miss_deadline(order(state=state, deadline=NOW), COUNTS, NOW)

    assert names(change) == ([] if state in TERMINAL else ["order.deadline_missed"])


@pytest.mark.parametrize(
    "given",
    [{}, {"deadline": NOW + 1}, {"deadline": NOW - 2, "deadline_missed_at": NOW - 1}],
    ids=["none", "ahead", "told before"],
)
def test_where_nothing_is_missed_nothing_is_told(given: dict[str, int]):
    assert miss_deadline(order(state="queued", **given), COUNTS, NOW) == Change()


# ended before anybody noticed


def late_and(state: str) -> Change:
    """The change that ends an order whose deadline was missed while nobody looked."""
    if state == "cancelled":
        return decide.cancel(order(held(1), item(2), handed_in(3), deadline=NOW), RITA, NOW, None)
    if state == "dead_lettered":
        return decide.dead_letter(order(item(1, "rejected"), state="rejected", deadline=NOW), RITA, NOW, None)
    approved = order(handed_in(1, "accepted"), state="approved", deadline=NOW)
    return decide.applied(approved, effect(), Diff(), NOW, POLICY, ())


@pytest.mark.parametrize(("state", "open_items"), [("cancelled", 2), ("dead_lettered", 0), ("completed", 0)])
def test_what_ends_a_late_order_says_first_that_it_is_late(state: str, open_items: int):
    change = late_and(state)

    [ended] = change.orders
    assert (ended.state, ended.deadline_missed_at, ended.version) == (state, NOW, 2)
    assert (names(change)[0], names(change)[-1]) == ("order.deadline_missed", f"order.{state}")
    assert (change.events[0].actor, change.events[0].data["open_items"]) == (SYSTEM, open_items)
