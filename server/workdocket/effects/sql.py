"""A change in a database, made once: its key is stored in the transaction that makes it.

>>> import sqlite3
>>> from workdocket import Diff
>>> database = sqlite3.connect(":memory:")
>>> def add_tea(database):
...     database.execute("CREATE TABLE IF NOT EXISTS tea (name TEXT)")
...     database.execute("INSERT INTO tea VALUES ('Assam')")
...     return Diff.between([], ["Assam"])
>>> once(database, ctx, add_tea).summary
'1 added'
>>> once(database, ctx, add_tea).summary  # the same key once more: the same diff, and no second row
'1 added'
>>> database.execute("SELECT name FROM tea").fetchall()
[('Assam',)]
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from workdocket.domain.diff import Diff
from workdocket.order_type import ApplyContext

C = TypeVar("C")

TABLE = "CREATE TABLE IF NOT EXISTS workdocket_applied (idempotency_key TEXT PRIMARY KEY, diff TEXT NOT NULL)"
CLAIM = "INSERT INTO workdocket_applied (idempotency_key, diff) VALUES (?, '') ON CONFLICT DO NOTHING"
EARLIER = "SELECT diff FROM workdocket_applied WHERE idempotency_key = ?"
RECORD = "UPDATE workdocket_applied SET diff = ? WHERE idempotency_key = ?"

HAS_TABLE = "SELECT 1 WHERE to_regclass('workdocket_applied') IS NOT NULL"
ONE_MAKES_IT = "SELECT pg_advisory_xact_lock(hashtext('workdocket_applied'))"

NOT_WHOLE = "the change ended its transaction itself: leave out commit, rollback and executescript"
BUSY = "the connection is in a transaction already: commit it, or open one with isolation_level=None"


def once(connection: C, ctx: ApplyContext, change: Callable[[C], Diff]) -> Diff:
    """What ``change(connection)`` returned, the first time it went through under ``ctx.idempotency_key``.

    ``connection`` is one of sqlite3 (or a library like it) or of psycopg 3, with no transaction open: the one that
    begins here is the change's own. It holds the change, its key and its diff, in the table ``workdocket_applied``,
    which is made when it is not there. A second caller waits for the first.

    What ``change`` raises is raised here, with nothing changed. A ``RuntimeError`` says that the connection is in a
    transaction, or that ``change`` has ended the one it was run in.
    """
    database = _Postgres(connection) if hasattr(connection, "transaction") else _SQLite(connection)
    key = ctx.idempotency_key
    if database.busy():
        raise RuntimeError(BUSY)
    with database.transaction():
        database.make_table()
        if database.run(CLAIM, key).rowcount == 0:
            return _read(_first(database.run(EARLIER, key).fetchone()))
        diff = json.dumps(change(connection).as_dict(), default=str)
        if not database.busy():
            raise RuntimeError(NOT_WHOLE)
        database.run(RECORD, diff, key)
    return _read(diff)


def _read(diff: str) -> Diff:
    if not diff:
        raise RuntimeError(NOT_WHOLE)
    return Diff.from_dict(json.loads(diff))


def _first(row: Any) -> str:
    """The one value of a row, in whatever form the connection gives rows."""
    [value] = row.values() if isinstance(row, Mapping) else row
    return str(value)


class _SQLite:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def busy(self) -> bool:
        return bool(self._connection.in_transaction)

    def run(self, statement: str, *values: str) -> Any:
        return self._connection.cursor().execute(statement, values)

    def make_table(self) -> None:
        self.run(TABLE)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Said in SQL: what ``commit()`` does depends on the mode of the connection."""
        self.run("BEGIN IMMEDIATE")
        try:
            yield
            self.run("COMMIT")
        finally:
            if self.busy():
                self.run("ROLLBACK")


class _Postgres:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def busy(self) -> bool:
        return bool(self._connection.info.transaction_status)

    def run(self, statement: str, *values: str) -> Any:
        return self._connection.execute(statement.replace("?", "%s"), values)

    def make_table(self) -> None:
        """Looked for first: who may not make tables may still use one, and two at once must not both make it."""
        if not self.run(HAS_TABLE).fetchone():
            self.run(ONE_MAKES_IT)
            self.run(TABLE)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        with self._connection.transaction():
            yield
