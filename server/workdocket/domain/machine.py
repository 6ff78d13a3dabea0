"""Every state a work order and a work item can be in, and the only ways from one to the next.

Each row reads: from any of these states, this command leads to that state and writes that one event.
``JOINT`` means: to the state that the order's items, taken together, call for (see :func:`joint`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from workdocket.domain.errors import WorkError

JOINT = "(joint state of the items)"


class Row(NamedTuple):
    """One line of a table."""

    sources: tuple[str, ...]
    command: str
    target: str
    event: str


WORKING = ("leased", "in_progress")

ITEM_TABLE: tuple[Row, ...] = (
    Row(("queued",), "checkout", "leased", "item.leased"),
    Row(("leased",), "progress", "in_progress", "item.started"),
    Row(WORKING, "submit", "submitted", "item.submitted"),
    Row(WORKING, "finalize", "submitted", "item.finalized"),
    Row(WORKING, "release", "queued", "item.released"),
    Row(WORKING, "fail_attempt", "queued", "item.attempt_failed"),
    Row(WORKING, "expire", "queued", "item.lease_expired"),
    Row(("queued",), "reclaim", "leased", "item.reclaimed"),
    Row(WORKING, "fail", "failed", "item.failed"),
    Row(("submitted", "accepted"), "stop", "failed", "item.failed"),
    Row(("submitted",), "accept", "accepted", "item.accepted"),
    Row(("accepted",), "complete", "completed", "item.completed"),
    Row(("submitted", "accepted"), "return", "queued", "item.returned"),
    Row(("submitted", "accepted", "queued", *WORKING), "reject", "rejected", "item.rejected"),
    Row(("failed",), "retry", "queued", "item.retried"),
    Row(("failed",), "waive", "cancelled", "item.waived"),
    Row(("failed", "rejected", "submitted", "accepted"), "dead_letter", "dead_lettered", "item.dead_lettered"),
    Row(("rejected",), "requeue", "queued", "item.requeued"),
    Row(("queued", *WORKING, "submitted", "accepted", "failed", "rejected"), "cancel", "cancelled", "item.cancelled"),
)

ORDER_TABLE: tuple[Row, ...] = (
    Row(("submitted",), "approve", "approved", "order.approved"),
    Row(("approved",), "apply", "applied", "order.applied"),
    Row(("applied",), "complete", "completed", "order.completed"),
    Row(("approved",), "give_up", "failed", "order.apply_failed"),
    Row(("approved",), "drift", JOINT, "order.drifted"),
    Row(("failed",), "retry_apply", "approved", "order.retried"),
    Row(("failed",), "retry", JOINT, "order.retried"),
    Row(("submitted", "failed"), "rework", JOINT, "order.returned"),
    Row(("queued", "checked_out", "in_progress", "submitted"), "reject", "rejected", "order.rejected"),
    Row(("rejected",), "requeue", JOINT, "order.requeued"),
    Row(("rejected", "failed"), "dead_letter", "dead_lettered", "order.dead_lettered"),
    Row(
        ("queued", "checked_out", "in_progress", "submitted", "rejected", "failed"),
        "cancel", "cancelled", "order.cancelled",
    ),
)  # fmt: skip

OPEN = ("queued", "checked_out", "in_progress", "submitted", "failed")
"""Order states that follow the joint state of the items; each has the event ``order.<state>``."""

TERMINAL = ("completed", "dead_lettered", "cancelled")
"""Order and item states that nothing leaves."""


LEFT_OUT = ("rejected", "cancelled")
"""States of single items that an open order goes on without."""


def joint(items: Iterable[str]) -> str:
    """The state an open order has, from the states of its items. Accepted work counts as submitted; what an order goes
    on without does not count."""
    states = {"submitted" if state == "accepted" else state for state in items if state not in LEFT_OUT}
    if states == {"submitted"}:
        return "submitted"
    if "failed" in states and not states & {"queued", "leased", "in_progress"}:
        return "failed"
    if states & {"in_progress", "submitted"}:
        return "in_progress"
    return "checked_out" if "leased" in states else "queued"


Table = Mapping[tuple[str, str], Row]


def _index(rows: tuple[Row, ...]) -> Table:
    return {(source, row.command): row for row in rows for source in row.sources}


ITEM: Table = _index(ITEM_TABLE)
ORDER: Table = _index(ORDER_TABLE)


ASKED = {"progress": "heartbeat", "fail_attempt": "fail", "retry_apply": "retry", "rework": "reject with rework"}
"""Commands that a caller asks for by another name."""

CAUSED = frozenset({"expire", "reclaim", "accept", "return", "apply", "complete", "give_up", "drift", "stop"})
"""Commands that nobody asks for: they follow from time or from another command."""


def allowed(table: Table, state: str) -> list[str]:
    """What a caller can ask for in a state."""
    return sorted({ASKED.get(command, command) for source, command in table if source == state} - CAUSED)


def step(table: Table, what: str, state: str, command: str) -> Row:
    """The row for a command in a state, or the refusal that names what is allowed instead."""
    row = table.get((state, command))
    if row is None:
        options = allowed(table, state)
        asked = ASKED.get(command, command)
        raise WorkError(
            "illegal_transition",
            f"{what} is {state}; {asked.replace('_', ' ')} is not possible from there",
            hint=f"Possible from {state}: {', '.join(options)}."
            if options
            else f"Nothing can be asked of it: {state}.",
            details={"from": state, "command": asked, "allowed": options},
        )
    return row
