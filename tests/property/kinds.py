"""What the model knows of each order type of tests/support/types.py, and the settings that a walk runs under."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Payload = dict[str, Any]
Plan = list[tuple[str | None, tuple[str, ...]]]
"""One row for each item: its key, and the keys of those it comes after."""

SETTINGS: dict[str, Any] = {
    "lease_ttl_seconds": 100,
    "heartbeat_every_seconds": 20,
    "first_claim_seconds": 30,
    "max_attempts": 3,
    "backoff_seconds": 10,
    "backoff_cap_seconds": 15,
    "max_leases_per_agent": 3,
    "apply_attempts": 2,
}
TTL, FIRST_CLAIM, BACKOFF, BACKOFF_CAP = 100_000, 30_000, 10_000, 15_000
MAX_ATTEMPTS, MAX_LEASES, APPLY_ATTEMPTS = 3, 3, 2
STOP_AFTER = 2
"""Failures, or rejections, for the same reason."""

USERS = frozenset({"rita", "roy", "uma", "vic"})
WORKERS_ONLY = frozenset({"wim"})
WORK = frozenset(
    {"checkout", "my_work", "heartbeat", "submit", "submit_part", "finalize", "release", "fail", "explain",
     "get_item", "get_order", "sweep", "requeue", "dead_letter"}
)  # fmt: skip
"""What an actor with no other role than worker may call; the last three have no roles."""


def one(payload: Payload) -> Plan:
    return [(None, ())]


def anything(value: Any) -> bool:
    return isinstance(value, dict)


def echoed(result: Any) -> bool:
    return isinstance(result.get("message"), str) and result.get("verified") is True


def counted(result: Any) -> bool:
    return type(result.get("count")) is int


def all_counted(results: Sequence[Any]) -> bool:
    return all(result["count"] > 0 for result in results)


def assembled(result: Any) -> bool:
    return len(result) <= 4


def batches(payload: Payload) -> Plan:
    return [(f"b{n}", ()) for n in range(1, payload["batches"] + 1)]


def chain(payload: Payload) -> Plan:
    return [("first", ()), ("second", ("first",)), ("last", ("first", "second"))]


PARTS: Mapping[str, Callable[[Any], bool]] = {
    "identity": lambda payload: isinstance(payload.get("name"), str),
    "contacts": lambda payload: not payload.get("fake"),
    "remarks": anything,
    "log": anything,
}


@dataclass(frozen=True)
class Kind:
    """One order type: its plan, what it takes for a good result, and who lets it through. ``key`` names what in the
    payload its items share ``key_limit`` by."""

    plan: Callable[[Payload], Plan] = one
    payload: Callable[[Payload], bool] = anything
    good: Callable[[Any], bool] = anything
    fit: Callable[[Sequence[Any]], bool] = lambda results: True
    gate: str = "manual"
    quorum: int = 1
    limit: int | None = None
    key: str | None = None
    key_limit: int | None = None
    skills: frozenset[str] = frozenset()
    parts: Mapping[str, Callable[[Any], bool]] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    sequences: frozenset[str] = frozenset()
    apply_attempts: int = APPLY_ATTEMPTS
    backoff: int = BACKOFF
    files: str | None = None


def says(payload: Payload) -> bool:
    return isinstance(payload.get("message"), str) and len(payload["message"]) > 0


def some(payload: Payload) -> Plan:
    return [(None, ())] * payload.get("items", 1)


def many(payload: Payload) -> bool:
    return type(payload.get("batches")) is int


def to_file(payload: Payload) -> bool:
    return isinstance(payload.get("file"), str)


KINDS: Mapping[str, Kind] = {
    "test.echo": Kind(payload=says, good=echoed),
    "test.free": Kind(),
    "test.batch": Kind(batches, many, counted, all_counted),
    "test.chain": Kind(chain),
    "test.partial": Kind(
        good=assembled,
        parts=PARTS,
        required=frozenset({"identity", "contacts"}),
        sequences=frozenset({"log"}),
    ),
    "test.automatic": Kind(batches, many, counted, all_counted, gate="auto"),
    "test.solo": Kind(batches, many, counted, all_counted, limit=1),
    "test.tenant": Kind(some, key="tenant", key_limit=2),
    "test.skilled": Kind(payload=says, good=echoed, skills=frozenset({"sql"})),
    "test.ledger": Kind(payload=to_file, apply_attempts=3, backoff=10),
    "test.four_eyes": Kind(payload=says, good=echoed, gate="four_eyes", quorum=2),
    "test.human": Kind(payload=says, good=echoed, gate="human"),
    "test.follow_up": Kind(payload=says, good=echoed, backoff=10, files="test.echo"),
}
