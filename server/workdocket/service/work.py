"""The worker's side: taking items, keeping them, and handing work in."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from workdocket.domain import decide
from workdocket.domain.decide import Work
from workdocket.domain.decide.assembly import Rollup, chosen, rollup
from workdocket.domain.decide.hold import holds, lost
from workdocket.domain.errors import Finding, WorkError
from workdocket.domain.model import Actor, Change, Part, WorkItem, canonical, checksum
from workdocket.ports import ReadTx, WriteTx
from workdocket.registry import TypeEntry
from workdocket.service import hooks, memory, view
from workdocket.service.claim import Nothing, Wanted, hand_out, until_next
from workdocket.service.desk import Answer, Call, Desk, must_find_item, must_find_order, written

STOPPED = ("cancelled", "rejected", "dead_lettered")
OTHER_PAYLOAD = 4_000


@dataclass(frozen=True, slots=True)
class HandIn:
    """What a worker sends: to which item, under which lease, and how it was come by."""

    item_id: str
    token: str
    value: Any
    evidence: Any = None
    notes: str | None = None

    @property
    def work(self) -> Work:
        return Work(self.value, checksum(self.value), self.evidence, self.notes)


MOST_SHOWN = 40
"""Items that my_work shows of each kind."""


class Worker:
    """What an agent calls while it works."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    # taking

    async def checkout(self, call: Call, wanted: Wanted, wait_seconds: float) -> Answer:
        deadline = time.monotonic() + wait_seconds
        while True:
            tick = self._desk.store.tick
            answer = await self._desk.write(call, lambda tx: self._checkout(tx, call.actor, wanted))
            if answer["items"] or not await self._news(tick, call.actor, wanted, deadline):
                return answer

    async def _news(self, tick: int, actor: Actor, wanted: Wanted, deadline: float) -> bool:
        """Whether, before the time is over, there may be something to hand out; those who wait only read meanwhile."""
        while (left := self._desk.left(deadline)) > 0:
            pause = await self._desk.store.read(lambda tx: until_next(self._desk, tx, actor, wanted))
            if pause == 0:
                return True
            tick = await self._desk.store.wait(tick, min(left, pause / 1000))
        return False

    def _checkout(self, tx: WriteTx, actor: Actor, wanted: Wanted) -> Answer:
        if wanted.type is not None:
            self._desk.registry.get(wanted.type)
        if wanted.order_id is not None:
            must_find_order(tx, wanted.order_id)
        if wanted.item_id is not None:
            item = must_find_item(tx, wanted.item_id)
            if wanted.order_id not in (None, item.order_id):
                raise WorkError("not_found", f"{wanted.order_id} has no item {item.id}")
        got = hand_out(self._desk, tx, actor, wanted)
        agent = actor.agent or actor.session
        if isinstance(got, Nothing):
            return {
                "items": [],
                "reason": got.reason,
                "message": got.message,
                "retry_after_seconds": round(got.retry_after / 1000, 3),
                "agent": agent,
                "_forget": True,
            }
        return {"items": [self._handed_out(tx, item) for item in got], "agent": agent}

    def _handed_out(self, tx: ReadTx, item: WorkItem) -> Answer:
        order = must_find_order(tx, item.order_id)
        entry = self._desk.registry.of(item)
        told = self._memory(tx, item, entry)
        return view.present(
            id=item.id,
            order_id=item.order_id,
            type=item.type,
            key=item.key,
            input=item.input,
            order_payload=view.cut(order.payload, OTHER_PAYLOAD),
            meta=order.meta,
            instructions=entry.type.instructions,
            result_schema=entry.result.json_schema,
            parts={"plan": part_plan(entry), "present": told.pop("parts")},
            **told,
            attempt=item.lease.attempt if item.lease else None,
            max_attempts=item.max_attempts,
            lease=self._lease(item),
            next=_next_for_holder(entry, item),
        )

    def _memory(self, tx: ReadTx, item: WorkItem, entry: TypeEntry) -> Answer:
        return memory.told(
            item,
            former=tx.submission(item.id, item.result_key) if item.result_key and item.feedback else None,
            parts=tx.parts(item.id),
            late=tx.submissions(item.id, kind="late"),
            modes=modes(entry),
            limit=self._memory_limit,
        )

    @property
    def _memory_limit(self) -> int:
        return self._desk.settings.rework_tokens * memory.CHARACTERS_PER_TOKEN

    def _lease(self, item: WorkItem) -> Answer | None:
        if item.lease is None:
            return None
        return view.lease_held(item.lease, self._desk.policy(item.type), self._desk.clock.now())

    async def my_work(self, actor: Actor) -> Answer:
        def body(tx: ReadTx) -> Answer:
            now = self._desk.clock.now()
            held, back = tx.held_by(actor.id), tx.returned_to(actor.session, actor.id)
            waiting = tx.awaiting_review(actor.id)
            left_out = sum(max(len(items) - MOST_SHOWN, 0) for items in (held, back, waiting))
            return {
                "agent": actor.agent or actor.session,
                "leases": [{**view.item_row(item, now), "lease": self._lease(item)} for item in held[:MOST_SHOWN]],
                "returned": [
                    {**view.item_row(item, now), **memory.reasons(item, self._memory_limit)}
                    for item in back[:MOST_SHOWN]
                ],
                "awaiting_review": [view.item_row(item, now) for item in waiting[:MOST_SHOWN]],
                **({"left_out": left_out} if left_out else {}),
            }

        return await self._desk.store.read(body)

    # keeping and giving back

    async def heartbeat(self, call: Call, item_id: str, token: str, progress: float | None, note: str | None) -> Answer:
        def body(tx: WriteTx) -> Answer | WorkError:
            facts = self._desk.facts(tx, item_id, token, call.actor)
            if facts.item.state in STOPPED and facts.past is not None:
                return {"order_state": facts.order.state, "cancelled": True, "next": "stop working on this item"}
            refusal = written(tx, decide.heartbeat(facts, token, progress, note))
            return refusal or self._beat(tx, item_id)

        return await self._desk.write(call, body)

    def _beat(self, tx: ReadTx, item_id: str) -> Answer:
        item = must_find_item(tx, item_id)
        order = must_find_order(tx, item.order_id)
        return {"lease": self._lease(item), "order_state": order.state, "cancelled": False}

    async def release(self, call: Call, item_id: str, token: str, reason: str | None, not_before: int | None) -> Answer:
        def body(tx: WriteTx) -> Answer | WorkError:
            facts = self._desk.facts(tx, item_id, token, call.actor)
            refusal = written(tx, decide.release(facts, token, reason, not_before))
            return refusal or self._item(tx, item_id)

        return await self._desk.write(call, body)

    async def fail(
        self, call: Call, item_id: str, token: str, reason: str, *, retryable: bool, retry_after: int | None
    ) -> Answer:
        def body(tx: WriteTx) -> Answer | WorkError:
            facts = self._desk.facts(tx, item_id, token, call.actor)
            change = decide.fail(facts, token, reason, retryable=retryable, retry_after=retry_after)
            return written(tx, change) or self._item(tx, item_id)

        return await self._desk.write(call, body)

    def _item(self, tx: ReadTx, item_id: str) -> Answer:
        return {"item": view.item_row(must_find_item(tx, item_id), self._desk.clock.now())}

    # handing in

    async def submit(self, call: Call, sent: HandIn, *, late_result: str | None, validate_only: bool) -> Answer:
        earlier = None if validate_only else await self._desk.replay(call)
        if earlier is not None:
            return earlier
        if late_result is not None:
            sent = await self._desk.store.read(lambda tx: adopted(tx, sent, late_result))
        self._measure(sent, "result")
        keep_late = late_result is None and not validate_only
        item = await self._desk.store.read(lambda tx: self._look(tx, sent, call.actor, late=keep_late))
        findings = [] if item is None else await self._check_result(item, sent.value)
        if validate_only:
            if findings:
                raise WorkError("invalid_result", _count(findings), findings=findings)
            await self._desk.change(lambda tx: self._renew(tx, sent, call.actor))
            return {"valid": True, "next": "nothing was stored; call submit without validate_only"}

        def body(tx: WriteTx) -> Answer | WorkError:
            facts = self._desk.facts(tx, sent.item_id, sent.token, call.actor)
            if item is None and holds(facts, sent.token):
                raise WorkError("busy", f"{sent.item_id} came free again before the result had been checked")
            return self._handed_in(tx, decide.submit(facts, sent.token, sent.work, findings), sent)

        return await self._desk.write(call, body)

    def _renew(self, tx: WriteTx, sent: HandIn, actor: Actor) -> None:
        written(tx, decide.renew(self._desk.facts(tx, sent.item_id, sent.token, actor), sent.token))

    async def submit_part(self, call: Call, sent: HandIn, key: str, seq: int | None) -> Answer:
        return await self._desk.once(call, lambda: self._submit_part(call, sent, key, seq))

    async def _submit_part(self, call: Call, sent: HandIn, key: str, seq: int | None) -> Answer:
        self._measure(sent, "part")
        item = await self._desk.store.read(lambda tx: self._mine(tx, sent, call.actor))
        entry = self._desk.registry.of(item)
        findings = await self._check_part(entry, item, sent, key, seq)
        required = await hooks.required_parts(entry, item, within=self._desk.hook_seconds)

        def body(tx: WriteTx) -> Answer | WorkError:
            facts = self._desk.facts(tx, sent.item_id, sent.token, call.actor)
            present = tx.parts(sent.item_id)
            change = decide.take_part(facts, sent.token, key, seq, sent.work, findings, present)
            refusal = written(tx, change)
            return refusal or self._part_answer(tx, entry, sent.item_id, key, seq, required)

        return await self._desk.write(call, body)

    def _part_answer(
        self, tx: ReadTx, entry: TypeEntry, item_id: str, key: str, seq: int | None, required: frozenset[str]
    ) -> Answer:
        item = must_find_item(tx, item_id)
        parts = tx.parts(item_id)
        [kept] = [part for part in parts if (part.key, part.seq, part.status) == (key, seq, "validated")]
        rolled = rollup(modes(entry), required, parts)
        return {
            "part": view.part_row(kept),
            "parts": rolled_view(rolled),
            "lease": self._lease(item),
            "next": f"finalize({item_id!r}, lease_token)"
            if rolled.ready
            else "send the missing parts with submit_part",
        }

    async def finalize(self, call: Call, sent: HandIn, mode: str) -> Answer:
        """``sent.value`` is not used: the result is assembled from the parts that are there."""
        return await self._desk.once(call, lambda: self._finalize(call, sent, mode))

    async def _finalize(self, call: Call, sent: HandIn, mode: str) -> Answer:
        item, parts = await self._desk.store.read(lambda tx: (self._mine(tx, sent, call.actor), tx.parts(sent.item_id)))
        entry = self._desk.registry.of(item)
        seconds = self._desk.hook_seconds
        required = await hooks.required_parts(entry, item, within=seconds)
        picked = complete(entry, item, required, parts, mode)
        made = HandIn(sent.item_id, sent.token, await hooks.assemble(entry, item, picked, within=seconds))
        findings = await self._check_result(item, made.value)

        def body(tx: WriteTx) -> Answer | WorkError:
            if tx.parts(sent.item_id) != parts:
                raise WorkError("busy", "parts arrived while the result was assembled")
            facts = self._desk.facts(tx, sent.item_id, sent.token, call.actor)
            change = decide.finalize(facts, sent.token, made.work, findings, sorted(picked), mode)
            answer = self._handed_in(tx, change, made)
            return answer if isinstance(answer, WorkError) else {**answer, "assembled": sorted(picked)}

        return await self._desk.write(call, body)

    def _mine(self, tx: ReadTx, sent: HandIn, actor: Actor) -> WorkItem:
        """The item, if the token holds it."""
        facts = self._desk.facts(tx, sent.item_id, sent.token, actor)
        if not holds(facts, sent.token):
            raise lost(facts)
        return facts.item

    def _look(self, tx: ReadTx, sent: HandIn, actor: Actor, *, late: bool) -> WorkItem | None:
        """As ``_mine``, but nothing where a lease was lost whose late result is to be kept."""
        was_real = late and tx.lease_by_token(sent.item_id, sent.token) is not None
        try:
            return self._mine(tx, sent, actor)
        except WorkError:
            if was_real:
                return None
            raise

    def _measure(self, sent: HandIn, what: str) -> None:
        self._desk.measure(sent.value, what)
        self._desk.measure(sent.evidence, "evidence")

    async def _check_result(self, item: WorkItem, result: Any) -> list[Finding]:
        """Schema first; the type's own check only on what fits it, and on a copy."""
        entry = self._desk.registry.of(item)
        return entry.result.findings(result) or await hooks.check_result(
            entry, item, copied(result), within=self._desk.hook_seconds
        )

    async def _check_part(
        self, entry: TypeEntry, item: WorkItem, sent: HandIn, key: str, seq: int | None
    ) -> list[Finding]:
        if entry.type.parts and key not in entry.type.parts:
            known = ", ".join(sorted(entry.type.parts))
            return [Finding("unknown_part", "", f"{entry.name} has no part {key!r}; it has {known}")]
        validator = entry.parts.get(key)
        found = validator.findings(sent.value) if validator else []
        part = Part(
            item.id, key, seq, "validated", copied(sent.value), checksum(sent.value),
            item.lease.holder if item.lease else Actor("agent", ""), item.fence, self._desk.clock.now(),
            copied(sent.evidence), sent.notes,
        )  # fmt: skip
        return found or await hooks.check_part(entry, item, part, within=self._desk.hook_seconds)

    def _handed_in(self, tx: WriteTx, change: Change, sent: HandIn) -> Answer | WorkError:
        refusal = written(tx, change)
        if refusal is not None:
            return refusal
        item = must_find_item(tx, sent.item_id)
        order = must_find_order(tx, item.order_id)
        return {"item": view.state_of(item), "order": view.state_of(order), "next": _next_after(order.state, order.id)}


