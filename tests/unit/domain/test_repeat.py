from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.domain.build import (
    ADA,
    BOB,
    NOW,
    POLICY,
    RITA,
    ROY,
    Book,
    facts,
    handed_in,
    held,
    item,
    names,
    only,
    order,
)
from workdocket.domain.decide import cancel, checkout, dead_letter, expire, fail, reject, requeue, retry
from workdocket.domain.decide.repeat import LONGEST
from workdocket.domain.errors import WorkError
from workdocket.domain.model import Actor, Change, Decision, ItemSpec, WorkItem, WorkOrder, iso

TWICE = replace(POLICY, stop_after_identical=2)
WHY: dict[str, Any] = {"code": "tone", "path": "/text", "message": "too loud"}
THEN = "retry(item_id='WO-1.1'), or cancel('WO-1')."


def failing(*reasons: str, stop: int | None = 2, actors: Sequence[Actor] = (ADA,), attempts: int = 9) -> list[WorkItem]:
    """What becomes of an item whose attempts are reported as failed for these reasons, one after the other."""
    policy = replace(POLICY, stop_after_identical=stop)
    book, seen = Book.of(ItemSpec({}, max_attempts=attempts)), []
    for n, reason in enumerate(reasons):
        known = {"actor": actors[n % len(actors)], "policy": policy}
        book.write(checkout(book.facts("WO-1.1", f"t{n}", **known), f"t{n}"))
        if reason == "expires":
            book.write(expire(book.facts("WO-1.1", f"t{n}", **known)))
        else:
            given: dict[str, Any] = {"retryable": True, "retry_after": 0}
            book.write(fail(book.facts("WO-1.1", f"t{n}", **known), f"t{n}", reason, **given))
        seen.append(book.items["WO-1.1"])
    return seen


def states(items: Sequence[WorkItem]) -> list[str]:
    return [one.state for one in items]


def round_of(*errors: dict[str, Any], verdict: str = "rework", actor: Actor = RITA) -> Decision:
    return Decision("WO-1", 1, verdict, actor, NOW - 1, errors=errors)  # type: ignore[arg-type]


def say_no(
    target: WorkOrder, *errors: dict[str, Any], earlier: Sequence[Decision] = (), stop: int | None = 2
) -> Change:
    policy = replace(POLICY, stop_after_identical=stop)
    given: dict[str, Any] = {"rework": True, "comment": None, "refused": {"WO-1.1": "c1"}}
    return reject(target, ROY, NOW, policy=policy, errors=errors or (WHY,), earlier=earlier, **given)


# failures


def test_the_second_failure_for_the_same_reason_stops_the_item_with_a_diagnosis():
    stopped = failing("no luck", "no luck", actors=(ADA, BOB))[-1]

    assert (stopped.state, stopped.attempts) == ("failed", 2)
    assert stopped.error == {
        "code": "repeated_failure",
        "message": "failed 2 times in a row for the same reason: no luck",
        "hint": f"Mend the cause or the type's instructions, then {THEN}",
        "at": iso(NOW),
        "attempt": 2,
        "attempts": [{"attempt": 1, "at": iso(NOW), "by": "ada"}, {"attempt": 2, "at": iso(NOW), "by": "bob"}],
    }


def test_the_event_of_a_stop_says_why():
    before = held(error={"code": "attempt_failed", "message": "no luck", "attempts": [{"attempt": 1}]}, attempts=1)

    change = fail(facts(before, policy=TWICE), "token-1-1", "no luck", retryable=True, retry_after=None)

    assert names(change) == ["item.failed", "order.failed"]
    assert change.events[0].message == "failed 2 times in a row for the same reason: no luck"
    assert change.events[0].data == {"attempts": 2, "retryable": True, "reason": "no luck"}


def test_a_diagnosis_stays_short():
    long = "x" * 2_000

    failed = failing(long, long)[-1].error["message"]
    rejected = only(say_no(order(handed_in()), {"message": long}, earlier=[round_of({"message": long})])).error[
        "message"
    ]

    assert [text.partition(": ")[2] for text in (failed, rejected)] == ["x" * LONGEST + "…"] * 2


@pytest.mark.parametrize("again", ["no luck", " No\n  LUCK ", "NO LUCK"])
def test_spacing_and_case_make_no_difference(again: str):
    assert states(failing("no luck", again)) == ["queued", "failed"]


