"""Leases: kept by any call, over without a cron, taken back softly, and never good for an earlier fence."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.harness import LIMIT, HandClock, House, Person, agent, held, house
from workdocket.app import SystemClock, SystemIds
from workdocket.domain.model import iso

TTL = 600
WORKER_CALLS: Mapping[str, dict[str, Any]] = {
    "heartbeat": {},
    "submit": {"result": {"by": "me"}},
    "submit_part": {"part_key": "one", "payload": {"by": "me"}},
    "finalize": {},
    "release": {},
    "fail": {"reason": "no luck"},
}
"""Every tool that takes a lease token, with what else it takes."""


async def item_of(someone: Person, item_id: str) -> dict[str, Any]:
    answer = await someone.ok("get_item", item_id=item_id)
    found: dict[str, Any] = answer["item"]
    return found


async def taken_with_a_part(worker: Person) -> dict[str, Any]:
    """An item in hand that could be finalized: type without rules, one part there."""
    await worker.propose("test.free", {})
    item = await worker.take()
    await worker.ok("submit_part", **held(item), part_key="first", payload={"n": 1})
    return item


async def handed_on(home: House) -> tuple[Person, dict[str, Any], Person, dict[str, Any]]:
    """A's lease ran out and B has the item now: A, what A was given, B, what B was given."""
    a, b = home.person("A"), home.person("B")
    mine = await taken_with_a_part(a)
    home.clock.forward(TTL)
    theirs = await b.take()
    assert theirs["id"] == mine["id"]
    return a, mine, b, theirs


def without_the_clock(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name not in ("lease_expires_at", "progress")}


# keeping it


@pytest.mark.scenario("H1")
async def test_a_heartbeat_moves_the_end_of_the_lease_to_a_full_ttl_from_now(home: House) -> None:
    a = home.person("A")
    await a.propose()
    item = await a.take()

    home.clock.forward(250)
    lease = (await a.ok("heartbeat", **held(item)))["lease"]

    assert item["lease"]["expires_at"] < lease["expires_at"] == iso(home.clock.now() + TTL * 1000)
    assert (lease["expires_in_seconds"], lease["fence"]) == (TTL, item["lease"]["fence"])


@pytest.mark.scenario("H4")
async def test_a_heartbeat_moves_the_last_heartbeat_forward(home: House) -> None:
    a = home.person("A")
    await a.propose()
    item = await a.take()
    await a.ok("heartbeat", **held(item))
    [before] = (await item_of(a, item["id"]))["attempts"]

    home.clock.forward(30)
    await a.ok("heartbeat", **held(item), progress=0.5, note="half way")

    [after] = (await item_of(a, item["id"]))["attempts"]
    assert before["last_heartbeat_at"] < after["last_heartbeat_at"] == iso(home.clock.now())
    assert (after["progress"], after["note"]) == (0.5, "half way")


@pytest.mark.scenario("any-call-renews")
@pytest.mark.parametrize(
    ("tool", "more"),
    [
        ("heartbeat", {}),
        ("submit_part", WORKER_CALLS["submit_part"]),
        ("submit", {"result": {}, "validate_only": True}),
    ],
    ids=["heartbeat", "submit_part", "submit to validate only"],
)
async def test_any_call_that_leaves_the_lease_in_place_renews_it_for_the_full_ttl(
    home: House, tool: str, more: dict[str, Any]
) -> None:
    a = home.person("A")
    await a.propose("test.free", {})
    item = await a.take()

    home.clock.forward(TTL - 1)
    await a.ok(tool, **held(item), **more)

    assert (await item_of(a, item["id"]))["lease_expires_at"] == iso(home.clock.now() + TTL * 1000)
    home.clock.forward(TTL - 1)
    assert await home.app.sweeper.sweep() == 0


