"""Filing orders: what is planned, what is refused, and that a refusal leaves nothing behind."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.support.harness import House, Person, house, settings_for
from workdocket.app import open_app
from workdocket.domain.model import iso
from workdocket.registry import BrokenType, Registry
from workdocket.surfaces.identity import local_caller

ANN = {"name": "Ann", "email": "ann@example.org"}


async def nothing_is_there(someone: Person) -> bool:
    listed = await someone.ok("list_orders")
    return listed["total"] == 0 and await someone.events() == []


def found(refusal: dict[str, Any]) -> list[tuple[str, str]]:
    return [(finding["code"], finding["path"]) for finding in refusal["details"]["findings"]]


# an order and its items


@pytest.mark.scenario("P1")
async def test_a_filed_order_is_shown_whole(home: House) -> None:
    ann = home.person("ann")

    answer = await ann.ok("propose", type="test.echo", payload={"message": "hi"}, priority=5)

    order = answer["order"]
    assert (order["id"], order["type"], order["state"], order["priority"]) == ("WO-1", "test.echo", "queued", 5)
    assert order["payload"] == {"message": "hi"}
    assert order["created_at"] == iso(home.clock.now())
    assert order["items_count"] == 1


@pytest.mark.scenario("P5")
async def test_without_a_plan_there_is_one_item_with_the_payload_as_input(tmp_path: Path) -> None:
    async with house(tmp_path, max_attempts=5) as home:
        answer = await home.person("ann").ok("propose", type="test.echo", payload={"message": "hi"})

    [item] = answer["items"]
    assert (item["id"], item["state"]) == ("WO-1.1", "queued")
    assert (item["input"], item["max_attempts"]) == ({"message": "hi"}, 5)


@pytest.mark.scenario("P6")
async def test_a_plan_may_say_how_many_attempts_its_items_have(tmp_path: Path) -> None:
    async with house(tmp_path, max_attempts=5) as home:
        answer = await home.person("ann").ok("propose", type="test.batch", payload={"batches": 2})

    assert [item["max_attempts"] for item in answer["items"]] == [3, 3]
    assert [item["id"] for item in answer["items"]] == ["WO-1.1", "WO-1.2"]


@pytest.mark.scenario("P8")
async def test_the_priority_is_0_unless_somebody_says_more(home: House) -> None:
    answer = await home.person("ann").ok("propose", type="test.echo", payload={"message": "hi"})

    assert answer["order"]["priority"] == 0


@pytest.mark.scenario("P9")
async def test_meta_is_kept_as_it_was_sent(home: House) -> None:
    ann = home.person("ann")
    meta = {"source": "x", "batch": 7, "nested": {"a": [None, True, "ü"]}}

    order_id = await ann.propose(meta=meta)

    assert (await ann.ok("get_order", order_id=order_id))["order"]["meta"] == meta


@pytest.mark.scenario("P10")
async def test_the_requester_is_the_caller(home: House) -> None:
    order_id = await home.person("ann").propose()

    order = (await home.person("bob").ok("get_order", order_id=order_id))["order"]
    assert order["requested_by"] == {"type": "agent", "id": "ann"}


@pytest.mark.scenario("P1")
async def test_a_check_shows_the_plan_and_stores_nothing(home: House) -> None:
    ann = home.person("ann")

    answer = await ann.ok("propose", type="test.batch", payload={"batches": 2}, validate_only=True)

    assert [item["input"] for item in answer["items"]] == [{"batch": 1}, {"batch": 2}]
    assert "id" not in answer["order"]
    assert await nothing_is_there(ann)


@pytest.mark.scenario("P1")
async def test_a_dedupe_key_finds_the_order_that_is_there(home: House) -> None:
    ann = home.person("ann")
    first = await ann.propose(dedupe_key="one")

    again = await ann.propose(payload={"message": "other"}, dedupe_key="one")

    assert again == first
    assert (await ann.ok("list_orders"))["total"] == 1


@pytest.mark.scenario("P12")
async def test_every_type_is_named_once(home: House) -> None:
    types = (await home.person("ann").ok("order_types"))["types"]

    names = [row["name"] for row in types]
    assert len(names) == len(set(names))
    assert {"test.echo", "test.batch", "test.partial"} <= set(names)
    assert all({"name", "version", "title", "description"} <= row.keys() for row in types)


@pytest.mark.scenario("P12")
async def test_no_types_are_named_where_none_are_registered(tmp_path: Path) -> None:
    async with open_app(settings_for(tmp_path), registry=Registry()) as app:
        answer = await Person(app, local_caller("ann")).ok("order_types")

    assert answer == {"types": []}


@pytest.mark.scenario("P12")
async def test_one_type_is_shown_with_its_schemas_and_limits(home: House) -> None:
    [shown] = (await home.person("ann").ok("order_types", name="test.partial"))["types"]

    assert shown["payload_schema"] == {"type": "object"}
    assert shown["result_schema"] == {"type": "object", "maxProperties": 4}
    assert (shown["parts"]["log"]["mode"], shown["parts"]["log"]["required"]) == ("sequence", False)
    assert shown["parts"]["identity"]["schema"]["required"] == ["name"]
    assert (shown["approval"], shown["quorum"]) == ("manual", 1)
    assert shown["limits"]["lease_ttl_seconds"] == 600


# what is refused


@pytest.mark.scenario("P2")
async def test_an_empty_payload_is_refused_and_leaves_nothing(home: House) -> None:
    ann = home.person("ann")

    refusal = await ann.refused("propose", "invalid_payload", type="test.echo", payload={})

    assert found(refusal) == [("required", "/message")]
    assert await nothing_is_there(ann)


@pytest.mark.scenario("P3")
async def test_an_unknown_type_is_named_with_the_nearest_known_one(home: House) -> None:
    ann = home.person("ann")

    refusal = await ann.refused("propose", "unknown_type", type="test.ecko", payload={"message": "hi"})

    assert "test.ecko" in refusal["message"]
    assert "test.echo" in refusal["details"]["nearest"]
    assert await nothing_is_there(ann)


@pytest.mark.scenario("P2")
@pytest.mark.parametrize("priority", [-1, 101, 1.5, "high", None])
async def test_a_priority_outside_of_0_to_100_is_refused(home: House, priority: Any) -> None:
    ann = home.person("ann")

    refusal = await ann.refused(
        "propose", "invalid_request", type="test.echo", payload={"message": "hi"}, priority=priority
    )

    assert [path for _, path in found(refusal)] == ["/priority"]
    assert await nothing_is_there(ann)


@pytest.mark.scenario("N29")
@pytest.mark.parametrize("payload", [{}, {"items": []}])
async def test_a_plan_without_items_is_refused(home: House, payload: Any) -> None:
    ann = home.person("ann")

    refusal = await ann.refused("propose", "invalid_plan", type="test.planned", payload=payload)

    assert found(refusal) == [("empty", "")]
    assert await nothing_is_there(ann)


@pytest.mark.scenario("N29", "all-findings-at-once")
@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([{"input": {}, "key": "a"}, {"input": {}, "key": "a"}], [("duplicate_key", "/1/key")]),
        ([{"input": {}, "after": ["b"]}, {"input": {}, "after": ["c"]}],
         [("unknown_key", "/0/after"), ("unknown_key", "/1/after")]),
        ([{"input": {}, "key": "a", "after": ["b"]}, {"input": {}, "key": "b", "after": ["a"]}], [("cycle", "")]),
        ([{"input": {}, "key": "a", "after": ["a"]}], [("cycle", "")]),
        ([{"input": {}, "key": "k" * 121}], [("key_too_long", "/0/key")]),
        ([{"input": {}, "key": 5}, {"input": {}, "max_attempts": 1.5}],
         [("type", "/0/key"), ("type", "/1/max_attempts")]),
        ([{"input": {}, "max_attempts": 0}], [("minimum", "/0/max_attempts")]),
        ([{"input": {}, "after": [["b"]]}], [("type", "/0/after")]),
    ],
)  # fmt: skip
async def test_a_bad_plan_is_refused_with_what_is_wrong_with_it(
    home: House, items: list[dict[str, Any]], expected: list[tuple[str, str]]
) -> None:
    ann = home.person("ann")

    refusal = await ann.refused("propose", "invalid_plan", type="test.planned", payload={"items": items})

    assert found(refusal) == expected
    assert await nothing_is_there(ann)


@pytest.mark.scenario("N29")
async def test_a_type_may_refuse_to_plan(home: House) -> None:
    ann = home.person("ann")

    refusal = await ann.refused("propose", "invalid_plan", type="test.planned", payload={"refuse": True})

    assert "this cannot be planned" in refusal["message"]
    assert await nothing_is_there(ann)


@pytest.mark.scenario("N29")
async def test_a_long_plan_is_planned_in_order(home: House) -> None:
    answer = await home.person("ann").ok("propose", type="test.batch", payload={"batches": 1000})

    assert answer["order"]["items_count"] == 1000
    assert len(answer["items"]) < 1000
    assert answer["items"][-1]["input"] == {"batch": len(answer["items"])}


# the payload's schema, through the door


REFUSED = {
    "V1": ({}, [("required", "/email"), ("required", "/name")]),
    "V2": (
        {"name": 1, "email": 2, "age": "x", "active": "yes"},
        [("type", "/active"), ("type", "/age"), ("type", "/email"), ("type", "/name")],
    ),
    "V3": ({**ANN, "role": "boss", "plan": "gold"}, [("enum", "/plan"), ("enum", "/role")]),
    "V4": (
        {"name": "Ann", "role": "boss", "age": "old"},
        [("type", "/age"), ("required", "/email"), ("enum", "/role")],
    ),
    "V8": ({**ANN, "age": 17}, [("minimum", "/age")]),
    "V9": ({**ANN, "age": 100}, [("maximum", "/age")]),
    "V10": ({**ANN, "name": "A"}, [("minLength", "/name")]),
    "V12": ({**ANN, "name": "ann"}, [("pattern", "/name")]),
    "V13": ({**ANN, "tags": ["a"]}, [("minItems", "/tags")]),
    "V15": ({**ANN, "address": {"street": "x"}}, [("minLength", "/address/street")]),
    "V18": ({**ANN, "name": 3}, [("type", "/name")]),
}


@pytest.mark.scenario("N31", "all-findings-at-once", "V1", "V2", "V3", "V4", "V8", "V9", "V10", "V12", "V13", "V15")
@pytest.mark.parametrize("case", REFUSED)
async def test_a_payload_is_refused_with_every_finding_by_field_and_code(home: House, case: str) -> None:
    ann = home.person("ann")
    payload, expected = REFUSED[case]

    refusal = await ann.refused("propose", "invalid_payload", type="test.form", payload=payload)

    assert found(refusal) == expected
    assert all(finding["message"] for finding in refusal["details"]["findings"])
    assert await nothing_is_there(ann)


@pytest.mark.scenario("V5", "V6", "V8", "V9", "V10", "V13", "V16")
@pytest.mark.parametrize(
    "payload",
    [
        ANN,
        {**ANN, "age": 18, "active": True, "tags": ["a", "b"], "address": {"street": "Main", "note": "blue door"}},
        {"name": "Al", "email": "al@example.org", "age": 99, "role": "admin"},
    ],
)
async def test_a_payload_that_fits_is_filed(home: House, payload: dict[str, Any]) -> None:
    ann = home.person("ann")

    order_id = await ann.propose("test.form", payload)

    assert (await ann.ok("get_order", order_id=order_id))["order"]["payload"] == payload


# numbers


@pytest.mark.scenario("ids-never-reused")
async def test_numbers_rise_and_are_never_given_twice(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        ann = home.person("ann")
        first = await ann.propose()
        await ann.ok("cancel", order_id=first)
        await ann.refused("propose", "invalid_payload", type="test.echo", payload={})
        second = await ann.propose()
    async with house(tmp_path, clock=home.clock, ids=home.ids) as reopened:
        third = await reopened.person("ann").propose()

    numbers = [int(order_id.removeprefix("WO-")) for order_id in (first, second, third)]
    assert numbers == sorted(set(numbers))


@pytest.mark.scenario("ids-never-reused")
async def test_orders_filed_at_once_get_numbers_of_their_own(home: House) -> None:
    people = [home.person(f"agent-{n}") for n in range(20)]

    ids = await asyncio.gather(*(someone.propose() for someone in people))

    assert len(set(ids)) == 20


@pytest.mark.scenario("ids-never-reused")
async def test_ids_carry_the_project_key_and_items_their_number(tmp_path: Path) -> None:
    async with house(tmp_path, project_key="SHOP") as home:
        answer = await home.person("ann").ok("propose", type="test.batch", payload={"batches": 2})

    assert answer["order"]["id"] == "SHOP-1"
    assert [item["id"] for item in answer["items"]] == ["SHOP-1.1", "SHOP-1.2"]


@pytest.mark.scenario("ids-never-reused")
async def test_an_id_is_understood_however_it_is_typed(home: House) -> None:
    ann = home.person("ann")
    await ann.propose()

    assert (await ann.ok("get_order", order_id=" wo-1 "))["order"]["id"] == "WO-1"


# keys of the greatest length


@pytest.mark.scenario("N39")
async def test_the_longest_keys_work_and_longer_ones_are_refused(home: House) -> None:
    ann = home.person("ann")
    key, part_key = "🔑" * 255, "k" * 120

    order_id = await ann.propose("test.free", {}, idempotency_key=key, dedupe_key=key)
    again = await ann.ok("propose", type="test.free", payload={}, idempotency_key=key, dedupe_key=key)
    item = await ann.take()
    lease = {"item_id": item["id"], "lease_token": item["lease"]["token"]}
    sent = await ann.ok("submit_part", **lease, part_key=part_key, payload={"a": 1}, idempotency_key=key)

    assert (again["order"]["id"], again["replayed"]) == (order_id, True)
    assert sent["part"]["key"] == part_key
    too_long = await ann.refused(
        "submit_part", "invalid_request", **lease, part_key=part_key + "k", payload={}, idempotency_key=key + "k"
    )
    assert sorted(found(too_long)) == [("maxLength", "/idempotency_key"), ("maxLength", "/part_key")]


# types that are refused


@pytest.mark.scenario("N38", "types-refused-at-start")
@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("payload = {'typ': 'object'}", "did you mean 'type'?"),
        ("payload = {'type': 'objekt'}", "objekt"),
        ("payload = {'type': 'object'}; result = {'$ref': '#/nowhere'}", "points nowhere"),
        ("payload = {'type': 'object'}; aply_attempts = 3", "did you mean 'apply_attempts'?"),
    ],
)
async def test_a_broken_type_stops_the_start_with_file_and_line(tmp_path: Path, line: str, said: str) -> None:
    file = tmp_path / "broken.py"
    file.write_text(
        "from workdocket import Diff, OrderType\n\n\n"
        f"class Broken(OrderType):\n    name = 'broken'\n    {line}\n    def apply(self, order, ctx): return Diff()\n"
    )

    with pytest.raises(BrokenType) as caught:
        async with open_app(settings_for(tmp_path, order_types=[str(file)])):
            pass

    assert f"{file}:4" in str(caught.value)
    assert said in str(caught.value)
    assert not (tmp_path / "work.db").exists()
