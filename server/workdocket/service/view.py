"""Records as the JSON that callers see. Ids, times and states read the same at every door."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

from workdocket.domain.decide.admin import OUTCOMES
from workdocket.domain.model import (
    Decision,
    Event,
    Lease,
    Part,
    Policy,
    Submission,
    WorkItem,
    WorkOrder,
    canonical,
    iso,
)

View = dict[str, Any]

SHORT = 1_500
"""Characters of a value that a row shows before it is cut down to its size."""

LONG = 6_000
"""The same for a value that the call was about. All in all an answer stays under 25,000."""

UNCUT = sys.maxsize

LEAST = 150

MOST_CHANGES = 50
MOST_CONFLICTS = 20

KINDS: Mapping[type, str] = {dict: "object", list: "list", str: "text"}


def when(at: int | None) -> str | None:
    return None if at is None else iso(at)


def present(**fields: Any) -> View:
    """The fields that have a value."""
    return {name: value for name, value in fields.items() if value is not None}


def cut(value: Any, limit: int = SHORT) -> Any:
    """``value``, or where it is longer than that many characters, what it is and how long."""
    size = len(canonical(value))
    if size <= limit:
        return value
    return {"left_out": f"{KINDS.get(type(value), 'value')} of {size} characters"}


def some(value: Any, limit: int = SHORT) -> Any:
    """As ``cut``, and nothing for nothing."""
    return None if value is None else cut(value, limit)


def share(rows: int, total: int = LONG) -> int:
    """How long a value may be when that many rows share the room."""
    return max(total // max(rows, 1), LEAST)


def order_row(order: WorkOrder, counts: Mapping[str, int]) -> View:
    """One line about an order."""
    return present(
        id=order.id,
        type=order.type,
        type_version=order.type_version,
        state=order.state,
        priority=order.priority,
        requested_by={"type": order.requested_by.type, "id": order.requested_by.id},
        created_at=iso(order.created_at),
        changed_at=iso(order.changed_at),
        not_before=when(order.not_before),
        deadline=when(order.deadline),
        deadline_missed_at=when(order.deadline_missed_at),
        depends_on=list(order.depends_on) or None,
        dedupe_key=order.dedupe_key,
        reverts=order.reverts,
        meta=cut(order.meta) if order.meta else None,
        items_count=sum(counts.values()),
        items=dict(counts),
        applied_at=when(order.applied_at),
        completed_at=when(order.completed_at),
        outcome=outcome(order),
        error=order.error,
    )


def outcome(order: WorkOrder) -> str | None:
    """How a cancelled order came to be so, where that was no cancelling: expired or withdrawn."""
    code = (order.error or {}).get("code")
    return code if order.state == "cancelled" and code in OUTCOMES else None


def order_full(order: WorkOrder, counts: Mapping[str, int], undo: WorkOrder | None = None) -> View:
    """An order with its payload and meta, its items counted by state, and the order that takes it back, if one does."""
    row = order_row(order, counts)
    states = row.pop("items")
    reverted = {"reverted_by": state_of(undo)} if undo is not None else {}
    return {**row, "meta": cut(order.meta), "payload": cut(order.payload, LONG), "item_states": states, **reverted}


def state_of(thing: WorkOrder | WorkItem) -> View:
    return {"id": thing.id, "state": thing.state}


def lease_held(lease: Lease, policy: Policy, now: int) -> View:
    """A lease as its holder sees it, token and all."""
    return present(
        token=lease.token,
        fence=lease.fence,
        expires_at=iso(lease.expires_at),
        expires_in_seconds=round(max(lease.expires_at - now, 0) / 1000, 3),
        heartbeat_every_seconds=policy.heartbeat_every / 1000,
        agent=lease.holder.agent or lease.holder.session,
        progress=lease.progress,
        note=lease.note,
    )


def attempt(lease: Lease) -> View:
    """A lease as everybody sees it: no token."""
    return present(
        attempt=lease.attempt,
        fence=lease.fence,
        agent=lease.holder.agent or lease.holder.session,
        actor={"type": lease.holder.type, "id": lease.holder.id},
        client=lease.holder.client,
        leased_at=iso(lease.leased_at),
        expires_at=iso(lease.expires_at),
        last_heartbeat_at=when(lease.heartbeat_at),
        progress=lease.progress,
        note=lease.note,
        ended_at=when(lease.ended_at),
        end=lease.end,
    )


def item_row(item: WorkItem, now: int) -> View:
    """One line about an item."""
    live = item.lease if item.lease is not None and item.lease.live else None
    return present(
        id=item.id,
        order_id=item.order_id,
        state=item.state,
        key=item.key,
        attempts=item.attempts,
        max_attempts=item.max_attempts,
        leased_by=(live.holder.agent or live.holder.session) if live else None,
        lease_expires_at=iso(live.expires_at) if live else None,
        progress=live.progress if live else None,
        after=list(item.after) or None,
        waiting_for=list(item.waiting_for) or None,
        skills=list(item.skills) or None,
        concurrency_key=item.concurrency_key or None,
        available_at=iso(item.due_at) if item.due_at is not None and item.due_at > now else None,
        error=item.error,
    )


def item_short(item: WorkItem, now: int, limit: int = SHORT) -> View:
    return {**item_row(item, now), "input": cut(item.input, limit)}


def submission(handed: Submission, limit: int = SHORT) -> View:
    return present(
        key=handed.key,
        at=iso(handed.at),
        by=handed.actor.agent or handed.actor.id,
        fence=handed.fence,
        checksum=handed.checksum,
        result=cut(handed.result, limit),
        evidence=some(handed.evidence, limit),
        notes=some(handed.notes, limit),
    )


def part_row(part: Part) -> View:
    return {"key": part.key, "seq": part.seq, "status": part.status, "checksum": part.checksum, "at": iso(part.at)}


def part_full(part: Part, limit: int = SHORT) -> View:
    return {
        **part_row(part),
        **present(
            by=part.actor.agent or part.actor.id,
            payload=cut(part.payload, limit),
            evidence=some(part.evidence, limit),
            notes=some(part.notes, limit),
            findings=[finding.as_dict() for finding in part.findings] or None,
        ),
    }


def decision(one: Decision) -> View:
    return present(
        verdict=one.verdict,
        by={"type": one.actor.type, "id": one.actor.id},
        at=iso(one.at),
        digest=one.digest,
        comment=some(one.comment),
        errors=some(list(one.errors) or None),
    )


def event(one: Event) -> View:
    return present(
        seq=one.seq,
        at=iso(one.at),
        event=one.event,
        order_id=one.order_id,
        item_id=one.item_id,
        actor_type=one.actor.type,
        actor_id=one.actor.id,
        agent=one.actor.agent,
        client=one.actor.client,
        attempt=one.attempt,
        from_state=one.from_state,
        to_state=one.to_state,
        message=one.message,
        data=some(one.data, SHORT // 3),
        diff=diff(one.diff, SHORT),
        prev_hash=one.prev_hash,
        hash=one.hash,
    )


def event_row(one: Event) -> View:
    """An audit row without what only an auditor reads."""
    hidden = ("order_id", "diff", "prev_hash", "hash", "client", "actor_type")
    return {name: value for name, value in event(one).items() if name not in hidden}


def diff(whole: Mapping[str, Any] | None, limit: int = LONG) -> View | None:
    """A diff, with its first changes only when it is a long one; all of it where the limit is ``UNCUT``."""
    if whole is None:
        return None
    if limit == UNCUT:
        return dict(whole)
    conflicts = list(whole.get("conflicts", ()))
    shown = {**whole, "before": cut(whole.get("before"), limit // 4), "after": cut(whole.get("after"), limit // 4)}
    if len(conflicts) > MOST_CONFLICTS:
        shown |= {"conflicts": conflicts[:MOST_CONFLICTS], "conflicts_left_out": len(conflicts) - MOST_CONFLICTS}
    changes = list(whole.get("changes", ()))
    if len(changes) <= MOST_CHANGES and len(canonical(changes)) <= limit:
        return shown
    fitting = list(_fitting(changes, limit))
    return {**shown, "changes": fitting, "changes_left_out": len(changes) - len(fitting)}


def _fitting(changes: Iterable[Any], room: int) -> Iterable[Any]:
    for change, _ in zip(changes, range(MOST_CHANGES), strict=False):
        room -= len(canonical(change))
        if room < 0:
            return
        yield change