@pytest.mark.scenario("any-call-renews")
async def test_a_refused_submission_does_not_renew_the_lease(home: House) -> None:
    a = home.person("A")
    await a.propose()
    item = await a.take()

    home.clock.forward(TTL - 1)
    await a.refused("submit", "invalid_result", **held(item), result={})

    assert (await item_of(a, item["id"]))["lease_expires_at"] == item["lease"]["expires_at"]


@pytest.mark.scenario("heartbeats-are-no-events", "H8")
async def test_the_first_heartbeat_starts_the_item_and_the_others_write_no_event(home: House) -> None:
    a = home.person("A")
    order = await a.propose()
    item = await a.take(agent="scout")
    await a.ok("heartbeat", **held(item))
    trail = await a.events(order)
    [started] = [event for event in trail if event["event"] == "item.started"]

    for _ in range(5):
        home.clock.forward(60)
        await a.ok("heartbeat", **held(item), progress=0.5, note="still at it")

    assert (started["actor_id"], started["agent"]) == ("A", "scout")
    assert await a.events(order) == trail


# giving it back


@pytest.mark.scenario("H5")
async def test_a_released_item_has_no_holder_and_goes_to_the_next_one(home: House) -> None:
    a, b = home.person("A"), home.person("B")
    await a.propose()
    item = await a.take()

    released = (await a.ok("release", **held(item), reason="lunch"))["item"]

    assert released["state"] == "queued"
    assert not {"leased_by", "lease_expires_at"} & set(released)
    again = await b.take()
    assert again["id"] == item["id"]
    assert again["lease"]["token"] != item["lease"]["token"]


@pytest.mark.scenario("H8")
async def test_a_release_leaves_an_event_by_its_agent_with_the_reason(home: House) -> None:
    a = home.person("A")
    order = await a.propose()
    item = await a.take(agent="scout")

    await a.ok("release", **held(item), reason="lunch")

    [released] = [event for event in await a.events(order) if event["event"] == "item.released"]
    assert (released["actor_type"], released["actor_id"], released["agent"]) == ("agent", "A", "scout")
    assert (released["message"], released["from_state"], released["to_state"]) == ("lunch", "leased", "queued")


async def test_an_item_released_until_later_is_not_handed_out_before(home: House) -> None:
    a = home.person("A")
    await a.propose()
    item = await a.take()

    await a.ok("release", **held(item), not_before=iso(home.clock.now() + 60_000))

    answer = await a.ok("checkout")
    assert (answer["items"], answer["reason"], answer["retry_after_seconds"]) == ([], "backing_off", 60)
    home.clock.forward(60)
    assert (await a.take())["id"] == item["id"]


# the end of it


@pytest.mark.scenario("R3")
async def test_a_lease_that_has_not_run_out_is_not_reclaimed(home: House) -> None:
    a, b = home.person("A"), home.person("B")
    await a.propose()
    item = await a.take()

    home.clock.forward(TTL - 0.001)

    assert await home.app.sweeper.sweep() == 0
    assert (await b.ok("checkout"))["reason"] == "all_leased"
    await a.hand_in(item)


@pytest.mark.scenario("R4")
async def test_completed_work_is_not_reclaimed_however_old_its_lease_is(home: House) -> None:
    a = home.person("A")
    order = await a.propose()
    await a.hand_in(await a.take())
    await a.ok("approve", order_id=order)
    trail = await a.events(order)

    home.clock.forward(365 * 86_400)

    assert await home.app.sweeper.sweep() == 0
    assert await a.state(order) == "completed"
    assert await a.events(order) == trail


@pytest.mark.scenario("review-never-expires")
async def test_work_that_waits_for_review_is_never_reclaimed(home: House) -> None:
    a = home.person("A")
    order = await a.propose()
    await a.hand_in(await a.take())

    home.clock.forward(365 * 86_400)

    assert await home.app.sweeper.sweep() == 0
    assert (await a.ok("checkout"))["items"] == []
    assert (await a.ok("approve", order_id=order))["applied"]


