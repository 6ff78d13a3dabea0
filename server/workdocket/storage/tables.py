"""ReadTx over any DB-API connection: finds rows, and knows no rule."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import takewhile
from typing import Any, Protocol

from workdocket.domain.model import (
    Decision,
    Effect,
    Event,
    Lease,
    Part,
    Submission,
    WorkItem,
    WorkOrder,
    rank_of,
)
from workdocket.ports import Backlog, EventQuery, ItemFilter, Line, OrderPage, OrderQuery, Slot, Token, Turn
from workdocket.storage import codec, listing
from workdocket.storage import statements as sql

LOWEST_PRIORITY = 0
ALL = 1_000_000_000


class Cursor(Protocol):
    @property
    def rowcount(self) -> int: ...
    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...


class Connection(Protocol):
    """What is asked of a database connection."""

    def execute(self, statement: str, parameters: Mapping[str, Any], /) -> Cursor: ...
    def executemany(self, statement: str, parameters: Iterable[Mapping[str, Any]], /) -> Any: ...


class ReadTables:
    """Finders on one snapshot."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def _all(self, statement: str, **parameters: Any) -> list[Any]:
        return self._db.execute(statement, parameters).fetchall()

    def _one(self, statement: str, **parameters: Any) -> Any:
        return self._db.execute(statement, parameters).fetchone()

    # orders

    def order(self, order_id: str, *, items: bool = False, results: bool = False) -> WorkOrder | None:
        row = self._one(sql.ORDER_BY_ID, id=order_id)
        if row is None:
            return None
        order = codec.order(row)
        if not (items or results):
            return order
        found = self.items(order_id)
        if results:
            by_id = {item_id: codec.loads(text) for item_id, text in self._all(sql.RESULTS_OF_ORDER, order_id=order_id)}
            found = tuple(replace(item, result=by_id.get(item.id)) for item in found)
        return replace(order, items=found)

    def order_number(self, number: int) -> WorkOrder | None:
        row = self._one(sql.ORDER_BY_NUMBER, number=number)
        return codec.order(row) if row else None

    def orders_near(self, number: int) -> tuple[str, ...]:
        return tuple(row[0] for row in self._all(sql.ORDERS_NEAR, number=number))

    def order_by_dedupe_key(self, type: str, key: str) -> WorkOrder | None:
        row = self._one(sql.ORDER_BY_DEDUPE_KEY, type=type, key=key)
        return codec.order(row) if row else None

    def undo_of(self, order_id: str) -> WorkOrder | None:
        row = self._one(sql.UNDO_OF, id=order_id)
        return codec.order(row) if row else None

    def past_deadline(self, now: int, limit: int) -> tuple[WorkOrder, ...]:
        return tuple(codec.order(row) for row in self._all(sql.PAST_DEADLINE, now=now, limit=limit))

    def submitted_since(self, type: str, before: int, limit: int) -> tuple[WorkOrder, ...]:
        rows = self._all(sql.SUBMITTED_SINCE, type=type, before=before, limit=limit)
        return tuple(codec.order(row) for row in rows)

    def failed_since(self, before: int, limit: int) -> tuple[WorkOrder, ...]:
        return tuple(codec.order(row) for row in self._all(sql.FAILED_SINCE, before=before, limit=limit))

    def orders(self, query: OrderQuery) -> OrderPage:
        where, parameters = listing.conditions(query)
        total = self._one(sql.count_orders(where), **parameters)[0]
        order_by, keys = listing.sorting(query.sort)
        if query.cursor is not None:
            where, parameters = listing.after_cursor(where, parameters, keys, query.cursor)
        rows = self._all(sql.list_orders(where, order_by), **parameters, limit=query.limit + 1)
        found = tuple(codec.order(row) for row in rows[: query.limit])
        more = tuple(listing.sort_value(found[-1], name) for name, _ in keys) if len(rows) > query.limit else None
        return OrderPage(found, self.counts([order.id for order in found]), more, total)

    def counts(self, order_ids: Sequence[str]) -> Mapping[str, Mapping[str, int]]:
        return {order_id: dict(self._all(sql.COUNT_ITEMS, order_id=order_id)) for order_id in order_ids}

    # items

    def item(self, item_id: str, *, result: bool = False) -> WorkItem | None:
        row = self._one(sql.ITEM_BY_ID, id=item_id)
        if row is None:
            return None
        item = codec.item(row)
        if result and item.result_key is not None:
            handed = self.submission(item_id, item.result_key)
            return replace(item, result=handed.result if handed else None)
        return item

    def items(self, order_id: str, *, limit: int | None = None) -> tuple[WorkItem, ...]:
        return self._items(sql.ITEMS_OF_ORDER, order_id=order_id, limit=ALL if limit is None else limit)

    def item_ids(self, prefix: str, limit: int) -> tuple[tuple[str, ...], int]:
        order_id, dot, _ = prefix.partition(".")
        last = order_id if dot else f"{order_id}{chr(sys.maxunicode)}"
        rows = self._all(sql.ITEM_IDS, prefix=prefix, first=order_id, last=last, limit=limit)
        return tuple(row[0] for row in rows), self._one(sql.COUNT_ITEM_IDS, prefix=prefix)[0]

    def _item(self, statement: str, **parameters: Any) -> WorkItem | None:
        row = self._one(statement, **parameters)
        return codec.item(row) if row else None

    def _items(self, statement: str, **parameters: Any) -> tuple[WorkItem, ...]:
        return tuple(codec.item(row) for row in self._all(statement, **parameters))

    def other_states(self, item: WorkItem) -> frozenset[str]:
        return frozenset(row[0] for row in self._all(sql.OTHER_STATES, order_id=item.order_id, number=item.number))

    def dependents(self, item: WorkItem) -> tuple[WorkItem, ...]:
        return self._items(sql.ITEMS_THAT_NEED, item_id=item.id)

    def waiting_for_order(self, order_id: str) -> tuple[WorkItem, ...]:
        waiting = self._items(sql.ITEMS_WAITING_FOR_ORDER, order_id=order_id)
        return tuple(item for item in waiting if order_id in item.waiting_for)

    # leases

    def lease_by_token(self, item_id: str, token: str) -> Lease | None:
        row = self._one(sql.LEASE_BY_TOKEN, item_id=item_id, token=token)
        return codec.lease(row) if row else None

    def leases(self, item_id: str) -> tuple[Lease, ...]:
        return tuple(codec.lease(row) for row in self._all(sql.LEASES_OF_ITEM, item_id=item_id))

    def held_by(self, actor_id: str) -> tuple[WorkItem, ...]:
        return self._items(sql.HELD_BY, actor_id=actor_id)

    def returned_to(self, session: str, actor_id: str) -> tuple[WorkItem, ...]:
        return self._items(sql.RETURNED_TO, actor_id=actor_id)

    def awaiting_review(self, actor_id: str) -> tuple[WorkItem, ...]:
        return self._items(sql.AWAITING_REVIEW, actor_id=actor_id)

    def leases_of_session(self, session: str, now: int) -> int:
        return int(self._one(sql.LIVE_LEASES_OF_SESSION, session=session, now=now)[0])

    def leases_of_type(self, type: str, now: int) -> int:
        return int(self._one(sql.LIVE_LEASES_OF_TYPE, type=type, now=now)[0])

    def leases_of_key(self, type: str, key: str, now: int) -> int:
        return int(self._one(sql.LIVE_LEASES_OF_KEY, type=type, key=key, now=now)[0])

    def full_keys(self, type: str, most: int, now: int) -> frozenset[str]:
        return frozenset(row[0] for row in self._all(sql.FULL_KEYS, type=type, most=most, now=now))

    def involved(self, order_id: str) -> frozenset[str]:
        return frozenset(row[0] for row in self._all(sql.INVOLVED, order_id=order_id))

    # what was handed in, decided and done

    def submissions(self, item_id: str, *, kind: str | None = None) -> tuple[Submission, ...]:
        found = (codec.submission(row) for row in self._all(sql.SUBMISSIONS, item_id=item_id))
        return tuple(one for one in found if kind in (None, one.kind))

    def submission(self, item_id: str, key: str) -> Submission | None:
        row = self._one(sql.SUBMISSION_BY_KEY, item_id=item_id, key=key)
        return codec.submission(row) if row else None

    def result_checksums(self, order_id: str) -> Mapping[str, str]:
        return dict(self._all(sql.RESULT_CHECKSUMS, order_id=order_id))

    def parts(self, item_id: str) -> tuple[Part, ...]:
        return tuple(codec.part(row) for row in self._all(sql.PARTS, item_id=item_id))

    def decisions(self, order_id: str) -> tuple[Decision, ...]:
        return tuple(codec.decision(row) for row in self._all(sql.DECISIONS, order_id=order_id))

    def effects(self, order_id: str) -> tuple[Effect, ...]:
        return tuple(codec.effect(row) for row in self._all(sql.EFFECTS_OF_ORDER, order_id=order_id))

    def effect(self, effect_id: str) -> Effect | None:
        row = self._one(sql.EFFECT_BY_ID, id=effect_id)
        return codec.effect(row) if row else None

    def due_effects(self, now: int, limit: int) -> tuple[Effect, ...]:
        return tuple(codec.effect(row) for row in self._all(sql.DUE_EFFECTS, now=now, limit=limit))

    def due_notifications(self, channel: str, now: int, limit: int) -> tuple[Effect, ...]:
        rows = self._all(sql.DUE_NOTIFICATIONS, channel=channel, now=now, limit=limit)
        return tuple(codec.effect(row) for row in rows)

    def old_notifications(self, before: int, limit: int) -> tuple[Effect, ...]:
        return tuple(codec.effect(row) for row in self._all(sql.OLD_NOTIFICATIONS, before=before, limit=limit))

    def next_notification(self, channel: str) -> int | None:
        at: int | None = self._one(sql.NEXT_NOTIFICATION_AT, channel=channel)[0]
        return at

    def undelivered(self, limit: int) -> tuple[tuple[Effect, ...], Mapping[tuple[str, str], int]]:
        counts = {(channel, state): count for channel, state, count in self._all(sql.COUNT_UNDELIVERED)}
        return tuple(codec.effect(row) for row in self._all(sql.UNDELIVERED, limit=limit)), counts

    def next_due(self) -> int | None:
        times = [self._one(statement)[0] for statement in (sql.NEXT_EFFECT_AT, sql.NEXT_DEADLINE)]
        return min((at for at in times if at is not None), default=None)

    def diff(self, order_id: str) -> dict[str, Any] | None:
        row = self._one(sql.DIFF_OF_ORDER, order_id=order_id)
        return codec.loads(row[0]) if row else None

    # the trail

    def events(self, query: EventQuery) -> tuple[Event, ...]:
        wanted = {name: getattr(query, name) for name in sql.EVENT_FILTERS if getattr(query, name) is not None}
        where = [sql.EVENT_FILTERS[name] for name in wanted]
        rows = self._all(sql.list_events(where, newest=query.newest), **wanted, after=query.after, limit=query.limit)
        return tuple(codec.event(row) for row in rows)

    def recent_events(self, order_id: str, limit: int) -> tuple[Event, ...]:
        rows = self._all(sql.RECENT_EVENTS, order_id=order_id, limit=limit)
        return tuple(codec.event(row) for row in reversed(rows))

    def marks(self, event: str, since: int, limit: int) -> tuple[tuple[int, str], ...]:
        rows = self._all(sql.MARKS, event=event, limit=limit)
        return tuple(takewhile(lambda row: row[0] >= since, rows))

    def last_event(self, order_id: str | None = None) -> int:
        row = self._one(sql.LAST_EVENT_OF_ORDER, order_id=order_id) if order_id else self._one(sql.LAST_EVENT)
        return int(row[0] or 0) if row else 0

    # the queue

    def rank_after(self, line: Line, rank: int) -> WorkItem | None:
        given = {"rank": rank, "last_rank": rank_of(line.min_priority)}
        return self._item(sql.RANK_AFTER[_scope(line)], **_line(line), **given)

    def requires_after(self, line: Line, group: WorkItem) -> WorkItem | None:
        given = {"rank": group.rank, "requires": codec.dumps(group.requires)}
        return self._item(sql.REQUIRES_AFTER[_scope(line)], **_line(line), **given)

    def key_after(self, line: Line, group: WorkItem, key: str) -> WorkItem | None:
        given = {"rank": group.rank, "requires": codec.dumps(group.requires), "concurrency_key": key}
        return self._item(sql.KEY_AFTER[_scope(line)], **_line(line), **given)

    def turns(self, type: str) -> Mapping[tuple[int, tuple[str, ...]], Turn]:
        rows = self._all(sql.TURNS, type=type)
        return {(rank, codec.many(requires)): Turn(key, served) for rank, requires, key, served in rows}

    def reserved(self, session: str, wanted: ItemFilter, limit: int) -> tuple[WorkItem, ...]:
        return self._items(
            sql.RESERVED,
            session=session,
            type=wanted.type,
            min_priority=LOWEST_PRIORITY if wanted.min_priority is None else wanted.min_priority,
            order_id=wanted.order_id,
            item_id=wanted.item_id,
            limit=limit,
        )

    def overdue(self, now: int, limit: int) -> tuple[WorkItem, ...]:
        return self._items(sql.OVERDUE, now=now, limit=limit)

    def backlog(self, types: Sequence[str], wanted: ItemFilter) -> Backlog:
        scope = "item_id" if wanted.item_id else "order_id" if wanted.order_id else ""
        found = [self._backlog_of(type, scope, wanted) for type in types]
        dues = [one.next_due for one in found if one.next_due is not None]
        expiries = [one.next_expiry for one in found if one.next_expiry is not None]
        return Backlog(
            next_due=min(dues, default=None),
            blocked=any(one.blocked for one in found),
            next_expiry=min(expiries, default=None),
        )

    def _backlog_of(self, type: str, scope: str, wanted: ItemFilter) -> Backlog:
        given = {
            "type": type,
            "min_priority": LOWEST_PRIORITY if wanted.min_priority is None else wanted.min_priority,
            "order_id": wanted.order_id,
            "item_id": wanted.item_id,
        }
        return Backlog(
            next_due=self._one(sql.NEXT_DUE[scope], **given)[0],
            blocked=self._one(sql.ANY_BLOCKED[scope], **given) is not None,
            next_expiry=self._one(sql.NEXT_EXPIRY[scope], **given)[0],
        )

    def ready_types(self) -> tuple[str, ...]:
        return tuple(row[0] for row in self._all(sql.READY_TYPES))

    def delayed(self, type: str, limit: int) -> tuple[WorkItem, ...]:
        return self._items(sql.DELAYED, type=type, limit=limit)

    def blocked(self, type: str, limit: int) -> tuple[WorkItem, ...]:
        return self._items(sql.BLOCKED, type=type, limit=limit)

    def held(self, limit: int) -> tuple[WorkItem, ...]:
        return self._items(sql.HELD, limit=limit)

    def tally(self, most: int) -> Mapping[str, int]:
        return {kind: self._one(statement, most=most)[0] for kind, statement in sql.TALLY.items()}

    def order_states(self) -> Mapping[str, int]:
        return dict(self._all(sql.ORDER_STATES))

    def lease_counts(self, now: int) -> tuple[int, int]:
        live, expired = self._one(sql.LEASE_COUNTS, now=now)
        return live, expired

    def slot(self, generator: str, schedule: str) -> Slot | None:
        row = self._one(sql.SLOT_OF, generator=generator, schedule=schedule)
        return codec.slot(row) if row else None

    def token(self, token_id: str) -> Token | None:
        row = self._one(sql.TOKEN_BY_ID, id=token_id)
        return codec.token(row) if row else None

    def tokens(self) -> tuple[Token, ...]:
        return tuple(codec.token(row) for row in self._all(sql.TOKENS))

    def any_token(self) -> bool:
        return self._one(sql.ANY_TOKEN) is not None

    def recall(self, scope: str, since: int) -> tuple[str, Any] | None:
        row = self._one(sql.RECALL, scope=scope, since=since)
        return (row[0], codec.loads(row[1])) if row else None

    def answers_before(self, before: int) -> int:
        return int(self._one(sql.ANSWERS_BEFORE, before=before)[0])


def _scope(line: Line) -> str:
    return "order_id" if line.order_id else ""


def _line(line: Line) -> dict[str, Any]:
    where = {"order_id": line.order_id} if line.order_id else {"type": line.type}
    return {**where, "min_priority": line.min_priority}
