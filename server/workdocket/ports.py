"""What the service needs from the outside, as protocols. A store implements them and knows no rule."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from workdocket.domain.model import (
    ActorType,
    Change,
    Decision,
    Effect,
    Event,
    Lease,
    Part,
    Submission,
    WorkItem,
    WorkOrder,
)

T = TypeVar("T")


class Moved(Exception):
    """A row was no longer at the version that a change was made from; nothing of the change was written."""


@dataclass(frozen=True, slots=True)
class OrderQuery:
    """Which orders to list. ``sort`` holds field names, ``-`` before one for descending; times in milliseconds."""

    open: bool = False
    id_prefix: str | None = None
    state: str | None = None
    type: str | None = None
    min_priority: int | None = None
    requested_by: str | None = None
    meta: Mapping[str, str] = field(default_factory=dict)
    has_available_items: bool | None = None
    created_after: int | None = None
    created_before: int | None = None
    item_state: str | None = None
    sort: tuple[str, ...] = ("-priority", "created_at")
    limit: int = 20
    cursor: tuple[Any, ...] | None = None
    now: int = 0


@dataclass(frozen=True, slots=True)
class OrderPage:
    """One page of orders with their items counted by state, the cursor of the next, and how many match in all."""

    orders: tuple[WorkOrder, ...]
    counts: Mapping[str, Mapping[str, int]]
    next_cursor: tuple[Any, ...] | None
    total: int


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Which audit rows to read, oldest first, all after sequence number ``after`` and before ``before``.

    With ``newest`` the last of them come first.
    """

    order_id: str | None = None
    item_id: str | None = None
    event: str | None = None
    actor: str | None = None
    after: int = 0
    limit: int = 50
    before: int | None = None
    newest: bool = False


@dataclass(frozen=True, slots=True)
class ItemFilter:
    """Which items a checkout asks for."""

    type: str | None = None
    order_id: str | None = None
    item_id: str | None = None
    min_priority: int | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """The items that are ready, of a type or of one order of it, by rank, what they require, and concurrency key."""

    type: str
    order_id: str | None = None
    min_priority: int = 0


@dataclass(frozen=True, slots=True)
class Turn:
    """Which concurrency key was served last, and when: a number that only rises."""

    concurrency_key: str
    served: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """Why items of some types are not ready: one witness of each kind, times in milliseconds."""

    next_due: int | None = None
    blocked: bool = False
    next_expiry: int | None = None


@dataclass(frozen=True, slots=True)
class Slot:
    """The slot of a schedule that a generator is at, or was at last. ``crashes``: processes that ended within it."""

    generator: str
    schedule: str
    at: int
    state: Literal["pending", "done"] = "pending"
    crashes: int = 0
    claim: str | None = None
    claimed_until: int | None = None
    outcome: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """Who may call over HTTP under a secret, of which only the hash is kept. Times in milliseconds."""

    id: str
    name: str
    kind: ActorType
    roles: frozenset[str]
    hash: str = field(repr=False)
    created_at: int
    created_by: str
    expires_at: int | None = None
    revoked_at: int | None = None
    revoked_by: str | None = None

    def state(self, now: int) -> Literal["live", "expired", "revoked"]:
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "live"


