"""SQLite behind asyncio: one write lane that commits in groups, one reading connection, and a wake-up for changes."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, Generic, Literal, Self, TypeVar

import anyio

from workdocket.domain.errors import WorkError
from workdocket.storage.engine import MINIMUM, SQLITE_VERSION, Connection, dbapi, wal_reset_safe
from workdocket.storage.lane import Changes, Job, Lane, TransactionLost, closed, data_version
from workdocket.storage.migrate import Script, load, migrate, pending, version
from workdocket.storage.presence import Presence
from workdocket.storage.turnstile import Turnstile

R = TypeVar("R")
W = TypeVar("W")
T = TypeVar("T")

BATCH_LIMIT = 64
CHECKPOINT_EVERY = 500
GRACE_SECONDS = 1.0

_log = logging.getLogger(__name__)


class SqliteStore(Generic[R, W]):
    """One database file. Bodies are plain functions, run whole in one thread; no call waits without a bound."""

    def __init__(
        self,
        path: Path,
        lane: Lane,
        read_tx: Callable[[Connection], R],
        write_tx: Callable[[Connection], W],
        busy_seconds: float,
    ) -> None:
        self._path = path
        self._lane = lane
        self._read_tx = read_tx
        self._write_tx = write_tx
        self._busy_seconds = busy_seconds
        self._loop = asyncio.get_running_loop()
        self._turnstile = Turnstile(path)
        self._presence = Presence(path)
        self._changes = Changes(lane, self._loop)
        self._queue: deque[Job[Any]] = deque()
        self._since_checkpoint = 0
        self._reader: Lane | None = None
        self._opening_reader = asyncio.Lock()
        self._closing: asyncio.Task[None] | None = None

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        read_tx: Callable[[Connection], R],
        write_tx: Callable[[Connection], W],
        busy_seconds: float = 5.0,
        synchronous: Literal["FULL", "NORMAL"] = "FULL",
        scripts: Sequence[Script] | None = None,
    ) -> Self:
        """Open or create the database and bring it to the present schema.

        Raises ``DatabaseTooNew``, and ``WorkError`` busy when other processes leave no turn within ``busy_seconds``.
        A database that is up to date is opened without any write lock.
        """
        _check_library()
        lane = Lane(partial(_connect, path, busy_seconds))
        await _made(lane)
        store = cls(path, lane, read_tx, write_tx, busy_seconds)
        try:
            await store._prepare(synchronous, load() if scripts is None else scripts)
        except BaseException:
            await store._close(GRACE_SECONDS)
            raise
        return store

    @property
    def tick(self) -> int:
        """Changes with every commit of this process that wrote something and, while somebody waits, with others'."""
        return self._changes.tick

    @property
    def owner(self) -> str:
        """The name of this process among those that share the file."""
        return self._presence.owner

    def alive(self, owner: str) -> bool | None:
        """Whether the process of that name still runs; ``None`` where it can't be told."""
        return self._presence.alive(owner)

    async def wait(self, seen: int, timeout_seconds: float) -> int:
        """Return the present ``tick`` once it differs from ``seen``, or at the timeout.

        To miss nothing: take ``tick``, read, and when there was nothing to do, wait with that tick. It may also
        return because of a change that does not matter to you, or because the store is being closed.
        """
        self._check_open()
        return await self._changes.wait(seen, timeout_seconds)

    def wake(self) -> None:
        """Let every ``wait`` return that knows the present ``tick`` or an earlier one."""
        self._changes.move()

    async def read(self, body: Callable[[R], T]) -> T:
        """Run ``body`` on one snapshot. What it returns must not depend on the connection."""
        reader = self._reader or await self._open_reader()
        return await reader.run(partial(self._read, body))

    async def write(self, body: Callable[[W], T]) -> T:
        """Run ``body`` in a transaction and return once it is committed.

        It shares the commit with what else is queued, but not its failures. A body that could not start within
        ``busy_seconds``, or whose caller was cancelled before, never runs; one that has started runs to its end.
        Raises what the body raised, ``WorkError`` busy, or the database's own error.
        """
        self._check_open()
        job = Job(partial(self._write, body))
        self._queue.append(job)
        self._lane.post(self._turn)
        timer = self._loop.call_later(self._busy_seconds, job.withdraw)
        try:
            await job.done
        finally:
            timer.cancel()
            job.claim()
        return job.outcome()

    async def close(self) -> None:
        """Finish what is queued and close; waits at most about ``busy_seconds``. May be called again."""
        if self._closing is None:
            self._closing = self._loop.create_task(self._close(self._busy_seconds))
        await asyncio.shield(self._closing)

    def _check_open(self) -> None:
        if self._closing is not None:
            raise closed()

    async def _prepare(self, synchronous: str, scripts: Sequence[Script]) -> None:
        turn = Lock()
        preparing = asyncio.ensure_future(self._lane.run(partial(self._set_up, turn, synchronous, scripts)))
        try:
            await asyncio.wait({preparing}, timeout=self._busy_seconds)
            if not preparing.done() and turn.acquire(blocking=False):
                raise WorkError("busy", "Other processes keep the database busy; it was not opened.")
            self._changes.start(await preparing)
        finally:
            preparing.cancel()

    def _set_up(self, turn: Lock, synchronous: str, scripts: Sequence[Script], conn: Connection) -> int:
        for setting in ("foreign_keys = ON", f"synchronous = {synchronous}", "wal_autocheckpoint = 4000"):
            conn.execute(f"PRAGMA {setting}")
        if _journal_mode(conn) != "wal" or pending(conn, scripts):
            with self._turnstile:
                if turn.acquire(blocking=False):
                    conn.execute("PRAGMA journal_mode = WAL")
                    migrate(conn, scripts)
        return data_version(conn)

    def _turn(self, conn: Connection) -> None:
        if not self._queue:
            return
        batch: list[Job[Any]] = []
        kept = 0
        try:
            with self._turnstile:
                batch = self._next_batch()
                kept = self._commit(conn, batch)
        except Exception as error:
            batch = batch or self._next_batch()
            for job in batch:
                job.fail(error)
        self._loop.call_soon_threadsafe(self._wake, batch, kept)
        self._since_checkpoint += kept
        self._checkpoint_when_idle(conn)

    def _next_batch(self) -> list[Job[Any]]:
        return [self._queue.popleft() for _ in range(min(len(self._queue), BATCH_LIMIT))]

    def _commit(self, conn: Connection, batch: Sequence[Job[Any]]) -> int:
        try:
            conn.execute("BEGIN IMMEDIATE")
            kept = sum(self._attempt(conn, job) for job in batch if job.claim())
            conn.execute("COMMIT")
        finally:
            conn.rollback()
        return kept

    def _attempt(self, conn: Connection, job: Job[Any]) -> bool:
        before = conn.total_changes
        conn.execute("SAVEPOINT body")
        job.run(conn)
        if job.error is not None:
            if not conn.in_transaction:
                raise TransactionLost from job.error
            conn.execute("ROLLBACK TO body")
        conn.execute("RELEASE body")
        return job.error is None and conn.total_changes != before

    def _write(self, body: Callable[[W], T], conn: Connection) -> T:
        return body(self._write_tx(conn))

    def _wake(self, batch: Sequence[Job[Any]], kept: int) -> None:
        if kept:
            self._changes.move()
        for job in batch:
            job.wake()

    def _checkpoint_when_idle(self, conn: Connection) -> None:
        if self._queue or self._since_checkpoint < CHECKPOINT_EVERY:
            return
        try:
            with self._turnstile:
                conn.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except (dbapi.Error, OSError):
            _log.warning("The write-ahead log could not be checkpointed.", exc_info=True)
        self._since_checkpoint = 0

    async def _open_reader(self) -> Lane:
        async with self._opening_reader:
            self._check_open()
            if self._reader is None:
                reader = Lane(partial(_connect_to_read, self._path, self._busy_seconds))
                await _made(reader)
                self._reader = reader
        return self._reader

    def _read(self, body: Callable[[R], T], conn: Connection) -> T:
        conn.execute("BEGIN")
        try:
            return body(self._read_tx(conn))
        finally:
            conn.rollback()

    async def _close(self, timeout_seconds: float) -> None:
        self._changes.release()
        deadline = self._loop.time() + timeout_seconds
        async with self._opening_reader:
            if self._reader is not None:
                await self._reader.finish(Connection.close, timeout_seconds)
        await self._lane.finish(self._close_in_turn, deadline - self._loop.time())
        self._presence.close()

    def _close_in_turn(self, conn: Connection) -> None:
        with self._turnstile:
            conn.close()
        self._turnstile.close()


