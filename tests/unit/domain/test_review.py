from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.domain.build import (
    ADA,
    BOB,
    NOW,
    PAM,
    POLICY,
    RITA,
    ROY,
    WRONG,
    decision,
    effect,
    handed_in,
    held,
    item,
    names,
    order,
)
from workdocket.domain.decide import approve, auto_deferred, reject
from workdocket.domain.errors import Finding, WorkError
from workdocket.domain.gate import Gate, votes_of
from workdocket.domain.model import SYSTEM, Actor, Approval, Change, Decision, Effect, WorkOrder, iso

DIGEST = "d1"
WHY: dict[str, Any] = {"code": "rejected", "message": "too long"}


def say_yes(
    target: WorkOrder,
    actor: Actor = RITA,
    *,
    approval: Approval = "manual",
    quorum: int = 1,
    rule: str | None = None,
    earlier: Sequence[Decision] = (),
    **given: Any,
) -> Change:
    gate = Gate.of(approval, quorum, rule)
    asked: dict[str, Any] = {"digest": DIGEST, "findings": [], "involved": frozenset({"ada"}), "comment": None}
    return approve(target, actor, NOW, gate=gate, earlier=earlier, **{**asked, **given})


def say_no(target: WorkOrder, *errors: dict[str, Any], rework: bool, **given: Any) -> Change:
    asked: dict[str, Any] = {"policy": POLICY, "earlier": (), "comment": None, "refused": {}}
    return reject(target, RITA, NOW, errors=errors or (WHY,), rework=rework, **{**asked, **given})


# approve


def test_an_approval_accepts_every_item_and_sets_the_apply_off():
    change = say_yes(order(handed_in(1), handed_in(2)), comment="good")

    approved = change.orders[0]
    assert approved.state == "approved"
    assert [one.state for one in change.items] == ["accepted", "accepted"]
    assert change.effects == (Effect(f"WO-1:apply:{approved.version}", "apply", "WO-1", NOW, {"digest": "d1"}),)
    assert names(change) == ["decision.recorded", "order.approved", "item.accepted", "item.accepted"]


def test_a_decision_is_recorded_with_its_digest_and_comment():
    change = say_yes(order(handed_in()), earlier=[decision(verdict="rework")], comment="good", rule="small")

    assert change.decisions == (Decision("WO-1", 2, "approve", RITA, NOW, "d1", "good"),)
    assert change.events[0].message == "good"
    assert change.events[0].data == {"verdict": "approve", "digest": "d1", "rule": "small"}
    assert change.events[1].data == {"digest": "d1"}


def test_work_that_came_back_accepted_from_a_drift_is_not_accepted_twice():
    change = say_yes(order(handed_in(1, "accepted"), handed_in(2), error={"code": "stale"}))

    assert names(change) == ["decision.recorded", "order.approved", "item.accepted"]
    assert change.orders[0].error is None


def test_an_order_with_findings_is_not_ready():
    with pytest.raises(WorkError) as refusal:
        say_yes(order(handed_in()), findings=[WRONG])

    assert refusal.value.code == "not_ready"
    assert refusal.value.details["findings"] == [WRONG.as_dict()]


@pytest.mark.parametrize("state", ["queued", "approved", "failed", "completed", "rejected"])
def test_only_a_submitted_order_can_be_approved(state: str):
    with pytest.raises(WorkError) as refusal:
        say_yes(order(handed_in(), state=state), findings=[WRONG])

    assert refusal.value.code == "illegal_transition"


@pytest.mark.parametrize("actor, rule", [(ADA, "human"), (SYSTEM, "auto")])
def test_a_type_that_asks_for_a_person_takes_nobody_else(actor: Actor, rule: str):
    with pytest.raises(WorkError) as refusal:
        say_yes(order(handed_in()), actor, approval="human")

    assert refusal.value.code == "forbidden"
    assert refusal.value.details == {"rule": rule}


def test_the_system_is_let_through_by_an_automatic_gate_only():
    assert say_yes(order(handed_in()), SYSTEM, approval="auto").events[0].data["rule"] == "auto"


def test_who_works_on_it_later_takes_their_vote_back():
    early = [decision(ADA)]

    change = say_yes(order(handed_in()), RITA, approval="four_eyes", quorum=2, earlier=early)

    assert change.effects == ()


def test_a_type_that_asks_for_a_person_takes_one():
    assert say_yes(order(handed_in()), RITA, approval="human").orders[0].state == "approved"


