from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.domain.build import (
    ADA,
    BOB,
    NOW,
    POLICY,
    SECOND,
    TTL,
    Book,
    facts,
    handed_in,
    held,
    item,
    lapsed,
    lease,
    names,
    only,
)
from workdocket.domain.decide import Facts, checkout, expire, fail, heartbeat, release, renew
from workdocket.domain.decide.hold import holds, lost
from workdocket.domain.errors import WorkError
from workdocket.domain.model import SYSTEM, Change, ItemSpec, Policy, iso

LATE = NOW + TTL


def give_up(known: Facts, token: str = "token-1-1", **given) -> Change:
    return fail(known, token, "no luck", **{"retryable": True, "retry_after": None, **given})


def refused(known: Facts, token: str) -> WorkError:
    with pytest.raises(WorkError) as refusal:
        heartbeat(known, token, None, None)
    assert refusal.value.code == "lease_lost"
    return refusal.value


# checkout


def test_checkout_leases_the_item_to_the_caller_for_the_whole_ttl():
    change = checkout(facts(item()), "secret")

    taken = only(change)
    assert taken.state == "leased"
    assert taken.lease == change.leases[0]
    assert (taken.lease.token, taken.lease.holder, taken.lease.expires_at) == ("secret", ADA, NOW + TTL)
    assert taken.lease.live


def test_checkout_says_to_whom_and_until_when():
    change = checkout(facts(item()), "secret")

    leased = change.events[0]
    assert (leased.event, leased.actor, leased.attempt) == ("item.leased", ADA, 1)
    assert leased.data == {"fence": 1, "expires_at": iso(NOW + TTL)}


def test_each_lease_has_the_next_fence_and_the_next_attempt():
    change = checkout(facts(item(fence=4, attempts=2)), "secret")

    assert only(change).fence == 5
    assert (change.leases[0].fence, change.leases[0].attempt) == (5, 3)


def test_checkout_ends_whatever_kept_the_item_for_somebody():
    change = checkout(facts(item(due_at=NOW - 1, reserved_for="ada-1")), "secret")

    assert only(change).due_at is None
    assert only(change).reserved_for is None


def test_the_first_checkout_moves_the_order():
    change = checkout(facts(item(), item(2)), "secret")

    assert names(change) == ["item.leased", "order.checked_out"]
    assert change.orders[0].state == "checked_out"
    assert change.events[1].actor == SYSTEM


def test_a_checkout_that_leaves_the_order_where_it_is_writes_no_order_event():
    change = checkout(facts(item(), held(2)), "secret")

    assert names(change) == ["item.leased"]
    assert change.orders == ()


def test_an_item_that_is_held_cannot_be_checked_out():
    with pytest.raises(WorkError) as refusal:
        checkout(facts(held()), "secret")

    assert refusal.value.code == "illegal_transition"


# keeping


def test_the_first_heartbeat_starts_the_item():
    change = heartbeat(facts(held(state="leased")), "token-1-1", None, None)

    assert only(change).state == "in_progress"
    assert names(change) == ["item.started", "order.in_progress"]


def test_later_heartbeats_write_no_event():
    change = heartbeat(facts(held()), "token-1-1", None, None)

    assert change.events == ()


def test_a_heartbeat_renews_the_lease_from_now():
    change = heartbeat(facts(held(), now=NOW + 5), "token-1-1", 0.5, "half way")

    [kept] = change.leases
    assert kept == only(change).lease
    assert (kept.expires_at, kept.heartbeat_at) == (NOW + 5 + TTL, NOW + 5)
    assert (kept.progress, kept.note) == (0.5, "half way")


def test_a_heartbeat_that_says_nothing_keeps_what_was_said():
    holding = held(lease=lease(progress=0.5, note="half way"))

    change = heartbeat(facts(holding), "token-1-1", None, "")

    assert (change.leases[0].progress, change.leases[0].note) == (0.5, "half way")


