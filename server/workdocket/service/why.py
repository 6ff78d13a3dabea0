"""Why something is not further along: every reason, what by whom would change it, and the earliest time."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from workdocket.domain.model import Effect, WorkItem, WorkOrder, iso
from workdocket.ports import OrderQuery, ReadTx
from workdocket.service.claim import Nothing, Wanted, why_nothing
from workdocket.service.desk import Answer, Desk, must_find_item, must_find_order
from workdocket.service.review import packet_of

Reason = dict[str, Any]
MOST_ITEMS = 20


def reason(code: str, message: str, action: str, by: str, at: int | None = None) -> Reason:
    row = {"code": code, "message": message, "action": action, "by": by}
    return row if at is None else {**row, "earliest_at": iso(at)}


class Why:
    """Answers ``explain``."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def explain(self, order_id: str | None, item_id: str | None) -> Answer:
        if item_id is not None:
            return await self._desk.store.read(lambda tx: self._item(tx, item_id))
        if order_id is not None:
            return await self._order(order_id)
        return await self._desk.store.read(self._queue)

    def _item(self, tx: ReadTx, item_id: str) -> Answer:
        item = must_find_item(tx, item_id)
        order = must_find_order(tx, item.order_id)
        return {"item_id": item.id, "state": item.state, "reasons": self._item_reasons(tx, order, item)}

    async def _order(self, order_id: str) -> Answer:
        answer = await self._desk.store.read(lambda tx: self._order_view(tx, order_id))
        if answer["state"] != "submitted":
            return answer
        packet = await packet_of(self._desk, order_id)
        findings = [
            reason(
                "not_ready",
                finding.message or finding.code,
                "mend it: reject with rework, or fix the cause",
                "reviewer",
            )
            for finding in packet.findings
        ]
        return {**answer, "reasons": [*findings, *answer["reasons"]]}

    def _order_view(self, tx: ReadTx, order_id: str) -> Answer:
        order = must_find_order(tx, order_id)
        reasons = list(self._order_reasons(tx, order))
        items = [item for item in tx.items(order_id) if item.state in ("queued", "leased", "in_progress", "failed")]
        answer: Answer = {"order_id": order.id, "state": order.state, "reasons": reasons}
        if items:
            answer["items"] = [
                {"item_id": item.id, "state": item.state, "reasons": self._item_reasons(tx, order, item)}
                for item in items[:MOST_ITEMS]
            ]
        left_out = len(items) - MOST_ITEMS
        return {**answer, "items_left_out": left_out} if left_out > 0 else answer

    def _order_reasons(self, tx: ReadTx, order: WorkOrder) -> Iterable[Reason]:
        if order.state == "submitted":
            policy = self._desk.policy(order.type)
            yield reason(
                "awaiting_review",
                f"every item is submitted; the gate is {policy.approval}, quorum {policy.quorum}",
                f"review({order.id!r}), then approve or reject",
                "reviewer",
            )
        elif order.state == "approved":
            yield from (_effect_reason(order, one) for one in tx.effects(order.id) if one.state == "pending")
        elif order.state == "failed":
            message = (order.error or {}).get("message", "items failed and none is left open")
            yield reason("failed", message, f"retry({order.id!r}) or cancel({order.id!r})", "reviewer")
        elif order.state == "rejected":
            yield reason("rejected", "a reviewer refused it for good", f"workdocket orders requeue {order.id}", "admin")
        elif order.state in ("completed", "cancelled", "dead_lettered"):
            yield reason("final", f"the order is {order.state}", "nothing", "nobody")

    def _item_reasons(self, tx: ReadTx, order: WorkOrder, item: WorkItem) -> list[Reason]:
        if item.state == "queued":
            return list(self._queued(tx, item)) or [
                reason("available", "it is ready", f"checkout(item_id={item.id!r})", "worker")
            ]
        return [self._elsewhere(order, item)]

    def _queued(self, tx: ReadTx, item: WorkItem) -> Iterable[Reason]:
        now = self._desk.clock.now()
        if item.type not in self._desk.registry.names():
            yield reason("unknown_type", f"{item.type} is not registered here", "install or configure it", "admin")
        for needed in item.waiting_for:
            yield self._needed(tx, needed)
        if item.due_at is not None and item.due_at > now:
            held = f" and is kept for {item.reserved_for}" if item.reserved_for else ""
            yield reason("not_yet", f"its time has not come{held}", "wait", "nobody", item.due_at)
        limit = self._desk.policy(item.type).max_leases
        if limit is not None and tx.live_leases(now=now, type=item.type) >= limit:
            yield reason("type_limit", f"{limit} items of {item.type} are leased already", "finish one", "worker")

    def _needed(self, tx: ReadTx, needed: str) -> Reason:
        thing = tx.item(needed) or tx.order(needed)
        state = thing.state if thing else "gone"
        dead = state in ("cancelled", "dead_lettered", "rejected", "failed", "gone")
        action = f"cancel this order, or bring {needed} back" if dead else f"finish {needed}"
        return reason("blocked", f"it waits for {needed}, which is {state}", action, "reviewer" if dead else "worker")

    def _elsewhere(self, order: WorkOrder, item: WorkItem) -> Reason:
        lease = item.lease
        if item.state in ("leased", "in_progress") and lease is not None:
            holder = lease.holder.agent or lease.holder.session
            return reason(
                "leased", f"{holder} works on it", "its submission, or the lease's end", holder, lease.expires_at
            )
        if item.state == "failed":
            error = item.error or {}
            action = error.get("hint", f"retry(item_id={item.id!r})")
            return reason("failed", error.get("message", "no attempt is left"), action, "reviewer")
        if item.state == "submitted" and order.state != "submitted":
            return reason("others_open", "other items of the order are not submitted yet", "finish them", "worker")
        return reason(item.state, f"the item is {item.state} and the order {order.state}", "see the order", "reviewer")

    def _queue(self, tx: ReadTx) -> Answer:
        now = self._desk.clock.now()
        names = self._desk.registry.names()
        waiting = [tx.orders(OrderQuery(state=state, limit=5)) for state in ("submitted", "failed")]
        ready = [item.id for name in names for item in tx.ready(name, Wanted().filter, 3)][:5]
        answer: Answer = {
            "reasons": [reason("available", "items are ready", "checkout()", "worker")]
            if ready
            else [_nothing(why_nothing(self._desk, tx, Wanted(), names, now), now)],
            "ready": ready,
        }
        for name, page in zip(("awaiting_review", "failed"), waiting, strict=True):
            answer[name] = {"total": page.total, "orders": [order.id for order in page.orders]}
        return answer


def _nothing(nothing: Nothing, now: int) -> Reason:
    return reason(nothing.reason, nothing.message, "wait, or propose new work", "requester", now + nothing.retry_after)


def _effect_reason(order: WorkOrder, effect: Effect) -> Reason:
    if effect.claim is not None:
        return reason("applying", f"attempt {effect.attempts} of {effect.kind} is under way", "wait", "nobody")
    message = f"{effect.kind} is due" if effect.error is None else f"{effect.kind} failed: {effect.error}"
    return reason(
        "apply_due", message, f"a running server does it; get_order({order.id!r}) shows when", "system", effect.next_at
    )
