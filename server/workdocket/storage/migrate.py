"""Numbered SQL scripts that bring a database to the schema of this version."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from workdocket.storage.engine import Connection, dbapi

_FILE_NAME = re.compile(r"(\d{4})_(\w+)\.sql")


class DatabaseTooNew(Exception):
    """The database was written by a newer workdocket."""

    def __init__(self, found: int, known: int) -> None:
        super().__init__(
            f"This database has schema version {found}; this workdocket knows versions up to {known}. "
            "Update workdocket, then start it again. The database was not touched."
        )
        self.found = found
        self.known = known


@dataclass(frozen=True, slots=True)
class Script:
    """One step of the schema: ``number`` is the version it leads to."""

    number: int
    name: str
    text: str


def load(folder: Traversable | None = None) -> list[Script]:
    """The scripts of a folder, in order; without a folder, the ones that ship with workdocket."""
    folder = folder or files("workdocket.storage") / "migrations" / "sqlite"
    matches = [(entry, _FILE_NAME.fullmatch(entry.name)) for entry in folder.iterdir()]
    scripts = [Script(int(match[1]), match[2], entry.read_text("utf-8")) for entry, match in matches if match]
    scripts.sort(key=lambda script: script.number)
    if [script.number for script in scripts] != list(range(1, len(scripts) + 1)):
        raise ValueError("Migrations must be numbered 0001, 0002, … without gap or double.")
    return scripts


def version(conn: Connection) -> int:
    number: int = conn.execute("PRAGMA user_version").fetchone()[0]
    return number


def pending(conn: Connection, scripts: Sequence[Script] | None = None) -> list[Script]:
    """What ``migrate`` would apply; takes no write lock. Raises ``DatabaseTooNew``."""
    scripts = load() if scripts is None else scripts
    found, known = version(conn), len(scripts)
    if found > known:
        raise DatabaseTooNew(found, known)
    return list(scripts[found:])


def migrate(conn: Connection, scripts: Sequence[Script] | None = None) -> list[int]:
    """Apply what is missing, each script in a transaction of its own; returns the numbers this call applied.

    The connection must be in autocommit mode. Several processes may do this at once.
    """
    scripts = load() if scripts is None else scripts
    applied = []
    while todo := pending(conn, scripts):
        if _apply(conn, todo[0]):
            applied.append(todo[0].number)
    return applied


def _apply(conn: Connection, script: Script) -> bool:
    conn.execute("BEGIN IMMEDIATE")
    try:
        is_next = version(conn) == script.number - 1
        if is_next:
            for statement in statements(script.text):
                conn.execute(statement)
            conn.execute(f"PRAGMA user_version = {script.number}")
        conn.execute("COMMIT")
    finally:
        conn.rollback()
    return is_next


def statements(text: str) -> Iterator[str]:
    """Split a script at the semicolons that end a statement, not at those inside triggers, strings or comments."""
    start = 0
    for end, character in enumerate(text, 1):
        if character == ";" and dbapi.complete_statement(text[start:end]):
            yield text[start:end].strip()
            start = end
    if rest := text[start:].strip():
        yield rest
