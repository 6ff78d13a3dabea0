"""database.record.insert: on real files, through the tools, from records to rows."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.built_in import Attempt, built_in, rows, run
from tests.support.harness import LIMIT, House, held
from workdocket import Actor, Diff, Refused, WorkItem, WorkOrder
from workdocket_types.database_record_insert import DatabaseRecordInsert

TYPE = "database.record.insert"
PEOPLE = [{"id": n, "name": name} for n, name in enumerate(["Ada", "Grace", "Edsger", "Barbara", "Donald"], 1)]


def payload(folder: Path, **more: Any) -> dict[str, Any]:
    return {"database": str(folder / "shop.db"), "table": "people", "key": ["id"], "records": PEOPLE, **more}


async def verified(home: House, order_id: str) -> None:
    """Every batch handed in as it is."""
    worker = home.person("worker")
    while taken := (await worker.ok("checkout", order_id=order_id))["items"]:
        for item in taken:
            await worker.hand_in(item, {"records": item["input"]["records"]})


async def ready(home: House, folder: Path, **more: Any) -> str:
    order_id = await home.person("requester").propose(TYPE, payload(folder, **more))
    await verified(home, order_id)
    return order_id


async def codes_of_review(home: House, order_id: str) -> list[tuple[str, str]]:
    findings = (await home.person("reviewer").ok("review", order_id=order_id))["findings"]
    return [(finding["code"], finding["path"]) for finding in findings]


# the whole way


@pytest.mark.scenario("real-types")
async def test_records_go_through_verification_and_review_into_the_table(tmp_path: Path) -> None:
    async with built_in(tmp_path) as home:
        # given: three batches, one record of which is mended and one dropped
        worker, reviewer = home.person("worker"), home.person("reviewer")
        order_id = await home.person("requester").propose(TYPE, payload(tmp_path, batch_size=2))
        first, second, third = [await worker.take() for _ in range(3)]
        await worker.hand_in(first, {"records": first["input"]["records"]})
        await worker.hand_in(second, {"records": [PEOPLE[2]], "dropped": [{"key": "4", "reason": "asked us not to"}]})
        await worker.hand_in(third, {"records": [{"id": 5, "name": "Donald E."}]})

        # when
        packet = await reviewer.ok("review", order_id=order_id)
        answer = await reviewer.ok("approve", order_id=order_id, digest=packet["digest"])

    # then
    assert [item["input"]["records"] for item in (first, second, third)] == [PEOPLE[:2], PEOPLE[2:4], PEOPLE[4:]]
    assert answer["diff"]["summary"] == "people: 4 added, 0 modified, 0 unchanged"
    assert rows(tmp_path / "shop.db", "SELECT id, name FROM people ORDER BY id") == [
        (1, "Ada"), (2, "Grace"), (3, "Edsger"), (5, "Donald E.")
    ]  # fmt: skip


@pytest.mark.scenario("real-types")
async def test_a_batch_that_was_sent_back_goes_in_as_it_came_the_second_time(tmp_path: Path) -> None:
    async with built_in(tmp_path) as home:
        # given
        worker, reviewer = home.person("worker"), home.person("reviewer")
        order_id = await ready(home, tmp_path, batch_size=3)
        why = [{"message": "spell out the first name", "item_id": f"{order_id}.2"}]
        await reviewer.ok("reject", order_id=order_id, errors=why, rework=True)

        # when
        item = await worker.take()
        mended = [{**record, "name": "Barbara Liskov"} if record["id"] == 4 else record for record in PEOPLE[3:]]
        await worker.hand_in(item, {"records": mended})
        await reviewer.ok("approve", order_id=order_id)

    # then
    assert item["id"] == f"{order_id}.2"
    assert rows(tmp_path / "shop.db", "SELECT name FROM people WHERE id > 3") == [("Barbara Liskov",), ("Donald",)]


# what a proposal must be


@pytest.mark.parametrize(
    "wrong, code, path",
    [
        ({"records": [{"id": 1}, {"name": "nobody"}]}, "required", "/records"),
        ({"records": [{"id": None}]}, "required", "/records"),
        ({"records": []}, "minItems", "/records"),
        ({"records": [{"id": {"nested": 1}}]}, "anyOf", "/records/0/id"),
        ({"key": ["id", "id"]}, "uniqueItems", "/key"),
        ({"key": []}, "minItems", "/key"),
        ({"table": "drop table people"}, "pattern", "/table"),
        ({"table": "workdocket_applied"}, "reserved", "/table"),
        ({"table": "SQLite_master"}, "reserved", "/table"),
        ({"batch_size": 0}, "minimum", "/batch_size"),
        ({"tabel": "people"}, "additionalProperties", "/tabel"),
    ],
)
async def test_a_payload_that_nobody_could_work_on_is_refused_at_once(
    tmp_path: Path, wrong: dict[str, Any], code: str, path: str
) -> None:
    async with built_in(tmp_path) as home:
        error = await home.person("requester").refused(
            "propose", "invalid_payload", type=TYPE, payload=payload(tmp_path, **wrong)
        )

    assert [(finding["code"], finding["path"]) for finding in error["details"]["findings"]] == [(code, path)]


# what a result must be


@pytest.mark.parametrize(
    "result, found",
    [
        ({"records": PEOPLE[:1]}, [("missing_record", "/records")]),
        ({"records": PEOPLE[:3]}, [("unknown_record", "/records")]),
        ({"records": [PEOPLE[0], PEOPLE[1], PEOPLE[1]]}, [("twice", "/records")]),
        ({"records": PEOPLE[:2], "dropped": [{"key": "2", "reason": "unsure"}]}, [("twice", "/records")]),
        ({"records": PEOPLE[:2], "dropped": [{"key": "9", "reason": "unsure"}]}, [("unknown_record", "/records")]),
        ({"records": [{"id": 1}, {"name": "Grace"}]}, [("required", "/records/1/id")]),
        ({"records": [PEOPLE[0], {**PEOPLE[1], "age": 7}]}, [("unknown_column", "/records/1/age")]),
        ({"records": PEOPLE[1:3]}, [("missing_record", "/records"), ("unknown_record", "/records")]),
        ({"records": PEOPLE[:1], "dropped": [{"key": "2", "reason": ""}]}, [("minLength", "/dropped/0/reason")]),
    ],
)  # fmt: skip
@pytest.mark.scenario("real-types")
async def test_a_result_must_be_the_batch_no_more_and_no_less(
    tmp_path: Path, result: dict[str, Any], found: list[tuple[str, str]]
) -> None:
    async with built_in(tmp_path) as home:
        worker = home.person("worker")
        await home.person("requester").propose(TYPE, payload(tmp_path, batch_size=2))
        item = await worker.take()

        error = await worker.refused("submit", "invalid_result", **held(item), result=result)

    assert [(finding["code"], finding["path"]) for finding in error["details"]["findings"]] == found


# what the reviewer is shown


@pytest.mark.scenario("real-types")
async def test_a_record_in_two_batches_is_found_before_approval(tmp_path: Path) -> None:
    async with built_in(tmp_path) as home:
        order_id = await ready(home, tmp_path, records=[PEOPLE[0], PEOPLE[0]], batch_size=1)

        assert await codes_of_review(home, order_id) == [("twice", "/records")]
        await home.person("reviewer").refused("approve", "not_ready", order_id=order_id)

    assert not (tmp_path / "shop.db").exists()


async def test_a_record_in_two_batches_is_one_finding_also_where_its_row_is_there_already(tmp_path: Path) -> None:
    run(
        tmp_path / "shop.db",
        "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT)",
        "INSERT INTO people VALUES (1, 'Ada')",
    )

    async with built_in(tmp_path) as home:
        order_id = await ready(home, tmp_path, records=[PEOPLE[0], PEOPLE[0]], batch_size=1)

        assert await codes_of_review(home, order_id) == [("twice", "/records")]


async def test_an_order_of_which_everything_was_dropped_is_not_approved(tmp_path: Path) -> None:
    async with built_in(tmp_path) as home:
        order_id = await home.person("requester").propose(TYPE, payload(tmp_path, records=PEOPLE[:1]))
        item = await home.person("worker").take()
        await home.person("worker").hand_in(item, {"records": [], "dropped": [{"key": "1", "reason": "unsure"}]})

        assert await codes_of_review(home, order_id) == [("nothing", "/records")]


@pytest.mark.scenario("real-types")
@pytest.mark.parametrize(
    "table, found",
    [
        ("CREATE TABLE people (id INTEGER PRIMARY KEY)", [("unknown_column", "/table")]),
        ("CREATE TABLE people (id INTEGER, name TEXT)", [("key_not_unique", "/key")]),
        ("CREATE TABLE people (id INTEGER, name TEXT, PRIMARY KEY (id, name))", [("key_not_unique", "/key")]),
        ("CREATE VIEW people AS SELECT 1 AS id, 'x' AS name", [("database", "/database")]),
        ("CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, age INTEGER NOT NULL)", [("database", "/database")]),
        (
            "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT CHECK (name <> 'Grace'))",
            [("database", "/database")],
        ),
    ],
)
async def test_what_the_table_has_against_it_is_found_before_approval(
    tmp_path: Path, table: str, found: list[tuple[str, str]]
) -> None:
    run(tmp_path / "shop.db", table)

    async with built_in(tmp_path) as home:
        order_id = await ready(home, tmp_path)

        assert await codes_of_review(home, order_id) == found
        await home.person("reviewer").refused("approve", "not_ready", order_id=order_id)


async def test_a_unique_key_only_for_some_rows_does_not_identify_a_row(tmp_path: Path) -> None:
    run(
        tmp_path / "shop.db",
        "CREATE TABLE people (id INTEGER, name TEXT)",
        "CREATE UNIQUE INDEX some ON people (id) WHERE id > 3",
    )

    async with built_in(tmp_path) as home:
        assert await codes_of_review(home, await ready(home, tmp_path)) == [("key_not_unique", "/key")]


async def test_a_file_that_is_no_database_is_a_finding_and_no_defect(tmp_path: Path) -> None:
    (tmp_path / "shop.db").write_text("this is a letter to my grandmother\n" * 100)

    async with built_in(tmp_path) as home:
        assert await codes_of_review(home, await ready(home, tmp_path)) == [("database", "/database")]


async def test_the_database_of_workdocket_itself_is_refused_unopened(tmp_path: Path) -> None:
    (tmp_path / "shop.db").symlink_to(tmp_path / "work.db")

    async with built_in(tmp_path) as home:
        order_id = await ready(home, tmp_path, table="orders")

        assert await codes_of_review(home, order_id) == [("own_database", "/database")]
        await home.person("reviewer").refused("approve", "not_ready", order_id=order_id)


@pytest.mark.scenario("real-types")
async def test_looking_writes_nothing(tmp_path: Path) -> None:
    database = tmp_path / "shop.db"
    run(database, "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT)", "INSERT INTO people VALUES (1, 'Aida')")
    before = database.read_bytes()

    async with built_in(tmp_path) as home:
        order_id = await ready(home, tmp_path)
        elsewhere = await ready(home, tmp_path, database=str(tmp_path / "new" / "shop.db"))

        for one in (order_id, elsewhere):
            await home.person("reviewer").ok("review", order_id=one)

    assert database.read_bytes() == before
    assert not (tmp_path / "new").exists()


@pytest.mark.scenario("real-types", "digest-binds")
async def test_rows_that_others_changed_since_the_review_make_it_stale(tmp_path: Path) -> None:
    database = tmp_path / "shop.db"
    run(database, "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT)")

    async with built_in(tmp_path) as home:
        reviewer = home.person("reviewer")
        order_id = await ready(home, tmp_path)
        digest = (await reviewer.ok("review", order_id=order_id))["digest"]

        run(database, "INSERT INTO people VALUES (1, 'somebody else')")

        await reviewer.refused("approve", "stale", order_id=order_id, digest=digest)


TARGETS = {
    "a new table": ([], ["id"], PEOPLE),
    "a new table, records of many shapes": (
        [],
        ["id"],
        [{"id": 1, "a": "x"}, {"id": 2, "b": 2}, {"id": 3, "b": 2.5, "c": True}, {"id": 4, "a": 7, "c": None}],
    ),
    "rows that are there": (
        [
            "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT)",
            "INSERT INTO people VALUES (1, 'Aida'), (2, 'Grace')",
        ],
        ["id"],
        PEOPLE,
    ),
    "columns that convert": (
        ["CREATE TABLE people (id INTEGER PRIMARY KEY, n INTEGER, r REAL, t TEXT, b BLOB)"],
        ["id"],
        [{"id": "1", "n": "42", "r": 1, "t": 3.5, "b": "x"}, {"id": 2.0, "n": True, "r": "1e3", "t": False, "b": 1}],
    ),
    "defaults and columns that nobody names": (
        ["CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, since TEXT DEFAULT 'today', note TEXT)"],
        ["id"],
        PEOPLE,
    ),
    "computed columns": (
        [
            "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, loud TEXT AS (upper(name)) STORED)",
            "INSERT INTO people (id, name) VALUES (2, 'Grete')",
        ],
        ["id"],
        PEOPLE,
    ),
    "a key of two columns": (
        [
            "CREATE TABLE people (a TEXT, b INTEGER, n INTEGER, PRIMARY KEY (a, b)) WITHOUT ROWID",
            "INSERT INTO people VALUES ('x', 1, 0)",
        ],
        ["b", "a"],
        [{"a": "x", "b": 1, "n": 1}, {"a": "x", "b": 2, "n": 2}],
    ),
    "a unique index": (
        [
            "CREATE TABLE people (nr INTEGER PRIMARY KEY, id INTEGER, name TEXT)",
            "CREATE UNIQUE INDEX one ON people (id)",
        ],
        ["id"],
        PEOPLE,
    ),
    "names in another case": (
        ["CREATE TABLE People (ID INTEGER PRIMARY KEY, Name TEXT)", "INSERT INTO People VALUES (1, 'Aida')"],
        ["id"],
        PEOPLE,
    ),
    "bytes": (
        [
            "CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT, photo BLOB)",
            "INSERT INTO people VALUES (1, 'Ada', x'00ff')",
        ],
        ["id"],
        PEOPLE,
    ),
    "nothing but the key": ([], ["id"], [{"id": "one"}, {"id": "two"}]),
    "odd names": ([], ['"id"'], [{'"id"': 1, "a column; --": "'); DROP TABLE people; --"}]),
}  # fmt: skip


@pytest.mark.scenario("real-types")
@pytest.mark.parametrize("target", TARGETS)
async def test_the_preview_is_the_diff_that_is_applied(tmp_path: Path, target: str) -> None:
    # given
    statements, key, records = TARGETS[target]
    run(tmp_path / "shop.db", *statements)

    async with built_in(tmp_path) as home:
        order_id = await ready(home, tmp_path, key=key, records=records)

        # when
        packet = await home.person("reviewer").ok("review", order_id=order_id)
        answer = await home.person("reviewer").ok("approve", order_id=order_id, digest=packet["digest"])

    # then
    assert packet["findings"] == []
    assert answer["diff"] == packet["preview"]


# once, and all of it


def order_of(database: Path, records: list[dict[str, Any]], key: list[str]) -> WorkOrder:
    asked = {"database": str(database), "table": "t", "key": key, "records": records}
    item = WorkItem("WO-1.1", "WO-1", 1, TYPE, 0, {}, 0, 0, 3, result={"records": records})
    return WorkOrder("WO-1", 1, "uid", TYPE, 1, asked, 0, Actor("agent", "a"), 0, 0, items=(item,))


@pytest.mark.scenario("real-types", "apply-once")
def test_a_second_apply_with_the_same_key_changes_nothing_and_says_what_the_first_did(tmp_path: Path) -> None:
    # given
    database = tmp_path / "shop.db"
    order = order_of(database, [{"id": 1, "name": "Ada"}], ["id"])
    first = DatabaseRecordInsert().apply(order, Attempt("key"))
    run(database, "UPDATE t SET name = 'Ada, as others know her'")

    # when
    second = DatabaseRecordInsert().apply(order, Attempt("key", attempt=2))

    # then
    assert second == first
    assert rows(database, "SELECT name FROM t") == [("Ada, as others know her",)]


@pytest.mark.scenario("real-types", "apply-once")
async def test_applies_at_the_same_time_with_one_key_change_it_once(tmp_path: Path) -> None:
    order = order_of(tmp_path / "shop.db", [{"id": n} for n in range(50)], ["id"])

    async with asyncio.timeout(LIMIT):
        diffs = await asyncio.gather(
            *(asyncio.to_thread(DatabaseRecordInsert().apply, order, Attempt("key")) for _ in range(6))
        )

    assert all(diff == diffs[0] for diff in diffs)
    assert len(diffs[0].changes) == 50
    assert rows(tmp_path / "shop.db", "SELECT COUNT(*) FROM workdocket_applied") == [(1,)]


def test_another_key_is_another_change(tmp_path: Path) -> None:
    order = order_of(tmp_path / "shop.db", [{"id": 1, "name": "Ada"}], ["id"])
    DatabaseRecordInsert().apply(order, Attempt("one"))

    again = DatabaseRecordInsert().apply(order, Attempt("two"))

    assert again.summary == "t: 0 added, 0 modified, 1 unchanged"
    assert again.has_changes is False


@pytest.mark.scenario("real-types")
def test_when_one_record_cannot_go_in_none_does(tmp_path: Path) -> None:
    database = tmp_path / "shop.db"
    run(database, "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT CHECK (name <> 'Grace'))")
    order = order_of(database, [{"id": 1, "name": "Ada"}, {"id": 2, "name": "Grace"}], ["id"])

    with pytest.raises(Refused, match=r"shop\.db: CHECK constraint failed"):
        DatabaseRecordInsert().apply(order, Attempt("key"))

    assert rows(database, "SELECT * FROM t") == []
    assert rows(database, "SELECT name FROM sqlite_master") == [("t",)]


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    st.sampled_from(["1", "1.0", "01", "1e2", " 1", ""]),
)
DEFINITIONS = st.sampled_from(
    ["INTEGER", "REAL", "TEXT", "NUMERIC", "BLOB", "", "TEXT NOT NULL", "TEXT COLLATE NOCASE"]
)


@st.composite
def changes(draw: st.DrawFn) -> tuple[str | None, list[list[Any]], list[dict[str, Any]]]:
    """A table or none, rows in it, and records for it."""
    columns = {name: draw(DEFINITIONS) for name in ("k", "a", "b")}
    table = ", ".join(f"{name} {definition}" for name, definition in columns.items())
    there = draw(st.lists(st.lists(SCALARS, min_size=3, max_size=3), max_size=4))
    keys = draw(st.lists(SCALARS.filter(lambda key: key is not None), min_size=1, max_size=4, unique_by=str))
    shapes = st.dictionaries(st.sampled_from(["a", "b"]), SCALARS)
    records = [{"k": key, **draw(shapes)} for key in keys]
    return draw(st.sampled_from([None, f"CREATE TABLE t ({table}, PRIMARY KEY (k))"])), there, records


def outcome(change: Any) -> Any:
    try:
        diff: Diff = change()
    except Refused as refused:
        return str(refused)
    return json.loads(json.dumps(diff.as_dict()))


@pytest.mark.scenario("real-types")
@given(case=changes())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_table_and_the_records_the_preview_is_what_happens(
    tmp_path_factory: pytest.TempPathFactory, case: tuple[str | None, list[list[Any]], list[dict[str, Any]]]
) -> None:
    # given
    table, there, records = case
    database = tmp_path_factory.mktemp("any") / "shop.db"
    if table is not None:
        run(database, table)
        fill(database, there)
    order = order_of(database, records, ["k"])

    # when
    foreseen = outcome(lambda: DatabaseRecordInsert().preview(order))
    happened = outcome(lambda: DatabaseRecordInsert().apply(order, Attempt("key")))

    # then
    assert foreseen == happened


def fill(database: Path, there: list[list[Any]]) -> None:
    """Those of the rows that the table takes."""
    with closing(sqlite3.connect(database)) as connection:
        for row in there:
            with suppress(sqlite3.IntegrityError):
                connection.execute("INSERT INTO t VALUES (?, ?, ?)", row)
        connection.commit()
