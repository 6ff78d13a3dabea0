"""Whose turn it is: between types, between concurrency keys, between what is urgent and what has waited too long."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.harness import House, Person, held, house


async def nothing(someone: Person, **wanted: Any) -> dict[str, Any]:
    answer = await someone.ok("checkout", **wanted)
    assert answer["items"] == [], answer
    return answer


async def served(someone: Person, rounds: int, **wanted: Any) -> list[str]:
    """The orders of the items that one worker gets who hands in each before the next."""
    found = []
    for _ in range(rounds):
        item = await someone.take(**wanted)
        await someone.hand_in(item, {"count": 1, "message": "hi", "verified": True})
        found.append(item["order_id"])
    return found


async def tenants(someone: Person, *names: Any, items: int = 3, **more: Any) -> list[str]:
    return [await someone.propose("test.tenant", {"tenant": name, "items": items}, **more) for name in names]


def shares(got: Sequence[str], of: Sequence[str]) -> list[int]:
    return [got.count(one) for one in of]


# types


@pytest.mark.scenario("fair-shares")
async def test_a_type_with_thousands_of_items_does_not_starve_another(home: House) -> None:
    # given
    ann = home.person("ann")
    many = await ann.propose("test.batch", {"batches": 1000})
    few = [await ann.propose("test.echo") for _ in range(5)]

    # when
    got = await served(ann, 10)

    # then
    assert shares(got, [many]) == [5]
    assert [one for one in got if one != many] == few


@pytest.mark.scenario("fair-shares", "hand-out-order")
async def test_between_types_that_had_no_turn_yet_age_decides(home: House) -> None:
    ann = home.person("ann")
    orders = []
    for type, payload in (("test.free", {}), ("test.echo", None), ("test.batch", {"batches": 1})):
        orders.append(await ann.propose(type, payload))
        home.clock.forward(1)

    assert await served(ann, 3) == orders


@pytest.mark.scenario("fair-shares", "hand-out-order")
async def test_turns_are_taken_among_equals_only(home: House) -> None:
    ann = home.person("ann")
    urgent = await ann.propose("test.batch", {"batches": 4}, priority=1)
    await ann.propose("test.echo")

    assert await served(ann, 4) == [urgent] * 4


@pytest.mark.scenario("fair-shares")
async def test_turns_are_remembered_across_a_restart(tmp_path: Path) -> None:
    # given
    async with house(tmp_path) as home:
        ann = home.person("ann")
        await ann.propose("test.batch", {"batches": 4})
        home.clock.forward(1)
        echo = await ann.propose("test.echo")
        await served(ann, 1)

    # when
    async with house(tmp_path, clock=home.clock, ids=home.ids) as again:
        got = await served(again.person("ann"), 1)

    # then
    assert got == [echo]


# concurrency keys


@pytest.mark.scenario("fair-shares")
async def test_the_keys_of_a_type_take_turns(home: House) -> None:
    ann = home.person("ann")
    [many] = await tenants(ann, "m", items=200)
    few = await tenants(ann, "a", "z", items=3)

    got = await served(ann, 9)

    assert shares(got, [many, *few]) == [3, 3, 3]
    assert {*got[:3]} == {many, *few}
    assert await served(ann, 2) == [many, many]


@pytest.mark.scenario("fair-shares")
async def test_one_checkout_of_many_is_shared_as_well(home: House) -> None:
    ann = home.person("ann")
    orders = await tenants(ann, "a", "b", "c", "d")

    items = (await ann.ok("checkout", count=4))["items"]

    assert sorted(item["order_id"] for item in items) == orders


@pytest.mark.scenario("fair-shares")
async def test_items_without_a_key_take_their_turn_among_those_with_one(home: House) -> None:
    ann = home.person("ann")
    keyless = await ann.propose("test.tenant", {"items": 3})
    keyed = await tenants(ann, "a", "b")

    got = await served(ann, 9)

    assert shares(got[:3], [keyless, *keyed]) == [1, 1, 1]
    assert shares(got[:6], [keyless, *keyed]) == [2, 2, 2]


@pytest.mark.scenario("key-limit")
async def test_a_full_key_is_skipped_and_free_again_when_a_lease_ends(home: House) -> None:
    # given
    ann = home.person("ann")
    [first, second] = await tenants(ann, "a", "b", items=5)
    items = (await ann.ok("checkout", count=20))["items"]
    assert shares([item["order_id"] for item in items], [first, second]) == [2, 2]

    # when
    answer = await nothing(ann)
    await ann.hand_in(next(item for item in items if item["order_id"] == second), {})

    # then
    assert answer["reason"] == "key_limit"
    assert answer["retry_after_seconds"] == 600
    assert (await ann.take())["order_id"] == second
    assert (await nothing(ann))["reason"] == "key_limit"


@pytest.mark.scenario("key-limit")
async def test_an_expired_lease_makes_room(home: House) -> None:
    ann = home.person("ann")
    await tenants(ann, "a")
    await ann.ok("checkout", count=2)
    assert (await nothing(ann))["reason"] == "key_limit"

    home.clock.forward(601)

    assert len((await ann.ok("checkout", count=3))["items"]) == 2


@pytest.mark.scenario("key-limit")
@pytest.mark.parametrize("wanted", [{}, {"order_id": "WO-1"}, {"item_id": "WO-1.3"}, {"count": 5}], ids=str)
async def test_the_limit_of_a_key_holds_on_every_path(home: House, wanted: dict[str, Any]) -> None:
    ann, bob = home.person("ann"), home.person("bob")
    await tenants(ann, "a", items=5)
    await ann.ok("checkout", count=2)

    assert (await nothing(bob, **wanted))["reason"] == "key_limit"


@pytest.mark.scenario("key-limit", "rework-memory")
async def test_the_limit_of_a_key_holds_for_what_is_kept_for_its_former_holder(home: House) -> None:
    # given
    ann, bob = home.person("ann"), home.person("bob")
    [returned] = await tenants(ann, "a", items=1)
    await ann.hand_in(await ann.take(), {"n": 1})
    await ann.ok("reject", order_id=returned, rework=True, errors=[{"message": "again"}])
    await tenants(ann, "a", items=2)
    first, _ = (await bob.ok("checkout", count=2))["items"]

    # when
    answer = await nothing(ann)
    await bob.hand_in(first, {})

    # then
    assert answer["reason"] == "key_limit"
    assert (await ann.take())["order_id"] == returned


@pytest.mark.scenario("key-limit", "soft-expiry")
async def test_an_expired_lease_is_not_taken_back_over_the_limit_of_its_key(home: House) -> None:
    # given
    ann, bob = home.person("ann"), home.person("bob")
    await tenants(ann, "a", items=4)
    late = await ann.take()
    home.clock.forward(601)
    other = [item for item in (await bob.ok("checkout", count=2))["items"] if item["id"] != late["id"]]
    await bob.ok("release", **held(next(iter(other))))
    await bob.ok("checkout", item_id="WO-1.3")
    await bob.ok("my_work")

    # when
    holding = [row["id"] for row in (await bob.ok("my_work"))["leases"]]
    await ann.refused("heartbeat", "lease_lost" if late["id"] in holding else "limit_exceeded", **held(late))

    # then
    assert len(holding) == 2


@pytest.mark.scenario("key-limit")
@pytest.mark.parametrize(
    ("tenant", "key"),
    [("a", "a"), (7, "7"), (True, "true"), ({"id": 1}, '{"id":1}'), (None, None), ("x" * 120, "x" * 120)],
    ids=str,
)
async def test_a_key_is_what_the_payload_has_there_as_text(home: House, tenant: Any, key: str | None) -> None:
    ann = home.person("ann")
    await tenants(ann, tenant, items=1)

    assert (await ann.ok("get_item", item_id="WO-1.1"))["item"].get("concurrency_key") == key


@pytest.mark.scenario("key-limit")
async def test_long_keys_are_told_apart(home: House) -> None:
    ann = home.person("ann")
    await tenants(ann, "x" * 200, "x" * 200 + "y", items=3)

    assert len((await ann.ok("checkout", count=6))["items"]) == 4


@pytest.mark.scenario("key-limit")
async def test_a_setting_limits_the_keys_of_types_that_say_nothing(tmp_path: Path) -> None:
    async with house(tmp_path, max_leases_per_key=1) as home:
        ann = home.person("ann")
        await ann.propose("test.planned", {"items": [{"input": n, "concurrency_key": "k"} for n in range(3)]})
        await ann.propose("test.planned", {"items": [{"input": n} for n in range(3)]})

        assert len((await ann.ok("checkout", count=6))["items"]) == 4


@pytest.mark.scenario("fair-shares")
async def test_a_key_longer_than_keys_may_be_is_refused_in_a_plan(home: House) -> None:
    answer = await home.person("ann").refused(
        "propose", "invalid_plan", type="test.planned", payload={"items": [{"input": 1, "concurrency_key": "x" * 121}]}
    )

    assert [one["code"] for one in answer["details"]["findings"]] == ["key_too_long"]


# skills


@pytest.mark.scenario("skills")
@pytest.mark.parametrize("wanted", [{}, {"order_id": "WO-1"}, {"item_id": "WO-1.1"}, {"type": "test.skilled"}], ids=str)
async def test_an_item_goes_only_to_a_caller_that_states_its_skills(home: House, wanted: dict[str, Any]) -> None:
    # given
    ann = home.person("ann")
    await ann.propose("test.skilled")

    # when
    without = await nothing(ann, **wanted)
    with_others = await nothing(ann, **wanted, skills=["cobol"])

    # then
    assert (without["reason"], with_others["reason"]) == ("no_match", "no_match")
    assert "sql" in without["message"]
    assert (await ann.take(**wanted, skills=["cobol", "sql"]))["id"] == "WO-1.1"


@pytest.mark.scenario("skills")
async def test_all_skills_are_required_and_items_that_need_none_go_to_everybody(home: House) -> None:
    ann = home.person("ann")
    await ann.propose(
        "test.planned",
        {"items": [{"input": 1, "skills": ["sql", "go"]}, {"input": 2, "skills": ["sql"]}, {"input": 3, "skills": []}]},
    )

    answers = [(await ann.ok("checkout", count=3, skills=skills))["items"] for skills in ([], ["sql"], ["go", "sql"])]

    assert [[item["input"] for item in items] for items in answers] == [[3], [2], [1]]


@pytest.mark.scenario("skills", "hand-out-order")
async def test_what_the_caller_cannot_do_does_not_block_what_it_can(home: House) -> None:
    ann = home.person("ann")
    await ann.propose("test.skilled", priority=90)
    plain = await ann.propose("test.echo", priority=1)

    assert (await ann.take())["order_id"] == plain


@pytest.mark.scenario("skills", "rework-memory")
async def test_what_is_kept_for_its_former_holder_asks_for_skills_again(home: House) -> None:
    # given
    ann = home.person("ann")
    order_id = await ann.propose("test.skilled")
    await ann.hand_in(await ann.take(skills=["sql"]))
    await ann.ok("reject", order_id=order_id, rework=True, errors=[{"message": "again"}])

    # then
    assert (await nothing(ann))["reason"] == "no_match"
    assert (await ann.take(skills=["sql"]))["order_id"] == order_id


@pytest.mark.scenario("skills")
async def test_skills_that_are_no_list_of_names_are_refused_in_a_plan(home: House) -> None:
    ann = home.person("ann")
    for skills in ("sql", [""], [7], {"sql": 1}):
        payload = {"items": [{"input": 1, "skills": skills}]}
        answer = await ann.refused("propose", "invalid_plan", type="test.planned", payload=payload)
        assert [one["path"] for one in answer["details"]["findings"]] == ["/0/skills"]


# ageing


@pytest.mark.scenario("ageing")
async def test_what_was_passed_over_for_too_long_goes_first(tmp_path: Path) -> None:
    async with house(tmp_path, longest_wait_seconds=3600) as home:
        # given
        ann = home.person("ann")
        humble = await ann.propose(priority=1)
        home.clock.forward(1800)
        urgent = await ann.propose("test.batch", {"batches": 9}, priority=100)
        home.clock.forward(1799)
        assert await served(ann, 2) == [urgent, urgent]

        # when
        home.clock.forward(1)

        # then
        assert await served(ann, 2) == [humble, urgent]


@pytest.mark.scenario("ageing")
async def test_a_low_priority_is_handed_out_in_time_behind_a_stream_of_high_ones(tmp_path: Path) -> None:
    async with house(tmp_path, longest_wait_seconds=100) as home:
        # given
        ann = home.person("ann")
        humble = await ann.propose(priority=0)
        passed = 0

        # when
        while True:
            await ann.propose(priority=100)
            home.clock.forward(10)
            if await served(ann, 1) == [humble]:
                break
            passed += 1

        # then
        assert passed == 9


@pytest.mark.scenario("ageing", "not-before")
async def test_waiting_counts_from_when_an_item_could_be_had(tmp_path: Path) -> None:
    async with house(tmp_path, longest_wait_seconds=3600) as home:
        # given
        ann = home.person("ann")
        later = await ann.propose(priority=1, not_before="2026-09-22T00:00:00Z")
        first = await ann.propose("test.free", {}, priority=99)
        blocked = await ann.propose(priority=2, depends_on=[first])
        home.clock.at = 1_790_035_200_000 - 1
        urgent = await ann.propose("test.batch", {"batches": 9}, priority=50)
        assert (await ann.take())["order_id"] == first

        # when
        home.clock.forward(3600)

        # then
        assert (later, blocked) == ("WO-1", "WO-3")
        assert await served(ann, 1) == [urgent]
        home.clock.forward(1)
        assert await served(ann, 1) == [later]


@pytest.mark.scenario("ageing")
async def test_who_asks_for_a_priority_does_not_get_what_is_below_it_for_its_age(tmp_path: Path) -> None:
    async with house(tmp_path, longest_wait_seconds=10) as home:
        ann = home.person("ann")
        await ann.propose(priority=1)
        home.clock.forward(11)
        urgent = await ann.propose(priority=50)

        assert (await ann.take(min_priority=50))["order_id"] == urgent


@pytest.mark.scenario("ageing")
async def test_it_can_be_switched_off(tmp_path: Path) -> None:
    async with house(tmp_path, longest_wait_seconds="none") as home:
        ann = home.person("ann")
        await ann.propose(priority=1)
        home.clock.forward(10**9)
        urgent = await ann.propose(priority=2)

        assert (await ann.take())["order_id"] == urgent


@pytest.mark.scenario("ageing")
async def test_an_item_that_was_handed_out_for_its_age_waits_anew_when_it_comes_back(tmp_path: Path) -> None:
    async with house(tmp_path, longest_wait_seconds=10) as home:
        # given
        ann = home.person("ann")
        humble = await ann.propose(priority=1)
        home.clock.forward(11)
        item = await ann.take()
        assert item["order_id"] == humble

        # when
        urgent = await ann.propose(priority=2)
        await ann.ok("release", **held(item))

        # then
        assert (await ann.take())["order_id"] == urgent


@pytest.mark.scenario("fair-shares", "skills")
async def test_items_that_ask_for_different_skills_take_turns_too(home: House) -> None:
    ann = home.person("ann")
    specs = [{"input": n, "skills": skills} for skills in ([], ["go"], ["sql"]) for n in range(3)]
    await ann.propose("test.planned", {"items": specs})

    taken = [(await ann.take(skills=["go", "sql"]))["id"] for _ in range(6)]

    rows = [(await ann.ok("get_item", item_id=item_id))["item"] for item_id in taken]
    asked = [row.get("skills", []) for row in rows]
    assert [asked.count(one) for one in ([], ["go"], ["sql"])] == [2, 2, 2]
