"""Records that go into a SQLite table once: rehearsed on a copy, then applied in one transaction with their key."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workdocket.domain.diff import Diff, pointer
from workdocket.domain.errors import Finding, Refused
from workdocket.effects.sql import once
from workdocket.order_type import ApplyContext

Record = Mapping[str, Any]
Rows = dict[str, dict[str, Any]]
"""Rows of the table by the text of their key."""

DEFINITIONS = """
SELECT sql FROM sqlite_master
WHERE tbl_name = ? COLLATE NOCASE AND type IN ('table', 'view', 'index') AND sql IS NOT NULL
ORDER BY type DESC
"""


@dataclass(frozen=True, slots=True)
class Upsert:
    """Records on their way into a table, each as a new row or over the row with its key.

    ``diff`` says what changed, from the rows before and after. The table is made when it is not there.
    """

    path: Path
    table: str
    key: Sequence[str]
    records: Sequence[Record]
    diff: Callable[[Rows, Rows], Diff]

    def rehearse(self) -> Diff:
        """What ``apply`` would change, found out in memory on a copy that has just the rows concerned.

        Raises ``Refused`` with what the table has against it. Triggers are not rehearsed.
        """
        with _politely(self.path), closing(_connect(":memory:")) as copy:
            if self.path.exists():
                with closing(_connect(f"{self.path.resolve().as_uri()}?mode=ro")) as original:
                    self._copy(original, copy)
            if findings := self._findings(copy):
                raise Refused(findings)
            return self._change(copy)

    def apply(self, ctx: ApplyContext) -> Diff:
        """Make the change and return its diff; under a key that was there before, return the diff it had then."""
        with _politely(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(_connect(self.path.resolve().as_uri())) as database:
                return once(database, ctx, self._change)

    def rehearse_revert(self, applied: Diff) -> Diff:
        """What ``revert`` would do, found out in memory as in ``rehearse``."""
        with _politely(self.path), closing(_connect(":memory:")) as copy:
            if self.path.exists():
                with closing(_connect(f"{self.path.resolve().as_uri()}?mode=ro")) as original:
                    self._copy(original, copy)
            return self._restore(copy, applied)

    def revert(self, ctx: ApplyContext, applied: Diff) -> Diff:
        """Make every row again what it was before ``applied``, the diff that ``apply`` returned, once per key.

        A row that is no longer as it was left is not touched, and is named in the ``conflicts`` of the diff.
        """
        if not self.path.exists():
            return self.rehearse_revert(applied)
        with _politely(self.path), closing(_connect(f"{self.path.resolve().as_uri()}?mode=rw")) as database:
            return once(database, ctx, lambda connection: self._restore(connection, applied))

    def _restore(self, database: sqlite3.Connection, applied: Diff) -> Diff:
        before, left = applied.before or {}, applied.after or {}
        if not _columns(database, self.table):
            return Diff("nothing was taken back", conflicts=(Finding("conflict", "", f"{self.table} is not there"),))
        found, conflicts = self._rows(database), []
        for record in self.records:
            key = key_text(record, self.key)
            was, now = before.get(key), found.get(key)
            if now == was or was == left.get(key):
                continue
            if now is None or now != left.get(key) or _has_bytes(was):
                conflicts.append(Finding("conflict", pointer("", key), "the row is no longer as it was left"))
            elif was is None:
                self._run(database, "DELETE FROM", record)
            else:
                changed = [column for column in was if was[column] != now[column]]
                assigned = ", ".join(f"{quoted(column)} = ?" for column in changed)
                self._run(database, "UPDATE", record, f" SET {assigned}", [was[column] for column in changed])
        restored = self._rows(database)
        kept = f", {len(conflicts)} left alone" if conflicts else ""
        taken = sum(found.get(key) != restored.get(key) for key in {*found, *restored})
        diff = Diff.between(found, restored, f"{self.table}: {taken} rows as they were before{kept}")
        return replace(diff, conflicts=tuple(conflicts))

    def _run(
        self, database: sqlite3.Connection, verb: str, record: Record, change: str = "", values: Sequence[Any] = ()
    ) -> None:
        where = " AND ".join(f"{quoted(column)} = ?" for column in self.key)
        statement = f"{verb} {quoted(self.table)}{change} WHERE {where}"
        database.execute(statement, [*values, *(record[column] for column in self.key)])

    def _change(self, database: sqlite3.Connection) -> Diff:
        database.execute(self._definition())
        before = self._rows(database)
        for record in self.records:
            database.execute(self._statement(record), list(record.values()))
        return self.diff(before, self._rows(database))

    def _rows(self, database: sqlite3.Connection) -> Rows:
        """The rows that are there, of those the records are about."""
        found = {key_text(record, self.key): self._row(database, "*", record) for record in self.records}
        return {
            key: {column: _shown(row[column]) for column in row.keys()}  # noqa: SIM118 - a Row iterates over its values
            for key, row in found.items()
            if row is not None
        }

    def _row(self, database: sqlite3.Connection, columns: str, record: Record) -> sqlite3.Row | None:
        where = " AND ".join(f"{quoted(column)} = ?" for column in self.key)
        select = f"SELECT {columns} FROM {quoted(self.table)} WHERE {where}"  # noqa: S608 - every name is quoted
        row: sqlite3.Row | None = database.execute(select, [record[column] for column in self.key]).fetchone()
        return row

    def _statement(self, record: Record) -> str:
        others = [quoted(column) for column in record if column not in self.key]
        update = f"UPDATE SET {', '.join(f'{column} = excluded.{column}' for column in others)}"
        return (
            f"INSERT INTO {quoted(self.table)} ({listed(record)}) VALUES ({marks(record)})"  # noqa: S608
            f" ON CONFLICT ({listed(self.key)}) DO {update if others else 'NOTHING'}"
        )

    def _fields(self) -> list[str]:
        return list(dict.fromkeys([*self.key, *(field for record in self.records for field in record)]))

    def _definition(self) -> str:
        """The table with a column for each field of the records."""
        typed = [
            f"{quoted(field)} {_type_of(record.get(field) for record in self.records)}" for field in self._fields()
        ]
        return f"CREATE TABLE IF NOT EXISTS {quoted(self.table)} ({', '.join(typed)}, PRIMARY KEY ({listed(self.key)}))"

    def _copy(self, original: sqlite3.Connection, copy: sqlite3.Connection) -> None:
        for definition in original.execute(DEFINITIONS, [self.table]):
            copy.execute(definition["sql"])
        columns = listed(_columns(copy, self.table))
        for record in self.records:
            row = self._row(original, columns, record) if columns else None
            if row is not None:
                into = f"INSERT OR IGNORE INTO {quoted(self.table)} ({columns}) VALUES ({marks(row)})"  # noqa: S608
                copy.execute(into, tuple(row))

    def _findings(self, database: sqlite3.Connection) -> list[Finding]:
        columns = _columns(database, self.table)
        if not columns:
            return []
        known = {column.casefold() for column in columns}
        unknown = [field for field in self._fields() if field.casefold() not in known]
        findings = [Finding("unknown_column", "/table", f"{self.table} has no column {field}") for field in unknown]
        if not findings and not _identifies(database, self.table, self.key):
            text = f"{', '.join(self.key)} does not identify a row of {self.table}; name its primary key"
            findings.append(Finding("key_not_unique", "/key", text))
        return findings


def counted(table: str) -> Callable[[Rows, Rows], Diff]:
    """A diff row by row, and how many there are of each kind."""

    def diff(before: Rows, after: Rows) -> Diff:
        modified = sum(before[key] != after[key] for key in before)
        summary = f"{table}: {len(after) - len(before)} added, {modified} modified, {len(before) - modified} unchanged"
        return Diff.between(before, after, summary)

    return diff


def key_text(record: Record, key: Iterable[str]) -> str:
    return "|".join(str(record[column]) for column in key)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def listed(names: Iterable[str]) -> str:
    return ", ".join(map(quoted, names))


def marks(names: Iterable[str]) -> str:
    return ", ".join("?" for _ in names)


def _connect(database: str) -> sqlite3.Connection:
    connection = sqlite3.connect(database, uri=True, timeout=10, isolation_level=None)
    connection.row_factory = sqlite3.Row
    return connection


@contextmanager
def _politely(path: Path) -> Iterator[None]:
    """What the database has against it, as a finding for the reviewer instead of a defect of this type.

    The one where workdocket keeps its own work (locked by way of the file beside it) is not even opened: a second
    SQLite library in this process would take away the locks of the first.
    """
    if path.resolve().with_name(f"{path.resolve().name}.gate").exists():
        raise Refused(Finding("own_database", "/database", f"{path.name} is where workdocket keeps its own work"))
    try:
        yield
    except (sqlite3.Error, OSError, OverflowError) as error:
        raise Refused(Finding("database", "/database", f"{path.name}: {error}")) from error


def _columns(database: sqlite3.Connection, table: str) -> list[str]:
    """The columns that can be written, none where there is no such table."""
    return [row["name"] for row in database.execute(f"PRAGMA table_info({quoted(table)})")]


def _identifies(database: sqlite3.Connection, table: str, key: Sequence[str]) -> bool:
    """Whether the key is the primary key, or has a unique index of its own for all rows."""
    wanted = {column.casefold() for column in key}
    primary = [row["name"] for row in database.execute(f"PRAGMA table_info({quoted(table)})") if row["pk"]]
    whole = [
        index["name"]
        for index in database.execute(f"PRAGMA index_list({quoted(table)})")
        if index["unique"] and not index["partial"]
    ]
    unique = ([row["name"] for row in database.execute(f"PRAGMA index_info({quoted(index)})")] for index in whole)
    return any({str(column).casefold() for column in columns} == wanted for columns in (primary, *unique))


def _shown(value: Any) -> Any:
    """A stored value as JSON."""
    return f"hex:{value.hex()}" if isinstance(value, bytes) else value


def _has_bytes(row: Mapping[str, Any] | None) -> bool:
    """Whether a row as it is shown may have bytes in it, which cannot be told from the text that stands for them."""
    return row is not None and any(isinstance(value, str) and value.startswith("hex:") for value in row.values())


def _type_of(values: Iterable[Any]) -> str:
    kinds = {type(value) for value in values if value is not None}
    if kinds and kinds <= {int, bool}:
        return "INTEGER"
    return "REAL" if kinds and kinds <= {int, float, bool} else "TEXT"