def test_another_reason_starts_the_count_over():
    assert states(failing("a", "b", "a", "b", "b")) == ["queued"] * 4 + ["failed"]


def test_a_lease_that_runs_out_neither_counts_nor_breaks_the_row():
    found = failing("a", "expires", "expires", "expires", "a")

    assert states(found) == ["queued"] * 4 + ["failed"]
    assert [one["attempt"] for one in found[-1].error["attempts"]] == [1, 5]


@pytest.mark.parametrize(
    "stop, expected",
    [(None, ["queued"] * 4), (1, ["failed"]), (3, ["queued", "queued", "failed"])],
)
def test_how_many_it_takes_is_a_rule(stop: int | None, expected: list[str]):
    assert states(failing(*["a"] * len(expected), stop=stop)) == expected


def test_the_last_attempt_that_fails_for_the_same_reason_says_so():
    assert failing("a", "a", attempts=2)[-1].error["code"] == "repeated_failure"


def test_what_nobody_can_do_is_not_called_repeated():
    before = held(error={"code": "attempt_failed", "message": "a", "attempts": [{"attempt": 1}]}, attempts=1)

    change = fail(facts(before, policy=TWICE), "token-1-1", "a", retryable=False, retry_after=None)

    assert (only(change).state, only(change).error["code"]) == ("failed", "attempt_failed")


def test_a_retry_starts_the_count_over():
    stopped = failing("a", "a")[-1]

    again = only(retry(order(stopped), RITA, NOW))

    assert (again.state, again.attempts, again.error) == ("queued", 0, None)


# rejections


def test_the_second_rejection_for_the_same_reasons_stops_the_item_with_a_diagnosis():
    change = say_no(order(handed_in()), earlier=[round_of(WHY)])

    stopped = only(change)
    assert stopped.state == "failed"
    assert stopped.error == {
        "code": "repeated_rejection",
        "message": "rejected 2 times in a row for the same reasons: too loud",
        "hint": f"Say it differently, or change the input or the type's instructions, then {THEN}",
        "rejections": [{"at": iso(NOW - 1), "by": "rita"}, {"at": iso(NOW), "by": "roy"}],
        "at": iso(NOW),
    }
    assert names(change) == ["item.failed", "order.returned", "decision.recorded"]
    assert (change.events[0].message, change.orders[0].state) == (stopped.error["message"], "failed")


def test_a_stopped_item_keeps_the_reasons_and_what_was_refused_and_is_kept_for_nobody():
    stopped = only(say_no(order(handed_in(feedback=({"message": "before"},))), earlier=[round_of(WHY)]))

    assert [row["message"] for row in stopped.feedback] == ["before", "too loud"]
    assert (stopped.refused_checksum, stopped.reserved_for, stopped.due_at) == ("c1", None, None)


@pytest.mark.parametrize(
    "before",
    [
        [{**WHY, "message": " Too  LOUD"}],
        [WHY, WHY],
        [{**WHY, "item_id": "WO-1.1"}],
        [WHY, {"message": "about the other one", "item_id": "WO-1.2"}, {**WHY, "item_id": "WO-1.1"}],
    ],
    ids=["spelled differently", "said twice", "about the item", "beside what was said of another"],
)
def test_the_same_was_said_however_it_was_said(before: list[dict[str, Any]]):
    change = say_no(order(handed_in()), earlier=[round_of(*before)])

    assert only(change).state == "failed"


@pytest.mark.parametrize(
    "before",
    [
        [],
        [round_of({**WHY, "message": "too quiet"})],
        [round_of({**WHY, "code": "style"})],
        [round_of({**WHY, "path": "/title"})],
        [round_of({"code": "tone", "message": "too loud"})],
        [round_of(WHY, {"message": "and too long"})],
        [round_of(WHY), round_of({"message": "something else"})],
        [round_of({**WHY, "item_id": "WO-1.2"})],
        [round_of(WHY), round_of(WHY, verdict="reject")],
        [round_of(WHY), round_of({**WHY, "item_id": "WO-1.2"}, verdict="reject")],
    ],
    ids=[
        "nothing", "another message", "another code", "another path", "no path", "more", "something else since",
        "it of another item", "it, and then the order was refused for good",
        "it, and then the order was refused for good because of another item",
    ],
)  # fmt: skip
def test_an_item_goes_back_when_before_was_said(before: list[Decision]):
    change = say_no(order(handed_in()), earlier=before)

    assert only(change).state == "queued"


