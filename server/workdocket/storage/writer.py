"""WriteTx over any DB-API connection: locks and writes rows, and knows no rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workdocket.domain.model import OVERLONG, Change, Event, WorkItem, WorkOrder, chained
from workdocket.ports import Moved, Slot, Token
from workdocket.storage import codec
from workdocket.storage import statements as sql
from workdocket.storage.tables import Connection, ReadTables


class WriteTables(ReadTables):
    """The same, able to write. ``applied`` is what one body has written so far."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.applied: list[Change] = []

    def apply(self, change: Change) -> None:
        self.applied.append(change)
        numbers = {order.id: order.number for order in change.orders}
        for order in change.orders:
            self._write_order(order)
        self._write_items(change.items, numbers)
        for lease in change.leases:
            self._db.execute(sql.UPSERT_LEASE, codec.lease_columns(lease))
        for submission in change.submissions:
            self._db.execute(sql.INSERT_SUBMISSION, codec.submission_columns(submission))
        for part in change.parts:
            self._db.execute(sql.UPSERT_PART, codec.part_columns(part))
        for decision in change.decisions:
            self._db.execute(sql.INSERT_DECISION, codec.decision_columns(decision))
        for effect in change.effects:
            self._db.execute(sql.UPSERT_EFFECT, codec.effect_columns(effect))
        self._write_events(change.events)

    def _write_order(self, order: WorkOrder) -> None:
        if order.version > 1:
            self._guarded(sql.UPDATE_ORDER, codec.order_columns(order))
            return
        self._db.execute(sql.INSERT_ORDER, codec.order_columns(order))
        for key, value in order.meta.items():
            self._db.execute(sql.INSERT_ORDER_META, {"key": key, "value": codec.meta_text(value), "order_id": order.id})
        for needs in dict.fromkeys(order.depends_on):
            self._db.execute(sql.INSERT_ORDER_NEED, {"order_id": order.id, "needs_id": needs})

    def _write_items(self, items: Sequence[WorkItem], numbers: Mapping[str, int]) -> None:
        fresh = [codec.item_columns(item, numbers[item.order_id]) for item in items if item.version == 1]
        if fresh:
            self._db.executemany(sql.INSERT_ITEM, fresh)
            needs = [(item.id, other) for item in items if item.version == 1 for other in dict.fromkeys(item.after)]
            self._db.executemany(sql.INSERT_ITEM_NEED, [{"item_id": one, "needs_id": other} for one, other in needs])
        for item in items:
            if item.version > 1:
                self._guarded(sql.UPDATE_ITEM, codec.item_columns(item))

    def _guarded(self, statement: str, columns: codec.Columns) -> None:
        if self._db.execute(statement, columns).rowcount != 1:
            raise Moved(columns["id"])

    def _write_events(self, events: Sequence[Event]) -> None:
        if not events:
            return
        last = self._one(sql.LAST_EVENT)
        seq, head = (last[0], last[1]) if last else (0, "")
        for event in events:
            seq += 1
            hash = chained(event, seq, head)
            self._db.execute(sql.INSERT_EVENT, codec.event_columns(event, seq, head, hash))
            head = hash

    def next_number(self) -> int:
        return int(self._one(sql.NEXT_NUMBER)[0])

    def promote_due(self, type: str, now: int, limit: int) -> int:
        return self._db.execute(sql.PROMOTE_DUE, {"type": type, "now": now, "limit": limit}).rowcount

    def promote_overlong(self, before: int, limit: int) -> int:
        given = {"rank": OVERLONG, "before": before, "limit": limit}
        return self._db.execute(sql.PROMOTE_OVERLONG, given).rowcount

    def take_turn(self, item: WorkItem) -> None:
        given = {"type": item.type, "rank": item.rank, "requires": codec.dumps(item.requires)}
        self._db.execute(sql.TAKE_TURN, {**given, "concurrency_key": item.concurrency_key})

    def extend_claim(self, effect_id: str, claim: str, until: int) -> bool:
        return self._db.execute(sql.EXTEND_CLAIM, {"id": effect_id, "claim": claim, "until": until}).rowcount == 1

    def keep_slot(self, slot: Slot) -> None:
        self._db.execute(sql.UPSERT_SLOT, codec.slot_columns(slot))

    def add_token(self, token: Token) -> None:
        self._db.execute(sql.INSERT_TOKEN, codec.token_columns(token))

    def revoke_token(self, token_id: str, at: int, by: str) -> None:
        self._db.execute(sql.REVOKE_TOKEN, {"id": token_id, "at": at, "by": by})

    def remember(self, scope: str, request_hash: str, answer: Any, now: int) -> None:
        self._db.execute(
            sql.REMEMBER,
            {"scope": scope, "request_hash": request_hash, "created_at": now, "answer": codec.dumps(answer)},
        )

    def forget_answers(self, before: int, limit: int) -> int:
        return self._db.execute(sql.FORGET_ANSWERS, {"before": before, "limit": limit}).rowcount
