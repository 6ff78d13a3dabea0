"""Ways to the product for tests: in this process with a clock in the test's hand, and over real stdio."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from mcp import Client, StdioServerParameters

from workdocket.app import App, open_app
from workdocket.domain.errors import WorkError
from workdocket.registry import Registry, load
from workdocket.settings import Settings, load_settings
from workdocket.surfaces.dispatch import run_tool
from workdocket.surfaces.identity import ROLES, Caller, local_caller

TYPES = Path(__file__).with_name("types.py")
LIMIT = 5.0
"""Seconds that any wait of a test may take."""


@dataclass
class HandClock:
    """A clock that stands still until a test moves it."""

    at: int = 1_790_000_000_000

    def now(self) -> int:
        return self.at

    def forward(self, seconds: float) -> None:
        self.at += round(seconds * 1000)


@dataclass
class CountedIds:
    """Tokens that are told apart at a glance; jitter as the test says."""

    fixed: float = 0.0
    _next: count[int] = field(default_factory=lambda: count(1))

    def token(self) -> str:
        return f"token-{next(self._next)}"

    def jitter(self) -> float:
        return self.fixed


class Refusal(AssertionError):
    """A call that a test expected to succeed was refused."""


@dataclass
class Person:
    """A caller of tools in this process. ``ok`` expects an answer, ``refused`` a refusal."""

    app: App
    caller: Caller

    async def ok(self, tool: str, **arguments: Any) -> dict[str, Any]:
        try:
            answer = await run_tool(self.app, self.caller, tool, arguments)
        except WorkError as error:
            raise Refusal(json.dumps(error.as_dict())) from error
        json.dumps(answer, allow_nan=False)
        return answer

    async def refused(self, tool: str, code: str, **arguments: Any) -> dict[str, Any]:
        try:
            answer = await run_tool(self.app, self.caller, tool, arguments)
        except WorkError as error:
            if error.code != code:
                raise AssertionError(error.as_dict()) from error
            return error.as_dict()
        raise AssertionError(f"{tool} was not refused: {answer}")

    # the usual steps

    async def propose(self, type: str = "test.echo", payload: Any = None, **more: Any) -> str:
        given = {"message": "hi"} if payload is None else payload
        answer = await self.ok("propose", type=type, payload=given, **more)
        order_id: str = answer["order"]["id"]
        return order_id

    async def take(self, **wanted: Any) -> dict[str, Any]:
        """Exactly one item, checked out."""
        answer = await self.ok("checkout", **wanted)
        assert len(answer["items"]) == 1, answer
        item: dict[str, Any] = answer["items"][0]
        return item

    async def hand_in(self, item: dict[str, Any], result: Any = None, **more: Any) -> dict[str, Any]:
        sent = {"message": "hi", "verified": True} if result is None else result
        return await self.ok("submit", **held(item), result=sent, **more)

    async def state(self, order_id: str) -> str:
        answer = await self.ok("get_order", order_id=order_id)
        found: str = answer["order"]["state"]
        return found

    async def events(self, order_id: str | None = None) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        after: dict[str, Any] = {}
        while True:
            answer = await self.ok("events", limit=500, **({"order_id": order_id} if order_id else {}), **after)
            found += answer["events"]
            if "next_cursor" not in answer:
                return found
            after = {"after": answer["next_cursor"]}

    async def event_names(self, order_id: str) -> list[str]:
        return [event["event"] for event in await self.events(order_id)]


def held(item: dict[str, Any]) -> dict[str, str]:
    """The two arguments that every worker's call carries."""
    return {"item_id": item["id"], "lease_token": item["lease"]["token"]}


@dataclass
class House:
    """The product opened in this process on a real file, and people to call it."""

    app: App
    clock: HandClock
    ids: CountedIds

    def person(self, name: str, *roles: str, kind: Any = "agent") -> Person:
        return Person(self.app, local_caller(name, roles or ROLES, kind=kind))


def settings_for(folder: Path, **overrides: Any) -> Settings:
    given = {"database": f"sqlite:///{folder / 'work.db'}", "order_types": [str(TYPES)], **overrides}
    return load_settings(given, cwd=folder, environ={})


@cache
def usual_types() -> Registry:
    """Loaded once: they are the same for every test, and compiling their schemas takes a while."""
    return load([str(TYPES)])


@asynccontextmanager
async def house(
    folder: Path,
    *,
    sweep: bool = False,
    clock: HandClock | None = None,
    ids: CountedIds | None = None,
    **overrides: Any,
) -> AsyncIterator[House]:
    """Opened once more on the same folder, it is the same house after a restart: give it clock and ids of the first."""
    made, counted = clock or HandClock(), ids or CountedIds()
    settings, registry = settings_for(folder, **overrides), None if "order_types" in overrides else usual_types()
    async with open_app(settings, registry=registry, clock=made, ids=counted, sweep=sweep) as app:
        yield House(app, made, counted)


# over real stdio


def passed_on() -> dict[str, str]:
    """What a server needs of the tests' own environment: to be found where it isn't installed, and to be measured."""
    paths = [str(Path(one).resolve()) for one in os.environ.get("PYTHONPATH", "").split(os.pathsep) if one]
    measured = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_PROCESS_")}
    return {**measured, "PYTHONPATH": os.pathsep.join(paths)} if paths else measured


def server(folder: Path, *options: str, **environment: str) -> StdioServerParameters:
    """How a host starts the server on the test's database."""
    return StdioServerParameters(
        command=sys.executable,
        args=["-m", "workdocket", "serve", *options],
        env={
            "WORKDOCKET_DATABASE": f"sqlite:///{folder / 'work.db'}",
            "WORKDOCKET_ORDER_TYPES": json.dumps([str(TYPES)]),
            **passed_on(),
            **environment,
        },
        cwd=str(folder),
    )


@dataclass
class Agent:
    """A real MCP client on a server process of its own."""

    client: Client

    async def call(self, tool: str, **arguments: Any) -> tuple[bool, dict[str, Any]]:
        """Whether it is an error, and the structured content."""
        result = await self.client.call_tool(tool, arguments, read_timeout_seconds=60)
        assert result.structured_content is not None, result
        return bool(result.is_error), result.structured_content

    async def ok(self, tool: str, **arguments: Any) -> dict[str, Any]:
        failed, answer = await self.call(tool, **arguments)
        if failed:
            raise Refusal(json.dumps(answer))
        return answer

    async def refused(self, tool: str, code: str, **arguments: Any) -> dict[str, Any]:
        failed, answer = await self.call(tool, **arguments)
        assert failed, answer
        assert answer["error"]["code"] == code, answer
        found: dict[str, Any] = answer["error"]
        return found


@asynccontextmanager
async def agent(folder: Path, *options: str, mode: Any = "auto", **environment: str) -> AsyncIterator[Agent]:
    async with Client(server(folder, *options, **environment), mode=mode) as client:
        yield Agent(client)
