"""The database for those who only look at it, from inside another program: nothing is made, migrated or written."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Generic, TypeVar

from workdocket.domain.errors import WorkError
from workdocket.storage.engine import Connection, dbapi
from workdocket.storage.migrate import load, version

R = TypeVar("R")
T = TypeVar("T")

BUSY_SECONDS = 1.0

_log = logging.getLogger(__name__)


class Reader(Generic[R]):
    """One read-only connection on a thread of its own: opened at the first read, and again after a ``close``."""

    def __init__(self, path: Path, read_tx: Callable[[Connection], R]) -> None:
        self._path = path
        self._read_tx = read_tx
        self._known = len(load())
        self._thread = ThreadPoolExecutor(1, "workdocket-reader")
        self._connection: Connection | None = None
        self._file: tuple[int, int] | None = None

    async def read(self, body: Callable[[R], T]) -> T:
        """Run ``body`` on one snapshot, away from the loop. Raises ``WorkError`` busy where nothing can be read."""
        return await asyncio.wrap_future(self._thread.submit(self._read, body))

    async def close(self) -> None:
        await asyncio.wrap_future(self._thread.submit(self._drop))

    def _read(self, body: Callable[[R], T]) -> T:
        try:
            connection = self._opened()
            connection.execute("BEGIN")
            try:
                if (found := version(connection)) != self._known:
                    raise dbapi.DatabaseError(f"it has schema version {found}, not {self._known}")
                return body(self._read_tx(connection))
            finally:
                connection.rollback()
        except (OSError, dbapi.Error) as error:
            _log.warning("The work orders in %s cannot be read: %s", self._path, error)
            raise WorkError("busy", "the work orders cannot be read at this moment") from error

    def _opened(self) -> Connection:
        """The connection, a new one where the file is another one by now: it may have been restored from a backup."""
        found = os.stat(self._path)
        file = (found.st_dev, found.st_ino)
        if self._connection is None or self._file != file:
            self._drop()
            uri = f"{self._path.resolve().as_uri()}?mode=ro"
            self._connection = dbapi.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
            self._file = file
        return self._connection

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
