"""How work moves through the house: what came in and went out in each hour, and how long decisions were waited for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from workdocket.ports import ReadTx
from workdocket.service.desk import Desk

HOUR_MS = 3_600_000
MOST = 20_000
"""Events read of each kind, the newest; older ones are not in the numbers."""

KINDS = {"filed": "order.proposed", "submitted": "order.submitted", "completed": "order.completed"}
DECIDED = "decision.recorded"


@dataclass(frozen=True, slots=True)
class Hour:
    """One hour, from ``at`` on. ``waited`` is the median time to a decision in seconds, of those made in it."""

    at: int
    filed: int
    submitted: int
    completed: int
    decided: int
    waited: float | None


async def flow(desk: Desk, hours: int = 24) -> tuple[Hour, ...]:
    """The last so many hours, the present one last."""
    now = desk.clock.now()
    first = (now // HOUR_MS - hours + 1) * HOUR_MS

    def body(tx: ReadTx) -> tuple[Hour, ...]:
        marks = {kind: tx.marks(event, first, MOST) for kind, event in KINDS.items()}
        decided = tx.marks(DECIDED, first, MOST)
        handed_in = tx.marks(KINDS["submitted"], 0, MOST)
        return tuple(_hours(first, hours, marks, _waits(decided, handed_in)))

    return await desk.store.read(body)


Mark = tuple[int, str]


def _waits(decided: Sequence[Mark], handed_in: Sequence[Mark]) -> list[tuple[int, float | None]]:
    """When each decision was made, and how many seconds after the last time that its order was handed in."""
    times: dict[str, list[int]] = {}
    for at, order_id in handed_in:
        times.setdefault(order_id, []).append(at)
    return [(at, _since(at, times.get(order_id, ()))) for at, order_id in decided]


def _since(at: int, times: Sequence[int]) -> float | None:
    last = max((one for one in times if one <= at), default=None)
    return None if last is None else (at - last) / 1000


def _hours(
    first: int, hours: int, marks: Mapping[str, Sequence[Mark]], waits: Sequence[tuple[int, float | None]]
) -> list[Hour]:
    found = []
    for start in range(first, first + hours * HOUR_MS, HOUR_MS):
        inside = range(start, start + HOUR_MS)
        counts = {kind: sum(at in inside for at, _ in rows) for kind, rows in marks.items()}
        made = [wait for at, wait in waits if at in inside]
        known = [wait for wait in made if wait is not None]
        found.append(Hour(start, **counts, decided=len(made), waited=median(known) if known else None))
    return found
