"""Handing in a whole result: checked at once, kept as sent, repeated without harm, and never lost when it is late."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.harness import House, Person, Refusal, held, house

GOOD = {"message": "hi", "verified": True}
TTL = 600


async def item_of(someone: Person, item_id: str) -> dict[str, Any]:
    answer = await someone.ok("get_item", item_id=item_id)
    found: dict[str, Any] = answer["item"]
    return found


def found(refusal: dict[str, Any]) -> list[tuple[str, str]]:
    return [(finding["code"], finding["path"]) for finding in refusal["details"]["findings"]]


# accepted


@pytest.mark.scenario("S1")
async def test_a_good_result_is_accepted_and_kept_as_sent(home: House) -> None:
    a = home.person("A")
    order = await a.propose()
    item = await a.take()
    sent = {**GOOD, "more": {"ü": [1, 2.5, None, True]}}

    answer = await a.ok("submit", **held(item), result=sent)

    assert answer["item"] == {"id": item["id"], "state": "submitted"}
    assert answer["order"] == {"id": order, "state": "submitted"}
    assert (await item_of(a, item["id"]))["result"] == sent


@pytest.mark.scenario("S7")
async def test_a_type_without_rules_takes_any_object(home: House) -> None:
    a = home.person("A")
    await a.propose("test.free", {})

    answer = await a.hand_in(await a.take(), {"anything": [{"goes": 1}], "": None})

    assert answer["item"]["state"] == "submitted"


@pytest.mark.scenario("S10")
async def test_the_last_open_item_makes_the_order_submitted_with_an_event_by_the_system(home: House) -> None:
    a = home.person("A")
    order = await a.propose("test.batch", {"batches": 2})
    await a.hand_in(await a.take(), {"count": 1})

    answer = await a.hand_in(await a.take(), {"count": 2})

    assert answer["order"]["state"] == "submitted"
    last = (await a.events(order))[-1]
    assert (last["event"], last["actor_type"]) == ("order.submitted", "system")


@pytest.mark.scenario("S11")
async def test_with_an_item_still_open_the_order_is_not_submitted(home: House) -> None:
    a = home.person("A")
    order = await a.propose("test.batch", {"batches": 2})

    answer = await a.hand_in(await a.take(), {"count": 1})

    assert answer["order"] == {"id": order, "state": "in_progress"}
    assert "order.submitted" not in await a.event_names(order)


@pytest.mark.scenario("S12")
async def test_evidence_and_notes_are_on_the_event_and_on_the_item(home: House) -> None:
    a = home.person("A")
    order = await a.propose()
    item = await a.take()
    proof = {"evidence": [{"url": "https://example.org"}], "notes": "asked twice"}

    await a.hand_in(item, **proof)

    [event] = [event for event in await a.events(order) if event["event"] == "item.submitted"]
    assert {name: event["data"][name] for name in proof} == proof
    now = await item_of(a, item["id"])
    assert {name: now[name] for name in proof} == proof


async def test_what_is_only_to_be_checked_is_not_stored(home: House) -> None:
    a = home.person("A")
    order = await a.propose()
    item = await a.take()
    trail = await a.events(order)

    answer = await a.ok("submit", **held(item), result=GOOD, validate_only=True)

    assert answer["valid"]
    assert "result" not in await item_of(a, item["id"])
    assert await a.events(order) == trail


async def test_a_check_alone_finds_the_same_faults_as_a_submission_and_records_none(home: House) -> None:
    a = home.person("A")
    order = await a.propose()
    item = await a.take()
    trail = await a.events(order)

    checked = await a.refused("submit", "invalid_result", **held(item), result={}, validate_only=True)

    assert await a.events(order) == trail
    submitted = await a.refused("submit", "invalid_result", **held(item), result={})
    assert checked["details"] == submitted["details"]


# refused


@pytest.mark.scenario("S3")
async def test_a_result_that_fits_the_schema_may_be_refused_by_the_type_itself(home: House) -> None:
    a = home.person("A")
    await a.propose()

    refusal = await a.refused(
        "submit", "invalid_result", **held(await a.take()), result={"message": "hi", "verified": False}
    )

    assert refusal["details"]["findings"] == [{"code": "unverified", "path": "/verified", "message": "verify it first"}]


@pytest.mark.scenario("S8")
async def test_the_words_of_the_type_are_in_the_findings(home: House) -> None:
    a = home.person("A")
    await a.propose()

    refusal = await a.refused("submit", "invalid_result", **held(await a.take()), result={**GOOD, "message": 5})

    assert refusal["details"]["findings"] == [{"code": "type", "path": "/message", "message": "The echo must be text."}]


async def test_a_refused_result_is_recorded_and_the_lease_is_still_there_to_mend_it(home: House) -> None:
    a = home.person("A")
    order = await a.propose()
    item = await a.take()

    refusal = await a.refused("submit", "invalid_result", **held(item), result={})

    assert found(refusal) == [("required", "/message"), ("required", "/verified")]
    last = (await a.events(order))[-1]
    assert (last["event"], last["data"]["findings"]) == ("item.submission_refused", refusal["details"]["findings"])
    assert (await a.hand_in(item))["item"]["state"] == "submitted"


@pytest.mark.scenario("S4")
async def test_nobody_submits_what_another_one_holds(home: House) -> None:
    a, b = home.person("A"), home.person("B")
    await a.propose("test.batch", {"batches": 2})
    mine, theirs = await a.take(), await b.take()
    trail = await a.events()

    refusal = await b.refused(
        "submit", "lease_lost", item_id=mine["id"], lease_token=theirs["lease"]["token"], result={"count": 1}
    )

    assert refusal["details"]["reason"] == "held_by_other"
    assert await a.events() == trail
    assert (await a.hand_in(mine, {"count": 1}))["item"]["state"] == "submitted"


@pytest.mark.scenario("S13")
async def test_without_the_role_a_valid_lease_is_of_no_use(home: House) -> None:
    worker, reader = home.person("A", "worker", "requester"), home.person("A", "reviewer")
    await worker.propose()
    item = await worker.take()
    trail = await worker.events()

    refusal = await reader.refused("submit", "forbidden", **held(item), result=GOOD)

    assert refusal["details"]["role"] == "worker"
    assert await worker.events() == trail


async def test_evidence_has_the_size_limit_of_a_result(tmp_path: Path) -> None:
    async with house(tmp_path, max_payload_bytes=200) as home:
        a = home.person("A")
        await a.propose()
        item = await a.take()

        refusal = await a.refused("submit", "too_large", **held(item), result=GOOD, evidence={"log": "x" * 200})

        assert refusal["details"]["limit_bytes"] == 200


# late


@pytest.mark.scenario("S5", "N12", "soft-expiry")
async def test_a_result_after_the_expiry_is_accepted_while_nobody_else_has_the_item(home: House) -> None:
    a = home.person("A")
    order = await a.propose()
    item = await a.take()
    home.clock.forward(TTL)

    answer = await a.hand_in(item)

    assert answer["order"]["state"] == "submitted"
    assert [name for name in await a.event_names(order) if name.startswith("item.")] == [
        "item.leased",
        "item.lease_expired",
        "item.reclaimed",
        "item.submitted",
    ]


async def given_late(home: House, result: dict[str, Any] | None = None) -> tuple[Person, dict[str, Any], Person]:
    """A lost the item to B and sent a result all the same: A, what A was given, B."""
    a, b = home.person("A"), home.person("B")
    await a.propose()
    mine = await a.take()
    home.clock.forward(TTL)
    await b.take(agent="second")
    sent = {"message": "late", "verified": True} if result is None else result
    refusal = await a.refused("submit", "lease_lost", **held(mine), result=sent, notes="sorry")
    assert refusal["details"]["late_result_kept"]
    assert refusal["details"]["reason"] == "held_by_other"
    return a, mine, b


@pytest.mark.scenario("S5", "late-result-kept")
async def test_a_result_under_a_lost_lease_is_refused_and_shown_to_the_new_holder(home: House) -> None:
    _, mine, b = await given_late(home)

    seen = await item_of(b, mine["id"])

    [late] = seen["late_results"]
    assert (late["result"]["message"], late["notes"], late["by"]) == ("late", "sorry", "A")
    assert (late["fence"], "result" in seen, seen["state"]) == (mine["lease"]["fence"], False, "leased")


@pytest.mark.scenario("late-result-kept")
async def test_whoever_is_handed_the_item_next_sees_the_late_result_at_once(home: House) -> None:
    _, mine, b = await given_late(home)
    [lease] = (await b.ok("my_work"))["leases"]
    await b.ok("release", item_id=mine["id"], lease_token=lease["lease"]["token"])

    item = await home.person("C").take()

    assert [late["result"]["message"] for late in item["late_results"]] == ["late"]


@pytest.mark.scenario("late-result-kept")
async def test_the_reviewer_sees_the_late_result_beside_the_accepted_one(home: House) -> None:
    _, mine, b = await given_late(home)
    [lease] = (await b.ok("my_work"))["leases"]
    await b.ok("submit", item_id=mine["id"], lease_token=lease["lease"]["token"], result=GOOD)

    [item] = (await b.ok("review", order_id=mine["order_id"]))["items"]

    assert item["result"] == GOOD
    assert [late["result"]["message"] for late in item["late_results"]] == ["late"]


@pytest.mark.scenario("late-result-kept")
async def test_a_late_result_that_breaks_the_rules_is_kept_as_well(home: House) -> None:
    _, mine, b = await given_late(home, {"half": "a thought"})

    [late] = (await item_of(b, mine["id"]))["late_results"]

    assert late["result"] == {"half": "a thought"}


@pytest.mark.scenario("late-result-kept")
@pytest.mark.parametrize("lost_by", ["expiry", "release"])
async def test_the_same_late_result_twice_is_kept_once(home: House, lost_by: str) -> None:
    a = home.person("A")
    order = await a.propose()
    item = await a.take()
    if lost_by == "release":
        await a.ok("release", **held(item))
    else:
        home.clock.forward(TTL)
        await home.person("B").take()

    for _ in range(2):
        refusal = await a.refused("submit", "lease_lost", **held(item), result=GOOD)
        assert refusal["details"]["late_result_kept"]

    assert len((await item_of(a, item["id"]))["late_results"]) == 1
    assert (await a.event_names(order)).count("item.late_result") == 1


@pytest.mark.scenario("late-result-kept")
async def test_a_late_result_has_the_size_limit_of_any_result(tmp_path: Path) -> None:
    async with house(tmp_path, max_payload_bytes=100) as home:
        a = home.person("A")
        await a.propose()
        item = await a.take()
        home.clock.forward(TTL)
        await home.person("B").take()

        await a.refused("submit", "too_large", **held(item), result={"log": "x" * 100})

        assert (await item_of(a, item["id"]))["late_results"] == []


@pytest.mark.scenario("late-result-kept")
async def test_another_result_after_the_submission_changes_nothing_and_is_kept_as_late(home: House) -> None:
    a = home.person("A")
    await a.propose()
    item = await a.take()
    await a.hand_in(item)

    refusal = await a.refused("submit", "lease_lost", **held(item), result={"message": "second", "verified": True})

    assert (refusal["details"]["reason"], refusal["details"]["late_result_kept"]) == ("ended", True)
    now = await item_of(a, item["id"])
    assert now["result"] == GOOD
    assert [late["result"]["message"] for late in now["late_results"]] == ["second"]


@pytest.mark.scenario("late-result-kept")
async def test_a_late_result_that_meets_a_retry_of_its_item_is_never_accepted_unchecked(tmp_path: Path) -> None:
    async with house(tmp_path, max_attempts=1) as home:
        a = home.person("A")

        async def called_after(reads: int, tool: str, arguments: dict[str, Any]) -> None:
            for _ in range(reads):
                await a.ok("order_types")
                await a.ok("list_orders", limit=1)
            with suppress(Refusal):
                await a.ok(tool, **arguments)

        for round in range(20):
            order = await a.propose()
            item = await a.take(order_id=order)
            home.clock.forward(TTL)
            await home.app.sweeper.sweep()
            broken = {**held(item), "result": {"checked": "by nobody"}}

            await asyncio.gather(
                called_after(round % 5, "retry", {"order_id": order}),
                *(called_after(reads, "submit", broken) for reads in range(8)),
            )

            assert (await item_of(a, item["id"]))["state"] != "submitted"


async def test_who_hands_in_under_somebody_elses_lease_counts_as_one_who_worked_on_it(home: House) -> None:
    a, b = home.person("A"), home.person("B")
    order = await home.person("boss").propose("test.four_eyes")
    lent = await a.take()
    await b.hand_in(lent)

    refusal = await b.refused("approve", "self_approval", order_id=order)

    assert refusal["details"]["excluded"] == ["A", "B", "boss"]


# repeated


@pytest.mark.scenario("natural-repeat")
async def test_an_exact_repeat_of_a_submission_answers_as_the_first_did(home: House) -> None:
    a = home.person("A")
    order = await a.propose()
    item = await a.take()
    first = await a.hand_in(item, evidence={"url": "x"})
    trail = await a.events(order)

    again = await a.hand_in(item, evidence={"url": "x"})

    assert again == {**first, "replayed": True}
    assert await a.events(order) == trail
    assert (await item_of(a, item["id"]))["late_results"] == []


@pytest.mark.scenario("natural-repeat")
@pytest.mark.parametrize("until", ["completed", "rejected", "cancelled"])
async def test_a_repeat_after_the_order_is_over_answers_as_the_first_did(home: House, until: str) -> None:
    a = home.person("A")
    order = await a.propose()
    item = await a.take()
    first = await a.hand_in(item)
    if until == "completed":
        await a.ok("approve", order_id=order)
    elif until == "rejected":
        await a.ok("reject", order_id=order, errors=[{"message": "no"}])
    else:
        await a.ok("cancel", order_id=order)
    trail = await a.events(order)

    again = await a.hand_in(item)

    assert again == {**first, "replayed": True}
    assert (await a.state(order), await a.events(order)) == (until, trail)


@pytest.mark.scenario("natural-repeat")
async def test_a_repeat_under_the_next_lease_is_a_new_submission(home: House) -> None:
    a = home.person("A")
    order = await a.propose()
    await a.hand_in(await a.take())
    await a.ok("reject", order_id=order, errors=[{"message": "louder"}], rework=True)

    refusal = await a.refused("submit", "invalid_result", **held(await a.take()), result=GOOD)

    assert found(refusal) == [("unchanged_since_rejection", "")]


# somebody else's late result


async def overtaken(home: House) -> tuple[Person, dict[str, Any], str]:
    """B holds what A held before; A's result came late. B, the item, and the key of the late result."""
    a, b = home.person("A"), home.person("B")
    await a.propose()
    former = await a.take()
    home.clock.forward(601)
    await b.take()
    result = {"message": "by A", "verified": True}
    await a.refused("submit", "lease_lost", **held(former), result=result, notes="found it", evidence=["log"])
    seen = (await b.ok("get_item", item_id=former["id"]))["item"]
    [lease] = (await b.ok("my_work"))["leases"]
    return b, lease, seen["late_results"][0]["key"]


