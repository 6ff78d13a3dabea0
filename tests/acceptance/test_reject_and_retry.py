"""Sending work back, refusing it for good, and trying again what failed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import story, until
from tests.support.harness import House, Person, held
from workdocket.domain.errors import WorkError
from workdocket.domain.model import iso
from workdocket.service.desk import Call

WHY = [{"code": "tone", "message": "too loud", "path": "/message"}]
BETTER = {"message": "better", "verified": True}
FIRST_CLAIM = 60
"""Seconds for which a returned item is kept for who had it."""


async def handed_in(home: House, type: str = "test.echo", payload: Any = None, result: Any = None) -> str:
    """An order of which every item was handed in by ``worker``."""
    order_id = await home.person("requester").propose(type, payload)
    worker = home.person("worker")
    for _ in (await worker.ok("get_order", order_id=order_id))["items"]:
        await worker.hand_in(await worker.take(order_id=order_id), result)
    return order_id


async def sent_back(home: House, order_id: str, errors: list[dict[str, Any]] = WHY) -> None:
    await home.person("reviewer").ok("reject", order_id=order_id, errors=errors, rework=True)


# what a rejection must say


@pytest.mark.scenario("J2")
@pytest.mark.parametrize(
    "errors, path",
    [
        (None, "/errors"),
        ([], "/errors"),
        ("too loud", "/errors"),
        (["too loud"], "/errors/0"),
        ([{"code": "tone"}], "/errors/0/message"),
        ([{"code": "tone", "message": ""}], "/errors/0/message"),
        ([{"message": "too loud", "severity": 3}], "/errors/0/severity"),
    ],
)
async def test_a_rejection_without_a_proper_reason_is_refused(home: House, errors: Any, path: str) -> None:
    order_id = await handed_in(home)
    arguments = {} if errors is None else {"errors": errors}

    error = await home.person("reviewer").refused("reject", "invalid_request", order_id=order_id, **arguments)

    assert [finding["path"] for finding in error["details"]["findings"]] == [path]
    assert await home.person("reader").state(order_id) == "submitted"


@pytest.mark.scenario("J2")
async def test_a_reason_needs_a_message_and_nothing_else(home: House) -> None:
    order_id = await handed_in(home)

    await home.person("reviewer").ok("reject", order_id=order_id, errors=[{"message": "too loud"}])

    shown = await home.person("reader").ok("get_order", order_id=order_id)
    assert shown["decision"]["errors"] == shown["findings"] == [{"code": "rejected", "message": "too loud"}]


async def test_a_reason_about_an_item_of_another_order_is_refused(home: House) -> None:
    one, other = await handed_in(home), await handed_in(home)

    await home.person("reviewer").refused(
        "reject", "not_found", order_id=one, errors=[{"message": "no", "item_id": f"{other}.1"}], rework=True
    )

    assert await home.person("reader").state(one) == "submitted"


# for good


@pytest.mark.scenario("J3")
async def test_a_queued_order_can_be_refused_for_good(home: House) -> None:
    order_id = await home.person("requester").propose()

    answer = await home.person("reviewer").ok("reject", order_id=order_id, errors=WHY, comment="not now")

    assert answer["order"]["state"] == "rejected"
    shown = await home.person("reader").ok("get_order", order_id=order_id)
    assert [item["state"] for item in shown["items"]] == ["rejected"]
    assert (shown["decision"]["verdict"], shown["decision"]["comment"]) == ("reject", "not now")
    assert shown["order"]["error"]["message"] == "too loud"


@pytest.mark.scenario("N3")
async def test_items_of_a_refused_order_are_not_handed_out_any_more(home: House) -> None:
    order_id = await home.person("requester").propose("test.batch", {"batches": 2})
    worker = home.person("worker")
    await worker.hand_in(await worker.take(), {"count": 1})

    await home.person("reviewer").ok("reject", order_id=order_id, errors=WHY)

    for wanted in ({}, {"order_id": order_id}, {"item_id": f"{order_id}.2"}):
        assert (await worker.ok("checkout", **wanted))["items"] == []


@pytest.mark.scenario("N3")
async def test_who_works_on_a_refused_order_is_told_so_and_the_result_is_kept(home: House) -> None:
    # given
    order_id = await home.person("requester").propose()
    worker = home.person("worker")
    item = await worker.take()
    await home.person("reviewer").ok("reject", order_id=order_id, errors=WHY)

    # when
    beat = await worker.ok("heartbeat", **held(item))
    await worker.refused("submit", "lease_lost", **held(item), result=BETTER)

    # then
    assert (beat["cancelled"], beat["order_state"]) == (True, "rejected")
    kept = (await worker.ok("get_item", item_id=item["id"]))["item"]["late_results"]
    assert [one["result"] for one in kept] == [BETTER]


# rework


@pytest.mark.scenario("N2", "rework-memory")
async def test_a_rework_shows_reasons_and_former_result_and_ends_in_an_approval(home: House) -> None:
    # given
    order_id = await handed_in(home)
    worker, reviewer = home.person("worker"), home.person("reviewer")

    # when
    answer = await reviewer.ok("reject", order_id=order_id, errors=WHY, rework=True, comment="nearly")
    again = await worker.take()

    # then
    assert (answer["order"]["state"], answer["order"]["items"]) == ("queued", {"queued": 1})
    assert again["feedback"] == [{"at": iso(home.clock.now()), "by": "reviewer", **WHY[0]}]
    assert again["former_result"] == {"message": "hi", "verified": True}
    assert again["attempt"] == 1  # work that was handed in is no failed attempt
    await worker.hand_in(again, BETTER)
    assert (await reviewer.ok("approve", order_id=order_id))["diff"]["after"] == {again["id"]: "better"}


@pytest.mark.scenario("N2")
async def test_only_the_named_items_go_back(home: House) -> None:
    order_id = await handed_in(home, "test.batch", {"batches": 3}, {"count": 1})

    await sent_back(home, order_id, [{"message": "count again", "item_id": f"{order_id}.2"}])

    shown = await home.person("reader").ok("get_order", order_id=order_id)
    assert [item["state"] for item in shown["items"]] == ["submitted", "queued", "submitted"]
    assert shown["order"]["state"] == "in_progress"


@pytest.mark.scenario("N2")
async def test_each_item_gets_the_reasons_that_are_about_it_and_those_about_all(home: House) -> None:
    order_id = await handed_in(home, "test.batch", {"batches": 2}, {"count": 1})
    one, two = f"{order_id}.1", f"{order_id}.2"

    await sent_back(
        home, order_id, [{"message": "both"}, {"message": "a", "item_id": one}, {"message": "b", "item_id": two}]
    )

    items = [await home.person("worker").take(item_id=item_id) for item_id in (one, two)]
    assert [[row["message"] for row in item["feedback"]] for item in items] == [["both", "a"], ["both", "b"]]


@pytest.mark.scenario("rework-memory")
async def test_the_reasons_of_every_round_are_kept(home: House) -> None:
    order_id = await handed_in(home)
    worker = home.person("worker")
    await sent_back(home, order_id)
    await worker.hand_in(await worker.take(), BETTER)

    await sent_back(home, order_id, [{"message": "too quiet"}])

    again = await worker.take()
    assert [row["message"] for row in again["feedback"]] == ["too loud", "too quiet"]
    assert again["former_result"] == BETTER


@pytest.mark.scenario("rework-memory")
async def test_the_former_holder_has_first_claim_for_a_while(home: House) -> None:
    # given
    order_id = await handed_in(home)
    await sent_back(home, order_id)

    # when: another one asks at once, and again when the time is over
    early = await home.person("other").ok("checkout")
    home.clock.forward(FIRST_CLAIM)
    late = await home.person("other").ok("checkout")

    # then
    assert (early["items"], early["reason"], early["retry_after_seconds"]) == ([], "backing_off", FIRST_CLAIM)
    assert [item["id"] for item in late["items"]] == [f"{order_id}.1"]


@pytest.mark.scenario("rework-memory")
async def test_the_former_holder_gets_it_before_anything_else(home: House) -> None:
    order_id = await handed_in(home)
    await home.person("requester").propose(priority=100)
    await sent_back(home, order_id)

    worker = home.person("worker")
    returned = (await worker.ok("my_work"))["returned"]
    item = await worker.take()

    assert [one["id"] for one in returned] == [item["id"]] == [f"{order_id}.1"]


@pytest.mark.scenario("rework-memory")
@pytest.mark.parametrize("wanted", [{"order_id": "WO-3"}, {"item_id": "WO-3.1"}, {"type": "test.free"}], ids=str)
async def test_the_former_holder_of_many_gets_the_one_it_asks_for(home: House, wanted: dict[str, str]) -> None:
    worker = home.person("worker")
    orders = [await worker.propose(), await worker.propose(), await worker.propose("test.free", {})]
    for item in (await worker.ok("checkout", count=3))["items"]:
        await worker.hand_in(item)
    for order_id in orders:
        await sent_back(home, order_id)

    assert (await worker.take(**wanted))["id"] == "WO-3.1"


@pytest.mark.scenario("rework-memory")
async def test_another_holder_sees_reasons_and_former_result_as_well(home: House) -> None:
    order_id = await handed_in(home)
    await sent_back(home, order_id)
    home.clock.forward(FIRST_CLAIM)

    item = await home.person("other").take()

    assert [row["message"] for row in item["feedback"]] == ["too loud"]
    assert item["former_result"] == {"message": "hi", "verified": True}


@pytest.mark.scenario("rework-memory")
async def test_the_same_result_again_is_refused_and_another_is_not(home: House) -> None:
    # given
    order_id = await handed_in(home)
    await sent_back(home, order_id)
    worker = home.person("worker")
    item = await worker.take()

    # when: the same, its keys in another order
    same = {"verified": True, "message": "hi"}
    error = await worker.refused("submit", "invalid_result", **held(item), result=same)

    # then
    assert [finding["code"] for finding in error["details"]["findings"]] == ["unchanged_since_rejection"]
    await worker.hand_in(item, BETTER)


@pytest.mark.scenario("rework-memory")
async def test_the_same_parts_again_are_refused_and_a_new_one_is_not(home: House) -> None:
    # given
    worker = home.person("worker")
    order_id = await worker.propose("test.partial", {})
    item = await worker.take()
    for key in ("identity", "contacts"):
        await worker.ok("submit_part", **held(item), part_key=key, payload={"name": "Ada"})
    await worker.ok("finalize", **held(item))
    await sent_back(home, order_id)
    again = await worker.take()

    # when
    error = await worker.refused("finalize", "invalid_result", **held(again))
    await worker.ok("submit_part", **held(again), part_key="identity", payload={"name": "Grace"})
    answer = await worker.ok("finalize", **held(again))

    # then
    assert [finding["code"] for finding in error["details"]["findings"]] == ["unchanged_since_rejection"]
    assert answer["item"]["state"] == "submitted"


async def test_an_item_that_needs_a_returned_one_waits_for_it_again(home: House) -> None:
    # given: first, second and last are handed in
    worker = home.person("worker")
    order_id = await worker.propose("test.chain", {})
    for _ in range(3):
        await worker.hand_in(await worker.take(), {"n": 1})

    # when
    await sent_back(home, order_id)

    # then
    shown = await worker.ok("get_order", order_id=order_id)
    assert [item.get("waiting_for") for item in shown["items"]] == [
        None, [f"{order_id}.1"], [f"{order_id}.1", f"{order_id}.2"]
    ]  # fmt: skip
    assert (await worker.take())["id"] == f"{order_id}.1"


async def test_after_a_failed_apply_the_work_can_be_sent_back(home: House, tmp_path: Any) -> None:
    # given
    ledger = {"file": str(tmp_path / "ledger"), "fail_times": 3}
    order_id = await handed_in(home, "test.ledger", ledger)
    reviewer, worker = home.person("reviewer"), home.person("worker")
    await reviewer.refused("approve", "apply_failed", order_id=order_id)
    await story.given_up(home, reviewer, order_id)

    # when
    await sent_back(home, order_id)
    await worker.hand_in(await worker.take(), BETTER)

    # then
    assert (await reviewer.ok("approve", order_id=order_id))["applied"] is True


# again from the start


async def test_a_refused_order_can_be_taken_up_again(home: House) -> None:
    order_id = await handed_in(home)
    await home.person("reviewer").ok("reject", order_id=order_id, errors=WHY)

    await story.requeue(home, order_id)

    item = await home.person("worker").take()
    await home.person("worker").hand_in(item, BETTER)
    assert (await home.person("reviewer").ok("approve", order_id=order_id))["applied"] is True


async def requeued(admin: Person, order_id: str) -> None:
    call = Call(admin.caller.actor, "requeue", {"order_id": order_id})
    await admin.app.orders.requeue(call, order_id)


async def test_a_refused_order_stays_refused_while_another_one_has_its_dedupe_key(home: House) -> None:
    # given
    ann = home.person("ann")
    first = await ann.propose(dedupe_key="k")
    await ann.ok("reject", order_id=first, errors=WHY)
    second = await ann.propose(dedupe_key="k")

    # when
    with pytest.raises(WorkError) as refusal:
        await requeued(ann, first)
    [reason] = (await ann.ok("explain", order_id=first))["reasons"]

    # then
    assert (refusal.value.code, refusal.value.details["from"]) == ("illegal_transition", "rejected")
    assert reason["action"].startswith(f"cancel('{second}')")
    await ann.ok("cancel", order_id=second)
    await requeued(ann, first)
    assert await ann.state(first) == "queued"


async def test_a_refused_order_whose_work_another_one_has_done_is_only_put_aside(home: House) -> None:
    # given
    ann = home.person("ann")
    first = await ann.propose(dedupe_key="k")
    await ann.ok("reject", order_id=first, errors=WHY)
    second = await ann.propose(dedupe_key="k")
    await ann.hand_in(await ann.take())
    await ann.ok("approve", order_id=second)

    # when
    with pytest.raises(WorkError):
        await requeued(ann, first)

    # then
    [reason] = (await ann.ok("explain", order_id=first))["reasons"]
    assert reason["action"].startswith(f"workdocket orders dead-letter {first}")


@pytest.mark.scenario("explain")
async def test_a_failed_item_of_a_refused_order_asks_for_the_order_first(home: House) -> None:
    # given
    ann = home.person("ann")
    order_id = await ann.propose("test.batch", {"batches": 2})
    await ann.ok("fail", **held(await ann.take()), reason="impossible", retryable=False)
    await ann.ok("reject", order_id=order_id, errors=WHY)

    # when
    [reason] = (await ann.ok("explain", item_id=f"{order_id}.1"))["reasons"]

    # then
    assert (reason["code"], reason["by"]) == ("rejected", "admin")
    await requeued(ann, order_id)
    assert (await ann.ok("retry", item_id=f"{order_id}.1"))["order"]["state"] == "queued"


@pytest.mark.parametrize("by", ["order_id", "item_id"])
async def test_a_failed_item_can_be_tried_afresh(home: House, by: str) -> None:
    # given
    order_id = await home.person("requester").propose()
    worker = home.person("worker")
    item = await worker.take()
    await worker.ok("fail", **held(item), reason="impossible", retryable=False)

    # when
    answer = await home.person("reviewer").ok("retry", **{by: item["id"] if by == "item_id" else order_id})

    # then
    assert answer["order"]["state"] == "queued"
    assert (await worker.take())["attempt"] == 1


async def test_retry_of_an_order_leaves_what_was_handed_in_as_it_is(home: House) -> None:
    worker = home.person("worker")
    order_id = await worker.propose("test.batch", {"batches": 2})
    await worker.hand_in(await worker.take(), {"count": 1})
    await worker.ok("fail", **held(await worker.take()), reason="impossible", retryable=False)

    await home.person("reviewer").ok("retry", order_id=order_id)

    shown = await worker.ok("get_order", order_id=order_id)
    assert [item["state"] for item in shown["items"]] == ["submitted", "queued"]
    assert shown["order"]["state"] == "in_progress"


@pytest.mark.parametrize("named", [{}, {"order_id": "WO-1", "item_id": "WO-1.1"}])
async def test_retry_takes_an_order_or_an_item(home: House, named: dict[str, str]) -> None:
    await home.person("reviewer").refused("retry", "invalid_request", **named)


async def test_a_retried_apply_is_waited_for_like_any_other(home: House, tmp_path: Any) -> None:
    order_id = await handed_in(home, "test.ledger", {"file": str(tmp_path / "ledger"), "fail_times": 3})
    reviewer = home.person("reviewer")
    await reviewer.refused("approve", "apply_failed", order_id=order_id)
    await story.given_up(home, reviewer, order_id)

    await reviewer.ok("retry", order_id=order_id)

    shown = await until.order_in(reviewer, order_id, "completed")
    assert shown["diff"]["after"] == {"lines": 1}
