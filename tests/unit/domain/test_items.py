from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.domain.build import NOW, POLICY, RITA, decision, handed_in, held, item, names, order
from workdocket.domain.decide import cancel, reject, reject_items, requeue, waive
from workdocket.domain.errors import WorkError
from workdocket.domain.model import Change, WorkItem, WorkOrder

WHY: dict[str, Any] = {"code": "rejected", "message": "too long"}
AUTOMATIC = replace(POLICY, approval="auto")


def about(*numbers: int) -> list[dict[str, Any]]:
    return [{**WHY, "item_id": f"WO-1.{number}"} for number in numbers]


def refuse(target: WorkOrder, *errors: dict[str, Any], **given: Any) -> Change:
    asked: dict[str, Any] = {"policy": POLICY, "earlier": (), "comment": None}
    return reject_items(target, RITA, NOW, errors=errors, **{**asked, **given})


def leave_out(target: WorkOrder, which: WorkItem, **given: Any) -> Change:
    return waive(target, which, RITA, NOW, **{"policy": POLICY, "reason": "not needed", **given})


def failed(number: int = 1, **given: Any) -> WorkItem:
    return item(number, "failed", **given)


# refused alone


def test_the_named_items_are_refused_with_their_reasons_and_the_others_stand():
    change = refuse(order(handed_in(1), handed_in(2), held(3)), *about(2), comment="one is off")

    [refused] = change.items
    assert (refused.id, refused.state) == ("WO-1.2", "rejected")
    assert refused.error is not None
    assert (refused.error["code"], refused.error["message"], refused.error["by"]) == ("rejected", "too long", "rita")
    assert [(one.verdict, one.comment) for one in change.decisions] == [("reject_items", "one is off")]
    assert names(change) == ["item.rejected", "decision.recorded"]


def test_an_order_is_in_the_joint_state_of_the_items_that_it_goes_on_with():
    change = refuse(order(handed_in(1), item(2)), *about(2))

    assert change.orders[0].state == "submitted"
    assert change.effects == ()


def test_what_is_now_handed_in_whole_is_looked_at_by_the_rule():
    change = refuse(order(handed_in(1), item(2)), *about(2), policy=AUTOMATIC)

    assert [one.kind for one in change.effects] == ["auto_approve"]


def test_a_lease_on_a_refused_item_ends():
    change = refuse(order(handed_in(1), held(2)), *about(2))

    assert [one.end for one in change.leases] == ["rejected"]


def test_whoever_waited_for_a_refused_item_waits_no_longer():
    second = item(2, after=("WO-1.1",), waiting_for=("WO-9", "WO-1.1"))

    change = refuse(order(item(1), second, item(3)), *about(1))

    assert change.items[1].waiting_for == ("WO-9",)


def test_an_order_whose_apply_failed_goes_back_to_review_without_the_refused_item():
    target = order(handed_in(1, "accepted"), handed_in(2, "accepted"), state="failed", error={"code": "apply_failed"})

    change = refuse(target, *about(1))

    assert (change.orders[0].state, change.orders[0].error) == ("submitted", None)


def test_every_error_has_to_name_its_item():
    with pytest.raises(WorkError) as refusal:
        refuse(order(handed_in(1), handed_in(2)), *about(1), WHY)

    assert refusal.value.code == "invalid_request"
    assert [one["path"] for one in refusal.value.details["findings"]] == ["/errors/1/item_id"]


def test_an_item_that_is_not_of_the_order_cannot_be_refused():
    with pytest.raises(WorkError) as refusal:
        refuse(order(handed_in(1), handed_in(2)), *about(7))

    assert refusal.value.code == "not_found"


@pytest.mark.parametrize("state", ["failed", "rejected", "cancelled"])
def test_an_item_that_failed_or_is_left_out_cannot_be_refused(state: str):
    with pytest.raises(WorkError) as refusal:
        refuse(order(handed_in(1), item(2, state)), *about(2))

    assert refusal.value.code == "illegal_transition"