def bring_up(path: Path, *, dry_run: bool) -> tuple[int, list[str]]:
    """The schema version afterwards and the names of the scripts applied, or to be applied. Blocks."""
    conn = _connect(path, busy_seconds=5.0)
    try:
        todo = [f"{script.number:04}_{script.name}" for script in pending(conn)]
        if todo and not dry_run:
            with Turnstile(path):
                conn.execute("PRAGMA journal_mode = WAL")
                migrate(conn)
        return version(conn), todo
    finally:
        conn.close()


async def _made(lane: Lane) -> None:
    """A connection that is given up half made would report to a loop that may be gone by then."""
    with anyio.CancelScope(shield=True):
        await lane


def _check_library() -> None:
    if SQLITE_VERSION < MINIMUM:
        raise WorkError("internal", f"SQLite {_dotted(SQLITE_VERSION)} is too old; {_dotted(MINIMUM)} is needed")
    if not wal_reset_safe():
        _log.warning(
            "SQLite %s can lose commits when processes write and checkpoint at the same instant. workdocket lets its "
            "own processes do so only one at a time; keep other programs off the file, or install pysqlite3.",
            _dotted(SQLITE_VERSION),
        )


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _connect(path: Path, busy_seconds: float) -> Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        path.touch(mode=0o600, exist_ok=False)
    return dbapi.connect(path, timeout=busy_seconds, isolation_level=None, cached_statements=256)


def _connect_to_read(path: Path, busy_seconds: float) -> Connection:
    conn = _connect(path, busy_seconds)
    conn.execute("PRAGMA query_only = ON")
    return conn


def _journal_mode(conn: Connection) -> str:
    mode: str = conn.execute("PRAGMA journal_mode").fetchone()[0]
    return mode
