"""Filing orders, finding them again, and stopping or restarting them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

from workdocket.domain import decide
from workdocket.domain.decide import Work
from workdocket.domain.errors import Finding, WorkError
from workdocket.domain.machine import TERMINAL
from workdocket.domain.model import SYSTEM, Actor, ItemSpec, WorkOrder, canonical, checksum, millis
from workdocket.generator import Proposal
from workdocket.ports import EventQuery, OrderQuery, ReadTx, WriteTx
from workdocket.registry import TypeEntry
from workdocket.service import hooks, memory, view
from workdocket.service.desk import Answer, Call, Desk, must_find_item, must_find_order, written

RECENT = 10
MOST_ITEMS_SHOWN = 25

Source = Mapping[str, Any]


class Orders:
    """The requester's side, and what everybody may read."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def order_types(self, name: str | None) -> Answer:
        if name is None:
            return {"types": [type_row(entry) for entry in self._desk.registry]}
        entry = self._desk.registry.get(name)
        return {"types": [type_full(entry, self._desk)]}

    async def propose(
        self, call: Call, wanted: Proposal, *, validate_only: bool = False, source: Source = MappingProxyType({})
    ) -> Answer:
        """``source`` is what the log is to say about where the proposal came from."""
        entry = self._desk.registry.get(wanted.type)
        earlier = await self._desk.replay(call)
        if earlier is not None:
            return earlier
        now = self._desk.clock.now()
        self._check_payload(entry, wanted)
        not_before, deadline = _ms(wanted.not_before), _ms(wanted.deadline)
        self._check_deadline(deadline, not_before, now)
        draft = WorkOrder(
            id=f"{self._desk.settings.project_key}-0",
            number=0,
            uid=self._desk.ids.token(),
            type=entry.name,
            type_version=entry.version,
            edition=entry.edition,
            payload=wanted.payload,
            priority=wanted.priority,
            requested_by=call.actor,
            created_at=now,
            changed_at=now,
            meta=dict(wanted.meta or {}),
            not_before=not_before if not_before and not_before > now else None,
            deadline=deadline,
            depends_on=tuple(wanted.depends_on),
            dedupe_key=wanted.dedupe_key,
        )
        plan = await self._plan(entry, draft)
        if validate_only:
            return await self._desk.store.read(lambda tx: self._plan_view(tx, draft, plan))
        return await self._desk.write(call, lambda tx: self._file(tx, call.actor, draft, plan, source))

    def _check_payload(self, entry: TypeEntry, wanted: Proposal) -> None:
        self._desk.measure(wanted.payload, "payload")
        self._desk.measure(wanted.meta, "meta")
        findings = entry.payload.findings(wanted.payload)
        if findings:
            raise WorkError(
                "invalid_payload", f"{entry.name} refuses the payload: {_first(findings)}", findings=findings
            )

    def _check_deadline(self, deadline: int | None, not_before: int | None, now: int) -> None:
        if deadline is None:
            return
        findings = decide.deadline_findings(deadline, not_before, now)
        if findings:
            raise WorkError("invalid_request", _first(findings), findings=findings)

    async def _plan(self, entry: TypeEntry, draft: WorkOrder) -> list[ItemSpec]:
        copy = replace(draft, payload=json.loads(canonical(draft.payload)))
        plan = await hooks.plan(entry, copy, within=self._desk.hook_seconds)
        findings = decide.plan_findings(plan)
        if findings:
            raise WorkError("invalid_plan", f"the plan of {entry.name}: {_first(findings)}", findings=findings)
        return plan

    def _file(self, tx: WriteTx, actor: Actor, draft: WorkOrder, plan: Sequence[ItemSpec], source: Source) -> Answer:
        if draft.dedupe_key is not None:
            same = tx.order_by_dedupe_key(draft.type, draft.dedupe_key)
            if same is not None:
                tx.apply(decide.proposed_again(same, actor, self._desk.clock.now(), tx.involved(same.id)))
                return {**self._filed_view(tx, same.id), "deduplicated": True}
        needed = [must_find_order(tx, order_id) for order_id in dict.fromkeys(draft.depends_on)]
        number = tx.next_number()
        order = replace(draft, number=number, id=f"{self._desk.settings.project_key}-{number}")
        tx.apply(decide.propose(order, plan, needed, self._desk.policy(order.type), actor, source))
        return self._filed_view(tx, order.id)

    def _filed_view(self, tx: ReadTx, order_id: str) -> Answer:
        order = must_find_order(tx, order_id)
        items = tx.items(order_id, limit=MOST_ITEMS_SHOWN)
        now = self._desk.clock.now()
        return {
            "order": view.order_full(order, tx.counts([order_id])[order_id]),
            "items": [view.item_short(item, now, view.share(len(items))) for item in items],
            "next": f"checkout(order_id={order_id!r}) hands its items out; get_order({order_id!r}) shows where it is",
        }

    def _plan_view(self, tx: ReadTx, draft: WorkOrder, plan: Sequence[ItemSpec]) -> Answer:
        needed = [must_find_order(tx, order_id) for order_id in draft.depends_on]
        decide.propose(draft, plan, needed, self._desk.policy(draft.type), draft.requested_by)
        shown = view.order_full(draft, {"queued": len(plan)})
        room = view.share(min(len(plan), MOST_ITEMS_SHOWN))
        rows = [
            view.present(
                key=spec.key,
                after=list(spec.after) or None,
                max_attempts=spec.max_attempts,
                skills=list(spec.skills or ()) or None,
                concurrency_key=spec.concurrency_key,
                input=view.cut(spec.input, room),
            )
            for spec in plan[:MOST_ITEMS_SHOWN]
        ]
        return {
            "order": {name: value for name, value in shown.items() if name != "id"},
            "items": rows,
            "validated": True,
            "next": "nothing was stored; call propose without validate_only to file it",
        }

    async def list_orders(self, query: OrderQuery) -> Answer:
        page = await self._desk.store.read(lambda tx: tx.orders(replace(query, now=self._desk.clock.now())))
        answer: Answer = {
            "orders": [view.order_row(order, page.counts[order.id]) for order in page.orders],
            "total": page.total,
        }
        return answer if page.next_cursor is None else {**answer, "next_cursor": page.next_cursor}

    async def get_order(self, order_id: str, wait_seconds: float, since_version: int | None) -> Answer:
        """As it is, or once it is past ``since_version``; a wait without one ends at the next change."""
        deadline = time.monotonic() + wait_seconds
        store, tick = self._desk.store, self._desk.store.tick
        answer = await store.read(lambda tx: self._order_view(tx, order_id))
        version = seen = answer["version"]
        since = seen if since_version is None else since_version
        if answer["order"]["state"] in TERMINAL:
            return answer
        while version <= since and (left := self._desk.left(deadline)) > 0:
            tick = await store.wait(tick, left)
            version = await store.read(lambda tx: tx.last_event(order_id))
        return answer if version == seen else await store.read(lambda tx: self._order_view(tx, order_id))

    def _order_view(self, tx: ReadTx, order_id: str) -> Answer:
        order = must_find_order(tx, order_id)
        now = self._desk.clock.now()
        counts = tx.counts([order_id])[order_id]
        shown = tx.items(order_id, limit=MOST_ITEMS_SHOWN)
        decisions = tx.decisions(order_id)
        answer: Answer = {
            "order": view.order_full(order, counts, tx.undo_of(order_id)),
            "items": [view.item_row(item, now) for item in shown],
            "findings": (order.error or {}).get("errors", []),
            "recent_events": [view.event_row(event) for event in tx.recent_events(order_id, RECENT)],
            "version": tx.last_event(order_id),
            "next": next_step(order),
        }
        left_out = sum(counts.values()) - len(shown)
        if left_out:
            answer["items_left_out"] = left_out
        if decisions:
            answer["decision"] = view.decision(decisions[-1])
        diff = view.diff(tx.diff(order_id))
        return answer if diff is None else {**answer, "diff": diff}

    async def item_ids(self, prefix: str, limit: int) -> tuple[tuple[str, ...], int]:
        """The ids of items that begin so, those of the newest orders first, and how many there are in all."""
        return await self._desk.store.read(lambda tx: tx.item_ids(prefix, limit))

    async def get_item(self, item_id: str, *, full: bool = False) -> Answer:
        """With ``full``, nothing is cut, however long the answer gets."""
        return await self._desk.store.read(lambda tx: self._item_view(tx, item_id, full=full))

    def _item_view(self, tx: ReadTx, item_id: str, *, full: bool) -> Answer:
        item = must_find_item(tx, item_id)
        handed = tx.submission(item_id, item.result_key) if item.result_key else None
        parts, late = tx.parts(item_id), tx.submissions(item_id, kind="late")
        long, short, leases = (view.UNCUT,) * 3 if full else (view.LONG, view.SHORT, MOST_ITEMS_SHOWN)
        shown = view.present(
            **view.item_short(item, self._desk.clock.now(), long),
            result=view.some(handed.result if handed else None, long),
            evidence=view.some(handed.evidence if handed else None, short),
            notes=view.some(handed.notes if handed else None, short),
        )
        return {
            "item": {
                **shown,
                "parts": [view.part_full(part, view.share(len(parts), long)) for part in parts],
                "attempts_made": item.attempts,
                "attempts": [view.attempt(lease) for lease in tx.leases(item_id)[-leases:]],
                "late_results": [view.submission(one, view.share(len(late), long)) for one in late],
                **memory.reasons(item, long),
            }
        }

    async def events(self, query: EventQuery) -> Answer:
        def body(tx: ReadTx) -> Answer:
            if query.order_id is not None:
                must_find_order(tx, query.order_id)
            if query.item_id is not None:
                must_find_item(tx, query.item_id)
            rows = tx.events(replace(query, limit=query.limit + 1))
            shown = [view.event(event) for event in rows[: query.limit]]
            answer: Answer = {"events": shown}
            return {**answer, "next_cursor": str(shown[-1]["seq"])} if len(rows) > query.limit else answer

        return await self._desk.store.read(body)

    async def cancel(self, call: Call, order_id: str, reason: str | None, *, own_only: bool) -> Answer:
        def body(tx: WriteTx) -> Answer | WorkError:
            order = must_find_order(tx, order_id, items=True)
            if own_only and order.requested_by.id != call.actor.id:
                raise WorkError(
                    "forbidden",
                    f"{order_id} was filed by {order.requested_by.id}; a requester cancels own orders only",
                    rule="own_orders",
                )
            return written(tx, decide.cancel(order, call.actor, self._desk.clock.now(), reason)) or self._state(
                tx, order_id
            )

        return await self._desk.write(call, body)

    async def retry(self, call: Call, order_id: str | None, item_id: str | None) -> Answer:
        """A failed order's items or its apply, or the one failed item, once more."""

        def body(tx: WriteTx) -> Answer | WorkError:
            item = must_find_item(tx, item_id) if item_id else None
            order = must_find_order(tx, item.order_id if item else order_id or "", items=True)
            change = decide.retry(order, call.actor, self._desk.clock.now(), item)
            return written(tx, change) or self._state(tx, order.id)

        return await self._desk.write(call, body)

    async def undo(self, call: Call, order_id: str, reason: str | None) -> Answer:
        """An order filed that takes a completed one back. Its one item is handed in at once: there is no work in it."""

        def body(tx: WriteTx) -> Answer | WorkError:
            original, now = must_find_order(tx, order_id), self._desk.clock.now()
            entry, live = self._desk.registry.of(original), tx.undo_of(order_id)
            uid = self._desk.ids.token()
            draft = decide.undo(original, call.actor, now, uid=uid, live=live, possible=entry.has("revert"))
            told = view.present(reverts=order_id, reason=reason)
            filed = self._file(tx, call.actor, draft, [ItemSpec(told)], told)["order"]["id"]
            self._hand_in(tx, f"{filed}.1", told)
            return {**self._state(tx, filed), "next": f"review({filed!r}) shows what it would take back, then approve"}

        return await self._desk.write(call, body)

    def _hand_in(self, tx: WriteTx, item_id: str, result: dict[str, Any]) -> None:
        """What the system does of an item's work, in the moves that anybody makes."""
        token = self._desk.ids.token()
        tx.apply(decide.checkout(self._desk.facts(tx, item_id, "", SYSTEM), token))
        work = Work(result, checksum(result), notes=result.get("reason"))
        tx.apply(decide.submit(self._desk.facts(tx, item_id, token, SYSTEM), token, work, []))

    async def requeue(self, call: Call, order_id: str) -> Answer:
        """A rejected order back to work."""

        def body(tx: WriteTx) -> Answer | WorkError:
            order = must_find_order(tx, order_id, items=True)
            _alone(tx, order)
            return written(tx, decide.requeue(order, call.actor, self._desk.clock.now())) or self._state(tx, order_id)

        return await self._desk.write(call, body)

    async def dead_letter(self, call: Call, order_id: str, reason: str | None) -> Answer:
        """A failed or rejected order put aside for good."""

        def body(tx: WriteTx) -> Answer | WorkError:
            order = must_find_order(tx, order_id, items=True)
            change = decide.dead_letter(order, call.actor, self._desk.clock.now(), reason)
            return written(tx, change) or self._state(tx, order_id)

        return await self._desk.write(call, body)

    def _state(self, tx: ReadTx, order_id: str) -> Answer:
        order = must_find_order(tx, order_id)
        return {"order": view.order_row(order, tx.counts([order_id])[order_id])}


