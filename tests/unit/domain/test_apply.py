from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.domain.build import NOW, POLICY, SECOND, effect, handed_in, item, names, order
from workdocket.domain.decide import after_applied, applied, apply_raised, claim, drifted
from workdocket.domain.decide.apply import CRASH_ALLOWANCE
from workdocket.domain.diff import Diff
from workdocket.domain.errors import WorkError
from workdocket.domain.model import SYSTEM, Change, Effect, WorkOrder, iso

DIFF = Diff.between({"a": 1}, {"a": 2})
CLAIMED = {"claim": "me", "claimed_until": NOW + 9, "attempts": 1}


def approved(*more, **given) -> WorkOrder:
    return order(handed_in(1, "accepted"), *more, **{"state": "approved", "version": 3, **given})


def raised(one: Effect, **given) -> Change:
    return apply_raised(approved(), one, "disk full", NOW, replace(POLICY, **given), 0.0)


# claim


def test_a_claim_counts_the_attempt_before_anything_happens():
    change = claim(effect(attempts=1), NOW, "me", NOW + 9)

    assert change.effects == (effect(attempts=2, claim="me", claimed_until=NOW + 9),)
    assert change.events == ()


@pytest.mark.parametrize(
    "kind, event",
    [
        ("apply", "apply.attempt_failed"),
        ("after_apply", "after_apply.attempt_failed"),
        ("auto_approve", "approval.attempt_failed"),
    ],
)
def test_an_attempt_that_ended_with_its_process_is_told_by_the_next(kind: str, event: str):
    change = claim(effect(kind, attempts=1, claim="gone", claimed_until=NOW), NOW, "me", NOW + 9)

    assert names(change) == [event]
    assert change.events[0].data == {"attempt": 1, "interrupted": True, "will_retry": True}
    assert (change.effects[0].claim, change.effects[0].attempts) == ("me", 2)


# done


def test_an_applied_order_is_completed_in_the_same_breath_with_its_diff():
    change = applied(
        approved(handed_in(2, "accepted"), error={"code": "apply_failed"}), effect(**CLAIMED), DIFF, NOW, POLICY, ()
    )

    done = change.orders[0]
    assert (done.state, done.applied_at, done.completed_at, done.error, done.version) == (
        "completed",
        NOW,
        NOW,
        None,
        4,
    )
    assert [one.state for one in change.items] == ["completed", "completed"]
    assert names(change) == ["order.applied", "item.completed", "item.completed", "order.completed"]
    assert (change.events[0].diff, change.events[0].data) == (DIFF.as_dict(), {"attempt": 1})
    assert {event.actor for event in change.events} == {SYSTEM}


def test_a_finished_effect_is_in_nobodys_hand():
    change = applied(approved(), effect(error="disk full", **CLAIMED), DIFF, NOW, POLICY, ())

    assert change.effects == (effect(state="done", attempts=1),)


def test_what_follows_the_change_is_set_off_where_the_type_has_something_to_do():
    change = applied(approved(), effect(**CLAIMED), DIFF, NOW, replace(POLICY, has_after_apply=True), ())

    assert change.effects[1] == Effect("WO-1:after_apply", "after_apply", "WO-1", NOW)


def test_items_of_other_orders_wait_for_this_one_no_more():
    waiting = replace(item(), id="WO-2.1", order_id="WO-2", waiting_for=("WO-1", "WO-3"), version=5)

    change = applied(approved(), effect(**CLAIMED), DIFF, NOW, POLICY, [waiting])

    assert change.items[-1] == replace(waiting, waiting_for=("WO-3",), version=6)


def test_an_order_is_never_applied_twice():
    done = applied(approved(), effect(**CLAIMED), DIFF, NOW, POLICY, ())

    with pytest.raises(WorkError) as refusal:
        applied(replace(done.orders[0], items=done.items), effect(**CLAIMED), DIFF, NOW, POLICY, ())

    assert refusal.value.code == "illegal_transition"


