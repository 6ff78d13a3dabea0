"""The play in five acts: file, work, review, send back, apply. Everything printed comes from the run."""

from __future__ import annotations

import sqlite3
import tempfile
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

import anyio
from rich.console import Console
from rich.table import Table
from rich.text import Text

from workdocket.surfaces.cli.show import STYLES, counts
from workdocket.surfaces.demo.cast import Player, Refused, Story, airports, player, verified

out = Console(highlight=False)

ORDERS = 4
BATCH = 20
SENT_BACK = 2
"""Which order the reviewer sends back once."""


def run(agents: int, keep: Path | None) -> int:
    """Play it in ``keep``, or in a folder that is gone afterwards; returns the exit code."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        for left in keep.glob("*.db*"):
            left.unlink()
        return anyio.run(_play, keep.resolve(), agents)
    with tempfile.TemporaryDirectory(prefix="workdocket-demo-") as folder:
        return anyio.run(_play, Path(folder), agents)


async def _play(folder: Path, agents: int) -> int:
    database, target = folder / "work.db", folder / "airports.db"
    began = time.perf_counter()
    story = Story()
    async with AsyncExitStack() as stage:
        say(f"1. {agents + 2} MCP clients, each with its own stdio server process, on one SQLite file")
        planner = await stage.enter_async_context(player("planner", "requester", database))
        reviewer = await stage.enter_async_context(player("reviewer", "reviewer", database))
        crew = [await stage.enter_async_context(player(f"agent-{n}", "worker", database)) for n in range(1, agents + 1)]

        ready = time.perf_counter()
        orders = await _file(planner, target)
        say(f"\n2. {len(airports())} real records filed as {len(orders)} orders of database.record.insert")
        await _show_queue(planner)

        async with anyio.create_task_group() as work:
            for n, agent in enumerate(crew):
                work.start_soon(_work, agent, story, n == 0)
            await _review(reviewer, orders, story)
            work.cancel_scope.cancel()
        done = time.perf_counter()

        say("\n3. what the checks and the reviewer sent back")
        rows("", ("who", "item", "why"), [*story.refused, *story.returned])
        say("\n4. approved with the digest that was reviewed, applied once, with a diff")
        await _show_diff(planner, orders[SENT_BACK - 1])
        say(f"\n5. the audit trail of {orders[SENT_BACK - 1]}, one line for each kind of step")
        await _show_trail(planner, orders[SENT_BACK - 1])
        await _show_queue(planner)
    return _sum_up(target, story, crew, began, ready, done)


async def _file(planner: Player, target: Path) -> list[str]:
    records = airports()
    share = len(records) // ORDERS
    filed = []
    for n in range(ORDERS):
        answer = await planner.call(
            "propose",
            type="database.record.insert",
            payload={
                "database": str(target),
                "table": "airports",
                "key": ["iata"],
                "records": records[n * share : (n + 1) * share],
                "batch_size": BATCH,
            },
            priority=50 - n,
            meta={"source": "airportsdata"},
            idempotency_key=f"demo-{n}",
        )
        filed.append(answer["order"]["id"])
    return filed


async def _work(agent: Player, story: Story, careless: bool) -> None:
    """Take, verify, hand in, until nobody needs this agent any more. A careless one forgets a record, once."""
    while True:
        for item in (await agent.call("checkout", wait_seconds=5))["items"]:
            held = {"item_id": item["id"], "lease_token": item["lease"]["token"]}
            await agent.call("heartbeat", **held, progress=0.5, note="checking codes and coordinates")
            result = verified(item)
            if careless:
                careless = False
                await _hand_in(agent, held, {**result, "records": result["records"][1:]}, story)
            await _hand_in(agent, held, result, story)


async def _hand_in(agent: Player, held: dict[str, str], result: dict[str, Any], story: Story) -> None:
    try:
        await agent.call("submit", **held, result=result, notes="codes and coordinates checked")
        story.worked[agent.name] = story.worked.get(agent.name, 0) + 1
    except Refused as refused:
        story.refused.append((agent.name, held["item_id"], f"{refused.error['code']}: {refused.error['message']}"))


async def _review(reviewer: Player, orders: Sequence[str], story: Story) -> None:
    sent_back = False
    for order_id in orders:
        while (await _settled(reviewer, order_id)) == "submitted":
            packet = await reviewer.call("review", order_id=order_id)
            if order_id == orders[SENT_BACK - 1] and not sent_back:
                sent_back = True
                reason = "three decimals are enough for the coordinates of an airport"
                item = packet["items"][0]["id"]
                errors = [{"code": "precision", "message": reason, "item_id": item}]
                await reviewer.call("reject", order_id=order_id, errors=errors, rework=True)
                story.returned.append((reviewer.name, item, f"rework: {reason}"))
            else:
                await reviewer.call("approve", order_id=order_id, digest=packet["digest"], comment="looks right")


async def _settled(reviewer: Player, order_id: str) -> str:
    """The order's state, once the agents are done with it."""
    with anyio.fail_after(120):
        while True:
            seen = await reviewer.call("get_order", order_id=order_id)
            state: str = seen["order"]["state"]
            if state not in ("queued", "checked_out", "in_progress", "approved"):
                return state
            await reviewer.call("get_order", order_id=order_id, wait_seconds=5, since_version=seen["version"])


