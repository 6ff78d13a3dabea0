"""Answers ``explain``: about an item, about an order, about the queue. Short enough to be read in passing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from workdocket.domain.machine import TERMINAL
from workdocket.domain.model import BEFORE_ALL, Actor, WorkItem, canonical, iso
from workdocket.ports import Line, OrderQuery, ReadTx
from workdocket.service import view
from workdocket.service.desk import Answer, Desk, must_find_item, must_find_order
from workdocket.service.reason import Look, Reason, together
from workdocket.service.review import packet_of

ROOM = 1_000
"""Characters of an answer's reasons; what goes beyond is told by code and count alone."""

SHORT = ("code", "items", "orders", "count")
LONGEST = 200
EXAMPLES = 2
LOOKED_AT = 5
MOST_ITEMS = 200
MOST_COUNTED = 1_000

ORDERS: Sequence[tuple[str, str, str, str]] = (
    ("submitted", "awaiting_review", "review(order_id), then approve or reject", "reviewer"),
    ("failed", "failed", "explain(order_id) says why; then retry or cancel", "reviewer"),
    ("approved", "applying", "a running server applies them; explain(order_id) says when", "a server"),
    ("rejected", "rejected", "workdocket orders requeue", "admin"),
)
"""Orders that wait for somebody: their state, the code of it, and what by whom would change it."""


class Why:
    """Reads, and asks an order type only about one submitted order."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def explain(self, actor: Actor, order_id: str | None, item_id: str | None) -> Answer:
        if item_id is not None:
            return await self._desk.store.read(lambda tx: self._item(tx, actor, item_id))
        if order_id is not None:
            return await self._order(actor, order_id)
        return await self._desk.store.read(lambda tx: self._queue(tx, actor))

    def _item(self, tx: ReadTx, actor: Actor, item_id: str) -> Answer:
        item = must_find_item(tx, item_id)
        order = must_find_order(tx, item.order_id)
        found = Look(self._desk, tx, actor).at_item(order, item)
        return {"item_id": item.id, "state": item.state, "reasons": [_row(reason) for reason in found]}

    async def _order(self, actor: Actor, order_id: str) -> Answer:
        answer = await self._desk.store.read(lambda tx: self._order_view(tx, actor, order_id))
        if answer["state"] != "submitted":
            return answer
        findings = (await packet_of(self._desk, order_id)).findings
        action = "mend it: reject with rework, or fix the cause"
        against = [Reason("not_ready", finding.message or finding.code, action, "reviewer") for finding in findings]
        return {**answer, "reasons": _fitting([*map(_row, against), *answer["reasons"]])}

    def _order_view(self, tx: ReadTx, actor: Actor, order_id: str) -> Answer:
        order, look = must_find_order(tx, order_id), Look(self._desk, tx, actor)
        items = [item for item in tx.items(order_id, limit=MOST_ITEMS) if item.state not in TERMINAL]
        of_items = ((item.id, reason) for item in items for reason in look.at_item(order, item))
        whole = list(look.at_order(order))
        rows = [_row(reason) for reason in whole]
        rows += [_row(reason, ids) for reason, ids in together(of_items) if reason not in whole]
        return {"order_id": order.id, "state": order.state, "reasons": _fitting(rows)}

    def _queue(self, tx: ReadTx, actor: Actor) -> Answer:
        look, tally = Look(self._desk, tx, actor), tx.tally(MOST_COUNTED)
        rows = [_row(reason) for reason in look.at_caller()]
        seen = ((item.id, reason) for item in self._sample(tx) for reason in self._at(tx, look, item))
        rows += [_row(reason, ids) for reason, ids in together(seen) if reason.code != "agent_limit"]
        rows += _orders(tx)
        if not any(tally.values()) and not rows:
            rows = [_row(Reason("empty", "there is no open work", "propose", "requester"))]
        return {"reasons": _fitting(rows), "totals": {name: n for name, n in tally.items() if n}}

    def _at(self, tx: ReadTx, look: Look, item: WorkItem) -> Iterable[Reason]:
        return look.at_item(must_find_order(tx, item.order_id), item)

    def _sample(self, tx: ReadTx) -> Iterator[WorkItem]:
        """Some of the items of every kind that is not done: ready, delayed, blocked, leased."""
        for name in dict.fromkeys([*self._desk.registry.names(), *tx.ready_types()]):
            yield from _heads(tx, name)
            yield from tx.delayed(name, LOOKED_AT)
            yield from tx.blocked(name, LOOKED_AT)
        yield from tx.held(LOOKED_AT)


def _heads(tx: ReadTx, name: str) -> Iterator[WorkItem]:
    """The first of a type's items of each rank and set of skills, as far as is looked."""
    head = tx.rank_after(Line(name), BEFORE_ALL)
    for _ in range(LOOKED_AT):
        if head is None:
            return
        yield head
        head = tx.requires_after(Line(name), head) or tx.rank_after(Line(name), head.rank)


def _orders(tx: ReadTx) -> Iterator[Answer]:
    for state, code, action, by in ORDERS:
        page = tx.orders(OrderQuery(state=state, limit=EXAMPLES))
        if page.total:
            some = [order.id for order in page.orders]
            yield {"code": code, "orders": some, "count": page.total, "action": action, "by": by}


def _row(reason: Reason, ids: Sequence[str] = ()) -> Answer:
    return view.present(
        code=reason.code,
        message=_short(reason.message),
        action=reason.action,
        by=reason.by,
        earliest_at=None if reason.at is None else iso(reason.at),
        items=list(ids[:EXAMPLES]) or None,
        count=len(ids) if len(ids) > EXAMPLES else None,
    )


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _fitting(rows: Sequence[Answer]) -> list[Answer]:
    """The rows, those beyond the room cut down to what they are about."""
    room, found = ROOM, []
    for row in rows:
        room -= len(canonical(row))
        found.append(row if room >= 0 else {name: value for name, value in row.items() if name in SHORT})
    return found
