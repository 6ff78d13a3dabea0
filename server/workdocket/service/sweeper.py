"""What nobody calls for: leases that ran out, effects and slots that are due, deadlines missed, answers too old."""

from __future__ import annotations

import logging

import anyio

from workdocket.domain import decide
from workdocket.domain.errors import WorkError
from workdocket.ports import WriteTx
from workdocket.service.claim import expire_overdue
from workdocket.service.desk import Desk
from workdocket.service.effects import Effects
from workdocket.service.prune import prune
from workdocket.service.scheduler import Scheduler

log = logging.getLogger("workdocket.sweeper")

LATE_AT_ONCE = 20
PRUNED_A_ROUND = 10_000


class Sweeper:
    """Runs in every server; any of them may do any of it."""

    def __init__(self, desk: Desk, effects: Effects, scheduler: Scheduler) -> None:
        self._desk = desk
        self._effects = effects
        self._scheduler = scheduler

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
        await self._miss_deadlines()
        await prune(self._desk, most=PRUNED_A_ROUND)
        await self._scheduler.run_due()
        return ended

    async def _miss_deadlines(self) -> None:
        now = self._desk.clock.now()

        def some(tx: WriteTx) -> bool:
            """Whether there may be more."""
            late = tx.past_deadline(now, LATE_AT_ONCE)
            for order in late:
                tx.apply(decide.miss_deadline(order, tx.counts([order.id])[order.id], now))
            return len(late) == LATE_AT_ONCE

        more = await self._desk.store.read(lambda tx: bool(tx.past_deadline(now, 1)))
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
