"""user.data.sync: real and untidy names and addresses, from a file into a table."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from email.utils import getaddresses
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from tests.support.built_in import Attempt, built_in, rows, run
from tests.support.harness import House, agent, held
from workdocket import Actor, WorkItem, WorkOrder
from workdocket_types.user_data_sync import UserDataSync, read

TYPE = "user.data.sync"
COLUMNS = {"id": "integer", "name": "text", "email": "email", "country": "country"}
USERS = [
    {"id": "1", "name": " Ada  ", "email": "Ada@Example.com", "country": "gb"},
    {"id": "2", "name": "Grace", "email": "", "country": "US"},
    {"id": "3", "name": "Edsger", "email": "edsger@example.nl", "country": ""},
]
CLEAN: list[dict[str, Any]] = [
    {"id": 1, "name": "Ada", "email": "ada@example.com", "country": "GB"},
    {"id": 2, "name": "Grace", "email": None, "country": "US"},
    {"id": 3, "name": "Edsger", "email": "edsger@example.nl", "country": None},
]


def write_csv(path: Path, users: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(users[0]))
        writer.writeheader()
        writer.writerows(users)
    return path


def payload(folder: Path, file: Path, **more: Any) -> dict[str, Any]:
    checksum, records = read(file)
    about = {"source": str(file), "sha256": checksum, "rows": len(records), "key": "id", "columns": COLUMNS}
    return {**about, "database": str(folder / "app.db"), "table": "users", **more}


async def proposed(home: House, folder: Path, **more: Any) -> str:
    source = write_csv(folder / "users.csv", USERS)
    return await home.person("requester").propose(TYPE, payload(folder, source, **more))


def found(error: dict[str, Any]) -> list[tuple[str, str]]:
    return [(finding["code"], finding["path"]) for finding in error["details"]["findings"]]


# the whole way, over stdio, with the people who wrote what is installed here


def authors() -> list[dict[str, str]]:
    """Packages and what they say of their authors, as untidy as they say it."""
    installed = {one.metadata["Name"].lower(): one.metadata for one in metadata.distributions()}
    return [
        {"package": f" {name}", "name": about.get("Author", ""), "email": about.get("Author-email", "").upper()}
        for name, about in sorted(installed.items())
    ]


def tidied(record: dict[str, Any]) -> dict[str, Any]:
    """What a careful agent makes of such a record."""
    said, address = next(iter(getaddresses([record["email"]])), ("", ""))
    name = " ".join((record["name"] or said.title()).split())
    return {"package": record["package"].strip(), "name": name or None, "email": address.lower() or None}


@pytest.mark.slow
@pytest.mark.scenario("real-types")
async def test_over_stdio_agents_tidy_up_a_real_list_batch_by_batch(tmp_path: Path) -> None:
    # given
    source = write_csv(tmp_path / "authors.csv", authors())
    columns = {"package": "text", "name": "text", "email": "email"}
    asked = payload(tmp_path, source, key="package", columns=columns, batch_size=7)
    nobody = {one["package"] for one in map(tidied, authors()) if not one["email"] and not one["name"]}

    async with agent(tmp_path) as one:
        order_id = (await one.ok("propose", type=TYPE, payload=asked))["order"]["id"]

        # when
        while taken := (await one.ok("checkout", order_id=order_id))["items"]:
            [item] = taken
            with source.open(newline="", encoding="utf-8") as file:
                records = list(csv.DictReader(file))[item["input"]["first"] - 1 : item["input"]["last"]]
            clean = [tidied(record) for record in records]
            await one.ok(
                "submit",
                **held(item),
                result={
                    "records": [record for record in clean if record["package"] not in nobody],
                    "dropped": [
                        {"key": record["package"], "reason": "nobody is named"}
                        for record in clean
                        if record["package"] in nobody
                    ],
                },
            )
        packet = await one.ok("review", order_id=order_id)
        answer = await one.ok("approve", order_id=order_id, digest=packet["digest"])

    # then
    wanted = [tuple(one.values()) for one in map(tidied, authors()) if one["package"] not in nobody]
    assert len(wanted) > 10
    assert rows(tmp_path / "app.db", "SELECT package, name, email FROM users ORDER BY package") == sorted(wanted)
    assert answer["diff"]["summary"] == f"users: {len(wanted)} added, 0 modified, 0 unchanged"
    assert packet["findings"] == []


@pytest.mark.scenario("real-types")
async def test_a_later_sync_shows_and_makes_just_what_changed(tmp_path: Path) -> None:
    run(
        tmp_path / "app.db",
        "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, email TEXT, country TEXT, since TEXT DEFAULT 'today')",
        "INSERT INTO users VALUES (1, 'Ada', 'ada@old.example', 'GB', 'long ago'), (2, 'Grace', NULL, 'US', NULL)",
    )
    async with built_in(tmp_path) as home:
        order_id = await proposed(home, tmp_path)
        worker, reviewer = home.person("worker"), home.person("reviewer")
        await worker.hand_in(await worker.take(), {"records": CLEAN})

        packet = await reviewer.ok("review", order_id=order_id)
        answer = await reviewer.ok("approve", order_id=order_id, digest=packet["digest"])

    assert answer["diff"] == packet["preview"]
    assert answer["diff"]["summary"] == "users: 1 added, 1 modified, 1 unchanged"
    assert [change["path"] for change in answer["diff"]["changes"]] == ["/1/email", "/3"]
    assert rows(tmp_path / "app.db", "SELECT email, since FROM users WHERE id = 1") == [("ada@example.com", "long ago")]


# the plan


async def test_the_plan_makes_ranges_of_records_without_a_look_at_the_file(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "users.csv", USERS)
    asked = payload(tmp_path, source, rows=101, batch_size=50, source=str(tmp_path / "not-here.csv"))
    async with built_in(tmp_path) as home:
        answer = await home.person("requester").ok("propose", type=TYPE, payload=asked)
        items = [await home.person("worker").take() for _ in range(3)]

    assert answer["order"]["items_count"] == 3
    ranges = [(item["key"], item["input"]["first"], item["input"]["last"]) for item in items]
    assert ranges == [("1-50", 1, 50), ("51-100", 51, 100), ("101-101", 101, 101)]


@pytest.mark.parametrize(
    "wrong, expected",
    [
        ({"source": "users.csv"}, ("pattern", "/source")),
        ({"source": "/tmp/users.xlsx"}, ("pattern", "/source")),
        ({"sha256": "abc"}, ("pattern", "/sha256")),
        ({"rows": 0}, ("minimum", "/rows")),
        ({"rows": 100_000, "batch_size": 1}, ("minimum", "/batch_size")),
        ({"key": "login"}, ("required", "/columns")),
        ({"columns": {"id": "blob"}}, ("enum", "/columns/id")),
        ({"table": "workdocket_applied"}, ("reserved", "/table")),
    ],
)
async def test_a_payload_that_does_not_fit_is_refused(
    tmp_path: Path, wrong: dict[str, Any], expected: tuple[str, str]
) -> None:
    source = write_csv(tmp_path / "users.csv", USERS)
    async with built_in(tmp_path) as home:
        error = await home.person("requester").refused(
            "propose", "invalid_payload", type=TYPE, payload=payload(tmp_path, source, **wrong)
        )

    assert found(error) == [expected]


# what a result must be


def changed(n: int, **values: Any) -> list[dict[str, Any]]:
    return [{**record, **values} if at == n else record for at, record in enumerate(CLEAN)]


@pytest.mark.scenario("real-types")
@pytest.mark.parametrize(
    "result, expected",
    [
        ({"records": CLEAN[:2]}, [("missing_record", "/records")]),
        ({"records": [*CLEAN, CLEAN[0]]}, [("twice", "/records")]),
        ({"records": changed(0, id=7)}, [("missing_record", "/records"), ("unknown_record", "/records")]),
        ({"records": CLEAN, "dropped": [{"key": "1", "reason": "unsure"}]}, [("twice", "/records")]),
        ({"records": changed(0, id=None)}, [("required", "/records/0/id")]),
        ({"records": changed(0, email="Ada@example.com")}, [("email", "/records/0/email")]),
        ({"records": changed(0, email="ada at example")}, [("email", "/records/0/email")]),
        ({"records": changed(0, name=" Ada")}, [("text", "/records/0/name")]),
        ({"records": changed(0, name="")}, [("text", "/records/0/name")]),
        ({"records": changed(0, name="A\u0308da")}, [("text", "/records/0/name")]),
        ({"records": changed(1, country="usa")}, [("country", "/records/1/country")]),
        ({"records": changed(1, id="2")}, [("integer", "/records/1/id")]),
        ({"records": changed(1, age=9)}, [("unknown_column", "/records/1/age")]),
        ({"records": [{"id": 1, "name": "Ada", "email": None}, *CLEAN[1:]]}, [("required", "/records/0/country")]),
    ],
)
async def test_a_result_is_the_batch_and_every_value_has_its_form(
    tmp_path: Path, result: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    async with built_in(tmp_path) as home:
        await proposed(home, tmp_path)
        worker = home.person("worker")

        error = await worker.refused("submit", "invalid_result", **held(await worker.take()), result=result)

    assert found(error) == expected


@pytest.mark.parametrize(
    "form, good, bad",
    [
        ("phone", "+491701234567", "0170 1234567"),
        ("date", "2024-02-29", "2023-02-29"),
        ("date", "2024-02-29", "20240229"),
        ("text", "two\nlines", "a bell\a"),
        ("email", "ü@example.com", "Ü@example.com"),
    ],
)
def test_forms_take_what_is_normal_and_nothing_else(tmp_path: Path, form: str, good: str, bad: str) -> None:
    source = write_csv(tmp_path / "users.csv", [{"id": 1}])
    about = {**payload(tmp_path, source, columns={"id": "integer", "it": form}), "first": 1, "last": 1}
    item = WorkItem("WO-1.1", "WO-1", 1, TYPE, 0, about, 0, 0, 3)

    def codes(value: str) -> list[str]:
        return [one.code for one in UserDataSync().check_result(item, {"records": [{"id": 1, "it": value}]})]

    assert (codes(good), codes(bad)) == ([], [form])


# the file


@pytest.mark.scenario("real-types")
async def test_a_file_that_was_changed_is_noticed_when_a_batch_comes_in_and_before_approval(tmp_path: Path) -> None:
    async with built_in(tmp_path) as home:
        # given two batches, the first of which is handed in before somebody adds a user
        worker, reviewer = home.person("worker"), home.person("reviewer")
        order_id = await proposed(home, tmp_path, batch_size=2)
        first, second = await worker.take(), await worker.take()
        await worker.hand_in(first, {"records": CLEAN[:2]})
        untouched = (tmp_path / "users.csv").read_bytes()
        (tmp_path / "users.csv").write_bytes(untouched + b"4,Barbara,,\r\n")

        # then the second is refused
        error = await worker.refused("submit", "invalid_result", **held(second), result={"records": CLEAN[2:]})
        assert found(error) == [("source_changed", "/sha256")]

        # and when it came in earlier, nothing is written
        (tmp_path / "users.csv").write_bytes(untouched)
        await worker.hand_in(second, {"records": CLEAN[2:]})
        (tmp_path / "users.csv").write_bytes(untouched + b"4,Barbara,,\r\n")
        error = await reviewer.refused("approve", "not_ready", order_id=order_id)
        assert found(error) == [("source_changed", "/sha256")]
        assert not (tmp_path / "app.db").exists()


@pytest.mark.parametrize(
    "name, text",
    [
        ("users.csv", '\ufeffid,name\r\n1,"two\r\nlines"\r\n\r\n2,Grace\r\n'),
        ("users.json", '[{"id": "1", "name": "two\\r\\nlines"}, {"id": "2", "name": "Grace"}]'),
        ("users.jsonl", '{"id": "1", "name": "two\\r\\nlines"}\n\n{"id": "2", "name": "Grace"}\n'),
    ],
)
def test_all_kinds_of_files_are_read_alike(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8", newline="")

    assert read(tmp_path / name)[1] == [{"id": "1", "name": "two\r\nlines"}, {"id": "2", "name": "Grace"}]


BROKEN: list[tuple[str, bytes, str]] = [
    ("users.csv", b"id,name\n1\n", "source"),
    ("users.csv", b"id,name\n1,Ada,7\n", "source"),
    ("users.csv", b"id,id\n1,2\n", "source"),
    ("users.csv", b"id,name\n1,\xff\n", "source"),
    ("users.csv", b"id,name\n,Ada\n", "required"),
    ("users.csv", b"login,name\n1,Ada\n", "required"),
    ("users.csv", b"id,name\n1,Ada\n2,Grace\n", "rows"),
    ("users.json", b'{"id": 1}', "source"),
    ("users.json", b"[1]", "source"),
    ("users.jsonl", b'{"id": 1}\n{', "source"),
    ("gone.csv", b"", "source"),
]


@pytest.mark.parametrize("name, content, code", BROKEN, ids=lambda value: str(value)[:20])
async def test_a_file_that_cannot_be_used_is_a_finding_and_no_defect(
    tmp_path: Path, name: str, content: bytes, code: str
) -> None:
    if content:
        (tmp_path / name).write_bytes(content)
    about = {"source": str(tmp_path / name), "sha256": sha256(content).hexdigest(), "rows": 1}
    async with built_in(tmp_path) as home:
        good = payload(tmp_path, write_csv(tmp_path / "good.csv", USERS))
        await home.person("requester").propose(TYPE, {**good, **about})
        worker = home.person("worker")

        error = await worker.refused("submit", "invalid_result", **held(await worker.take()), result={"records": []})

    assert [at for at, _ in found(error)] == [code]


async def test_a_user_who_is_in_two_batches_is_found_before_approval(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "users.csv", [USERS[0], USERS[0]])
    async with built_in(tmp_path) as home:
        worker = home.person("worker")
        asked = payload(tmp_path, source, batch_size=1)
        order_id = await home.person("requester").propose(TYPE, asked)
        for item in [await worker.take(), await worker.take()]:
            await worker.hand_in(item, {"records": CLEAN[:1]})

        error = await home.person("reviewer").refused("approve", "not_ready", order_id=order_id)

    assert found(error) == [("twice", "/records")]


@pytest.mark.scenario("real-types", "apply-once")
def test_a_second_apply_with_the_same_key_changes_nothing_even_when_the_file_is_gone(tmp_path: Path) -> None:
    # given
    source = write_csv(tmp_path / "users.csv", USERS)
    item = WorkItem("WO-1.1", "WO-1", 1, TYPE, 0, {}, 0, 0, 3, result={"records": CLEAN})
    asked = payload(tmp_path, source)
    order = WorkOrder("WO-1", 1, "uid", TYPE, 1, asked, 0, Actor("agent", "a"), 0, 0, items=(item,))
    first = UserDataSync().apply(order, Attempt("key"))
    run(tmp_path / "app.db", "UPDATE users SET name = 'as others know them'")
    source.unlink()

    # when
    second = UserDataSync().apply(order, Attempt("key", attempt=2))

    # then
    assert second == first
    assert rows(tmp_path / "app.db", "SELECT DISTINCT name FROM users") == [("as others know them",)]


def test_what_a_payload_says_about_a_file_can_be_printed(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "users.csv", USERS)

    command = [sys.executable, "-m", "workdocket_types.user_data_sync", source.name]
    printed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=20)

    checksum, _ = read(source)
    assert json.loads(printed.stdout) == {"source": str(source.resolve()), "sha256": checksum, "rows": 3}
