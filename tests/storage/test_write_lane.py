from __future__ import annotations

import asyncio
import os
import stat
import sys
import threading
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from workdocket.domain.errors import WorkError
from workdocket.storage import sqlite
from workdocket.storage.engine import Connection, dbapi
from workdocket.storage.lane import POLL_SECONDS
from workdocket.storage.migrate import Script, version
from workdocket.storage.sqlite import SqliteStore
from workdocket.storage.turnstile import Turnstile

BOUND = 5
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="no flock")

CHECKPOINT = "PRAGMA wal_checkpoint(PASSIVE)"

SCHEMA = """
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE notes (counter TEXT REFERENCES counters DEFERRABLE INITIALLY DEFERRED, text TEXT);
"""


class CounterTx:
    """The smallest transaction that shows what a store promises."""

    def __init__(self, conn: Connection) -> None:
        self.conn = conn

    def add(self, name: str, amount: int = 1) -> int:
        value = self.value(name) + amount
        self.conn.execute("INSERT OR REPLACE INTO counters VALUES (?, ?)", (name, value))
        return value

    def value(self, name: str) -> int:
        row = self.conn.execute("SELECT value FROM counters WHERE name = ?", (name,)).fetchone()
        return row[0] if row else 0

    def note(self, name: str, text: str = "") -> None:
        self.conn.execute("INSERT INTO notes VALUES (?, ?)", (name, text))


CounterStore = SqliteStore[CounterTx, CounterTx]