# what is shown


def say(text: str) -> None:
    out.print(Text(text, style="bold"))


def rows(title: str, columns: Sequence[str], lines: Sequence[Sequence[Any]]) -> None:
    table = Table(box=None, header_style="dim", title=title or None, title_justify="left", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for line in lines:
        table.add_row(*(Text(str(cell), style=STYLES.get(str(cell), "")) for cell in line))
    out.print(table)


async def _show_queue(planner: Player) -> None:
    orders = (await planner.call("list_orders", sort="id"))["orders"]
    lines = [(o["id"], o["state"], o["priority"], o["items_count"], counts(o["items"])) for o in orders]
    rows("", ("order", "state", "priority", "items", "of which"), lines)


async def _show_diff(planner: Player, order_id: str) -> None:
    diff = (await planner.call("get_order", order_id=order_id))["diff"]
    out.print(f"{order_id}  {diff['summary']}")
    shown = diff["changes"][:5]
    lines = [(c["op"], c["path"], c["after"]["name"], c["after"]["lat"], c["after"]["lon"]) for c in shown]
    rows("", ("", "path", "name", "lat", "lon"), lines)
    out.print(f"… and {len(diff['changes']) + diff.get('changes_left_out', 0) - len(shown)} more rows")


async def _show_trail(planner: Player, order_id: str) -> None:
    events = (await planner.call("events", order_id=order_id, limit=500))["events"]
    firsts: dict[str, tuple[Any, int]] = {}
    for event in events:
        first, count = firsts.get(event["event"], (event, 0))
        firsts[event["event"]] = (first, count + 1)
    lines = [
        (e["seq"], e["at"][11:23], e["event"], f"x{n}", e.get("item_id", order_id), e["actor_id"], e["hash"][:10])
        for e, n in firsts.values()
    ]
    rows("", ("seq", "first at", "event", "times", "about", "by", "hash"), lines)


def _sum_up(target: Path, story: Story, crew: Sequence[Player], began: float, ready: float, done: float) -> int:
    there = _in_target(target)
    total = len(there)
    say("\nin the target database now")
    rows("", ("iata", "name", "city", "country"), there[:3])
    share = ", ".join(f"{agent.name} {story.worked.get(agent.name, 0)}" for agent in crew)
    calls = sum(agent.calls for agent in crew)
    out.print(f"{total} rows, every one verified, reviewed and applied once")
    out.print(f"batches handed in: {share}")
    out.print(f"{ready - began:.1f} s to start the servers, {done - ready:.1f} s of work, {calls} agent calls")
    return 0 if total == len(airports()) else 1


def _in_target(target: Path) -> list[Any]:
    """The rows as any program finds them: the target is the user's database, not where workdocket keeps its work."""
    with closing(sqlite3.connect(target)) as connection:
        return connection.execute("SELECT iata, name, city, country FROM airports ORDER BY iata").fetchall()