def adopted(tx: ReadTx, sent: HandIn, key: str) -> HandIn:
    """A late result in the hand of the present holder, with its evidence and notes where the call brings none."""
    late = {one.key: one for one in tx.submissions(sent.item_id, kind="late")}
    if key not in late:
        raise WorkError("not_found", f"{sent.item_id} has no late result {key}", nearest=list(late)[-5:])
    made = late[key]
    evidence = made.evidence if sent.evidence is None else sent.evidence
    return replace(sent, value=made.result, evidence=evidence, notes=sent.notes or made.notes)


def copied(value: Any) -> Any:
    """JSON for a hook to do with as it likes."""
    return json.loads(canonical(value))


def modes(entry: TypeEntry) -> Mapping[str, str]:
    return {key: spec.mode for key, spec in entry.type.parts.items()}


def part_plan(entry: TypeEntry) -> Mapping[str, Any]:
    return {
        key: view.present(
            required=spec.required,
            mode=spec.mode,
            schema=checked.json_schema if (checked := entry.parts[key]) else None,
        )
        for key, spec in entry.type.parts.items()
    }


def rolled_view(rolled: Rollup) -> Answer:
    return {
        "required": sorted(rolled.required),
        "received": sorted(rolled.received),
        "missing": sorted(rolled.missing),
        "gaps": {key: list(seqs) for key, seqs in rolled.gaps.items()},
        "ready_to_finalize": rolled.ready,
    }


def complete(
    entry: TypeEntry, item: WorkItem, required: frozenset[str], parts: Sequence[Part], mode: str
) -> Mapping[str, Any]:
    """The payloads to assemble, or what is missing for the mode."""
    rolled = rollup(modes(entry), required, parts)
    enough = rolled.ready if mode == "strict" else bool(rolled.received)
    if not enough:
        missing = ", ".join(sorted(rolled.missing)) or "every part" if not rolled.gaps else "parts of a sequence"
        raise WorkError("parts_missing", f"{item.id} lacks {missing}", details=rolled_view(rolled))
    return chosen(modes(entry), parts)


def _next_for_holder(entry: TypeEntry, item: WorkItem) -> str:
    how = (
        "submit_part for each part that is missing or wrong, then finalize" if entry.type.parts else "submit the result"
    )
    return (
        f"do the work, then {how} with this item_id and lease.token; heartbeat in between; release or fail if you can't"
    )


def _next_after(state: str, order_id: str) -> str:
    if state == "submitted":
        return f"the order waits for review({order_id!r}); checkout gives you the next item"
    return "checkout gives you the next item"


def _count(findings: Sequence[Finding]) -> str:
    return f"{len(findings)} findings" if len(findings) > 1 else findings[0].message or findings[0].code