async def open_store(path: Path, busy_seconds: float = BOUND) -> CounterStore:
    return await SqliteStore.open(
        path,
        read_tx=CounterTx,
        write_tx=CounterTx,
        busy_seconds=busy_seconds,
        scripts=[Script(1, "init", SCHEMA)],
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new folder" / "work.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[CounterStore]:
    opened = await open_store(path)
    yield opened
    await opened.close()


def add(name: str, amount: int = 1) -> Callable[[CounterTx], int]:
    return lambda tx: tx.add(name, amount)


def value(name: str) -> Callable[[CounterTx], int]:
    return lambda tx: tx.value(name)


async def together(*calls: Awaitable[Any]) -> list[Any]:
    async with asyncio.timeout(BOUND):
        return await asyncio.gather(*calls, return_exceptions=True)


@asynccontextmanager
async def occupied(store: CounterStore) -> AsyncIterator[asyncio.Task[int]]:
    """The lane is inside a body until the block ends, so that what is written meanwhile queues up."""
    started, leave = threading.Event(), threading.Event()

    def body(tx: CounterTx) -> int:
        started.set()
        assert leave.wait(BOUND)
        return tx.add("occupant")

    occupant = asyncio.create_task(store.write(body))
    assert await asyncio.to_thread(started.wait, BOUND)
    try:
        yield occupant
    finally:
        leave.set()
        await asyncio.wait({occupant}, timeout=BOUND)


async def queued(store: CounterStore, *bodies: Callable[[CounterTx], Any]) -> list[asyncio.Task[Any]]:
    tasks = [asyncio.create_task(store.write(body)) for body in bodies]
    await asyncio.sleep(0)
    return tasks


async def one_batch(store: CounterStore, *bodies: Callable[[CounterTx], Any]) -> list[Any]:
    async with occupied(store):
        tasks = await queued(store, *bodies)
    return await together(*tasks)


async def traced(store: CounterStore) -> list[str]:
    seen: list[str] = []
    await store.write(lambda tx: tx.conn.set_trace_callback(seen.append))
    seen.clear()
    return seen


# -- other processes


@asynccontextmanager
async def process(script: str, *arguments: object) -> AsyncIterator[Process]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, *map(str, arguments), stdin=PIPE, stdout=PIPE, env=environment
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()


async def said(started: Process, line: str) -> None:
    assert started.stdout is not None
    async with asyncio.timeout(BOUND):
        assert (await started.stdout.readline()).decode().strip() == line


def go_on(started: Process) -> None:
    assert started.stdin is not None
    started.stdin.write(b"\n")


HOLD_TURNSTILE = """
import sys
from pathlib import Path
from workdocket.storage.turnstile import Turnstile
with Turnstile(Path(sys.argv[1])):
    print("inside", flush=True)
    sys.stdin.readline()
"""

INCREMENT = """
import asyncio, sys
from pathlib import Path
from workdocket.storage.sqlite import SqliteStore

def increment(conn):
    conn.execute("UPDATE counters SET value = value + 1 WHERE name = 'shared'")

async def main(path, callers, each):
    store = await SqliteStore.open(path, read_tx=id, write_tx=lambda conn: conn, scripts=SCRIPTS)
    print("ready", flush=True)
    sys.stdin.readline()

    async def caller():
        for _ in range(each):
            await store.write(increment)

    await asyncio.gather(*(caller() for _ in range(callers)))
    print("written", flush=True)
    sys.stdin.readline()
    await store.close()

from workdocket.storage.migrate import Script
SCRIPTS = [Script(1, "init", sys.argv[4])]
asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
"""


@asynccontextmanager
async def turnstile_held(path: Path) -> AsyncIterator[None]:
    path.parent.mkdir(exist_ok=True)
    async with process(HOLD_TURNSTILE, path) as holder:
        await said(holder, "inside")
        yield


# -- one process


async def test_a_write_returns_what_its_body_returned_and_a_read_sees_it(store: CounterStore) -> None:
    assert await store.write(add("a", 3)) == 3
    assert await store.read(value("a")) == 3


async def test_callers_that_queue_up_share_one_commit(store: CounterStore) -> None:
    seen = await traced(store)
    results = await one_batch(store, *(add("a") for _ in range(20)))
    assert results == list(range(1, 21))
    assert seen.count("COMMIT") == 2


async def test_a_batch_holds_at_most_64_bodies(store: CounterStore) -> None:
    seen = await traced(store)
    results = await one_batch(store, *(add("a") for _ in range(100)))
    assert results == list(range(1, 101))
    assert seen.count("COMMIT") == 3


@pytest.mark.parametrize("error", [ValueError, StopIteration, asyncio.CancelledError, KeyError])
async def test_a_failing_body_is_undone_alone(store: CounterStore, error: type[BaseException]) -> None:
    def failing(tx: CounterTx) -> None:
        tx.add("a", 100)
        raise error

    before, failed, after = await one_batch(store, add("a"), failing, add("a"))
    assert (before, after) == (1, 2)
    assert isinstance(failed, (error, RuntimeError))
    assert await store.read(value("a")) == 2


async def test_a_broken_constraint_reaches_its_caller_as_it_is(store: CounterStore) -> None:
    def duplicate(tx: CounterTx) -> None:
        tx.conn.execute("INSERT INTO counters VALUES ('a', 9)")

    ok, refused = await one_batch(store, add("a"), duplicate)
    assert ok == 1
    assert isinstance(refused, dbapi.IntegrityError)


async def test_a_refusal_reaches_its_caller_as_it_is(store: CounterStore) -> None:
    refusal = WorkError("stale", "It moved.")

    def refused(tx: CounterTx) -> None:
        raise refusal

    assert await one_batch(store, refused) == [refusal]


async def test_a_failing_commit_fails_and_undoes_the_whole_batch(store: CounterStore) -> None:
    results = await one_batch(store, add("a"), lambda tx: tx.note("nobody"), add("a"))
    assert all(isinstance(result, dbapi.IntegrityError) for result in results)
    assert await store.read(value("a")) == 0
    assert await store.write(add("a")) == 1


async def test_a_lost_transaction_fails_the_whole_batch_and_only_that(store: CounterStore) -> None:
    def losing(tx: CounterTx) -> None:
        tx.conn.rollback()
        raise ValueError

    before, own, after = await one_batch(store, add("a"), losing, add("a"))
    assert isinstance(own, ValueError)
    assert [error.code for error in (before, after)] == ["busy", "busy"]
    assert await store.read(value("a")) == 0
    assert await store.write(add("a")) == 1


async def test_a_full_disk_is_busy_with_nothing_changed(store: CounterStore) -> None:
    await store.write(add("a"))
    await store.write(lambda tx: tx.conn.execute("PRAGMA max_page_count = 20").fetchone())
    [full] = await one_batch(store, lambda tx: tx.note("a", "x" * 1_000_000))
    assert (full.code, full.retryable) == ("busy", True)
    assert "no space left" in full.message
    assert await store.write(add("a")) == 2


async def test_cancelling_a_caller_leaves_its_started_body_and_no_open_transaction(store: CounterStore) -> None:
    async with occupied(store) as occupant:
        tasks = await queued(store, add("a"))
        occupant.cancel()
    assert await together(*tasks) == [1]
    assert occupant.cancelled()
    assert await store.read(value("occupant")) == 1
    assert await store.write(lambda tx: tx.conn.in_transaction)


async def test_a_body_whose_caller_was_cancelled_before_its_turn_never_runs(store: CounterStore) -> None:
    async with occupied(store):
        cancelled, kept = await queued(store, add("a", 100), add("a"))
        cancelled.cancel()
        await asyncio.wait({cancelled})
    assert await together(kept) == [1]


async def test_a_body_that_waited_too_long_is_withdrawn_and_never_runs(path: Path) -> None:
    store = await open_store(path, busy_seconds=0.1)
    async with occupied(store) as occupant:
        tasks = await queued(store, add("a", 100))
        [refused] = await together(*tasks)
        assert refused.code == "busy"
    assert await occupant == 1
    assert await store.write(add("a")) == 1
    await store.close()


async def test_a_read_sees_one_snapshot(store: CounterStore) -> None:
    read_once, written = threading.Event(), threading.Event()

    def twice(tx: CounterTx) -> tuple[int, int]:
        first = tx.value("a")
        read_once.set()
        assert written.wait(BOUND)
        return first, tx.value("a")

    reading = asyncio.create_task(store.read(twice))
    assert await asyncio.to_thread(read_once.wait, BOUND)
    await store.write(add("a"))
    written.set()
    assert await reading == (0, 0)
    assert await store.read(value("a")) == 1


async def test_a_read_cannot_write(store: CounterStore) -> None:
    with pytest.raises(dbapi.OperationalError):
        await store.read(add("a"))
    assert await store.read(value("a")) == 0


@pytest.mark.parametrize("door", ["read", "write"])
async def test_a_cursor_left_open_by_a_failed_body_holds_no_snapshot(path: Path, door: str) -> None:
    store, other = await open_store(path), await open_store(path)
    for name in "abc":
        await store.write(add(name))

    def failing(tx: CounterTx) -> None:
        cursor = tx.conn.execute("SELECT * FROM counters")
        raise LookupError(cursor.fetchone())

    with pytest.raises(LookupError) as kept_alive:
        await getattr(store, door)(failing)
    await other.write(add("a"))
    assert await store.read(value("a")) == 2
    assert await store.write(add("a")) == 3
    assert kept_alive.value is not None
    await store.close()
    await other.close()


async def test_the_log_is_checkpointed_after_enough_writes(
    store: CounterStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "CHECKPOINT_EVERY", 3)
    seen = await traced(store)
    for _ in range(7):
        await store.write(add("a"))
    await store.close()
    assert 1 <= seen.count(CHECKPOINT) <= 2


async def test_the_log_is_not_checkpointed_while_callers_queue_up(
    store: CounterStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "CHECKPOINT_EVERY", 1)
    seen = await traced(store)
    async with occupied(store):
        seen.clear()
        tasks = await queued(store, *(add("a") for _ in range(100)))
    await together(*tasks)
    await store.close()
    assert [line for line in seen if line in ("COMMIT", CHECKPOINT)] == ["COMMIT"] * 3 + [CHECKPOINT]


async def test_the_files_are_private(path: Path, store: CounterStore) -> None:
    await store.write(add("a"))
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {f"work.db{suffix}": 0o600 for suffix in ("", "-wal", "-shm", ".door", ".gate")}


# -- waiting for changes


async def test_waiting_ends_with_a_commit_of_this_process(store: CounterStore) -> None:
    seen = store.tick
    waiters = [asyncio.create_task(store.wait(seen, BOUND)) for _ in range(10)]
    await asyncio.sleep(0)
    await store.write(add("a"))
    assert set(await together(*waiters)) == {store.tick}
    assert store.tick != seen


async def test_waiting_returns_at_once_when_the_change_has_already_happened(store: CounterStore) -> None:
    seen = store.tick
    await store.write(add("a"))
    assert await store.wait(seen, 0) == store.tick != seen


async def test_a_failed_write_is_no_change(store: CounterStore) -> None:
    seen = store.tick
    with pytest.raises(ZeroDivisionError):
        await store.write(lambda tx: 1 / 0)
    assert store.tick == seen


async def test_waiting_without_a_change_ends_at_the_timeout_with_the_same_tick(store: CounterStore) -> None:
    seen = store.tick
    assert await store.wait(seen, 0.1) == seen


async def test_any_number_of_waiters_share_one_poll_which_ends_with_them(store: CounterStore) -> None:
    seen = await traced(store)
    tick = store.tick
    await together(*(store.wait(tick, 0.2) for _ in range(200)))
    polls = seen.count("PRAGMA data_version")
    assert 0 < polls < 100
    await asyncio.to_thread(threading.Event().wait, 3 * POLL_SECONDS)
    assert seen.count("PRAGMA data_version") <= polls + 1


async def test_waiting_ends_soon_after_a_commit_of_another_process(path: Path, store: CounterStore) -> None:
    await store.write(add("shared", 0))
    async with process(INCREMENT, path, 1, 1, SCHEMA) as writer:
        await said(writer, "ready")
        seen = store.tick
        waiter = asyncio.create_task(store.wait(seen, BOUND))
        await asyncio.sleep(0)
        go_on(writer)
        await said(writer, "written")
        async with asyncio.timeout(1):
            assert await waiter != seen


async def test_a_commit_of_another_process_before_the_wait_is_not_missed(path: Path, store: CounterStore) -> None:
    await store.write(add("shared", 0))
    async with process(INCREMENT, path, 1, 1, SCHEMA) as writer:
        await said(writer, "ready")
        seen = store.tick
        go_on(writer)
        await said(writer, "written")
        noticed = await store.wait(seen, 1)
        assert noticed != seen
        assert await store.wait(noticed, 0.2) == noticed


# -- several processes


@POSIX
async def test_a_turn_that_never_comes_is_reported_as_busy_in_bounded_time(path: Path) -> None:
    store = await open_store(path, busy_seconds=0.2)
    async with turnstile_held(path):
        refusals = await together(*(store.write(add("a", 100)) for _ in range(5)))
        assert [error.code for error in refusals] == ["busy"] * 5
    assert await store.write(add("a")) == 1
    await store.close()


async def test_a_tool_that_ignores_the_turnstile_makes_writers_busy_not_wrong(path: Path) -> None:
    store = await open_store(path, busy_seconds=0.2)
    tool = dbapi.connect(path, isolation_level=None)
    tool.execute("BEGIN IMMEDIATE")
    [refused] = await together(store.write(add("a", 100)))
    assert refused.code == "busy"
    tool.execute("COMMIT")
    tool.close()
    assert await store.write(add("a")) == 1
    await store.close()


async def test_writers_in_several_processes_lose_nothing_and_see_no_busy(path: Path, store: CounterStore) -> None:
    await store.write(add("shared", 0))
    async with (
        process(INCREMENT, path, 1, 200, SCHEMA) as a,
        process(INCREMENT, path, 1, 200, SCHEMA) as b,
        process(INCREMENT, path, 4, 50, SCHEMA) as c,
        process(INCREMENT, path, 4, 50, SCHEMA) as d,
    ):
        writers = (a, b, c, d)
        for writer in writers:
            await said(writer, "ready")
        for writer in writers:
            go_on(writer)
        for writer in writers:
            await said(writer, "written")
    assert await store.read(value("shared")) == 800
    assert await store.read(lambda tx: tx.conn.execute("PRAGMA integrity_check").fetchall()) == [("ok",)]


@POSIX
async def test_an_up_to_date_database_opens_while_others_write(path: Path, store: CounterStore) -> None:
    await store.write(add("a"))
    async with turnstile_held(path), occupied_by_tool(path):
        async with asyncio.timeout(BOUND):
            late = await open_store(path)
            assert await late.read(value("a")) == 1
    await late.close()


@asynccontextmanager
async def occupied_by_tool(path: Path) -> AsyncIterator[None]:
    tool = dbapi.connect(path, isolation_level=None)
    tool.execute("BEGIN IMMEDIATE")
    yield
    tool.close()


@POSIX
async def test_a_new_database_that_gets_no_turn_is_reported_as_busy(path: Path) -> None:
    async with turnstile_held(path):
        with pytest.raises(WorkError) as refused:
            async with asyncio.timeout(BOUND):
                await open_store(path, busy_seconds=0.2)
    assert refused.value.code == "busy"
    assert await asyncio.to_thread(schema_after_those_who_wait, path) == 0


def schema_after_those_who_wait(path: Path) -> int:
    turnstile = Turnstile(path)
    with turnstile:
        conn = dbapi.connect(path)
        found = version(conn)
        conn.close()
    turnstile.close()
    return found


# -- closing


async def test_closing_finishes_what_is_queued(path: Path, store: CounterStore) -> None:
    async with occupied(store):
        tasks = await queued(store, add("a"), add("a"))
        closing = asyncio.create_task(store.close())
        await asyncio.sleep(0)
    assert await together(*tasks) == [1, 2]
    await closing
    assert not path.with_name("work.db-wal").exists()


async def test_closing_twice_or_at_once_is_the_same_as_once(store: CounterStore) -> None:
    await store.read(value("a"))
    assert await together(store.close(), store.close()) == [None, None]
    await store.close()


async def test_closing_ends_the_threads(path: Path) -> None:
    before = set(threading.enumerate())
    store = await open_store(path)
    await store.read(value("a"))
    lanes = set(threading.enumerate()) - before
    await store.close()
    for lane in lanes:
        lane.join(BOUND)
    assert [lane.is_alive() for lane in lanes] == [False, False]


async def test_a_closed_store_refuses_every_call(store: CounterStore) -> None:
    await store.close()
    refusals = await together(store.write(add("a")), store.read(value("a")), store.wait(store.tick, BOUND))
    assert [error.code for error in refusals] == ["busy"] * 3


async def test_a_store_that_was_reading_refuses_to_read_once_closed(store: CounterStore) -> None:
    await store.read(value("a"))
    await store.close()
    [refused] = await together(store.read(value("a")))
    assert refused.code == "busy"


async def test_closing_releases_who_waits_for_a_change(store: CounterStore) -> None:
    waiter = asyncio.create_task(store.wait(store.tick, 60))
    await asyncio.sleep(0)
    await store.close()
    assert await together(waiter) == [store.tick]


@POSIX
async def test_the_file_is_not_closed_out_of_turn(path: Path) -> None:
    store = await open_store(path, busy_seconds=0.2)
    await store.write(add("a"))
    async with turnstile_held(path):
        await store.close()
        assert path.with_name("work.db-wal").exists()


@POSIX
async def test_closing_is_bounded_when_the_turn_never_comes(path: Path) -> None:
    store = await open_store(path, busy_seconds=0.2)
    async with turnstile_held(path):
        pending = await queued(store, add("a"))
        async with asyncio.timeout(BOUND):
            await store.close()
        [refused] = await together(*pending)
        assert refused.code == "busy"
