"""The records of the core. Frozen; a new version replaces an old one. Times are whole milliseconds, UTC."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

from workdocket.domain.errors import Finding, WorkError

ActorType = Literal["agent", "user", "system"]
Role = Literal["requester", "worker", "reviewer", "admin"]
Approval = Literal["manual", "auto", "four_eyes", "human"]
Ending = Literal["failed", "expired", "raised"]
"""How an attempt ends without a success: its worker reports it, its lease runs out, or its apply raises."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts. ``id`` is the principal, ``session`` one running process or token of it, ``agent`` a label. ``channel``
    is how a person was asked, where somebody else made the call; the decision's event keeps it."""

    type: ActorType
    id: str
    session: str = ""
    agent: str | None = None
    client: str | None = None
    channel: str | None = None


SYSTEM = Actor("system", "workdocket", "workdocket")
SCHEDULER = Actor("system", "scheduler", "scheduler")

ROLES: tuple[Role, ...] = get_args(Role)


def known_roles(names: Iterable[str]) -> frozenset[str]:
    """The roles of these names. Raises ``WorkError`` where one is none."""
    wanted = frozenset(names)
    unknown = sorted(wanted - set(ROLES))
    if unknown:
        raise WorkError("invalid_request", f"there is no role {unknown[0]}; roles are {', '.join(ROLES)}")
    return wanted


HIGHEST_PRIORITY = 100
LOWEST = HIGHEST_PRIORITY
OVERLONG = -1
"""The rank of what has waited for too long: before every priority."""
BEFORE_ALL = -2
"""Before every rank: where a walk along a line begins."""


def rank_of(priority: int) -> int:
    """From 0 for the highest priority to 100 for the lowest."""
    return HIGHEST_PRIORITY - priority


@dataclass(frozen=True, slots=True)
class ItemSpec:
    """One planned item. ``after`` names the keys of items that must be submitted before this one is handed out.

    ``skills`` are what a caller must state at checkout to get it, ``concurrency_key`` is what it shares a limit and a
    place in the rotation with. ``None`` takes what the order type says.
    """

    input: Any
    key: str | None = None
    after: Sequence[str] = ()
    max_attempts: int | None = None
    skills: Sequence[str] | None = None
    concurrency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on an item. A token that is not the item's live lease never writes."""

    item_id: str
    fence: int
    token: str
    holder: Actor
    attempt: int
    leased_at: int
    expires_at: int
    heartbeat_at: int | None = None
    progress: float | None = None
    note: str | None = None
    ended_at: int | None = None
    end: str | None = None

    @property
    def live(self) -> bool:
        return self.ended_at is None


@dataclass(frozen=True, slots=True)
class WorkItem:
    """What one agent leases. ``result`` is filled in where a hook or a view needs it.

    ``ready_at`` is since when it can be handed out, ``None`` while it can't. Those of the lowest ``rank`` go first:
    it follows from the priority, until waiting too long makes it :data:`OVERLONG`.
    """

    id: str
    order_id: str
    number: int
    type: str
    priority: int
    input: Any
    created_at: int
    changed_at: int
    max_attempts: int
    key: str | None = None
    state: str = "queued"
    version: int = 1
    after: tuple[str, ...] = ()
    waiting_for: tuple[str, ...] = ()
    due_at: int | None = None
    ready_at: int | None = None
    rank: int = LOWEST
    edition: str = ""
    skills: tuple[str, ...] = ()
    concurrency_key: str = ""
    attempts: int = 0
    fence: int = 0
    lease: Lease | None = None
    result_key: str | None = None
    refused_checksum: str | None = None
    feedback: tuple[dict[str, Any], ...] = ()
    reserved_for: str | None = None
    error: dict[str, Any] | None = None
    result: Any = None

    @property
    def requires(self) -> tuple[str, ...]:
        """What has to be there for it to be handed out: its type's edition on the server, skills in the caller."""
        return (self.edition, *self.skills)

    def lined_up(self, now: int) -> WorkItem:
        """In the line of those that can be handed out, or out of it, as state, time and needs call for."""
        ready = self.state == "queued" and self.due_at is None and not self.waiting_for
        if ready == (self.ready_at is not None):
            return self
        return replace(self, ready_at=now if ready else None, rank=rank_of(self.priority))

    def lease_over(self, now: int) -> bool:
        """Whether the latest lease, if any, has run out or was ended."""
        return self.lease is None or not self.lease.live or self.lease.expires_at <= now


@dataclass(frozen=True, slots=True)
class WorkOrder:
    """The contract: a type and a payload. ``items`` is filled in where a hook or a view needs them.

    ``edition`` is the type's version and a fingerprint of its schemas when the order was filed: no other works on it.
    """

    id: str
    number: int
    uid: str
    type: str
    type_version: int
    payload: Any
    priority: int
    requested_by: Actor
    created_at: int
    changed_at: int
    meta: dict[str, Any] = field(default_factory=dict)
    state: str = "queued"
    version: int = 1
    edition: str = ""
    not_before: int | None = None
    deadline: int | None = None
    deadline_missed_at: int | None = None
    depends_on: tuple[str, ...] = ()
    dedupe_key: str | None = None
    applied_at: int | None = None
    completed_at: int | None = None
    error: dict[str, Any] | None = None
    items: tuple[WorkItem, ...] = ()


