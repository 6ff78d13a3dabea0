"""How soon a waiting call is answered after the change it waits for, and what waiting costs."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol, TypeVar

from bench.figures import SPREAD, Report, Table, main, spread
from bench.house import Answer, House, Other, house, kind, new_folder, other

T = TypeVar("T")

WANTED, UNWANTED = "bench.wanted", "bench.unwanted"
LONGEST = 50
WINDOWS = 10
CHANGES_A_SECOND = 10
SETTLING = (0.05, 0.1)
"""Seconds from the start of a wait to the change: anywhere in the time between two looks at the file."""


async def measure(rounds: int = 200, waiters: int = 50, seconds: float = 10.0) -> Report:
    with new_folder() as folder:
        async with house(folder, map(kind, (WANTED, UNWANTED))) as here, other(folder, (WANTED, UNWANTED)) as there:
            woken = await wake_ups(here, there, rounds)
            costs = await all_costs(here, there, waiters, seconds)
    return Report(
        "Waiting",
        [
            """Milliseconds from the moment at which the change was acknowledged to its caller until the waiting call is
            answered. Below zero: answered before the change's own caller. Design: at once in the same process, 100 ms
            from another one.""",
            Table(["ms until answered", *SPREAD], [[name, *spread(values)] for name, values in woken.items()]),
            f"""What it costs one process that {waiters} callers wait in it, over {seconds:g} s in {WINDOWS} windows:
            processor time as a share of one core, and calls of the store for each second. Where others change
            something, it is another process that files an order of another type, {CHANGES_A_SECOND} times a second;
            the row without callers is what the bench itself takes. Design: under 1 % while nothing happens.""",
            Table(
                ["% of one core", *SPREAD, "reads/s", "writes/s"],
                [[name, *spread(cost.shares, 2), f"{cost.reads:.1f}", f"{cost.writes:.1f}"] for name, cost in costs],
            ),
        ],
        [(name, value) for name, values in woken.items() for value in values]
        + [(name, share) for name, cost in costs for share in cost.shares],
    )


# how soon


class Changer(Protocol):
    async def done(self, who: str, tool: str, **arguments: Any) -> tuple[int, Answer]: ...


async def wake_ups(here: House, there: Other, rounds: int) -> dict[str, list[float]]:
    """Milliseconds for each kind of wait and of changer, measured in turns."""
    series: list[tuple[str, Callable[[House, Changer], Coroutine[Any, Any, float]], Changer]] = [
        (f"{tool}, changed by {who}", once, changer)
        for tool, once in (("checkout", item_filed), ("get_order", order_cancelled))
        for who, changer in (("the same process", here), ("another process", there))
    ]
    found: dict[str, list[float]] = {name: [] for name, _, _ in series}
    for _ in range(rounds):
        for name, once, changer in series:
            found[name].append(await once(here, changer))
    return found


async def item_filed(here: House, changer: Changer) -> float:
    waiting = asyncio.create_task(here.done("waiter", "checkout", type=WANTED, wait_seconds=LONGEST))
    lasted, answer = await _until_answered(waiting, changer, "propose", type=WANTED, payload={})
    await here.hand_in("waiter", answer["items"][0])
    return lasted


async def order_cancelled(here: House, changer: Changer) -> float:
    order_id = (await here.ok("boss", "propose", type=UNWANTED, payload={}))["order"]["id"]
    version = (await here.ok("boss", "get_order", order_id=order_id))["version"]
    waiting = asyncio.create_task(
        here.done("waiter", "get_order", order_id=order_id, wait_seconds=LONGEST, since_version=version)
    )
    lasted, _ = await _until_answered(waiting, changer, "cancel", order_id=order_id)
    return lasted


async def _until_answered(
    waiting: asyncio.Task[tuple[int, Answer]], changer: Changer, tool: str, **arguments: Any
) -> tuple[float, Answer]:
    await asyncio.sleep(random.uniform(*SETTLING))
    acknowledged, _ = await changer.done("boss", tool, **arguments)
    answered, answer = await waiting
    return (answered - acknowledged) / 1e6, answer


# at what cost


@dataclass
class Cost:
    """Percent of one core in each window; calls of the store per second over all of them."""

    shares: list[float] = field(default_factory=list)
    reads: float = 0.0
    writes: float = 0.0


class Counted:
    """A store with its calls counted."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.reads = self.writes = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def read(self, body: Callable[[Any], T]) -> T:
        self.reads += 1
        done: T = await self._store.read(body)
        return done

    async def write(self, body: Callable[[Any], T]) -> T:
        self.writes += 1
        done: T = await self._store.write(body)
        return done


async def all_costs(here: House, there: Other, waiters: int, seconds: float) -> list[tuple[str, Cost]]:
    watched = (await here.ok("boss", "propose", type=UNWANTED, payload={}))["order"]["id"]
    version = (await here.ok("boss", "get_order", order_id=watched))["version"]
    calls: list[tuple[int, str, dict[str, Any]]] = [
        (0, "callers", {}),
        (waiters, "checkout", {"type": WANTED}),
        (waiters, "get_order", {"order_id": watched, "since_version": version}),
    ]
    found = []
    for changing, meanwhile in ((False, "nothing happens"), (True, "others change something")):
        for number, tool, arguments in calls:
            async with changes(there, changing), waits(here, number, tool, arguments) as store:
                found.append((f"{number or 'no'} {tool}, {meanwhile}", await cost_of(store, seconds)))
    return found


@asynccontextmanager
async def changes(there: Other, changing: bool) -> AsyncIterator[None]:
    """Meanwhile the other process files orders that nobody here waits for, at a steady pace."""
    over = asyncio.Event()

    async def change() -> None:
        started = time.monotonic()
        for number in count(1):
            await there.done("boss", "propose", type=UNWANTED, payload={})
            with suppress(TimeoutError):
                async with asyncio.timeout(started + number / CHANGES_A_SECOND - time.monotonic()):
                    await over.wait()
                    return

    async with asyncio.TaskGroup() as group:
        if changing:
            group.create_task(change())
        yield
        over.set()


@asynccontextmanager
async def waits(here: House, number: int, tool: str, arguments: dict[str, Any]) -> AsyncIterator[Counted]:
    """Meanwhile so many callers wait in this process, each past its first look at the database."""
    desk = here.app.desk
    desk.store, store = (counted := Counted(desk.store)), desk.store
    calls = [
        asyncio.create_task(here.ok(f"waiter {n}", tool, wait_seconds=LONGEST, **arguments)) for n in range(number)
    ]
    while counted.reads + counted.writes < number:  # noqa: ASYNC110 - the store has nothing to say when
        await asyncio.sleep(0.01)
    await asyncio.sleep(max(SETTLING))
    try:
        yield counted
    finally:
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        desk.store = store


async def cost_of(store: Counted, seconds: float) -> Cost:
    before, reads, writes = time.process_time(), store.reads, store.writes
    cost, started = Cost(), time.monotonic()
    for _ in range(WINDOWS):
        at = time.monotonic()
        await asyncio.sleep(seconds / WINDOWS)
        after = time.process_time()
        cost.shares.append(100 * (after - before) / (time.monotonic() - at))
        before = after
    lasted = time.monotonic() - started
    cost.reads, cost.writes = (store.reads - reads) / lasted, (store.writes - writes) / lasted
    return cost


if __name__ == "__main__":
    main(measure)
