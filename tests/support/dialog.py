"""Persons at a client, who are asked in its dialog, and what they are asked about."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from mcp import Client
from mcp.types import ElicitResult

from tests.support.doors import Visitor, door
from tests.support.harness import House


@dataclass
class Somebody:
    """Reads every question, does what ``first`` says, and answers the same each time."""

    action: Any = "accept"
    content: dict[str, Any] | None = None
    first: Callable[[], Awaitable[Any]] | None = None
    read: list[str] = field(default_factory=list)

    async def __call__(self, context: Any, params: Any) -> ElicitResult:
        self.read.append(params.message)
        if self.first:
            await self.first()
        return ElicitResult(action=self.action, content=self.content)


def willing(note: str | None = None, **more: Any) -> Somebody:
    """Who says yes to everything."""
    return Somebody("accept", {"approve": True, **({} if note is None else {"note": note})}, **more)


@asynccontextmanager
async def seated(
    home: House, person: Somebody | None, name: str = "ann", mode: Any = "auto", **door_more: Any
) -> AsyncIterator[Visitor]:
    """A client on a door of its own, with the person in front of it."""
    async with Client(door(home, name, **door_more), mode=mode, elicitation_callback=person) as client:
        yield Visitor(client, [])


async def waiting(home: House, type: str = "test.human", payload: Any = None, result: Any = None) -> str:
    """An order that bob has asked for and worked on, and that awaits a decision."""
    bob = home.person("bob")
    order_id = await bob.propose(type, payload)
    await bob.hand_in(await bob.take(order_id=order_id), result)
    return order_id
