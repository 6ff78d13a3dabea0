"""Who may approve what, and to what exactly an approval is bound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support import until
from tests.support.harness import TYPES, House, Person, house

WHY = [{"message": "not like this"}]


async def handed_in(home: House, type: str = "test.echo", payload: Any = None, result: Any = None) -> str:
    """An order by ``requester`` with one item that ``worker`` has handed in."""
    order_id = await home.person("requester").propose(type, payload)
    worker = home.person("worker")
    await worker.hand_in(await worker.take(order_id=order_id), result)
    return order_id


async def digest_of(reviewer: Person, order_id: str) -> str:
    packet = await reviewer.ok("review", order_id=order_id)
    digest: str = packet["digest"]
    return digest


# roles


@pytest.mark.scenario("A8", "J4", "N26")
@pytest.mark.parametrize("tool, more", [("approve", {}), ("reject", {"errors": WHY}), ("review", {}), ("retry", {})])
@pytest.mark.parametrize("role", ["worker", "requester"])
async def test_only_a_reviewer_decides(home: House, role: str, tool: str, more: dict[str, Any]) -> None:
    order_id = await handed_in(home)

    error = await home.person("somebody", role).refused(tool, "forbidden", order_id=order_id, **more)

    assert error["details"]["role"] == "reviewer"
    assert await home.person("reader").state(order_id) == "submitted"


@pytest.mark.scenario("A8")
@pytest.mark.parametrize("role", ["reviewer", "admin"])
async def test_the_role_of_a_reviewer_is_enough(home: House, role: str) -> None:
    order_id = await handed_in(home)

    answer = await home.person("somebody", role).ok("approve", order_id=order_id)

    assert answer["order"]["state"] == "completed"


@pytest.mark.scenario("N26")
async def test_own_work_may_be_approved_where_the_type_does_not_forbid_it(home: House) -> None:
    alone = home.person("alone")
    order_id = await alone.propose()
    await alone.hand_in(await alone.take())

    answer = await alone.ok("approve", order_id=order_id)

    assert answer["applied"] is True


@pytest.mark.scenario("A9")
async def test_an_order_without_items_never_comes_to_be_approved(home: House) -> None:
    agent = home.person("agent")

    await agent.refused("propose", "invalid_plan", type="test.batch", payload={"batches": 0})

    assert (await agent.ok("list_orders"))["total"] == 0


# the packet


async def test_the_packet_shows_all_that_a_decision_is_about(home: House) -> None:
    # given
    requester, worker, reviewer = home.person("requester"), home.person("worker"), home.person("reviewer")
    order_id = await requester.propose("test.batch", {"batches": 1})
    slow = await home.person("slow").take()
    home.clock.forward(601)
    item = await worker.take()
    late = {"count": 9}
    await home.person("slow").refused("submit", "lease_lost", **lease(slow), result=late)
    await worker.hand_in(item, {"count": 4}, evidence={"log": "counted"}, notes="twice")

    # when
    packet = await reviewer.ok("review", order_id=order_id)

    # then
    [shown] = packet["items"]
    assert packet["order"]["payload"] == {"batches": 1}
    assert (shown["result"], shown["evidence"], shown["notes"]) == ({"count": 4}, {"log": "counted"}, "twice")
    assert [(one["attempt"], one["end"]) for one in shown["made_by"]] == [(1, "expired"), (2, "submitted")]
    assert [one["result"] for one in shown["late_results"]] == [late]
    assert packet["findings"] == []
    assert packet["preview"]["after"] == {"processed": 4, "batches": 1}
    assert packet["gate"]["approval"] == "manual"
    assert packet["gate"]["still_needed"] == 1


def lease(item: dict[str, Any]) -> dict[str, str]:
    return {"item_id": item["id"], "lease_token": item["lease"]["token"]}


async def test_without_an_id_review_lists_what_waits_for_a_reviewer(home: House) -> None:
    waiting = await handed_in(home)
    await home.person("requester").propose()

    answer = await home.person("reviewer").ok("review")

    assert [order["id"] for order in answer["orders"]] == [waiting]


async def test_an_order_with_findings_is_not_approved_and_the_refusal_carries_them(home: House) -> None:
    order_id = await handed_in(home, "test.batch", {"batches": 1}, {"count": 0})

    error = await home.person("reviewer").refused("approve", "not_ready", order_id=order_id)

    assert [(one["code"], one["path"]) for one in error["details"]["findings"]] == [("empty_batch", "/items/1")]
    assert await home.person("reader").state(order_id) == "submitted"


# the digest


@pytest.mark.scenario("digest-binds")
async def test_the_digest_that_was_shown_is_recorded_with_the_decision(home: House) -> None:
    order_id = await handed_in(home)
    reviewer = home.person("reviewer")
    digest = await digest_of(reviewer, order_id)

    await reviewer.ok("approve", order_id=order_id, digest=digest, comment="fine")

    decision = (await reviewer.ok("get_order", order_id=order_id))["decision"]
    assert (decision["verdict"], decision["digest"], decision["comment"]) == ("approve", digest, "fine")
    assert decision["by"] == {"type": "agent", "id": "reviewer"}


@pytest.mark.scenario("digest-binds")
async def test_the_digest_stays_the_same_while_nothing_moves(home: House) -> None:
    order_id = await handed_in(home)

    assert await digest_of(home.person("one"), order_id) == await digest_of(home.person("two"), order_id)


@pytest.mark.scenario("digest-binds")
async def test_another_result_makes_the_digest_stale(home: House) -> None:
    # given: what was reviewed is sent back and handed in anew
    order_id = await handed_in(home)
    reviewer, worker = home.person("reviewer"), home.person("worker")
    digest = await digest_of(reviewer, order_id)
    await reviewer.ok("reject", order_id=order_id, errors=WHY, rework=True)
    await worker.hand_in(await worker.take(), {"message": "better", "verified": True})

    # when
    error = await reviewer.refused("approve", "stale", order_id=order_id, digest=digest)

    # then
    assert error["details"] == {"moved": ["results"], "shown": digest, "now": await digest_of(reviewer, order_id)}
    assert await reviewer.state(order_id) == "submitted"


@pytest.mark.scenario("digest-binds")
async def test_another_preview_makes_the_digest_stale(home: House, tmp_path: Path) -> None:
    # given
    world = tmp_path / "world"
    world.write_text("as it was")
    order_id = await handed_in(home, "test.ledger", {"file": str(tmp_path / "ledger"), "shown": str(world)})
    reviewer = home.person("reviewer")
    digest = await digest_of(reviewer, order_id)

    # when
    world.write_text("as it is")

    # then
    await reviewer.refused("approve", "stale", order_id=order_id, digest=digest)
    assert "decision.recorded" not in await reviewer.event_names(order_id)


@pytest.mark.scenario("digest-binds")
async def test_another_version_of_the_type_makes_the_digest_stale(tmp_path: Path) -> None:
    def version(number: int) -> list[str]:
        file = tmp_path / f"v{number}.py"
        file.write_text(f"""