def test_nothing_is_applied_without_an_approval():
    with pytest.raises(WorkError) as refusal:
        applied(order(handed_in()), effect(**CLAIMED), DIFF, NOW, POLICY, ())

    assert refusal.value.code == "illegal_transition"


def test_what_followed_the_change_is_recorded():
    change = after_applied(effect("after_apply", **CLAIMED), NOW)

    assert names(change) == ["after_apply.done"]
    assert change.effects[0].state == "done"
    assert change.orders == ()


# raised


def test_a_failed_attempt_is_tried_again_after_a_backoff():
    change = raised(effect(**CLAIMED))

    due = NOW + POLICY.backoff["raised"]
    told = {"attempt": 1, "will_retry": True, "retry_at": iso(due)}
    assert names(change) == ["apply.attempt_failed"]
    assert (change.events[0].message, change.events[0].data) == ("disk full", told)
    assert change.effects == (effect(attempts=1, next_at=due, error="disk full", data={"raised": 1}),)
    assert change.orders[0].state == "approved"
    assert change.orders[0].error == {"code": "apply_failed", "message": "disk full", "at": iso(NOW), **told}


def test_later_attempts_wait_longer():
    change = raised(effect(**{**CLAIMED, "data": {"raised": 1, "digest": "d1"}}))

    assert change.effects[0].next_at == NOW + 2 * POLICY.backoff["raised"]
    assert change.effects[0].data == {"raised": 2, "digest": "d1"}


def test_the_order_fails_with_the_last_attempt_and_keeps_its_error():
    change = raised(effect(**{**CLAIMED, "attempts": 3, "data": {"raised": 2}}))

    failed = change.orders[0]
    assert names(change) == ["apply.attempt_failed", "order.apply_failed"]
    assert failed.state == "failed"
    assert failed.error == {
        "code": "apply_failed",
        "message": "disk full",
        "at": iso(NOW),
        "attempt": 3,
        "will_retry": False,
    }
    assert (change.effects[0].state, change.effects[0].claim) == ("failed", None)
    assert change.items == ()


def test_attempts_that_ended_with_their_process_do_not_use_up_those_that_may_raise():
    after_two_crashes = effect(**{**CLAIMED, "attempts": 3})

    assert raised(after_two_crashes).effects[0].state == "pending"


def test_crashes_are_not_forgiven_for_ever():
    after_many_crashes = effect(**{**CLAIMED, "attempts": POLICY.apply_attempts + CRASH_ALLOWANCE})

    assert raised(after_many_crashes).effects[0].state == "failed"


def test_one_attempt_may_be_all_there_is():
    assert raised(effect(**CLAIMED), apply_attempts=1).orders[0].state == "failed"


@pytest.mark.parametrize("before, state", [(0, "pending"), (2, "failed")])
def test_what_follows_the_change_can_fail_without_undoing_it(before: int, state: str):
    completed = order(handed_in(1, "completed"), state="completed")
    follows = effect("after_apply", **{**CLAIMED, "data": {"raised": before}})

    change = apply_raised(completed, follows, "no mail", NOW, POLICY, 0.5)

    assert names(change) == ["after_apply.attempt_failed"]
    assert change.effects[0].state == state
    assert (change.orders, change.items) == ((), ())


def test_jitter_is_added_to_the_backoff():
    change = apply_raised(approved(), effect(**CLAIMED), "disk full", NOW, POLICY, 1.0)

    assert change.effects[0].next_at == NOW + 50 * SECOND


# drifted


def test_a_world_that_moved_brings_the_order_back_to_review_with_nothing_applied():
    change = drifted(approved(), effect(**{**CLAIMED, "data": {"digest": "d1"}}), NOW, "d2")

    back = change.orders[0]
    assert names(change) == ["order.drifted"]
    assert (back.state, back.applied_at) == ("submitted", None)
    assert back.error is not None
    assert back.error["code"] == "stale"
    everything = ["payload", "results", "preview", "type", "policy"]
    assert change.events[0].data == {"approved": "d1", "now": "d2", "moved": everything}
    assert (change.effects[0].state, change.effects[0].claim) == ("failed", None)
