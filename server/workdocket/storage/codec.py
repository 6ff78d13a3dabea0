"""Rows to records and back. JSON columns are text; a null column is an absent value."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from workdocket.domain.errors import Finding
from workdocket.domain.model import (
    Actor,
    Decision,
    Effect,
    Event,
    Lease,
    Part,
    Submission,
    WorkItem,
    WorkOrder,
)
from workdocket.ports import Slot, Token
from workdocket.storage import statements as sql

Row = Sequence[Any]
Columns = dict[str, Any]

NO_SEQ = -1


def dumps(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def some(value: Any) -> str | None:
    """JSON text, or null for nothing and for an empty tuple."""
    return None if value is None or value == () else dumps(value)


def loads(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def many(text: str | None) -> tuple[Any, ...]:
    return () if text is None else tuple(json.loads(text))


def _named(columns: Sequence[str], row: Row) -> Columns:
    return dict(zip(columns, row, strict=True))


def _actor(row: Columns) -> Actor:
    return Actor(row["actor_type"], row["actor_id"], row.get("session") or "", row.get("agent"), row.get("client"))


def _actor_columns(actor: Actor) -> Columns:
    return {"actor_type": actor.type, "actor_id": actor.id, "agent": actor.agent}


def order(row: Row) -> WorkOrder:
    r = _named(sql.ORDER, row)
    return WorkOrder(
        id=r["id"],
        number=r["number"],
        uid=r["uid"],
        type=r["type"],
        type_version=r["type_version"],
        edition=r["edition"],
        payload=loads(r["payload"]),
        priority=r["priority"],
        requested_by=Actor(r["requester_type"], r["requester_id"]),
        created_at=r["created_at"],
        changed_at=r["changed_at"],
        meta=loads(r["meta"]),
        state=r["state"],
        version=r["version"],
        not_before=r["not_before"],
        deadline=r["deadline"],
        deadline_missed_at=r["deadline_missed_at"],
        depends_on=many(r["depends_on"]),
        dedupe_key=r["dedupe_key"],
        applied_at=r["applied_at"],
        completed_at=r["completed_at"],
        reverts=r["reverts"],
        error=loads(r["error"]),
    )


def order_columns(order: WorkOrder) -> Columns:
    return {
        "number": order.number,
        "id": order.id,
        "uid": order.uid,
        "version": order.version,
        "type": order.type,
        "type_version": order.type_version,
        "edition": order.edition,
        "state": order.state,
        "priority": order.priority,
        "requester_type": order.requested_by.type,
        "requester_id": order.requested_by.id,
        "created_at": order.created_at,
        "changed_at": order.changed_at,
        "not_before": order.not_before,
        "deadline": order.deadline,
        "deadline_missed_at": order.deadline_missed_at,
        "applied_at": order.applied_at,
        "completed_at": order.completed_at,
        "dedupe_key": order.dedupe_key,
        "depends_on": some(order.depends_on),
        "meta": dumps(order.meta),
        "reverts": order.reverts,
        "error": some(order.error),
        "payload": dumps(order.payload),
    }


def item(row: Row) -> WorkItem:
    """An item from a row of its own columns followed by those of its latest lease."""
    cut = len(sql.ITEM)
    r = _named(sql.ITEM, row[:cut])
    edition, *skills = loads(r["requires"])
    held = lease(row[cut:]) if row[cut] is not None else None
    return WorkItem(
        id=r["id"],
        order_id=r["order_id"],
        number=r["number"],
        type=r["type"],
        priority=r["priority"],
        input=loads(r["input"]),
        created_at=r["created_at"],
        changed_at=r["changed_at"],
        max_attempts=r["max_attempts"],
        key=r["key"],
        state=r["state"],
        version=r["version"],
        after=many(r["needs"]),
        waiting_for=many(r["waiting_for"]),
        due_at=r["due_at"],
        ready_at=r["ready_at"],
        rank=r["rank"],
        edition=edition,
        skills=tuple(skills),
        concurrency_key=r["concurrency_key"],
        attempts=r["attempts"],
        fence=r["fence"],
        lease=held,
        result_key=r["result_key"],
        refused_checksum=r["refused_checksum"],
        feedback=many(r["feedback"]),
        reserved_for=r["reserved_for"],
        error=loads(r["error"]),
    )


def item_columns(item: WorkItem, order_number: int | None = None) -> Columns:
    live = item.lease if item.lease is not None and item.lease.live else None
    return {
        "id": item.id,
        "order_id": item.order_id,
        "order_number": order_number,
        "number": item.number,
        "version": item.version,
        "type": item.type,
        "state": item.state,
        "priority": item.priority,
        "key": item.key,
        "created_at": item.created_at,
        "changed_at": item.changed_at,
        "max_attempts": item.max_attempts,
        "attempts": item.attempts,
        "fence": item.fence,
        "due_at": item.due_at,
        "ready_at": item.ready_at,
        "rank": item.rank,
        "requires": dumps(item.requires),
        "concurrency_key": item.concurrency_key,
        "waiting_for": some(item.waiting_for),
        "needs": some(item.after),
        "reserved_for": item.reserved_for,
        "lease_holder": live.holder.session if live else None,
        "lease_expires_at": live.expires_at if live else None,
        "result_key": item.result_key,
        "refused_checksum": item.refused_checksum,
        "feedback": some(item.feedback),
        "error": some(item.error),
        "input": dumps(item.input) if item.version == 1 else None,
    }


def lease(row: Row) -> Lease:
    r = _named(sql.LEASE, row)
    return Lease(
        item_id=r["item_id"],
        fence=r["fence"],
        token=r["token"],
        holder=_actor(r),
        attempt=r["attempt"],
        leased_at=r["leased_at"],
        expires_at=r["expires_at"],
        heartbeat_at=r["heartbeat_at"],
        progress=r["progress"],
        note=r["note"],
        ended_at=r["ended_at"],
        end=r["ending"],
    )


def lease_columns(lease: Lease) -> Columns:
    return {
        **_actor_columns(lease.holder),
        "session": lease.holder.session,
        "client": lease.holder.client,
        "item_id": lease.item_id,
        "fence": lease.fence,
        "token": lease.token,
        "attempt": lease.attempt,
        "leased_at": lease.leased_at,
        "expires_at": lease.expires_at,
        "heartbeat_at": lease.heartbeat_at,
        "progress": lease.progress,
        "note": lease.note,
        "ended_at": lease.ended_at,
        "ending": lease.end,
    }


def submission(row: Row) -> Submission:
    r = _named(sql.SUBMISSION, row)
    return Submission(
        item_id=r["item_id"],
        fence=r["fence"],
        checksum=r["checksum"],
        kind=r["kind"],
        result=loads(r["result"]),
        actor=_actor(r),
        at=r["at"],
        evidence=loads(r["evidence"]),
        notes=r["notes"],
    )


def submission_columns(submission: Submission) -> Columns:
    return {
        **_actor_columns(submission.actor),
        "item_id": submission.item_id,
        "key": submission.key,
        "fence": submission.fence,
        "kind": submission.kind,
        "checksum": submission.checksum,
        "at": submission.at,
        "evidence": some(submission.evidence),
        "notes": submission.notes,
        "result": dumps(submission.result),
    }


def part(row: Row) -> Part:
    r = _named(sql.PART, row)
    return Part(
        item_id=r["item_id"],
        key=r["key"],
        seq=None if r["seq"] == NO_SEQ else r["seq"],
        status=r["status"],
        payload=loads(r["payload"]),
        checksum=r["checksum"],
        actor=_actor(r),
        fence=r["fence"],
        at=r["at"],
        evidence=loads(r["evidence"]),
        notes=r["notes"],
        findings=tuple(Finding(**finding) for finding in many(r["findings"])),
    )


def part_columns(part: Part) -> Columns:
    return {
        **_actor_columns(part.actor),
        "item_id": part.item_id,
        "key": part.key,
        "seq": NO_SEQ if part.seq is None else part.seq,
        "status": part.status,
        "checksum": part.checksum,
        "fence": part.fence,
        "at": part.at,
        "evidence": some(part.evidence),
        "notes": part.notes,
        "findings": some([finding.as_dict() for finding in part.findings] or None),
        "payload": dumps(part.payload),
    }


def decision(row: Row) -> Decision:
    r = _named(sql.DECISION, row)
    return Decision(
        order_id=r["order_id"],
        number=r["number"],
        verdict=r["verdict"],
        actor=_actor(r),
        at=r["at"],
        digest=r["digest"],
        comment=r["comment"],
        errors=many(r["errors"]),
    )


def decision_columns(decision: Decision) -> Columns:
    return {
        **_actor_columns(decision.actor),
        "order_id": decision.order_id,
        "number": decision.number,
        "verdict": decision.verdict,
        "at": decision.at,
        "digest": decision.digest,
        "comment": decision.comment,
        "errors": some(decision.errors),
    }


def effect(row: Row) -> Effect:
    r = _named(sql.EFFECT, row)
    return Effect(**{**r, "data": loads(r["data"])})


def effect_columns(effect: Effect) -> Columns:
    columns = {column: getattr(effect, column) for column in sql.EFFECT}
    return {**columns, "data": dumps(effect.data)}


def slot(row: Row) -> Slot:
    r = _named(sql.SLOT, row)
    return Slot(**{**r, "outcome": loads(r["outcome"])})


def slot_columns(slot: Slot) -> Columns:
    columns = {column: getattr(slot, column) for column in sql.SLOT}
    return {**columns, "outcome": some(slot.outcome)}


def token(row: Row) -> Token:
    r = _named(sql.TOKEN, row)
    return Token(**{**r, "roles": frozenset(loads(r["roles"]))})


def token_columns(token: Token) -> Columns:
    columns = {column: getattr(token, column) for column in sql.TOKEN}
    return {**columns, "roles": dumps(sorted(token.roles))}


def event(row: Row) -> Event:
    r = _named(sql.EVENT, row)
    return Event(
        event=r["event"],
        at=r["at"],
        actor=_actor(r),
        order_id=r["order_id"],
        item_id=r["item_id"],
        attempt=r["attempt"],
        from_state=r["from_state"],
        to_state=r["to_state"],
        message=r["message"],
        data=loads(r["data"]),
        diff=loads(r["diff"]),
        seq=r["seq"],
        prev_hash=r["prev_hash"],
        hash=r["hash"],
    )


def event_columns(event: Event, seq: int, prev_hash: str, hash: str) -> Columns:
    return {
        **_actor_columns(event.actor),
        "client": event.actor.client,
        "seq": seq,
        "at": event.at,
        "event": event.event,
        "order_id": event.order_id,
        "item_id": event.item_id,
        "attempt": event.attempt,
        "from_state": event.from_state,
        "to_state": event.to_state,
        "message": event.message,
        "data": some(event.data),
        "diff": some(event.diff),
        "prev_hash": prev_hash,
        "hash": hash,
    }


def meta_text(value: Any) -> str:
    """The form in which meta values are compared: text as it is, everything else as JSON."""
    return value if isinstance(value, str) else dumps(value)
