"""Pauses between attempts: one kind for each way in which an attempt ends."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support import until
from tests.support.harness import House, held, house
from workdocket.domain.model import iso

TTL = 600
PATIENT = """
from pathlib import Path

from workdocket import ApplyContext, Diff, OrderType, WorkOrder


class Patient(OrderType):
    name = "test.patient"
    payload = {"type": "object"}
    backoff_seconds = 1
    expiry_backoff_seconds = 2
    apply_backoff_seconds = 3

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        raise RuntimeError("not yet")
"""


def steady(**seconds: float) -> dict[str, Any]:
    return {"backoff_jitter_seconds": 0, **{f"{name}_seconds": value for name, value in seconds.items()}}


async def pause_after_a_failure(home: House, type: str) -> float:
    worker = home.person("worker")
    await worker.propose(type, {"message": "hi"})
    await worker.ok("fail", **held(await worker.take()), reason="no luck")
    return float((await worker.ok("checkout"))["retry_after_seconds"])


async def pause_after_an_expiry(home: House, type: str) -> float:
    worker = home.person("worker")
    order_id = await worker.propose(type, {"message": "hi"})
    await worker.take(order_id=order_id)
    home.clock.forward(TTL)
    answer = await worker.ok("checkout", order_id=order_id)
    return 0 if answer["items"] else float(answer["retry_after_seconds"])


async def pause_after_a_raise(home: House, type: str, payload: dict[str, Any]) -> float:
    worker, reviewer = home.person("worker"), home.person("reviewer")
    order_id = await worker.propose(type, payload)
    await worker.hand_in(await worker.take(order_id=order_id))
    error = await reviewer.refused("approve", "apply_failed", order_id=order_id)
    due = datetime.fromisoformat(error["details"]["retry_at"])
    return (due - datetime.fromtimestamp(home.clock.now() / 1000, UTC)).total_seconds()


# which kind


@pytest.mark.scenario("backoff-by-kind")
async def test_without_more_settings_an_expiry_has_no_pause_and_an_apply_that_of_a_failure(tmp_path: Path) -> None:
    async with house(tmp_path, **steady(backoff=7)) as home:
        assert await pause_after_a_failure(home, "test.echo") == 7
        assert await pause_after_an_expiry(home, "test.echo") == 0
        assert await pause_after_a_raise(home, "test.raising", {"raise_in": "apply"}) == 7


@pytest.mark.scenario("backoff-by-kind")
async def test_each_kind_has_a_setting(tmp_path: Path) -> None:
    async with house(tmp_path, **steady(backoff=7, expiry_backoff=8, apply_backoff=9)) as home:
        assert await pause_after_a_failure(home, "test.echo") == 7
        assert await pause_after_an_expiry(home, "test.echo") == 8
        assert await pause_after_a_raise(home, "test.raising", {"raise_in": "apply"}) == 9


@pytest.mark.scenario("backoff-by-kind")
async def test_a_type_has_pauses_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "patient.py"
    file.write_text(PATIENT)
    settings = steady(backoff=7, expiry_backoff=8, apply_backoff=9)
    async with house(tmp_path, order_types=[str(file)], **settings) as home:
        assert await pause_after_a_failure(home, "test.patient") == 1
        assert await pause_after_an_expiry(home, "test.patient") == 2
        assert await pause_after_a_raise(home, "test.patient", {}) == 3


@pytest.mark.scenario("backoff-by-kind")
async def test_where_no_pause_is_set_chance_makes_none(tmp_path: Path) -> None:
    async with house(tmp_path, backoff_seconds=0, backoff_jitter_seconds=20) as home:
        home.ids.fixed = 1.0
        worker = home.person("worker")
        await worker.propose()
        await worker.ok("fail", **held(await worker.take()), reason="no luck")

        assert (await worker.take())["attempt"] == 2


@pytest.mark.scenario("backoff-by-kind")
async def test_an_apply_is_tried_again_when_its_pause_is_over(tmp_path: Path) -> None:
    file = tmp_path / "patient.py"
    file.write_text(PATIENT)
    async with house(tmp_path, order_types=[str(file)], backoff_jitter_seconds=0) as home:
        await pause_after_a_raise(home, "test.patient", {})
        reader = home.person("reader")

        # when
        home.clock.forward(2.999)
        await home.app.sweeper.sweep()
        early = (await reader.event_names("WO-1")).count("apply.attempt_failed")
        home.clock.forward(0.001)
        await home.app.sweeper.sweep()
        await until.event(home, reader, "WO-1", "apply.attempt_failed", 2)

        # then
        assert early == 1


# leases that ran out


@pytest.mark.scenario("backoff-by-kind")
async def test_the_pause_after_an_expiry_doubles_and_says_when_it_ends(tmp_path: Path) -> None:
    async with house(tmp_path, **steady(expiry_backoff=10)) as home:
        worker = home.person("worker")
        order_id = await worker.propose()
        waits = []
        for _ in range(2):
            await worker.take()
            home.clock.forward(TTL)
            answer = await worker.ok("checkout")
            [item] = (await worker.ok("get_order", order_id=order_id))["items"]
            assert item["available_at"] == iso(home.clock.now() + round(answer["retry_after_seconds"] * 1000))
            waits.append((answer["reason"], answer["retry_after_seconds"]))
            home.clock.forward(answer["retry_after_seconds"])

        assert waits == [("backing_off", 10), ("backing_off", 20)]
        assert (await worker.take())["attempt"] == 3


@pytest.mark.scenario("backoff-by-kind")
async def test_the_pause_is_counted_from_the_end_of_the_lease_however_late_it_is_noticed(tmp_path: Path) -> None:
    async with house(tmp_path, **steady(expiry_backoff=10)) as home:
        worker = home.person("worker")
        await worker.propose()
        await worker.take()

        home.clock.forward(TTL + 10)

        assert (await worker.take())["attempt"] == 2


@pytest.mark.scenario("backoff-by-kind", "soft-expiry")
@pytest.mark.parametrize("noticed", [True, False])
async def test_the_last_holder_may_take_the_item_back_during_the_pause(tmp_path: Path, noticed: bool) -> None:
    async with house(tmp_path, **steady(expiry_backoff=10)) as home:
        worker = home.person("worker")
        order_id = await worker.propose()
        item = await worker.take()
        home.clock.forward(TTL)
        if noticed:
            await home.app.sweeper.sweep()

        await worker.hand_in(item)

        assert await worker.state(order_id) == "submitted"


# what the holder says


@pytest.mark.scenario("N16")
async def test_who_gives_an_item_back_may_say_from_when_on_and_why(home: House) -> None:
    worker = home.person("worker")
    order_id = await worker.propose()
    at = iso(home.clock.now() + 90_000)

    released = await worker.ok("release", **held(await worker.take()), reason="the shop opens at nine", not_before=at)

    assert (released["item"]["available_at"], released["item"]["attempts"]) == (at, 0)
    assert (await worker.ok("checkout"))["retry_after_seconds"] == 90
    [event] = (await worker.ok("events", order_id=order_id, event="item.released"))["events"]
    assert event["message"] == "the shop opens at nine"
    home.clock.forward(90)
    assert (await worker.take())["attempt"] == 1


@pytest.mark.scenario("N16")
async def test_who_fails_may_say_when_to_try_again_instead_of_the_pause(home: House) -> None:
    worker = home.person("worker")
    await worker.propose()

    failed = await worker.ok("fail", **held(await worker.take()), reason="limit reached", retry_after_seconds=5)

    assert failed["item"]["available_at"] == iso(home.clock.now() + 5_000)
    assert (await worker.ok("checkout"))["retry_after_seconds"] == 5
