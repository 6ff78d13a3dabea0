"""The time by which an order is to be over. Missing it is told once, and changes nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from workdocket.domain.draft import Draft
from workdocket.domain.errors import Finding
from workdocket.domain.machine import TERMINAL, WORKING
from workdocket.domain.model import SYSTEM, Change, WorkOrder, iso

OPEN_ITEM = ("queued", *WORKING)


def deadline_findings(deadline: int, not_before: int | None, now: int) -> list[Finding]:
    """What is wrong with a deadline that is asked for at ``now``."""
    checks = (
        (deadline > now, "past", "a deadline has to lie in the future"),
        (deadline >= (not_before or deadline), "before_start", "a deadline cannot be before not_before"),
    )
    return [Finding(code, "/deadline", message) for fits, code, message in checks if not fits]


def miss_deadline(order: WorkOrder, items: Mapping[str, int], now: int) -> Change:
    """An order that is late marked so; empty for any other. ``items`` are its items counted by state."""
    draft = Draft(now, SYSTEM)
    marked_if_late(draft, order, items)
    return draft.change()


def marked_if_late(draft: Draft, order: WorkOrder, items: Mapping[str, int] | None = None) -> WorkOrder:
    """``order``, marked as late if it is and nobody has said so. Without ``items`` it has them at hand.

    What ends an order asks this first: it may be late although no sweep has come by.
    """
    if order.deadline is None or order.deadline > draft.now:
        return order
    if order.deadline_missed_at is not None or order.state in TERMINAL:
        return order
    counts = Counter(item.state for item in order.items) if items is None else items
    late = draft.keep_order(order, deadline_missed_at=draft.now)
    draft.note(
        "order.deadline_missed",
        order.id,
        actor=SYSTEM,
        data={
            "deadline": iso(order.deadline),
            "state": order.state,
            "open_items": sum(counts.get(state, 0) for state in OPEN_ITEM),
        },
    )
    return late
