"""How many calls a principal may make: a token bucket each, in the memory of this process."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

MINUTE = 60.0
MOST_PRINCIPALS = 10_000


class Pace:
    """``per_minute`` calls at once, and one more each time its share of a minute is over; ``None`` counts nothing.

    Of a principal only the time is kept at which its bucket is full again. ``clock`` gives seconds that never go back.
    """

    def __init__(self, per_minute: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._share = None if per_minute is None else MINUTE / per_minute
        self._clock = clock
        self._full_at: OrderedDict[str, float] = OrderedDict()

    def take(self, principal: str) -> float | None:
        """Count a call; the seconds to wait instead where it is one too many, which is then not counted."""
        if self._share is None:
            return None
        now = self._clock()
        full_at = max(self._full_at.get(principal, now), now) + self._share
        if (wait := full_at - now - MINUTE) > self._share / 1e6:
            return wait
        self._full_at[principal] = full_at
        self._full_at.move_to_end(principal)
        self._forget(now)
        return None

    def _forget(self, now: float) -> None:
        """Drop full buckets; those who were silent for longest stand first, and a minute's silence fills any."""
        while self._full_at and (len(self._full_at) > MOST_PRINCIPALS or next(iter(self._full_at.values())) <= now):
            self._full_at.popitem(last=False)
