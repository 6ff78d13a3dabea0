from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.domain.build import ADA, NOW, PAM, POLICY, names, order
from workdocket.domain.decide import plan_findings, propose
from workdocket.domain.errors import WorkError
from workdocket.domain.model import SYSTEM, ItemSpec

CHAIN = (ItemSpec({"n": 1}, "a"), ItemSpec({"n": 2}, "b", after=("a",)), ItemSpec({"n": 3}))


def codes(*plan: ItemSpec) -> list[tuple[str, str]]:
    return [(finding.code, finding.path) for finding in plan_findings(plan)]


def test_a_plan_without_items_is_refused():
    assert codes() == [("empty", "")]


def test_a_sound_plan_has_no_findings():
    assert codes(*CHAIN) == []


def test_every_fault_of_a_plan_is_found_at_once():
    plan = (
        ItemSpec(1, "a"),
        ItemSpec(2),
        ItemSpec(3, "a"),
        ItemSpec(4, "k" * 121),
        ItemSpec(5, after=("nobody",)),
        ItemSpec(6, max_attempts=0),
    )

    assert codes(*plan) == [
        ("duplicate_key", "/2/key"),
        ("key_too_long", "/3/key"),
        ("unknown_key", "/4/after"),
        ("minimum", "/5/max_attempts"),
    ]


def test_a_key_may_have_120_characters():
    assert codes(ItemSpec(1, "k" * 120)) == []


def test_items_that_wait_for_each_other_are_named_in_a_circle():
    plan = [ItemSpec(1, "a", after=("b",)), ItemSpec(2, "b", after=("c",)), ItemSpec(3, "c", after=("a",))]

    [finding] = plan_findings(plan)

    assert finding.code == "cycle"
    told = finding.message.removeprefix("items wait for each other: ").split(" -> ")
    waits = {(spec.key, key) for spec in plan for key in spec.after}
    assert told[0] == told[-1]
    assert set(pairwise(told)) == waits


def test_an_item_cannot_wait_for_itself():
    assert codes(ItemSpec(1, "a", after=("a",))) == [("cycle", "")]


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=14))
def test_a_plan_is_refused_for_a_circle_exactly_when_no_order_of_work_exists(needs: list[tuple[int, int]]):
    plan = [ItemSpec(n, str(n), after=tuple(str(b) for a, b in needs if a == n)) for n in range(7)]
    done: set[str | None] = set()

    for _ in plan:
        done |= {spec.key for spec in plan if done.issuperset(spec.after)}

    assert plan_findings(plan) == [] if len(done) == len(plan) else codes(*plan) == [("cycle", "")]


def test_an_order_comes_with_its_items_in_the_queue():
    change = propose(order(), CHAIN, (), POLICY, ADA)

    assert [(item.id, item.key, item.input, item.state) for item in change.items] == [
        ("WO-1.1", "a", {"n": 1}, "queued"),
        ("WO-1.2", "b", {"n": 2}, "queued"),
        ("WO-1.3", None, {"n": 3}, "queued"),
    ]
    assert change.orders == (order(),)
    assert {thing.version for thing in (*change.orders, *change.items)} == {1}


def test_filing_is_told_by_the_caller_and_planning_by_the_system():
    change = propose(order(), CHAIN, (), POLICY, ADA)

    assert names(change) == ["order.proposed", "order.planned"]
    assert [event.actor for event in change.events] == [ADA, SYSTEM]
    assert change.events[1].data == {"items": 3}


def test_an_item_waits_for_the_items_it_names():
    change = propose(order(), CHAIN, (), POLICY, PAM)

    assert [item.waiting_for for item in change.items] == [(), ("WO-1.1",), ()]
    assert [item.after for item in change.items] == [(), ("WO-1.1",), ()]


def test_an_order_waits_for_the_orders_it_depends_on_but_not_for_completed_ones():
    needed = [replace(order(), id="WO-7", state="queued"), replace(order(), id="WO-8", state="completed")]

    change = propose(order(depends_on=("WO-7", "WO-8")), CHAIN, needed, POLICY, PAM)

    assert [item.waiting_for for item in change.items] == [("WO-7",), ("WO-7", "WO-1.1"), ("WO-7",)]


@pytest.mark.parametrize("state", ["cancelled", "dead_lettered"])
def test_nothing_can_depend_on_an_order_that_will_never_be_completed(state: str):
    with pytest.raises(WorkError, match="WO-7 will never be completed") as refusal:
        propose(order(), CHAIN, [replace(order(), id="WO-7", state=state)], POLICY, PAM)

    assert refusal.value.code == "invalid_request"
    assert refusal.value.details["findings"][0]["path"] == "/depends_on"


def test_an_order_may_depend_on_a_rejected_one_since_that_can_come_back():
    change = propose(order(), CHAIN, [replace(order(), id="WO-7", state="rejected")], POLICY, PAM)

    assert change.items[0].waiting_for == ("WO-7",)


def test_items_take_their_limits_from_the_plan_then_from_the_rules():
    plan = [ItemSpec(1, max_attempts=7), ItemSpec(2)]

    change = propose(order(not_before=NOW + 5), plan, (), POLICY, PAM)

    assert [item.max_attempts for item in change.items] == [7, POLICY.max_attempts]
    assert [item.due_at for item in change.items] == [NOW + 5, NOW + 5]