def test_approvals_and_rejections_of_other_items_do_not_come_in_between():
    between = [round_of(verdict="approve"), round_of({"message": "no", "item_id": "WO-1.2"})]

    change = say_no(order(handed_in()), earlier=[round_of(WHY), *between])

    assert only(change).state == "failed"


def test_other_items_of_the_same_rejection_go_back_as_usual():
    new = {"message": "too short", "item_id": "WO-1.2"}

    change = say_no(order(handed_in(1), handed_in(2)), {**WHY, "item_id": "WO-1.1"}, new, earlier=[round_of(WHY)])

    assert states(change.items) == ["failed", "queued"]
    assert change.orders[0].state == "queued"


def test_an_item_that_needs_a_stopped_one_waits_for_it():
    before = order(handed_in(1), handed_in(2, after=("WO-1.1",)))

    change = say_no(
        before, WHY, {"message": "new", "item_id": "WO-1.2"}, {**WHY, "item_id": "WO-1.1"}, earlier=[round_of(WHY)]
    )

    assert [(one.state, one.waiting_for) for one in change.items] == [("failed", ()), ("queued", ("WO-1.1",))]


def test_accepted_work_of_a_failed_apply_can_be_stopped_too():
    before = order(handed_in(1, "accepted"), state="failed", error={"code": "apply_failed"})

    change = say_no(before, earlier=[round_of(WHY)])

    assert (only(change).state, change.orders[0].state, change.orders[0].error) == ("failed", "failed", None)


@pytest.mark.parametrize("stop, rounds", [(None, []), (1, [1, 2, 3, 4, 5, 6]), (2, [2, 4, 6]), (3, [3, 6])])
def test_after_each_stop_the_count_starts_over(stop: int | None, rounds: list[int]):
    stopped = [
        number
        for number in range(1, 7)
        if only(say_no(order(handed_in()), earlier=[round_of(WHY)] * (number - 1), stop=stop)).state == "failed"
    ]

    assert stopped == rounds


def test_several_reasons_are_counted_in_the_diagnosis():
    both = (WHY, {"message": "too long"})

    change = say_no(order(handed_in()), *both, earlier=[round_of(*reversed(both))])

    assert only(change).error["message"].endswith("for the same reasons: too loud (and 1 more)")


def stopped_order() -> WorkOrder:
    change = say_no(order(handed_in(1), handed_in(2)), {**WHY, "item_id": "WO-1.1"}, earlier=[round_of(WHY)])
    return replace(change.orders[0], items=(*change.items, handed_in(2)))


def test_a_stopped_order_is_no_trap():
    stopped = stopped_order()

    assert stopped.state == "failed"
    assert cancel(stopped, RITA, NOW, None).orders[0].state == "cancelled"
    assert dead_letter(stopped, RITA, NOW, None).orders[0].state == "dead_lettered"
    with pytest.raises(WorkError, match="failed at its items"):
        say_no(stopped)


@pytest.mark.parametrize("named", [True, False])
def test_a_retry_brings_a_stopped_item_back_with_its_reasons(named: bool):
    stopped = stopped_order()

    change = retry(stopped, RITA, NOW, stopped.items[0] if named else None)

    [back] = change.items
    assert (back.state, back.error, change.orders[0].state) == ("queued", None, "in_progress")
    assert [row["message"] for row in back.feedback] == ["too loud"]


def test_an_order_with_a_stopped_item_at_work_can_be_refused_for_good_and_taken_up_again():
    stopped = replace(stopped_order(), items=(stopped_order().items[0], item(2)), state="queued")

    refused = reject(
        stopped, RITA, NOW, policy=TWICE, errors=(WHY,), rework=False, earlier=(), comment=None, refused={}
    )
    taken_up = requeue(replace(refused.orders[0], items=(stopped.items[0], *refused.items)), RITA, NOW)

    assert refused.orders[0].state == "rejected"
    assert states(taken_up.items) == ["queued"]
    assert retry(replace(taken_up.orders[0], items=(stopped.items[0], *taken_up.items)), RITA, NOW, stopped.items[0])
