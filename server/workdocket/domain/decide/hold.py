"""Taking, keeping and giving back a lease."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from workdocket.domain.decide.facts import Facts
from workdocket.domain.decide.repeat import enough, failed_alike, repeated_failure
from workdocket.domain.draft import Draft
from workdocket.domain.errors import WorkError
from workdocket.domain.machine import WORKING
from workdocket.domain.model import SYSTEM, Change, Lease, WorkItem, iso


def checkout(facts: Facts, token: str) -> Change:
    """The item under a new lease with the next fence."""
    item, actor = facts.item, facts.actor
    lease = Lease(
        item_id=item.id,
        fence=item.fence + 1,
        token=token,
        holder=actor,
        attempt=item.attempts + 1,
        leased_at=facts.now,
        expires_at=facts.now + facts.policy.lease_ttl,
    )
    draft = Draft(facts.now, actor)
    draft.keep_lease(lease)
    draft.move_item(
        item,
        "checkout",
        data={"fence": lease.fence, "expires_at": iso(lease.expires_at)},
        fence=lease.fence,
        lease=lease,
        due_at=None,
        reserved_for=None,
    )
    draft.settle(facts.order, {*facts.others, "leased"})
    return draft.change()


def heartbeat(facts: Facts, token: str, progress: float | None, note: str | None) -> Change:
    """The lease renewed; the first one starts the item."""
    draft = Draft(facts.now, facts.actor)
    told = {"progress": progress, "note": note or None}
    news = {name: value for name, value in told.items() if value is not None}
    start(draft, facts, keep(draft, facts, token, heartbeat_at=facts.now, **news))
    return draft.change()


def renew(facts: Facts, token: str) -> Change:
    """The lease renewed by a call that changes nothing else."""
    draft = Draft(facts.now, facts.actor)
    item = keep(draft, facts, token)
    draft.settle(facts.order, {*facts.others, item.state})
    return draft.change()


def release(facts: Facts, token: str, reason: str | None, not_before: int | None) -> Change:
    """The item back in the queue; the attempt does not count."""
    draft = Draft(facts.now, facts.actor)
    item = hold(draft, facts, token)
    item = draft.move_item(item, "release", message=reason, due_at=not_before, lease=end_lease(draft, item, "released"))
    draft.settle(facts.order, {*facts.others, item.state})
    return draft.change()


def fail(facts: Facts, token: str, reason: str, *, retryable: bool, retry_after: int | None) -> Change:
    """The attempt counted; queued again after a backoff, or failed for good: also when the same reason came too often.

    ``retry_after`` in milliseconds.
    """
    draft = Draft(facts.now, facts.actor)
    item = hold(draft, facts, token)
    attempts = item.attempts + 1
    alike = failed_alike(facts, item, reason)
    stopped = retryable and enough(len(alike), facts.policy)
    said = repeated_failure(item, reason, alike) if stopped else {"code": "attempt_failed", "message": reason}
    error = {**said, "at": iso(facts.now), "attempt": attempts, "attempts": alike}
    lease = end_lease(draft, item, "failed")
    if retryable and not stopped and attempts < item.max_attempts:
        backoff = facts.policy.backoff_after("failed", attempts, facts.jitter)
        due = facts.now + (backoff if retry_after is None else retry_after)
        data = {"attempts": attempts, "available_at": iso(due)}
        item = draft.move_item(
            item, "fail_attempt", message=reason, data=data, attempts=attempts, due_at=due, error=error, lease=lease
        )
    else:
        data = {"attempts": attempts, "retryable": retryable, **({"reason": reason} if stopped else {})}
        message = said["message"]
        item = draft.move_item(item, "fail", message=message, data=data, attempts=attempts, error=error, lease=lease)
    draft.settle(facts.order, {*facts.others, item.state})
    return draft.change()


def expire(facts: Facts) -> Change:
    """An overdue lease ended and its attempt counted."""
    draft = Draft(facts.now, SYSTEM)
    item = overdue(draft, facts)
    draft.settle(facts.order, {*facts.others, item.state})
    return draft.change()


def keep(draft: Draft, facts: Facts, token: str, **news: Any) -> WorkItem:
    """As :func:`hold`, for calls after which the lease goes on: a lease that ran out is not taken back over a limit."""
    item = hold(draft, facts, token, **news)
    if over_limit(facts):
        raise WorkError(
            "limit_exceeded",
            f"the lease on {item.id} ran out, and {facts.full} leaves no room to take it back",
            hint="Submit what you have, or finish another item first.",
            limit=facts.full,
        )
    return item


def over_limit(facts: Facts) -> bool:
    """Whether the lease ran out and a limit leaves no room to take it back."""
    return facts.full is not None and facts.item.lease_over(facts.now)


def hold(draft: Draft, facts: Facts, token: str, **news: Any) -> WorkItem:
    """The item with its lease in the caller's hand and renewed, or ``lease_lost``."""
    item, lease = take(draft, facts, token)
    return draft.keep_item(item, lease=_renewed(draft, facts, lease, **news))


