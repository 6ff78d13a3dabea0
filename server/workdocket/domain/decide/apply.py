"""What became of an approved change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from workdocket.domain.decide.deadline import marked_if_late
from workdocket.domain.diff import Diff
from workdocket.domain.digest import moved
from workdocket.domain.draft import Draft
from workdocket.domain.model import SYSTEM, Change, Effect, Policy, WorkItem, WorkOrder, iso

CRASH_ALLOWANCE = 10
"""Attempts that ended with their process, on top of those that may raise, before an effect is given up."""


def claim(effect: Effect, now: int, token: str, until: int) -> Change:
    """The effect in one process's hand for a while, its attempt counted before anything happens."""
    draft = Draft(now, SYSTEM)
    if effect.claim is not None:
        draft.note(
            _FAILED[effect.kind],
            effect.order_id,
            message="the process ended before it could say what became of this attempt",
            data={"attempt": effect.attempts, "interrupted": True, "will_retry": True},
        )
    draft.effects.append(replace(effect, attempts=effect.attempts + 1, claim=token, claimed_until=until))
    return draft.change()


def applied(
    order: WorkOrder, effect: Effect, diff: Diff, now: int, policy: Policy, waiting: Sequence[WorkItem]
) -> Change:
    """The order completed with its diff. ``waiting`` are items of other orders that depend on it."""
    draft = Draft(now, SYSTEM)
    draft.effects.append(finished(effect))
    order = marked_if_late(draft, order)
    data = {"attempt": effect.attempts}
    moved = draft.move_order(order, "apply", data=data, diff=diff.as_dict(), applied_at=now, error=None)
    for item in order.counting:
        draft.move_item(item, "complete")
    draft.move_order(moved, "complete", completed_at=now)
    for item in waiting:
        draft.keep_item(item, waiting_for=tuple(other for other in item.waiting_for if other != order.id))
    if policy.has_after_apply and order.reverts is None:
        draft.effects.append(Effect(f"{order.id}:after_apply", "after_apply", order.id, now))
    return draft.change()


def apply_raised(order: WorkOrder, effect: Effect, message: str, now: int, policy: Policy, jitter: float) -> Change:
    """A failed attempt recorded; another one due later, or the order failed."""
    draft = Draft(now, SYSTEM)
    raised = effect.data.get("raised", 0) + 1
    again = raised < policy.apply_attempts and effect.attempts < policy.apply_attempts + CRASH_ALLOWANCE
    due = now + policy.backoff_after("raised", raised, jitter)
    data = {"attempt": effect.attempts, "will_retry": again, **({"retry_at": iso(due)} if again else {})}
    draft.note(_FAILED[effect.kind], order.id, message=message, data=data)
    error = {"code": "apply_failed", "message": message, "at": iso(now), **data}
    kept = replace(effect, claim=None, claimed_until=None, error=message, data={**effect.data, "raised": raised})
    if again:
        draft.effects.append(replace(kept, next_at=due))
        if effect.kind == "apply":
            draft.keep_order(order, error=error)
        return draft.change()
    draft.effects.append(replace(kept, state="failed"))
    if effect.kind == "apply":
        draft.move_order(order, "give_up", message=message, data={"attempts": effect.attempts}, error=error)
    return draft.change()


def drifted(order: WorkOrder, effect: Effect, now: int, digest: str) -> Change:
    """Something moved between approval and apply: back to review, with nothing applied."""
    draft = Draft(now, SYSTEM)
    approved = effect.data.get("digest", "")
    changed = moved(approved, digest)
    message = f"what apply would do is no longer what was approved: {', '.join(changed)} moved"
    draft.effects.append(replace(effect, state="failed", claim=None, claimed_until=None, error=message))
    draft.move_order(
        order,
        "drift",
        message=message,
        data={"approved": approved, "now": digest, "moved": changed},
        error={"code": "stale", "message": message, "at": iso(now), "moved": changed},
    )
    return draft.change()


def after_applied(effect: Effect, now: int) -> Change:
    draft = Draft(now, SYSTEM)
    draft.effects.append(finished(effect))
    draft.note("after_apply.done", effect.order_id, data={"attempt": effect.attempts})
    return draft.change()


def finished(effect: Effect) -> Effect:
    return replace(effect, state="done", claim=None, claimed_until=None, error=None)


_FAILED = {
    "apply": "apply.attempt_failed",
    "after_apply": "after_apply.attempt_failed",
    "auto_approve": "approval.attempt_failed",
}