def _alone(tx: ReadTx, order: WorkOrder) -> None:
    """Refuse to bring back an order whose dedupe key another one has taken up since."""
    same = tx.order_by_dedupe_key(order.type, order.dedupe_key) if order.dedupe_key is not None else None
    if same is not None and same.id != order.id:
        raise WorkError(
            "illegal_transition",
            f"{same.id} was filed under the same dedupe_key and is {same.state}; {order.id} stays {order.state}",
            hint=f"explain({order.id!r}) says what can be done.",
            details={"from": order.state, "command": "requeue", "allowed": ["cancel", "dead_letter"]},
        )


def type_row(entry: TypeEntry) -> view.View:
    kind = entry.type
    return {
        "name": entry.name,
        "version": entry.version,
        "title": kind.title or entry.name,
        "description": kind.description,
    }


def type_full(entry: TypeEntry, desk: Desk) -> view.View:
    kind, policy = entry.type, desk.policy(entry.name)
    parts = {
        key: view.present(
            required=spec.required,
            mode=spec.mode,
            schema=checked.json_schema if (checked := entry.parts[key]) else None,
        )
        for key, spec in kind.parts.items()
    }
    return {
        **type_row(entry),
        "instructions": kind.instructions,
        "payload_schema": entry.payload.json_schema,
        "result_schema": entry.result.json_schema,
        "parts": parts,
        "approval": policy.approval,
        "quorum": policy.quorum,
        "can_undo": entry.has("revert"),
        **view.present(gates=desk.gates.rows(entry) or None),
        "limits": {
            "lease_ttl_seconds": policy.lease_ttl / 1000,
            "heartbeat_every_seconds": policy.heartbeat_every / 1000,
            "max_attempts": policy.max_attempts,
            "max_leases": policy.max_leases,
            "max_leases_per_key": policy.max_leases_per_key,
            "max_parts": policy.max_parts,
            "max_payload_bytes": desk.settings.max_payload_bytes,
            "apply_attempts": policy.apply_attempts,
        },
    }


NEXT = {
    "queued": "checkout(order_id={id!r}) hands an item out",
    "checked_out": "an agent holds it; get_order({id!r}, wait_seconds=45) waits for news",
    "in_progress": "work is under way; get_order({id!r}, wait_seconds=45) waits for news",
    "submitted": "review({id!r}) shows what to decide on, then approve or reject",
    "approved": "it is being applied; get_order({id!r}, wait_seconds=45) waits for the outcome",
    "applied": "it is being completed",
    "failed": "read the error, then retry({id!r}), or reject with rework after a failed apply, or cancel",
    "rejected": "it was refused; propose a better one",
    "completed": "nothing; the diff says what changed",
    "dead_lettered": "nothing; it was put aside",
    "cancelled": "nothing; it was cancelled",
}


def next_step(order: WorkOrder) -> str:
    return NEXT[order.state].format(id=order.id)


def _ms(time: datetime | None) -> int | None:
    return None if time is None else millis(time)


def _first(findings: Sequence[Finding]) -> str:
    head = findings[0]
    rest = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return f"{head.message or head.code}{f' at {head.path}' if head.path else ''}{rest}"