@pytest.mark.scenario("R5")
async def test_the_sweeper_ends_what_ran_out_and_counts_the_attempts(home: House) -> None:
    a = home.person("A")
    orders = [await a.propose(), await a.propose()]
    await a.ok("checkout", count=2)

    home.clock.forward(TTL)
    ended = await home.app.sweeper.sweep()

    assert ended == 2
    for order in orders:
        [expired] = [event for event in await a.events(order) if event["event"] == "item.lease_expired"]
        assert (expired["data"]["attempts"], expired["actor_type"]) == (1, "system")


@pytest.mark.scenario("expiry-needs-no-cron")
async def test_an_item_whose_lease_ran_out_goes_to_the_next_checkout_at_that_moment(home: House) -> None:
    a, b = home.person("A"), home.person("B")
    order = await a.propose()
    first = await a.take()

    home.clock.forward(TTL)
    second = await b.take()

    assert (first["id"], first["attempt"]) == (second["id"], 1)
    assert second["attempt"] == 2
    names = [name for name in await a.event_names(order) if name.startswith("item.")]
    assert names == ["item.leased", "item.lease_expired", "item.leased"]


async def test_a_running_server_ends_leases_that_nobody_asks_for(tmp_path: Path) -> None:
    async with house(tmp_path, sweep=True, sweep_every_seconds=0.02) as home:
        a = home.person("A")
        order = await a.propose()
        await a.take()
        version = (await a.ok("get_order", order_id=order))["version"]

        home.clock.forward(TTL)

        news = await a.ok("get_order", order_id=order, since_version=version, wait_seconds=LIMIT)
        assert news["order"]["state"] == "queued"


# taken back


@pytest.mark.scenario("soft-expiry", "N12", "H3")
@pytest.mark.parametrize("swept", [False, True], ids=["not noticed yet", "already swept"])
@pytest.mark.parametrize("tool", WORKER_CALLS)
async def test_any_call_takes_back_an_expired_lease_that_nobody_took(home: House, tool: str, swept: bool) -> None:
    a = home.person("A")
    item = await taken_with_a_part(a)
    home.clock.forward(TTL)
    if swept:
        await home.app.sweeper.sweep()

    await a.ok(tool, **held(item), **WORKER_CALLS[tool])

    names = await a.event_names(item["order_id"])
    assert names.index("item.lease_expired") < names.index("item.reclaimed")
    now = await item_of(a, item["id"])
    assert [attempt["fence"] for attempt in now["attempts"]] == [item["lease"]["fence"]]
    assert now["attempts_made"] == (2 if tool == "fail" else 1)


@pytest.mark.scenario("soft-expiry")
async def test_a_lease_taken_back_runs_a_full_ttl_and_its_attempt_stays_counted(home: House) -> None:
    a, b = home.person("A"), home.person("B")
    await a.propose()
    item = await a.take()
    home.clock.forward(2 * TTL)

    lease = (await a.ok("heartbeat", **held(item)))["lease"]

    assert (lease["fence"], lease["expires_in_seconds"]) == (item["lease"]["fence"], TTL)
    home.clock.forward(TTL)
    assert (await b.take())["attempt"] == 3


@pytest.mark.scenario("soft-expiry", "attempts-counted")
async def test_an_expired_lease_of_the_last_attempt_is_not_taken_back_but_its_result_is_kept(tmp_path: Path) -> None:
    async with house(tmp_path, max_attempts=1) as home:
        a = home.person("A")
        order = await a.propose()
        item = await a.take()
        home.clock.forward(TTL)

        refusal = await a.refused("submit", "lease_lost", **held(item), result={"message": "hi", "verified": True})

        assert (refusal["details"]["reason"], refusal["details"]["checkout_possible"]) == ("expired", False)
        now = await item_of(a, item["id"])
        assert (now["state"], now["error"]["code"]) == ("failed", "lease_expired")
        assert [late["result"]["message"] for late in now["late_results"]] == ["hi"]
        assert await a.state(order) == "failed"


# fences


