"""What the service needs from the outside, as protocols. A store implements them and knows no rule."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from workdocket.domain.model import (
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
    """Which audit rows to read, oldest first, all after sequence number ``after``."""

    order_id: str | None = None
    item_id: str | None = None
    event: str | None = None
    actor: str | None = None
    after: int = 0
    limit: int = 50


@dataclass(frozen=True, slots=True)
class ItemFilter:
    """Which items a checkout asks for."""

    order_id: str | None = None
    item_id: str | None = None
    min_priority: int | None = None


@dataclass(frozen=True, slots=True)
class Backlog:
    """Why items of some types are not handed out: one witness of each kind, times in milliseconds."""

    ready: bool = False
    next_due: int | None = None
    blocked: bool = False
    next_expiry: int | None = None
    any_open: bool = False


class ReadTx(Protocol):
    """Finders on one consistent snapshot. An unknown id gives ``None`` or nothing."""

    def order(self, order_id: str, *, items: bool = False, results: bool = False) -> WorkOrder | None: ...
    def order_number(self, number: int) -> WorkOrder | None: ...
    def orders(self, query: OrderQuery) -> OrderPage: ...
    def orders_near(self, number: int) -> tuple[str, ...]: ...
    def order_by_dedupe_key(self, type: str, key: str) -> WorkOrder | None: ...
    def counts(self, order_ids: Sequence[str]) -> Mapping[str, Mapping[str, int]]: ...
    def item(self, item_id: str, *, result: bool = False) -> WorkItem | None: ...
    def items(self, order_id: str, *, limit: int | None = None) -> tuple[WorkItem, ...]: ...
    def other_states(self, item: WorkItem) -> frozenset[str]: ...
    def dependents(self, item: WorkItem) -> tuple[WorkItem, ...]: ...
    def waiting_for_order(self, order_id: str) -> tuple[WorkItem, ...]: ...
    def lease_by_token(self, item_id: str, token: str) -> Lease | None: ...
    def leases(self, item_id: str) -> tuple[Lease, ...]: ...
    def held_by(self, actor_id: str) -> tuple[WorkItem, ...]: ...
    def returned_to(self, session: str, actor_id: str) -> tuple[WorkItem, ...]: ...
    def awaiting_review(self, actor_id: str) -> tuple[WorkItem, ...]: ...
    def live_leases(self, *, now: int, session: str | None = None, type: str | None = None) -> int: ...
    def submissions(self, item_id: str, *, kind: str | None = None) -> tuple[Submission, ...]: ...
    def submission(self, item_id: str, key: str) -> Submission | None: ...
    def result_checksums(self, order_id: str) -> Mapping[str, str]: ...
    def parts(self, item_id: str) -> tuple[Part, ...]: ...
    def decisions(self, order_id: str) -> tuple[Decision, ...]: ...
    def workers(self, order_id: str) -> frozenset[str]: ...
    def effects(self, order_id: str) -> tuple[Effect, ...]: ...
    def effect(self, effect_id: str) -> Effect | None: ...
    def due_effects(self, now: int, limit: int) -> tuple[Effect, ...]: ...
    def next_effect_at(self) -> int | None: ...
    def diff(self, order_id: str) -> dict[str, Any] | None: ...
    def events(self, query: EventQuery) -> tuple[Event, ...]: ...
    def last_event(self, order_id: str | None = None) -> int: ...
    def recent_events(self, order_id: str, limit: int) -> tuple[Event, ...]: ...
    def ready(self, type: str, wanted: ItemFilter, limit: int) -> tuple[WorkItem, ...]: ...
    def reserved(self, session: str, type: str, wanted: ItemFilter, limit: int) -> tuple[WorkItem, ...]: ...
    def overdue(self, now: int, limit: int) -> tuple[WorkItem, ...]: ...
    def backlog(self, types: Sequence[str], wanted: ItemFilter) -> Backlog: ...
    def oldest_answer(self) -> int | None: ...
    def recall(self, scope: str) -> tuple[str, Any] | None: ...


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

    def extend_claim(self, effect_id: str, claim: str, until: int) -> bool: ...
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
        """Wait until ``tick`` differs from ``seen`` or the time is over; returns the present tick."""
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
