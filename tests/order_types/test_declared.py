"""Order types in TOML and YAML through their lives, on real databases and files."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.built_in import Attempt, rows, run
from tests.support.harness import House, held, house

SUPPLIERS = """\
name = "supplier.check"
title = "Check suppliers"
instructions = "Find out what each supplier is called in full."
approval = "four_eyes"

[payload]
type = "object"
required = ["suppliers"]
[payload.properties.suppliers]
type = "array"
items = { type = "object", required = ["id"] }

[result]
type = "object"
required = ["suppliers"]
[result.properties.suppliers]
type = "array"
[result.properties.suppliers.items]
type = "object"
required = ["id", "name"]
properties = { id = { type = "integer" }, name = { type = "string", minLength = 3 } }

[batch]
over = "/suppliers"
size = 2
every = "/id"

[effect]
kind = "sqlite.upsert"
database = "shop.db"
table = "supplier"
key = ["id"]
records = { result = "/suppliers" }
"""
YAML = """\
name: supplier.check
approval: four_eyes
payload: {type: object, required: [suppliers], properties: {suppliers: {type: array}}}
result: {type: object, required: [suppliers], properties: {suppliers: {type: array}}}
batch: {over: /suppliers, size: 2, every: /id}
effect:
  kind: sqlite.upsert
  database: shop.db
  table: supplier
  key: [id]
  records:
    result: /suppliers
