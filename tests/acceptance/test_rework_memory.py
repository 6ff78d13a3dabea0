"""What the next holder is told about earlier work, and what need not be done again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.harness import House, Person, held, house

IDENTITY = {"part_key": "identity", "payload": {"name": "Ada"}}
CONTACTS = {"part_key": "contacts", "payload": {"mail": "ada@example.com"}}
BAD_CONTACTS = {"part_key": "contacts", "payload": {"mail": "nobody"}}
LONG = {"message": "m" * 20_000, "verified": True}
RULE = 1_500 * 3
"""Characters that the usual budget stands for."""


async def sent_back(home: House, order_id: str, *messages: str) -> None:
    errors = [{"message": message} for message in messages]
    await home.person("reviewer").ok("reject", order_id=order_id, errors=errors, rework=True)


async def with_parts(worker: Person, *parts: dict[str, Any]) -> dict[str, Any]:
    await worker.propose("test.partial", {})
    item = await worker.take()
    for part in parts:
        await worker.ok("submit_part", **held(item), **part)
    return item


async def echoed(home: House, result: Any = LONG) -> str:
    worker = home.person("worker")
    order_id = await worker.propose()
    await worker.hand_in(await worker.take(), result)
    return order_id


async def whole(home: House, item: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = (await home.person("reader").ok("get_item", item_id=item["id"], full=True))["item"]
    return found


# what was fine


@pytest.mark.scenario("rework-memory", "parts-survive")
async def test_after_a_rework_only_the_part_that_was_wrong_has_to_be_sent_again(home: House) -> None:
    # given
    worker = home.person("worker")
    item = await with_parts(worker, IDENTITY, BAD_CONTACTS)
    await worker.ok("finalize", **held(item))
    await sent_back(home, item["order_id"], "nobody is no address")

    # when
    again = await worker.take()
    await worker.ok("submit_part", **held(again), **CONTACTS)
    await worker.ok("finalize", **held(again))

    # then
    assert {row["key"]: row["payload"] for row in again["parts"]["present"]} == {
        "identity": IDENTITY["payload"],
        "contacts": BAD_CONTACTS["payload"],
    }
    assert again["former_result"] == {"identity": IDENTITY["payload"], "contacts": BAD_CONTACTS["payload"]}
    result = (await whole(home, item))["result"]
    assert result == {"identity": IDENTITY["payload"], "contacts": CONTACTS["payload"]}


@pytest.mark.scenario("rework-memory", "parts-survive")
async def test_another_holder_gets_the_good_parts_with_their_payloads_and_the_refused_ones_without(home: House) -> None:
    # given
    worker, other = home.person("worker"), home.person("other")
    item = await with_parts(worker, IDENTITY)
    await worker.refused("submit_part", "invalid_part", **held(item), part_key="contacts", payload={"fake": True})
    await worker.ok("release", **held(item))

    # when
    handed = await other.take()

    # then
    rows = [(row["key"], row["status"], row.get("payload")) for row in handed["parts"]["present"]]
    assert sorted(rows) == [("contacts", "rejected", None), ("identity", "validated", IDENTITY["payload"])]


@pytest.mark.scenario("rework-memory", "parts-survive")
async def test_good_parts_survive_one_rework_after_the_other(home: House) -> None:
    worker = home.person("worker")
    item = await with_parts(worker, IDENTITY, BAD_CONTACTS)
    await worker.ok("finalize", **held(item))
    for message, contacts in (("one", {"mail": "a@b"}), ("two", {"mail": "c@d"})):
        await sent_back(home, item["order_id"], message)
        again = await worker.take()
        await worker.ok("submit_part", **held(again), part_key="contacts", payload=contacts)
        await worker.ok("finalize", **held(again))

    assert (await whole(home, item))["result"] == {"identity": IDENTITY["payload"], "contacts": {"mail": "c@d"}}


# the budget


@pytest.mark.scenario("rework-memory")
async def test_what_is_too_long_leaves_its_size_and_the_way_to_all_of_it(home: House) -> None:
    order_id = await echoed(home)
    await sent_back(home, order_id, *("n" * 2_000 for _ in range(100)))

    again = await home.person("worker").take()

    assert len(str(again["feedback"])) < RULE + 1_000
    assert again["former_result"] == {"left_out": "object of 20030 characters"}
    assert again["left_out"] == {
        "feedback": 100 - len([row for row in again["feedback"] if row["message"] == "n" * 2_000]),
        "former_result": 1,
        "all": f"get_item({again['id']!r}, full=true)",
    }


@pytest.mark.scenario("rework-memory")
async def test_get_item_shows_all_of_it_on_request_and_a_short_form_otherwise(home: House) -> None:
    # given: long reasons, a long refused result, long parts
    worker = home.person("worker")
    item = await with_parts(worker, *(
        {"part_key": "log", "seq": n, "payload": {"text": "p" * 3_000}} for n in range(1, 6)
    ), IDENTITY, CONTACTS)  # fmt: skip
    await worker.ok("finalize", **held(item))
    await sent_back(home, item["order_id"], *("n" * 2_000 for _ in range(20)))

    # when
    short = (await worker.ok("get_item", item_id=item["id"]))["item"]
    full = await whole(home, item)

    # then
    assert len(str(short)) < 25_000 < len(str(full))
    assert short["left_out"]["all"] == f"get_item({item['id']!r}, full=true)"
    assert "left_out" not in full
    assert [row["message"] for row in full["feedback"]] == ["n" * 2_000] * 20
    assert full["result"]["log"] == [{"text": "p" * 3_000}] * 5
    assert [part["payload"] for part in full["parts"] if part["key"] == "log"] == [{"text": "p" * 3_000}] * 5


@pytest.mark.scenario("rework-memory")
async def test_the_setting_says_how_much_is_told(tmp_path: Path) -> None:
    async with house(tmp_path, rework_tokens=10_000) as home:
        order_id = await echoed(home)
        await sent_back(home, order_id, "n" * 2_000)

        again = await home.person("worker").take()

        assert (again["former_result"], "left_out" in again) == (LONG, False)


@pytest.mark.scenario("rework-memory")
async def test_my_work_tells_the_reasons_within_the_same_budget(home: House) -> None:
    order_id = await echoed(home)
    await sent_back(home, order_id, *(f"{n}: {'n' * 1_900}" for n in range(100)))

    [returned] = (await home.person("worker").ok("my_work"))["returned"]

    assert len(str(returned["feedback"])) < RULE + 1_000
    assert returned["feedback"][0]["message"].startswith("0: ")
    assert returned["left_out"]["feedback"] > 90


@pytest.mark.scenario("rework-memory", "late-result-kept")
async def test_a_long_late_result_leaves_its_key_so_that_it_can_be_handed_in(home: House) -> None:
    # given
    slow, quick = home.person("slow"), home.person("quick")
    await slow.propose()
    late = await slow.take()
    home.clock.forward(600)
    await quick.ok("release", **held(await quick.take()))
    item = await quick.take()
    await slow.refused("submit", "lease_lost", **held(late), result=LONG)
    await quick.ok("release", **held(item))

    # when
    item = await quick.take()
    [kept] = item["late_results"]
    await quick.ok("submit", **held(item), late_result=kept["key"])

    # then
    assert kept["result"] == {"left_out": "object of 20030 characters"}
    assert (await whole(home, item))["result"] == LONG
