"""What is asked of the queue all the time is found by an index, and costs the same however long the queue is."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.support.harness import CountedIds, HandClock, House, Person, held, house, settings_for
from workdocket.app import assemble
from workdocket.domain.model import iso
from workdocket.registry import load
from workdocket.service.desk import Desk
from workdocket.storage import statements as sql
from workdocket.storage.engine import Connection, dbapi
from workdocket.storage.sqlite import SqliteStore
from workdocket.storage.tables import ReadTables
from workdocket.storage.writer import WriteTables

SHORT, LONG = 1_000, 20_000
LATER = "2030-01-01T00:00:00Z"


@dataclass
class Watch:
    """Every statement that is run while it is on, and the steps that SQLite's machine takes for them."""

    on: bool = False
    asked: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    steps: int = 0

    def step(self) -> int:
        self.steps += self.on
        return 0

    @contextmanager
    def watching(self) -> Iterator[None]:
        self.on = True
        try:
            yield
        finally:
            self.on = False


class Watched:
    """A connection under watch."""

    def __init__(self, connection: Connection, watch: Watch) -> None:
        self._connection, self._watch = connection, watch
        connection.set_progress_handler(watch.step, 1)

    def execute(self, statement: str, parameters: Mapping[str, Any]) -> Any:
        if self._watch.on:
            self._watch.asked[statement] = parameters
        return self._connection.execute(statement, parameters)

    def executemany(self, statement: str, parameters: Any) -> Any:
        return self._connection.executemany(statement, parameters)


@asynccontextmanager
async def watched_house(folder: Path, watch: Watch, **overrides: Any) -> AsyncIterator[House]:
    """As ``house``, on connections under watch."""
    settings = settings_for(folder, **overrides)
    assert settings.database_path is not None
    store = await SqliteStore.open(
        settings.database_path,
        read_tx=lambda connection: ReadTables(Watched(connection, watch)),
        write_tx=lambda connection: WriteTables(Watched(connection, watch)),
    )
    try:
        async with anyio.create_task_group() as background:
            clock, ids = HandClock(), CountedIds()
            desk = Desk(store, load(settings.order_types), settings, clock, ids, background.start_soon)
            yield House(assemble(desk), clock, ids)
            background.cancel_scope.cancel()
    finally:
        await store.close()


async def fill(folder: Path, items: int) -> None:
    """A queue of which 5 % can be had, 90 % are delayed at a higher priority, and 5 % wait for something else."""
    async with house(folder) as opened:
        filer = opened.person("filer")
        never = await filer.propose("test.free", {}, not_before=LATER)
        for _ in range(10):
            twentieth = {"batches": items // 200}
            await filer.propose("test.batch", twentieth, priority=50)
            await filer.propose("test.batch", twentieth, priority=90, depends_on=[never])
            for _ in range(18):
                await filer.propose("test.batch", twentieth, priority=90, not_before=LATER)
        await filer.propose("test.chain", {})
        for _ in range(2):
            await filer.propose("test.echo", deadline=iso(opened.clock.now() + 60_000))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path, int], None]:
    """Puts a copy of a queue of that length into a folder."""
    folders = {length: tmp_path_factory.mktemp(f"queue-{length}") for length in (SHORT, LONG)}
    for length, folder in folders.items():
        asyncio.run(fill(folder, length))

    def copy(folder: Path, length: int) -> None:
        shutil.copytree(folders[length], folder, dirs_exist_ok=True)

    return copy


Step = Callable[[House, Person], Awaitable[Any]]


async def by_hand(opened: House, agent: Person) -> None:
    """All that a worker does with an item, and what happens when it does nothing."""
    item = await agent.take(type="test.echo")
    await agent.ok("heartbeat", **held(item), progress=0.5)
    await agent.refused("submit", "invalid_result", **held(item), result={})
    await agent.ok("submit", **held(item), result={"message": "hi", "verified": True}, idempotency_key="k")
    await agent.ok("release", **held(await agent.take(type="test.chain")))
    await agent.ok("fail", **held(await agent.take(type="test.echo")), reason="no")
    chained = await agent.take(type="test.chain")
    await agent.ok("submit_part", **held(chained), part_key="a", payload={})
    await agent.ok("submit", **held(chained), result={})
    opened.clock.forward(3600)
    await opened.app.sweeper.sweep()
    await opened.app.desk.store.read(lambda tx: tx.next_due())


