"""The same failure or the same rejection again: it stops, and asks a person."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.harness import House, Person, held, house

WHY = [{"code": "tone", "message": "too loud", "path": "/message"}]


def result(n: int) -> dict[str, Any]:
    return {"message": f"try {n}", "verified": True, "count": n}


async def failed(home: House, *reasons: str) -> dict[str, Any]:
    """The item as it was answered after attempts that failed for these reasons."""
    worker = home.person("worker")
    answer: dict[str, Any] = {}
    for reason in reasons:
        answer = await worker.ok("fail", **held(await worker.take()), reason=reason, retry_after_seconds=0)
    found: dict[str, Any] = answer["item"]
    return found


async def rejected(home: House, order_id: str, *rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """The answer to the last of these rejections, each of a new result."""
    worker, reviewer = home.person("worker"), home.person("reviewer")
    answer: dict[str, Any] = {}
    for errors in rounds:
        while taken := (await worker.ok("checkout", order_id=order_id))["items"]:
            await worker.hand_in(taken[0], result(taken[0]["lease"]["fence"]))
        answer = await reviewer.ok("reject", order_id=order_id, errors=errors, rework=True)
    return answer


async def explained(someone: Person, **named: str) -> str:
    return str(await someone.ok("explain", **named))


# failures


@pytest.mark.scenario("stops-when-identical")
async def test_a_failure_for_the_same_reason_again_burns_no_third_attempt(home: House) -> None:
    order_id = await home.person("requester").propose()

    item = await failed(home, "no access to the archive", "No access  to the archive")

    assert (item["state"], item["attempts"], item["max_attempts"]) == ("failed", 2, 3)
    assert await home.person("reader").state(order_id) == "failed"
    assert (await home.person("worker").ok("checkout"))["items"] == []


@pytest.mark.scenario("stops-when-identical")
async def test_the_diagnosis_of_a_repeated_failure_is_told_to_everybody_who_asks(home: House) -> None:
    # given
    order_id = await home.person("requester").propose()

    # when
    answered = (await failed(home, "no access", "no access"))["error"]

    # then
    reader = home.person("reader")
    [shown] = (await reader.ok("get_order", order_id=order_id))["items"]
    assert answered == shown["error"]
    assert (answered["code"], answered["message"]) == (
        "repeated_failure",
        "failed 2 times in a row for the same reason: no access",
    )
    assert [(row["attempt"], row["by"]) for row in answered["attempts"]] == [(1, "worker"), (2, "worker")]
    for named in ({"order_id": order_id}, {"item_id": f"{order_id}.1"}):
        assert answered["message"] in await explained(reader, **named)
        assert f"retry(item_id='{order_id}.1')" in await explained(reader, **named)
    [event] = (await reader.ok("events", order_id=order_id, event="item.failed"))["events"]
    assert event["message"] == answered["message"]


@pytest.mark.scenario("stops-when-identical")
async def test_failures_for_different_reasons_use_all_attempts(home: House) -> None:
    await home.person("requester").propose()

    item = await failed(home, "no access", "no memory", "no access")

    assert (item["state"], item["attempts"], item["error"]["code"]) == ("failed", 3, "attempt_failed")


@pytest.mark.scenario("stops-when-identical")
async def test_leases_that_run_out_are_never_the_same_failure(home: House) -> None:
    worker = home.person("worker")
    order_id = await worker.propose()
    for _ in range(2):
        await worker.take()
        home.clock.forward(600)

    assert (await worker.take())["attempt"] == 3
    assert await worker.state(order_id) == "checked_out"


@pytest.mark.scenario("stops-when-identical")
async def test_after_a_retry_the_same_reason_counts_from_the_beginning(home: House) -> None:
    order_id = await home.person("requester").propose()
    await failed(home, "no access", "no access")

    await home.person("reviewer").ok("retry", order_id=order_id)

    assert (await failed(home, "no access"))["state"] == "queued"
    assert (await failed(home, "no access"))["error"]["code"] == "repeated_failure"


@pytest.mark.scenario("stops-when-identical")
@pytest.mark.parametrize("setting, state", [("none", "queued"), ("3", "queued"), ("2", "failed")])
async def test_the_setting_says_how_many_identical_failures_stop(tmp_path: Path, setting: str, state: str) -> None:
    async with house(tmp_path, stop_after_identical=setting) as home:
        await home.person("requester").propose()

        assert (await failed(home, "no access", "no access"))["state"] == state


# rejections


@pytest.mark.scenario("stops-when-identical")
async def test_a_rejection_for_the_same_reasons_again_stops_the_item(home: House) -> None:
    # given
    order_id = await home.person("requester").propose()

    # when
    answer = await rejected(home, order_id, WHY, [{**WHY[0], "message": "Too  loud"}])

    # then
    [stopped] = answer["stopped"]
    error = stopped["error"]
    assert (answer["order"]["state"], stopped["state"]) == ("failed", "failed")
    assert error["code"] == "repeated_rejection"
    assert error["message"] == "rejected 2 times in a row for the same reasons: Too  loud"
    assert [row["by"] for row in error["rejections"]] == ["reviewer", "reviewer"]
    reader = home.person("reader")
    assert (await reader.ok("get_order", order_id=order_id))["items"][0]["error"] == error
    for named in ({"order_id": order_id}, {"item_id": stopped["id"]}):
        assert error["message"] in await explained(reader, **named)
    assert (await reader.event_names(order_id))[-3:] == ["item.failed", "order.returned", "decision.recorded"]
    assert (await home.person("worker").ok("checkout"))["items"] == []


@pytest.mark.scenario("stops-when-identical")
async def test_an_item_with_new_reasons_goes_back_beside_one_that_is_stopped(home: House) -> None:
    # given
    order_id = await home.person("requester").propose("test.batch", {"batches": 2})
    one, two = f"{order_id}.1", f"{order_id}.2"

    # when
    answer = await rejected(
        home,
        order_id,
        [{"message": "wrong"}],
        [{"message": "wrong", "item_id": one}, {"message": "new", "item_id": two}],
    )

    # then
    assert [item["id"] for item in answer["stopped"]] == [one]
    assert (answer["order"]["state"], answer["order"]["items"]) == ("queued", {"failed": 1, "queued": 1})
    again = await home.person("worker").take()
    assert (again["id"], [row["message"] for row in again["feedback"]]) == (two, ["wrong", "new"])


@pytest.mark.scenario("stops-when-identical", "rework-memory")
async def test_a_retried_item_comes_with_its_reasons_and_ends_in_an_approval(home: House) -> None:
    # given
    order_id = await home.person("requester").propose()
    await rejected(home, order_id, WHY, WHY)
    reviewer, other = home.person("reviewer"), home.person("other")

    # when
    await reviewer.ok("retry", order_id=order_id)
    again = await other.take()
    same = await other.refused("submit", "invalid_result", **held(again), result=result(2))
    await other.hand_in(again, result(9))

    # then
    assert [row["message"] for row in again["feedback"]] == ["too loud", "too loud"]
    assert again["former_result"] == result(2)
    assert same["details"]["findings"][0]["code"] == "unchanged_since_rejection"
    assert (await reviewer.ok("approve", order_id=order_id))["applied"] is True


@pytest.mark.scenario("stops-when-identical")
async def test_after_a_retry_the_same_rejection_counts_from_the_beginning(home: House) -> None:
    order_id = await home.person("requester").propose()
    await rejected(home, order_id, WHY, WHY)
    await home.person("reviewer").ok("retry", order_id=order_id)

    assert "stopped" not in await rejected(home, order_id, WHY)
    assert "stopped" in await rejected(home, order_id, WHY)


@pytest.mark.scenario("stops-when-identical")
async def test_a_stopped_order_can_be_cancelled_and_not_sent_back_once_more(home: House) -> None:
    order_id = await home.person("requester").propose()
    await rejected(home, order_id, WHY, WHY)

    refusal = await home.person("reviewer").refused(
        "reject", "illegal_transition", order_id=order_id, errors=WHY, rework=True
    )
    await home.person("requester").ok("cancel", order_id=order_id)

    assert "retry" in refusal["details"]["allowed"]
    assert await home.person("reader").state(order_id) == "cancelled"


@pytest.mark.scenario("stops-when-identical")
async def test_without_the_setting_the_same_may_be_said_for_ever(tmp_path: Path) -> None:
    async with house(tmp_path, stop_after_identical="none") as home:
        order_id = await home.person("requester").propose()

        answer = await rejected(home, order_id, *[WHY] * 4)

        assert (answer["order"]["state"], "stopped" in answer) == ("queued", False)
