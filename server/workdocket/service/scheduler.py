"""Running generators and filing what they propose: their slots, each in one process at a time, and whenever asked."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from difflib import get_close_matches
from functools import partial

import anyio

from workdocket.domain.errors import WorkError
from workdocket.domain.model import SCHEDULER, Actor, checksum, iso
from workdocket.generator import Proposal
from workdocket.ports import ReadTx, Slot, WriteTx
from workdocket.registry import GeneratorEntry
from workdocket.service.desk import Answer, Call, Desk
from workdocket.service.discovery import discovered, fit
from workdocket.service.liveness import is_free, kept, new_claim, owner_of
from workdocket.service.orders import Orders, Source
from workdocket.timetable import Timetable, local

log = logging.getLogger("workdocket.generators")

AT_ONCE = 4
SLOTS_IN_A_ROW = 20
MOST_CRASHES = 3
MOST_SHOWN = 50

File = Callable[[Proposal], Awaitable[Answer]]


@dataclass
class Outcome:
    """What became of the proposals of one run. ``busy`` is why the rest of them was not tried."""

    error: str | None = None
    orders: list[str] = field(default_factory=list)
    types: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    refused: int = 0
    refusals: list[Answer] = field(default_factory=list)
    busy: WorkError | None = None

    def count(self, wanted: Proposal, answer: Answer) -> None:
        if answer.get("deduplicated"):
            self.duplicates += 1
            return
        self.types[wanted.type] += 1
        if "id" in answer["order"]:
            self.orders.append(answer["order"]["id"])

    def refuse(self, n: int, refusal: WorkError) -> None:
        self.refused += 1
        if self.refused <= MOST_SHOWN:
            self.refusals.append({"proposal": n, "code": refusal.code, "message": refusal.message})

    def short(self) -> Answer:
        counts = {"filed": self.types.total(), "duplicates": self.duplicates, "refused": self.refused}
        return {**counts, "error": self.error} if self.error else counts

    def full(self) -> Answer:
        return {**self.short(), "types": dict(self.types), "orders": self.orders, "refusals": self.refusals}


@dataclass
class Run:
    """One time that a generator is run. Proposals that are equal are told apart by how many came before."""

    key: str
    source: Source
    seen: Counter[str] = field(default_factory=Counter)

    def call(self, wanted: Proposal) -> Call:
        """The same in every attempt at the run, also where the world has moved and it gives more or fewer proposals."""
        deduped = {"type": wanted.type, "dedupe_key": wanted.dedupe_key}
        what = checksum(deduped if wanted.dedupe_key else {**deduped, "payload": wanted.payload, "meta": wanted.meta})
        self.seen[what] += 1
        return Call(SCHEDULER, "propose", {"proposal": what}, f"{self.key}:{what}:{self.seen[what]}")


class Scheduler:
    """Runs generators in this process; any other process may run them just as well."""

    def __init__(self, desk: Desk, orders: Orders) -> None:
        self._desk = desk
        self._orders = orders
        self._timed = [(entry, entry.timetable) for entry in desk.generators if entry.timetable is not None]
        self._running: set[str] = set()

    # on schedule

    @property
    def busy(self) -> bool:
        """Whether this process has a slot in hand."""
        return bool(self._running)

    def next_slot(self) -> int | None:
        now = self._desk.clock.now()
        times = [timetable.after(now) for _, timetable in self._timed]
        return min((at for at in times if at is not None), default=None)

    async def run_due(self) -> None:
        """Begin every generator that has a slot due which no living process has in hand, a few at a time."""
        idle = [(entry, timetable) for entry, timetable in self._timed if entry.name not in self._running]
        if not idle:
            return
        due = await self._desk.store.read(lambda tx: [one for one in idle if self._next(tx, *one)])
        for entry, timetable in due[: AT_ONCE - len(self._running)]:
            self._begin(entry, timetable)

    def _begin(self, entry: GeneratorEntry, timetable: Timetable) -> None:
        self._running.add(entry.name)

        async def run() -> None:
            try:
                for _ in range(SLOTS_IN_A_ROW):
                    if not await self._run_slot(entry, timetable):
                        break
            except WorkError as error:
                log.warning("generator %s is left for later: %s", entry.name, error)
            except Exception:
                log.exception("generator %s is left for later", entry.name)
            finally:
                self._running.discard(entry.name)

        self._desk.start(run)

    async def _run_slot(self, entry: GeneratorEntry, timetable: Timetable) -> bool:
        """Whether there was one, and it is done."""
        slot = await self._desk.change(lambda tx: self._take(tx, entry, timetable))
        if slot is None:
            return False
        run = Run(f"{slot.generator}:{slot.at}", {"generator": slot.generator, "slot": iso(slot.at)})
        async with kept(self._desk, partial(_extend, slot)):
            outcome = await self._run(entry, local(slot.at, entry.zone), partial(self._file, run))
        if outcome.busy is not None:
            raise outcome.busy
        done = replace(slot, state="done", claim=None, claimed_until=None, outcome=outcome.short())
        with anyio.CancelScope(shield=True):
            await self._desk.change(lambda tx: _keep(tx, slot, done))
        return True

    def _next(self, tx: ReadTx, entry: GeneratorEntry, timetable: Timetable) -> Slot | None:
        """What is to be written down now: where a schedule begins, a slot that was left over, or one that is due."""
        now, schedule = self._desk.clock.now(), str(timetable)
        last = tx.slot(entry.name, schedule)
        if last is None:
            return Slot(entry.name, schedule, now, "done")
        if last.state == "pending":
            return self._left_over(last) if is_free(self._desk, last) else None
        at = timetable.due(last.at, now)
        return None if at is None else Slot(entry.name, schedule, at)

    def _left_over(self, slot: Slot) -> Slot:
        """To be run again, unless it keeps killing the processes that run it."""
        if owner_of(slot) in ("", self._desk.store.owner):
            return slot
        if slot.crashes + 1 < MOST_CRASHES:
            return replace(slot, crashes=slot.crashes + 1)
        error = f"{MOST_CRASHES} processes ended in the middle of it; it waits for the next slot"
        log.error("generator %s: %s", slot.generator, error)
        return replace(slot, state="done", claim=None, claimed_until=None, outcome={"error": error})

    def _take(self, tx: WriteTx, entry: GeneratorEntry, timetable: Timetable) -> Slot | None:
        """The slot to run now, claimed."""
        slot = self._next(tx, entry, timetable)
        if slot is None:
            return None
        if slot.state == "done":
            tx.keep_slot(slot)
            return None
        claim, until = new_claim(self._desk)
        claimed = replace(slot, claim=claim, claimed_until=until)
        tx.keep_slot(claimed)
        return claimed

    # when asked

    async def generate(self, names: Sequence[str], by: Actor, *, dry_run: bool) -> Answer:
        """Run these generators now, or all; what each of them did or, with ``dry_run``, would do."""
        chosen = [self._entry(name) for name in dict.fromkeys(names)] or self._desk.generators
        now, keys = self._desk.clock.now(), set[tuple[str, str]]()
        rows = []
        for entry in chosen:
            run = Run(self._desk.ids.token(), {"generator": entry.name, "run_by": by.id})
            file = partial(self._check, keys) if dry_run else partial(self._file, run)
            outcome = await self._run(entry, local(now, entry.zone), file)
            if outcome.busy is not None:
                outcome.error = f"busy: {outcome.busy}"
            rows.append({"generator": entry.name, **outcome.full(), **await self._scheduled(entry, now)})
        return {"dry_run": dry_run, "generators": rows}

    def _entry(self, name: str) -> GeneratorEntry:
        known = {entry.name: entry for entry in self._desk.generators}
        if name not in known:
            raise WorkError(
                "not_found",
                f"there is no generator {name[:80]!r}",
                hint="Name it, or its file, in the setting generators.",
                nearest=get_close_matches(name, known),
            )
        return known[name]

    async def _scheduled(self, entry: GeneratorEntry, now: int) -> Answer:
        """When its next slot is, and what became of the last one."""
        timetable = entry.timetable
        if timetable is None:
            return {}
        last = await self._desk.store.read(lambda tx: tx.slot(entry.name, str(timetable)))
        following = timetable.after(now)
        shown: Answer = {"schedule": str(timetable)}
        if following is not None:
            shown["next_slot"] = iso(following)
        if last is not None and last.outcome is not None:
            shown["last_slot"] = {"at": iso(last.at), **last.outcome}
        return shown

    # both

    async def _run(self, entry: GeneratorEntry, slot: datetime, file: File) -> Outcome:
        found = await discovered(entry, slot)
        outcome = Outcome(found.error)
        for n, given in enumerate(found.given, 1):
            try:
                wanted = fit(given)
                outcome.count(wanted, await file(wanted))
            except WorkError as refusal:
                if refusal.code == "busy":
                    outcome.busy = refusal
                    break
                log.warning("generator %s: proposal %d is refused: %s", entry.name, n, refusal)
                outcome.refuse(n, refusal)
            except Exception as error:
                log.exception("generator %s: proposal %d cannot be filed", entry.name, n)
                outcome.refuse(n, WorkError("internal", type(error).__name__))
        return outcome

    async def _file(self, run: Run, wanted: Proposal) -> Answer:
        return await self._orders.propose(run.call(wanted), wanted, source=run.source)

    async def _check(self, keys: set[tuple[str, str]], wanted: Proposal) -> Answer:
        """As if it were filed. ``keys`` are those of the proposals before it."""
        answer = await self._orders.propose(Call(SCHEDULER, "propose", {}), wanted, validate_only=True)
        key = wanted.dedupe_key
        if key is None:
            return answer
        there = await self._desk.store.read(lambda tx: tx.order_by_dedupe_key(wanted.type, key))
        again = (wanted.type, key) in keys
        keys.add((wanted.type, key))
        return {**answer, "deduplicated": there is not None or again}


def _extend(slot: Slot, tx: WriteTx, until: int) -> None:
    _keep(tx, slot, replace(slot, claimed_until=until))


def _keep(tx: WriteTx, slot: Slot, changed: Slot) -> None:
    """Written by whoever still has the claim."""
    there = tx.slot(slot.generator, slot.schedule)
    if there is not None and (there.at, there.claim) == (slot.at, slot.claim):
        tx.keep_slot(changed)