@pytest.mark.scenario("fence-rises")
async def test_the_fence_rises_with_every_lease_of_an_item_however_the_one_before_ended(home: House) -> None:
    a = home.person("A")
    order = await a.propose()
    fences = []

    async def take() -> dict[str, Any]:
        item = await a.take()
        fences.append(item["lease"]["fence"])
        return item

    await a.ok("release", **held(await take()))
    await a.ok("fail", **held(await take()), reason="no luck", retry_after_seconds=0)
    await take()
    home.clock.forward(TTL)
    await a.hand_in(await take())
    await a.ok("reject", order_id=order, errors=[{"message": "again"}], rework=True)
    await take()

    assert fences == sorted(set(fences))
    assert len(fences) == 5


@pytest.mark.scenario("fence-rises", "S4", "T10", "N5")
@pytest.mark.parametrize("tool", WORKER_CALLS)
async def test_a_token_of_an_earlier_fence_writes_nothing_with_any_tool(home: House, tool: str) -> None:
    a, mine, b, theirs = await handed_on(home)
    before = await item_of(b, mine["id"])
    trail = await a.events(mine["order_id"])

    refusal = await a.refused(tool, "lease_lost", **held(mine), **WORKER_CALLS[tool])

    assert (refusal["details"]["reason"], refusal["details"]["checkout_possible"]) == ("held_by_other", False)
    after = await item_of(b, mine["id"])
    new = [event["event"] for event in (await a.events(mine["order_id"]))[len(trail) :]]
    if tool == "submit":
        assert [late["result"] for late in after.pop("late_results")] == [{"by": "me"}]
        assert before.pop("late_results") == []
        assert new == ["item.late_result"]
    else:
        assert new == []
    assert after == before
    await b.ok("heartbeat", **held(theirs))


@pytest.mark.scenario("fence-rises")
@pytest.mark.parametrize("tool", WORKER_CALLS)
@pytest.mark.parametrize("ending", ["release", "submit"])
async def test_a_token_whose_lease_was_ended_by_its_holder_is_over_for_every_tool(
    home: House, ending: str, tool: str
) -> None:
    a = home.person("A")
    item = await taken_with_a_part(a)
    await a.ok(ending, **held(item), **({"result": {"n": 1}} if ending == "submit" else {}))
    before = without_the_clock(await item_of(a, item["id"]))

    refusal = await a.refused(tool, "lease_lost", **held(item), **WORKER_CALLS[tool])

    assert refusal["details"]["reason"] == "ended"
    assert refusal["details"]["checkout_possible"] is (ending == "release")
    after = without_the_clock(await item_of(a, item["id"]))
    kept = [late["result"] for late in after.pop("late_results")]
    assert kept == ([{"by": "me"}] if tool == "submit" else [])
    before.pop("late_results")
    assert after == before


@pytest.mark.scenario("fence-rises")
@pytest.mark.parametrize("tool", WORKER_CALLS)
async def test_a_token_is_good_for_its_own_item_only(home: House, tool: str) -> None:
    a = home.person("A")
    one, other = await taken_with_a_part(a), await taken_with_a_part(a)
    trail = await a.events()

    crossed = {"item_id": one["id"], "lease_token": other["lease"]["token"]}
    await a.refused(tool, "lease_lost", **crossed, **WORKER_CALLS[tool])

    assert await a.events() == trail
    assert (await item_of(a, one["id"]))["late_results"] == []


@pytest.mark.scenario("fence-rises")
@pytest.mark.parametrize("tool", WORKER_CALLS)
async def test_a_made_up_token_gets_nowhere_and_leaves_nothing(home: House, tool: str) -> None:
    a, b = home.person("A"), home.person("B")
    item = await taken_with_a_part(a)
    trail = await a.events()

    await b.refused(tool, "lease_lost", item_id=item["id"], lease_token="guess", **WORKER_CALLS[tool])

    assert await a.events() == trail
    assert (await item_of(a, item["id"]))["late_results"] == []


