"""Claims on what is done outside any transaction: who has one, whether they still live, and holding on to one's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol

import anyio

from workdocket.domain.errors import WorkError
from workdocket.ports import WriteTx
from workdocket.service.desk import Desk


class Claimed(Protocol):
    """What a process may claim. ``claim`` begins with the process's name; ``claimed_until`` is in milliseconds."""

    @property
    def claim(self) -> str | None: ...
    @property
    def claimed_until(self) -> int | None: ...


def owner_of(one: Claimed) -> str:
    """The process that has it; empty where nobody has."""
    return (one.claim or "").partition(":")[0]


def is_free(desk: Desk, one: Claimed) -> bool:
    """Nobody has it, or who had it is gone. Where that can't be told, a claim lasts until its time is over.

    A claim of this process is left over: it does a thing once at a time and asks before it begins.
    """
    owner = owner_of(one)
    if not owner or owner == desk.store.owner:
        return True
    alive = desk.store.alive(owner)
    if alive is None:
        return (one.claimed_until or 0) <= desk.clock.now()
    return not alive


def new_claim(desk: Desk) -> tuple[str, int]:
    """A claim of this process, and until when it holds unless it is kept."""
    return f"{desk.store.owner}:{desk.ids.token()}", desk.clock.now() + _claim_ms(desk)


@asynccontextmanager
async def kept(desk: Desk, extend: Callable[[WriteTx, int], Any]) -> AsyncIterator[None]:
    """Hold on to a claim for as long as the work takes: ``extend`` it to a later time, again and again."""
    async with anyio.create_task_group() as group:
        group.start_soon(_keep, desk, extend)
        try:
            yield
        finally:
            group.cancel_scope.cancel()


async def _keep(desk: Desk, extend: Callable[[WriteTx, int], Any]) -> None:
    while True:
        await anyio.sleep(_claim_ms(desk) / 3000)
        until = desk.clock.now() + _claim_ms(desk)
        with suppress(WorkError):  # busy: the next round has time enough
            await desk.change(lambda tx, until=until: extend(tx, until))  # type: ignore[misc]


def _claim_ms(desk: Desk) -> int:
    return round(desk.settings.effect_claim_seconds * 1000)
