"""A context that stays open in a task of its own, for fixtures: those are left in another task than entered in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar

from tests.support.harness import LIMIT

T = TypeVar("T")


@asynccontextmanager
async def kept(context: AbstractAsyncContextManager[T]) -> AsyncIterator[T]:
    opened: asyncio.Future[T] = asyncio.get_running_loop().create_future()
    over = asyncio.Event()

    async def keep() -> None:
        async with context as value:
            opened.set_result(value)
            await over.wait()

    keeper = asyncio.create_task(keep())
    try:
        await asyncio.wait({opened, keeper}, timeout=LIMIT, return_when=asyncio.FIRST_COMPLETED)
        if keeper.done():
            await keeper
        yield opened.result()
    finally:
        over.set()
        await asyncio.wait_for(keeper, LIMIT)