@pytest.mark.parametrize("actor", [PAM, ADA], ids=["who proposed it", "who worked on it"])
def test_four_eyes_keep_out(actor: Actor):
    with pytest.raises(WorkError) as refusal:
        say_yes(order(handed_in()), actor, approval="four_eyes")

    assert refusal.value.code == "self_approval"
    assert refusal.value.details == {"excluded": ["ada", "pam"]}


def test_four_eyes_let_anybody_else_through():
    assert say_yes(order(handed_in()), BOB, approval="four_eyes").orders[0].state == "approved"


def test_own_work_may_be_approved_where_the_type_does_not_mind():
    assert say_yes(order(handed_in()), ADA).orders[0].state == "approved"


# quorum


def test_an_approval_short_of_the_quorum_only_records_the_decision():
    before = order(handed_in())

    change = say_yes(before, quorum=2)

    assert names(change) == ["decision.recorded"]
    assert (change.items, change.effects) == ((), ())
    assert change.orders == (replace(before, version=before.version + 1),)


def test_the_approval_that_makes_the_quorum_approves():
    assert say_yes(order(handed_in()), ROY, quorum=2, earlier=[decision(RITA)]).orders[0].state == "approved"


def test_nobody_approves_twice():
    assert say_yes(order(handed_in()), RITA, quorum=2, earlier=[decision(RITA)]).orders[0].state == "submitted"


def test_votes_from_before_a_rework_do_not_count():
    earlier = [decision(RITA), decision(ROY, "rework")]

    assert say_yes(order(handed_in()), ROY, quorum=2, earlier=earlier).orders[0].state == "submitted"


def test_votes_for_something_else_do_not_count():
    earlier = [decision(RITA, digest="before the world moved")]

    assert say_yes(order(handed_in()), ROY, quorum=2, earlier=earlier).orders[0].state == "submitted"


@pytest.mark.parametrize(
    "decisions, votes",
    [
        ([], set()),
        ([decision(RITA), decision(ROY)], {"rita", "roy"}),
        ([decision(RITA), decision(ROY, "rework")], set()),
        ([decision(RITA), decision(ROY, "rework"), decision(ROY)], {"roy"}),
        ([decision(RITA, digest="d0"), decision(ROY)], {"roy"}),
    ],
)
def test_the_votes_that_stand_are_those_for_the_same_thing_since_it_was_last_sent_back(decisions, votes):
    assert votes_of(decisions) == votes


# automatic approval


def test_what_the_rule_does_not_approve_is_left_to_a_reviewer_with_the_reasons():
    change = auto_deferred(order(handed_in()), effect("auto_approve"), NOW, SYSTEM, [Finding("cost", "", "too dear")])

    assert names(change) == ["approval.deferred"]
    assert change.events[0].data == {"findings": [{"code": "cost", "path": "", "message": "too dear"}]}
    assert change.effects == (effect("auto_approve"),)


def test_a_rule_that_approved_has_nothing_to_add():
    assert auto_deferred(order(handed_in()), effect("auto_approve"), NOW, SYSTEM, []).events == ()


# reject for good


def test_a_rejection_ends_the_order_and_all_its_open_items():
    before = order(item(1), held(2, "leased"), held(3), handed_in(4), item(5, "failed"))

    change = say_no(before, rework=False, comment="no")

    assert [(one.id, one.state) for one in change.items] == [(f"WO-1.{n}", "rejected") for n in (1, 2, 3, 4)]
    rejected = change.orders[0]
    assert rejected.state == "rejected"
    assert rejected.error == {"code": "rejected", "message": "too long", "at": iso(NOW), "errors": [WHY]}
    assert names(change) == [*["item.rejected"] * 4, "order.rejected", "decision.recorded"]


def test_a_rejection_takes_the_leases_away():
    change = say_no(order(held()), rework=False)

    assert (change.leases[0].end, change.leases[0].ended_at) == ("rejected", NOW)
    assert change.items[0].lease == change.leases[0]


def test_work_that_came_back_accepted_from_a_failed_apply_can_still_be_rejected():
    change = say_no(order(handed_in(1, "accepted"), item(2)), rework=False)

    assert [one.state for one in change.items] == ["rejected", "rejected"]


@pytest.mark.parametrize("state", ["approved", "failed", "rejected", "completed", "cancelled"])
def test_an_order_that_is_not_at_work_or_in_review_cannot_be_rejected(state: str):
    with pytest.raises(WorkError) as refusal:
        say_no(order(handed_in(state="accepted"), state=state), rework=False)

    assert refusal.value.code == "illegal_transition"
    assert str(refusal.value).startswith("WO-1 is")


# rework