@pytest.mark.parametrize("state", ["approved", "completed", "rejected", "cancelled"])
def test_items_of_an_order_that_is_not_open_cannot_be_refused(state: str):
    with pytest.raises(WorkError) as refusal:
        refuse(order(handed_in(1), handed_in(2), state=state), *about(1))

    assert refusal.value.code == "illegal_transition"


def test_at_least_one_item_has_to_remain():
    target = order(handed_in(1), handed_in(2), item(3, "cancelled"))

    with pytest.raises(WorkError) as refusal:
        refuse(target, *about(1, 2))

    assert [one["code"] for one in refusal.value.details["findings"]] == ["none_left"]


# left out


def test_a_failed_item_is_left_out_with_the_reason_and_what_had_failed():
    was = failed(2, error={"code": "attempt_failed", "message": "no network"})

    change = leave_out(order(handed_in(1), was), was)

    [gone] = change.items
    assert gone.state == "cancelled"
    assert gone.error == {
        "code": "waived", "message": "not needed", "at": "2023-11-14T22:13:20.000Z", "by": "rita", "failure": was.error,
    }  # fmt: skip
    assert change.orders[0].state == "submitted"
    assert names(change) == ["item.waived", "order.submitted"]


def test_an_order_with_other_failed_items_stays_failed():
    change = leave_out(order(handed_in(1), failed(2), failed(3)), failed(2))

    assert change.orders[0].state == "failed"
    assert names(change) == ["item.waived"]


def test_whoever_waited_for_an_item_that_is_left_out_can_be_handed_out():
    last = item(2, after=("WO-1.1",), waiting_for=("WO-1.1",))

    change = leave_out(order(failed(1), last), failed(1))

    assert (change.items[1].waiting_for, change.items[1].ready_at) == ((), NOW)


@pytest.mark.parametrize("state", ["queued", "submitted", "cancelled", "rejected"])
def test_only_a_failed_item_can_be_left_out(state: str):
    with pytest.raises(WorkError) as refusal:
        leave_out(order(item(1, state), handed_in(2)), item(1, state))

    assert refusal.value.code == "illegal_transition"


@pytest.mark.parametrize("state", ["rejected", "dead_lettered"])
def test_nothing_is_left_out_of_an_order_that_is_not_open(state: str):
    with pytest.raises(WorkError) as refusal:
        leave_out(order(failed(1), handed_in(2), state=state), failed(1))

    assert refusal.value.code == "illegal_transition"


def test_the_last_item_cannot_be_left_out():
    with pytest.raises(WorkError) as refusal:
        leave_out(order(failed(1), item(2, "rejected")), failed(1))

    assert [one["code"] for one in refusal.value.details["findings"]] == ["none_left"]


# afterwards


def test_an_order_that_goes_on_without_items_can_be_refused_and_taken_up_again():
    refused = reject(
        order(handed_in(1), item(2, "cancelled"), item(3, "rejected")), RITA, NOW,
        policy=POLICY, errors=[WHY], rework=False, earlier=[decision()], comment=None, refused={},
    )  # fmt: skip
    back = replace(refused.orders[0], items=(refused.items[0], item(2, "cancelled"), item(3, "rejected")))

    again = requeue(back, RITA, NOW)

    assert [one.id for one in refused.items] == ["WO-1.1"]
    assert [one.id for one in again.items] == ["WO-1.1", "WO-1.3"]


def test_a_refused_item_is_not_sent_back_with_the_others():
    asked: dict[str, Any] = {"policy": POLICY, "earlier": [], "comment": None, "refused": {}, "rework": True}
    target = order(handed_in(1), item(2, "rejected"))

    assert [one.id for one in reject(target, RITA, NOW, errors=[WHY], **asked).items] == ["WO-1.1"]
    with pytest.raises(WorkError):
        reject(target, RITA, NOW, errors=about(2), **asked)


def test_an_order_that_is_cancelled_leaves_what_was_left_out_as_it_is():
    change = cancel(order(item(1), item(2, "cancelled")), RITA, NOW, None)

    assert [one.id for one in change.items] == ["WO-1.1"]
