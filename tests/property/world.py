"""What there is in the model, and what happens to it by itself: leases run out, approved changes are made."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tests.property.kinds import BACKOFF_CAP, KINDS, MAX_ATTEMPTS
from tests.property.records import OPEN, Effect, Item, Kept, Order, Refused, joint


class World:
    """What there is, what time it is, and what may be had."""

    def __init__(self) -> None:
        self.now = self.latest = 0
        self.orders: dict[str, Order] = {}
        self.items: dict[str, Item] = {}
        self.keys: dict[tuple[str, str, str], Kept] = {}
        self.hand_ins: dict[tuple[str, str], list[Kept]] = {}
        self.seen: dict[tuple[str, str], list[Any]] = {}

    # time

    def set_time(self, now: int) -> None:
        self.now = now
        self.latest = max(self.latest, now)

    # what is there

    def order(self, order_id: str) -> Order:
        if order_id not in self.orders:
            raise Refused("not_found")
        return self.orders[order_id]

    def item(self, item_id: str) -> Item:
        if item_id not in self.items:
            raise Refused("not_found")
        return self.items[item_id]

    def live(self, *, holder: str | None = None, type: str | None = None) -> int:
        return sum(
            item.lease is not None
            and item.lease.live(self.now)
            and holder in (None, item.lease.holder)
            and type in (None, item.order.type)
            for item in self.items.values()
        )

    def available(self, item: Item, actor: str | None = None, *, surely: bool = True) -> bool:
        """Whether a checkout may hand it out, limits aside; surely, or perhaps since the clock was further once."""
        now = self.now if surely else self.latest
        if item.overdue(now):
            return item.attempts + 1 < MAX_ATTEMPTS
        in_time = item.due is None or item.due <= now or (actor is not None and item.reserved == actor)
        return item.state == "queued" and not item.waits and in_time

    def room_of_key(self, item: Item) -> int:
        limit = item.order.kind.key_limit
        if limit is None or item.key is None:
            return 10**6
        same = [one for one in self.items.values() if one.key == item.key and one.lease is not None]
        return limit - sum(one.lease is not None and one.lease.live(self.now) for one in same)

    def room_of(self, type: str) -> int:
        limit = KINDS[type].limit
        return 10**6 if limit is None else max(limit - self.live(type=type), 0)

    def settle(self, order: Order) -> None:
        if order.state in OPEN:
            order.state = joint(item.state for item in order.items)

    def approved(self, order: Order) -> None:
        order.state, order.decided, order.rule, order.change = "approved", True, False, Effect(self.now)
        for item in order.counting():
            item.state = "accepted"

    # what happens by itself

    def run_out(self, item_id: str) -> None:
        """The log says that the item's lease ran out."""
        item = self.items[item_id]
        assert item.overdue(self.now), f"{item_id} lost its lease before its time"
        assert item.lease is not None
        item.lease.end = "expired"
        item.attempts += 1
        item.state = "failed" if item.attempts >= MAX_ATTEMPTS else "queued"
        self.settle(item.order)

    def by_rule(self, order_id: str) -> None:
        order = self.orders[order_id]
        assert order.rules > 0, f"no rule was to decide on {order_id}"
        order.rules -= 1
        assert order.state == "submitted", f"the rule approved {order_id}, which was {order.state}"
        assert order.fit(), f"the rule approved {order_id}, which is not fit"
        self.approved(order)

    def deferred(self, order_id: str) -> None:
        order = self.orders[order_id]
        assert order.rules > 0, f"no rule was to decide on {order_id}"
        order.rules -= 1
        assert not order.fit(), f"the rule left {order_id} to a reviewer although it is fit"
        order.rule = False

    def attempted(self, order_id: str, tries: int) -> None:
        """An attempt at an approved change raised. ``tries`` is how often the effect has been begun."""
        order = self.orders[order_id]
        assert order.change is not None, f"{order_id} was not to be applied"
        assert order.change.due <= self.now, f"{order_id} was applied before its time"
        assert tries <= order.payload.get("fail_times", 0), f"the change of {order_id} had no reason to fail"
        order.raised = True
        order.change.raised += 1
        wait = min(order.kind.backoff << (order.change.raised - 1), BACKOFF_CAP)
        order.change.due = self.now + wait

    def given_up(self, order_id: str) -> None:
        order = self.orders[order_id]
        assert order.change is not None, f"{order_id} was not to be applied"
        assert order.change.raised >= order.kind.apply_attempts, f"{order_id} had attempts left"
        order.change, order.state = None, "failed"

    def applied(self, order_id: str, tries: int) -> None:
        order = self.orders[order_id]
        assert order.change is not None, f"{order_id} was not to be applied"
        assert order.change.due <= self.now, f"{order_id} was applied before its time"
        assert order.decided, f"nobody decided on {order_id}"
        assert tries > order.payload.get("fail_times", 0) or order.type != "test.ledger"
        order.change, order.state, order.raised = None, "completed", False
        for item in order.counting():
            item.state = "completed"
        for item in self.items.values():
            item.waits.discard(order_id)

    def undone(self, orders: Iterable[Order]) -> list[str]:
        """Of these, the orders with something that should have been attempted by now."""
        return [
            order.id
            for order in orders
            if (order.change is not None and order.change.due <= self.now)
            or (order.rule and order.state == "submitted")
        ]
