"""Every query, once. Named parameters, whole-number times, JSON as text: one text for every database."""

from __future__ import annotations

from collections.abc import Sequence

from workdocket.domain.machine import ITEM_TABLE, TERMINAL

ORDER = (
    "number", "id", "uid", "version", "type", "type_version", "edition", "state", "priority", "requester_type",
    "requester_id", "created_at", "changed_at", "not_before", "deadline", "deadline_missed_at", "applied_at",
    "completed_at", "dedupe_key", "depends_on", "meta", "reverts", "error", "payload",
)  # fmt: skip
ITEM = (
    "id", "order_id", "order_number", "number", "version", "type", "state", "priority", "key", "created_at",
    "changed_at", "max_attempts", "attempts", "fence", "due_at", "ready_at", "rank", "requires", "concurrency_key",
    "waiting_for", "needs", "reserved_for",
    "lease_holder", "lease_expires_at", "result_key", "refused_checksum", "feedback", "error", "input",
)  # fmt: skip
LEASE = (
    "item_id", "fence", "token", "actor_type", "actor_id", "session", "agent", "client", "attempt", "leased_at",
    "expires_at", "heartbeat_at", "progress", "note", "ended_at", "ending",
)  # fmt: skip
SUBMISSION = (
    "item_id", "key", "fence", "kind", "checksum", "actor_type", "actor_id", "agent", "at", "evidence", "notes",
    "result",
)  # fmt: skip
PART = (
    "item_id", "key", "seq", "status", "checksum", "fence", "actor_type", "actor_id", "agent", "at", "evidence",
    "notes", "findings", "payload",
)  # fmt: skip
DECISION = (
    "order_id", "number", "verdict", "actor_type", "actor_id", "agent", "at", "digest", "comment", "errors",
)  # fmt: skip
EFFECT = (
    "id", "kind", "order_id", "state", "attempts", "next_at", "claim", "claimed_until", "error", "channel",
    "data",
)  # fmt: skip
SLOT = ("generator", "schedule", "at", "state", "crashes", "claim", "claimed_until", "outcome")
TOKEN = (
    "id", "name", "kind", "roles", "hash", "created_at", "created_by", "expires_at", "revoked_at", "revoked_by",
)  # fmt: skip
ANSWER = ("scope", "request_hash", "created_at", "answer")
EVENT = (
    "seq", "at", "event", "order_id", "item_id", "actor_type", "actor_id", "agent", "client", "attempt",
    "from_state", "to_state", "message", "data", "diff", "prev_hash", "hash",
)  # fmt: skip

# "LIMIT :limit + 0": for a bare parameter SQLite plans the statement anew at every execution, since the value might
# matter; that costs five times what the search itself does.


def _list(columns: Sequence[str], table: str = "") -> str:
    return ", ".join(f"{table}.{column}" if table else column for column in columns)