def test_progress_may_be_nothing_at_all():
    change = heartbeat(facts(held(lease=lease(progress=0.5))), "token-1-1", 0.0, None)

    assert change.leases[0].progress == 0.0


def test_a_call_that_changes_nothing_renews_the_lease_in_silence():
    change = renew(facts(held(state="leased"), now=NOW + 5), "token-1-1")

    assert only(change).lease.expires_at == NOW + 5 + TTL
    assert only(change).state == "leased"
    assert change.events == ()


def test_a_call_that_changes_nothing_takes_an_expired_lease_back():
    change = renew(facts(lapsed()), "token-1-1")

    assert names(change) == ["item.reclaimed", "order.checked_out"]


# giving back


def test_a_released_item_is_free_at_once_and_its_attempt_does_not_count():
    change = release(facts(held(attempts=1)), "token-1-1", "lunch", None)

    freed = only(change)
    assert (freed.state, freed.attempts, freed.due_at) == ("queued", 1, None)
    assert (freed.lease.end, freed.lease.ended_at) == ("released", NOW)
    assert names(change) == ["item.released", "order.queued"]
    assert change.events[0].message == "lunch"


def test_a_released_item_may_be_put_off():
    change = release(facts(held()), "token-1-1", None, NOW + 9)

    assert only(change).due_at == NOW + 9


def test_a_failed_attempt_counts_and_waits_for_its_backoff():
    change = give_up(facts(held(), jitter=0.5))

    queued = only(change)
    due = NOW + POLICY.backoff["failed"] + POLICY.backoff_jitter // 2
    assert (queued.state, queued.attempts, queued.due_at) == ("queued", 1, due)
    attempt = {"attempt": 1, "at": iso(NOW), "by": "ada"}
    assert queued.error == {
        "code": "attempt_failed",
        "message": "no luck",
        "at": iso(NOW),
        "attempt": 1,
        "attempts": [attempt],
    }
    assert names(change) == ["item.attempt_failed", "order.queued"]
    assert change.events[0].data == {"attempts": 1, "available_at": iso(due)}


def test_the_holder_may_say_when_to_try_again():
    change = give_up(facts(held()), retry_after=7 * SECOND)

    assert only(change).due_at == NOW + 7 * SECOND


@pytest.mark.parametrize(
    "attempts, retryable", [(2, True), (0, False)], ids=["no attempt is left", "there is no point in trying again"]
)
def test_an_item_fails_when(attempts: int, retryable: bool):
    change = give_up(facts(held(attempts=attempts)), retryable=retryable)

    assert only(change).state == "failed"
    assert only(change).attempts == attempts + 1
    assert only(change).lease.end == "failed"
    assert names(change) == ["item.failed", "order.failed"]
    assert change.events[0].data == {"attempts": attempts + 1, "retryable": retryable}


def test_a_failed_item_fails_the_order_only_once_nothing_is_open():
    change = give_up(facts(held(attempts=2), item(2)))

    assert names(change) == ["item.failed", "order.queued"]


# running out


def test_an_expired_lease_counts_its_attempt_and_frees_the_item_at_once():
    change = expire(facts(held(), now=LATE))

    freed = only(change)
    assert (freed.state, freed.attempts, freed.due_at) == ("queued", 1, None)
    assert (freed.lease.end, freed.lease.ended_at) == ("expired", LATE)
    assert names(change) == ["item.lease_expired", "order.queued"]
    assert (change.events[0].actor, change.events[0].data) == (SYSTEM, {"attempts": 1})


SLOW = replace(POLICY, backoff={**POLICY.backoff, "expired": 30 * SECOND})


@pytest.mark.parametrize("attempts, pause", [(0, 40), (1, 70)])
def test_a_pause_after_an_expiry_is_counted_from_the_end_of_the_lease(attempts: int, pause: int):
    change = expire(facts(held(attempts=attempts), policy=SLOW, now=LATE, jitter=0.5))

    due = NOW + TTL + pause * SECOND
    assert only(change).due_at == due
    assert change.events[0].data == {"attempts": attempts + 1, "available_at": iso(due)}


