"""Verdicts on single items while the others of their order stand."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import until
from tests.support.harness import House, held

WHY = {"message": "counts nothing"}


async def three_items(home: House, type: str = "test.batch", counts: tuple[int | None, ...] = (0, 3, 4)) -> list[str]:
    """An order and its three items, handed in with these counts; ``None`` is one that failed for good."""
    order_id = await home.person("requester").propose(type, {"batches": 3})
    worker, ids = home.person("worker"), []
    for count in counts:
        item = await worker.take(order_id=order_id)
        ids.append(item["id"])
        if count is None:
            await worker.ok("fail", **held(item), reason="no such page", retryable=False)
        else:
            await worker.hand_in(item, {"count": count})
    return [order_id, *ids]


async def states(home: House, order_id: str) -> list[str]:
    shown = await home.person("reader").ok("get_order", order_id=order_id)
    return [item["state"] for item in shown["items"]]


@pytest.mark.scenario("single-items-refused")
async def test_an_order_is_applied_without_the_items_that_were_refused_alone(home: House) -> None:
    # given
    order_id, bad, *_ = await three_items(home)
    reviewer = home.person("reviewer")
    await reviewer.refused("approve", "not_ready", order_id=order_id)

    # when
    answer = await reviewer.ok("reject", order_id=order_id, errors=[{**WHY, "item_id": bad}], only_items=True)

    # then
    assert answer["order"]["state"] == "submitted"
    packet = await reviewer.ok("review", order_id=order_id)
    assert [item["result"] for item in packet["items"]] == [{"count": 3}, {"count": 4}]
    [gone] = packet["goes_on_without"]
    assert (gone["id"], gone["state"], gone["error"]["message"]) == (bad, "rejected", "counts nothing")
    done = await reviewer.ok("approve", order_id=order_id, digest=packet["digest"])
    assert done["diff"]["after"] == {"processed": 7, "batches": 2}
    assert await states(home, order_id) == ["rejected", "completed", "completed"]


@pytest.mark.scenario("single-items-refused", "digest-binds")
async def test_an_item_that_is_refused_alone_makes_the_digest_stale(home: House) -> None:
    order_id, first, *_ = await three_items(home, counts=(1, 1, 1))
    reviewer = home.person("reviewer")
    digest = (await reviewer.ok("review", order_id=order_id))["digest"]

    await reviewer.ok("reject", order_id=order_id, errors=[{**WHY, "item_id": first}], only_items=True)

    error = await reviewer.refused("approve", "stale", order_id=order_id, digest=digest)
    assert error["details"]["moved"] == ["results", "preview"]


@pytest.mark.scenario("single-items-refused", "auto-approval")
async def test_what_is_left_passes_by_itself_where_the_gate_lets_it(home: House) -> None:
    order_id, bad, *_ = await three_items(home, "test.automatic")
    reviewer = home.person("reviewer")
    await until.event(home, reviewer, order_id, "approval.deferred")

    await reviewer.ok("reject", order_id=order_id, errors=[{**WHY, "item_id": bad}], only_items=True)

    shown = await until.order_in(reviewer, order_id, "completed")
    assert shown["decision"]["by"]["type"] == "system"


@pytest.mark.scenario("single-items-refused")
async def test_items_after_a_refused_one_are_handed_out(home: House) -> None:
    agent = home.person("agent")
    order_id = await agent.propose("test.chain", {})

    await agent.ok("reject", order_id=order_id, errors=[{**WHY, "item_id": f"{order_id}.1"}], only_items=True)

    assert (await agent.take(order_id=order_id))["id"] == f"{order_id}.2"


@pytest.mark.scenario("single-items-refused")
async def test_the_holder_of_a_refused_item_learns_it_and_what_it_made_is_kept(home: House) -> None:
    agent = home.person("agent")
    order_id = await agent.propose("test.batch", {"batches": 2})
    item = await agent.take()

    await agent.ok("reject", order_id=order_id, errors=[{**WHY, "item_id": item["id"]}], only_items=True)

    assert (await agent.ok("heartbeat", **held(item)))["cancelled"] is True
    refusal = await agent.refused("submit", "lease_lost", **held(item), result={"count": 2})
    assert refusal["details"]["late_result_kept"] is True
    assert await agent.state(order_id) == "queued"


@pytest.mark.scenario("single-items-refused")
@pytest.mark.parametrize(
    "more, path",
    [({"only_items": True}, "/errors/0/item_id"), ({"only_items": True, "rework": True}, "/only_items")],
)
async def test_only_items_needs_items_and_is_no_rework(home: House, more: dict[str, Any], path: str) -> None:
    order_id, *_ = await three_items(home)

    error = await home.person("reviewer").refused("reject", "invalid_request", order_id=order_id, errors=[WHY], **more)

    assert [one["path"] for one in error["details"]["findings"]] == [path]
    assert await states(home, order_id) == ["submitted"] * 3


@pytest.mark.scenario("single-items-refused")
async def test_the_last_item_is_not_refused_alone(home: House) -> None:
    order_id, *ids = await three_items(home)
    errors = [{**WHY, "item_id": item_id} for item_id in ids]

    error = await home.person("reviewer").refused(
        "reject", "invalid_request", order_id=order_id, errors=errors, only_items=True
    )

    assert [one["code"] for one in error["details"]["findings"]] == ["none_left"]


@pytest.mark.scenario("single-items-refused")
async def test_one_item_is_sent_back_while_the_others_stand(home: House) -> None:
    order_id, bad, *_ = await three_items(home)
    reviewer, worker = home.person("reviewer"), home.person("worker")

    await reviewer.ok("reject", order_id=order_id, errors=[{**WHY, "item_id": bad}], rework=True)

    assert await states(home, order_id) == ["queued", "submitted", "submitted"]
    again = await worker.take(order_id=order_id)
    assert (again["id"], again["feedback"][0]["message"]) == (bad, "counts nothing")


# waived


@pytest.mark.scenario("failed-items-waived")
async def test_an_order_goes_on_without_a_failed_item(home: House) -> None:
    # given
    order_id, _, failed, _ = await three_items(home, counts=(2, None, 4))
    reviewer = home.person("reviewer")
    assert await reviewer.state(order_id) == "failed"

    # when
    answer = await reviewer.ok("waive", item_id=failed, reason="that page was taken down")

    # then
    assert (answer["item"]["state"], answer["order"]["state"]) == ("cancelled", "submitted")
    [gone] = (await reviewer.ok("review", order_id=order_id))["goes_on_without"]
    assert (gone["error"]["code"], gone["error"]["message"]) == ("waived", "that page was taken down")
    assert gone["error"]["failure"]["message"] == "no such page"
    done = await reviewer.ok("approve", order_id=order_id)
    assert done["diff"]["after"] == {"processed": 6, "batches": 2}
    waived = [event for event in await reviewer.events(order_id) if event["event"] == "item.waived"]
    assert [(event["actor_id"], event["message"]) for event in waived] == [("reviewer", "that page was taken down")]


@pytest.mark.scenario("failed-items-waived")
@pytest.mark.parametrize("role", ["worker", "requester"])
async def test_only_a_reviewer_leaves_a_failed_item_out(home: House, role: str) -> None:
    _, _, failed, _ = await three_items(home, counts=(2, None, 4))

    await home.person("somebody", role).refused("waive", "forbidden", item_id=failed, reason="no")


@pytest.mark.scenario("failed-items-waived")
async def test_the_only_item_is_not_left_out(home: House) -> None:
    agent = home.person("agent")
    await agent.propose()
    item = await agent.take()
    await agent.ok("fail", **held(item), reason="no", retryable=False)

    error = await agent.refused("waive", "invalid_request", item_id=item["id"], reason="no")

    assert "cancel" in error["hint"]
    assert await agent.state(item["order_id"]) == "failed"


@pytest.mark.scenario("failed-items-waived")
@pytest.mark.parametrize("code, item_id", [("not_found", "WO-1.9"), ("illegal_transition", "WO-1.1")])
async def test_what_has_not_failed_is_not_left_out(home: House, code: str, item_id: str) -> None:
    await three_items(home)

    await home.person("reviewer").refused("waive", code, item_id=item_id, reason="no")


@pytest.mark.scenario("failed-items-waived", "explained")
async def test_explain_says_of_a_left_out_item_that_nothing_waits_for_it(home: House) -> None:
    order_id, refused, failed, _ = await three_items(home, counts=(2, None, 4))
    reviewer = home.person("reviewer")
    await reviewer.ok("waive", item_id=failed, reason="not needed")
    await reviewer.ok("reject", order_id=order_id, errors=[{**WHY, "item_id": refused}], only_items=True)

    for item_id, words in ((failed, "not needed"), (refused, "counts nothing")):
        [reason] = (await reviewer.ok("explain", item_id=item_id))["reasons"]
        assert (reason["code"], words in reason["message"]) == ("left_out", True)
