"""The queue as a page shows it: orders that await a decision, grouped by type and shape of diff, the riskiest first."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from workdocket.app import App
from workdocket.domain.model import WorkOrder
from workdocket.ports import OrderQuery
from workdocket.service.glance import Glance, Glances
from workdocket.surfaces.identity import Caller
from workdocket.surfaces.inbox.values import ago, many

MOST = 1_000
"""Orders on one page: of more, those of the highest priority."""

PATIENCE_SECONDS = 0.25
"""How long a page waits for looks that are under way."""

HOUR_MS = 3_600_000
GATES = {"human": (3, "a person has to decide"), "four_eyes": (3, "four eyes"), "auto": (1, "left by its rule")}
LEVELS = ((6, "high"), (3, "medium"), (0, "low"))
WORDS = {"internal": "its order type failed while it was looked at", "not_found": "it is gone"}


@dataclass(frozen=True, slots=True)
class Row:
    """One order. ``obstacle`` says why the caller cannot approve it from here."""

    order: WorkOrder
    glance: Glance | None
    score: int
    reasons: Sequence[str]
    age: str
    obstacle: str | None

    @property
    def member(self) -> str:
        """What a batch names it by: the order, as it was shown."""
        return f"{self.order.id}:{self.glance.digest if self.glance else ''}"

    @property
    def level(self) -> str:
        return next(name for least, name in LEVELS if self.score >= least)


@dataclass(frozen=True, slots=True)
class Group:
    type: str
    title: str
    shape: Sequence[str]
    rows: Sequence[Row]

    @property
    def level(self) -> str:
        return self.rows[0].level

    @property
    def ready(self) -> int:
        return sum(row.obstacle is None for row in self.rows)


@dataclass(frozen=True, slots=True)
class Queue:
    """``total`` counts all that wait, ``types`` by type; ``unseen`` those that are still being looked at."""

    groups: Sequence[Group]
    total: int
    shown: int
    types: Mapping[str, int]
    unseen: int
    query: Mapping[str, str] = field(default_factory=dict)


async def queue(app: App, glances: Glances, caller: Caller, wanted: Mapping[str, str]) -> Queue:
    page = await app.desk.store.read(lambda tx: tx.orders(OrderQuery(state="submitted", limit=MOST)))
    glances.of(page.orders)
    await glances.complete(PATIENCE_SECONDS)
    known, now = glances.of(page.orders), app.desk.clock.now()
    rows = [row_of(order, known.get(order.id), caller, now) for order in page.orders]
    fitting = [row for row in rows if _fits(row, wanted)]
    titles = {entry.name: entry.type.title or entry.name for entry in app.registry}
    return Queue(
        groups=grouped(fitting, titles),
        total=page.total,
        shown=len(fitting),
        types=_counted(order.type for order in page.orders),
        unseen=sum(row.glance is None for row in rows),
        query=wanted,
    )


def row_of(order: WorkOrder, glance: Glance | None, caller: Caller, now: int) -> Row:
    reasons = list(_risks(order, glance, now))
    return Row(
        order,
        glance,
        score=sum(weight for weight, _ in reasons),
        reasons=[text for _, text in sorted(reasons, reverse=True) if text],
        age=ago(now - order.changed_at),
        obstacle=_obstacle(glance, caller),
    )


def grouped(rows: Sequence[Row], titles: Mapping[str, str]) -> list[Group]:
    """By type and shape; in a group as among groups the riskiest first, then the oldest."""

    def kind(row: Row) -> tuple[str, tuple[str, ...]]:
        return row.order.type, row.glance.shape if row.glance else ("?",)

    def rank(row: Row) -> tuple[int, int]:
        return -row.score, row.order.changed_at

    groups = [
        Group(type, titles.get(type, type), shape, sorted(members, key=rank))
        for (type, shape), members in groupby(sorted(rows, key=kind), kind)
    ]
    return sorted(groups, key=lambda group: rank(group.rows[0]))


def _risks(order: WorkOrder, glance: Glance | None, now: int) -> Iterable[tuple[int, str]]:
    """What makes a wrong decision dear, or a late one: how much it weighs, and in words."""
    if order.priority >= 50:
        yield (3 if order.priority >= 80 else 1), f"priority {order.priority}"
    if order.deadline is not None:
        if order.deadline <= now:
            yield 3, f"deadline over for {ago(now - order.deadline)}"
        elif order.deadline <= now + HOUR_MS:
            yield 2, f"deadline in {ago(order.deadline - now)}"
    if glance is None:
        return
    yield GATES.get(glance.gate.get("approval", ""), (0, ""))
    if glance.gate.get("quorum", 1) > 1:
        yield 1, f"{glance.gate['quorum']} have to approve"
    if glance.removes:
        yield 2, "removes something"
    if glance.findings:
        yield 3, many(glance.findings, "finding")
    yield int(math.log10(glance.changes + 1)), many(glance.changes, "change") if glance.changes >= 9 else ""


def _obstacle(glance: Glance | None, caller: Caller) -> str | None:
    if glance is None:
        return "being looked at"
    if glance.fault is not None:
        return WORDS.get(glance.fault, "it cannot be looked at now")
    if glance.findings:
        return "findings stand against it"
    if caller.actor.id in glance.gate.get("excluded", ()):
        return "you filed it or worked on it"
    if caller.actor.id in glance.gate.get("approved_by", ()):
        return "you approved it; somebody else has to as well"
    return None


def _fits(row: Row, wanted: Mapping[str, str]) -> bool:
    if wanted.get("type") and row.order.type != wanted["type"]:
        return False
    words = wanted.get("q", "").lower().split()
    text = f"{row.order.id} {row.order.type} {row.order.requested_by.id} {row.glance.summary if row.glance else ''}"
    return all(word in text.lower() for word in words)


def _counted(types: Iterable[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for type in types:
        counts[type] = counts.get(type, 0) + 1
    return dict(sorted(counts.items()))


def chosen(query: Mapping[str, Any]) -> dict[str, str]:
    """The filters of a query, at a bounded length."""
    return {name: str(query[name])[:200] for name in ("type", "q") if query.get(name)}
