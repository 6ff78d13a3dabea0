"""Taking back what an order changed, by an order of its own."""

from __future__ import annotations

from dataclasses import replace

from workdocket.domain.errors import WorkError
from workdocket.domain.model import Actor, WorkOrder


def undo(original: WorkOrder, actor: Actor, now: int, *, uid: str, live: WorkOrder | None, possible: bool) -> WorkOrder:
    """The order that takes ``original`` back, still without a number. ``live`` is one that does so already,
    ``possible`` whether the type can."""
    if original.state != "completed":
        raise _not(original, f"{original.id} is {original.state}; only a completed order has something to undo")
    if original.reverts is not None:
        raise _not(original, f"{original.id} is itself an undo; propose again what {original.reverts} did")
    if not possible:
        raise _not(original, f"{original.type} has no revert, so nothing here takes {original.id} back")
    if live is not None:
        raise _not(original, f"{live.id}, which is {live.state}, takes {original.id} back", f"See {live.id}.")
    return replace(
        original,
        number=0,
        uid=uid,
        requested_by=actor,
        created_at=now,
        changed_at=now,
        state="queued",
        version=1,
        not_before=None,
        deadline=None,
        deadline_missed_at=None,
        depends_on=(),
        dedupe_key=None,
        applied_at=None,
        completed_at=None,
        error=None,
        reverts=original.id,
        items=(),
    )


def no_work_of_an_undo(order: WorkOrder, command: str) -> None:
    """Refuses to hand out what an undo has for work: there is nothing in it for an agent to do."""
    if order.reverts is not None:
        raise _not(
            order,
            f"{order.id} takes {order.reverts} back, which is no work for an agent",
            f"Reject it for good, or call undo({order.reverts!r}) again.",
            command,
        )


def _not(order: WorkOrder, message: str, hint: str | None = None, command: str = "undo") -> WorkError:
    details = {"from": order.state, "command": command, "allowed": []}
    return WorkError(
        "illegal_transition", message, hint=hint or "propose files what is to be so instead.", details=details
    )