@dataclass(frozen=True, slots=True)
class Submission:
    """A result as it was handed in, accepted or late. Kept for good, in a table of its own."""

    item_id: str
    fence: int
    checksum: str
    kind: Literal["submitted", "finalized", "late"]
    result: Any
    actor: Actor
    at: int
    evidence: Any = None
    notes: str | None = None

    @property
    def key(self) -> str:
        return f"{self.fence}-{self.kind}-{self.checksum[:16]}"


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of an item's result. ``seq`` is ``None`` for a part sent without one."""

    item_id: str
    key: str
    seq: int | None
    status: Literal["validated", "rejected"]
    payload: Any
    checksum: str
    actor: Actor
    fence: int
    at: int
    evidence: Any = None
    notes: str | None = None
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """One reviewer's word on an order."""

    order_id: str
    number: int
    verdict: Literal["approve", "rework", "reject"]
    actor: Actor
    at: int
    digest: str | None = None
    comment: str | None = None
    errors: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Effect:
    """Something to do outside any transaction, remembered until it is done. ``next_at`` is the earliest time."""

    id: str
    kind: Literal["apply", "after_apply", "auto_approve"]
    order_id: str
    next_at: int
    data: dict[str, Any] = field(default_factory=dict)
    state: Literal["pending", "done", "failed"] = "pending"
    attempts: int = 0
    claim: str | None = None
    claimed_until: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One audit row. ``seq``, ``prev_hash`` and ``hash`` are given when it is written."""

    event: str
    at: int
    actor: Actor
    order_id: str
    item_id: str | None = None
    attempt: int | None = None
    from_state: str | None = None
    to_state: str | None = None
    message: str | None = None
    data: dict[str, Any] | None = None
    diff: dict[str, Any] | None = None
    seq: int = 0
    prev_hash: str = ""
    hash: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """Everything one command changes: new versions plus the audit events that say so.

    ``refusal`` is raised after the change is committed; a refusal that leaves no trace is raised instead.
    """

    orders: tuple[WorkOrder, ...] = ()
    items: tuple[WorkItem, ...] = ()
    leases: tuple[Lease, ...] = ()
    submissions: tuple[Submission, ...] = ()
    parts: tuple[Part, ...] = ()
    decisions: tuple[Decision, ...] = ()
    effects: tuple[Effect, ...] = ()
    events: tuple[Event, ...] = ()
    refusal: WorkError | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one order type, after settings and type have been merged. Durations in milliseconds.

    ``backoff`` is the first pause after each kind of ending.
    """

    lease_ttl: int
    heartbeat_every: int
    max_attempts: int
    backoff: Mapping[Ending, int]
    backoff_jitter: int
    backoff_cap: int
    apply_attempts: int
    first_claim: int
    max_parts: int
    approval: Approval = "manual"
    quorum: int = 1
    max_leases: int | None = None
    max_leases_per_key: int | None = None
    stop_after_identical: int | None = None
    has_after_apply: bool = False

    def backoff_after(self, ending: Ending, attempts: int, jitter: float) -> int:
        """Milliseconds to wait after that many attempts; ``jitter`` is from 0 to 1. No pause has no jitter."""
        if not self.backoff[ending]:
            return 0
        doubled = min(self.backoff[ending] << (attempts - 1), self.backoff_cap)
        return min(doubled + int(self.backoff_jitter * jitter), self.backoff_cap)


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def iso(at: int) -> str:
    """A time as it goes over the wire: ISO 8601, UTC, milliseconds, ``Z``."""
    return (EPOCH + timedelta(milliseconds=at)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def millis(time: datetime) -> int:
    """An aware time as it is kept."""
    return round(time.timestamp() * 1000)


def canonical(value: Any) -> str:
    """The one text form of a JSON value that checksums, digests and request hashes are taken of."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def checksum(value: Any) -> str:
    """SHA-256 over the canonical form, 64 hex characters."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def digest_of(order: WorkOrder, checksums: Mapping[str, str], preview: Mapping[str, Any] | None) -> str:
    """What an approval is bound to: payload, every result, the preview and the type's version. 12 hex characters."""
    shown = {
        "payload": order.payload,
        "results": dict(checksums),
        "preview": preview,
        "type": [order.type, order.type_version],
    }
    return checksum(shown)[:12]


def chained(event: Event, seq: int, prev_hash: str) -> str:
    """The hash of an event at its place in the log: covers its own fields and the hash before it."""
    body = [
        seq, event.at, event.event, event.order_id, event.item_id,
        event.actor.type, event.actor.id, event.actor.agent, event.actor.client,
        event.attempt, event.from_state, event.to_state, event.message, event.data, event.diff, prev_hash,
    ]  # fmt: skip
    return checksum(body)
