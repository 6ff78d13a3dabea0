from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.domain.build import (
    ADA,
    BOB,
    NOW,
    POLICY,
    TTL,
    WRONG,
    facts,
    handed_in,
    held,
    item,
    lapsed,
    lease,
    names,
    only,
    work,
)
from workdocket.domain.decide import Facts, finalize, submit
from workdocket.domain.errors import Finding, WorkError
from workdocket.domain.model import SYSTEM, Effect

LATE = NOW + TTL


def overtaken(**given) -> Facts:
    """Ada's lease ran out and Bob has the item."""
    return facts(held(fence=2, holder=BOB), **{"past": lapsed().lease, **given})


def test_a_good_result_is_kept_and_ends_the_lease():
    change = submit(facts(held()), "token-1-1", work(evidence=["log"], notes="fine"), [])

    [handed] = change.submissions
    assert (handed.kind, handed.result, handed.fence, handed.actor) == ("submitted", {"title": "Hello"}, 1, ADA)
    assert (handed.evidence, handed.notes) == (["log"], "fine")
    done = only(change)
    assert (done.state, done.result_key) == ("submitted", handed.key)
    assert (done.lease.end, done.lease.ended_at) == ("submitted", NOW)


def test_the_audit_row_of_a_result_has_its_checksum_and_how_it_was_come_by_but_not_the_result():
    change = submit(facts(held()), "token-1-1", work(evidence=["log"], notes="fine"), [])

    assert change.events[0].data == {"checksum": work().checksum, "evidence": ["log"], "notes": "fine"}


def test_a_result_may_come_straight_after_checkout():
    change = submit(facts(held(state="leased")), "token-1-1", work(), [])

    assert names(change) == ["item.submitted", "order.submitted"]


def test_a_submission_does_not_count_the_attempt_and_clears_the_last_error():
    change = submit(facts(held(attempts=1, error={"code": "attempt_failed"})), "token-1-1", work(), [])

    assert only(change).attempts == 1
    assert only(change).error is None


def test_the_order_is_submitted_with_its_last_item():
    first = submit(facts(held(), item(2)), "token-1-1", work(), [])
    last = submit(facts(held(), handed_in(2)), "token-1-1", work(), [])

    assert first.orders == ()
    assert last.orders[0].state == "submitted"
    assert (last.events[1].event, last.events[1].actor) == ("order.submitted", SYSTEM)


def test_the_order_fails_with_the_last_open_item_when_another_has_failed():
    change = submit(facts(held(), item(2, "failed")), "token-1-1", work(), [])

    assert names(change) == ["item.submitted", "order.failed"]


def test_a_finalized_result_says_what_it_was_put_together_from():
    change = finalize(facts(held()), "token-1-1", work(), [], ["body", "head"], "strict")

    assert change.submissions[0].kind == "finalized"
    assert only(change).lease.end == "finalized"
    assert names(change) == ["item.finalized", "order.submitted"]
    assert change.events[0].data == {
        "assembled": ["body", "head"],
        "parts": 2,
        "mode": "strict",
        "checksum": work().checksum,
    }


def test_items_that_waited_for_this_one_wait_no_more():
    waiting = item(2, after=("WO-1.1", "WO-1.3"), waiting_for=("WO-9", "WO-1.1", "WO-1.3"))
    met = item(4, after=("WO-1.1",), waiting_for=())

    change = submit(facts(held(), waiting, item(3), met), "token-1-1", work(), [])

    assert {one.id: one.waiting_for for one in change.items[1:]} == {"WO-1.2": ("WO-9", "WO-1.3")}
    assert change.items[1].version == waiting.version + 1


def test_a_type_that_approves_by_itself_is_asked_once_the_order_is_whole():
    policy = replace(POLICY, approval="auto")

    part_way = submit(facts(held(), item(2), policy=policy), "token-1-1", work(), [])
    whole = submit(facts(held(), policy=policy), "token-1-1", work(), [])

    assert part_way.effects == ()
    assert whole.effects == (Effect("WO-1:auto:2", "auto_approve", "WO-1", NOW),)


# refused


def test_a_refused_result_is_recorded_with_every_finding_and_nothing_else():
    findings = [WRONG, Finding("type", "/n", "is not a number")]

    change = submit(facts(held()), "token-1-1", work(), findings)

    assert names(change) == ["item.submission_refused"]
    assert (change.items, change.orders, change.leases, change.submissions) == ((), (), (), ())
    assert change.events[0].data == {
        "checksum": work().checksum,
        "findings": [finding.as_dict() for finding in findings],
    }
    assert change.events[0].attempt == 1


def test_the_refusal_of_a_result_says_the_first_finding_and_carries_all():
    change = submit(facts(held()), "token-1-1", work(), [WRONG, WRONG])

    assert change.refusal is not None
    assert change.refusal.code == "invalid_result"
    assert str(change.refusal) == "2 findings: is too short at /name"
    assert len(change.refusal.details["findings"]) == 2


def test_a_finding_without_path_or_sentence_is_told_by_its_code():
    change = submit(facts(held()), "token-1-1", work(), [Finding("bad")])

    assert str(change.refusal) == "1 finding: bad"


def test_a_refused_result_takes_an_expired_lease_back_so_that_it_can_be_mended():
    change = submit(facts(held(), now=LATE), "token-1-1", work(), [WRONG])

    assert names(change) == ["item.lease_expired", "item.reclaimed", "order.checked_out", "item.submission_refused"]
    assert only(change).lease.live
    assert change.refusal is not None
    assert change.refusal.code == "invalid_result"


