from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Iterator
from pathlib import Path

import pytest

from workdocket.storage.engine import Connection, dbapi, wal_reset_safe
from workdocket.storage.migrate import DatabaseTooNew, load, migrate, pending, statements, version

BOUND = 5

FIRST = """
-- people; with a semicolon in a comment
CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT NOT NULL DEFAULT 'a;b');
CREATE TABLE log (line TEXT);
CREATE TRIGGER people_log AFTER INSERT ON people BEGIN
    INSERT INTO log VALUES ('first;');
    INSERT INTO log VALUES (new.name);
END;
"""
SECOND = "ALTER TABLE people ADD COLUMN age INTEGER;\nINSERT INTO people (age) VALUES (7) -- no semicolon at the end"

MIGRATE_AT_ONCE = """
import asyncio, sys
from pathlib import Path
from workdocket.storage.migrate import load
from workdocket.storage.sqlite import SqliteStore

async def main():
    scripts = load(Path(sys.argv[2]))
    print("ready", flush=True)
    sys.stdin.readline()
    store = await SqliteStore.open(Path(sys.argv[1]), read_tx=list, write_tx=list, scripts=scripts)
    await store.close()
    print("done", flush=True)

asyncio.run(main())
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    (scripts / "0001_people.sql").write_text(FIRST)
    (scripts / "0002_age.sql").write_text(SECOND)
    (scripts / "README.md").write_text("not a script")
    return scripts


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "work.db"


@pytest.fixture
def conn(database: Path) -> Iterator[Connection]:
    connection = dbapi.connect(database, isolation_level=None)
    yield connection
    connection.close()


def tables(conn: Connection) -> set[str]:
    return {row[0] for row in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def test_scripts_are_split_where_statements_end() -> None:
    heads = [statement.split()[0] for statement in statements(FIRST + SECOND)]
    assert heads == ["--", "CREATE", "CREATE", "ALTER", "INSERT"]


def test_all_missing_scripts_are_applied_in_order(conn: Connection, folder: Path) -> None:
    scripts = load(folder)
    assert [script.name for script in pending(conn, scripts)] == ["people", "age"]
    assert migrate(conn, scripts) == [1, 2]
    assert version(conn) == 2
    assert conn.execute("SELECT line FROM log").fetchall() == [("first;",), ("a;b",)]


def test_a_second_run_applies_nothing(conn: Connection, folder: Path) -> None:
    scripts = load(folder)
    migrate(conn, scripts)
    assert pending(conn, scripts) == []
    assert migrate(conn, scripts) == []


def test_an_older_database_gets_only_what_it_lacks(conn: Connection, folder: Path) -> None:
    scripts = load(folder)
    migrate(conn, scripts[:1])
    assert migrate(conn, scripts) == [2]


def test_a_failing_script_leaves_no_trace_and_can_be_mended(conn: Connection, folder: Path) -> None:
    broken = folder / "0002_age.sql"
    broken.write_text("CREATE TABLE half (a); CREATE TABLE half (b);")
    with pytest.raises(dbapi.OperationalError):
        migrate(conn, load(folder))
    assert version(conn) == 1
    assert "half" not in tables(conn)
    assert not conn.in_transaction

    broken.write_text(SECOND)
    assert migrate(conn, load(folder)) == [2]


def test_a_newer_database_is_refused_by_naming_both_versions(conn: Connection, folder: Path) -> None:
    conn.execute("PRAGMA user_version = 9")
    with pytest.raises(DatabaseTooNew, match=r"version 9; .* up to 2") as refused:
        migrate(conn, load(folder))
    assert (refused.value.found, refused.value.known) == (9, 2)
    assert tables(conn) == set()


def test_an_up_to_date_database_is_checked_without_a_write_lock(conn: Connection, database: Path, folder: Path) -> None:
    scripts = load(folder)
    conn.execute("PRAGMA journal_mode = WAL")
    migrate(conn, scripts)
    conn.execute("BEGIN IMMEDIATE")
    other = dbapi.connect(database, isolation_level=None, timeout=0)
    assert migrate(other, scripts) == []
    other.close()


@pytest.mark.parametrize("name", ["0004_gap.sql", "0002_double.sql"])
def test_numbers_with_a_gap_or_a_double_are_refused(folder: Path, name: str) -> None:
    (folder / name).write_text("SELECT 1;")
    with pytest.raises(ValueError, match="without gap or double"):
        load(folder)


async def test_processes_that_start_at_the_same_instant_migrate_once(
    conn: Connection, database: Path, folder: Path
) -> None:
    processes = [await starter(database, folder) for _ in range(4)]
    try:
        for process in processes:
            await said(process, "ready")
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(b"\n")
        for process in processes:
            await said(process, "done")
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
            await process.wait()

    assert version(conn) == 2
    assert conn.execute("SELECT COUNT(*) FROM people").fetchone() == (1,)


async def starter(database: Path, folder: Path) -> Process:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", MIGRATE_AT_ONCE, str(database), str(folder), stdin=PIPE, stdout=PIPE, env=environment
    )


async def said(process: Process, line: str) -> None:
    assert process.stdout is not None
    async with asyncio.timeout(BOUND):
        assert (await process.stdout.readline()).decode().strip() == line


@pytest.mark.parametrize(
    "release,safe",
    [
        ((3, 40, 1), False),
        ((3, 50, 6), False),
        ((3, 50, 7), True),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((3, 53, 4), True),
    ],
)
def test_releases_with_the_wal_reset_race_are_known(release: tuple[int, ...], safe: bool) -> None:
    assert wal_reset_safe(release) is safe
