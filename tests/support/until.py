"""Waiting for what happens in the background, never longer than a test may."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from tests.support.harness import LIMIT, House, Person

T = TypeVar("T")


async def order_in(person: Person, order_id: str, *states: str) -> dict[str, Any]:
    """What ``get_order`` shows once the order is in one of these states."""
    async with asyncio.timeout(LIMIT):
        seen = 0
        while True:
            answer = await person.ok("get_order", order_id=order_id, wait_seconds=LIMIT, since_version=seen)
            if answer["order"]["state"] in states:
                return answer
            seen = answer["version"]


async def found(house: House, look: Callable[[], Awaitable[T]]) -> T:
    """The first answer of ``look`` that is something, asked anew after each change of the database."""
    store = house.app.desk.store
    async with asyncio.timeout(LIMIT):
        while True:
            tick = store.tick
            answer = await look()
            if answer:
                return answer
            await store.wait(tick, LIMIT)


async def event(house: House, person: Person, order_id: str, name: str, times: int = 1) -> dict[str, Any]:
    """The last event of that name, once there are so many of them."""

    async def look() -> dict[str, Any] | None:
        named = [one for one in await person.events(order_id) if one["event"] == name]
        return named[-1] if len(named) >= times else None

    answer = await found(house, look)
    assert answer is not None
    return answer
