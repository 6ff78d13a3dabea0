"""What the reviewer's queue shows of each order that awaits a decision: looked at once, and kept.

A look runs the type's code, so no page takes any: the queue shows what was seen last, and looks that are missing, or
old, are taken in the background, few at a time. A digest that is shown may therefore be behind the world; it binds all
the same, since an approval with it is checked again.
"""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import anyio

from workdocket.domain.errors import WorkError
from workdocket.domain.model import SYSTEM, WorkOrder
from workdocket.service import view
from workdocket.service.desk import Desk
from workdocket.service.review import Reviews

log = logging.getLogger("workdocket.glance")

AT_ONCE = 4
OLD_MS = 300_000
MOST = 5_000
"""Looks kept; the ones that were asked for longest ago go first."""

SIGNS = {"added": "+", "modified": "~", "removed": "-"}
LONGEST_KEY = 40
VARIES = re.compile(r"\d")


@dataclass(frozen=True, slots=True)
class Glance:
    """One look at an order of one version. ``shape`` has the kinds of change in its preview, without what varies.

    ``fault`` is the code of the refusal where it could not be looked at; then there is no digest.
    """

    version: int
    at: int
    digest: str = ""
    summary: str = ""
    shape: tuple[str, ...] = ()
    changes: int = 0
    removes: bool = False
    findings: int = 0
    gate: Mapping[str, Any] = field(default_factory=dict)
    fault: str | None = None


class Glances:
    """The looks of this process. ``turn`` rises whenever there is a new one."""

    def __init__(self, desk: Desk, reviews: Reviews) -> None:
        self._desk = desk
        self._reviews = reviews
        self._seen: OrderedDict[str, Glance] = OrderedDict()
        self._due: dict[str, int] = {}
        self._under_way: set[str] = set()
        self._lookers = 0
        self._all_seen = anyio.Event()
        self._all_seen.set()
        self.turn = 0

    def of(self, orders: Iterable[WorkOrder]) -> dict[str, Glance]:
        """What is known of these orders as they are; what is not known is looked at from now on."""
        known, now = {}, self._desk.clock.now()
        for order in orders:
            glance = self._seen.get(order.id)
            if glance is not None and glance.version == order.version:
                self._seen.move_to_end(order.id)
                known[order.id] = glance
                if glance.at + OLD_MS > now:
                    continue
            self._want(order)
        return known

    async def complete(self, seconds: float) -> bool:
        """Whether all that was asked for is known, after waiting no longer than that."""
        with anyio.move_on_after(seconds):
            await self._all_seen.wait()
        return self._all_seen.is_set()

    def forget(self, order_id: str) -> None:
        self._seen.pop(order_id, None)

    def _want(self, order: WorkOrder) -> None:
        if order.id in self._under_way:
            return
        self._due[order.id] = order.version
        if self._all_seen.is_set():
            self._all_seen = anyio.Event()
        if self._lookers < AT_ONCE:
            self._lookers += 1
            self._desk.start(self._look)

    async def _look(self) -> None:
        """Look at what is due until nothing is."""
        try:
            while self._due:
                order_id = next(iter(self._due))
                version = self._due.pop(order_id)
                self._under_way.add(order_id)
                try:
                    self._keep(order_id, await self._glance(order_id, version))
                finally:
                    self._under_way.discard(order_id)
        finally:
            self._lookers -= 1
        if not self._lookers:
            self._all_seen.set()
            self._desk.store.wake()

    def _keep(self, order_id: str, glance: Glance) -> None:
        self._seen[order_id] = glance
        self.turn += 1
        while len(self._seen) > MOST:
            self._seen.popitem(last=False)

    async def _glance(self, order_id: str, version: int) -> Glance:
        now = self._desk.clock.now()
        try:
            packet = await self._reviews.review(SYSTEM, order_id, room=view.UNCUT)
        except WorkError as error:
            return Glance(version, now, fault=error.code)
        except Exception:
            log.exception("%s could not be looked at", order_id)
            return Glance(version, now, fault="internal")
        preview = packet.get("preview") or {}
        changes = preview.get("changes", ())
        return Glance(
            version,
            now,
            digest=packet["digest"],
            summary=str(preview.get("summary", "")),
            shape=tuple(sorted(set(shapes(changes)))),
            changes=len(changes),
            removes=any(change["op"] == "removed" for change in changes),
            findings=len(packet["findings"]),
            gate=packet["gate"],
        )


def shapes(changes: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The kind of each change: its sign and its path with ``*`` for every number and every key that holds one."""
    for change in changes:
        tokens = change["path"].split("/")
        yield f"{SIGNS[change['op']]} {'/'.join('*' if _varies(token) else token for token in tokens) or '/'}"


def _varies(token: str) -> bool:
    return bool(VARIES.search(token)) or len(token) > LONGEST_KEY