class ReadTx(Protocol):
    """Finders on one consistent snapshot. An unknown id gives ``None`` or nothing."""

    def order(self, order_id: str, *, items: bool = False, results: bool = False) -> WorkOrder | None: ...
    def order_number(self, number: int) -> WorkOrder | None: ...
    def orders(self, query: OrderQuery) -> OrderPage: ...
    def orders_near(self, number: int) -> tuple[str, ...]: ...
    def order_by_dedupe_key(self, type: str, key: str) -> WorkOrder | None: ...
    def undo_of(self, order_id: str) -> WorkOrder | None:
        """The order that takes another one back, or has done so; none that was stopped or refused."""
        ...

    def past_deadline(self, now: int, limit: int) -> tuple[WorkOrder, ...]: ...
    def submitted_since(self, type: str, before: int, limit: int) -> tuple[WorkOrder, ...]: ...
    def failed_since(self, before: int, limit: int) -> tuple[WorkOrder, ...]: ...
    def counts(self, order_ids: Sequence[str]) -> Mapping[str, Mapping[str, int]]: ...
    def item(self, item_id: str, *, result: bool = False) -> WorkItem | None: ...
    def items(self, order_id: str, *, limit: int | None = None) -> tuple[WorkItem, ...]: ...
    def item_ids(self, prefix: str, limit: int) -> tuple[tuple[str, ...], int]:
        """The ids that begin so, those of the newest orders first, and how many there are in all."""
        ...

    def other_states(self, item: WorkItem) -> frozenset[str]: ...
    def dependents(self, item: WorkItem) -> tuple[WorkItem, ...]: ...
    def waiting_for_order(self, order_id: str) -> tuple[WorkItem, ...]: ...
    def lease_by_token(self, item_id: str, token: str) -> Lease | None: ...
    def leases(self, item_id: str) -> tuple[Lease, ...]: ...
    def held_by(self, actor_id: str) -> tuple[WorkItem, ...]: ...
    def returned_to(self, session: str, actor_id: str) -> tuple[WorkItem, ...]: ...
    def awaiting_review(self, actor_id: str) -> tuple[WorkItem, ...]: ...
    def leases_of_session(self, session: str, now: int) -> int: ...
    def leases_of_type(self, type: str, now: int) -> int: ...
    def leases_of_key(self, type: str, key: str, now: int) -> int: ...
    def full_keys(self, type: str, most: int, now: int) -> frozenset[str]:
        """The concurrency keys of a type that have at least ``most`` live leases."""
        ...

    def submissions(self, item_id: str, *, kind: str | None = None) -> tuple[Submission, ...]: ...
    def submission(self, item_id: str, key: str) -> Submission | None: ...
    def result_checksums(self, order_id: str) -> Mapping[str, str]: ...
    def parts(self, item_id: str) -> tuple[Part, ...]: ...
    def decisions(self, order_id: str) -> tuple[Decision, ...]: ...
    def involved(self, order_id: str) -> frozenset[str]:
        """The principals who proposed an order once more under its dedupe key, or ever worked on an item of it."""
        ...

    def effects(self, order_id: str) -> tuple[Effect, ...]: ...
    def effect(self, effect_id: str) -> Effect | None: ...
    def due_effects(self, now: int, limit: int) -> tuple[Effect, ...]:
        """Those of every kind but ``notify``."""
        ...

    def due_notifications(self, channel: str, now: int, limit: int) -> tuple[Effect, ...]: ...
    def old_notifications(self, before: int, limit: int) -> tuple[Effect, ...]:
        """Of every channel, those that are pending although they were due before that time."""
        ...

    def next_notification(self, channel: str) -> int | None: ...
    def undelivered(self, limit: int) -> tuple[tuple[Effect, ...], Mapping[tuple[str, str], int]]:
        """The notifications that are pending or were given up, the latest first, and how many by channel and state."""
        ...

    def next_due(self) -> int | None:
        """When the next effect that is no notification is due, or the next deadline over."""
        ...

    def diff(self, order_id: str) -> dict[str, Any] | None: ...
    def events(self, query: EventQuery) -> tuple[Event, ...]: ...
    def marks(self, event: str, since: int, limit: int) -> tuple[tuple[int, str], ...]:
        """When and to which order the newest events of that name happened, from ``since`` on, the last first."""
        ...

    def last_event(self, order_id: str | None = None) -> int: ...
    def recent_events(self, order_id: str, limit: int) -> tuple[Event, ...]: ...
    def rank_after(self, line: Line, rank: int) -> WorkItem | None:
        """The first item of the next rank."""
        ...

    def requires_after(self, line: Line, group: WorkItem) -> WorkItem | None:
        """The first item at an item's rank that requires something else."""
        ...

    def key_after(self, line: Line, group: WorkItem, key: str) -> WorkItem | None:
        """The first item of the next concurrency key at an item's rank and with what it requires."""
        ...

    def turns(self, type: str) -> Mapping[tuple[int, tuple[str, ...]], Turn]:
        """Who was served last, by rank and what was required."""
        ...

    def reserved(self, session: str, wanted: ItemFilter, limit: int) -> tuple[WorkItem, ...]: ...
    def overdue(self, now: int, limit: int) -> tuple[WorkItem, ...]: ...
    def backlog(self, types: Sequence[str], wanted: ItemFilter) -> Backlog: ...
    def ready_types(self) -> tuple[str, ...]: ...
    def delayed(self, type: str, limit: int) -> tuple[WorkItem, ...]: ...
    def blocked(self, type: str, limit: int) -> tuple[WorkItem, ...]: ...
    def held(self, limit: int) -> tuple[WorkItem, ...]: ...
    def tally(self, most: int) -> Mapping[str, int]:
        """How many items are ready, delayed, blocked and leased, counted up to ``most`` of each."""
        ...

    def order_states(self) -> Mapping[str, int]:
        """How many orders there are in each state."""
        ...

    def lease_counts(self, now: int) -> tuple[int, int]:
        """How many leases are live, and how many ran out that nobody has noticed yet."""
        ...

    def slot(self, generator: str, schedule: str) -> Slot | None: ...
    def token(self, token_id: str) -> Token | None: ...
    def tokens(self) -> tuple[Token, ...]:
        """All that were ever made, the oldest first."""
        ...

    def any_token(self) -> bool: ...
    def recall(self, scope: str, since: int) -> tuple[str, Any] | None: ...
    def answers_before(self, before: int) -> int: ...


