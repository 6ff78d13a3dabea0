"""Who may do what: a role sees its tools and no others, and no argument makes a caller somebody else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.doors import stored, visit
from tests.support.harness import House, agent, held
from workdocket import WorkError
from workdocket.surfaces.identity import local_caller

READ = {"order_types", "list_orders", "get_order", "get_item", "explain", "events"}
REQUEST = {"propose", "cancel"}
WORK = {"checkout", "my_work", "heartbeat", "submit", "submit_part", "finalize", "release", "fail"}
DECIDE = {"review", "approve", "reject", "waive", "undo", "retry"}
TOOLS_OF = {
    "requester": READ | REQUEST,
    "worker": READ | WORK,
    "reviewer": READ | DECIDE,
    "admin": READ | REQUEST | WORK | DECIDE,
}
ARGUMENTS: dict[str, dict[str, Any]] = {
    "propose": {"type": "test.echo", "payload": {"message": "hi"}},
    "cancel": {"order_id": "WO-1"},
    "checkout": {},
    "my_work": {},
    "heartbeat": {"item_id": "WO-1.1", "lease_token": "token-2"},
    "submit": {"item_id": "WO-1.1", "lease_token": "token-2", "result": {"message": "x", "verified": True}},
    "submit_part": {"item_id": "WO-1.1", "lease_token": "token-2", "part_key": "k", "payload": {}},
    "finalize": {"item_id": "WO-1.1", "lease_token": "token-2"},
    "release": {"item_id": "WO-1.1", "lease_token": "token-2"},
    "fail": {"item_id": "WO-1.1", "lease_token": "token-2", "reason": "no"},
    "review": {},
    "approve": {"order_id": "WO-1"},
    "reject": {"order_id": "WO-1", "errors": [{"message": "no"}]},
    "waive": {"item_id": "WO-1.1", "reason": "no"},
    "undo": {"order_id": "WO-1"},
    "retry": {"order_id": "WO-1"},
}


@pytest.mark.scenario("roles-listed")
@pytest.mark.parametrize("role", TOOLS_OF)
async def test_a_role_is_shown_its_own_tools_only(home: House, role: str) -> None:
    async with visit(home, "ann", role) as ann:
        listed = {tool.name for tool in (await ann.client.list_tools()).tools}

    assert listed == TOOLS_OF[role]


@pytest.mark.scenario("roles-listed")
async def test_two_roles_are_shown_the_tools_of_both(home: House) -> None:
    async with visit(home, "ann", "worker", "reviewer") as ann:
        listed = {tool.name for tool in (await ann.client.list_tools()).tools}

    assert listed == READ | WORK | DECIDE


@pytest.mark.scenario("roles-listed")
@pytest.mark.parametrize("role", ["requester", "worker", "reviewer"])
async def test_a_tool_of_another_role_is_forbidden_and_does_nothing(home: House, tmp_path: Path, role: str) -> None:
    # given an order with an item that the caller itself holds
    everyone = home.person("ann")
    await everyone.propose()
    await everyone.take()
    before = stored(tmp_path)

    async with visit(home, "ann", role) as ann:
        for tool in sorted(TOOLS_OF["admin"] - TOOLS_OF[role]):
            error = await ann.refused(tool, **ARGUMENTS[tool])
            assert error["code"] == "forbidden", tool
            assert error["details"]["role"] in ("requester", "worker", "reviewer")

    assert stored(tmp_path) == before


@pytest.mark.scenario("roles-listed")
async def test_what_is_forbidden_is_so_whatever_the_arguments_are(home: House) -> None:
    async with visit(home, "ann", "worker") as ann:
        for arguments in ({}, {"nonsense": 1}, {"order_id": "WO-99"}):
            assert (await ann.refused("approve", **arguments))["code"] == "forbidden"


@pytest.mark.scenario("P13")
@pytest.mark.parametrize("role", ["worker", "reviewer"])
async def test_who_may_not_propose_files_nothing(home: House, role: str) -> None:
    ann = home.person("ann", role)

    await ann.refused("propose", "forbidden", type="test.echo", payload={"message": "hi"})

    assert (await ann.ok("list_orders"))["total"] == 0


@pytest.mark.scenario("C11")
@pytest.mark.parametrize("role", ["requester", "reviewer"])
async def test_who_may_not_work_gets_no_item(home: House, role: str) -> None:
    order_id = await home.person("ann").propose()

    refusal = await home.person("bob", role).refused("checkout", "forbidden", order_id=order_id)

    assert refusal["details"]["role"] == "worker"
    assert await home.person("ann").state(order_id) == "queued"


@pytest.mark.scenario("roles-listed")
async def test_a_requester_cancels_own_orders_only(home: House) -> None:
    ann, bob = home.person("ann", "requester"), home.person("bob", "requester")
    hers, his = await ann.propose(), await bob.propose()

    await ann.refused("cancel", "forbidden", order_id=his)
    await ann.ok("cancel", order_id=hers)
    await home.person("root", "admin").ok("cancel", order_id=his)


@pytest.mark.scenario("roles-listed")
@pytest.mark.parametrize("name", ["actor", "actor_id", "role", "roles", "user"])
async def test_no_argument_says_who_the_caller_is(home: House, name: str) -> None:
    await home.person("ann").refused("checkout", "invalid_request", **{name: "admin"})


@pytest.mark.scenario("roles-listed")
async def test_a_label_for_the_log_changes_nobodys_identity(home: House) -> None:
    ann, bob = home.person("ann"), home.person("bob")
    await ann.propose("test.four_eyes", {"message": "hi"})
    await bob.hand_in(await bob.take(agent="somebody else"))

    await bob.refused("approve", "self_approval", order_id="WO-1")
    [leased] = (await ann.ok("events", event="item.leased"))["events"]
    assert (leased["actor_id"], leased["agent"]) == ("bob", "somebody else")


@pytest.mark.scenario("roles-listed")
async def test_a_server_started_for_one_role_shows_that_roles_tools(tmp_path: Path) -> None:
    async with agent(tmp_path, "--role", "worker", "--actor", "ann") as worker:
        listed = {tool.name for tool in (await worker.client.list_tools()).tools}
        await worker.refused("approve", "forbidden", order_id="WO-1")
        await worker.refused("propose", "forbidden", type="test.free", payload={})

    assert listed == TOOLS_OF["worker"]


@pytest.mark.scenario("roles-listed")
async def test_the_holder_of_a_lease_needs_the_role_all_the_same(home: House) -> None:
    await home.person("ann").propose()
    item = await home.person("ann").take()

    await home.person("ann", "requester").refused("release", "forbidden", **held(item))


@pytest.mark.scenario("roles-listed")
def test_an_unknown_role_is_refused_at_the_start() -> None:
    with pytest.raises(WorkError, match="there is no role boss"):
        local_caller("ann", ["boss"])
