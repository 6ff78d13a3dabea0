from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.domain.build import ADA, NOW, PAM, POLICY, RITA, effect, handed_in, item, names, order
from workdocket.domain.decide import applied, cancel, expire_review, proposed_again, reject, requeue, undo
from workdocket.domain.diff import Diff
from workdocket.domain.errors import Finding, WorkError
from workdocket.domain.model import SYSTEM, WorkOrder

DONE = order(item(1, "completed"), state="completed", dedupe_key="k", completed_at=NOW, meta={"a": 1}, deadline=NOW)


def taken_back(original: WorkOrder, *, live: WorkOrder | None = None, possible: bool = True) -> WorkOrder:
    return undo(original, RITA, NOW + 1, uid="uid-2", live=live, possible=possible)


def test_an_undo_is_an_order_of_the_same_kind_that_says_what_it_reverts():
    filed = taken_back(DONE)

    assert (filed.reverts, filed.payload, filed.meta, filed.type) == ("WO-1", DONE.payload, {"a": 1}, DONE.type)
    assert (filed.state, filed.requested_by, filed.created_at, filed.uid) == ("queued", RITA, NOW + 1, "uid-2")
    assert (filed.dedupe_key, filed.completed_at, filed.deadline, filed.items) == (None, None, None, ())


@pytest.mark.parametrize(
    "original, live, possible, words",
    [
        (replace(DONE, state="submitted"), None, True, "only a completed order"),
        (replace(DONE, reverts="WO-7"), None, True, "itself an undo"),
        (DONE, None, False, "no revert"),
        (DONE, order(state="queued", id="WO-9"), True, "WO-9"),
    ],
)
def test_what_cannot_be_undone_is_refused_in_words(original, live, possible, words):
    with pytest.raises(WorkError) as refusal:
        taken_back(original, live=live, possible=possible)

    assert refusal.value.code == "illegal_transition"
    assert words in refusal.value.message


def test_an_undo_is_never_sent_back_to_work():
    target = order(handed_in(), reverts="WO-7")

    with pytest.raises(WorkError) as refusal:
        reject(
            target,
            RITA,
            NOW,
            policy=POLICY,
            errors=[{"message": "no"}],
            rework=True,
            earlier=(),
            comment=None,
            refused={},
        )
    assert refusal.value.details["command"] == "reject with rework"
    with pytest.raises(WorkError):
        requeue(replace(target, state="rejected"), RITA, NOW)


def test_what_follows_an_apply_does_not_follow_an_undo():
    policy = replace(POLICY, has_after_apply=True)
    mine = effect(attempts=1)

    def kinds(target: WorkOrder) -> list[str]:
        return [one.kind for one in applied(target, mine, Diff(), NOW, policy, ()).effects]

    approved = order(item(1, "accepted"), state="approved")
    assert kinds(approved) == ["apply", "after_apply"]
    assert kinds(replace(approved, reverts="WO-7")) == ["apply"]


def test_a_diff_the_other_way_round():
    diff = Diff.between({"a": 1, "b": 2}, {"a": 3, "c": 4}, "three changes")

    back = diff.reversed()

    assert back.summary == "undo: three changes"
    assert [(one.op, one.path, one.before, one.after) for one in back.changes] == [
        ("modified", "/a", 3, 1), ("added", "/b", None, 2), ("removed", "/c", 4, None),
    ]  # fmt: skip
    assert (back.before, back.after) == (diff.after, diff.before)


def test_conflicts_are_told_only_where_there_are_some():
    found = Diff("half", conflicts=(Finding("conflict", "/1", "changed since"),))

    assert "conflicts" not in Diff("whole").as_dict()
    assert found.as_dict()["conflicts"] == [{"code": "conflict", "path": "/1", "message": "changed since"}]
    assert Diff.from_dict(found.as_dict()) == found


# who proposed it too, and what is no refusal


@pytest.mark.parametrize(
    "actor, involved, noted",
    [(ADA, (), ["order.proposed_again"]), (ADA, ("ada",), []), (PAM, (), []), (SYSTEM, (), [])],
)
def test_a_second_proposer_is_noted_once(actor, involved, noted):
    assert names(proposed_again(order(), actor, NOW, involved)) == noted


def test_an_order_expires_by_the_system():
    change = expire_review(order(handed_in()), NOW, 7_200_000)

    cancelled = change.orders[0]
    assert cancelled.state == "cancelled"
    assert cancelled.error is not None
    assert (cancelled.error["code"], cancelled.error["message"]) == ("expired", "nobody decided on it within 2 hours")
    assert change.events[-1].actor == SYSTEM
    assert change.events[-1].data == {"outcome": "expired"}


@pytest.mark.parametrize(
    "actor, target, data",
    [
        (PAM, order(handed_in()), {"outcome": "withdrawn"}),
        (RITA, order(handed_in()), None),
        (PAM, order(item()), None),
    ],
)
def test_only_the_requester_withdraws_and_only_from_review(actor, target, data):
    assert cancel(target, actor, NOW, None).events[-1].data == data
