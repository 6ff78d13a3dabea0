"""The one step that changes the world: after the decision, outside any transaction, once."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support import raw, until
from tests.support.harness import LIMIT, House, Person, held, house
from workdocket import Diff
from workdocket.domain.model import iso


async def handed_in(home: House, type: str = "test.echo", payload: Any = None, result: Any = None) -> str:
    """An order with one item that is handed in, ready for a decision."""
    agent = home.person("agent")
    order_id = await agent.propose(type, payload)
    await agent.hand_in(await agent.take(order_id=order_id), result)
    return order_id


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def attempts(file: Path) -> list[int]:
    """The numbers of the attempts, as apply was told them."""
    return [int(line.split()[0]) for line in Path(f"{file}.attempts").read_text().splitlines()]


async def next_attempt(home: House, person: Person, order_id: str) -> dict[str, Any]:
    """One more attempt has failed: the clock is moved on until it is due."""
    tried = (await person.event_names(order_id)).count("apply.attempt_failed")
    home.clock.forward(60)
    await home.app.sweeper.sweep()
    return await until.event(home, person, order_id, "apply.attempt_failed", tried + 1)


# what comes back


@pytest.mark.scenario("A1", "A2")
async def test_an_approval_applies_completes_and_answers_with_the_diff(home: House) -> None:
    order_id = await handed_in(home)
    reviewer = home.person("reviewer")
    home.clock.forward(5)

    # when
    answer = await reviewer.ok("approve", order_id=order_id)

    # then
    assert (answer["order"]["state"], answer["applied"]) == ("completed", True)
    assert answer["diff"]["has_changes"] is True
    shown = await reviewer.ok("get_order", order_id=order_id)
    assert shown["order"]["applied_at"] == shown["order"]["completed_at"] == iso(home.clock.now())
    assert [item["state"] for item in shown["items"]] == ["completed"]


@pytest.mark.scenario("A5")
async def test_the_diff_of_a_batch_sums_up_the_results(home: House) -> None:
    agent = home.person("agent")
    order_id = await agent.propose("test.batch", {"batches": 3})
    for count in (10, 20, 12):
        await agent.hand_in(await agent.take(), {"count": count})

    answer = await home.person("reviewer").ok("approve", order_id=order_id)

    assert answer["diff"]["after"] == {"processed": 42, "batches": 3}
    assert answer["diff"]["changes"] == [
        {"op": "modified", "path": "/processed", "before": 0, "after": 42},
        {"op": "modified", "path": "/batches", "before": 0, "after": 3},
    ]


@pytest.mark.scenario("A6")
async def test_the_applied_event_carries_the_diff(home: House) -> None:
    order_id = await handed_in(home)
    reviewer = home.person("reviewer")

    answer = await reviewer.ok("approve", order_id=order_id)

    [applied] = [event for event in await reviewer.events(order_id) if event["event"] == "order.applied"]
    assert applied["diff"] == answer["diff"]


@pytest.mark.scenario("A11")
async def test_an_apply_that_changed_nothing_says_so(home: House) -> None:
    order_id = await handed_in(home, "test.free", {}, {})

    answer = await home.person("reviewer").ok("approve", order_id=order_id)

    assert answer["diff"] == {"summary": "no changes", "changes": [], "before": {}, "after": {}, "has_changes": False}


@pytest.mark.scenario("A11")
@pytest.mark.parametrize("same", [None, {}, [], {"a": [1, {"b": None}]}, "text", 0])
def test_equal_values_have_no_changes_between_them(same: Any) -> None:
    assert Diff.between(same, json.loads(json.dumps(same))).has_changes is False


# once


@pytest.mark.scenario("apply-once")
async def test_every_attempt_has_the_same_key_and_is_counted(home: House, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    order_id = await handed_in(home, "test.ledger", {"file": str(ledger), "fail_times": 2})
    reviewer = home.person("reviewer")
    await reviewer.refused("approve", "apply_failed", order_id=order_id)
    await next_attempt(home, reviewer, order_id)

    # when
    home.clock.forward(60)
    await home.app.sweeper.sweep()
    await until.order_in(reviewer, order_id, "completed")

    # then
    assert attempts(ledger) == [1, 2, 3]
    assert [line["order"] for line in lines(ledger)] == [order_id]
    assert (await reviewer.event_names(order_id)).count("order.applied") == 1


@pytest.mark.scenario("apply-once")
async def test_after_a_retry_the_attempts_are_counted_on_and_the_key_stays(home: House, tmp_path: Path) -> None:
    # given: an effect that happened, and was then lost track of
    ledger = tmp_path / "ledger"
    order_id = await handed_in(home, "test.ledger", {"file": str(ledger), "fail_times": 3})
    reviewer = home.person("reviewer")
    await reviewer.refused("approve", "apply_failed", order_id=order_id)
    await next_attempt(home, reviewer, order_id)
    await next_attempt(home, reviewer, order_id)

    # when
    await reviewer.ok("retry", order_id=order_id)
    await until.order_in(reviewer, order_id, "completed")

    # then: above 1 an attempt knows that another may have come before it
    assert attempts(ledger) == [1, 2, 3, 4]
    assert len(lines(ledger)) == 1


@pytest.mark.scenario("apply-once")
async def test_two_reviewers_at_once_apply_it_once(home: House, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    order_id = await handed_in(home, "test.ledger", {"file": str(ledger)})

    async def approve(name: str) -> str:
        try:
            answer = await home.person(name).ok("approve", order_id=order_id)
        except AssertionError as refusal:
            code: str = json.loads(str(refusal))["code"]
            return code
        state: str = answer["order"]["state"]
        return state

    async with asyncio.timeout(LIMIT):
        outcomes = await asyncio.gather(*(approve(f"reviewer {n}") for n in range(4)))

    assert sorted(outcomes) == ["completed", *["illegal_transition"] * 3]
    assert attempts(ledger) == [1]
    assert len(lines(ledger)) == 1


# while it runs


class Paused:
    """An apply that has made its change and waits, for as long as the ``with`` lasts."""

    def __init__(self, folder: Path) -> None:
        self.ledger, self._begun, self._go_on = folder / "ledger", folder / "begun", folder / "go-on"
        os.mkfifo(self._begun)
        os.mkfifo(self._go_on)
        self.payload = {
            "file": str(self.ledger),
            "pause_before": str(self._begun),
            "pause_after": str(self._go_on),
        }

    async def __aenter__(self) -> Paused:
        async with asyncio.timeout(LIMIT):
            await asyncio.to_thread(self._begun.read_text)
        return self

    async def __aexit__(self, *_: object) -> None:
        async with asyncio.timeout(LIMIT):
            await asyncio.to_thread(self._go_on.read_text)


@pytest.mark.scenario("N25")
async def test_a_slow_apply_delays_nobody(home: House, tmp_path: Path) -> None:
    # given: an agent at work on something else
    slow = Paused(tmp_path)
    order_id = await handed_in(home, "test.ledger", slow.payload)
    other = home.person("other")
    await other.propose()
    item = await other.take()
    approving = asyncio.create_task(home.person("reviewer").ok("approve", order_id=order_id))

    # when
    async with slow, asyncio.timeout(LIMIT):
        beat = await other.ok("heartbeat", **held(item))
        await other.hand_in(item)
        state = await other.state(order_id)

    # then: all of that while the apply was under way
    assert beat["cancelled"] is False
    assert state == "approved"
    assert (await approving)["applied"] is True


@pytest.mark.scenario("apply-once")
async def test_no_transaction_is_open_while_apply_runs(home: House, tmp_path: Path) -> None:
    slow = Paused(tmp_path)
    order_id = await handed_in(home, "test.ledger", slow.payload)
    approving = asyncio.create_task(home.person("reviewer").ok("approve", order_id=order_id))

    async with slow:
        with raw.opened(tmp_path) as another:
            another.execute("BEGIN EXCLUSIVE")
            [[state]] = another.execute("SELECT state FROM orders").fetchall()

    assert state == "approved"  # the decision is committed before anything happens
    assert (await approving)["applied"] is True


@pytest.mark.scenario("apply-once")
async def test_no_sweep_begins_what_is_under_way(home: House, tmp_path: Path) -> None:
    slow = Paused(tmp_path)
    order_id = await handed_in(home, "test.ledger", slow.payload)
    approving = asyncio.create_task(home.person("reviewer").ok("approve", order_id=order_id))

    async with slow:
        for _ in range(3):
            home.clock.forward(3600)
            await home.app.sweeper.sweep()
    await approving

    assert attempts(slow.ledger) == [1]


# when it fails


@pytest.mark.scenario("N24", "apply-retries")
async def test_a_raise_is_recorded_and_the_caller_is_told_what_and_whether_it_is_tried_again(
    home: House, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    order_id = await handed_in(home, "test.ledger", {"file": str(ledger), "fail_times": 1})
    reviewer = home.person("reviewer")

    # when
    error = await reviewer.refused("approve", "apply_failed", order_id=order_id)

    # then
    assert "the ledger is closed" in error["message"]
    assert (error["details"]["attempt"], error["details"]["will_retry"]) == (1, True)
    assert error["details"]["retry_at"] in error["hint"]
    shown = await reviewer.ok("get_order", order_id=order_id)
    assert (shown["order"]["state"], shown["order"]["error"]["code"]) == ("approved", "apply_failed")
    assert [item["state"] for item in shown["items"]] == ["accepted"]
    assert lines(ledger) == []


@pytest.mark.scenario("apply-retries")
async def test_the_next_attempt_waits_for_its_time(home: House, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    order_id = await handed_in(home, "test.ledger", {"file": str(ledger), "fail_times": 1})
    reviewer = home.person("reviewer")
    await reviewer.refused("approve", "apply_failed", order_id=order_id)

    # when: a sweep while the clock stands still, and one when the backoff is over
    await home.app.sweeper.sweep()
    early = attempts(ledger)
    home.clock.forward(0.01)
    await home.app.sweeper.sweep()
    shown = await until.order_in(reviewer, order_id, "completed")

    # then
    assert (early, attempts(ledger)) == ([1], [1, 2])
    assert "error" not in shown["order"]


@pytest.mark.scenario("N24", "apply-retries")
async def test_when_no_attempt_is_left_the_order_is_failed_with_the_error_on_it(home: House, tmp_path: Path) -> None:
    order_id = await handed_in(home, "test.ledger", {"file": str(tmp_path / "ledger"), "fail_times": 9})
    reviewer = home.person("reviewer")
    await reviewer.refused("approve", "apply_failed", order_id=order_id)

    # when
    second = await next_attempt(home, reviewer, order_id)
    third = await next_attempt(home, reviewer, order_id)

    # then
    assert (second["data"]["will_retry"], third["data"]["will_retry"]) == (True, False)
    shown = await reviewer.ok("get_order", order_id=order_id)
    assert shown["order"]["state"] == "failed"
    assert shown["order"]["error"]["message"] == "RuntimeError: the ledger is closed"
    assert shown["recent_events"][-1]["event"] == "order.apply_failed"
    reasons = (await reviewer.ok("explain", order_id=order_id))["reasons"]
    assert "the ledger is closed" in reasons[0]["message"]


@pytest.mark.scenario("N24")
async def test_a_failed_apply_can_be_retried(home: House, tmp_path: Path) -> None:
    # given
    order_id = await handed_in(home, "test.ledger", {"file": str(tmp_path / "ledger"), "fail_times": 3})
    reviewer = home.person("reviewer")
    await reviewer.refused("approve", "apply_failed", order_id=order_id)
    await next_attempt(home, reviewer, order_id)
    await next_attempt(home, reviewer, order_id)

    # when
    answer = await reviewer.ok("retry", order_id=order_id)

    # then
    assert answer["order"]["state"] == "approved"
    await until.order_in(reviewer, order_id, "completed")


async def failed_once(home: House, ledger: Path) -> str:
    """An approved order that waits for its second attempt."""
    order_id = await handed_in(home, "test.ledger", {"file": str(ledger), "fail_times": 1})
    await home.person("reviewer").refused("approve", "apply_failed", order_id=order_id)
    home.clock.forward(60)
    return order_id


def overwrite(folder: Path, claim: str, attempts: int) -> None:
    """What is left in the database when a process could not write what became of an attempt."""
    with raw.opened(folder) as database:
        database.execute("UPDATE effects SET claim = ?, attempts = ?", [claim, attempts])


@pytest.mark.scenario("apply-retries")
async def test_an_attempt_whose_outcome_a_process_could_not_write_is_made_again_by_it(
    home: House, tmp_path: Path
) -> None:
    order_id = await failed_once(home, tmp_path / "ledger")

    async with house(tmp_path, clock=home.clock, ids=home.ids) as other:
        overwrite(tmp_path, f"{other.app.desk.store.owner}:lost", attempts=2)

        await other.app.sweeper.sweep()

        await until.order_in(other.person("reader"), order_id, "completed")


@pytest.mark.scenario("apply-retries")
async def test_an_apply_that_ends_its_process_every_time_is_given_up(home: House, tmp_path: Path) -> None:
    order_id = await failed_once(home, tmp_path / "ledger")

    async with house(tmp_path, clock=home.clock, ids=home.ids) as other:
        overwrite(tmp_path, "one-that-is-gone:lost", attempts=13)

        await other.app.sweeper.sweep()

        shown = await until.order_in(other.person("reader"), order_id, "failed")
    assert shown["order"]["error"]["message"] == "every attempt ended with its process"


@pytest.mark.scenario("apply-retries")
async def test_a_process_without_the_type_leaves_the_apply_to_one_that_has_it(home: House, tmp_path: Path) -> None:
    # given: another process on the same database, with other types
    order_id = await failed_once(home, tmp_path / "ledger")

    async with house(tmp_path, clock=home.clock, ids=home.ids, order_types=[]) as other:
        # when
        await other.app.sweeper.sweep()
        waiting = await other.person("reader").ok("explain", order_id=order_id)
        await home.app.sweeper.sweep()

        # then
        await until.order_in(home.person("reader"), order_id, "completed")
    assert waiting["reasons"][0]["code"] == "apply_due"
    assert attempts(tmp_path / "ledger") == [1, 2]


async def test_a_diff_without_an_exact_form_in_json_is_recorded_all_the_same(home: House) -> None:
    order_id = await handed_in(home, "test.odd", {}, {})

    answer = await home.person("reviewer").ok("approve", order_id=order_id)

    assert answer["diff"]["after"]["nan"] == "nan"
    assert answer["diff"]["after"]["text"] == "a?b"


async def test_words_of_an_error_that_no_database_takes_are_recorded_all_the_same(
    home: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "workdocket.hooks")  # a test runner in pieces can't pass such words on either
    order_id = await handed_in(home, "test.odd", {"raise": True}, {})

    error = await home.person("reviewer").refused("approve", "apply_failed", order_id=order_id)

    assert "RuntimeError: ?xxx" in error["message"]
    assert len(error["message"]) < 3_000


# what follows


@pytest.mark.scenario("after-apply")
async def test_what_follows_runs_once_the_order_is_completed(home: House) -> None:
    order_id = await handed_in(home, "test.follow_up", {"message": "smooth"})
    reviewer = home.person("reviewer")

    await reviewer.ok("approve", order_id=order_id)
    await until.event(home, reviewer, order_id, "after_apply.done")

    names = await reviewer.event_names(order_id)
    assert names.index("order.completed") < names.index("after_apply.done")
    filed = (await reviewer.ok("list_orders", type="test.echo"))["orders"]
    assert [order["requested_by"]["type"] for order in filed] == ["system"]


@pytest.mark.scenario("after-apply")
async def test_a_stumble_in_what_follows_is_recorded_and_retried_and_undoes_nothing(home: House) -> None:
    # given: a hook that raises after it has filed its follow-up order
    order_id = await handed_in(home, "test.follow_up", {"message": "stumble"})
    reviewer = home.person("reviewer")
    answer = await reviewer.ok("approve", order_id=order_id)
    failed = await until.event(home, reviewer, order_id, "after_apply.attempt_failed")

    # when
    home.clock.forward(60)
    await home.app.sweeper.sweep()
    await until.event(home, reviewer, order_id, "after_apply.done")

    # then: the second attempt found the order of the first
    assert answer["order"]["state"] == await reviewer.state(order_id) == "completed"
    assert (failed["message"], failed["data"]["will_retry"]) == ("RuntimeError: stumbled after filing", True)
    assert (await reviewer.ok("list_orders", type="test.echo"))["total"] == 1
