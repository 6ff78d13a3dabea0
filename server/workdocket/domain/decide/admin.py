"""Stopping orders and starting them again."""

from __future__ import annotations

from collections.abc import Iterable

from workdocket.domain.decide.deadline import marked_if_late
from workdocket.domain.decide.hold import end_lease
from workdocket.domain.decide.review import apply_effect, waits
from workdocket.domain.draft import Draft
from workdocket.domain.machine import OPEN, ORDER, step
from workdocket.domain.model import Actor, Change, WorkItem, WorkOrder


def cancel(order: WorkOrder, actor: Actor, now: int, reason: str | None) -> Change:
    """The order and all of its items over; who holds a lease learns it at the next heartbeat."""
    return _end(order, actor, now, "cancel", reason)


def dead_letter(order: WorkOrder, actor: Actor, now: int, reason: str | None) -> Change:
    """A failed or rejected order put aside for good, its history kept."""
    return _end(order, actor, now, "dead_letter", reason)


def requeue(order: WorkOrder, actor: Actor, now: int) -> Change:
    """A rejected order back to work: every rejected item queued afresh."""
    step(ORDER, order.id, order.state, "requeue")
    draft = Draft(now, actor)
    _again(draft, order, [item for item in order.items if item.state == "rejected"], "requeue")
    draft.move_order(order, "requeue", error=None)
    return draft.change()


def retry(order: WorkOrder, actor: Actor, now: int, item: WorkItem | None = None) -> Change:
    """A failed apply tried again, or failed items (all, or the one named) queued afresh."""
    if item is None or order.state not in OPEN:
        step(ORDER, order.id, order.state, "retry")
    draft = Draft(now, actor)
    failed = [item] if item else [one for one in order.items if one.state == "failed"]
    _again(draft, order, failed, "retry")
    if not failed:
        approved = draft.move_order(order, "retry_apply")
        draft.effects.append(apply_effect(approved, now, None))
    elif order.state == "failed":
        draft.move_order(order, "retry", error=None)
    else:
        draft.settle(order, draft.states(order))
    return draft.change()


def _end(order: WorkOrder, actor: Actor, now: int, command: str, reason: str | None) -> Change:
    target = step(ORDER, order.id, order.state, command).target
    draft = Draft(now, actor)
    order = marked_if_late(draft, order)
    for item in order.items:
        draft.move_item(item, command, message=reason, lease=end_lease(draft, item, target), due_at=None)
    draft.move_order(order, command, message=reason)
    return draft.change()


def _again(draft: Draft, order: WorkOrder, items: Iterable[WorkItem], command: str) -> None:
    """Queued afresh: attempts start over, and what an item needs first is asked anew."""
    unmet = {item.id for item in order.items if item.state not in ("submitted", "accepted")}
    for item in items:
        draft.move_item(
            item, command, attempts=0, error=None, due_at=None, reserved_for=None, waiting_for=waits(item, unmet)
        )
