"""Handing items out: who may have what now, and why nothing when it is nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from workdocket.domain import decide
from workdocket.domain.decide import Facts
from workdocket.domain.model import BEFORE_ALL, SYSTEM, Actor, WorkItem
from workdocket.ports import Backlog, ItemFilter, Line, ReadTx, Turn, WriteTx
from workdocket.service import limit
from workdocket.service.desk import Desk, must_find_order

OVERDUE_AT_ONCE = 200
PROMOTED_AT_ONCE = 500
KEPT_LOOKED_AT = 50
ASK_AGAIN_MS = 10_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a checkout asks for; no type means every registered one. ``skills`` are what the caller can do."""

    type: str | None = None
    order_id: str | None = None
    item_id: str | None = None
    min_priority: int | None = None
    count: int = 1
    skills: frozenset[str] = frozenset()

    @property
    def filter(self) -> ItemFilter:
        return ItemFilter(self.type, self.order_id, self.item_id, self.min_priority)

    @property
    def filtered(self) -> bool:
        return replace(self, count=1, skills=frozenset()) != Wanted()


@dataclass(frozen=True, slots=True)
class Nothing:
    """Why nothing was handed out, and in how many milliseconds to ask again."""

    reason: str
    retry_after: int
    message: str


def expire_overdue(desk: Desk, tx: WriteTx, limit: int = OVERDUE_AT_ONCE) -> int:
    """End the leases that ran out, each with its event; returns how many."""
    overdue = tx.overdue(desk.clock.now(), limit)
    for item in overdue:
        tx.apply(decide.expire(_facts(desk, tx, item, SYSTEM)))
    return len(overdue)


def hand_out(desk: Desk, tx: WriteTx, actor: Actor, wanted: Wanted) -> list[WorkItem] | Nothing:
    """Up to ``wanted.count`` items under new leases for ``actor``, best first."""
    expire_overdue(desk, tx)
    claim = Claim(desk, tx, actor, wanted)
    _promote(desk, tx, claim)
    room = claim.room()
    got: list[WorkItem] = []
    while len(got) < min(wanted.count, room) and (item := claim.next()):
        tx.take_turn(item)
        got.append(_lease(desk, tx, item, actor))
    return got or claim.nothing()


def until_next(desk: Desk, tx: ReadTx, actor: Actor, wanted: Wanted) -> int:
    """In how many milliseconds a checkout may find something that it does not find now; 0 when it would find it."""
    claim = Claim(desk, tx, actor, wanted)
    if claim.room() > 0 and claim.next() is not None:
        return 0
    backlog = tx.backlog(claim.types, wanted.filter)
    times = [at - claim.now for at in (backlog.next_due, backlog.next_expiry) if at is not None]
    return max(min(times, default=ASK_AGAIN_MS), 0)


def _promote(desk: Desk, tx: WriteTx, claim: Claim) -> None:
    """What became due joins its line; what has waited for too long goes to the front."""
    for name in claim.types:
        tx.promote_due(name, claim.now, PROMOTED_AT_ONCE)
    longest = desk.settings.longest_wait_seconds
    if longest is not None:
        tx.promote_overlong(claim.now - round(longest * 1000), PROMOTED_AT_ONCE)


