"""When the slots of a generator are: cron expressions in a time zone. Times are milliseconds, UTC."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from workdocket.generator import CatchUp
from workdocket.wording import nearest

HOUR = 3_600_000
GRACE = 60_000
"""How late a slot may be run that is not caught up with."""
DAY = 24 * HOUR
LOOKS_BACK = (HOUR, DAY, 31 * DAY, 366 * DAY)
"""A long way back is walked only where few slots lie on it."""


class TimetableError(Exception):
    """No expression, or no time zone."""


@dataclass(frozen=True)
class Timetable:
    """The slots of one expression, as Debian's cron has them where clocks change.

    A time that the clocks skip is moved to the end of the gap, and one that they repeat is one slot. But where minutes
    or hours begin with ``*``, slots follow the time that really passes.
    """

    cron: str
    zone: ZoneInfo
    catch_up: CatchUp = "last"

    def __post_init__(self) -> None:
        if len(self.cron.split()) != 5:
            raise TimetableError(
                f"{self.cron!r} does not have the five fields of a cron expression, such as '0 3 * * 1'"
            )
        try:
            found = next(self._after(0), None)
        except CronSimError as error:
            raise TimetableError(f"{self.cron!r}: {str(error).lower()}") from error
        if found is None:
            raise TimetableError(f"{self.cron!r} never comes")

    def __str__(self) -> str:
        return f"{' '.join(self.cron.split())} {self.zone.key}"

    def after(self, now: int) -> int | None:
        """The first slot after ``now``."""
        return next(self._after(now), None)

    def due(self, since: int, now: int) -> int | None:
        """The slot to run at ``now`` where all up to ``since`` are done with; those before it are left out for good."""
        if self.catch_up == "all":
            return next(self._between(since, now), None)
        if self.catch_up == "none":
            since = max(since, now - GRACE)
        for back in LOOKS_BACK:
            if found := list(self._between(max(since, now - back), now)):
                return found[-1]
        return max(self._between(since, now), default=None)

    def _between(self, since: int, now: int) -> Iterator[int]:
        return takewhile(lambda at: at <= now, self._after(since))

    def _after(self, since: int) -> Iterator[int]:
        """Each slot after ``since``. In a repeated hour cron looks from its first pass, so what is over is left out."""
        slots = (round(slot.timestamp() * 1000) for slot in CronSim(self.cron, local(since, self.zone)))
        return (slot for slot in slots if slot > since)


def local(at: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(at / 1000, zone)


def zone_of(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:
        raise TimetableError(f"{name!r} is no time zone{nearest(name, available_timezones()) or '.'}") from error