def test_what_the_reviewer_sent_back_is_not_taken_again():
    sent_back = held(refused_checksum=work().checksum)

    change = submit(facts(sent_back), "token-1-1", work(), [])

    assert change.refusal is not None
    assert [finding["code"] for finding in change.refusal.details["findings"]] == ["unchanged_since_rejection"]
    assert names(change) == ["item.submission_refused"]


def test_unchanged_work_is_named_beside_what_else_is_wrong():
    change = finalize(facts(held(refused_checksum=work().checksum)), "token-1-1", work(), [WRONG], [], "strict")

    assert change.refusal is not None
    assert [one["code"] for one in change.refusal.details["findings"]] == ["minLength", "unchanged_since_rejection"]


def test_mended_work_is_taken():
    change = submit(facts(held(refused_checksum=work("other").checksum)), "token-1-1", work(), [])

    assert change.refusal is None
    assert only(change).state == "submitted"


# late


def test_a_late_result_is_accepted_when_nobody_has_taken_the_item_since():
    change = submit(facts(lapsed()), "token-1-1", work(), [])

    assert names(change) == ["item.reclaimed", "item.submitted", "order.submitted"]
    assert (only(change).state, only(change).attempts, only(change).fence) == ("submitted", 1, 1)
    assert change.submissions[0].kind == "submitted"


def test_a_late_result_of_a_lease_that_nobody_saw_expire_is_accepted():
    change = submit(facts(held(), now=LATE), "token-1-1", work(), [])

    assert names(change) == ["item.lease_expired", "item.reclaimed", "item.submitted", "order.submitted"]
    assert only(change).attempts == 1


def test_a_late_result_is_refused_and_kept_when_somebody_else_has_the_item():
    change = submit(overtaken(), "token-1-1", work(notes="sorry"), [])

    assert change.refusal is not None
    assert change.refusal.code == "lease_lost"
    assert change.refusal.details["reason"] == "held_by_other"
    assert change.refusal.details["late_result_kept"] is True
    assert change.refusal.hint.endswith("what you sent is kept on the item as a late result.")
    [late] = change.submissions
    assert (late.kind, late.fence, late.result, late.notes) == ("late", 1, {"title": "Hello"}, "sorry")
    assert (change.items, change.leases, change.orders) == ((), (), ())


def test_the_audit_row_of_a_late_result_names_the_attempt_that_made_it():
    change = submit(overtaken(), "token-1-1", work(), [])

    [row] = change.events
    assert (row.event, row.attempt, row.actor) == ("item.late_result", 1, ADA)
    assert row.data == {"fence": 1, "checksum": work().checksum}


def test_a_late_result_is_kept_even_with_findings():
    change = submit(overtaken(), "token-1-1", work(), [WRONG])

    assert change.submissions[0].kind == "late"


def test_the_same_late_result_is_kept_once():
    kept = submit(overtaken(), "token-1-1", work(), []).submissions[0]

    with pytest.raises(WorkError) as refusal:
        submit(overtaken(kept=frozenset({kept.key})), "token-1-1", work(), [])

    assert refusal.value.details["late_result_kept"] is True


def test_another_late_result_of_the_same_lease_is_kept_too():
    kept = submit(overtaken(), "token-1-1", work(), []).submissions[0]

    change = submit(overtaken(kept=frozenset({kept.key})), "token-1-1", work("more"), [])

    assert change.submissions[0].result == "more"


def test_a_result_after_the_last_attempt_ran_out_is_kept_and_the_failure_recorded():
    change = submit(facts(held(attempts=2), now=LATE), "token-1-1", work(), [])

    assert names(change) == ["item.failed", "order.failed", "item.late_result"]
    assert only(change).state == "failed"
    assert change.submissions[0].kind == "late"
    assert change.refusal is not None
    assert change.refusal.details["reason"] == "expired"


@pytest.mark.parametrize("state", ["submitted", "accepted", "completed", "rejected", "cancelled", "dead_lettered"])
def test_a_second_result_under_a_lease_that_is_over_changes_nothing_but_is_kept(state: str):
    change = submit(facts(handed_in(state=state)), "token-1-1", work("second"), [])

    assert change.refusal is not None
    assert change.refusal.details["reason"] == "ended"
    assert names(change) == ["item.late_result"]
    assert change.items == ()


def test_a_result_under_a_made_up_token_leaves_nothing_behind():
    with pytest.raises(WorkError) as refusal:
        submit(facts(held(), past=None), "guess", work(), [])

    assert refusal.value.code == "lease_lost"
    assert "late_result_kept" not in refusal.value.details


def test_a_result_for_an_item_that_was_never_held_leaves_nothing_behind():
    with pytest.raises(WorkError, match=r"the lease has ended; WO-1\.1 is queued"):
        finalize(facts(item()), "guess", work(), [], [], "strict")


def test_a_late_finalize_is_kept_as_well():
    change = finalize(overtaken(), "token-1-1", work(), [], ["a"], "strict")

    assert change.submissions[0].kind == "late"


def test_an_earlier_token_cannot_hand_in_for_the_present_lease():
    known = facts(held(fence=2), past=lease(ended_at=NOW, end="released"))

    change = submit(known, "token-1-1", work(), [])

    assert change.items == ()
    assert change.refusal is not None
    assert change.refusal.details["reason"] == "held_by_other"
