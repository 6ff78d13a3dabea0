"""Stopping orders and starting them again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from workdocket.domain.decide.deadline import marked_if_late
from workdocket.domain.decide.hold import end_lease
from workdocket.domain.decide.review import apply_effect, waits
from workdocket.domain.decide.undo import no_work_of_an_undo
from workdocket.domain.draft import Draft
from workdocket.domain.machine import LEFT_OUT, OPEN, ORDER, TERMINAL, step
from workdocket.domain.model import SYSTEM, Actor, Change, WorkItem, WorkOrder, iso

HOUR = 3_600_000

OUTCOMES: Mapping[str, str] = {
    "expired": "nobody decided on it in time",
    "withdrawn": "its requester took it back while it waited for review",
}
"""Ways of being cancelled that are no refusal: the code on the order, and what it means."""


def cancel(order: WorkOrder, actor: Actor, now: int, reason: str | None) -> Change:
    """The order and all of its items over; who holds a lease learns it at the next heartbeat.

    Its requester's own word while it waits for review is a withdrawal, and told apart.
    """
    withdrawn = order.state == "submitted" and actor.id == order.requested_by.id
    return _end(order, actor, now, "cancel", reason, "withdrawn" if withdrawn else None)


def expire_review(order: WorkOrder, now: int, waited: int) -> Change:
    """An order that waited for a decision for too long, ``waited`` milliseconds, cancelled by the system."""
    reason = f"nobody decided on it within {waited / HOUR:g} hours"
    return _end(order, SYSTEM, now, "cancel", reason, "expired")


def dead_letter(order: WorkOrder, actor: Actor, now: int, reason: str | None) -> Change:
    """A failed or rejected order put aside for good, its history kept."""
    return _end(order, actor, now, "dead_letter", reason)


def requeue(order: WorkOrder, actor: Actor, now: int) -> Change:
    """A rejected order back to work: every rejected item queued afresh."""
    step(ORDER, order.id, order.state, "requeue")
    no_work_of_an_undo(order, "requeue")
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


def _end(
    order: WorkOrder, actor: Actor, now: int, command: str, reason: str | None, outcome: str | None = None
) -> Change:
    target = step(ORDER, order.id, order.state, command).target
    draft = Draft(now, actor)
    order = marked_if_late(draft, order)
    for item in order.items:
        if item.state in TERMINAL:
            continue
        draft.move_item(item, command, message=reason, lease=end_lease(draft, item, target), due_at=None)
    told: dict[str, Any] = {}
    if outcome is not None:
        error = {"code": outcome, "message": reason or OUTCOMES[outcome], "at": iso(now)}
        told = {"data": {"outcome": outcome}, "error": error}
    draft.move_order(order, command, message=reason, **told)
    return draft.change()


def _again(draft: Draft, order: WorkOrder, items: Iterable[WorkItem], command: str) -> None:
    """Queued afresh: attempts start over, and what an item needs first is asked anew."""
    items = list(items)
    met = ("submitted", "accepted", *LEFT_OUT)
    unmet = {item.id for item in order.items if item in items or item.state not in met}
    for item in items:
        draft.move_item(
            item, command, attempts=0, error=None, due_at=None, reserved_for=None, waiting_for=waits(item, unmet)
        )