Job = Callable[[], Coroutine[Any, Any, None]]
"""Something to run in the background."""


class WriteTx(ReadTx, Protocol):
    """The same, able to write. ``apply`` is the only way a state changes; ``applied`` is what it wrote so far."""

    applied: list[Change]

    def apply(self, change: Change) -> None:
        """Write new versions and their events; raises :class:`Moved` when a version is not the expected one."""
        ...

    def next_number(self) -> int: ...
    def promote_due(self, type: str, now: int, limit: int) -> int:
        """Let items whose time has come be found by ``ready``; returns how many."""
        ...

    def promote_overlong(self, before: int, limit: int) -> int:
        """Let what has been ready since ``before`` or longer go first; returns how many."""
        ...

    def take_turn(self, item: WorkItem) -> None:
        """Remember that the item's type and concurrency key were served at its rank."""
        ...

    def extend_claim(self, effect_id: str, claim: str, until: int) -> bool: ...
    def keep_slot(self, slot: Slot) -> None: ...
    def add_token(self, token: Token) -> None: ...
    def revoke_token(self, token_id: str, at: int, by: str) -> None:
        """Once: a token that was revoked stays as it was."""
        ...

    def remember(self, scope: str, request_hash: str, answer: Any, now: int) -> None: ...
    def forget_answers(self, before: int, limit: int) -> int: ...


class Store(Protocol):
    """A database. Bodies are synchronous functions run whole on another thread, each in a transaction."""

    @property
    def tick(self) -> int:
        """A number that changes whenever this or another process has written."""
        ...

    @property
    def owner(self) -> str:
        """The name of this process among those that share the database."""
        ...

    def alive(self, owner: str) -> bool | None:
        """Whether the process of that name still runs; ``None`` where it can't be told."""
        ...

    async def read(self, body: Callable[[ReadTx], T]) -> T: ...
    async def write(self, body: Callable[[WriteTx], T]) -> T: ...
    async def wait(self, seen: int, timeout_seconds: float) -> int:
        """Wait until ``tick`` differs from ``seen``, the time is over, or ``wake``; returns the present tick."""
        ...

    def wake(self) -> None:
        """Let every ``wait`` return that knows the present ``tick`` or an earlier one."""
        ...

    async def close(self) -> None: ...


class Clock(Protocol):
    def now(self) -> int:
        """Milliseconds since 1970, UTC."""
        ...


class Ids(Protocol):
    def token(self) -> str:
        """An unguessable string."""
        ...

    def jitter(self) -> float:
        """A random number from 0 to 1."""
        ...
