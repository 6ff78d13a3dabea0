"""A change that is made once, in a real PostgreSQL."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.support.built_in import Attempt
from tests.support.postgres import running
from workdocket import Diff
from workdocket.effects.sql import once

MODES: list[dict[str, Any]] = [{}, {"autocommit": True}]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running() as found:
        yield found


@pytest.fixture
def shop(url: str) -> Iterator[str]:
    """The address of a schema of its own, with one table."""
    name = f"test_{os.getpid()}"
    with psycopg.connect(url, autocommit=True) as database:
        database.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")
        database.execute(f"CREATE SCHEMA {name}")
        database.execute(f"CREATE TABLE {name}.tea (name TEXT)")
        yield make_conninfo(url, options=f"-c search_path={name}")
        database.execute(f"DROP SCHEMA {name} CASCADE")


def opened(shop: str, **mode: Any) -> Any:
    return psycopg.connect(shop, **mode)


def add(database: Any) -> Diff:
    database.execute("INSERT INTO tea VALUES ('Assam')")
    return Diff.between([], ["Assam"])


def teas(shop: str) -> list[tuple[str]]:
    with opened(shop) as database:
        return list(database.execute("SELECT name FROM tea").fetchall())


@pytest.mark.scenario("effect-sql", "apply-once")
@pytest.mark.parametrize("mode", MODES, ids=str)
def test_an_attempt_after_a_crash_changes_nothing_and_returns_the_same_diff(shop: str, mode: dict[str, Any]) -> None:
    diffs = []
    for attempt in (1, 2):
        database = opened(shop, **mode)
        diffs.append(once(database, Attempt("key", attempt), add))
        database.close()  # and nobody says commit

    assert diffs[0] == diffs[1]
    assert teas(shop) == [("Assam",)]


@pytest.mark.scenario("effect-sql")
@pytest.mark.parametrize("mode", MODES, ids=str)
def test_a_change_that_raises_changes_nothing_and_may_be_made_later(shop: str, mode: dict[str, Any]) -> None:
    def halfway(database: Any) -> Diff:
        add(database)
        raise OSError("the lights went out")

    with opened(shop, **mode) as database:
        with pytest.raises(OSError, match="the lights went out"):
            once(database, Attempt("key"), halfway)
        assert teas(shop) == []
        once(database, Attempt("key", attempt=2), add)

    assert teas(shop) == [("Assam",)]


@pytest.mark.scenario("effect-sql")
def test_many_at_once_with_one_key_change_it_once_even_where_the_table_of_keys_is_new(shop: str) -> None:
    def apply(attempt: int) -> Diff:
        with opened(shop) as database:
            return once(database, Attempt("key", attempt), add)

    with ThreadPoolExecutor(8) as together:
        diffs = list(together.map(apply, range(1, 9)))

    assert all(diff == diffs[0] for diff in diffs)
    assert teas(shop) == [("Assam",)]


def test_rows_may_be_dicts(shop: str) -> None:
    with opened(shop, row_factory=psycopg.rows.dict_row) as database:
        assert once(database, Attempt("key"), add) == once(database, Attempt("key", 2), add)


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_a_change_that_ends_its_transaction_itself_is_told_so(shop: str, end: str) -> None:
    def change(database: Any) -> Diff:
        add(database)
        database.execute(end)
        return Diff()

    with opened(shop) as database, pytest.raises(RuntimeError, match="ended its transaction"):
        once(database, Attempt("key"), change)


def test_a_transaction_that_is_open_already_is_not_joined(shop: str) -> None:
    with opened(shop) as database:
        database.execute("SELECT 1")
        with pytest.raises(RuntimeError, match="in a transaction already"):
            once(database, Attempt("key"), add)