@pytest.mark.scenario("fence-rises")
async def test_a_holder_of_an_earlier_fence_is_told_when_the_later_lease_ran_out_too(home: House) -> None:
    a, mine, _, _ = await handed_on(home)
    home.clock.forward(TTL)

    refusal = await a.refused("heartbeat", "lease_lost", **held(mine))

    assert refusal["details"]["checkout_possible"] is True
    assert (await a.take())["id"] == mine["id"]


# attempts and backoff


@pytest.mark.scenario("attempts-counted", "H7")
async def test_a_release_counts_no_attempt(home: House) -> None:
    a = home.person("A")
    await a.propose()
    for _ in range(5):
        item = await a.take()
        released = (await a.ok("release", **held(item)))["item"]
        assert (item["attempt"], released["attempts"], released["state"]) == (1, 0, "queued")


@pytest.mark.scenario("attempts-counted")
async def test_expiry_and_failure_count_an_attempt_each_and_the_last_one_fails_item_and_order(home: House) -> None:
    a = home.person("A")
    order = await a.propose()
    await a.take()
    home.clock.forward(TTL)
    second = await a.take()
    await a.ok("fail", **held(second), reason="no luck", retry_after_seconds=0)
    third = await a.take()

    failed = (await a.ok("fail", **held(third), reason="out of ideas"))["item"]

    assert [second["attempt"], third["attempt"], third["max_attempts"]] == [2, 3, 3]
    assert (failed["state"], failed["attempts"], failed["error"]["message"]) == ("failed", 3, "out of ideas")
    assert await a.state(order) == "failed"
    names = await a.event_names(order)
    assert [name for name in names if name in ("item.lease_expired", "item.attempt_failed", "item.failed")] == [
        "item.lease_expired",
        "item.attempt_failed",
        "item.failed",
    ]


@pytest.mark.scenario("attempts-counted")
async def test_a_failure_for_good_fails_the_item_at_its_first_attempt(home: House) -> None:
    a = home.person("A")
    order = await a.propose()

    failed = (await a.ok("fail", **held(await a.take()), reason="impossible", retryable=False))["item"]

    assert (failed["state"], failed["attempts"]) == ("failed", 1)
    assert await a.state(order) == "failed"


@pytest.mark.scenario("N16")
async def test_a_failed_attempt_is_not_handed_out_before_its_backoff_and_the_answer_says_when(tmp_path: Path) -> None:
    async with house(tmp_path, backoff_seconds=30, backoff_jitter_seconds=0) as home:
        a = home.person("A")
        await a.propose()
        item = await a.take()
        failed = (await a.ok("fail", **held(item), reason="no luck"))["item"]

        home.clock.forward(29)

        answer = await a.ok("checkout")
        assert (answer["items"], answer["reason"], answer["retry_after_seconds"]) == ([], "backing_off", 1)
        assert failed["available_at"] == iso(home.clock.now() + 1000)
        home.clock.forward(1)
        assert (await a.take())["id"] == item["id"]


@pytest.mark.scenario("R9")
async def test_the_backoff_doubles_with_every_attempt(tmp_path: Path) -> None:
    async with house(tmp_path, backoff_seconds=10, backoff_jitter_seconds=0, max_attempts=4) as home:
        a = home.person("A")
        await a.propose()
        waits = []
        for n in range(3):
            await a.ok("fail", **held(await a.take()), reason=f"no luck, {n}")
            waits.append((await a.ok("checkout"))["retry_after_seconds"])
            home.clock.forward(waits[-1])

    assert waits == [10, 20, 40]


@pytest.mark.scenario("R9")
async def test_the_backoff_has_a_longest_pause(tmp_path: Path) -> None:
    limits = {"backoff_seconds": 10, "backoff_jitter_seconds": 20, "backoff_cap_seconds": 15, "max_attempts": 4}
    async with house(tmp_path, **limits) as home:
        home.ids.fixed = 1.0
        a = home.person("A")
        await a.propose()
        waits = []
        for n in range(3):
            await a.ok("fail", **held(await a.take()), reason=f"no luck, {n}")
            waits.append((await a.ok("checkout"))["retry_after_seconds"])
            home.clock.forward(waits[-1])

    assert waits == [15, 15, 15]


