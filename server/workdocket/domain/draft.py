"""A change in the making: moves entities along the tables and keeps the event of each move."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from workdocket.domain import machine
from workdocket.domain.errors import WorkError
from workdocket.domain.model import (
    SYSTEM,
    Actor,
    Change,
    Decision,
    Effect,
    Event,
    Lease,
    Part,
    Submission,
    WorkItem,
    WorkOrder,
)


@dataclass(slots=True)
class Draft:
    """Collects what one command changes. Entities come out one version on, however often they were moved."""

    now: int
    actor: Actor
    orders: dict[str, WorkOrder] = field(default_factory=dict)
    items: dict[str, WorkItem] = field(default_factory=dict)
    leases: dict[tuple[str, int], Lease] = field(default_factory=dict)
    submissions: list[Submission] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    effects: list[Effect] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def keep_item(self, item: WorkItem, **changes: Any) -> WorkItem:
        """``item`` with changes that are no change of state, so without an event."""
        version = item.version if item.id in self.items else item.version + 1
        kept = replace(item, version=version, **changes).lined_up(self.now)
        self.items[item.id] = kept
        return kept

    def keep_order(self, order: WorkOrder, **changes: Any) -> WorkOrder:
        version = order.version if order.id in self.orders else order.version + 1
        kept = replace(order, version=version, **changes)
        self.orders[order.id] = kept
        return kept

    def keep_lease(self, lease: Lease) -> Lease:
        self.leases[lease.item_id, lease.fence] = lease
        return lease

    def note(self, event: str, order_id: str, item: WorkItem | None = None, **fields: Any) -> None:
        """An audit row for something that is not a change of state."""
        actor = fields.pop("actor", self.actor)
        if item is not None and item.lease is not None:
            fields.setdefault("attempt", item.lease.attempt)
        self.events.append(Event(event, self.now, actor, order_id, item.id if item else None, **fields))

    def move_item(
        self,
        item: WorkItem,
        command: str,
        *,
        message: str | None = None,
        data: dict[str, Any] | None = None,
        actor: Actor | None = None,
        **changes: Any,
    ) -> WorkItem:
        """``item`` one row of the table on, with that row's event."""
        row = machine.step(machine.ITEM, item.id, item.state, command)
        moved = self.keep_item(item, state=row.target, changed_at=self.now, **changes)
        self.note(
            row.event,
            item.order_id,
            moved,
            actor=actor or self.actor,
            from_state=item.state,
            to_state=row.target,
            message=message,
            data=data,
        )
        return moved

    def move_order(
        self,
        order: WorkOrder,
        command: str,
        *,
        message: str | None = None,
        data: dict[str, Any] | None = None,
        diff: dict[str, Any] | None = None,
        **changes: Any,
    ) -> WorkOrder:
        """``order``, with its items at hand, one row of the table on."""
        row = machine.step(machine.ORDER, order.id, order.state, command)
        target = machine.joint(self.states(order)) if row.target == machine.JOINT else row.target
        moved = self.keep_order(order, state=target, changed_at=self.now, **changes)
        self.note(
            row.event,
            order.id,
            from_state=order.state,
            to_state=target,
            message=message,
            data=data,
            diff=diff,
        )
        return moved

    def states(self, order: WorkOrder) -> list[str]:
        """The states of an order's items as this draft leaves them."""
        return [self.items.get(item.id, item).state for item in order.items]

    def settle(self, order: WorkOrder, states: Iterable[str]) -> WorkOrder:
        """``order`` in the joint state of its items; silent when that is where it already is."""
        target = machine.joint(states)
        if order.state not in machine.OPEN or target == order.state:
            return order
        moved = self.keep_order(order, state=target, changed_at=self.now)
        self.note(f"order.{target}", order.id, actor=SYSTEM, from_state=order.state, to_state=target)
        return moved

    def change(self, refusal: WorkError | None = None) -> Change:
        return Change(
            orders=tuple(self.orders.values()),
            items=tuple(self.items.values()),
            leases=tuple(self.leases.values()),
            submissions=tuple(self.submissions),
            parts=tuple(self.parts),
            decisions=tuple(self.decisions),
            effects=tuple(self.effects),
            events=tuple(self.events),
            refusal=refusal,
        )
