"""The reviewer's side: what is to be decided on, and the decision."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from workdocket.domain import decide
from workdocket.domain.diff import Diff
from workdocket.domain.digest import digest_of, moved
from workdocket.domain.errors import Finding, WorkError
from workdocket.domain.gate import Gate, kept_out, votes_of
from workdocket.domain.machine import LEFT_OUT, ORDER, step
from workdocket.domain.model import Actor, Change, Decision, WorkItem, WorkOrder
from workdocket.ports import OrderQuery, ReadTx, WriteTx
from workdocket.registry import TypeEntry
from workdocket.service import hooks, view
from workdocket.service.desk import Answer, Call, Desk, must_find_item, must_find_order, written

APPLY_WAIT_SECONDS = 45.0
MOST_ITEMS = 20


@dataclass(frozen=True, slots=True)
class Packet:
    """All that a decision is about, as it was at one moment."""

    order: WorkOrder
    involved: frozenset[str]
    decisions: Sequence[Decision]
    findings: Sequence[Finding]
    preview: Mapping[str, Any] | None
    gate: Gate
    digest: str


async def packet_of(desk: Desk, order_id: str) -> Packet:
    """The order read, checked as a whole, and previewed. Runs the type's code, so never inside a transaction."""

    def body(tx: ReadTx) -> tuple[WorkOrder, Sequence[Decision], frozenset[str]]:
        order = must_find_order(tx, order_id, results=True)
        return order, tx.decisions(order_id), tx.involved(order_id)

    order, decisions, involved = await desk.store.read(body)
    entry = desk.registry.find(order)
    if entry is None:
        gone = Finding("unknown_type", "", desk.registry.gone(order))
        digest = digest_of(replace(order, type_version=0), None, Gate())
        return Packet(order, involved, decisions, [gone], None, Gate(), digest)
    findings = await _whole_order(desk, entry, order)
    if order.reverts is None:
        preview, refused = await hooks.preview(entry, await _fresh(desk, order_id), within=desk.hook_seconds)
        gate = desk.gates.of(entry, order, preview)
    else:
        original = await original_of(desk, order)
        preview, refused = await hooks.preview_revert(entry, original, within=desk.hook_seconds)
        gate = desk.gates.of(entry, replace(order, items=original.items), preview)
    return Packet(order, involved, decisions, [*findings, *refused], preview, gate, digest_of(order, preview, gate))


async def original_of(desk: Desk, order: WorkOrder) -> WorkOrder:
    """The order that another one takes back, with its results and what it changed."""

    def body(tx: ReadTx) -> WorkOrder:
        original = must_find_order(tx, order.reverts or "", results=True).without_left_out()
        return replace(original, diff=Diff.from_dict(tx.diff(original.id) or {}))

    return await desk.store.read(body)


async def _whole_order(desk: Desk, entry: TypeEntry, order: WorkOrder) -> list[Finding]:
    if not entry.has("check_order") or order.reverts is not None:
        return []
    return await hooks.check_order(entry, await _fresh(desk, order.id), within=desk.hook_seconds)


async def _fresh(desk: Desk, order_id: str) -> WorkOrder:
    """A copy of the order for a hook to do with as it likes, without the items that it goes on without."""
    order = await desk.store.read(lambda tx: must_find_order(tx, order_id, results=True))
    return order.without_left_out()