@pytest.mark.scenario("R10")
async def test_jitter_lengthens_a_backoff_by_chance_within_its_bound(tmp_path: Path) -> None:
    async with house(tmp_path, backoff_seconds=10, backoff_jitter_seconds=5) as home:
        a = home.person("A")
        waits = []
        for _ in range(20):
            await a.propose()
            home.ids.fixed = SystemIds().jitter()
            await a.ok("fail", **held(await a.take()), reason="no luck")
            waits.append((await a.ok("checkout"))["retry_after_seconds"])
            home.clock.forward(waits[-1])
            await a.hand_in(await a.take())

    assert all(10 <= wait <= 15 for wait in waits)
    assert len(set(waits)) > 1


@pytest.mark.scenario("R11")
async def test_a_retried_item_is_queued_without_its_error_and_has_all_its_attempts_again(home: House) -> None:
    a = home.person("A")
    order = await a.propose()
    failed = await a.take()
    await a.ok("fail", **held(failed), reason="impossible", retryable=False)

    await a.ok("retry", item_id=failed["id"])

    now = await item_of(a, failed["id"])
    assert (now["state"], now["attempts_made"], "error" in now) == ("queued", 0, False)
    assert await a.state(order) == "queued"
    assert (await a.take())["attempt"] == 1


# the order is cancelled


@pytest.mark.scenario("N41")
async def test_items_of_a_cancelled_order_are_not_handed_out(home: House) -> None:
    a = home.person("A")
    order = await a.propose()

    await a.ok("cancel", order_id=order)

    answer = await a.ok("checkout")
    assert (answer["items"], answer["reason"]) == ([], "empty")


@pytest.mark.scenario("N41")
async def test_a_holder_learns_of_the_cancellation_at_the_next_heartbeat(home: House) -> None:
    a, boss = home.person("A"), home.person("boss")
    order = await boss.propose()
    item = await a.take()
    await boss.ok("cancel", order_id=order, reason="changed our mind")

    told = await a.ok("heartbeat", **held(item))

    assert (told["cancelled"], told["order_state"]) == (True, "cancelled")


@pytest.mark.scenario("N41")
@pytest.mark.parametrize("tool", [tool for tool in WORKER_CALLS if tool != "heartbeat"])
async def test_nothing_is_accepted_for_a_cancelled_order(home: House, tool: str) -> None:
    a = home.person("A")
    item = await taken_with_a_part(a)
    await a.ok("cancel", order_id=item["order_id"])

    refusal = await a.refused(tool, "lease_lost", **held(item), **WORKER_CALLS[tool])

    assert (refusal["details"]["reason"], refusal["details"]["state"]) == ("ended", "cancelled")
    assert await a.state(item["order_id"]) == "cancelled"


# waiting for work


async def still_waiting(task: asyncio.Task[Any]) -> bool:
    """It has had time to look and has not come back."""
    done, _ = await asyncio.wait({task}, timeout=0.2)
    return not done


@pytest.mark.scenario("checkout-waits")
async def test_a_checkout_waits_until_something_is_filed(home: House) -> None:
    a, boss = home.person("A"), home.person("boss")
    waiting = asyncio.create_task(a.ok("checkout", wait_seconds=50))
    assert await still_waiting(waiting)

    order = await boss.propose()

    async with asyncio.timeout(LIMIT):
        [item] = (await waiting)["items"]
    assert item["order_id"] == order


@pytest.mark.scenario("checkout-waits")
async def test_a_checkout_waits_until_somebody_releases_an_item(home: House) -> None:
    a, b = home.person("A"), home.person("B")
    await b.propose()
    item = await b.take()
    waiting = asyncio.create_task(a.ok("checkout", wait_seconds=50))
    assert await still_waiting(waiting)

    await b.ok("release", **held(item))

    async with asyncio.timeout(LIMIT):
        [same] = (await waiting)["items"]
    assert same["id"] == item["id"]


