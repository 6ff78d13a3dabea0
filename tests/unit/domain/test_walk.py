"""A whole order under random commands at random times: what holds after each of them, whatever came before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.domain.build import ADA, BOB, NOW, POLICY, RITA, ROY, SECOND, TTL, WRONG, Book, work
from workdocket.domain import decide
from workdocket.domain.decide.hold import holds
from workdocket.domain.diff import Diff
from workdocket.domain.errors import WorkError
from workdocket.domain.events import EVENTS
from workdocket.domain.gate import Gate
from workdocket.domain.machine import ITEM_TABLE, JOINT, LEFT_OUT, OPEN, ORDER_TABLE, TERMINAL, joint
from workdocket.domain.model import Change, ItemSpec

STEPS = 120
PLAN = (ItemSpec({}, "a"), ItemSpec({}, "b", after=("a",)), ItemSpec({}, max_attempts=1))
ITEMS = ("WO-1.1", "WO-1.2", "WO-1.3")
AT_WORK = ("leased", "in_progress")
WHY: dict[str, Any] = {"code": "rejected", "message": "no"}

MOVES = {
    (source, target, row.event)
    for row in (*ITEM_TABLE, *ORDER_TABLE)
    for source in row.sources
    for target in (OPEN if row.target == JOINT else (row.target,))
} | {(source, target, f"order.{target}") for source, target in permutations(OPEN, 2)}


class Walk:
    """One order, a clock, and what people and agents may try."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        self.policy = replace(
            POLICY,
            quorum=chance.choice([1, 2]),
            approval=chance.choice(["manual", "auto"]),
            stop_after_identical=chance.choice([None, 2, 3]),
            backoff={"failed": 0, "expired": chance.choice([0, TTL]), "raised": 0},
        )
        self.book = Book.of(*PLAN)
        self.book.order = replace(self.book.order, deadline=chance.choice([None, NOW + SECOND, NOW + 10 * TTL]))
        self.now = NOW
        self.count = 0

    def step(self) -> None:
        tries = [*[self.a_worker_calls] * 8, *[self.checkout] * 4, self.time_passes, self.the_sweeper_comes]
        tries += [*[self.approve] * 4, *[self.apply] * 2, self.send_back, self.retry, self.requeue]
        tries += [self.refuse_one, self.waive]
        last_resorts = [*[self.refuse] * 3, self.cancel, self.dead_letter]
        self.chance.choice(last_resorts if self.chance.random() < 0.02 else tries)()

    def next(self) -> int:
        self.count += 1
        return self.count

    def attempt(self, decided: Callable[[], Change]) -> Change | None:
        """What was decided, written; a refusal without a change leaves nothing to write."""
        try:
            return self.book.write(decided())
        except WorkError:
            return None

    def known(self, item_id: str, token: str, actor: Any = ADA) -> Any:
        return self.book.facts(item_id, token, now=self.now, actor=actor, policy=self.policy)

    def tokens(self, item_id: str) -> list[str]:
        return [lease.token for (owner, _), lease in self.book.leases.items() if owner == item_id]

    # work

    def time_passes(self) -> None:
        self.now += self.chance.choice([1, 100, TTL // SECOND, 2 * TTL // SECOND]) * SECOND

    def checkout(self) -> None:
        free = [item for item in self.book.items.values() if item.state == "queued" and not item.waiting_for]
        due = [item for item in free if (item.due_at or 0) <= self.now]
        if due:
            item, token = self.chance.choice(due), f"token-{self.next()}"
            self.book.write(decide.checkout(self.known(item.id, token, self.chance.choice([ADA, BOB])), token))
            assert self.book.items[item.id].fence == item.fence + 1

    def the_sweeper_comes(self) -> None:
        for item in list(self.book.items.values()):
            if item.state in AT_WORK and item.lease is not None and item.lease.expires_at <= self.now:
                self.book.write(decide.expire(self.known(item.id, "")))
        states = Counter(item.state for item in self.book.items.values())
        self.book.write(decide.miss_deadline(self.book.order, states, self.now))

    def a_worker_calls(self) -> None:
        item_id = self.chance.choice(ITEMS)
        tokens = self.tokens(item_id) or ["guess"]
        token = tokens[-1] if self.chance.random() < 0.9 else self.chance.choice(tokens)
        before, known, made = self.book.items[item_id], self.known(item_id, token), work({"n": self.next()})
        submit = self.chance.random() < 0.6
        calls: list[Callable[[], Change]] = [
            lambda: decide.heartbeat(known, token, None, None),
            lambda: decide.renew(known, token),
            lambda: decide.release(known, token, None, None),
            lambda: decide.fail(known, token, "no", retryable=True, retry_after=0),
            lambda: decide.fail(known, token, "no", retryable=False, retry_after=None),
            lambda: decide.submit(known, token, made, [WRONG]),
            lambda: decide.take_part(known, token, "text", None, made, [], []),
        ]
        change = self.attempt((lambda: decide.submit(known, token, made, [])) if submit else self.chance.choice(calls))
        if before.lease is None or before.lease.token != token:
            assert self.book.items[item_id] == before, "a token from an earlier lease never writes"
        if submit and known.past is not None:
            assert change is not None
            assert [one.result for one in change.submissions] == [made.value], "nothing that was made is thrown away"

    # review

    def approve(self) -> None:
        digest = self.chance.choice(["d1", "d1", "d1", "d2"])
        earlier = self.book.decisions
        change = self.attempt(
            lambda: decide.approve(
                self.book.whole,
                self.chance.choice([RITA, ROY]),
                self.now,
                gate=Gate.of(self.policy.approval, self.policy.quorum),
                digest=digest,
                findings=[],
                involved=frozenset(),
                earlier=earlier,
                comment=None,
            )
        )
        if change is not None and self.book.order.state == "approved":
            since = max((n for n, one in enumerate(self.book.decisions) if one.verdict != "approve"), default=-1)
            voters = {one.actor.id for one in self.book.decisions[since + 1 :] if one.digest == digest}
            assert len(voters) >= self.policy.quorum

    def send_back(self) -> None:
        named = self.chance.choice([None, *ITEMS])
        self.attempt(lambda: self.rejected(WHY if named is None else {**WHY, "item_id": named}, rework=True))

    def refuse_one(self) -> None:
        why = [{**WHY, "item_id": self.chance.choice(ITEMS)}]
        asked: dict[str, Any] = {"policy": self.policy, "earlier": self.book.decisions, "comment": None}
        self.attempt(lambda: decide.reject_items(self.book.whole, RITA, self.now, errors=why, **asked))

    def waive(self) -> None:
        item = self.chance.choice(list(self.book.items.values()))
        asked: dict[str, Any] = {"policy": self.policy, "reason": "not needed"}
        self.attempt(lambda: decide.waive(self.book.whole, item, RITA, self.now, **asked))

    def refuse(self) -> None:
        self.attempt(lambda: self.rejected(WHY, rework=False))

    def rejected(self, error: dict[str, Any], *, rework: bool) -> Change:
        asked: dict[str, Any] = {"policy": self.policy, "earlier": self.book.decisions, "comment": None, "refused": {}}
        return decide.reject(self.book.whole, RITA, self.now, errors=[error], rework=rework, **asked)

    def apply(self) -> None:
        for due in self.pending_applies():
            self.book.write(decide.claim(due, self.now, "me", self.now + 1))
            mine, order = self.book.effects[due.id], self.book.whole
            outcome = self.chance.random()
            if outcome < 0.1:
                self.book.write(decide.applied(order, mine, Diff(), self.now, self.policy, ()))
            elif outcome < 0.8:
                self.book.write(decide.apply_raised(order, mine, "no", self.now, self.policy, 0))
            else:
                self.book.write(decide.drifted(order, mine, self.now, "now"))

    def pending_applies(self) -> list[Any]:
        return [one for one in self.book.effects.values() if one.kind == "apply" and one.state == "pending"]

    # administration

    def retry(self) -> None:
        named = self.chance.choice([None, *self.book.items.values()])
        self.attempt(lambda: decide.retry(self.book.whole, RITA, self.now, named))

    def requeue(self) -> None:
        self.attempt(lambda: decide.requeue(self.book.whole, RITA, self.now))

    def cancel(self) -> None:
        self.attempt(lambda: decide.cancel(self.book.whole, RITA, self.now, None))

    def dead_letter(self) -> None:
        self.attempt(lambda: decide.dead_letter(self.book.whole, RITA, self.now, None))


# what always holds


def an_item_has_a_live_lease_exactly_while_it_is_worked_on(walk: Walk) -> None:
    for item in walk.book.items.values():
        live = [one for one in walk.book.leases.values() if one.item_id == item.id and one.live]
        assert live == ([item.lease] if item.state in AT_WORK else [])


def only_the_last_token_can_still_hold(walk: Walk) -> None:
    for item in walk.book.items.values():
        holding = [token for token in walk.tokens(item.id) if holds(walk.known(item.id, token), token)]
        assert holding in ([], [item.lease.token] if item.lease else [])


def an_open_order_is_in_the_joint_state_of_its_items(walk: Walk) -> None:
    state, items = walk.book.order.state, [item.state for item in walk.book.items.values()]
    failed_in_its_apply = state == "failed" and set(items) - set(LEFT_OUT) == {"accepted"}
    assert state == joint(items) or state not in OPEN or failed_in_its_apply


def nobody_works_on_an_item_before_what_it_needs_is_handed_in(walk: Walk) -> None:
    for item in walk.book.items.values():
        needed = {walk.book.items[other].state for other in item.after}
        if item.state in AT_WORK:
            assert needed <= {"submitted", "accepted", *LEFT_OUT}


def work_is_open_in_open_orders_only(walk: Walk) -> None:
    if walk.book.order.state not in OPEN:
        assert not {item.state for item in walk.book.items.values()} & {"queued", *AT_WORK}


def every_event_is_a_row_of_the_tables_or_moves_nothing(walk: Walk) -> None:
    for event in walk.book.events:
        assert event.event in EVENTS
        assert event.from_state is None or (event.from_state, event.to_state, event.event) in MOVES


def the_events_alone_give_every_state(walk: Walk) -> None:
    states: dict[str, str | None] = dict.fromkeys(("WO-1", *ITEMS), "queued")
    for event in walk.book.events:
        if event.from_state is not None:
            thing = event.item_id or event.order_id
            assert states[thing] == event.from_state
            states[thing] = event.to_state
    assert states == {thing.id: thing.state for thing in (walk.book.order, *walk.book.items.values())}


def an_apply_is_due_exactly_while_the_order_is_approved(walk: Walk) -> None:
    assert len(walk.pending_applies()) == (walk.book.order.state == "approved")


def a_missed_deadline_is_told_once_and_only_while_the_order_was_not_over(walk: Walk) -> None:
    order = walk.book.order
    told = [event for event in walk.book.events if event.event == "order.deadline_missed"]
    assert [event.at for event in told] == ([] if order.deadline_missed_at is None else [order.deadline_missed_at])
    if told:
        assert order.deadline is not None
        assert order.deadline <= told[0].at
        assert told[0].data is not None
        assert told[0].data["state"] not in TERMINAL
    if order.state in TERMINAL and order.deadline is not None:
        assert bool(told) == (order.deadline <= order.changed_at)


def every_order_that_is_not_over_can_be_stopped(walk: Walk) -> None:
    order, state = walk.book.whole, walk.book.order.state
    if state not in (*TERMINAL, "approved"):
        stopped = decide.cancel(order, RITA, walk.now, None)
        assert {item.state for item in stopped.items} == {"cancelled"}
    if state in ("failed", "rejected"):
        decide.dead_letter(order, RITA, walk.now, None)
    if state in ("queued", "checked_out", "in_progress", "submitted"):
        walk.rejected(WHY, rework=False)


def an_order_that_goes_on_has_something_to_go_on_with(walk: Walk) -> None:
    if walk.book.order.state in (*OPEN, "approved", "completed"):
        assert walk.book.whole.counting


ALWAYS = (
    an_order_that_goes_on_has_something_to_go_on_with,
    an_item_has_a_live_lease_exactly_while_it_is_worked_on,
    only_the_last_token_can_still_hold,
    an_open_order_is_in_the_joint_state_of_its_items,
    nobody_works_on_an_item_before_what_it_needs_is_handed_in,
    work_is_open_in_open_orders_only,
    an_apply_is_due_exactly_while_the_order_is_approved,
    a_missed_deadline_is_told_once_and_only_while_the_order_was_not_over,
    every_order_that_is_not_over_can_be_stopped,
)

AT_THE_END = (every_event_is_a_row_of_the_tables_or_moves_nothing, the_events_alone_give_every_state)


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=True))
def test_whatever_is_tried_in_whatever_order_the_promises_hold(chance: Random):
    walk = Walk(chance)

    for _ in range(STEPS):
        walk.step()
        for promise in ALWAYS:
            promise(walk)

    for promise in AT_THE_END:
        promise(walk)
