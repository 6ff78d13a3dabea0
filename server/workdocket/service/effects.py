"""Durable effects: what an approved change sets off outside any transaction. Claimed, run, recorded."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import anyio

from workdocket.domain import decide
from workdocket.domain.decide.apply import CRASH_ALLOWANCE
from workdocket.domain.decide.review import auto_deferred
from workdocket.domain.diff import Diff
from workdocket.domain.errors import Finding, Refused, WorkError
from workdocket.domain.model import SYSTEM, Actor, Change, Effect, WorkOrder, checksum
from workdocket.generator import Proposal
from workdocket.ports import ReadTx, WriteTx
from workdocket.registry import TypeEntry
from workdocket.service import hooks
from workdocket.service.desk import Call, Desk, must_find_order
from workdocket.service.hooks import HookRaised
from workdocket.service.liveness import is_free, kept, new_claim
from workdocket.service.orders import Orders
from workdocket.service.review import original_of, packet_of
from workdocket.standing import applying

log = logging.getLogger("workdocket.effects")

ApproveByRule = Callable[[str, Actor], Awaitable[Sequence[Finding]]]


@dataclass(frozen=True, slots=True)
class Context:
    """An :class:`workdocket.ApplyContext`."""

    orders: Orders
    idempotency_key: str
    attempt: int
    approved_by: Actor

    async def propose(
        self,
        type: str,
        payload: Mapping[str, Any],
        *,
        priority: int = 0,
        meta: Mapping[str, Any] | None = None,
        dedupe_key: str | None = None,
    ) -> str:
        wanted = Proposal(type, dict(payload), priority, meta, dedupe_key=dedupe_key)
        request = {"type": type, "payload": wanted.payload, "priority": priority}
        key = f"{self.idempotency_key}:{checksum([request, dedupe_key])[:16]}"
        answer = await self.orders.propose(Call(SYSTEM, "propose", request, key), wanted, validate_only=False)
        order_id: str = answer["order"]["id"]
        return order_id


class Effects:
    """Runs effects in this process; any other process may run them just as well."""

    def __init__(self, desk: Desk, orders: Orders) -> None:
        self._desk = desk
        self._orders = orders
        self._begun: set[str] = set()
        self._again: set[str] = set()
        self.approve_by_rule: ApproveByRule | None = None

    def begin(self, effect_id: str) -> None:
        """Run an effect in the background; where this process is at it already, look at it once more afterwards."""
        if effect_id in self._begun:
            self._again.add(effect_id)
            return
        self._begun.add(effect_id)

        async def run() -> None:
            try:
                await self.run(effect_id)
            finally:
                self._begun.discard(effect_id)
            if effect_id in self._again:
                self._again.discard(effect_id)
                self.begin(effect_id)

        self._desk.start(run)

    async def run_due(self) -> None:
        """Begin every effect whose time has come and that no living process has in hand."""
        due = await self._desk.store.read(self._due)
        for effect in due:
            in_hand = effect.claim is not None and effect.id in self._begun
            if not in_hand and is_free(self._desk, effect):
                self.begin(effect.id)

    def _due(self, tx: ReadTx) -> list[Effect]:
        """Those whose time has come and whose type is registered here; the others are for a process that has it."""
        due = tx.due_effects(self._desk.clock.now(), 50)
        return [effect for effect in due if self._desk.registry.find(must_find_order(tx, effect.order_id))]

    async def run(self, effect_id: str) -> None:
        try:
            claimed = await self._desk.change(lambda tx: self._claim(tx, effect_id))
            if claimed is not None:
                async with kept(self._desk, partial(_extend, claimed)):
                    await HANDLERS[claimed.kind](self, claimed)
        except WorkError as error:
            log.warning("effect %s is left for later: %s", effect_id, error)
        except Exception:
            log.exception("effect %s is left for later", effect_id)

    def _claim(self, tx: WriteTx, effect_id: str) -> Effect | None:
        effect, now = tx.effect(effect_id), self._desk.clock.now()
        if effect is None or effect.state != "pending" or effect.next_at > now or not is_free(self._desk, effect):
            return None
        order = must_find_order(tx, effect.order_id)
        policy = self._desk.policy(order.type)
        if effect.claim is not None and effect.attempts >= policy.apply_attempts + CRASH_ALLOWANCE:
            tx.apply(decide.apply_raised(order, effect, "every attempt ended with its process", now, policy, 0.0))
            return None
        change = decide.claim(effect, now, *new_claim(self._desk))
        tx.apply(change)
        return change.effects[0]

    # the kinds

    async def _apply(self, effect: Effect) -> None:
        order, ctx = await self._opened(effect)
        try:
            entry = self._entry(order)
            if await self._drifted(effect, order):
                return
            with applying(order):
                diff = await self._changed(entry, order, ctx)
        except (HookRaised, Refused, WorkError) as error:
            await self._raised(effect, str(error))
            return
        await self._record(effect, lambda tx, mine: self._applied(tx, mine, diff))

    async def _changed(self, entry: TypeEntry, order: WorkOrder, ctx: Context) -> Diff:
        if order.reverts is None:
            return await hooks.apply(entry, order, ctx)
        return await hooks.revert(entry, await original_of(self._desk, order), ctx)

    def _applied(self, tx: WriteTx, effect: Effect, diff: Diff) -> Change:
        order = must_find_order(tx, effect.order_id, items=True)
        policy = self._desk.policy(order.type)
        waiting = tx.waiting_for_order(order.id)
        return decide.applied(order, effect, diff, self._desk.clock.now(), policy, waiting)

    async def _drifted(self, effect: Effect, order: WorkOrder) -> bool:
        """Before a first attempt: is it no longer what was approved? Later attempts may see their own effect."""
        approved = effect.data.get("digest")
        if effect.attempts > 1 or approved is None:
            return False
        packet = await packet_of(self._desk, order.id)
        if packet.digest == approved:
            return False
        await self._record(
            effect,
            lambda tx, mine: decide.drifted(
                must_find_order(tx, order.id, items=True), mine, self._desk.clock.now(), packet.digest
            ),
        )
        return True

    async def _after_apply(self, effect: Effect) -> None:
        order, ctx = await self._opened(effect)
        diff = await self._desk.store.read(lambda tx: tx.diff(order.id))
        try:
            with applying(order):
                await hooks.after_apply(self._entry(order), order, Diff.from_dict(diff or {}), ctx)
        except (HookRaised, Refused, WorkError) as error:
            await self._raised(effect, str(error))
            return
        await self._record(effect, lambda tx, mine: decide.after_applied(mine, self._desk.clock.now()))

    async def _auto_approve(self, effect: Effect) -> None:
        assert self.approve_by_rule is not None
        try:
            found = list(await self.approve_by_rule(effect.order_id, SYSTEM))
        except WorkError as error:
            found = [Finding(error.code, "", error.message)]
        await self._record(effect, lambda tx, mine: self._deferred(tx, mine, found))

    def _deferred(self, tx: WriteTx, effect: Effect, found: Sequence[Finding]) -> Change:
        order = must_find_order(tx, effect.order_id)
        done = replace(effect, state="done", claim=None)
        still_asked = found if order.state == "submitted" else []
        return auto_deferred(order, done, self._desk.clock.now(), SYSTEM, still_asked)

    # recording

    async def _opened(self, effect: Effect) -> tuple[WorkOrder, Context]:
        def body(tx: ReadTx) -> tuple[WorkOrder, Actor, int]:
            order = must_find_order(tx, effect.order_id, results=True).without_left_out()
            decisions = tx.decisions(effect.order_id)
            attempts = sum(one.attempts for one in tx.effects(effect.order_id) if one.kind == effect.kind)
            return order, decisions[-1].actor if decisions else SYSTEM, attempts

        order, approver, attempt = await self._desk.store.read(body)
        return order, Context(self._orders, f"wd-{order.uid}", attempt, approver)

    def _entry(self, order: WorkOrder) -> TypeEntry:
        return self._desk.registry.of(order)

    async def _raised(self, effect: Effect, message: str) -> None:
        jitter = self._desk.ids.jitter()

        def body(tx: WriteTx, mine: Effect) -> Change:
            order = must_find_order(tx, effect.order_id)
            policy = self._desk.policy(order.type)
            return decide.apply_raised(order, mine, message, self._desk.clock.now(), policy, jitter)

        await self._record(effect, body)

    async def _record(self, effect: Effect, outcome: Callable[[WriteTx, Effect], Change]) -> None:
        """What became of it, written by whoever still has the claim."""

        def body(tx: WriteTx) -> bool:
            mine = tx.effect(effect.id)
            if mine is None or mine.claim != effect.claim or mine.state != "pending":
                return False
            tx.apply(outcome(tx, mine))
            return True

        with anyio.CancelScope(shield=True):
            written = await self._desk.change(body)
        if not written:
            log.warning("effect %s was taken over by another process; this outcome is not recorded", effect.id)


def _extend(effect: Effect, tx: WriteTx, until: int) -> None:
    tx.extend_claim(effect.id, effect.claim or "", until)


HANDLERS: Mapping[str, Callable[[Effects, Effect], Awaitable[None]]] = {
    "apply": Effects._apply,
    "after_apply": Effects._after_apply,
    "auto_approve": Effects._auto_approve,
}