CHECKOUTS: dict[str, dict[str, Any]] = {
    "anything": {},
    "of a type": {"type": "test.batch"},
    "many at once": {"type": "test.batch", "count": 20},
    "of an order": {"order_id": "WO-2"},
    "an item": {"item_id": "WO-2.1"},
    "from a priority up": {"min_priority": 50},
    "of a type with nothing to do": {"type": "test.solo"},
    "of a type and above every priority": {"type": "test.batch", "min_priority": 99},
    "of a delayed order": {"order_id": "WO-4"},
    "of a blocked order": {"order_id": "WO-3"},
    "a delayed item": {"item_id": "WO-4.1"},
}


async def checkout(agent: Person, name: str) -> None:
    answer = await agent.ok("checkout", **CHECKOUTS[name])
    assert bool(answer["items"]) == (name in list(CHECKOUTS)[:6]), answer


WORK: dict[str, Step] = {
    **{f"checkout {name}": lambda _, agent, name=name: checkout(agent, name) for name in CHECKOUTS},
    "working": by_hand,
}


async def asked_of(folder: Path, name: str) -> Watch:
    watch = Watch()
    async with watched_house(
        folder, watch, max_leases_per_agent=100, max_leases_per_type=100, max_leases_per_key=100
    ) as opened:
        with watch.watching():
            await WORK[name](opened, opened.person("agent"))
    return watch


SCAN = re.compile(r"SCAN (?!states$|levels$|\d+ CONSTANT ROWS)")
"""A walk through a table or a whole index; not through what a statement itself says, which has a dozen rows."""


def plan_of(folder: Path, statement: str, parameters: Mapping[str, Any]) -> list[str]:
    connection = dbapi.connect(folder / "work.db")
    try:
        return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    finally:
        connection.close()


@pytest.mark.scenario("constant-checkout")
@pytest.mark.parametrize("name", WORK)
async def test_no_statement_of_checkout_heartbeat_submit_or_sweep_scans_a_table(
    tmp_path: Path, filled: Callable[[Path, int], None], name: str
) -> None:
    # given
    filled(tmp_path, SHORT)

    # when
    watch = await asked_of(tmp_path, name)

    # then
    plans = {statement: plan_of(tmp_path, statement, given) for statement, given in watch.asked.items()}
    scanning = {statement: plan for statement, plan in plans.items() if any(map(SCAN.match, plan))}
    assert len(plans) > 5
    assert scanning == {}


EXPECTED = {
    sql.REQUIRES_AFTER[""]: "items_ready (type=? AND rank=? AND requires>?)",
    sql.REQUIRES_AFTER["order_id"]: "items_ready_in_order (order_number=? AND rank=? AND requires>?)",
    sql.RANK_AFTER[""]: "items_ready (type=? AND rank>? AND rank<?)",
    sql.RANK_AFTER["order_id"]: "items_ready_in_order (order_number=? AND rank>? AND rank<?)",
    sql.KEY_AFTER[""]: "items_ready (type=? AND rank=? AND requires=? AND concurrency_key>?)",
    sql.FULL_KEYS: "items_held_by_type (type=? AND lease_expires_at>?)",
    sql.PROMOTE_OVERLONG: "items_growing_old (ready_at<?)",
    sql.TURNS: "PRIMARY KEY (type=?)",
    sql.PROMOTE_DUE: "items_due (type=? AND due_at>? AND due_at<?)",
    sql.OVERDUE: "items_overdue (lease_expires_at>? AND lease_expires_at<?)",
    sql.RESERVED: "items_reserved (reserved_for=?",
    sql.NEXT_DUE[""]: "items_due_by_priority (type=? AND priority=? AND due_at>?)",
    sql.NEXT_DUE["order_id"]: "items_by_order (order_id=? AND state=? AND due_at>?)",
    sql.ANY_BLOCKED[""]: "items_blocked (type=? AND priority>?)",
    sql.ANY_BLOCKED["order_id"]: "items_blocked (type=? AND priority=? AND order_number=?)",
    sql.OTHER_STATES: "items_by_order (order_id=? AND state=?)",
    sql.ITEMS_THAT_NEED: "PRIMARY KEY (needs_id=?)",
    sql.LIVE_LEASES_OF_SESSION: "items_held (lease_holder=? AND lease_expires_at>?)",
    sql.LIVE_LEASES_OF_TYPE: "items_held_by_type (type=? AND lease_expires_at>?)",
    sql.LEASE_BY_TOKEN: "(token=?)",
    sql.DUE_EFFECTS: "effects_pending (next_at<?)",
    sql.PAST_DEADLINE: "orders_by_deadline (deadline>? AND deadline<?)",
    sql.NEXT_DEADLINE: "orders_by_deadline",
    sql.RECALL: "answers USING INDEX sqlite_autoindex_answers_1 (scope=?)",
    sql.ANSWERS_BEFORE: "answers_by_age (created_at<?)",
}


