"""Signals that end a server."""

from __future__ import annotations

import signal
from collections.abc import Callable

import anyio
from anyio.abc import TaskStatus


async def heed(act: Callable[[int], None], *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
    """Call ``act`` with the number of each SIGTERM and SIGINT, until cancelled."""
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for number in signals:
            act(number)
