"""Why not: every reason, what by whom would change it, and the earliest time."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.harness import House, Person, held, house
from workdocket.domain.model import iso

TOKENS, CHARACTERS_A_TOKEN = 400, 3


async def why(someone: Person, **about: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await someone.ok("explain", **about))["reasons"]
    return found


async def codes(someone: Person, **about: str) -> list[str]:
    return [reason["code"] for reason in await why(someone, **about)]


# an item


@pytest.mark.scenario("explain")
async def test_a_ready_item_says_how_to_get_it(home: House) -> None:
    ann = home.person("ann")
    await ann.propose()

    [reason] = await why(ann, item_id="WO-1.1")

    assert (reason["code"], reason["action"], reason["by"]) == ("available", "checkout(item_id='WO-1.1')", "worker")


@pytest.mark.scenario("explain", "skills")
async def test_an_item_that_asks_for_skills_says_which(home: House) -> None:
    ann = home.person("ann")
    await ann.propose("test.skilled")

    [reason] = await why(ann, item_id="WO-1.1")

    assert (reason["code"], reason["action"]) == ("skills", "checkout(item_id='WO-1.1', skills=['sql'])")


@pytest.mark.scenario("explain")
async def test_a_leased_item_says_by_whom_and_until_when(home: House) -> None:
    ann = home.person("ann")
    await ann.propose()
    await ann.take(agent="Annie")

    [reason] = await why(ann, item_id="WO-1.1")

    assert (reason["code"], reason["by"]) == ("leased", "Annie")
    assert reason["earliest_at"] == iso(home.clock.now() + 600_000)


@pytest.mark.scenario("explain")
async def test_an_item_whose_lease_ran_out_is_there_for_the_taking_unless_it_was_the_last(tmp_path: Path) -> None:
    async with house(tmp_path, max_attempts=2) as home:
        ann = home.person("ann")
        await ann.propose()
        seen = []
        for _ in range(2):
            await ann.take()
            home.clock.forward(601)
            seen.append((await why(ann, item_id="WO-1.1"))[0])
        await ann.ok("checkout")

        assert [reason["code"] for reason in seen] == ["available", "leased"]
        assert await codes(ann, item_id="WO-1.1") == ["failed"]


@pytest.mark.scenario("explain")
async def test_an_item_that_is_not_due_says_from_when_on_it_is(home: House) -> None:
    ann = home.person("ann")
    await ann.propose(not_before="2030-01-01T00:00:00Z")

    [reason] = await why(ann, item_id="WO-1.1")

    assert (reason["code"], reason["earliest_at"]) == ("not_yet", "2030-01-01T00:00:00.000Z")


@pytest.mark.scenario("explain", "N16")
async def test_an_item_that_backs_off_says_after_which_attempt(home: House) -> None:
    ann = home.person("ann")
    await ann.propose()
    await ann.ok("fail", **held(await ann.take()), reason="no")

    [reason] = await why(ann, item_id="WO-1.1")

    assert (reason["code"], reason["message"]) == ("backing_off", "attempt 1 of 3 failed")
    assert reason["earliest_at"] == iso(home.clock.now() + 60_000)


@pytest.mark.scenario("explain", "rework-memory")
async def test_an_item_that_is_kept_says_for_whom(home: House) -> None:
    ann = home.person("ann")
    order_id = await ann.propose()
    await ann.hand_in(await ann.take())
    await ann.ok("reject", order_id=order_id, rework=True, errors=[{"message": "again"}])

    [reason] = await why(home.person("bob"), item_id="WO-1.1")

    assert (reason["code"], reason["by"]) == ("reserved", "ann")


@pytest.mark.scenario("explain", "dependencies")
async def test_a_blocked_item_names_each_thing_it_waits_for(home: House) -> None:
    ann = home.person("ann")
    await ann.propose("test.chain", {})

    reasons = await why(ann, item_id="WO-1.3")

    assert [reason["code"] for reason in reasons] == ["blocked", "blocked"]
    assert [reason["action"] for reason in reasons] == ["see explain('WO-1.1')", "see explain('WO-1.2')"]


async def _failed(ann: Person, order_id: str) -> None:
    await ann.ok("fail", **held(await ann.take(order_id=order_id)), reason="no", retryable=False)


async def _rejected(ann: Person, order_id: str) -> None:
    await ann.ok("reject", order_id=order_id, errors=[{"message": "no"}])


async def _cancelled(ann: Person, order_id: str) -> None:
    await ann.ok("cancel", order_id=order_id)


@pytest.mark.scenario("explain", "dependencies")
@pytest.mark.parametrize(
    ("end", "action", "by"),
    [
        (_failed, "retry(order_id='WO-1')", "reviewer"),
        (_rejected, "workdocket orders requeue WO-1", "admin"),
        (_cancelled, "cancel what waits", "requester"),
    ],
    ids=["failed", "rejected", "cancelled"],
)
async def test_a_dead_dependency_says_whether_there_is_a_way_back(home: House, end: Any, action: str, by: str) -> None:
    # given
    ann = home.person("ann")
    first = await ann.propose()
    await ann.propose(depends_on=[first])

    # when
    await end(ann, first)

    # then
    [reason] = await why(ann, item_id="WO-2.1")
    assert (reason["code"], reason["by"]) == ("dead_dependency", by)
    assert action in reason["action"]


@pytest.mark.scenario("explain", "dependencies")
async def test_a_failed_item_that_another_one_needs_is_to_be_retried(home: House) -> None:
    ann = home.person("ann")
    await ann.propose("test.chain", {})
    await ann.ok("fail", **held(await ann.take()), reason="no", retryable=False)

    [reason] = await why(ann, item_id="WO-1.2")
    assert (reason["code"], reason["action"]) == ("dead_dependency", "retry(item_id='WO-1.1'), or cancel what waits")

    await ann.ok("retry", item_id="WO-1.1")
    assert await codes(ann, item_id="WO-1.2") == ["blocked"]


@pytest.mark.scenario("explain", "key-limit")
async def test_every_limit_that_is_in_the_way_is_named(tmp_path: Path) -> None:
    async with house(tmp_path, max_leases_per_agent=2, max_leases_per_type=2) as home:
        ann = home.person("ann")
        await ann.propose("test.tenant", {"tenant": "a", "items": 3})
        await ann.ok("checkout", count=2)

        assert await codes(ann, item_id="WO-1.3") == ["type_limit", "key_limit", "agent_limit"]
        assert await codes(home.person("bob"), item_id="WO-1.3") == ["type_limit", "key_limit"]


@pytest.mark.scenario("explain")
async def test_a_submitted_item_waits_for_the_others_or_for_review(home: House) -> None:
    ann = home.person("ann")
    await ann.propose("test.batch", {"batches": 2})
    await ann.hand_in(await ann.take(), {"count": 1})
    assert await codes(ann, item_id="WO-1.1") == ["others_open"]

    await ann.hand_in(await ann.take(), {"count": 1})

    assert await codes(ann, item_id="WO-1.1") == ["awaiting_review"]


@pytest.mark.scenario("explain")
async def test_a_failed_item_says_why_and_how_to_go_on(home: House) -> None:
    ann = home.person("ann")
    order_id = await ann.propose()
    await _failed(ann, order_id)

    [reason] = await why(ann, item_id="WO-1.1")

    assert (reason["code"], reason["message"], reason["by"]) == ("failed", "no", "reviewer")
    assert "retry(item_id='WO-1.1')" in reason["action"]


@pytest.mark.scenario("explain")
async def test_what_was_refused_or_is_over_says_so(home: House) -> None:
    ann = home.person("ann")
    await _rejected(ann, await ann.propose())
    await _cancelled(ann, await ann.propose())

    assert await codes(ann, item_id="WO-1.1") == ["rejected"]
    assert await codes(ann, item_id="WO-2.1") == ["final"]
    assert await codes(ann, order_id="WO-2") == ["final"]


@pytest.mark.scenario("explain")
async def test_an_item_whose_apply_failed_says_what_its_order_says(home: House, tmp_path: Path) -> None:
    ann = home.person("ann")
    order_id = await ann.propose("test.raising", {"raise_in": "apply"})
    await ann.hand_in(await ann.take(), {})
    await ann.refused("approve", "apply_failed", order_id=order_id)

    assert await codes(ann, item_id="WO-1.1") == ["apply_due"]
    assert await codes(ann, order_id=order_id) == ["apply_due"]


# an order


@pytest.mark.scenario("explain")
async def test_an_order_says_the_same_thing_of_many_items_once(home: House) -> None:
    ann = home.person("ann")
    order_id = await ann.propose("test.batch", {"batches": 30})
    await ann.ok("checkout", count=2)

    reasons = {reason["code"]: reason for reason in await why(ann, order_id=order_id)}

    assert set(reasons) == {"leased", "available"}
    assert reasons["leased"]["items"] == ["WO-1.1", "WO-1.2"]
    assert (reasons["available"]["items"], reasons["available"]["count"]) == (["WO-1.3", "WO-1.4"], 28)


@pytest.mark.scenario("explain", "deadline-told")
async def test_a_late_order_says_so(home: House) -> None:
    ann = home.person("ann")
    order_id = await ann.propose(deadline=iso(home.clock.now() + 1000))
    home.clock.forward(2)
    await home.app.sweeper.sweep()

    assert await codes(ann, order_id=order_id) == ["deadline_missed", "available"]
    await ann.hand_in(await ann.take())
    assert await codes(ann, item_id="WO-1.1") == ["awaiting_review"]


@pytest.mark.scenario("explain")
async def test_a_submitted_order_says_what_stands_against_approval(home: House) -> None:
    ann = home.person("ann")
    order_id = await ann.propose("test.batch", {"batches": 1})
    await ann.hand_in(await ann.take(), {"count": 0})

    reasons = await why(ann, order_id=order_id)

    assert [reason["code"] for reason in reasons] == ["not_ready", "awaiting_review"]
    assert reasons[0]["message"] == "WO-1.1 processed nothing"


# the queue


@pytest.mark.scenario("explain")
async def test_an_empty_queue_asks_for_work(home: House) -> None:
    assert await codes(home.person("ann")) == ["empty"]


@pytest.mark.scenario("explain")
async def test_the_queue_has_a_reason_of_every_kind_with_examples(tmp_path: Path) -> None:
    async with house(tmp_path, max_leases_per_agent=1) as home:
        # given
        ann, bob = home.person("ann"), home.person("bob")
        await _failed(ann, await ann.propose())
        await _rejected(ann, await ann.propose())
        handed = await ann.propose()
        await ann.hand_in(await ann.take(order_id=handed))
        await ann.propose(not_before="2030-01-01T00:00:00Z")
        await ann.propose(depends_on=["WO-1", handed])
        held_by_ann = await ann.propose("test.solo", {"batches": 2})
        await ann.take(order_id=held_by_ann)
        await ann.propose("test.skilled")
        await ann.propose("test.free", {})

        # when
        answer = await bob.ok("explain")
        mine = await codes(ann)

        # then
        found = {reason["code"]: reason for reason in answer["reasons"]}
        assert set(found) == {
            "failed", "rejected", "awaiting_review", "not_yet", "dead_dependency", "blocked", "type_limit", "leased",
            "skills", "available",
        }  # fmt: skip
        assert answer["totals"] == {"ready": 3, "delayed": 1, "blocked": 1, "leased": 1}
        assert found["failed"]["orders"] == ["WO-1"]
        assert mine[0] == "agent_limit"
        assert {*mine} >= {"type_limit", "leased"}


@pytest.mark.scenario("explain")
async def test_items_of_a_type_that_is_not_registered_here_are_explained(home: House, tmp_path: Path) -> None:
    await home.person("ann").propose()

    async with house(tmp_path, clock=home.clock, ids=home.ids, order_types=[]) as elsewhere:
        assert await codes(elsewhere.person("bob")) == ["unknown_type"]
        assert await codes(elsewhere.person("bob"), item_id="WO-1.1") == ["unknown_type"]


@pytest.mark.scenario("explain")
async def test_an_answer_stays_short_however_much_there_is_to_say(tmp_path: Path) -> None:
    async with house(tmp_path, max_leases_per_agent=1, max_leases_per_key=1) as home:
        # given: many orders in many states, with long ids and words
        ann = home.person("ann")
        for n in range(6):
            long = f"{n} " + "because " * 200
            await ann.ok("fail", **held(await ann.take(order_id=await ann.propose())), reason=long, retryable=False)
            await ann.ok("fail", **held(await ann.take(order_id=await ann.propose())), reason=long)
            await _rejected(ann, await ann.propose())
            await ann.hand_in(await ann.take(order_id=await ann.propose()))
            await ann.propose(not_before=f"203{n}-01-01T00:00:00Z")
            await ann.propose(depends_on=["WO-1", "WO-2"])
            await ann.propose("test.skilled", priority=n)
            await ann.propose("test.solo", {"batches": 3})
            specs = [{"input": i, "skills": [f"skill {i}"], "concurrency_key": f"k{i}"} for i in range(5)]
            await ann.propose("test.planned", {"items": specs}, priority=n)
        await ann.take(type="test.solo")

        # when
        answers = [
            await ann.ok("explain", **about)
            for about in ({}, {"order_id": "WO-1"}, {"item_id": "WO-1.1"}, {"order_id": "WO-9"}, {"item_id": "WO-6.1"})
        ]

        # then
        sizes = [len(json.dumps(answer, separators=(",", ":"))) for answer in answers]
        assert max(sizes) <= TOKENS * CHARACTERS_A_TOKEN
        assert all(re.fullmatch("[a-z_]+", reason["code"]) for answer in answers for reason in answer["reasons"])
