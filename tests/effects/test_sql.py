"""A change that is made once, in real SQLite files, whatever the mode of the connection."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.built_in import Attempt, rows, run
from tests.support.harness import LIMIT
from workdocket import Diff
from workdocket.effects.sql import once

MODES: list[dict[str, Any]] = [{}, {"isolation_level": None}, {"isolation_level": "EXCLUSIVE"}]
if sys.version_info >= (3, 12):
    MODES.append({"autocommit": True})


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    run(tmp_path / "shop.db", "CREATE TABLE tea (name TEXT)")
    return tmp_path / "shop.db"


def add(name: str) -> Callable[[sqlite3.Connection], Diff]:
    def change(database: sqlite3.Connection) -> Diff:
        database.execute("INSERT INTO tea VALUES (?)", [name])
        return Diff.between({}, {"name": name})

    return change


def opened(path: Path, **mode: Any) -> closing[sqlite3.Connection]:
    return closing(sqlite3.connect(path, timeout=LIMIT, **mode))


@pytest.mark.scenario("effect-sql", "apply-once")
@pytest.mark.parametrize("mode", MODES, ids=str)
def test_an_attempt_after_a_crash_changes_nothing_and_returns_the_same_diff(shop: Path, mode: dict[str, Any]) -> None:
    # given
    with opened(shop, **mode) as database:
        first = once(database, Attempt("key"), add("Assam"))

    # when
    with opened(shop, **mode) as database:
        second = once(database, Attempt("key", attempt=2), add("Assam, once more"))

    # then
    assert second == first
    assert rows(shop, "SELECT name FROM tea") == [("Assam",)]
    assert rows(shop, "SELECT idempotency_key FROM workdocket_applied") == [("key",)]


@pytest.mark.scenario("effect-sql")
@pytest.mark.parametrize("mode", MODES, ids=str)
def test_a_change_that_raises_changes_nothing_and_may_be_made_later(shop: Path, mode: dict[str, Any]) -> None:
    def halfway(database: sqlite3.Connection) -> Diff:
        add("Assam")(database)
        raise OSError("the lights went out")

    with opened(shop, **mode) as database:
        with pytest.raises(OSError, match="the lights went out"):
            once(database, Attempt("key"), halfway)
        assert rows(shop, "SELECT name FROM tea") == []

        once(database, Attempt("key", attempt=2), add("Darjeeling"))

    assert rows(shop, "SELECT name FROM tea") == [("Darjeeling",)]


@pytest.mark.scenario("effect-sql")
def test_another_key_is_another_change(shop: Path) -> None:
    with opened(shop) as database:
        for key in ("one", "two"):
            once(database, Attempt(key), add("Assam"))

    assert rows(shop, "SELECT name FROM tea") == [("Assam",), ("Assam",)]


@pytest.mark.scenario("effect-sql")
def test_many_at_once_with_one_key_change_it_once(shop: Path) -> None:
    def apply(attempt: int) -> Diff:
        with opened(shop) as database:
            return once(database, Attempt("key", attempt), add("Assam"))

    with ThreadPoolExecutor(8) as together:
        diffs = list(together.map(apply, range(1, 9)))

    assert all(diff == diffs[0] for diff in diffs)
    assert rows(shop, "SELECT name FROM tea") == [("Assam",)]


DYING = """
import os, sqlite3, sys
from types import SimpleNamespace
from workdocket.effects.sql import once

def change(database):
    database.execute("INSERT INTO tea VALUES ('Assam')")
    os._exit(9)

once(sqlite3.connect(sys.argv[1]), SimpleNamespace(idempotency_key="key"), change)
"""


@pytest.mark.scenario("effect-sql", "apply-once")
def test_a_process_that_dies_in_the_middle_leaves_nothing_in_the_way(shop: Path) -> None:
    # given
    root = Path(__file__).parents[2]
    died = subprocess.run([sys.executable, "-c", DYING, str(shop)], cwd=root, timeout=20)
    assert died.returncode == 9

    # when
    with opened(shop) as database:
        once(database, Attempt("key", attempt=2), add("Assam"))

    # then
    assert rows(shop, "SELECT name FROM tea") == [("Assam",)]


@pytest.mark.parametrize("factory", [sqlite3.Row, lambda cursor, row: {"value": row[0]}], ids=["Row", "dict"])
def test_rows_may_have_any_form(shop: Path, factory: Any) -> None:
    with opened(shop) as database:
        database.row_factory = factory

        assert once(database, Attempt("key"), add("Assam")) == once(database, Attempt("key", 2), add("Assam"))


def test_what_json_has_no_form_for_is_kept_as_text(shop: Path) -> None:
    with opened(shop) as database:
        diffs = [once(database, Attempt("key", n), lambda _: Diff.between(None, {"at": shop})) for n in (1, 2)]

    assert diffs[0].after == diffs[1].after == {"at": str(shop)}


def test_keys_that_the_tables_of_earlier_versions_hold_still_count(shop: Path) -> None:
    run(
        shop,
        "CREATE TABLE workdocket_applied (idempotency_key TEXT PRIMARY KEY, diff TEXT NOT NULL)",
        """INSERT INTO workdocket_applied VALUES ('key', '{"summary": "as before"}')""",
    )

    with opened(shop) as database:
        assert once(database, Attempt("key", 2), add("Assam")).summary == "as before"


# what would undo the promise is an error, and not the wrong thing done


@pytest.mark.scenario("effect-sql")
@pytest.mark.parametrize("mode", MODES, ids=str)
@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_a_change_that_ends_its_transaction_itself_is_told_so(shop: Path, mode: dict[str, Any], end: str) -> None:
    def change(database: sqlite3.Connection) -> Diff:
        add("Assam")(database)
        database.execute(end)
        return Diff()

    with opened(shop, **mode) as database, pytest.raises(RuntimeError, match="ended its transaction"):
        once(database, Attempt("key"), change)


def test_what_was_committed_halfway_is_not_taken_for_done(shop: Path) -> None:
    def change(database: sqlite3.Connection) -> Diff:
        database.executescript("INSERT INTO tea VALUES ('Assam')")
        return Diff()

    with opened(shop) as database:
        for attempt in (1, 2):
            with pytest.raises(RuntimeError, match="executescript"):
                once(database, Attempt("key", attempt), change)

    assert rows(shop, "SELECT name FROM tea") == [("Assam",)]


def test_a_transaction_that_is_open_already_is_not_joined(shop: Path) -> None:
    with opened(shop) as database:
        database.execute("INSERT INTO tea VALUES ('somebody else is at it')")

        with pytest.raises(RuntimeError, match="in a transaction already"):
            once(database, Attempt("key"), add("Assam"))

    assert rows(shop, "SELECT name FROM tea") == []