def test_a_lease_is_taken_back_while_the_item_pauses():
    noticed = heartbeat(facts(lapsed(due_at=LATE + SECOND), policy=SLOW, now=LATE), "token-1-1", None, None)
    unnoticed = heartbeat(facts(held(), policy=SLOW, now=LATE), "token-1-1", None, None)

    assert [(only(one).state, only(one).due_at) for one in (noticed, unnoticed)] == [("in_progress", None)] * 2


def test_an_item_fails_when_its_last_attempt_runs_out():
    change = expire(facts(held(attempts=2), now=LATE))

    failed = only(change)
    assert (failed.state, failed.attempts, failed.lease.end) == ("failed", 3, "expired")
    assert failed.error == {"code": "lease_expired", "message": "the last attempt's lease ran out", "at": iso(LATE)}
    assert names(change) == ["item.failed", "order.failed"]


@pytest.mark.parametrize("state", ["queued", "submitted", "accepted", "completed", "rejected", "failed", "cancelled"])
def test_only_an_item_at_work_can_expire(state: str):
    with pytest.raises(WorkError) as refusal:
        expire(facts(handed_in(state=state), now=LATE))

    assert refusal.value.code == "illegal_transition"


def test_an_expired_lease_that_nobody_noticed_is_taken_back():
    change = heartbeat(facts(held(), now=LATE), "token-1-1", None, None)

    back = only(change)
    assert names(change) == ["item.lease_expired", "item.reclaimed", "item.started"]
    assert (back.state, back.fence, back.attempts) == ("in_progress", 1, 1)
    assert (back.lease.live, back.lease.end, back.lease.expires_at) == (True, None, LATE + TTL)


def test_an_expired_lease_is_taken_back_from_the_queue():
    change = heartbeat(facts(lapsed()), "token-1-1", None, None)

    back = only(change)
    assert names(change) == ["item.reclaimed", "item.started", "order.in_progress"]
    assert (back.state, back.fence, back.attempts, back.lease.live) == ("in_progress", 1, 1, True)


def test_a_lease_taken_back_can_be_given_back():
    change = release(facts(lapsed()), "token-1-1", None, None)

    assert names(change) == ["item.reclaimed", "item.released"]
    assert only(change).attempts == 1


def test_a_lease_ends_at_its_very_millisecond():
    assert not heartbeat(facts(held(), now=LATE - 1), "token-1-1", None, None).events
    assert heartbeat(facts(held(), now=LATE), "token-1-1", None, None).events


def test_the_last_attempt_is_not_taken_back_once_it_ran_out():
    known = facts(held(attempts=2), now=LATE)

    refusal = refused(known, "token-1-1")

    assert refusal.details["reason"] == "expired"
    assert refusal.details["state"] == "failed"
    assert refusal.details["checkout_possible"] is False


def test_an_item_that_has_to_wait_again_is_not_taken_back():
    waiting = lapsed(2, after=("WO-1.1",), waiting_for=("WO-1.1",))

    refusal = refused(facts(waiting, item()), "token-2-1")

    assert refusal.details["reason"] == "expired"
    assert refusal.details["checkout_possible"] is False


# losing


def test_a_token_from_an_earlier_lease_never_writes():
    known = facts(held(fence=2, holder=BOB), past=lease(ended_at=NOW, end="expired"))

    for refuse in (
        lambda: heartbeat(known, "token-1-1", None, None),
        lambda: release(known, "token-1-1", None, None),
        lambda: give_up(known),
    ):
        with pytest.raises(WorkError) as refusal:
            refuse()
        assert refusal.value.code == "lease_lost"
        assert refusal.value.details == {
            "reason": "held_by_other",
            "state": "in_progress",
            "checkout_possible": False,
            "held_until": iso(NOW + TTL),
        }


