"""The contract of generators: what looks for work and proposes it, on a schedule or when asked."""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Literal

CatchUp = Literal["none", "last", "all"]


@dataclass(frozen=True, slots=True)
class Proposal:
    """What is asked to be done: an order of ``type``. Times are aware datetimes, ``depends_on`` holds ids of orders.

    ``priority`` is 0 to 100, higher first. With a ``dedupe_key`` there is one order per type and key; those that were
    cancelled, rejected or put aside do not count.
    """

    type: str
    payload: Any
    priority: int = 0
    meta: Mapping[str, Any] | None = None
    not_before: datetime | None = None
    deadline: datetime | None = None
    depends_on: Sequence[str] = ()
    dedupe_key: str | None = None


Proposals = Iterable[Proposal] | AsyncIterable[Proposal]


class Generator:
    """Looks what there is to do, and proposes it. Only ``name`` and ``discover`` are required.

    ``schedule`` is a cron expression of five fields (minute, hour, day of the month, month, day of the week), read in
    ``time_zone``; its times are the slots. Without one, only ``workdocket generate`` runs it. ``catch_up`` says what
    becomes of slots that passed while no server ran: ``last`` runs the latest of them, ``all`` each, ``none`` waits for
    the next.
    """

    name: ClassVar[str]
    schedule: ClassVar[str | None] = None
    time_zone: ClassVar[str] = "UTC"
    catch_up: ClassVar[CatchUp] = "last"

    def discover(self, slot: datetime) -> Proposals | Awaitable[Proposals]:
        """What to file. ``def`` or ``async def``, returned at once or yielded one by one; may do I/O.

        ``slot`` is the time it runs for, in ``time_zone``: use it where you would look at a clock, since a slot may be
        run late, and again where its process ended in the middle. A discover that needs no time may leave it out. When
        it raises, what it has yielded is filed nevertheless.
        """
        raise TypeError(f"{type(self).__name__} has no discover")