class Quick(HandClock):
    """A clock that runs by itself: waiting is about real time."""

    def now(self) -> int:
        return SystemClock().now()


@pytest.mark.scenario("checkout-waits", "expiry-needs-no-cron")
async def test_a_waiting_checkout_gets_an_item_when_its_lease_runs_out(tmp_path: Path) -> None:
    async with house(tmp_path, clock=Quick(), lease_ttl_seconds=0.3) as home:
        a, b = home.person("A"), home.person("B")
        await b.propose()
        item = await b.take()

        async with asyncio.timeout(LIMIT):
            answer = await a.ok("checkout", wait_seconds=50)

        assert [(one["id"], one["attempt"]) for one in answer["items"]] == [(item["id"], 2)]


@pytest.mark.scenario("checkout-waits")
async def test_a_checkout_that_waited_in_vain_says_why(home: House) -> None:
    async with asyncio.timeout(LIMIT):
        answer = await home.person("A").ok("checkout", wait_seconds=0.1)

    assert (answer["items"], answer["reason"]) == ([], "empty")


@pytest.mark.scenario("checkout-waits")
async def test_waiting_agents_leave_the_database_alone_while_nothing_happens(home: House) -> None:
    before = home.app.desk.store.tick

    await asyncio.gather(*(home.person(f"A{n}").ok("checkout", wait_seconds=0.3) for n in range(5)))

    assert home.app.desk.store.tick == before


@pytest.mark.scenario("checkout-waits")
async def test_every_waiting_agent_gets_one_of_as_many_items(home: House) -> None:
    boss = home.person("boss")
    waiting = [asyncio.create_task(home.person(f"A{n}").ok("checkout", wait_seconds=50)) for n in range(10)]
    assert await still_waiting(waiting[0])

    await boss.propose("test.batch", {"batches": 10})

    async with asyncio.timeout(LIMIT):
        answers = await asyncio.gather(*waiting)
    assert len({item["id"] for answer in answers for item in answer["items"]}) == 10


@pytest.mark.slow
@pytest.mark.scenario("checkout-waits")
async def test_a_checkout_waits_until_another_process_files_something(tmp_path: Path) -> None:
    async with agent(tmp_path, "--actor", "A") as a, agent(tmp_path, "--actor", "boss") as boss:
        waiting = asyncio.create_task(a.ok("checkout", wait_seconds=50))
        assert await still_waiting(waiting)

        order = await boss.ok("propose", type="test.echo", payload={"message": "hi"})

        async with asyncio.timeout(LIMIT):
            [item] = (await waiting)["items"]
        assert item["order_id"] == order["order"]["id"]


# limits and expired leases


async def one_expired_and_one_held(home: House, a: Person) -> tuple[dict[str, Any], dict[str, Any]]:
    """As many leases as the limit of one allows, and one more that has run out."""
    for _ in range(2):
        await a.propose("test.free", {})
    first = await a.take()
    home.clock.forward(601)
    return first, await a.take(order_id="WO-2")


@pytest.mark.scenario("N15", "soft-expiry")
@pytest.mark.parametrize("tool", ["heartbeat", "submit_part"])
async def test_an_expired_lease_is_not_taken_back_over_a_limit(tmp_path: Path, tool: str) -> None:
    async with house(tmp_path, max_leases_per_agent=1) as home:
        a = home.person("A")
        first, second = await one_expired_and_one_held(home, a)
        more = {"part_key": "one", "payload": {}} if tool == "submit_part" else {}

        error = await a.refused(tool, "limit_exceeded", **held(first), **more)

        assert error["details"]["limit"] == "max_leases_per_agent"
        assert (await a.ok("get_item", item_id=second["id"]))["item"]["state"] == "leased"