def test_rework_sends_every_item_back_with_the_reasons_on_it():
    change = say_no(order(handed_in(1), handed_in(2)), rework=True, comment="please")

    reason = {"at": iso(NOW), "by": "rita", **WHY}
    assert [(one.state, one.feedback) for one in change.items] == [("queued", (reason,))] * 2
    assert change.orders[0].state == "queued"
    assert names(change) == ["item.returned", "item.returned", "order.returned", "decision.recorded"]
    assert change.events[0].message == "too long"
    assert change.events[2].data == {"items": ["WO-1.1", "WO-1.2"]}
    assert change.decisions == (Decision("WO-1", 1, "rework", RITA, NOW, None, "please", (WHY,)),)


def test_rework_of_named_items_leaves_the_others_as_they_are():
    general = {"code": "style", "message": "mind the tone"}

    change = say_no(order(handed_in(1), handed_in(2)), {**WHY, "item_id": "WO-1.2"}, general, rework=True)

    [back] = change.items
    assert back.id == "WO-1.2"
    assert [(reason["message"], "item_id" in reason) for reason in back.feedback] == [
        ("too long", False),
        ("mind the tone", False),
    ]
    assert change.orders[0].state == "in_progress"


def test_each_named_item_is_told_its_own_reasons():
    errors = [{**WHY, "item_id": "WO-1.1"}, {"code": "x", "message": "too short", "item_id": "WO-1.2"}]

    change = say_no(order(handed_in(1), handed_in(2)), *errors, rework=True)

    assert [[reason["message"] for reason in one.feedback] for one in change.items] == [["too long"], ["too short"]]


def test_reasons_pile_up_over_the_rounds():
    before = order(handed_in(feedback=({"message": "first"},)))

    change = say_no(before, rework=True)

    assert [reason["message"] for reason in change.items[0].feedback] == ["first", "too long"]


def test_the_former_holder_has_first_claim_for_a_while():
    change = say_no(order(handed_in()), rework=True)

    assert change.items[0].reserved_for == ADA.session
    assert change.items[0].due_at == NOW + POLICY.first_claim


def test_work_of_an_unknown_holder_is_free_for_all():
    change = say_no(order(handed_in(lease=None)), rework=True)

    assert change.items[0].reserved_for is None
    assert change.items[0].due_at is None


def test_rework_remembers_what_it_sent_back():
    change = say_no(order(handed_in(1), handed_in(2)), rework=True, refused={"WO-1.1": "c1"})

    assert [one.refused_checksum for one in change.items] == ["c1", None]


def test_an_item_sent_back_waits_for_what_it_needs_when_that_is_sent_back_too():
    before = order(handed_in(1), handed_in(2, after=("WO-1.1",)), handed_in(3, after=("WO-1.2",)))

    both = say_no(before, *({**WHY, "item_id": f"WO-1.{n}"} for n in (1, 2)), rework=True)
    alone = say_no(before, {**WHY, "item_id": "WO-1.2"}, rework=True)

    assert [one.waiting_for for one in both.items] == [(), ("WO-1.1",)]
    assert [one.waiting_for for one in alone.items] == [()]


def test_an_order_whose_apply_failed_can_be_sent_back():
    before = order(handed_in(1, "accepted"), handed_in(2, "accepted"), state="failed", error={"code": "apply_failed"})

    change = say_no(before, {**WHY, "item_id": "WO-1.1"}, rework=True)

    assert change.orders[0].state == "in_progress"
    assert change.orders[0].error is None


def test_an_order_that_failed_at_its_items_cannot_be_sent_back():
    with pytest.raises(WorkError, match="failed at its items") as refusal:
        say_no(order(handed_in(1), item(2, "failed")), rework=True)

    assert refusal.value.code == "illegal_transition"
    assert refusal.value.details["allowed"] == ["cancel", "dead_letter", "retry"]


@pytest.mark.parametrize("rework", [True, False])
def test_an_item_that_is_not_of_the_order_cannot_be_named(rework: bool):
    with pytest.raises(WorkError, match=r"WO-1 has no item WO-1\.9, WO-2\.1") as refusal:
        say_no(order(handed_in()), {**WHY, "item_id": "WO-2.1"}, {**WHY, "item_id": "WO-1.9"}, WHY, rework=rework)

    assert refusal.value.code == "not_found"


@pytest.mark.parametrize("state", ["queued", "in_progress", "approved", "completed"])
def test_only_handed_in_work_can_be_sent_back(state: str):
    with pytest.raises(WorkError, match="reject with rework is not possible") as refusal:
        say_no(order(handed_in(), state=state), rework=True)

    assert refusal.value.code == "illegal_transition"