class Reviews:
    """What a reviewer calls."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def review(self, actor: Actor, order_id: str | None, *, room: int = view.LONG) -> Answer:
        """What awaits a decision, or all that one is about. ``room`` is for the diff, in characters."""
        if order_id is None:
            query = OrderQuery(state="submitted", limit=100)
            page = await self._desk.store.read(lambda tx: tx.orders(query))
            rows = [view.order_row(order, page.counts[order.id]) for order in page.orders]
            return {"orders": rows, "total": page.total, "next": "review(order_id) shows one of them"}
        packet = await packet_of(self._desk, order_id)
        return await self._desk.store.read(lambda tx: self._packet_view(tx, packet, room))

    def _packet_view(self, tx: ReadTx, packet: Packet, room: int) -> Answer:
        order, now = packet.order, self._desk.clock.now()
        shown = order.counting[:MOST_ITEMS]
        gone = [view.item_row(item, now) for item in order.items if item.state in LEFT_OUT]
        return {
            "order": view.order_full(order, tx.counts([order.id])[order.id], tx.undo_of(order.id)),
            "items": [self._item_view(tx, item, now, view.share(3 * len(shown))) for item in shown],
            "items_left_out": len(order.counting) - len(shown),
            **view.present(goes_on_without=gone[:MOST_ITEMS] or None),
            "findings": [finding.as_dict() for finding in packet.findings],
            **view.present(preview=view.diff(packet.preview, room)),
            "digest": packet.digest,
            "gate": self._gate_view(packet),
            "decisions": [view.decision(one) for one in packet.decisions],
            "next": f"approve({order.id!r}, digest={packet.digest!r}), or reject({order.id!r}, errors, rework=true)",
        }

    def _item_view(self, tx: ReadTx, item: WorkItem, now: int, room: int) -> Answer:
        handed = tx.submission(item.id, item.result_key) if item.result_key else None
        late = tx.submissions(item.id, kind="late")
        return view.present(
            **view.item_short(item, now, room),
            result=view.some(handed.result if handed else None, room),
            evidence=view.some(handed.evidence if handed else None, room),
            notes=view.some(handed.notes if handed else None, room),
            made_by=[view.attempt(lease) for lease in tx.leases(item.id)[-3:]],
            late_results=[view.submission(one, room) for one in late[-3:]] or None,
        )

    def _gate_view(self, packet: Packet) -> Answer:
        gate, excluded = packet.gate, kept_out(packet.gate, packet.order, packet.involved)
        votes = votes_of([one for one in packet.decisions if one.digest in (None, packet.digest)], excluded)
        return {
            "approval": gate.approval,
            "rule": gate.rule,
            "quorum": gate.quorum,
            "approved_by": sorted(votes),
            "still_needed": max(gate.quorum - len(votes), 0),
            "excluded": sorted(excluded),
            "who": who(gate),
        }

    async def approve(self, call: Call, order_id: str, digest: str | None, comment: str | None) -> Answer:
        answer = await self._desk.once(call, lambda: self._approve(call, order_id, digest, comment))
        if answer["order"]["state"] == "approved":
            await self._outcome(order_id)
            return {**answer, **await self._desk.store.read(lambda tx: self._applied_view(tx, order_id))}
        return answer

    async def _approve(self, call: Call, order_id: str, digest: str | None, comment: str | None) -> Answer:
        packet = await self._ready(order_id, digest)
        return await self._desk.write(call, lambda tx: self._decide(tx, call.actor, packet, comment))

    async def approve_by_rule(self, order_id: str, actor: Actor) -> Sequence[Finding]:
        """Approve if the gate lets it pass by itself and nothing is found against it; what was found."""
        packet = await packet_of(self._desk, order_id)
        if packet.gate.approval != "auto":
            rule = f", as the rule {packet.gate.rule} has it" if packet.gate.rule else ""
            return [*packet.findings, Finding("gate", "", f"the gate is {packet.gate.approval}{rule}")]
        if packet.findings:
            return packet.findings
        await self._desk.change(lambda tx: self._decide(tx, actor, packet, None))
        return []

    async def _ready(self, order_id: str, digest: str | None) -> Packet:
        order = await self._desk.store.read(lambda tx: must_find_order(tx, order_id))
        step(ORDER, order.id, order.state, "approve")
        packet = await packet_of(self._desk, order_id)
        if digest is not None and digest != packet.digest:
            changed = moved(digest, packet.digest)
            raise WorkError(
                "stale",
                f"{order_id} is no longer what was shown: {', '.join(changed)} moved",
                moved=changed,
                shown=digest,
                now=packet.digest,
            )
        return packet

    def _decide(self, tx: WriteTx, actor: Actor, packet: Packet, comment: str | None) -> Answer:
        order = must_find_order(tx, packet.order.id, items=True)
        became_late = order.deadline_missed_at != packet.order.deadline_missed_at  # which nobody decides on
        if order.version != packet.order.version + became_late:
            step(ORDER, order.id, order.state, "approve")
            raise WorkError("stale", f"{order.id} changed while it was checked", retry_after_seconds=0)
        change = decide.approve(
            order,
            actor,
            self._desk.clock.now(),
            gate=packet.gate,
            digest=packet.digest,
            findings=packet.findings,
            involved=tx.involved(order.id),
            earlier=tx.decisions(order.id),
            comment=comment,
        )
        written(tx, change)
        decided = must_find_order(tx, order.id)
        waiting = "it is being applied" if decided.state == "approved" else "another reviewer has to approve too"
        return {"order": view.state_of(decided), "applied": False, "next": waiting}

    async def _outcome(self, order_id: str) -> None:
        """Wait until the apply has an outcome, here or in another process, but not longer than a client would."""

        def undecided(tx: ReadTx) -> bool:
            order = must_find_order(tx, order_id)
            due = [effect for effect in tx.effects(order_id) if effect.kind == "apply" and effect.state == "pending"]
            return order.state == "approved" and not any(effect.error for effect in due)

        deadline = time.monotonic() + APPLY_WAIT_SECONDS
        while True:
            tick = self._desk.store.tick
            left = self._desk.left(deadline)
            if left <= 0 or not await self._desk.store.read(undecided):
                return
            await self._desk.store.wait(tick, left)

    def _applied_view(self, tx: ReadTx, order_id: str) -> Answer:
        order = must_find_order(tx, order_id)
        failed = (order.error or {}).get("code")
        if failed in ("apply_failed", "stale") and order.state != "completed":
            again = (order.error or {}).get("retry_at")
            raise WorkError(
                failed,
                f"{order_id}: {(order.error or {})['message']}",
                hint=f"It is tried again at {again}; get_order with wait_seconds shows the outcome." if again else None,
                details=_without_code(order.error),
            )
        answer: Answer = {"order": view.state_of(order), "applied": order.applied_at is not None}
        diff = view.diff(tx.diff(order_id))
        if diff is None:
            return {**answer, "next": f"get_order({order_id!r}, wait_seconds=45) waits for the diff"}
        return {**answer, "diff": diff, "next": "nothing; the change is made"}

    async def reject(
        self,
        call: Call,
        order_id: str,
        errors: Sequence[dict[str, Any]],
        *,
        rework: bool,
        only_items: bool,
        comment: str | None,
    ) -> Answer:
        if rework and only_items:
            found = Finding("exclusive", "/only_items", "rework sends the named items back; only_items refuses them")
            raise WorkError("invalid_request", found.message, findings=[found])

        def body(tx: WriteTx) -> Answer | WorkError:
            order, earlier = must_find_order(tx, order_id, items=True), tx.decisions(order_id)
            asked: dict[str, Any] = {
                "policy": self._desk.gate(order), "errors": errors, "earlier": earlier, "comment": comment,
            }  # fmt: skip
            if only_items:
                change = decide.reject_items(order, call.actor, self._desk.clock.now(), **asked)
            else:
                refused = dict(tx.result_checksums(order_id))
                change = decide.reject(
                    order, call.actor, self._desk.clock.now(), rework=rework, refused=refused, **asked
                )
            refusal = written(tx, change)
            return refusal or self._rejected_view(tx, order_id, change)

        return await self._desk.write(call, body)

    async def waive(self, call: Call, item_id: str, reason: str) -> Answer:
        """A failed item left out, so that its order can go on."""

        def body(tx: WriteTx) -> Answer | WorkError:
            order = must_find_order(tx, must_find_item(tx, item_id).order_id, items=True)
            [item] = [one for one in order.items if one.id == item_id]
            now, policy = self._desk.clock.now(), self._desk.gate(order)
            written(tx, decide.waive(order, item, call.actor, now, policy=policy, reason=reason))
            left = must_find_order(tx, order.id)
            return {
                "item": view.item_row(must_find_item(tx, item_id), now),
                "order": view.order_row(left, tx.counts([order.id])[order.id]),
            }

        return await self._desk.write(call, body)

    def _rejected_view(self, tx: ReadTx, order_id: str, change: Change) -> Answer:
        """The order, and the items that did not go back since the same reasons came again."""
        order, now = must_find_order(tx, order_id), self._desk.clock.now()
        stopped = [view.item_row(item, now) for item in change.items if item.state == "failed"]
        return view.present(
            order=view.order_row(order, tx.counts([order_id])[order_id]), stopped=stopped[:MOST_ITEMS] or None
        )


GATES = {
    "manual": "anybody with the reviewer role",
    "auto": "the system when nothing is found against it, else anybody with the reviewer role",
    "four_eyes": "anybody with the reviewer role who neither proposed nor worked on it",
    "human": "a person with the reviewer role, at the command line or in the host's own dialog",
}


def who(gate: Gate) -> str:
    """Who may approve, in words."""
    apart = gate.apart and gate.approval != "four_eyes"
    return f"{GATES[gate.approval]}, who neither proposed nor worked on it" if apart else GATES[gate.approval]


def _without_code(error: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (error or {}).items() if name != "code"}