@pytest.mark.scenario("N15", "soft-expiry")
async def test_a_late_result_is_accepted_whatever_else_its_holder_holds(tmp_path: Path) -> None:
    async with house(tmp_path, max_leases_per_agent=1) as home:
        a = home.person("A")
        first, _ = await one_expired_and_one_held(home, a)

        answer = await a.hand_in(first, {"done": True})

        assert answer["item"]["state"] == "submitted"


@pytest.mark.scenario("N15", "limits-hold")
async def test_a_refused_result_does_not_take_its_lease_back_over_a_limit(tmp_path: Path) -> None:
    async with house(tmp_path, max_leases_per_agent=1) as home:
        a = home.person("A")
        await a.propose("test.batch", {"batches": 2})
        first = await a.take()
        home.clock.forward(601)
        second = await a.take(item_id="WO-1.2")

        await a.refused("submit", "invalid_result", **held(first), result={"count": "many"})

        assert (await a.ok("checkout"))["reason"] == "agent_limit"
        assert [lease["id"] for lease in (await a.ok("my_work"))["leases"]] == [second["id"]]
        assert (await a.ok("submit", **held(first), result={"count": 1}))["item"]["state"] == "submitted"


@pytest.mark.scenario("N15", "soft-expiry")
async def test_a_refused_result_takes_no_lease_back_over_a_limit(tmp_path: Path) -> None:
    async with house(tmp_path, max_leases_per_agent=1) as home:
        # given
        a = home.person("A")
        await a.propose("test.echo")
        await a.propose("test.echo")
        first = await a.take()
        home.clock.forward(601)
        second = await a.take(item_id="WO-2.1")

        # when
        await a.refused("submit", "invalid_result", **held(first), result={"message": 1})

        # then: the findings are on record, and a good result is still taken
        assert [row["id"] for row in (await a.ok("my_work"))["leases"]] == [second["id"]]
        assert "item.submission_refused" in await a.event_names("WO-1")
        assert (await a.hand_in(first))["item"]["state"] == "submitted"


@pytest.mark.scenario("N15", "soft-expiry")
async def test_an_expired_lease_is_not_taken_back_over_the_limit_of_its_type(home: House) -> None:
    a, b = home.person("A"), home.person("B")
    await a.propose("test.solo", {"batches": 2})
    first = await a.take()
    home.clock.forward(601)
    await b.take(item_id="WO-1.2")

    error = await a.refused("heartbeat", "limit_exceeded", **held(first))

    assert error["details"]["limit"] == "max_leases_per_type"


@pytest.mark.scenario("checkout-waits")
async def test_one_of_those_who_wait_gets_what_is_released(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        a = home.person("A")
        await a.propose("test.free", {})
        item = await a.take()
        waiting = [asyncio.create_task(home.person(f"W{n}").ok("checkout", wait_seconds=5)) for n in range(20)]
        await a.ok("heartbeat", **held(item))
        written = len(await a.events())

        await a.ok("release", **held(item))

        async with asyncio.timeout(LIMIT):
            first, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        [got] = [task.result()["items"] for task in first]
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert got[0]["id"] == item["id"]
        assert [event["event"] for event in (await a.events())[written:]][:3] == [
            "item.released", "order.queued", "item.leased",
        ]  # fmt: skip


@pytest.mark.scenario("checkout-waits", "rework-memory")
async def test_the_former_holder_who_waits_is_woken_by_the_rework(home: House) -> None:
    a, reviewer = home.person("A"), home.person("reviewer")
    order_id = await a.propose()
    await a.hand_in(await a.take())
    waiting = asyncio.create_task(a.ok("checkout", wait_seconds=50))
    await asyncio.sleep(0)

    await reviewer.ok("reject", order_id=order_id, errors=[{"message": "again"}], rework=True)

    async with asyncio.timeout(LIMIT):
        [item] = (await waiting)["items"]
    assert item["feedback"][0]["message"] == "again"