"""
PAGE = """\
name = "page.write"
[payload]
properties = { file = { type = "string" }, text = { type = ["string", "null"] } }
[result]
properties = { text = { type = "string" } }
[effect]
kind = "file.write"
folder = "pages"
path = { payload = "/file" }
before = { payload = "/text" }
text = { result = "/text" }
"""


@asynccontextmanager
async def declared(folder: Path, text: str, name: str = "type.toml") -> AsyncIterator[House]:
    (folder / name).write_text(text, "utf-8")
    async with house(folder, order_types=[str(folder / name)]) as home:
        yield home


def named(*ids: int) -> dict[str, Any]:
    return {"suppliers": [{"id": one, "name": f"Supplier {one}"} for one in ids]}


def asked(*ids: int) -> dict[str, Any]:
    return {"suppliers": [{"id": one} for one in ids]}


def codes(refusal: dict[str, Any]) -> list[str]:
    return [finding["code"] for finding in refusal["details"]["findings"]]


@pytest.mark.scenario("types-declared")
@pytest.mark.parametrize(("text", "name"), [(SUPPLIERS, "type.toml"), (YAML, "type.yaml")], ids=["toml", "yaml"])
async def test_a_declared_type_goes_through_its_whole_life(tmp_path: Path, text: str, name: str) -> None:
    run(
        tmp_path / "shop.db",
        "CREATE TABLE supplier (id INTEGER PRIMARY KEY, name TEXT, since INTEGER DEFAULT 2020)",
        "INSERT INTO supplier VALUES (2, 'Two', 1999)",
    )
    async with declared(tmp_path, text, name) as home:
        worker, boss = home.person("worker"), home.person("boss")

        # given three suppliers in two batches
        order_id = await worker.propose("supplier.check", asked(1, 2, 3))
        first, second = await worker.take(), await worker.take()
        assert (first["input"], second["input"]) == (asked(1, 2), asked(3))

        # when one batch comes back wrong it is refused, and then all is handed in
        refusal = await worker.refused("submit", "invalid_result", **held(first), result=named(1, 3, 1))
        assert codes(refusal) == ["twice", "unknown_entry", "missing_entry"]
        await worker.hand_in(first, named(2, 1))
        await worker.hand_in(second, named(3))
        await worker.refused("approve", "self_approval", order_id=order_id)
        packet = await boss.ok("review", order_id=order_id)
        assert len(rows(tmp_path / "shop.db", "SELECT * FROM supplier")) == 1
        answer = await boss.ok("approve", order_id=order_id, digest=packet["digest"])

    # then what was shown was done
    assert answer["order"]["state"] == "completed"
    assert answer["diff"] == packet["preview"]
    assert answer["diff"]["summary"] == "supplier: 2 added, 1 modified, 0 unchanged"
    assert rows(tmp_path / "shop.db", "SELECT * FROM supplier ORDER BY id") == [
        (1, "Supplier 1", 2020),
        (2, "Supplier 2", 1999),
        (3, "Supplier 3", 2020),
    ]


@pytest.mark.scenario("types-declared", "apply-once")
async def test_a_declared_type_makes_its_change_once_however_often_it_is_tried(tmp_path: Path) -> None:
    async with declared(tmp_path, SUPPLIERS) as home:
        worker = home.person("worker")
        order_id = await worker.propose("supplier.check", asked(1))
        await worker.hand_in(await worker.take(), named(1))
        answer = await home.person("boss").ok("approve", order_id=order_id)
        order = await home.app.desk.store.read(lambda tx: tx.order(order_id, results=True))
        assert order is not None
        run(tmp_path / "shop.db", "UPDATE supplier SET name = 'changed since'")

        again: Any = home.app.registry.get("supplier.check").type.apply(order, Attempt(f"wd-{order.uid}", 2))

    assert again.as_dict() == answer["diff"]
    assert rows(tmp_path / "shop.db", "SELECT id, name FROM supplier") == [(1, "changed since")]


@pytest.mark.parametrize(
    ("payload", "found"),
    [
        ({"suppliers": []}, []),
        (asked(1, 1), ["twice"]),
        ({"suppliers": [{"id": 1}, {"id": None}]}, ["required"]),
    ],
)
async def test_a_list_that_cannot_be_handed_out_is_refused_at_once(
    tmp_path: Path, payload: Any, found: list[str]
) -> None:
    async with declared(tmp_path, SUPPLIERS) as home:
        worker = home.person("worker")
        refusal = await worker.refused("propose", "invalid_plan", type="supplier.check", payload=payload)
        assert [one["code"] for one in refusal["details"].get("findings", [])][: len(found)] == found
        assert (await worker.ok("list_orders"))["orders"] == []


@pytest.mark.parametrize(
    ("payload", "result", "found"),
    [
        (asked(1), {"suppliers": [{"id": 1}]}, ["required"]),
        (asked(1), {"suppliers": [{"id": "1", "name": "one"}]}, ["type"]),
        (asked(1, 2), named(1), ["missing_entry"]),
        (asked(1), named(1, 7), ["unknown_entry"]),
    ],
)
async def test_a_batch_has_to_come_back_whole(tmp_path: Path, payload: Any, result: Any, found: list[str]) -> None:
    async with declared(tmp_path, SUPPLIERS) as home:
        worker = home.person("worker")
        await worker.propose("supplier.check", payload)
        refusal = await worker.refused("submit", "invalid_result", **held(await worker.take()), result=result)
    assert codes(refusal) == found


async def test_ids_are_compared_as_they_are(tmp_path: Path) -> None:
    async with declared(tmp_path, YAML, "type.yaml") as home:
        worker = home.person("worker")
        await worker.propose("supplier.check", {"suppliers": [{"id": 1}, {"id": "1"}]})
        item = await worker.take()
        one = {"suppliers": [{"id": "1"}, {"id": True}]}
        refusal = await worker.refused("submit", "invalid_result", **held(item), result=one)
        no_list = await worker.refused("submit", "invalid_result", **held(item), result={"suppliers": {}})
    assert codes(refusal) == ["unknown_entry", "missing_entry"]
    assert codes(no_list) == ["type"]


@pytest.mark.parametrize(
    ("results", "message"),
    [
        ([named(1), named(1)], "more than one record has the key 1"),
        ([named(1), {"suppliers": "none"}], "records has to be a list of objects, at least one"),
        ([{"suppliers": []}, {"suppliers": []}], "records has to be a list of objects, at least one"),
    ],
)
async def test_without_ids_to_look_for_batches_come_back_as_they_are_and_the_effect_looks_at_them(
    tmp_path: Path, results: list[Any], message: str
) -> None:
    text = YAML.replace(", every: /id", "").replace(", properties: {suppliers: {type: array}}", "")
    async with declared(tmp_path, text, "type.yaml") as home:
        worker, boss = home.person("worker"), home.person("boss")
        none = await worker.refused("propose", "invalid_plan", type="supplier.check", payload={"suppliers": {}})
        order_id = await worker.propose("supplier.check", asked(1, 2, 3))
        for result in results:
            await worker.hand_in(await worker.take(), result)

        refusal = await boss.refused("approve", "not_ready", order_id=order_id)

    assert [finding["path"] for finding in none["details"]["findings"]] == ["/suppliers"]
    assert [finding["message"] for finding in refusal["details"]["findings"]] == [message]
    assert not (tmp_path / "shop.db").exists()


@pytest.mark.parametrize(
    ("change", "result", "found"),
    [
        ('table = "workdocket_applied"', named(1), "reserved"),
        ('key = ["name"]', named(1), "key_not_unique"),
        ('key = ["code"]', named(1), "required"),
        ('database = "work.db"', named(1), "own_database"),
        ("", {"suppliers": [{"id": 1, "name": "One", "size": 3}]}, "unknown_column"),
    ],
)
async def test_what_the_database_has_against_it_is_a_finding_before_approval(
    tmp_path: Path, change: str, result: Any, found: str
) -> None:
    run(tmp_path / "shop.db", "CREATE TABLE supplier (id INTEGER PRIMARY KEY, name TEXT)")
    parameter = change.partition(" =")[0]
    lines = [change if change and line.startswith(f"{parameter} =") else line for line in SUPPLIERS.splitlines()]
    async with declared(tmp_path, "\n".join(lines)) as home:
        worker, boss = home.person("worker"), home.person("boss")
        order_id = await worker.propose("supplier.check", asked(1))
        await worker.hand_in(await worker.take(), result)

        refusal = await boss.refused("approve", "not_ready", order_id=order_id)

    assert codes(refusal) == [found]


async def test_parameters_from_the_payload_are_checked_when_it_is_reviewed(tmp_path: Path) -> None:
    text = SUPPLIERS.replace('"shop.db"', '{ payload = "/file" }').replace(
        '"supplier"\nkey', '{ payload = "/table" }\nkey'
    )
    text = text.replace(
        "[payload.properties.suppliers]", "[payload.properties]\nfile = {}\ntable = {}\nsuppliers = {}\n[x]"
    )
    text = text.replace('[x]\ntype = "array"\nitems = { type = "object", required = ["id"] }\n', "")
    async with declared(tmp_path, text) as home:
        worker, boss = home.person("worker"), home.person("boss")
        wrong = await worker.propose("supplier.check", {**asked(1), "file": "shop.db"})
        await worker.hand_in(await worker.take(), named(1))
        right = await worker.propose("supplier.check", {**asked(1), "file": str(tmp_path / "a.db"), "table": "t"})
        await worker.hand_in(await worker.take(), named(1))

        refusal = await boss.refused("approve", "not_ready", order_id=wrong)
        await boss.ok("approve", order_id=right)

    messages = [finding["message"] for finding in refusal["details"]["findings"]]
    assert messages == [
        "database has to be an absolute path: every host starts its server in a folder of its own",
        "table has to be a text that is not empty",
    ]
    assert rows(tmp_path / "a.db", "SELECT * FROM t") == [(1, "Supplier 1")]


# files


async def written(home: House, payload: dict[str, Any], text: str) -> str:
    worker = home.person("worker")
    order_id = await worker.propose("page.write", payload)
    await worker.hand_in(await worker.take(), {"text": text})
    return order_id


@pytest.mark.scenario("types-declared")
async def test_a_declared_type_writes_a_file_where_it_is_what_it_was_taken_for(tmp_path: Path) -> None:
    async with declared(tmp_path, PAGE) as home:
        boss = home.person("boss")

        new = await written(home, {"file": "a.md"}, "first\n")
        made = await boss.ok("approve", order_id=new)
        assert (tmp_path / "pages" / "a.md").read_text() == "first\n"

        changed = await boss.ok(
            "approve", order_id=await written(home, {"file": "a.md", "text": "first\n"}, "second\n")
        )
        stale = await boss.refused(
            "approve", "not_ready", order_id=await written(home, {"file": "a.md", "text": "first\n"}, "third\n")
        )

    assert (made["diff"]["before"], made["diff"]["after"]) == (None, "first\n")
    assert (changed["diff"]["before"], changed["diff"]["after"]) == ("first\n", "second\n")
    assert codes(stale) == ["stale"]
    assert (tmp_path / "pages" / "a.md").read_text() == "second\n"


@pytest.mark.parametrize("path", ["../outside.md", "/tmp/outside.md", "a/../../outside.md"])
async def test_no_payload_leads_out_of_the_folder(tmp_path: Path, path: str) -> None:
    async with declared(tmp_path, PAGE) as home:
        order_id = await written(home, {"file": path}, "text")
        refusal = await home.person("boss").refused("approve", "not_ready", order_id=order_id)
    assert codes(refusal) == ["outside"]


async def test_an_order_that_is_not_handed_in_yet_can_be_looked_at(tmp_path: Path) -> None:
    async with declared(tmp_path, PAGE) as home:
        worker = home.person("worker")
        order_id = await worker.propose("page.write", {"file": "a.md"})
        packet = await worker.ok("review", order_id=order_id)
    assert [finding["message"] for finding in packet["findings"]] == ["text has to be a text"]
