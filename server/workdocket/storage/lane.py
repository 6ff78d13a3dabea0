"""A connection on a thread of its own, the jobs it is given, and the wake-up for those who wait for changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from threading import Lock
from traceback import clear_frames
from typing import Any, Generic, TypeVar

import aiosqlite

from workdocket.domain.errors import WorkError
from workdocket.storage.engine import Connection, dbapi

T = TypeVar("T")

POLL_SECONDS = 0.05

_BUSY, _LOCKED, _FULL = 5, 6, 13
_PRIMARY_CODE = 0xFF
_REFUSALS = {
    _BUSY: "The database is busy; nothing was changed.",
    _LOCKED: "The database is busy; nothing was changed.",
    _FULL: "There is no space left for the database; nothing was changed.",
}


class TransactionLost(Exception):
    """The failure of one body made SQLite drop the transaction it shared with others."""


def _refusal(error: BaseException) -> WorkError | None:
    """The one table from SQLite's error codes to refusals; what is not in it propagates as it is."""
    if isinstance(error, TransactionLost):
        message = "The transaction was lost; nothing was changed."
    else:
        message = _REFUSALS.get(getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE, "")
    if not message:
        return None
    refusal = WorkError("busy", message)
    refusal.__cause__ = error
    return refusal


def closed() -> WorkError:
    return WorkError("busy", "The database is being closed; nothing was changed.")


class Job(Generic[T]):
    """One body on its way through a lane. Whoever claims it first, the lane or its caller, decides its fate."""

    __slots__ = ("_claim", "body", "done", "error", "result")

    result: T

    def __init__(self, body: Callable[[Connection], T]) -> None:
        self.body = body
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.error: BaseException | None = None
        self._claim = Lock()

    def claim(self) -> bool:
        return self._claim.acquire(blocking=False)

    def withdraw(self) -> None:
        """The caller has waited long enough; does nothing once the body has started."""
        if self.claim():
            self.error = WorkError("busy", "The database is busy with other writers; nothing was changed.")
            self.wake()

    def run(self, conn: Connection) -> None:
        try:
            self.result = self.body(conn)
        except BaseException as error:
            _drop_cursors(error)
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """The first reason stays: a body that failed by itself keeps its own when the transaction fails later."""
        self.error = self.error or _refusal(error) or error

    def wake(self) -> None:
        if not self.done.done():
            self.done.set_result(None)

    def outcome(self) -> T:
        if self.error is not None:
            raise self.error
        return self.result


def _drop_cursors(error: BaseException | None) -> None:
    """A cursor left half read in a failed body's frame would hold its snapshot for as long as the error lives."""
    while error is not None:
        clear_frames(error.__traceback__)
        error = error.__context__


class Lane(aiosqlite.Connection):
    """A connection whose own thread runs whole functions on the raw connection, in the order they came."""

    def __init__(self, connector: Callable[[], Connection]) -> None:
        super().__init__(connector, iter_chunk_size=64)
        self._thread.daemon = True

    def post(self, fn: Callable[[Connection], None]) -> None:
        """Have ``fn`` run and do not wait; what it raises is lost."""
        if not self._running:
            raise closed()
        self._tx.put_nowait((None, partial(fn, self._conn)))

    async def run(self, fn: Callable[[Connection], T]) -> T:
        """Have ``fn`` run in one hop. It runs to its end even when the caller is cancelled."""
        job = Job(fn)
        self.post(partial(self._work, job))
        await job.done
        return job.outcome()

    async def finish(self, close: Callable[[Connection], None], timeout_seconds: float) -> None:
        """Close after what is queued; past the timeout the thread is left to get there by itself."""
        closed = Job(close)
        self.post(partial(self._end, closed))
        self._running = False
        await asyncio.wait({closed.done}, timeout=timeout_seconds)

    def _work(self, job: Job[Any], conn: Connection) -> None:
        job.run(conn)
        job.done.get_loop().call_soon_threadsafe(job.wake)

    def _end(self, job: Job[None], conn: Connection) -> None:
        self.stop()  # on this thread, so that it doesn't report to a loop that may be gone by then
        self._work(job, conn)


class Changes:
    """A number that moves with every commit, of this process at once, of others when a shared poll sees them."""

    def __init__(self, lane: Lane, loop: asyncio.AbstractEventLoop) -> None:
        self.tick = 0
        self._lane = lane
        self._loop = loop
        self._moved = asyncio.Event()
        self._waiters = 0
        self._polling = False
        self._version = 0

    def start(self, version: int) -> None:
        self._version = version

    def move(self) -> None:
        self.tick += 1
        self.release()

    def release(self) -> None:
        self._moved.set()
        self._moved = asyncio.Event()

    async def wait(self, seen: int, timeout_seconds: float) -> int:
        if self.tick == seen:
            self._waiters += 1
            if not self._polling:
                self._poll()
            try:
                with suppress(TimeoutError):
                    async with asyncio.timeout(timeout_seconds):
                        await self._moved.wait()
            finally:
                self._waiters -= 1
        return self.tick

    def _poll(self) -> None:
        self._polling = self._waiters > 0
        if self._polling:
            with suppress(WorkError):
                self._lane.post(self._look)

    def _look(self, conn: Connection) -> None:
        version = self._version
        with suppress(dbapi.Error):
            version = data_version(conn)
        self._loop.call_soon_threadsafe(self._saw, version)

    def _saw(self, version: int) -> None:
        if version != self._version:
            self._version = version
            self.move()
        self._loop.call_later(POLL_SECONDS, self._poll)


def data_version(conn: Connection) -> int:
    version: int = conn.execute("PRAGMA data_version").fetchone()[0]
    return version