from workdocket import Diff, OrderType

class Versioned(OrderType):
    name = "test.versioned"
    version = {number}
    payload = {{"type": "object"}}

    def apply(self, order, ctx):
        return Diff.between(None, self.version)
""")
        return [str(TYPES), str(file)]

    # given
    async with house(tmp_path, order_types=version(1)) as home:
        order_id = await handed_in(home, "test.versioned", {})
        digest = await digest_of(home.person("reviewer"), order_id)

    # when
    async with house(tmp_path, order_types=version(2)) as home:
        await home.person("reviewer").refused("approve", "stale", order_id=order_id, digest=digest)

        # then
        assert await home.person("reader").state(order_id) == "submitted"


@pytest.mark.scenario("digest-binds", "drift-goes-back")
async def test_what_moved_between_approval_and_apply_is_not_applied_and_comes_back(home: House, tmp_path: Path) -> None:
    # given: review and approval see one world, apply another
    world = tmp_path / "world"
    world.write_text("calm\ncalm\nstormy")
    order_id = await handed_in(home, "test.fickle", {"file": str(world)})
    reviewer = home.person("reviewer")
    digest = await digest_of(reviewer, order_id)

    # when
    await reviewer.refused("approve", "stale", order_id=order_id, digest=digest)

    # then
    shown = await reviewer.ok("get_order", order_id=order_id)
    assert (shown["order"]["state"], shown["order"]["error"]["code"]) == ("submitted", "stale")
    assert "diff" not in shown
    drifted = shown["recent_events"][-1]
    assert (drifted["event"], drifted["from_state"], drifted["to_state"]) == ("order.drifted", "approved", "submitted")
    moved = {"approved": digest, "now": await digest_of(reviewer, order_id), "moved": ["preview"]}
    assert drifted["data"] == moved


@pytest.mark.scenario("drift-goes-back")
@pytest.mark.parametrize(
    "tool, arguments, state",
    [
        ("approve", {}, "completed"),
        ("reject", {"errors": WHY}, "rejected"),
        ("reject", {"errors": WHY, "rework": True}, "queued"),
        ("cancel", {}, "cancelled"),
    ],
)
async def test_a_drifted_order_can_be_decided_on_again(
    home: House, tmp_path: Path, tool: str, arguments: dict[str, Any], state: str
) -> None:
    world = tmp_path / "world"
    world.write_text("calm\nstormy")
    order_id = await handed_in(home, "test.fickle", {"file": str(world)})
    await home.person("reviewer").refused("approve", "stale", order_id=order_id)

    await home.person("requester").ok(tool, order_id=order_id, **arguments)

    assert await home.person("reader").state(order_id) == state


# approval by rule


@pytest.mark.scenario("auto-approval")
async def test_the_system_approves_what_nothing_is_found_against(home: House) -> None:
    order_id = await handed_in(home, "test.automatic", {"batches": 1}, {"count": 3})

    shown = await until.order_in(home.person("reader"), order_id, "completed")

    assert shown["decision"]["by"] == {"type": "system", "id": "workdocket"}
    decided = await until.event(home, home.person("reader"), order_id, "decision.recorded")
    assert decided["data"]["rule"] == "auto"
    assert shown["diff"]["after"] == {"processed": 3, "batches": 1}


@pytest.mark.scenario("auto-approval")
async def test_what_the_rule_does_not_approve_is_left_to_a_reviewer_with_the_reason(home: House) -> None:
    order_id = await handed_in(home, "test.automatic", {"batches": 1}, {"count": 0})
    reviewer = home.person("reviewer")

    deferred = await until.event(home, reviewer, order_id, "approval.deferred")

    assert [one["code"] for one in deferred["data"]["findings"]] == ["empty_batch"]
    assert await reviewer.state(order_id) == "submitted"


@pytest.mark.scenario("auto-approval")
async def test_after_a_rework_the_rule_decides_again(home: House) -> None:
    # given
    order_id = await handed_in(home, "test.automatic", {"batches": 1}, {"count": 0})
    reviewer, worker = home.person("reviewer"), home.person("worker")
    await until.event(home, reviewer, order_id, "approval.deferred")
    await reviewer.ok("reject", order_id=order_id, errors=WHY, rework=True)

    # when
    await worker.hand_in(await worker.take(), {"count": 5})

    # then
    await until.order_in(reviewer, order_id, "completed")


# four eyes, a quorum, a person


@pytest.mark.scenario("N26")
@pytest.mark.parametrize("name", ["requester", "worker"])
async def test_under_four_eyes_nobody_approves_what_they_proposed_or_worked_on(home: House, name: str) -> None:
    order_id = await handed_in(home, "test.four_eyes")

    error = await home.person(name, "admin").refused("approve", "self_approval", order_id=order_id)

    assert error["details"]["excluded"] == ["requester", "worker"]
    assert await home.person("reader").state(order_id) == "submitted"


async def test_under_four_eyes_an_earlier_holder_is_excluded_too(home: House) -> None:
    requester, worker = home.person("requester"), home.person("worker")
    order_id = await requester.propose("test.four_eyes")
    early = home.person("early")
    await early.ok("release", **lease(await early.take()))
    await worker.hand_in(await worker.take())

    await early.refused("approve", "self_approval", order_id=order_id)


async def test_a_quorum_of_two_takes_two_reviewers(home: House) -> None:
    order_id = await handed_in(home, "test.four_eyes")
    one, two = home.person("one"), home.person("two")

    first = await one.ok("approve", order_id=order_id)
    gate = (await two.ok("review", order_id=order_id))["gate"]
    second = await two.ok("approve", order_id=order_id)

    assert (first["order"]["state"], first["applied"]) == ("submitted", False)
    assert (gate["approved_by"], gate["still_needed"]) == (["one"], 1)
    assert (second["order"]["state"], second["applied"]) == ("completed", True)


async def test_one_reviewer_twice_is_no_quorum(home: House) -> None:
    order_id = await handed_in(home, "test.four_eyes")
    one = home.person("one")

    await one.ok("approve", order_id=order_id)
    again = await one.ok("approve", order_id=order_id)

    assert (again["order"]["state"], again["applied"]) == ("submitted", False)


@pytest.mark.scenario("digest-binds")
async def test_a_vote_for_what_was_sent_back_does_not_count_for_what_came_after(home: House) -> None:
    # given: one vote, then a rework
    order_id = await handed_in(home, "test.four_eyes")
    one, two, worker = home.person("one"), home.person("two"), home.person("worker")
    await one.ok("approve", order_id=order_id)
    await two.ok("reject", order_id=order_id, errors=WHY, rework=True)
    await worker.hand_in(await worker.take(), {"message": "better", "verified": True})

    # when
    answer = await two.ok("approve", order_id=order_id)

    # then
    assert answer["order"]["state"] == "submitted"
    assert (await one.ok("review", order_id=order_id))["gate"]["approved_by"] == ["two"]


async def test_a_vote_does_not_come_back_with_the_result_that_it_was_for(home: House) -> None:
    # given: one vote, then two rounds of rework that end where they began
    order_id = await handed_in(home, "test.four_eyes")
    one, two, worker = home.person("one"), home.person("two"), home.person("worker")
    before = await digest_of(one, order_id)
    await one.ok("approve", order_id=order_id)
    for result in ({"message": "other", "verified": True}, {"message": "hi", "verified": True}):
        await two.ok("reject", order_id=order_id, errors=[{"message": f"not {result['message']}"}], rework=True)
        await worker.hand_in(await worker.take(), result)

    # when
    answer = await two.ok("approve", order_id=order_id)

    # then
    assert await digest_of(two, order_id) == before
    assert answer["order"]["state"] == "submitted"


@pytest.mark.scenario("digest-binds")
async def test_votes_for_two_different_things_are_no_quorum(home: House, tmp_path: Path) -> None:
    # given: the world moves between the first vote and the second
    world = tmp_path / "world"
    world.write_text("calm\nstormy")
    order_id = await handed_in(home, "test.watched", {"file": str(world)})
    one, two = home.person("one"), home.person("two")
    await one.ok("approve", order_id=order_id)

    # when
    second = await two.ok("approve", order_id=order_id)
    third = await one.ok("approve", order_id=order_id)

    # then
    assert second["order"]["state"] == "submitted"
    assert third["order"]["state"] == "completed"


async def test_a_human_gate_does_not_open_for_an_agent_whatever_its_roles(home: House) -> None:
    order_id = await handed_in(home, "test.human")

    error = await home.person("robot", "admin").refused("approve", "forbidden", order_id=order_id)

    assert error["details"]["rule"] == "human"
    assert order_id in error["hint"]
    assert await home.person("reader").state(order_id) == "submitted"


async def test_a_human_gate_opens_for_a_person(home: House) -> None:
    order_id = await handed_in(home, "test.human")

    answer = await home.person("Maria", "reviewer", kind="user").ok("approve", order_id=order_id)

    assert answer["applied"] is True
