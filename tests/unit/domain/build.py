"""Small orders, items and leases to put questions to the core with.

The tests beside this file read as given, when, then: three paragraphs each, where there is something to be given.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from workdocket.domain.decide import Facts, Work, propose
from workdocket.domain.errors import Finding
from workdocket.domain.machine import joint
from workdocket.domain.model import (
    Actor,
    Change,
    Decision,
    Effect,
    Event,
    ItemSpec,
    Lease,
    Part,
    Policy,
    Submission,
    WorkItem,
    WorkOrder,
    checksum,
)

SECOND = 1_000
NOW = 1_700_000_000_000
TTL = 600 * SECOND

ADA = Actor("agent", "ada", "ada-1", agent="ada", client="host 1.0")
BOB = Actor("agent", "bob", "bob-1", agent="bob")
RITA = Actor("user", "rita", "rita-1")
ROY = Actor("user", "roy", "roy-1")
PAM = Actor("user", "pam", "pam-1")

POLICY = Policy(
    lease_ttl=TTL,
    heartbeat_every=120 * SECOND,
    max_attempts=3,
    backoff={"failed": 60 * SECOND, "expired": 0, "raised": 30 * SECOND},
    backoff_jitter=20 * SECOND,
    backoff_cap=3_600 * SECOND,
    apply_attempts=3,
    first_claim=300 * SECOND,
    max_parts=3,
)

WRONG = Finding("minLength", "/name", "is too short")


def order(*items: WorkItem, **given: Any) -> WorkOrder:
    """An order in the joint state of its items, unless another state is given."""
    blank = WorkOrder(
        id="WO-1",
        number=1,
        uid="uid-1",
        type="page.fix",
        type_version=1,
        payload={"page": "/"},
        priority=0,
        requested_by=PAM,
        created_at=NOW,
        changed_at=NOW,
        state=joint(one.state for one in items),
        items=items,
    )
    return replace(blank, **given)


def item(number: int = 1, state: str = "queued", **given: Any) -> WorkItem:
    blank = WorkItem(
        id=f"WO-1.{number}",
        order_id="WO-1",
        number=number,
        type="page.fix",
        priority=0,
        input={"n": number},
        created_at=NOW,
        changed_at=NOW,
        max_attempts=3,
        state=state,
    )
    return replace(blank, **given)


def lease(number: int = 1, fence: int = 1, *, holder: Actor = ADA, **given: Any) -> Lease:
    blank = Lease(
        item_id=f"WO-1.{number}",
        fence=fence,
        token=f"token-{number}-{fence}",
        holder=holder,
        attempt=fence,
        leased_at=NOW,
        expires_at=NOW + TTL,
    )
    return replace(blank, **given)


def held(number: int = 1, state: str = "in_progress", *, fence: int = 1, holder: Actor = ADA, **given: Any) -> WorkItem:
    """An item under a live lease."""
    return item(number, state, **{"fence": fence, "lease": lease(number, fence, holder=holder), **given})


def lapsed(number: int = 1, **given: Any) -> WorkItem:
    """An item back in the queue since its lease ran out; that lease is its last."""
    ended = lease(number, expires_at=NOW - 1, ended_at=NOW, end="expired")
    return item(number, **{"fence": 1, "attempts": 1, "lease": ended, **given})


def handed_in(number: int = 1, state: str = "submitted", *, holder: Actor = ADA, **given: Any) -> WorkItem:
    ended = lease(number, holder=holder, ended_at=NOW, end="submitted")
    return item(number, state, **{"fence": 1, "lease": ended, "result_key": "1-submitted-x", **given})


def facts(mine: WorkItem, *others: WorkItem, **given: Any) -> Facts:
    """What is known of ``mine``, with ``others`` in the same order; the token shown is that of its last lease."""
    known = Facts(
        order=order(mine, *others),
        item=mine,
        others=frozenset(other.state for other in others),
        policy=POLICY,
        actor=ADA,
        now=NOW,
        dependents=tuple(other for other in others if mine.id in other.after),
        past=mine.lease,
    )
    return replace(known, **given)


def work(value: Any = None, **given: Any) -> Work:
    value = {"title": "Hello"} if value is None else value
    return Work(value, checksum(value), **given)


def part(
    key: str = "text", seq: int | None = None, payload: Any = "p", status: str = "validated", **given: Any
) -> Part:
    blank = Part("WO-1.1", key, seq, status, payload, checksum(payload), ADA, 1, NOW)  # type: ignore[arg-type]
    return replace(blank, **given)


def decision(actor: Actor = RITA, verdict: str = "approve", digest: str | None = "d1") -> Decision:
    return Decision("WO-1", 1, verdict, actor, NOW, digest)  # type: ignore[arg-type]


def effect(kind: str = "apply", **given: Any) -> Effect:
    return replace(Effect(f"WO-1:{kind}:3", kind, "WO-1", NOW), **given)  # type: ignore[arg-type]


def names(events: Change | Iterable[Event]) -> list[str]:
    return [event.event for event in (events.events if isinstance(events, Change) else events)]


def only(change: Change) -> WorkItem:
    """The one item that a change is about."""
    [changed] = change.items
    return changed


@dataclass
class Book:
    """One order and all that was written about it: the least that can be called a store."""

    order: WorkOrder
    items: dict[str, WorkItem]
    leases: dict[tuple[str, int], Lease] = field(default_factory=dict)
    submissions: dict[tuple[str, str], Submission] = field(default_factory=dict)
    parts: dict[tuple[str, str, int | None, str], Part] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)
    effects: dict[str, Effect] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)

    @classmethod
    def of(cls, *plan: ItemSpec, policy: Policy = POLICY) -> Book:
        """A freshly proposed order."""
        change = propose(order(), plan, (), policy, PAM)
        return cls(change.orders[0], {one.id: one for one in change.items}, events=list(change.events))

    @property
    def whole(self) -> WorkOrder:
        return replace(self.order, items=tuple(self.items.values()))

    def facts(
        self, item_id: str, token: str = "", *, now: int = NOW, actor: Actor = ADA, policy: Policy = POLICY
    ) -> Facts:
        mine = self.items[item_id]
        others = [other for other in self.items.values() if other.id != item_id]
        [past] = [one for one in self.leases.values() if (one.item_id, one.token) == (item_id, token)] or [None]
        return Facts(
            order=self.order,
            item=mine,
            others=frozenset(other.state for other in others),
            policy=policy,
            actor=actor,
            now=now,
            dependents=tuple(other for other in others if item_id in other.after),
            past=past,
            kept=frozenset(key for owner, key in self.submissions if owner == item_id),
        )

    def write(self, change: Change) -> Change:
        """Refuses what a store would refuse: a version that is not the next one."""
        for changed in change.orders:
            assert changed.version == self.order.version + 1
            self.order = changed
        for one in change.items:
            assert one.version == self.items[one.id].version + 1
            self.items[one.id] = one
        self.leases |= {(one.item_id, one.fence): one for one in change.leases}
        self.submissions |= {(one.item_id, one.key): one for one in change.submissions}
        self.parts |= {(one.item_id, one.key, one.seq, one.status): one for one in change.parts}
        self.decisions += change.decisions
        self.effects |= {one.id: one for one in change.effects}
        self.events += change.events
        return change
