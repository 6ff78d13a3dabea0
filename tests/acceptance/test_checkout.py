"""Taking work: who gets which item, what comes with it, and what is said when there is none."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.harness import LIMIT, House, Person, agent, held, house
from workdocket.domain import decide
from workdocket.domain.model import iso
from workdocket.surfaces.identity import local_caller


def ids(answer: dict[str, Any]) -> list[str]:
    return [item["id"] for item in answer["items"]]


async def reason(someone: Person, **wanted: Any) -> str:
    answer = await someone.ok("checkout", **wanted)
    assert answer["items"] == [], answer
    found: str = answer["reason"]
    return found


# in an order


@pytest.mark.scenario("C1")
async def test_an_item_comes_with_all_that_its_holder_needs(home: House) -> None:
    ann = home.person("ann")
    order_id = await ann.propose(payload={"message": "hi"}, meta={"source": "x"})

    item = await ann.take(order_id=order_id)

    assert (item["id"], item["order_id"], item["type"]) == ("WO-1.1", order_id, "test.echo")
    assert (item["input"], item["meta"]) == ({"message": "hi"}, {"source": "x"})
    assert (item["attempt"], item["max_attempts"]) == (1, 3)
    assert item["instructions"] == "Say it back."
    assert item["result_schema"]["required"] == ["message", "verified"]
    assert (item["feedback"], item["parts"]) == ([], {"plan": {}, "present": []})
    assert "submit" in item["next"]
    assert (await ann.ok("get_item", item_id=item["id"]))["item"]["leased_by"] == "ann"


@pytest.mark.scenario("C1")
async def test_an_item_comes_with_the_payload_of_its_order_where_it_differs_from_the_input(home: House) -> None:
    ann = home.person("ann")
    await ann.propose("test.batch", {"batches": 2})

    item = await ann.take()

    assert (item["input"], item["order_payload"]) == ({"batch": 1}, {"batches": 2})


@pytest.mark.scenario("lease-is-whole", "C1")
async def test_a_lease_has_a_token_a_fence_an_expiry_and_a_rhythm(home: House) -> None:
    ann = home.person("ann")
    await ann.propose()

    lease = (await ann.take())["lease"]

    assert lease["token"]
    assert lease["fence"] == 1
    assert lease["expires_at"] == iso(home.clock.now() + 600_000)
    assert lease["expires_in_seconds"] == 600
    assert lease["heartbeat_every_seconds"] == 120


@pytest.mark.scenario("lease-is-whole")
async def test_real_tokens_are_long_and_never_alike(tmp_path: Path) -> None:
    async with agent(tmp_path) as ann:
        await ann.ok("propose", type="test.batch", payload={"batches": 20})
        answer = await ann.ok("checkout", count=20)

    tokens = {item["lease"]["token"] for item in answer["items"]}
    assert len(tokens) == 20
    assert min(map(len, tokens)) >= 20


@pytest.mark.scenario("C2")
async def test_a_lease_lasts_as_long_as_the_setting_says(tmp_path: Path) -> None:
    async with house(tmp_path, lease_ttl_seconds=12.5) as home:
        ann = home.person("ann")
        await ann.propose()

        lease = (await ann.take())["lease"]

        expires = datetime.fromisoformat(lease["expires_at"]).timestamp() * 1000
        assert (expires - home.clock.now(), lease["expires_in_seconds"]) == (12_500, 12.5)


@pytest.mark.scenario("C3", "C4")
async def test_an_order_whose_items_are_all_completed_has_none_to_give(home: House) -> None:
    ann = home.person("ann")
    order_id = await ann.propose()
    await ann.hand_in(await ann.take())
    await ann.ok("approve", order_id=order_id)

    assert await reason(ann, order_id=order_id) == "empty"


@pytest.mark.scenario("C5")
async def test_an_order_whose_items_are_all_leased_says_when_to_ask_again(home: House) -> None:
    order_id = await home.person("ann").propose()
    await home.person("ann").take()
    home.clock.forward(100)

    answer = await home.person("bob").ok("checkout", order_id=order_id)

    assert (answer["items"], answer["reason"], answer["retry_after_seconds"]) == ([], "all_leased", 500)


async def _submitted(home: House, order_id: str) -> None:
    ann = home.person("ann")
    await ann.hand_in(await ann.take(), {})


async def _accepted(home: House, order_id: str) -> None:
    await _submitted(home, order_id)
    await home.person("ann").refused("approve", "apply_failed", order_id=order_id)


async def _completed(home: House, order_id: str) -> None:
    await _submitted(home, order_id)
    await home.person("ann").ok("approve", order_id=order_id)


async def _rejected(home: House, order_id: str) -> None:
    await home.person("ann").ok("reject", order_id=order_id, errors=[{"message": "no"}])


async def _failed(home: House, order_id: str) -> None:
    item = await home.person("ann").take()
    await home.person("ann").ok("fail", **held(item), reason="no", retryable=False)


async def _dead_lettered(home: House, order_id: str) -> None:
    await _rejected(home, order_id)
    desk, ann = home.app.desk, home.person("ann").caller.actor

    def put_aside(tx: Any) -> None:
        order = tx.order(order_id, items=True)
        tx.apply(decide.dead_letter(order, ann, home.clock.now(), "for good"))

    await desk.change(put_aside)


async def _cancelled(home: House, order_id: str) -> None:
    await home.person("ann").ok("cancel", order_id=order_id)


Bring = Callable[[House, str], Awaitable[None]]
CLOSED: dict[str, tuple[Bring, Any]] = {
    "submitted": (_submitted, {}),
    "accepted": (_accepted, {"raise_in": "apply"}),
    "completed": (_completed, {}),
    "rejected": (_rejected, {}),
    "failed": (_failed, {}),
    "dead_lettered": (_dead_lettered, {}),
    "cancelled": (_cancelled, {}),
}


@pytest.mark.scenario("C7")
@pytest.mark.parametrize("state", CLOSED)
async def test_an_item_that_is_not_queued_is_never_handed_out(tmp_path: Path, state: str) -> None:
    bring, payload = CLOSED[state]
    async with house(tmp_path, apply_attempts=1) as home:
        ann = home.person("ann")
        order_id = await ann.propose("test.raising", payload)
        await bring(home, order_id)
        home.clock.forward(86_400)

        for wanted in ({}, {"order_id": order_id}, {"item_id": f"{order_id}.1"}):
            assert await reason(ann, **wanted) == "empty"

        assert (await ann.ok("get_item", item_id=f"{order_id}.1"))["item"]["state"] == state


@pytest.mark.scenario("C10")
async def test_two_agents_get_two_different_items(home: House) -> None:
    ann, bob = home.person("ann"), home.person("bob")
    order_id = await ann.propose("test.batch", {"batches": 2})

    hers, his = await ann.take(order_id=order_id), await bob.take(order_id=order_id)

    assert {hers["id"], his["id"]} == {"WO-1.1", "WO-1.2"}


@pytest.mark.scenario("C10")
async def test_several_items_may_be_taken_at_once(home: House) -> None:
    ann = home.person("ann")
    await ann.propose("test.batch", {"batches": 5})

    answer = await ann.ok("checkout", count=3)

    assert ids(answer) == ["WO-1.1", "WO-1.2", "WO-1.3"]
    assert len({item["lease"]["token"] for item in answer["items"]}) == 3


@pytest.mark.scenario("C12")
async def test_a_leased_event_names_the_agent_and_the_expiry(home: House) -> None:
    ann = home.person("ann")
    order_id = await ann.propose()
    item = await ann.take(agent="helper 7")

    [event] = (await ann.ok("events", order_id=order_id, event="item.leased"))["events"]

    assert (event["actor_type"], event["actor_id"], event["agent"]) == ("agent", "ann", "helper 7")
    assert (event["item_id"], event["attempt"]) == (item["id"], 1)
    assert (event["from_state"], event["to_state"]) == ("queued", "leased")
    assert event["data"]["expires_at"] == item["lease"]["expires_at"]


# from all orders


@pytest.mark.scenario("GC1", "hand-out-order")
async def test_the_highest_priority_goes_out_first(home: House) -> None:
    ann = home.person("ann")
    low, high, middle = [await ann.propose(priority=priority) for priority in (10, 100, 50)]

    taken = [(await ann.take())["order_id"] for _ in range(3)]

    assert taken == [high, middle, low]


@pytest.mark.scenario("GC2", "hand-out-order")
async def test_among_equals_the_oldest_goes_out_first_whatever_its_type(home: House) -> None:
    ann = home.person("ann")
    filed = []
    for type_name in ("test.free", "test.echo", "test.chain"):
        filed.append(await ann.propose(type_name, {"message": "hi"}))
        home.clock.forward(1)

    taken = [(await ann.take())["order_id"] for _ in range(3)]

    assert taken == filed


@pytest.mark.scenario("GC2", "hand-out-order")
async def test_items_of_one_order_go_out_by_number(home: House) -> None:
    ann = home.person("ann")
    await ann.propose("test.batch", {"batches": 12})

    answer = await ann.ok("checkout", count=12)

    assert ids(answer) == [f"WO-1.{n}" for n in range(1, 13)]


@pytest.mark.scenario("hand-out-order")
async def test_an_item_given_back_is_the_oldest_again(home: House) -> None:
    ann = home.person("ann")
    first = await ann.propose()
    await ann.propose()
    await ann.ok("release", **held(await ann.take()))

    assert (await ann.take())["order_id"] == first


@pytest.mark.scenario("hand-out-order")
async def test_blocked_items_are_skipped_and_never_waited_on(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        ann, bob = home.person("ann"), home.person("bob")
        # given, by falling priority: one that waits for a time, one for an order, one that is at its type's limit
        await ann.propose(priority=90, not_before=iso(home.clock.now() + 60_000))
        needed = await ann.propose(priority=1)
        await ann.propose(priority=80, depends_on=[needed])
        await ann.propose("test.solo", {"batches": 2}, priority=70)
        await bob.take(type="test.solo")
        # and one that backs off
        await ann.propose(priority=60)
        await ann.ok("fail", **held(await ann.take()), reason="later")

        taken = await ann.take()

        assert taken["order_id"] == needed


@pytest.mark.scenario("GC3")
async def test_a_type_is_kept_to_although_another_has_a_higher_priority(home: House) -> None:
    ann = home.person("ann")
    await ann.propose(priority=100)
    wanted = await ann.propose("test.free", {}, priority=1)

    assert (await ann.take(type="test.free"))["order_id"] == wanted


@pytest.mark.scenario("GC3")
async def test_an_unknown_type_is_refused_with_the_nearest_one(home: House) -> None:
    refusal = await home.person("ann").refused("checkout", "unknown_type", type="test.eco")

    assert "test.echo" in refusal["details"]["nearest"]


@pytest.mark.scenario("GC6")
async def test_only_what_satisfies_every_filter_is_handed_out(home: House) -> None:
    ann = home.person("ann")
    low = await ann.propose(priority=10)
    await ann.propose("test.free", {}, priority=90)
    other = await ann.propose(priority=90)
    wanted = await ann.propose(priority=60)

    assert await reason(ann, type="test.echo", min_priority=50, order_id=low) == "no_match"
    assert await reason(ann, type="test.free", order_id=other) == "no_match"
    assert (await ann.take(type="test.echo", min_priority=50, order_id=wanted))["order_id"] == wanted


@pytest.mark.scenario("GC6")
async def test_an_item_asked_for_by_id_has_to_fit_the_other_filters_too(home: House) -> None:
    ann = home.person("ann")
    first = await ann.propose(priority=10)
    other = await ann.propose(priority=10)

    assert await reason(ann, item_id=f"{first}.1", min_priority=50) == "no_match"
    assert await reason(ann, item_id=f"{first}.1", type="test.free") == "no_match"
    await ann.refused("checkout", "not_found", item_id=f"{first}.1", order_id=other)
    assert (await ann.take(item_id=f"{first}.1", order_id=first, min_priority=10))["id"] == f"{first}.1"


@pytest.mark.scenario("GC7")
async def test_filters_that_nothing_fits_are_named_as_the_reason(home: House) -> None:
    ann = home.person("ann")
    await ann.propose(priority=10)

    answer = await ann.ok("checkout", min_priority=50)

    assert (answer["items"], answer["reason"]) == ([], "no_match")
    assert "filter" in answer["message"]


@pytest.mark.scenario("GC8")
async def test_without_any_order_there_is_nothing(home: House) -> None:
    assert await reason(home.person("ann")) == "empty"


@pytest.mark.scenario("GC12")
@pytest.mark.parametrize("least", [1.5, "high", True, [], {}, 101, -1, "9" * 5000])
async def test_a_least_priority_that_is_no_whole_number_to_100_is_refused(home: House, least: Any) -> None:
    refusal = await home.person("ann").refused("checkout", "invalid_request", min_priority=least)

    assert [finding["path"] for finding in refusal["details"]["findings"]] == ["/min_priority"]


@pytest.mark.scenario("GC14")
async def test_what_was_taken_from_the_whole_queue_can_be_handed_in(home: House) -> None:
    ann = home.person("ann")
    await ann.propose()

    answer = await ann.hand_in(await ann.take())

    assert answer["item"] == {"id": "WO-1.1", "state": "submitted"}


@pytest.mark.scenario("GC15")
async def test_an_order_and_an_item_may_be_asked_for_by_id(home: House) -> None:
    ann = home.person("ann")
    await ann.propose(priority=100)
    wanted = await ann.propose("test.batch", {"batches": 3})

    by_order, by_item = await ann.take(order_id=wanted), await ann.take(item_id=f"{wanted}.3")

    assert (by_order["id"], by_item["id"]) == (f"{wanted}.1", f"{wanted}.3")


@pytest.mark.scenario("GC16")
async def test_an_item_looks_the_same_however_it_was_asked_for(home: House) -> None:
    ann = home.person("ann")
    order_id = await ann.propose("test.batch", {"batches": 3})

    taken = [await ann.take(), await ann.take(order_id=order_id), await ann.take(item_id=f"{order_id}.3")]

    shapes = {(frozenset(item), frozenset(item["lease"])) for item in taken}
    assert len(shapes) == 1


# limits


@pytest.mark.scenario("GC10", "nothing-is-an-answer")
async def test_an_agent_at_its_limit_gets_no_more_and_others_do(tmp_path: Path) -> None:
    async with house(tmp_path, max_leases_per_agent=2) as home:
        ann, bob = home.person("ann"), home.person("bob")
        await ann.propose("test.batch", {"batches": 5})
        await ann.take()
        second = await ann.take()

        assert await reason(ann) == "agent_limit"

        assert (await bob.take())["id"] == "WO-1.3"
        await ann.ok("release", **held(second))
        assert (await ann.take())["id"] == second["id"]


@pytest.mark.scenario("GC10")
async def test_an_expired_lease_does_not_count_against_the_limit(tmp_path: Path) -> None:
    async with house(tmp_path, max_leases_per_agent=1) as home:
        ann = home.person("ann")
        await ann.propose("test.batch", {"batches": 2})
        await ann.take()

        home.clock.forward(601)

        assert (await ann.take())["id"] == "WO-1.1"


@pytest.mark.scenario("N15")
async def test_the_limit_holds_in_an_order_for_many_at_once_and_in_parallel(tmp_path: Path) -> None:
    async with house(tmp_path, max_leases_per_agent=3) as home:
        ann = home.person("ann")
        order_id = await ann.propose("test.batch", {"batches": 50})
        wanted = [{}, {"order_id": order_id}, {"count": 20}, {"order_id": order_id, "count": 2}] * 4

        answers = await asyncio.gather(*(ann.ok("checkout", **one) for one in wanted))

        assert sum(len(answer["items"]) for answer in answers) == 3
        assert {answer["reason"] for answer in answers if not answer["items"]} == {"agent_limit"}


@pytest.mark.scenario("N15")
async def test_the_limit_of_a_type_holds_in_parallel(home: House) -> None:
    people = [home.person(f"agent-{n}") for n in range(8)]
    await people[0].propose("test.solo", {"batches": 8})
    await people[0].propose("test.solo", {"batches": 8})

    answers = await asyncio.gather(*(someone.ok("checkout", count=5) for someone in people))

    assert sum(len(answer["items"]) for answer in answers) == 1
    assert {answer["reason"] for answer in answers if not answer["items"]} == {"type_limit"}


@pytest.mark.scenario("N13")
async def test_ten_agents_at_once_get_ten_different_items(home: House) -> None:
    people = [home.person(f"agent-{n}") for n in range(10)]
    await people[0].propose("test.batch", {"batches": 10})

    taken = await asyncio.gather(*(someone.take() for someone in people))

    assert len({item["id"] for item in taken}) == 10
    assert len({item["lease"]["token"] for item in taken}) == 10


# who is calling


@pytest.mark.scenario("N17")
async def test_a_caller_without_a_name_is_known_by_an_id_of_its_session(home: House) -> None:
    nameless = Person(home.app, local_caller(None))
    await nameless.propose("test.batch", {"batches": 2})

    first = await nameless.ok("checkout")
    second = await nameless.ok("checkout")

    assert first["agent"] == second["agent"] == nameless.caller.actor.session
    [item] = first["items"]
    assert item["lease"]["agent"] == first["agent"]
    await nameless.ok("heartbeat", **held(item))
    assert (await nameless.hand_in(item, {"count": 1}))["item"]["state"] == "submitted"


@pytest.mark.scenario("N17")
async def test_two_servers_of_one_person_are_two_sessions(tmp_path: Path) -> None:
    async with agent(tmp_path) as one, agent(tmp_path) as other:
        await one.ok("propose", type="test.batch", payload={"batches": 2})

        hers, his = await one.ok("checkout"), await other.ok("checkout")

    assert hers["agent"] != his["agent"]
    assert hers["items"][0]["id"] != his["items"][0]["id"]


# dependencies and times


@pytest.mark.scenario("dependencies")
async def test_an_item_waits_for_those_it_names(home: House) -> None:
    ann = home.person("ann")
    await ann.propose("test.chain", {})
    first = await ann.take()

    assert await reason(ann) == "blocked"

    await ann.hand_in(first, {})
    second = await ann.take()
    assert second["key"] == "second"
    assert await reason(ann) == "blocked"
    await ann.hand_in(second, {})
    assert (await ann.take())["key"] == "last"


@pytest.mark.scenario("dependencies")
async def test_an_item_asked_for_by_id_waits_all_the_same(home: House) -> None:
    ann = home.person("ann")
    await ann.propose("test.chain", {})

    assert await reason(ann, item_id="WO-1.2") == "blocked"
    assert (await ann.ok("get_item", item_id="WO-1.2"))["item"]["waiting_for"] == ["WO-1.1"]


@pytest.mark.scenario("dependencies")
async def test_an_order_waits_until_those_it_depends_on_are_completed(home: House) -> None:
    ann = home.person("ann")
    needed = [await ann.propose(), await ann.propose()]
    order_id = await ann.propose("test.batch", {"batches": 2}, depends_on=needed)
    for one in needed:
        await ann.hand_in(await ann.take(order_id=one))
    await ann.ok("approve", order_id=needed[0])

    assert await reason(ann, order_id=order_id) == "blocked"

    await ann.ok("approve", order_id=needed[1])
    assert ids(await ann.ok("checkout", count=5)) == [f"{order_id}.1", f"{order_id}.2"]


@pytest.mark.scenario("dependencies")
async def test_an_order_does_not_wait_for_one_that_is_completed_already(home: House) -> None:
    ann = home.person("ann")
    done = await ann.propose()
    await ann.hand_in(await ann.take())
    await ann.ok("approve", order_id=done)

    order_id = await ann.propose(depends_on=[done])

    assert (await ann.take())["order_id"] == order_id


@pytest.mark.scenario("dependencies")
@pytest.mark.parametrize("needed", [["WO-99"], ["WO-1", "WO-99"]])
async def test_an_order_cannot_depend_on_one_that_is_not_there(home: House, needed: list[str]) -> None:
    ann = home.person("ann")
    await ann.propose()

    for check_only in (True, False):
        refusal = await ann.refused(
            "propose", "not_found", type="test.free", payload={}, depends_on=needed, validate_only=check_only
        )
        assert "WO-99" in refusal["message"]

    assert (await ann.ok("list_orders"))["total"] == 1


@pytest.mark.scenario("dependencies")
async def test_an_order_cannot_depend_on_one_that_is_over(home: House) -> None:
    ann = home.person("ann")
    over = await ann.propose()
    await ann.ok("cancel", order_id=over)

    for check_only in (True, False):
        refusal = await ann.refused(
            "propose", "invalid_request", type="test.free", payload={}, depends_on=[over], validate_only=check_only
        )
        assert [finding["path"] for finding in refusal["details"]["findings"]] == ["/depends_on"]

    assert (await ann.ok("list_orders"))["total"] == 1


@pytest.mark.scenario("not-before")
async def test_an_order_is_not_handed_out_before_its_time(home: House) -> None:
    ann = home.person("ann")
    order_id = await ann.propose(not_before=iso(home.clock.now() + 3_600_000))

    for wanted in ({}, {"order_id": order_id}, {"item_id": f"{order_id}.1"}):
        answer = await ann.ok("checkout", **wanted)
        assert (answer["items"], answer["reason"]) == ([], "backing_off")
        assert answer["retry_after_seconds"] == 3600

    home.clock.forward(3599.999)
    assert await reason(ann) == "backing_off"
    home.clock.forward(0.001)
    assert (await ann.take())["order_id"] == order_id


@pytest.mark.scenario("not-before")
async def test_a_time_that_has_passed_holds_nothing_back(home: House) -> None:
    ann = home.person("ann")
    order_id = await ann.propose(not_before="2001-01-01T00:00:00+02:00")

    assert (await ann.take())["order_id"] == order_id


@pytest.mark.scenario("not-before", "dependencies")
async def test_a_time_and_a_dependency_both_have_to_be_met(home: House) -> None:
    ann = home.person("ann")
    needed = await ann.propose()
    order_id = await ann.propose(depends_on=[needed], not_before=iso(home.clock.now() + 60_000))
    await ann.hand_in(await ann.take())
    home.clock.forward(60)

    assert await reason(ann, order_id=order_id) == "blocked"

    await ann.ok("approve", order_id=needed)
    assert (await ann.take())["order_id"] == order_id


# nothing is an answer


async def _leased_by_another(home: House) -> dict[str, Any]:
    await home.person("bob").propose()
    await home.person("bob").take()
    return {}


async def _blocked(home: House) -> dict[str, Any]:
    needed = await home.person("bob").propose()
    return {"order_id": await home.person("bob").propose(depends_on=[needed])}


async def _backing_off(home: House) -> dict[str, Any]:
    bob = home.person("bob")
    await bob.propose()
    await bob.ok("fail", **held(await bob.take()), reason="later")
    return {}


async def _at_the_limit_of_its_type(home: House) -> dict[str, Any]:
    await home.person("bob").propose("test.solo", {"batches": 2})
    await home.person("bob").take()
    return {}


async def _of_another_type(home: House) -> dict[str, Any]:
    await home.person("bob").propose()
    return {"type": "test.free"}


async def _nowhere(home: House) -> dict[str, Any]:
    return {}


REASONS: dict[str, tuple[Callable[[House], Awaitable[dict[str, Any]]], float | None]] = {
    "empty": (_nowhere, None),
    "all_leased": (_leased_by_another, 600),
    "blocked": (_blocked, None),
    "backing_off": (_backing_off, 60),
    "type_limit": (_at_the_limit_of_its_type, 600),
    "no_match": (_of_another_type, None),
}


@pytest.mark.scenario("nothing-is-an-answer")
@pytest.mark.parametrize("expected", REASONS)
async def test_no_item_is_an_answer_with_a_reason_and_a_time(home: House, expected: str) -> None:
    bring, after = REASONS[expected]
    wanted = await bring(home)

    answer = await home.person("ann").ok("checkout", **wanted)

    assert (answer["items"], answer["reason"]) == ([], expected)
    assert answer["message"]
    assert answer["retry_after_seconds"] > 0
    assert after is None or answer["retry_after_seconds"] == after


@pytest.mark.scenario("nothing-is-an-answer")
async def test_asking_for_nothing_changes_and_writes_nothing(home: House) -> None:
    ann = home.person("ann")
    await _leased_by_another(home)
    before = await ann.events()

    await reason(ann, idempotency_key="k")

    assert await ann.events() == before


@pytest.mark.scenario("nothing-is-an-answer")
async def test_an_answer_without_items_does_not_use_its_key_up(home: House) -> None:
    ann = home.person("ann")
    await reason(ann, idempotency_key="k")
    await ann.propose()

    item = await ann.take(idempotency_key="k")

    again = await ann.ok("checkout", idempotency_key="k")
    assert (again["items"][0]["lease"]["token"], again["replayed"]) == (item["lease"]["token"], True)


@pytest.mark.scenario("nothing-is-an-answer")
async def test_a_wait_is_over_as_soon_as_something_is_there(home: House) -> None:
    ann, bob = home.person("ann"), home.person("bob")
    waiting = asyncio.create_task(ann.ok("checkout", wait_seconds=50))

    order_id = await bob.propose()

    async with asyncio.timeout(LIMIT):
        assert ids(await waiting) == [f"{order_id}.1"]


@pytest.mark.scenario("answers-stay-short")
async def test_whoever_holds_very_much_is_shown_a_page_of_it_and_how_much_is_left_out(home: House) -> None:
    ann = home.person("ann")
    for _ in range(50):
        await ann.propose()
    for _ in range(5):
        await ann.ok("checkout", count=10)

    mine = await ann.ok("my_work")

    assert (len(mine["leases"]), mine["left_out"]) == (40, 10)
    assert len(json.dumps(mine)) < 25_000
