from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.unit.domain.build import NOW, RITA, handed_in, held, item, lapsed, names, order
from workdocket.domain.decide import cancel, dead_letter, requeue, retry
from workdocket.domain.errors import WorkError
from workdocket.domain.model import Change, Effect, WorkItem, WorkOrder


def refused(call: Callable[[], Change]) -> WorkError:
    with pytest.raises(WorkError) as refusal:
        call()
    assert refusal.value.code == "illegal_transition"
    return refusal.value


def states(change: Change) -> list[str]:
    return [one.state for one in change.items]


# cancel and dead-letter


@pytest.mark.parametrize(
    "items, state",
    [
        ([item(1), item(2)], "queued"),
        ([held(1, "leased"), item(2)], "checked_out"),
        ([held(1), handed_in(2)], "in_progress"),
        ([handed_in(1), handed_in(2)], "submitted"),
        ([item(1, "rejected"), item(2, "failed")], "rejected"),
        ([handed_in(1), item(2, "failed")], "failed"),
        ([handed_in(1, "accepted"), handed_in(2, "accepted")], "failed"),
    ],
)
def test_an_order_can_be_cancelled_with_all_its_items(items: list[WorkItem], state: str):
    change = cancel(order(*items, state=state), RITA, NOW, "not needed")

    assert change.orders[0].state == "cancelled"
    assert states(change) == ["cancelled", "cancelled"]
    assert names(change) == ["item.cancelled", "item.cancelled", "order.cancelled"]
    assert {event.message for event in change.events} == {"not needed"}


def test_a_cancelled_order_takes_its_leases_with_it():
    change = cancel(order(held(1), lapsed(2, due_at=NOW)), RITA, NOW, None)

    [ended] = change.leases
    assert (ended.item_id, ended.end, ended.ended_at) == ("WO-1.1", "cancelled", NOW)
    assert change.items[0].lease == ended
    assert change.items[1].lease.end == "expired"
    assert change.items[1].due_at is None


@pytest.mark.parametrize("state", ["approved", "applied", "completed", "cancelled", "dead_lettered"])
def test_an_order_that_is_being_applied_or_over_cannot_be_cancelled(state: str):
    refusal = refused(lambda: cancel(order(handed_in(), state=state), RITA, NOW, None))

    assert refusal.details["from"] == state


@pytest.mark.parametrize(
    "items, state",
    [
        ([item(1, "rejected"), item(2, "failed")], "rejected"),
        ([handed_in(1), item(2, "failed")], "failed"),
        ([handed_in(1, "accepted"), handed_in(2, "accepted")], "failed"),
    ],
)
def test_a_failed_or_rejected_order_can_be_put_aside(items: list[WorkItem], state: str):
    change = dead_letter(order(*items, state=state), RITA, NOW, "too old")

    assert change.orders[0].state == "dead_lettered"
    assert states(change) == ["dead_lettered", "dead_lettered"]


@pytest.mark.parametrize("state", ["queued", "checked_out", "in_progress", "submitted", "approved", "cancelled"])
def test_an_order_that_may_still_succeed_cannot_be_put_aside(state: str):
    refused(lambda: dead_letter(order(handed_in(), state=state), RITA, NOW, None))


# requeue


def test_a_requeued_order_starts_its_rejected_items_afresh():
    used = handed_in(1, "rejected", attempts=3, error={"code": "x"}, due_at=NOW, reserved_for="ada-1", fence=4)

    change = requeue(order(used, item(2, "failed"), state="rejected", error={"code": "rejected"}), RITA, NOW)

    [fresh] = change.items
    assert (fresh.state, fresh.attempts, fresh.error, fresh.due_at, fresh.reserved_for) == (
        "queued",
        0,
        None,
        None,
        None,
    )
    assert fresh.fence == 4
    assert (change.orders[0].state, change.orders[0].error) == ("queued", None)
    assert names(change) == ["item.requeued", "order.requeued"]


def test_requeued_items_wait_for_each_other_again_and_for_orders_as_before():
    first = item(1, "rejected", waiting_for=("WO-9",))
    second = item(2, "rejected", after=("WO-1.1",), waiting_for=("WO-9",))

    change = requeue(order(first, second, state="rejected"), RITA, NOW)

    assert [one.waiting_for for one in change.items] == [("WO-9",), ("WO-9", "WO-1.1")]


@pytest.mark.parametrize("state", ["queued", "submitted", "failed", "completed"])
def test_only_a_rejected_order_can_be_requeued(state: str):
    refused(lambda: requeue(order(handed_in(), state=state), RITA, NOW))


# retry


def test_retrying_a_failed_order_queues_every_failed_item_afresh():
    before = order(
        item(1, "failed", attempts=3, error={"code": "x"}),
        handed_in(2),
        item(3, "failed", after=("WO-1.2",)),
        error={"code": "x"},
    )

    change = retry(before, RITA, NOW)

    assert [(one.id, one.state, one.attempts, one.error) for one in change.items] == [
        ("WO-1.1", "queued", 0, None),
        ("WO-1.3", "queued", 0, None),
    ]
    assert change.items[1].waiting_for == ()
    assert (change.orders[0].state, change.orders[0].error) == ("in_progress", None)
    assert names(change) == ["item.retried", "item.retried", "order.retried"]


def test_one_failed_item_can_be_retried_alone():
    before = order(item(1, "failed"), item(2, "failed"))

    change = retry(before, RITA, NOW, before.items[1])

    assert [one.id for one in change.items] == ["WO-1.2"]
    assert names(change) == ["item.retried", "order.retried"]
    assert change.orders[0].state == "queued"


def test_a_failed_item_can_be_retried_while_others_are_at_work():
    before = order(item(1, "failed"), held(2))

    change = retry(before, RITA, NOW, before.items[0])

    assert names(change) == ["item.retried"]
    assert change.orders == ()


def test_retrying_a_failed_apply_approves_the_order_again_under_a_new_effect():
    before = order(handed_in(1, "accepted"), state="failed", version=7)

    change = retry(before, RITA, NOW)

    assert (change.orders[0].state, change.items) == ("approved", ())
    assert change.effects == (Effect("WO-1:apply:8", "apply", "WO-1", NOW),)
    assert names(change) == ["order.retried"]


@pytest.mark.parametrize("state", ["queued", "in_progress", "submitted", "approved", "rejected", "completed"])
def test_an_order_that_has_not_failed_cannot_be_retried(state: str):
    refused(lambda: retry(order(handed_in(), state=state), RITA, NOW))


@pytest.mark.parametrize("state", ["queued", "leased", "in_progress", "submitted"])
def test_an_item_that_has_not_failed_cannot_be_retried(state: str):
    before = order(handed_in(state=state))

    refusal = refused(lambda: retry(before, RITA, NOW, before.items[0]))

    assert str(refusal).startswith(f"WO-1.1 is {state}")


def test_the_items_of_an_order_whose_apply_failed_have_nothing_to_retry():
    before = order(handed_in(1, "accepted"), state="failed")

    refused(lambda: retry(before, RITA, NOW, before.items[0]))


@pytest.mark.parametrize("state", ["rejected", "cancelled", "dead_lettered"])
def test_a_failed_item_of_an_order_that_is_not_open_cannot_be_retried(state: str):
    before: WorkOrder = order(item(1, "failed"), item(2, "rejected"), state=state)

    refusal = refused(lambda: retry(before, RITA, NOW, before.items[0]))

    assert str(refusal) == f"WO-1 is {state}; retry is not possible from there"
