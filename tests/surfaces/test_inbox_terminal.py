"""The inbox at a terminal: a real process on a real terminal, a key for each decision, and the database afterwards."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.support.harness import HandClock, House, house
from tests.support.terminal import Terminal, close, terminal
from workdocket.surfaces import wire
from workdocket.surfaces.tools import TOOLS

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there are no such terminals")

T = TypeVar("T")
ECHOED = {"message": "hi", "verified": True}
ASKED = r"(WO-\d+)  [av] \w+ .*q quit\r\n> "
REASON, YES_OR_NO, MORE, SUM = r"reason> ", r"y or n > ", r"-- \d+ more lines?: [^>]*> ", r"\n[^\n]*\d+ left · [^\n]*\n"


def inside(folder: Path, work: Callable[[House], Awaitable[T]]) -> T:
    """What another process does meanwhile, or did before."""

    async def opened() -> T:
        async with house(folder, clock=HandClock(time.time_ns() // 1_000_000)) as home:
            return await work(home)

    return asyncio.run(opened())


async def ready(home: House, type: str, payload: Any, *results: Any, **more: Any) -> str:
    """An order that waits for a decision: filed by ben, done by agents."""
    order_id = await home.person("ben").propose(type, payload, **more)
    await done(home, order_id, *results)
    return order_id


async def done(home: House, order_id: str, *results: Any) -> None:
    agent = home.person("agent")
    for result in results:
        await agent.hand_in(await agent.take(order_id=order_id), result)


async def batch(home: House, *counts: int, **more: Any) -> str:
    return await ready(home, "test.batch", {"batches": len(counts)}, *({"count": n} for n in counts), **more)


async def echo(home: House, type: str = "test.echo", message: str = "hi", **more: Any) -> str:
    return await ready(home, type, {"message": message}, {"message": message, "verified": True}, **more)


async def redone(home: House, order_id: str) -> None:
    """Sent back and done again with another result, by somebody else."""
    cy = home.person("cy")
    answer = await cy.ok("reject", order_id=order_id, errors=[{"message": "count again"}], rework=True)
    await done(home, order_id, *[{"count": 7_777}] * answer["order"]["items_count"])


def states(folder: Path) -> dict[str, str]:
    async def look(home: House) -> dict[str, str]:
        found: dict[str, str] = {}
        more: dict[str, Any] = {}
        while True:
            answer = await home.person("ann").ok("list_orders", limit=100, **more)
            found |= {one["id"]: one["state"] for one in answer["orders"]}
            if "next_cursor" not in answer:
                return found
            more = {"cursor": answer["next_cursor"]}

    return inside(folder, look)


def decisions(folder: Path, actor: str = "ann") -> list[dict[str, Any]]:
    async def look(home: House) -> list[dict[str, Any]]:
        return [
            one
            for one in await home.person("ann").events()
            if one["event"] == "decision.recorded" and one["actor_id"] == actor
        ]

    return inside(folder, look)


@contextmanager
def inbox(folder: Path, **more: Any) -> Iterator[Terminal]:
    with terminal(folder, "--actor", "ann", "review", until="q leaves > ", **more) as met:
        yield met


def next_order(screen: Terminal) -> str | None:
    """The order that the next question is about, nothing at the end; what is longer than the screen is read on."""
    while (found := screen.until(ASKED, MORE, SUM))[0].startswith("--"):
        screen.press("\n")
    return found[1]


def meet(screen: Terminal) -> str:
    order_id = next_order(screen)
    assert order_id is not None, screen.lines
    return order_id


def begin(screen: Terminal) -> str:
    screen.press("\n")
    return meet(screen)


def give_reasons(screen: Terminal, *reasons: str) -> None:
    for reason in (*reasons, ""):
        screen.until(REASON)
        screen.press(f"{reason}\n")


# a hundred


async def seeded(home: House) -> dict[str, str]:
    """100 orders by what they are: 60 alike, 20 without a preview, 10 for a person, 5 for two, 5 not fit."""
    kinds: dict[str, str] = {}
    for n in range(20):
        kinds[await batch(home, n + 1)] = "alike"
        kinds[await batch(home, n + 1, n + 2, priority=n % 2)] = "alike"
        kinds[await batch(home, 100 + n)] = "alike"
        kinds[await echo(home, message=f"hello {n}")] = "echo"
        if n % 2:
            kinds[await echo(home, "test.human")] = "human"
        if n % 4 == 0:
            kinds[await echo(home, "test.four_eyes")] = "for two"
        if n % 4 == 1:
            kinds[await batch(home, 0)] = "unfit"
    return kinds


def approve_together(screen: Terminal, folder: Path) -> tuple[set[str], str]:
    """All that are alike, of which one is changed by another process after it was shown: those, and that one."""
    screen.press("g")
    shown = ""
    while (found := screen.until(MORE, YES_OR_NO))[0].startswith("--"):
        shown += found.string[: found.start()]
        screen.press("\n")
    members = re.findall(r"^(WO-\d+)  [0-9a-f]{12}", shown + found.string, re.M)
    changed = members[3]
    inside(folder, lambda home: redone(home, changed))
    screen.press("y")
    screen.until(f"left out: {changed}: stale")
    return set(members) - {changed}, changed


@pytest.mark.scenario("terminal-inbox", "terminal-inbox-group")
def test_a_queue_of_100_mixed_orders_is_cleared_and_the_database_is_what_was_decided(tmp_path: Path) -> None:
    kinds = inside(tmp_path, seeded)
    assert Counter(states(tmp_path).values()) == {"submitted": 100}
    expected: dict[str, str] = {}
    alone = 0
    changed = None

    started = time.monotonic()
    with inbox(tmp_path) as screen:
        order_id: str | None = begin(screen)
        while order_id is not None:
            expected[order_id] = "completed"
            match kinds[order_id]:
                case "alike" if alone < 10 or order_id == changed:
                    alone += 1
                    screen.press("a")
                case "alike":
                    together, changed = approve_together(screen, tmp_path)
                    expected |= dict.fromkeys(together, "completed")
                case "echo" if len(expected) % 4 == 0:
                    screen.press("s")
                    expected[order_id] = "submitted"
                case "echo" if len(expected) % 4 == 1:
                    screen.press("r")
                    give_reasons(screen, "We do not say that.")
                    expected[order_id] = "rejected"
                case "for two":
                    screen.press("a")
                    screen.until("another reviewer has to approve too")
                    expected[order_id] = "submitted"
                case "unfit":
                    screen.press("a")
                    screen.until("not_ready")
                    assert meet(screen) == order_id
                    screen.press("w")
                    give_reasons(screen, "Nothing was processed.", "Count again.")
                    expected[order_id] = "queued"
                case _:
                    screen.press("a")
            order_id = next_order(screen)
        assert screen.ended() == 0
    took = time.monotonic() - started

    assert states(tmp_path) == expected
    counted = Counter(expected.values())
    assert counted["rejected"] and counted["submitted"] > 5 and counted["queued"] == 5
    assert {one["order_id"] for one in decisions(tmp_path)} == {
        one for one, state in expected.items() if state != "submitted" or kinds[one] == "for two"
    }
    print(f"\n100 orders at a terminal, of them {counted['completed']} approved: {took:.1f} s")