@pytest.mark.scenario("constant-checkout")
async def test_each_search_uses_the_index_that_was_made_for_it(
    tmp_path: Path, filled: Callable[[Path, int], None]
) -> None:
    # when
    asked: dict[str, Mapping[str, Any]] = {}
    for n, name in enumerate(WORK):
        filled(tmp_path / str(n), SHORT)
        asked |= (await asked_of(tmp_path / str(n), name)).asked

    # then
    found = {statement: " ".join(plan_of(tmp_path / "0", statement, asked[statement])) for statement in EXPECTED}
    assert {statement: plan for statement, plan in found.items() if EXPECTED[statement] not in plan} == {}


@pytest.mark.scenario("notify-apart")
async def test_effects_and_the_notifications_of_a_channel_are_found_apart(
    tmp_path: Path, filled: Callable[[Path, int], None]
) -> None:
    filled(tmp_path, SHORT)
    given = {"channel": "desk", "now": 0, "limit": 1}

    assert plan_of(tmp_path, sql.DUE_NOTIFICATIONS, given) == [
        "SEARCH effects USING INDEX notifications_pending (channel=? AND next_at<?)"
    ]
    assert plan_of(tmp_path, sql.NEXT_NOTIFICATION_AT, given) == [
        "SEARCH effects USING INDEX notifications_pending (channel=?)"
    ]
    assert plan_of(tmp_path, sql.NEXT_EFFECT_AT, {}) == ["SEARCH effects USING INDEX effects_pending"]


@pytest.mark.scenario("constant-checkout")
async def test_what_was_planned_once_is_not_planned_again(tmp_path: Path, filled: Callable[[Path, int], None]) -> None:
    # given
    filled(tmp_path, SHORT)
    asked = (await asked_of(tmp_path, "working")).asked
    planned = 0

    def asked_at_planning(*_: Any) -> int:
        nonlocal planned
        planned += 1
        return 0

    connection = dbapi.connect(tmp_path / "work.db", cached_statements=256)
    connection.set_authorizer(asked_at_planning)
    again = {}
    for statement, parameters in asked.items():
        if statement.startswith(("SELECT", "WITH")):
            # when
            connection.execute(statement, parameters).fetchall()
            planned = 0
            connection.execute(statement, parameters).fetchall()
            again[statement] = planned
    connection.close()

    # then
    assert len(again) > 10
    assert {statement: times for statement, times in again.items() if times} == {}


@pytest.mark.scenario("constant-checkout")
@pytest.mark.parametrize("name", WORK)
async def test_the_work_of_a_call_does_not_grow_with_the_queue(
    tmp_path: Path, filled: Callable[[Path, int], None], name: str
) -> None:
    # given
    steps = {}
    for length in (SHORT, LONG):
        folder = tmp_path / str(length)
        filled(folder, length)

        # when
        steps[length] = (await asked_of(folder, name)).steps

    # then
    assert steps[SHORT] > 100
    assert steps[LONG] < steps[SHORT] * 1.3