def take(draft: Draft, facts: Facts, token: str) -> tuple[WorkItem, Lease]:
    """The item and its lease in the caller's hand as they are, or ``lease_lost``.

    An expired lease that nobody has taken since is taken back: the expiry is recorded, its attempt stays counted.
    """
    item, lease = facts.item, facts.item.lease
    if lease is None or lease.token != token:
        raise lost(facts)
    if lease.live and lease.expires_at > facts.now:
        return item, lease
    if lease.live:
        item = overdue(draft, facts)
    if item.state != "queued" or item.waiting_for or lease.end not in (None, "expired"):
        raise lost(replace(facts, item=item))
    lease = _renewed(draft, facts, lease)
    message = "the lease had expired and nobody had taken the item"
    return draft.move_item(item, "reclaim", message=message, lease=lease, due_at=None), lease


def holds(facts: Facts, token: str) -> bool:
    """Would :func:`hold` succeed?"""
    try:
        hold(Draft(facts.now, facts.actor), facts, token)
    except WorkError:
        return False
    return True


def start(draft: Draft, facts: Facts, item: WorkItem) -> WorkItem:
    """The item in progress, however it was held."""
    if item.state == "leased":
        item = draft.move_item(item, "progress")
    draft.settle(facts.order, {*facts.others, item.state})
    return item


def lost(facts: Facts) -> WorkError:
    """Why the presented token is not the live lease, and whether the item can be had again."""
    item = facts.item
    why = _why_lost(facts)
    held = {"held_until": iso(item.lease.expires_at)} if why == "held_by_other" and item.lease else {}
    queued = item.state == "queued" and (item.due_at or 0) <= facts.now
    available = (queued or _expiring(facts)) and not item.waiting_for
    return WorkError(
        "lease_lost",
        f"{_LOST[why]}; {item.id} is {item.state}",
        reason=why,
        state=item.state,
        checkout_possible=available,
        details=held,
    )


def _expiring(facts: Facts) -> bool:
    """Its lease has run out though nobody has ended it, and neither a pause follows nor the end of its attempts."""
    item, lease = facts.item, facts.item.lease
    over = lease is not None and lease.live and lease.expires_at <= facts.now
    return over and item.attempts + 1 < item.max_attempts and not facts.policy.backoff["expired"]


_LOST = {
    "held_by_other": "another lease holds the item",
    "expired": "the lease has expired",
    "ended": "the lease has ended",
}


def _why_lost(facts: Facts) -> str:
    item, past = facts.item, facts.past
    current = item.lease
    same = current is not None and past is not None and current.fence == past.fence
    if item.state in WORKING and not same:
        return "held_by_other"
    known = current if same else past
    return "expired" if known is not None and known.end in (None, "expired") else "ended"


def end_lease(draft: Draft, item: WorkItem, how: str) -> Lease | None:
    """The item's lease, ended if it was live."""
    lease = item.lease
    if lease is None or not lease.live:
        return lease
    return draft.keep_lease(replace(lease, ended_at=draft.now, end=how))


def _renewed(draft: Draft, facts: Facts, lease: Lease, **news: Any) -> Lease:
    until = facts.now + facts.policy.lease_ttl
    return draft.keep_lease(replace(lease, expires_at=until, ended_at=None, end=None, **news))


def overdue(draft: Draft, facts: Facts) -> WorkItem:
    """The item after its lease ran out: queued again, or failed when that was the last attempt.

    A pause, if there is one, is counted from the end of the lease, whoever notices it and when.
    """
    item = facts.item
    attempts = item.attempts + 1
    lease = end_lease(draft, item, "expired")
    changes: dict[str, Any] = {"attempts": attempts, "lease": lease, "actor": SYSTEM}
    if attempts >= item.max_attempts:
        message = "the lease ran out and no attempt is left"
        error = {"code": "lease_expired", "message": "the last attempt's lease ran out", "at": iso(facts.now)}
        return draft.move_item(item, "fail", message=message, data={"attempts": attempts}, error=error, **changes)
    pause = facts.policy.backoff_after("expired", attempts, facts.jitter)
    due = lease.expires_at + pause if lease is not None and pause else None
    data = {"attempts": attempts, **({} if due is None else {"available_at": iso(due)})}
    return draft.move_item(item, "expire", message="no call before the lease ran out", data=data, due_at=due, **changes)