@pytest.mark.parametrize("policy, possible", [(POLICY, True), (SLOW, False)], ids=["at once", "after a pause"])
def test_an_item_can_be_had_when_the_next_lease_has_run_out_too(policy: Policy, possible: bool):
    overdue = held(fence=2, holder=BOB)

    refusal = refused(facts(overdue, past=lapsed().lease, policy=policy, now=LATE), "token-1-1")

    assert refusal.details["checkout_possible"] is possible


@pytest.mark.parametrize("end", ["submitted", "finalized", "released", "failed", "cancelled", "rejected"])
def test_a_lease_that_was_ended_is_not_taken_back(end: str):
    ended = lease(ended_at=NOW, end=end)

    refusal = refused(facts(item(lease=ended, fence=1)), "token-1-1")

    assert refusal.details["reason"] == "ended"
    assert refusal.details["checkout_possible"] is True
    assert str(refusal) == "the lease has ended; WO-1.1 is queued"


def test_an_expired_lease_stays_lost_when_its_successor_is_over_too():
    known = facts(item(fence=2, lease=lease(fence=2, ended_at=NOW, end="released")), past=lapsed().lease)

    assert refused(known, "token-1-1").details["reason"] == "expired"


def test_a_made_up_token_is_refused():
    assert refused(facts(item()), "guess").details["reason"] == "ended"
    assert refused(facts(held(), past=None), "guess").details["reason"] == "held_by_other"


@pytest.mark.parametrize("given", [{"due_at": NOW + 1}, {"waiting_for": ("WO-7",)}], ids=["not yet", "blocked"])
def test_a_refusal_offers_no_checkout_of_what_cannot_be_had(given):
    assert refused(facts(item(**given)), "guess").details["checkout_possible"] is False


def test_a_refusal_offers_what_is_due_by_now():
    assert refused(facts(item(due_at=NOW)), "guess").details["checkout_possible"] is True


@pytest.mark.parametrize("attempts, possible", [(0, True), (2, False)], ids=["attempts left", "the last attempt"])
def test_a_refusal_offers_what_the_next_checkout_would_find_expired(attempts: int, possible: bool):
    known = facts(held(fence=2, holder=BOB, attempts=attempts), past=lapsed().lease, now=LATE)

    assert refused(known, "token-1-1").details["checkout_possible"] is possible


def test_one_can_ask_whether_a_token_holds():
    assert holds(facts(held()), "token-1-1")
    assert holds(facts(lapsed()), "token-1-1")
    assert not holds(facts(held()), "token-1-2")


def test_a_lease_that_ran_out_unnoticed_is_named_expired_also_before_that_is_written():
    assert lost(facts(held(attempts=2), now=LATE)).details["reason"] == "expired"


@given(st.lists(st.sampled_from(["release", "fail", "expire", "take back"]), max_size=12))
def test_fences_only_rise_and_old_tokens_stay_dead(endings: list[str]):
    book = Book.of(ItemSpec({}, max_attempts=99))
    spent: list[str] = []

    for n, ending in enumerate(endings):
        before = book.items["WO-1.1"].fence
        token = f"token-{n}"
        book.write(checkout(book.facts("WO-1.1"), token))
        assert book.items["WO-1.1"].fence == before + 1
        for old in spent:
            assert not holds(book.facts("WO-1.1", old), old)
        if ending in ("expire", "take back"):
            book.write(expire(book.facts("WO-1.1", now=LATE)))
        if ending == "fail":
            book.write(give_up(book.facts("WO-1.1", token), token))
        if ending in ("release", "take back"):
            book.write(release(book.facts("WO-1.1", token), token, None, None))
        spent.append(token)

    counted = sum(ending != "release" for ending in endings)
    assert book.items["WO-1.1"].attempts == counted
    assert [event.to_state for event in book.events if event.event == "item.leased"] == ["leased"] * len(endings)


def test_a_version_rises_by_one_however_much_a_command_does():
    change = release(facts(replace(lapsed(), version=7)), "token-1-1", None, None)

    assert only(change).version == 8
