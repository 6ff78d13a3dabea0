"""What nobody calls for: leases that ran out, what is due, deadlines, what failed long ago, answers too old."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial

import anyio

from workdocket.domain import decide
from workdocket.domain.errors import WorkError
from workdocket.domain.model import SYSTEM, Change, WorkOrder
from workdocket.ports import ReadTx, WriteTx
from workdocket.service.claim import expire_overdue
from workdocket.service.desk import Desk, must_find_order
from workdocket.service.effects import Effects
from workdocket.service.notify import Notifier
from workdocket.service.prune import prune
from workdocket.service.scheduler import Scheduler

log = logging.getLogger("workdocket.sweeper")

HOUR_MS = 3_600_000
AT_ONCE = 20
PRUNED_A_ROUND = 10_000


Find = Callable[[ReadTx, int], Sequence[WorkOrder]]


class Sweeper:
    """Runs in every server; any of them may do any of it."""

    def __init__(self, desk: Desk, effects: Effects, scheduler: Scheduler, notifier: Notifier) -> None:
        self._desk = desk
        self._effects = effects
        self._scheduler = scheduler
        self._notifier = notifier

    async def run(self) -> None:
        while True:
            try:
                await self.sweep()
            except WorkError as error:
                log.warning("the sweep is put off: %s", error)
            except Exception:
                log.exception("the sweep is put off")
            await anyio.sleep(await self._pause())

    async def sweep(self) -> int:
        """One round; returns how many leases were ended."""
        await self._effects.run_due()
        ended = 0
        if await self._desk.store.read(lambda tx: bool(tx.overdue(self._desk.clock.now(), 1))):
            ended = await self._desk.change(lambda tx: expire_overdue(self._desk, tx))
        now = self._desk.clock.now()
        await self._bit_by_bit(lambda tx, most: tx.past_deadline(now, most), lambda tx, order: _late(tx, order, now))
        given_up = now - round(self._desk.settings.dead_letter_after_hours * HOUR_MS)
        await self._bit_by_bit(
            lambda tx, most: tx.failed_since(given_up, most), lambda tx, order: _dead(tx, order, now)
        )
        await self._expire_reviews(now)
        await self._notifier.drop_gone()
        await prune(self._desk, most=PRUNED_A_ROUND)
        await self._scheduler.run_due()
        return ended

    async def _expire_reviews(self, now: int) -> None:
        """Cancel what waited for a decision for longer than its type, or the settings, let it."""
        for name in self._desk.registry.names():
            ttl = self._desk.policy(name).review_ttl
            if ttl is not None:
                await self._bit_by_bit(partial(_waiting, name, now - ttl), partial(_unreviewed, now, ttl))

    async def _bit_by_bit(self, find: Find, change: Callable[[ReadTx, WorkOrder], Change]) -> None:
        """Change all orders that are found, a few in a transaction."""

        def some(tx: WriteTx) -> bool:
            """Whether there may be more."""
            found = find(tx, AT_ONCE)
            for order in found:
                tx.apply(change(tx, order))
            return len(found) == AT_ONCE

        more = await self._desk.store.read(lambda tx: bool(find(tx, 1)))
        while more:
            more = await self._desk.change(some)

    async def _pause(self) -> float:
        """Seconds until the next thing is due, at most what is set; a second where it is overdue, in other hands."""
        stored = await self._desk.store.read(lambda tx: tx.next_due())
        longest = self._desk.settings.sweep_every_seconds
        times = [at for at in (stored, self._scheduler.next_slot()) if at is not None]
        if not times:
            return longest
        left = (min(times) - self._desk.clock.now()) / 1000
        return min(longest, max(left, 0.05) if left > 0 else 1.0)


def _late(tx: ReadTx, order: WorkOrder, now: int) -> Change:
    return decide.miss_deadline(order, tx.counts([order.id])[order.id], now)


def _waiting(name: str, before: int, tx: ReadTx, most: int) -> Sequence[WorkOrder]:
    return tx.submitted_since(name, before, most)


def _unreviewed(now: int, ttl: int, tx: ReadTx, order: WorkOrder) -> Change:
    return decide.expire_review(must_find_order(tx, order.id, items=True), now, ttl)


def _dead(tx: ReadTx, order: WorkOrder, now: int) -> Change:
    whole = must_find_order(tx, order.id, items=True)
    return decide.dead_letter(whole, SYSTEM, now, "nobody took it up after it failed")
