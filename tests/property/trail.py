"""The log as it grows: its chain, its numbers, and the states, fences and limits that follow from it alone."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.property.kinds import KINDS, MAX_LEASES
from tests.support import raw

Row = dict[str, Any]

COVERED = (
    "seq", "at", "event", "order_id", "item_id", "actor_type", "actor_id", "agent", "client", "attempt",
    "from_state", "to_state", "message", "data", "diff", "prev_hash",
)  # fmt: skip
WORKING = ("leased", "in_progress")


def hash_of(row: Row) -> str:
    body = [json.loads(row[name]) if name in ("data", "diff") and row[name] else row[name] for name in COVERED]
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


class Trail:
    """Follows the log of one database from its first event on."""

    def __init__(self) -> None:
        self._head = ""
        self.seq = 0
        self.types: dict[str, str] = {}
        self.orders: dict[str, str] = {}
        self.items: dict[str, str] = {}
        self.fences: Counter[str] = Counter()
        self.holders: dict[str, str] = {}
        self.decided: set[str] = set()

    def follow(self, rows: list[Row]) -> list[Row]:
        """The log goes on like this. The same rows, with ``data`` parsed."""
        return [self._follow(row) for row in rows]

    def _follow(self, row: Row) -> Row:
        assert row["seq"] == self.seq + 1, f"event {self.seq + 1} is missing"
        assert row["prev_hash"] == self._head, f"the chain is broken at event {row['seq']}"
        assert row["hash"] == hash_of(row), f"event {row['seq']} has another hash than it says"
        self.seq, self._head = row["seq"], row["hash"]
        row = {**row, "data": json.loads(row["data"]) if row["data"] else {}}
        if row["event"] == "order.proposed":
            self.types[row["order_id"]] = row["data"]["type"]
        if row["event"] == "order.planned":
            self.items |= {f"{row['order_id']}.{n}": "queued" for n in range(1, row["data"]["items"] + 1)}
        if row["to_state"] is not None:
            self._move(row)
        self._look(row)
        return row

    def _move(self, row: Row) -> None:
        states, name = (self.items, row["item_id"]) if row["item_id"] else (self.orders, row["order_id"])
        assert states.get(name) == row["from_state"], f"{name} was {states.get(name)}, not {row['from_state']}: {row}"
        states[name] = row["to_state"]

    def _look(self, row: Row) -> None:
        name = row["item_id"]
        if row["event"] == "item.leased":
            fence = row["data"]["fence"]
            assert fence == self.fences[name] + 1, f"the fence of {name} went from {self.fences[name]} to {fence}"
            self.fences[name], self.holders[name] = fence, row["actor_id"]
            self._limits(name)
        if row["event"] == "decision.recorded":
            (self.decided.add if row["data"]["verdict"] == "approve" else self.decided.discard)(row["order_id"])
        if row["event"] == "order.applied":
            assert row["order_id"] in self.decided, f"nobody decided on {row['order_id']}, and it was applied"

    def _limits(self, name: str) -> None:
        """Nothing is handed out over a limit. Who hands out ends what ran out before, so the log shows it all."""
        working = [item_id for item_id, state in self.items.items() if state in WORKING]
        of_holder = [item_id for item_id in working if self.holders[item_id] == self.holders[name]]
        assert len(of_holder) <= MAX_LEASES, f"{self.holders[name]} was given {of_holder}"
        type = self.types[name.rpartition(".")[0]]
        limit = KINDS[type].limit
        of_type = [item_id for item_id in working if self.types[item_id.rpartition(".")[0]] == type]
        assert limit is None or len(of_type) <= limit, f"of {type}, {of_type} were given"


@dataclass(frozen=True)
class Look:
    """The database at one moment: what the log says since an event, all states, and the leases that hold at a time."""

    events: list[Row]
    orders: list[Row]
    items: list[Row]
    leases: list[Row]


def look(folder: Path, since: int, at: int) -> Look:
    with raw.opened(folder) as database:
        database.execute("BEGIN")
        events, orders, items, leases = (
            [dict(row) for row in database.execute(statement, parameters)]
            for statement, parameters in (
                ("SELECT * FROM events WHERE seq > ? ORDER BY seq", (since,)),
                ("SELECT id, state FROM orders", ()),
                ("SELECT id, state, attempts, fence FROM items", ()),
                (LIVE_LEASES, (at,)),
            )
        )
    return Look(events, orders, items, leases)


LIVE_LEASES = (
    "SELECT l.item_id, l.actor_id, i.type, i.concurrency_key FROM leases l JOIN items i ON i.id = l.item_id"
    " WHERE l.ended_at IS NULL AND l.expires_at > ?"
)


def within_limits(leases: list[Row]) -> None:
    """One live lease at most for an item, and no more of an actor or a type than there may be."""
    for item_id, count in Counter(row["item_id"] for row in leases).items():
        assert count == 1, f"{item_id} has {count} live leases"
    for actor, count in Counter(row["actor_id"] for row in leases).items():
        assert count <= MAX_LEASES, f"{actor} holds {count} leases"
    for type, count in Counter(row["type"] for row in leases).items():
        limit = KINDS[type].limit
        assert limit is None or count <= limit, f"{count} leases on {type}"
    keyed = Counter((row["type"], row["concurrency_key"]) for row in leases if row["concurrency_key"])
    for (type, key), count in keyed.items():
        limit = KINDS[type].key_limit
        assert limit is None or count <= limit, f"{count} leases on the key {key} of {type}"
