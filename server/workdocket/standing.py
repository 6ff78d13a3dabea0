"""Which work order the running code acts for: known inside apply, and to all that is called from there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from workdocket.domain.model import WorkOrder


@dataclass(frozen=True, slots=True)
class Standing:
    """An order as a guard sees it. ``applying``: its apply, or the hook before or after it, is under way right now."""

    id: str
    type: str
    state: str = "approved"
    applying: bool = True


class _Stay:
    """The time for which something acts for an order. Background tasks inherit it and may outlive it."""

    def __init__(self, standing: Standing) -> None:
        self.standing: Standing | None = standing


_stay: ContextVar[_Stay | None] = ContextVar("workdocket_order", default=None)


@contextmanager
def acting_for(standing: Standing) -> Iterator[None]:
    """What runs inside acts for this order: also what it awaits, and threads that get a copy of the context."""
    stay = _Stay(standing)
    before = _stay.set(stay)
    try:
        yield
    finally:
        stay.standing = None
        _stay.reset(before)


@contextmanager
def applying(order: WorkOrder | Standing) -> Iterator[None]:
    """What runs inside is part of applying the order. Every hook around ``apply`` is run in here."""
    with acting_for(Standing(order.id, order.type, order.state)):
        yield


def current() -> Standing | None:
    """The order that the running code acts for, if any."""
    stay = _stay.get()
    return stay.standing if stay else None