@pytest.mark.scenario("late-result-kept")
async def test_the_present_holder_adopts_a_late_result_by_its_key(home: House) -> None:
    b, item, key = await overtaken(home)

    answer = await b.ok("submit", **held(item), late_result=key)

    assert answer["item"]["state"] == "submitted"
    seen = (await b.ok("get_item", item_id=item["id"]))["item"]
    assert (seen["result"]["message"], seen["notes"], seen["evidence"]) == ("by A", "found it", ["log"])


@pytest.mark.scenario("late-result-kept")
async def test_a_late_result_that_is_not_there_is_told_those_that_are(home: House) -> None:
    b, item, key = await overtaken(home)

    error = await b.refused("submit", "not_found", **held(item), late_result="1-late-0")

    assert error["details"]["nearest"] == [key]


async def test_a_submission_has_a_result_or_names_a_late_one(home: House) -> None:
    b, item, key = await overtaken(home)

    for given in ({}, {"late_result": key, "result": {}}):
        error = await b.refused("submit", "invalid_request", **held(item), **given)
        assert [finding["path"] for finding in error["details"]["findings"]] == ["/result"]


@pytest.mark.scenario("fence-rises")
async def test_a_late_result_is_adopted_under_the_live_lease_only(home: House) -> None:
    b, item, key = await overtaken(home)
    home.clock.forward(601)
    await home.person("C").take()

    await b.refused("submit", "lease_lost", **held(item), late_result=key)

    assert len((await b.ok("get_item", item_id=item["id"]))["item"]["late_results"]) == 1
