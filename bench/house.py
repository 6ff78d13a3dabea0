"""The product opened on a file of its own, here and in another process, and callers of its tools."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from workdocket import ApplyContext, Diff, ItemSpec, OrderType, WorkOrder
from workdocket.app import App, open_app
from workdocket.ports import Clock
from workdocket.registry import Registry, entry_of
from workdocket.settings import load_settings
from workdocket.surfaces.dispatch import run_tool
from workdocket.surfaces.identity import local_caller

T = TypeVar("T")
Answer = dict[str, Any]

AT_ONCE = 64
"""Calls under way together where many are made, so that they share commits."""


class Work(OrderType):
    """As many items as the payload says, one if it doesn't; applying them changes nothing."""

    payload = {"type": "object"}

    def plan(self, order: WorkOrder) -> list[ItemSpec]:
        return [ItemSpec({"number": n}) for n in range(order.payload.get("items", 1))]

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        return Diff.between({}, {})


def kind(name: str, **members: Any) -> type[OrderType]:
    return type(name, (Work,), {"name": name, **members})


@dataclass
class House:
    """The product in this process."""

    app: App

    async def ok(self, who: str, tool: str, **arguments: Any) -> Answer:
        return await run_tool(self.app, local_caller(who), tool, arguments)

    async def done(self, who: str, tool: str, **arguments: Any) -> tuple[int, Answer]:
        """When the answer was there, in nanoseconds of the clock that all processes share, and the answer."""
        answer = await self.ok(who, tool, **arguments)
        return time.monotonic_ns(), answer

    async def hand_in(self, who: str, item: Answer) -> Answer:
        return await self.ok(
            who, "submit", item_id=item["id"], lease_token=item["lease"]["token"], result={"number": item["input"]}
        )


@asynccontextmanager
async def house(
    folder: Path, kinds: Iterable[type[OrderType]], clock: Clock | None = None, **settings: Any
) -> AsyncIterator[House]:
    """Open as in a server, with its background work, but for a clock in the bench's hand."""
    chosen = load_settings({"database": str(folder / "work.db"), **settings}, cwd=folder, environ={})
    registry = Registry(entry_of(one) for one in kinds)
    async with open_app(chosen, registry=registry, clock=clock, sweep=clock is None) as app:
        yield House(app)


@contextmanager
def new_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="workdocket-bench-") as name:
        yield Path(name)


async def together(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """What the calls answer, in their order, with many of them under way at once."""
    rest, answers = iter(calls), list[T]()
    while batch := list(islice(rest, AT_ONCE)):
        answers += await asyncio.gather(*batch)
    return answers


@dataclass
class Other:
    """Another process on the same file, one request at a time."""

    process: asyncio.subprocess.Process

    async def done(self, who: str, tool: str, **arguments: Any) -> tuple[int, Answer]:
        """As in a house."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([who, tool, arguments]).encode() + b"\n")
        line = await self.process.stdout.readline()
        if not line:
            raise RuntimeError("the other process ended")
        at, answer = json.loads(line)
        return at, answer


@asynccontextmanager
async def other(folder: Path, names: Sequence[str]) -> AsyncIterator[Other]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.other", str(folder), *names,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 24,
    )  # fmt: skip
    try:
        yield Other(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
