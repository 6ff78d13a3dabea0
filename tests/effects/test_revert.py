"""What the ready effects did, taken back: rows and files, each only where it is as it was left."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.built_in import Attempt
from workdocket import Diff
from workdocket.effects import file
from workdocket.effects.sqlite import Upsert, counted

pytestmark = pytest.mark.scenario("undo")

THERE = Attempt("there")
BACK = Attempt("back")
RECORDS = [{"id": 1, "name": "Assam", "price": 4}, {"id": 2, "name": "Ceylon", "price": 5}]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A shop with one tea, which the records change, and one that they leave alone."""
    run(tmp_path / "shop.db", "CREATE TABLE tea (id INTEGER PRIMARY KEY, name TEXT, price REAL, note)")
    run(tmp_path / "shop.db", "INSERT INTO tea VALUES (1, 'Asam', 3, 'old'), (9, 'Sencha', 9, NULL)")
    return tmp_path / "shop.db"


def run(path: Path, statement: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as database, database:
        return database.execute(statement).fetchall()


def upsert(path: Path) -> Upsert:
    return Upsert(path, "tea", ["id"], RECORDS, counted("tea"))


def test_rows_are_again_what_they_were(shop: Path) -> None:
    # given
    before = run(shop, "SELECT * FROM tea")
    applied = upsert(shop).apply(THERE)

    # when
    shown = upsert(shop).rehearse_revert(applied)
    done = upsert(shop).revert(BACK, applied)

    # then
    assert run(shop, "SELECT * FROM tea") == before
    assert done == shown
    assert (done.summary, done.conflicts) == ("tea: 2 rows as they were before", ())
    assert {(one.op, one.path) for one in done.changes} == {
        ("modified", "/1/name"), ("modified", "/1/price"), ("removed", "/2"),
    }  # fmt: skip


def test_under_the_same_key_nothing_is_taken_back_twice(shop: Path) -> None:
    applied = upsert(shop).apply(THERE)
    first = upsert(shop).revert(BACK, applied)
    run(shop, "INSERT INTO tea VALUES (2, 'Ceylon', 5, NULL)")

    again = upsert(shop).revert(BACK, applied)

    assert again == first
    assert run(shop, "SELECT COUNT(*) FROM tea WHERE id = 2") == [(1,)]


@pytest.mark.parametrize(
    "meanwhile, left",
    [
        ("UPDATE tea SET price = 7 WHERE id = 1", "/1"),
        ("UPDATE tea SET note = 'mine' WHERE id = 2", "/2"),
        ("DELETE FROM tea WHERE id = 1", "/1"),
    ],
)
def test_a_row_that_somebody_changed_since_is_left_alone_and_named(shop: Path, meanwhile: str, left: str) -> None:
    # given
    applied = upsert(shop).apply(THERE)
    run(shop, meanwhile)
    theirs = run(shop, f"SELECT * FROM tea WHERE id = {left[1:]}")

    # when
    done = upsert(shop).revert(BACK, applied)

    # then
    assert [(one.code, one.path) for one in done.conflicts] == [("conflict", left)]
    assert run(shop, f"SELECT * FROM tea WHERE id = {left[1:]}") == theirs
    assert done.summary == "tea: 1 rows as they were before, 1 left alone"
    assert Diff.from_dict(done.as_dict()) == done


def test_a_row_that_is_as_it_was_already_needs_nothing(shop: Path) -> None:
    applied = upsert(shop).apply(THERE)
    run(shop, "DELETE FROM tea WHERE id = 2")

    done = upsert(shop).revert(BACK, applied)

    assert done.conflicts == ()
    assert [one.path for one in done.changes] == ["/1/name", "/1/price"]


def test_bytes_cannot_be_told_from_the_text_that_shows_them(shop: Path) -> None:
    run(shop, "UPDATE tea SET note = x'00ff' WHERE id = 1")
    applied = upsert(shop).apply(THERE)

    done = upsert(shop).revert(BACK, applied)

    assert [one.path for one in done.conflicts] == ["/1"]


@pytest.mark.parametrize("gone", [lambda shop: shop.unlink(), lambda shop: run(shop, "DROP TABLE tea")])
def test_where_the_table_is_gone_nothing_is_taken_back(shop: Path, gone: Callable[[Path], Any]) -> None:
    applied = upsert(shop).apply(THERE)
    gone(shop)

    for done in (upsert(shop).rehearse_revert(applied), upsert(shop).revert(BACK, applied)):
        assert (done.has_changes, len(done.conflicts)) == (False, 1)


@pytest.mark.parametrize("old, new", [("old\n", "new\n"), (None, "new\n"), ("old\n", None)])
def test_a_file_is_again_what_it_was(tmp_path: Path, old: str | None, new: str | None) -> None:
    # given
    tea = tmp_path / "tea.md"
    if old is not None:
        tea.write_text(old)
    file.replace(tea, THERE, old, new)

    # when
    shown = file.rehearse_revert(tea, old, new)
    done = [file.revert(tea, BACK, old, new) for _ in range(2)]

    # then
    assert done == [shown, shown]
    assert (tea.read_text() if tea.exists() else None) == old


def test_a_file_that_somebody_changed_since_is_left_alone_and_named(tmp_path: Path) -> None:
    tea = tmp_path / "tea.md"
    file.replace(tea, THERE, None, "new\n")
    tea.write_text("newer\n")

    for done in (file.rehearse_revert(tea, None, "new\n"), file.revert(tea, BACK, None, "new\n")):
        assert (done.has_changes, [one.code for one in done.conflicts]) == (False, ["stale"])
    assert tea.read_text() == "newer\n"