def _insert(table: str, columns: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({_list(columns)}) VALUES ({', '.join(':' + column for column in columns)})"


def _update(table: str, columns: Sequence[str], fixed: Sequence[str]) -> str:
    changing = ", ".join(f"{column} = :{column}" for column in columns if column not in fixed)
    return f"UPDATE {table} SET {changing} WHERE id = :id AND version = :version - 1"


def _upsert(table: str, columns: Sequence[str], key: Sequence[str]) -> str:
    changing = ", ".join(f"{column} = excluded.{column}" for column in columns if column not in key)
    return f"{_insert(table, columns)} ON CONFLICT ({_list(key)}) DO UPDATE SET {changing}"


ITEM_WITH_LEASE = (
    f"SELECT {_list(ITEM, 'i')}, {_list(LEASE, 'l')} FROM items i"
    " LEFT JOIN leases l ON l.item_id = i.id AND l.fence = i.fence"
)

NEXT_NUMBER = "UPDATE sequences SET value = value + 1 WHERE name = 'order' RETURNING value"

ORDER_BY_ID = f"SELECT {_list(ORDER)} FROM orders WHERE id = :id"
ORDER_BY_NUMBER = f"SELECT {_list(ORDER)} FROM orders WHERE number = :number"
ORDER_BY_DEDUPE_KEY = (
    f"SELECT {_list(ORDER)} FROM orders WHERE type = :type AND dedupe_key = :key"
    " AND state NOT IN ('cancelled', 'dead_lettered', 'rejected') ORDER BY number DESC LIMIT 1"
)
UNDO_OF = (
    f"SELECT {_list(ORDER)} FROM orders WHERE reverts = :id"
    " AND state NOT IN ('cancelled', 'dead_lettered', 'rejected') ORDER BY number DESC LIMIT 1"
)
ORDERS_NEAR = (
    "SELECT id FROM (SELECT id, number FROM orders WHERE number < :number ORDER BY number DESC LIMIT 2)"
    " UNION ALL SELECT id FROM (SELECT id, number FROM orders WHERE number > :number ORDER BY number LIMIT 2)"
)
INSERT_ORDER = _insert("orders", ORDER)
UPDATE_ORDER = _update(
    "orders",
    ORDER,
    ("number", "id", "uid", "type", "type_version", "edition", "priority", "requester_type", "requester_id",
     "created_at", "not_before", "deadline", "dedupe_key", "depends_on", "meta", "reverts", "payload"),
)  # fmt: skip
_OVER = ", ".join(f"'{state}'" for state in TERMINAL)
_WATCHED = f"deadline IS NOT NULL AND deadline_missed_at IS NULL AND state NOT IN ({_OVER})"
PAST_DEADLINE = (
    f"SELECT {_list(ORDER)} FROM orders WHERE {_WATCHED} AND deadline <= :now ORDER BY deadline LIMIT :limit + 0"
)
FAILED_SINCE = (
    f"SELECT {_list(ORDER)} FROM orders WHERE state = 'failed' AND changed_at <= :before"
    " ORDER BY changed_at LIMIT :limit + 0"
)
SUBMITTED_SINCE = (
    f"SELECT {_list(ORDER)} FROM orders WHERE state = 'submitted' AND type = :type AND changed_at <= :before"
    " ORDER BY changed_at LIMIT :limit + 0"
)
NEXT_DEADLINE = f"SELECT MIN(deadline) FROM orders WHERE {_WATCHED}"
INSERT_ORDER_META = "INSERT INTO order_meta (key, value, order_id) VALUES (:key, :value, :order_id)"
INSERT_ORDER_NEED = "INSERT INTO order_needs (order_id, needs_id) VALUES (:order_id, :needs_id)"

ORDER_FILTERS = {
    "id_prefix": "o.id >= :id_prefix AND o.id < :id_prefix || char(1114111)",
    "state": "o.state = :state",
    "type": "o.type = :type",
    "min_priority": "o.priority >= :min_priority",
    "requested_by": "o.requester_id = :requested_by",
    "created_after": "o.created_at > :created_after",
    "created_before": "o.created_at < :created_before",
    "item_state": "EXISTS (SELECT 1 FROM items i WHERE i.order_id = o.id AND i.state = :item_state)",
}
OPEN_ORDER = "o.state NOT IN ('completed', 'dead_lettered', 'cancelled')"
AVAILABLE_ITEM = (
    "EXISTS (SELECT 1 FROM items i WHERE i.order_id = o.id AND ((i.state = 'queued'"
    " AND i.waiting_for IS NULL AND (i.due_at IS NULL OR i.due_at <= :now))"
    " OR (i.lease_expires_at <= :now AND i.attempts + 1 < i.max_attempts)))"
)
META_FILTER = (
    "EXISTS (SELECT 1 FROM order_meta m"
    " WHERE m.order_id = o.id AND m.key = :meta_key_{n} AND m.value = :meta_value_{n})"
)
ORDER_SORTS = {
    "priority": "o.priority",
    "created_at": "o.created_at",
    "changed_at": "o.changed_at",
    "id": "o.number",
    "state": "o.state",
    "type": "o.type",
}


def list_orders(where: Sequence[str], order: Sequence[str]) -> str:
    return (
        f"SELECT {_list(ORDER, 'o')} FROM orders o WHERE {' AND '.join(where) or '1 = 1'}"
        f" ORDER BY {', '.join(order)} LIMIT :limit + 0"
    )


def count_orders(where: Sequence[str]) -> str:
    return f"SELECT COUNT(*) FROM orders o WHERE {' AND '.join(where) or '1 = 1'}"


ITEM_BY_ID = f"{ITEM_WITH_LEASE} WHERE i.id = :id"
ITEMS_OF_ORDER = f"{ITEM_WITH_LEASE} WHERE i.order_id = :order_id ORDER BY i.number LIMIT :limit + 0"
ITEM_IDS = (
    "SELECT i.id FROM orders o CROSS JOIN items i ON i.order_id = o.id"
    " WHERE o.id BETWEEN :first AND :last"
    " AND i.id >= :prefix AND i.id < :prefix || char(1114111) ORDER BY o.number DESC, i.number LIMIT :limit + 0"
)
COUNT_ITEM_IDS = "SELECT COUNT(*) FROM items i WHERE i.id >= :prefix AND i.id < :prefix || char(1114111)"
ITEMS_THAT_NEED = (
    f"{ITEM_WITH_LEASE} JOIN item_needs n ON n.item_id = i.id WHERE n.needs_id = :item_id ORDER BY i.number"
)
ITEMS_WAITING_FOR_ORDER = (
    f"{ITEM_WITH_LEASE} JOIN order_needs n ON n.order_id = i.order_id"
    " WHERE n.needs_id = :order_id AND i.waiting_for IS NOT NULL ORDER BY i.order_number, i.number"
)
COUNT_ITEMS = "SELECT state, COUNT(*) FROM items WHERE order_id = :order_id GROUP BY state"
_STATES = ", ".join(f"('{state}')" for state in dict.fromkeys(row.target for row in ITEM_TABLE))
OTHER_STATES = (
    f"WITH states (state) AS (VALUES {_STATES}) SELECT state FROM states WHERE EXISTS"
    " (SELECT 1 FROM items i WHERE i.order_id = :order_id AND i.state = states.state AND i.number <> :number)"
)
INSERT_ITEM = _insert("items", ITEM)
INSERT_ITEM_NEED = "INSERT INTO item_needs (item_id, needs_id) VALUES (:item_id, :needs_id)"
UPDATE_ITEM = _update(
    "items",
    ITEM,
    ("id", "order_id", "order_number", "number", "type", "priority", "key", "created_at", "max_attempts", "requires",
     "concurrency_key", "needs", "input"),
)  # fmt: skip

_LINES = {"": "i.type = :type", "order_id": "i.order_number = (SELECT number FROM orders WHERE id = :order_id)"}
_WANTED = "i.ready_at IS NOT NULL AND i.priority >= :min_priority"
_IN_LINE = "ORDER BY i.rank, i.requires, i.concurrency_key, i.order_number, i.number LIMIT 1"
REQUIRES_AFTER = {
    scope: f"{ITEM_WITH_LEASE} WHERE {line} AND {_WANTED} AND i.rank = :rank AND i.requires > :requires {_IN_LINE}"
    for scope, line in _LINES.items()
}
RANK_AFTER = {
    scope: f"{ITEM_WITH_LEASE} WHERE {line} AND {_WANTED} AND i.rank > :rank AND i.rank <= :last_rank {_IN_LINE}"
    for scope, line in _LINES.items()
}
KEY_AFTER = {
    scope: f"{ITEM_WITH_LEASE} WHERE {line} AND {_WANTED} AND i.rank = :rank AND i.requires = :requires"
    f" AND i.concurrency_key > :concurrency_key {_IN_LINE}"
    for scope, line in _LINES.items()
}
READY_TYPES = (
    "WITH RECURSIVE types (type) AS (SELECT MIN(type) FROM items WHERE ready_at IS NOT NULL UNION ALL"
    " SELECT (SELECT MIN(i.type) FROM items i WHERE i.ready_at IS NOT NULL AND i.type > types.type)"
    " FROM types WHERE types.type IS NOT NULL) SELECT type FROM types WHERE type IS NOT NULL"
)
TURNS = "SELECT rank, requires, concurrency_key, served FROM turns WHERE type = :type"
TAKE_TURN = (
    "INSERT INTO turns (type, rank, requires, concurrency_key, served)"
    " VALUES (:type, :rank, :requires, :concurrency_key, (SELECT COALESCE(MAX(seq), 0) FROM events))"
    " ON CONFLICT (type, rank, requires) DO UPDATE"
    " SET concurrency_key = excluded.concurrency_key, served = excluded.served"
)
_IN_ORDER = (
    "i.type = :type AND i.priority = (SELECT priority FROM orders WHERE id = :order_id)"
    " AND i.order_number = (SELECT number FROM orders WHERE id = :order_id) AND i.priority >= :min_priority"
)
"""All items of an order have its type and priority: said so, an index over all orders leads to those of one."""

RESERVED = (
    f"{ITEM_WITH_LEASE} WHERE i.reserved_for = :session AND i.due_at IS NOT NULL AND i.state = 'queued'"
    " AND i.type = COALESCE(:type, i.type) AND i.order_id = COALESCE(:order_id, i.order_id)"
    " AND i.id = COALESCE(:item_id, i.id)"
    " AND i.waiting_for IS NULL AND i.priority >= :min_priority"
    " ORDER BY i.priority DESC, i.order_number, i.number LIMIT :limit + 0"
)
"""COALESCE also keeps the type from leading to an index of its own: a session has few items kept for it."""

PROMOTE_DUE = (
    "UPDATE items SET due_at = NULL, ready_at = CASE WHEN waiting_for IS NULL THEN due_at END WHERE id IN"
    " (SELECT id FROM items WHERE type = :type AND state = 'queued'"
    " AND due_at IS NOT NULL AND due_at <= :now ORDER BY due_at LIMIT :limit + 0)"
)
PROMOTE_OVERLONG = (
    "UPDATE items SET rank = :rank WHERE id IN"
    " (SELECT id FROM items WHERE ready_at <= :before AND rank >= 0 ORDER BY ready_at LIMIT :limit + 0)"
)
OVERDUE = (
    f"{ITEM_WITH_LEASE} WHERE i.lease_expires_at IS NOT NULL AND i.lease_expires_at <= :now"
    " ORDER BY i.lease_expires_at LIMIT :limit + 0"
)

_SCOPES = {
    "": "i.type = :type AND i.priority >= :min_priority",
    "order_id": _IN_ORDER,
    "item_id": "i.id = :item_id AND i.type = :type AND i.priority >= :min_priority",
}
_DELAYED = "i.state = 'queued' AND i.due_at IS NOT NULL"
_NEXT_LEVEL = f"SELECT MIN(i.priority) FROM items i WHERE i.type = :type AND {_DELAYED} AND i.priority"
NEXT_DUE = {
    # Level by level: there are few priorities, and the first that is due of each is one step away.
    "": f"WITH RECURSIVE levels (priority) AS ({_NEXT_LEVEL} >= :min_priority UNION ALL"
    f" SELECT ({_NEXT_LEVEL} > levels.priority) FROM levels WHERE levels.priority IS NOT NULL)"
    " SELECT MIN((SELECT MIN(i.due_at) FROM items i"
    f" WHERE i.type = :type AND i.priority = levels.priority AND {_DELAYED})) FROM levels",
    "order_id": f"SELECT MIN(i.due_at) FROM items i WHERE i.order_id = :order_id AND {_DELAYED} AND EXISTS"
    " (SELECT 1 FROM orders o WHERE o.id = :order_id AND o.type = :type AND o.priority >= :min_priority)",
    "item_id": f"SELECT MIN(i.due_at) FROM items i WHERE {_SCOPES['item_id']} AND {_DELAYED}",
}
NEXT_EXPIRY = {
    scope: f"SELECT MIN(i.lease_expires_at) FROM items i WHERE {where} AND i.lease_expires_at IS NOT NULL"
    for scope, where in _SCOPES.items()
}
ANY_BLOCKED = {
    scope: f"SELECT 1 FROM items i WHERE {where} AND i.state = 'queued' AND i.waiting_for IS NOT NULL LIMIT 1"
    for scope, where in _SCOPES.items()
}

_KINDS = {
    "ready": "i.ready_at IS NOT NULL",
    "delayed": _DELAYED,
    "blocked": "i.state = 'queued' AND i.waiting_for IS NOT NULL",
    "leased": "i.lease_expires_at IS NOT NULL",
}
ORDER_STATES = "SELECT state, count(*) FROM orders GROUP BY state ORDER BY state"
LEASE_COUNTS = """
    SELECT count(CASE WHEN lease_expires_at > :now THEN 1 END), count(CASE WHEN lease_expires_at <= :now THEN 1 END)
    FROM items WHERE lease_expires_at IS NOT NULL
"""

TALLY = {
    kind: f"SELECT COUNT(*) FROM (SELECT 1 FROM items i WHERE {where} LIMIT :most + 0) counted"
    for kind, where in _KINDS.items()
}
DELAYED = f"{ITEM_WITH_LEASE} WHERE i.type = :type AND {_DELAYED} ORDER BY i.due_at LIMIT :limit + 0"
BLOCKED = (
    f"{ITEM_WITH_LEASE} WHERE i.type = :type AND {_KINDS['blocked']}"
    " ORDER BY i.priority DESC, i.order_number LIMIT :limit + 0"
)
HELD = f"{ITEM_WITH_LEASE} WHERE {_KINDS['leased']} ORDER BY i.lease_expires_at LIMIT :limit + 0"

HELD_BY = f"{ITEM_WITH_LEASE} WHERE l.actor_id = :actor_id AND l.ended_at IS NULL ORDER BY i.order_number, i.number"
RETURNED_TO = (
    f"{ITEM_WITH_LEASE} WHERE l.actor_id = :actor_id AND i.state = 'queued' AND i.refused_checksum IS NOT NULL"
    " ORDER BY i.order_number, i.number LIMIT 50"
)
AWAITING_REVIEW = (
    f"{ITEM_WITH_LEASE} WHERE l.actor_id = :actor_id AND i.state = 'submitted'"
    " ORDER BY i.order_number, i.number LIMIT 50"
)
LIVE_LEASES_OF_SESSION = "SELECT COUNT(*) FROM items WHERE lease_holder = :session AND lease_expires_at > :now"
LIVE_LEASES_OF_TYPE = "SELECT COUNT(*) FROM items WHERE type = :type AND lease_expires_at > :now"

LIVE_LEASES_OF_KEY = (
    "SELECT COUNT(*) FROM items WHERE type = :type AND concurrency_key = :key AND concurrency_key <> ''"
    " AND lease_expires_at > :now"
)
FULL_KEYS = (
    "SELECT concurrency_key FROM items WHERE type = :type AND lease_expires_at > :now AND concurrency_key <> ''"
    " GROUP BY concurrency_key HAVING COUNT(*) >= :most"
)

LEASES_OF_ITEM = f"SELECT {_list(LEASE)} FROM leases WHERE item_id = :item_id ORDER BY fence"
LEASE_BY_TOKEN = f"SELECT {_list(LEASE)} FROM leases WHERE token = :token AND item_id = :item_id"
UPSERT_LEASE = _upsert("leases", LEASE, ("item_id", "fence"))
INVOLVED = " UNION ".join(
    [
        *(
            f"SELECT w.actor_id FROM {table} w JOIN items i ON i.id = w.item_id WHERE i.order_id = :order_id"
            for table in ("leases", "submissions", "parts")
        ),
        "SELECT actor_id FROM events WHERE order_id = :order_id AND event = 'order.proposed_again'",
    ]
)

SUBMISSIONS = f"SELECT {_list(SUBMISSION)} FROM submissions WHERE item_id = :item_id ORDER BY at, key"
SUBMISSION_BY_KEY = f"SELECT {_list(SUBMISSION)} FROM submissions WHERE item_id = :item_id AND key = :key"
RESULT_CHECKSUMS = (
    "SELECT i.id, s.checksum FROM items i JOIN submissions s ON s.item_id = i.id AND s.key = i.result_key"
    " WHERE i.order_id = :order_id"
)
RESULTS_OF_ORDER = (
    "SELECT i.id, s.result FROM items i JOIN submissions s ON s.item_id = i.id AND s.key = i.result_key"
    " WHERE i.order_id = :order_id"
)
INSERT_SUBMISSION = f"{_insert('submissions', SUBMISSION)} ON CONFLICT (item_id, key) DO NOTHING"

PARTS = f"SELECT {_list(PART)} FROM parts WHERE item_id = :item_id ORDER BY key, seq, status DESC"
UPSERT_PART = _upsert("parts", PART, ("item_id", "key", "seq", "status"))

DECISIONS = f"SELECT {_list(DECISION)} FROM decisions WHERE order_id = :order_id ORDER BY number"
INSERT_DECISION = _insert("decisions", DECISION)

EFFECTS_OF_ORDER = f"SELECT {_list(EFFECT)} FROM effects WHERE order_id = :order_id ORDER BY next_at, id"
EFFECT_BY_ID = f"SELECT {_list(EFFECT)} FROM effects WHERE id = :id"
_PENDING = "effects WHERE state = 'pending' AND channel IS NULL"
DUE_EFFECTS = f"SELECT {_list(EFFECT)} FROM {_PENDING} AND next_at <= :now ORDER BY next_at LIMIT :limit + 0"
NEXT_EFFECT_AT = f"SELECT MIN(next_at) FROM {_PENDING} AND claim IS NULL"
_OUTBOX = "effects WHERE state = 'pending' AND channel IS NOT NULL"
DUE_NOTIFICATIONS = (
    f"SELECT {_list(EFFECT)} FROM {_OUTBOX} AND channel = :channel AND next_at <= :now"
    " ORDER BY next_at LIMIT :limit + 0"
)
NEXT_NOTIFICATION_AT = f"SELECT MIN(next_at) FROM {_OUTBOX} AND channel = :channel AND claim IS NULL"
OLD_NOTIFICATIONS = f"SELECT {_list(EFFECT)} FROM {_OUTBOX} AND next_at <= :before LIMIT :limit + 0"
UNDELIVERED = (
    f"SELECT {_list(EFFECT)} FROM effects WHERE channel IS NOT NULL AND state <> 'done'"
    " ORDER BY next_at DESC, id LIMIT :limit + 0"
)
COUNT_UNDELIVERED = (
    "SELECT channel, state, COUNT(*) FROM effects WHERE channel IS NOT NULL AND state <> 'done' GROUP BY channel, state"
)
UPSERT_EFFECT = _upsert("effects", EFFECT, ("id",))
EXTEND_CLAIM = "UPDATE effects SET claimed_until = :until WHERE id = :id AND claim = :claim AND state = 'pending'"

SLOT_OF = f"SELECT {_list(SLOT)} FROM slots WHERE generator = :generator AND schedule = :schedule"
UPSERT_SLOT = _upsert("slots", SLOT, ("generator", "schedule"))

TOKEN_BY_ID = f"SELECT {_list(TOKEN)} FROM tokens WHERE id = :id"
TOKENS = f"SELECT {_list(TOKEN)} FROM tokens ORDER BY created_at, id"
ANY_TOKEN = "SELECT 1 FROM tokens LIMIT 1"
INSERT_TOKEN = _insert("tokens", TOKEN)
REVOKE_TOKEN = "UPDATE tokens SET revoked_at = :at, revoked_by = :by WHERE id = :id AND revoked_at IS NULL"

LAST_EVENT = "SELECT seq, hash FROM events WHERE seq = (SELECT MAX(seq) FROM events)"
LAST_EVENT_OF_ORDER = "SELECT MAX(seq) FROM events WHERE order_id = :order_id"
INSERT_EVENT = _insert("events", EVENT)
RECENT_EVENTS = f"SELECT {_list(EVENT)} FROM events WHERE order_id = :order_id ORDER BY seq DESC LIMIT :limit + 0"
DIFF_OF_ORDER = (
    "SELECT diff FROM events WHERE order_id = :order_id AND event = 'order.applied' ORDER BY seq DESC LIMIT 1"
)
EVENT_FILTERS = {
    "order_id": "order_id = :order_id",
    "item_id": "item_id = :item_id",
    "event": "event = :event",
    "actor": "actor_id = :actor",
    "before": "seq < :before",
}


def list_events(where: Sequence[str], *, newest: bool) -> str:
    conditions, order = " AND ".join(["seq > :after", *where]), "seq DESC" if newest else "seq"
    return f"SELECT {_list(EVENT)} FROM events WHERE {conditions} ORDER BY {order} LIMIT :limit + 0"


MARKS = "SELECT at, order_id FROM events WHERE event = :event ORDER BY seq DESC LIMIT :limit + 0"


RECALL = "SELECT request_hash, answer FROM answers WHERE scope = :scope AND created_at >= :since"
REMEMBER = _upsert("answers", ANSWER, ("scope",))
ANSWERS_BEFORE = "SELECT COUNT(*) FROM answers WHERE created_at < :before"
FORGET_ANSWERS = (
    "DELETE FROM answers WHERE scope IN (SELECT scope FROM answers WHERE created_at < :before"
    " ORDER BY created_at LIMIT :limit + 0)"
)
