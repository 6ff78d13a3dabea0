"""Removing what is kept for a time only."""

from __future__ import annotations

from workdocket.service.desk import Answer, Desk

AT_ONCE = 500
"""Rows that one transaction removes, so that nobody waits long for a turn."""


async def prune(desk: Desk, *, most: int | None = None, dry_run: bool = False) -> Answer:
    """How much of each kind is past its time, and how much of it was removed: all, about ``most``, or none."""
    since = desk.remembered_since
    expired = await desk.store.read(lambda tx: tx.answers_before(since))
    wanted = 0 if dry_run else expired if most is None else min(expired, most)
    removed = 0
    for _ in range(0, wanted, AT_ONCE):
        removed += await desk.change(lambda tx: tx.forget_answers(since, AT_ONCE))
    return {"answers": {"expired": expired, "removed": removed}}
