"""Word to the client, while a call waits or applies, that it is still at it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import anyio
from mcp.server.mcpserver import Context

log = logging.getLogger("workdocket.progress")

EVERY_SECONDS = 2.0

LONG: Mapping[str, str] = {
    "checkout": "waiting for work",
    "get_order": "waiting for the order to change",
    "approve": "the change is being applied",
}
"""Calls that may take long, and what they are at meanwhile."""


@dataclass
class Activity:
    """What a call is at."""

    doing: str

    @contextmanager
    def meanwhile(self, doing: str) -> Iterator[None]:
        """Something else for a while."""
        before, self.doing = self.doing, doing
        try:
            yield
        finally:
            self.doing = before


@asynccontextmanager
async def told(
    context: Context[None, Any] | None, tool: str, arguments: Mapping[str, Any], every: float
) -> AsyncIterator[Activity]:
    """Every so many seconds, how many have passed; of how many, where that is known. Only for who asked to be told."""
    total = arguments.get("wait_seconds")
    activity = Activity(LONG.get(tool, ""))
    if context is None or tool not in LONG or (tool != "approve" and not total):
        yield activity
        return
    async with anyio.create_task_group() as group:
        group.start_soon(_tell, context, activity, total if isinstance(total, int | float) else None, every)
        yield activity
        group.cancel_scope.cancel()


async def _tell(context: Context[None, Any], activity: Activity, total: float | None, every: float) -> None:
    began = anyio.current_time()
    while True:
        await anyio.sleep(every)
        passed = round(anyio.current_time() - began, 3)
        try:
            await context.report_progress(passed, total, activity.doing)
        except Exception as error:
            log.info("nobody hears of progress any more: %r", error)
            return