class Claim:
    """One caller's claim in one transaction: what it may have next, and what stood in the way of the rest."""

    def __init__(self, desk: Desk, tx: ReadTx, actor: Actor, wanted: Wanted) -> None:
        self.now = desk.clock.now()
        self.types = _types(desk, tx, wanted)
        self._desk, self._tx, self._actor, self._wanted = desk, tx, actor, wanted
        self._met: set[str] = set()
        self._asked: set[str] = set()

    def room(self) -> int:
        """How many items the caller's own limit leaves room for, as far as it asks."""
        room = limit.agent_room(self._desk.settings, self._tx, self._actor.session, self.now)
        if room is not None and room <= 0:
            self._met.add("agent_limit")
        return self._wanted.count if room is None else room

    def next(self) -> WorkItem | None:
        """The item that is asked for by name, or else what is kept for the caller, or else the best of all lines."""
        if self._wanted.item_id is not None:
            return self._named(self._wanted.item_id)
        return self._kept() or self._best()

    def _named(self, item_id: str) -> WorkItem | None:
        item = self._tx.item(item_id)
        if item is None or item.state != "queued" or item.waiting_for or item.type not in self.types:
            return None
        due = item.due_at is None or item.due_at <= self.now or item.reserved_for is not None
        wanted = item.priority >= (self._wanted.min_priority or 0)
        return item if due and wanted and self._free(item) else None

    def _kept(self) -> WorkItem | None:
        kept = self._tx.reserved(self._actor.session, self._wanted.filter, KEPT_LOOKED_AT)
        return next((item for item in kept if item.type in self.types and self._free(item)), None)

    def _free(self, item: WorkItem) -> bool:
        """Whether neither a limit nor a skill is in the way of one item."""
        policy = self._desk.policy(item.type)
        if limit.type_is_full(policy, self._tx, item.type, self.now):
            self._met.add("type_limit")
        elif limit.key_is_full(policy, self._tx, item, self.now):
            self._met.add("key_limit")
        else:
            return self._able(item)
        return False

    def _able(self, item: WorkItem) -> bool:
        if self._desk.registry.find(item) is None:
            self._met.add("unknown_type")
            return False
        missing = set(item.skills) - self._wanted.skills
        self._asked |= missing
        return not missing

    def _best(self) -> WorkItem | None:
        """Of the heads of all lines, that of the best rank; of equal ones that of the type served longest ago."""
        heads = [head for name in self.types if (head := self._head(name)) is not None]
        return heads[0] if len(heads) == 1 else min(heads, key=self._place, default=None)

    def _place(self, head: WorkItem) -> tuple[int, ...]:
        turns = self._tx.turns(head.type).items()
        served = max((turn.served for (rank, _), turn in turns if rank == head.rank), default=0)
        return head.rank, served, *_age(head)

    def _head(self, name: str) -> WorkItem | None:
        """The item of a type's line that the caller may have next; full keys and missing skills are skipped whole."""
        line = Line(name, self._wanted.order_id, self._wanted.min_priority or 0)
        first = self._tx.rank_after(line, BEFORE_ALL)
        if first is None:
            return None
        policy = self._desk.policy(name)
        if limit.type_is_full(policy, self._tx, name, self.now):
            self._met.add("type_limit")
            return None
        full, turns = limit.full_keys(policy, self._tx, name, self.now), self._tx.turns(name)
        while first is not None:
            heads = []
            for group in self._groups(line, first):
                turn = turns.get((group.rank, group.requires))
                head = self._in_turn(line, group, turn, full) if self._able(group) else None
                if head is not None:
                    heads.append((turn.served if turn else 0, *_age(head), head))
            if heads:
                return min(heads)[-1]
            first = self._tx.rank_after(line, first.rank)
        return None

    def _groups(self, line: Line, first: WorkItem) -> Iterator[WorkItem]:
        """The first item for each edition and set of skills of one rank."""
        group: WorkItem | None = first
        while group is not None:
            yield group
            group = self._tx.requires_after(line, group)

    def _in_turn(self, line: Line, group: WorkItem, turn: Turn | None, full: frozenset[str]) -> WorkItem | None:
        """Round the concurrency keys of a group, on from the one that was served last, to one that has room."""
        head = group if turn is None else self._tx.key_after(line, group, turn.concurrency_key) or group
        for _ in range(len(full) + 1):
            if head.concurrency_key not in full:
                return head
            head = self._tx.key_after(line, group, head.concurrency_key) or group
        self._met.add("key_limit")
        return None

    def nothing(self) -> Nothing:
        """The first reason that applies, of those in the order in which a caller can do something about them."""
        backlog = self._tx.backlog(self.types, self._wanted.filter)
        waits = [at - self.now for at in (backlog.next_due, backlog.next_expiry) if at is not None]
        soonest = max(min(waits, default=ASK_AGAIN_MS), 0)
        for reason, holds, message in [*self._obstacles(), *_reasons(backlog)]:
            if holds:
                return Nothing(reason, soonest, message)
        if self._wanted.filtered and self._any_open():
            return Nothing("no_match", ASK_AGAIN_MS, "no open item matches these filters; others are open")
        under = " under these filters" if self._wanted.filtered else ""
        return Nothing("empty", ASK_AGAIN_MS, f"there is no open work{under}")

    def _obstacles(self) -> list[tuple[str, bool, str]]:
        most, skills = self._desk.settings.max_leases_per_agent, ", ".join(sorted(self._asked))
        return [
            ("agent_limit", "agent_limit" in self._met, f"you hold {most} leases, as many as an agent may"),
            (
                "type_limit",
                "type_limit" in self._met,
                "items are ready, but their type has all the leases it may have",
            ),
            ("key_limit", "key_limit" in self._met, "items are ready, but their key has all the leases it may have"),
            ("no_match", bool(skills), f"items are ready that ask for skills you did not state: {skills}"),
            (
                "no_match",
                "unknown_type" in self._met,
                "items are ready whose type is another one here; explain says more",
            ),
        ]

    def _any_open(self) -> bool:
        names = self._desk.registry.names()
        waiting = any(holds for _, holds, _ in _reasons(self._tx.backlog(names, ItemFilter())))
        return waiting or any(self._tx.rank_after(Line(name), BEFORE_ALL) for name in names)


def _age(item: WorkItem) -> tuple[int, int, int]:
    return item.created_at, int(item.order_id.rpartition("-")[2]), item.number


def _reasons(backlog: Backlog) -> list[tuple[str, bool, str]]:
    return [
        ("backing_off", backlog.next_due is not None, "items wait for their time: a backoff, a not_before, or rework"),
        ("blocked", backlog.blocked, "items wait for others to be done first"),
        ("all_leased", backlog.next_expiry is not None, "all open items are leased"),
    ]


def _types(desk: Desk, tx: ReadTx, wanted: Wanted) -> Sequence[str]:
    """The types to look among: the one asked for, that of the order asked for, or all that are registered."""
    types = [wanted.type] if wanted.type else desk.registry.names()
    order_id = wanted.item_id.rpartition(".")[0] if wanted.item_id else wanted.order_id
    order = tx.order(order_id) if order_id else None
    return types if order is None else [name for name in types if name == order.type]


def _lease(desk: Desk, tx: WriteTx, item: WorkItem, actor: Actor) -> WorkItem:
    change = decide.checkout(_facts(desk, tx, item, actor), desk.ids.token())
    tx.apply(change)
    return change.items[0]


def _facts(desk: Desk, tx: ReadTx, item: WorkItem, actor: Actor) -> Facts:
    return Facts(
        order=must_find_order(tx, item.order_id),
        item=item,
        others=tx.other_states(item),
        policy=desk.policy(item.type),
        actor=actor,
        now=desk.clock.now(),
        jitter=desk.ids.jitter(),
    )
