"""What the model is made of: orders, items, leases, and what a key was used for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.property.kinds import KINDS, Kind

Answer = dict[str, Any]
Request = dict[str, Any]

WORKING = ("leased", "in_progress")
HANDED_IN = ("submitted", "accepted")
OPEN = ("queued", "checked_out", "in_progress", "submitted", "failed")
TERMINAL = ("completed", "cancelled", "dead_lettered")
LEFT_OUT = ("rejected", "cancelled")
STOPPED = ("cancelled", "rejected", "dead_lettered")


class Refused(Exception):
    """The command is refused, with one of these codes."""

    def __init__(self, *codes: str) -> None:
        super().__init__(*codes)
        self.codes = frozenset(codes)


@dataclass
class Lease:
    token: str
    fence: int
    holder: str
    expires: int
    end: str | None = None

    def live(self, now: int) -> bool:
        return self.end is None and self.expires > now


@dataclass
class Item:
    id: str
    order: Order
    after: tuple[str, ...]
    waits: set[str]
    due: int | None
    state: str = "queued"
    attempts: int = 0
    leases: list[Lease] = field(default_factory=list)
    reserved: str | None = None
    result: Any = None
    refused: Any = None
    parts: dict[tuple[str, int | None], Any] = field(default_factory=dict)
    late: list[tuple[int, Any]] = field(default_factory=list)
    makers: set[str] = field(default_factory=set)
    feedback: int = 0
    reason: str | None = None
    alike: int = 0
    rejections: list[frozenset[str] | None] = field(default_factory=list)

    @property
    def key(self) -> tuple[str, Any] | None:
        """What it shares a limit with."""
        shared = self.order.payload.get(self.order.kind.key)
        return None if shared is None else (self.order.type, shared)

    @property
    def lease(self) -> Lease | None:
        return self.leases[-1] if self.leases else None

    @property
    def fence(self) -> int:
        return len(self.leases)

    @property
    def over(self) -> bool:
        """Whether nothing is to become of it: it is done, or its order goes on without it."""
        return self.state in TERMINAL or (self.state == "rejected" and self.order.state != "rejected")

    def overdue(self, now: int) -> bool:
        return self.state in WORKING and self.lease is not None and not self.lease.live(now)


@dataclass
class Effect:
    """An approved change that is still to be made, or a rule still to decide; ``raised`` is how often it failed."""

    due: int
    raised: int = 0


@dataclass
class Order:
    """``rule`` is whether the type's rule is to decide on it; it may do so ``rules`` times, since a process that was
    killed leaves that of an earlier hand-in behind."""

    id: str
    type: str
    payload: Any
    priority: int
    requester: str
    dedupe: str | None = None
    state: str = "queued"
    items: list[Item] = field(default_factory=list)
    votes: set[str] = field(default_factory=set)
    proposers: set[str] = field(default_factory=set)
    decided: bool = False
    rule: bool = False
    rules: int = 0
    change: Effect | None = None
    raised: bool = False

    @property
    def kind(self) -> Kind:
        return KINDS[self.type]

    @property
    def number(self) -> int:
        return int(self.id.rpartition("-")[2])

    def results(self) -> list[Any]:
        return [item.result for item in self.counting()]

    def counting(self) -> list[Item]:
        """Its items but for those that it goes on without."""
        return [item for item in self.items if item.state not in LEFT_OUT]

    def fit(self) -> bool:
        return self.kind.fit(self.results())


@dataclass
class Kept:
    """What a key, or a hand-in under a lease, was used for. The answer is ``None`` as long as nobody has seen it."""

    request: Request
    answer: Answer | None


def joint(states: Iterable[str]) -> str:
    found = {"submitted" if state == "accepted" else state for state in states if state not in LEFT_OUT}
    if found == {"submitted"}:
        return "submitted"
    if "failed" in found and not found & {"queued", *WORKING}:
        return "failed"
    if found & {"in_progress", "submitted"}:
        return "in_progress"
    return "checked_out" if "leased" in found else "queued"
