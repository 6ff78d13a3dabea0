"""Handing items out: who may have what now, and why nothing when it is nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from workdocket.domain import decide
from workdocket.domain.decide import Facts
from workdocket.domain.model import SYSTEM, Actor, WorkItem
from workdocket.ports import Backlog, ItemFilter, ReadTx, WriteTx
from workdocket.service.desk import Desk, must_find_order

OVERDUE_AT_ONCE = 200
DUE_AT_ONCE = 500
ASK_AGAIN_MS = 10_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a checkout asks for; no type means every registered one."""

    type: str | None = None
    order_id: str | None = None
    item_id: str | None = None
    min_priority: int | None = None
    count: int = 1

    @property
    def filter(self) -> ItemFilter:
        return ItemFilter(self.order_id, self.item_id, self.min_priority)

    @property
    def filtered(self) -> bool:
        return replace(self, count=1) != Wanted()


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
    now = desk.clock.now()
    types = _types(desk, tx, wanted)
    for name in types:
        tx.promote_due(name, now, DUE_AT_ONCE)
    room = _room(desk, tx, actor, now)
    if room is not None and room <= 0:
        limit = desk.settings.max_leases_per_agent
        return Nothing("agent_limit", ASK_AGAIN_MS, f"you hold {limit} leases, as many as an agent may")
    count = wanted.count if room is None else min(wanted.count, room)
    chosen = _best(desk, tx, actor, wanted, types, count, now)
    if not chosen:
        return why_nothing(desk, tx, wanted, types, now)
    return [_lease(desk, tx, item, actor) for item in chosen]


def _types(desk: Desk, tx: ReadTx, wanted: Wanted) -> Sequence[str]:
    """The types to look among: the one asked for, that of the order asked for, or all that are registered."""
    types = [wanted.type] if wanted.type else desk.registry.names()
    order_id = wanted.item_id.rpartition(".")[0] if wanted.item_id else wanted.order_id
    order = tx.order(order_id) if order_id else None
    return types if order is None else [name for name in types if name == order.type]


def _room(desk: Desk, tx: ReadTx, actor: Actor, now: int) -> int | None:
    limit = desk.settings.max_leases_per_agent
    return None if limit is None else limit - tx.live_leases(now=now, session=actor.session)


def _type_room(desk: Desk, tx: ReadTx, name: str, now: int, count: int) -> int:
    limit = desk.policy(name).max_leases
    return count if limit is None else max(min(count, limit - tx.live_leases(now=now, type=name)), 0)


def _best(
    desk: Desk, tx: ReadTx, actor: Actor, wanted: Wanted, types: Sequence[str], count: int, now: int
) -> list[WorkItem]:
    """What was kept for this caller first, then by priority, then by age; within every type's limit."""
    room = {name: _type_room(desk, tx, name, now, count) for name in types}
    kept = [item for item in tx.reserved(actor.session, wanted.filter, count) if room.get(item.type)]
    queued = [
        item
        for name in types
        if room[name]
        for item in tx.ready(name, wanted.filter, room[name])
        if wanted.item_id is None or item.due_at is None or item.due_at <= now or item.reserved_for is not None
    ]
    queued.sort(key=lambda item: (-item.priority, item.created_at, _number(item)))
    chosen: dict[str, WorkItem] = {}
    for item in [*kept, *queued]:
        if len(chosen) < count and room[item.type] and item.id not in chosen:
            chosen[item.id] = item
            room[item.type] -= 1
    return list(chosen.values())


def _number(item: WorkItem) -> tuple[int, int]:
    return int(item.order_id.rpartition("-")[2]), item.number


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


def may_hand_out(desk: Desk, tx: ReadTx, actor: Actor, wanted: Wanted) -> bool:
    """Whether a checkout could find something; limits are not looked at."""
    if tx.reserved(actor.session, wanted.filter, 1):
        return True
    backlog, now = tx.backlog(_types(desk, tx, wanted), wanted.filter), desk.clock.now()
    times = (backlog.next_due, backlog.next_expiry)
    return backlog.ready or any(at is not None and at <= now for at in times)


def why_nothing(desk: Desk, tx: ReadTx, wanted: Wanted, types: Sequence[str], now: int) -> Nothing:
    """The first reason that applies, of those in the order in which a caller can do something about them."""
    backlog = tx.backlog(types, wanted.filter)
    waits = [at - now for at in (backlog.next_due, backlog.next_expiry) if at is not None]
    soonest = max(min(waits, default=ASK_AGAIN_MS), 0)
    for reason, holds, message in _reasons(backlog):
        if holds:
            return Nothing(reason, soonest, message)
    everything = tx.backlog(desk.registry.names(), ItemFilter())
    if wanted.filtered and _any(everything):
        return Nothing("no_match", ASK_AGAIN_MS, "no open item matches these filters; others are open")
    return Nothing("empty", ASK_AGAIN_MS, "there is no open work" + (" under these filters" if wanted.filtered else ""))


def _reasons(backlog: Backlog) -> list[tuple[str, bool, str]]:
    return [
        ("type_limit", backlog.ready, "items are ready, but as many of their type are leased as may be"),
        ("backing_off", backlog.next_due is not None, "items wait for their time: a backoff, a not_before, or rework"),
        ("blocked", backlog.blocked, "items wait for others to be done first"),
        ("all_leased", backlog.next_expiry is not None, "all open items are leased"),
    ]


def _any(backlog: Backlog) -> bool:
    return any(holds for _, holds, _ in _reasons(backlog))
