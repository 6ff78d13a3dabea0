"""What a decision may look at. Read in the transaction that will write its outcome."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from workdocket.domain.model import Actor, Lease, Policy, WorkItem, WorkOrder


@dataclass(frozen=True, slots=True)
class Facts:
    """An item at work, its order, and what else its commands touch.

    ``others`` are the states of the order's other items, ``dependents`` the items that name this one in ``after``,
    ``past`` the lease that the presented token belonged to, live or not, ``kept`` the keys of late results,
    ``full`` the limit that leaves no room for an expired lease to be taken back, ``jitter`` a chance from 0 to 1.
    """

    order: WorkOrder
    item: WorkItem
    others: frozenset[str]
    policy: Policy
    actor: Actor
    now: int
    dependents: tuple[WorkItem, ...] = ()
    past: Lease | None = None
    kept: frozenset[str] = frozenset()
    full: str | None = None
    jitter: float = 0.0


@dataclass(frozen=True, slots=True)
class Work:
    """What a worker hands in: a result or the payload of a part, and how it was come by."""

    value: Any
    checksum: str
    evidence: Any = None
    notes: str | None = None
