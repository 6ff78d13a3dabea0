"""The same failure or the same rejection once more: when to stop and ask a person, and what to tell them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from workdocket.domain.decide.facts import Facts
from workdocket.domain.model import Actor, Decision, Policy, WorkItem, iso

Row = dict[str, Any]

LONGEST = 300
"""Characters of a reason that a diagnosis repeats; in full it is in the events and the feedback."""


def enough(times: int, policy: Policy) -> bool:
    """Whether that many in a row stop an item. After a stop somebody retried it, so the count starts over."""
    return policy.stop_after_identical is not None and times % policy.stop_after_identical == 0


def failed_alike(facts: Facts, item: WorkItem, reason: str) -> list[Row]:
    """The attempts that were reported as failed for this reason and no other since, the present one last."""
    last = item.error or {}
    before = last.get("attempts", []) if _plain(last.get("message")) == _plain(reason) else []
    present = {"attempt": item.attempts + 1, **_when(facts.actor, facts.now)}
    return [*before, present][-(facts.policy.stop_after_identical or 1) :]


def repeated_failure(item: WorkItem, reason: str, attempts: Sequence[Row]) -> Row:
    return {
        "code": "repeated_failure",
        "message": f"failed {len(attempts)} times in a row for the same reason: {_short(reason)}",
        "hint": f"Mend the cause or the type's instructions, then {_then(item)}",
    }


def rejected_alike(item: WorkItem, errors: Sequence[Row], earlier: Sequence[Decision]) -> list[Decision]:
    """The rejections right before this one that sent the item back for the same reasons, the latest first."""
    before = (one for one in reversed(earlier) if one.verdict != "approve")
    rejections = (one for one in before if one.verdict == "reject" or about(item, one.errors))
    said = ("rework", _said(item, errors))
    return list(takewhile(lambda one: (one.verdict, _said(item, one.errors)) == said, rejections))


def repeated_rejection(item: WorkItem, reasons: Sequence[Row], rejections: Sequence[tuple[Actor, int]]) -> Row:
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    said = f"{_short(reasons[0]['message'])}{more}"
    return {
        "code": "repeated_rejection",
        "message": f"rejected {len(rejections)} times in a row for the same reasons: {said}",
        "hint": f"Say it differently, or change the input or the type's instructions, then {_then(item)}",
        "rejections": [_when(actor, at) for actor, at in rejections],
    }


def about(item: WorkItem, errors: Sequence[Row]) -> list[Row]:
    """What a reviewer said about one item; nothing where the errors name others only."""
    named = {error["item_id"] for error in errors if error.get("item_id")}
    meant = not named or item.id in named
    return [error for error in errors if meant and error.get("item_id") in (None, item.id)]


def _said(item: WorkItem, errors: Sequence[Row]) -> frozenset[tuple[str, ...]]:
    return frozenset(
        tuple(_plain(error.get(key)) for key in ("code", "path", "message")) for error in about(item, errors)
    )


def _plain(text: str | None) -> str:
    """However it was spaced and spelled."""
    return " ".join((text or "").casefold().split())


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _when(actor: Actor, at: int) -> Row:
    return {"at": iso(at), "by": actor.agent or actor.id}


def _then(item: WorkItem) -> str:
    return f"retry(item_id={item.id!r}), or cancel({item.order_id!r})."
