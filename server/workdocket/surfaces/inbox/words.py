"""Refusals and states in words for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from workdocket.domain.errors import WorkError

Details = Mapping[str, Any]

MOVED = {
    "payload": "the payload", "results": "the results", "preview": "what applying it would do",
    "type": "its order type", "policy": "the rule for its approval",
}  # fmt: skip


def moved(details: Details) -> str:
    """What is no longer as it was shown."""
    names = [MOVED.get(name, name) for name in details.get("moved", ())]
    return " and ".join(names) if names else "something it depends on"


def _stale(error: WorkError) -> str:
    return f"Not decided: {moved(error.details)} changed after this was shown to you. Below is how it is now."


def _elsewhere(error: WorkError) -> str:
    state = str(error.details.get("from", "elsewhere")).replace("_", " ")
    return f"Nothing was done: the order is {state} by now. Somebody was quicker."


def _later(error: WorkError) -> str:
    wait = error.retry_after_seconds
    return f"Too many calls at once. Nothing was done; try again{f' in {wait:.0f} s' if wait else ''}."


SENTENCES: Mapping[str, Callable[[WorkError], str]] = {
    "stale": _stale,
    "illegal_transition": _elsewhere,
    "limit_exceeded": _later,
    "self_approval": lambda _: "Not approved: you filed this order or worked on it, so somebody else has to decide.",
    "forbidden": lambda error: f"Your sign-in does not allow this: {error.message}",
    "not_ready": lambda _: "Not approved: the findings below stand against it. Send it back, or have them mended.",
    "apply_failed": lambda error: f"You approved it, but applying it failed: {error.message}",
    "busy": lambda _: "The database is busy. Nothing was done; try again in a moment.",
    "idempotency_conflict": lambda _: "This form was sent before with other words. Open the page again.",
    "internal": lambda error: f"Something failed here, and nothing was decided: {error.message}",
}


def plainly(error: WorkError) -> str:
    """A refusal in one or two sentences."""
    found = SENTENCES.get(error.code)
    return found(error) if found else error.message


EVENTS = {
    "order.proposed": "filed", "order.submitted": "handed in, waits for a decision", "order.approved": "approved",
    "order.completed": "completed", "order.rejected": "refused", "order.returned": "sent back",
}  # fmt: skip
