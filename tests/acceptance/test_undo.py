"""A completed order taken back by one of its own: under the same gate, once, and never over what others did since."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support import until
from tests.support.harness import House, Person

pytestmark = pytest.mark.scenario("undo")


async def written(home: House, file: Path, type: str = "test.page", **more: Any) -> str:
    """A completed order that wrote ``hello`` to the file."""
    order_id = await home.person("requester").propose(type, {"file": str(file), **more})
    worker = home.person("worker")
    await worker.hand_in(await worker.take(order_id=order_id), {"text": "hello"})
    await home.person("reviewer").ok("approve", order_id=order_id)
    assert file.read_text() == "hello"
    return order_id


async def undone(person: Person, order_id: str, **more: Any) -> str:
    """The order that takes it back, filed."""
    answer = await person.ok("undo", order_id=order_id, **more)
    filed: str = answer["order"]["id"]
    return filed


async def test_an_undo_waits_for_review_with_the_diff_the_other_way_round(home: House, tmp_path: Path) -> None:
    # given
    order_id = await written(home, tmp_path / "page")

    # when
    undo = await undone(home.person("reviewer"), order_id, reason="too early")

    # then
    packet = await home.person("reviewer").ok("review", order_id=undo)
    assert (packet["order"]["state"], packet["order"]["reverts"]) == ("submitted", order_id)
    assert (packet["preview"]["before"], packet["preview"]["after"]) == ("hello", None)
    assert packet["items"][0]["notes"] == "too early"
    assert packet["order"]["payload"] == {"file": str(tmp_path / "page")}
    names = await home.person("reader").event_names(undo)
    assert names[:5] == ["order.proposed", "order.planned", "item.leased", "order.checked_out", "item.submitted"]
    original = (await home.person("reader").ok("get_order", order_id=order_id))["order"]
    assert original["reverted_by"] == {"id": undo, "state": "submitted"}
    assert (tmp_path / "page").exists()


async def test_an_approved_undo_takes_the_change_back_once(home: House, tmp_path: Path) -> None:
    order_id = await written(home, tmp_path / "page", stumbles=2)
    reviewer = home.person("reviewer")
    undo = await undone(reviewer, order_id)

    await reviewer.refused("approve", "apply_failed", order_id=undo)
    for failures in (1, 2):
        await until.event(home, reviewer, undo, "apply.attempt_failed", failures)
        home.clock.forward(60)
        await home.app.sweeper.sweep()
    shown = await until.order_in(reviewer, undo, "completed")

    assert shown["diff"]["changes"] == [{"op": "removed", "path": "", "before": "hello", "after": None}]
    assert not (tmp_path / "page").exists()
    assert len((tmp_path / "page.reverts").read_text().splitlines()) == 1
    assert await reviewer.state(order_id) == "completed"


async def test_what_somebody_changed_since_is_left_alone_and_named(home: House, tmp_path: Path) -> None:
    order_id = await written(home, tmp_path / "page")
    (tmp_path / "page").write_text("hello, and more")
    reviewer = home.person("reviewer")
    undo = await undone(reviewer, order_id)

    done = await reviewer.ok("approve", order_id=undo)

    assert (done["diff"]["has_changes"], [one["code"] for one in done["diff"]["conflicts"]]) == (False, ["stale"])
    assert (tmp_path / "page").read_text() == "hello, and more"


async def test_what_moved_after_the_review_brings_an_undo_back_to_review(home: House, tmp_path: Path) -> None:
    order_id = await written(home, tmp_path / "page")
    reviewer = home.person("reviewer")
    undo = await undone(reviewer, order_id)
    digest = (await reviewer.ok("review", order_id=undo))["digest"]
    (tmp_path / "page").write_text("hello, and more")

    error = await reviewer.refused("approve", "stale", order_id=undo, digest=digest)

    assert error["details"]["moved"] == ["preview"]


async def test_who_files_an_undo_does_not_approve_it_under_four_eyes(home: House, tmp_path: Path) -> None:
    order_id = await written(home, tmp_path / "page", "test.sealed")
    undo = await undone(home.person("reviewer"), order_id)

    await home.person("reviewer").refused("approve", "self_approval", order_id=undo)

    assert (await home.person("other").ok("approve", order_id=undo))["order"]["state"] == "completed"


async def test_there_is_one_live_undo_at_a_time(home: House, tmp_path: Path) -> None:
    order_id = await written(home, tmp_path / "page")
    reviewer = home.person("reviewer")
    first = await undone(reviewer, order_id)

    error = await reviewer.refused("undo", "illegal_transition", order_id=order_id)
    assert first in error["message"]
    await reviewer.ok("reject", order_id=first, errors=[{"message": "not yet"}])
    second = await undone(reviewer, order_id)
    await reviewer.ok("approve", order_id=second)

    await reviewer.refused("undo", "illegal_transition", order_id=order_id)
    await reviewer.refused("undo", "illegal_transition", order_id=second)


async def test_two_undos_at_once_under_two_keys_are_one(home: House, tmp_path: Path) -> None:
    order_id = await written(home, tmp_path / "page")
    reviewer = home.person("reviewer")
    first = await undone(reviewer, order_id, idempotency_key="a")

    assert await undone(reviewer, order_id, idempotency_key="a") == first
    await reviewer.refused("undo", "illegal_transition", order_id=order_id, idempotency_key="b")


async def test_an_order_that_is_not_completed_has_nothing_to_undo(home: House, tmp_path: Path) -> None:
    order_id = await home.person("requester").propose("test.page", {"file": str(tmp_path / "page")})

    error = await home.person("reviewer").refused("undo", "illegal_transition", order_id=order_id)

    assert "is queued" in error["message"]


async def test_a_type_without_revert_says_so(home: House) -> None:
    agent = home.person("agent")
    order_id = await agent.propose()
    await agent.hand_in(await agent.take())
    await agent.ok("approve", order_id=order_id)

    error = await agent.refused("undo", "illegal_transition", order_id=order_id)

    assert "no revert" in error["message"]
    described = [(await agent.ok("order_types", name=name))["types"][0] for name in ("test.echo", "test.page")]
    assert [one["can_undo"] for one in described] == [False, True]


@pytest.mark.parametrize("role", ["worker", "requester"])
async def test_only_a_reviewer_files_an_undo(home: House, tmp_path: Path, role: str) -> None:
    order_id = await written(home, tmp_path / "page")

    await home.person("somebody", role).refused("undo", "forbidden", order_id=order_id)


async def test_an_undo_is_never_work_for_an_agent(home: House, tmp_path: Path) -> None:
    # given
    order_id = await written(home, tmp_path / "page")
    reviewer = home.person("reviewer")
    undo = await undone(reviewer, order_id)

    # when, then
    why = [{"message": "no"}]
    await reviewer.refused("reject", "illegal_transition", order_id=undo, errors=why, rework=True)
    named = [{**why[0], "item_id": f"{undo}.1"}]
    await reviewer.refused("reject", "invalid_request", order_id=undo, errors=named, only_items=True)
    await reviewer.ok("reject", order_id=undo, errors=why)
    assert (await home.person("worker").ok("checkout", order_id=undo))["items"] == []


async def test_a_link_in_meta_makes_no_undo(home: House, tmp_path: Path) -> None:
    order_id = await written(home, tmp_path / "page")

    forged = await home.person("requester").propose("test.page", {"file": "x"}, meta={"reverts": order_id})

    shown = (await home.person("reader").ok("get_order", order_id=forged))["order"]
    assert (shown["state"], "reverts" in shown) == ("queued", False)
