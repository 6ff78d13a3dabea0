"""All there is about one order, for a person who is to judge it: nothing is cut."""

from __future__ import annotations

from workdocket.domain.model import WorkItem
from workdocket.ports import ReadTx
from workdocket.service import memory, view
from workdocket.service.desk import Answer, Desk, must_find_item, must_find_order

EVENTS = 300


async def dossier(desk: Desk, order_id: str, *, first: int = 0, most: int = 50) -> Answer:
    """The order, ``most`` of its items from number ``first`` on, decisions, diff and the newest events.

    ``version`` is the number of its last event: what else is read is of the same moment if that has not moved.
    """

    def body(tx: ReadTx) -> Answer:
        order = must_find_order(tx, order_id)
        counts, items = tx.counts([order_id])[order_id], tx.items(order_id)
        now, shown = desk.clock.now(), items[first : first + most]
        return {
            "order": {**view.order_row(order, counts), "meta": order.meta, "payload": order.payload},
            "record": order,
            "items": [_item(tx, item, now) for item in shown],
            "items_total": len(items),
            "decisions": [view.decision(one) for one in tx.decisions(order_id)],
            "diff": tx.diff(order_id),
            "events": [view.event(one) for one in tx.recent_events(order_id, EVENTS)],
            "version": tx.last_event(order_id),
        }

    return await desk.store.read(body)


async def item_file(desk: Desk, item_id: str) -> Answer:
    """One item of it."""
    return await desk.store.read(lambda tx: _item(tx, must_find_item(tx, item_id), desk.clock.now()))


def _item(tx: ReadTx, item: WorkItem, now: int) -> Answer:
    handed = tx.submission(item.id, item.result_key) if item.result_key else None
    return {
        **view.item_row(item, now),
        "input": item.input,
        **view.present(handed=view.submission(handed, view.UNCUT) if handed else None),
        "parts": [view.part_full(part, view.UNCUT) for part in tx.parts(item.id)],
        "attempts_made": [view.attempt(lease) for lease in tx.leases(item.id)],
        "late_results": [view.submission(one, view.UNCUT) for one in tx.submissions(item.id, kind="late")],
        **memory.reasons(item, view.UNCUT),
    }
