"""Subscribers are told what changed, in both eras, whoever changed it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError

from tests.support.doors import door, door_of, listening
from tests.support.harness import LIMIT, House, agent, held, house, server
from tests.support.process import START_LIMIT, Server
from workdocket.ports import EventQuery
from workdocket.surfaces import notices
from workdocket.surfaces.identity import local_caller
from workdocket.surfaces.server import Door

ERAS = pytest.mark.parametrize("mode", ["auto", "legacy"])
QUEUE = "workdocket://queue"


def order(order_id: str) -> str:
    return f"workdocket://orders/{order_id}"


def item(item_id: str) -> str:
    return f"workdocket://items/{item_id}"


# who is told what


@ERAS
@pytest.mark.scenario("told-of-changes")
async def test_who_listens_to_an_order_is_told_of_each_change(home: House, mode: str) -> None:
    work = home.person("ann")
    order_id = await work.propose()

    async with listening(door(home), mode, order(order_id)) as bob:
        taken = await work.take()
        assert await bob.next() == order(order_id)
        await work.hand_in(taken)
        assert await bob.next() == order(order_id)
        shown = await bob.client.read_resource(order(order_id), cache_mode="refresh")
        assert '"state":"submitted"' in shown.contents[0].text  # type: ignore[union-attr]


@ERAS
@pytest.mark.scenario("told-of-changes")
async def test_an_item_its_order_and_the_queue_are_told_of_apart(home: House, mode: str) -> None:
    work = home.person("ann")
    order_id = await work.propose("test.batch", {"batches": 2})
    one, other = f"{order_id}.1", f"{order_id}.2"

    async with listening(door(home), mode, order(order_id), item(one), item(other), QUEUE) as bob:
        await work.take(item_id=one)
        told = {await bob.next() for _ in range(3)}
        assert told == {order(order_id), item(one), QUEUE}


@ERAS
@pytest.mark.scenario("told-of-changes")
async def test_nobody_is_told_of_what_it_did_not_ask_for(home: House, mode: str) -> None:
    work = home.person("ann")
    mine, other = await work.propose(), await work.propose()

    async with listening(door(home), mode, order(mine)) as bob:
        await work.take(order_id=other)
        await work.take(order_id=mine)
        assert await bob.next() == order(mine)
        assert bob.told.empty()


@pytest.mark.scenario("told-of-changes")
async def test_what_many_changes_touch_is_told_once(home: House) -> None:
    work = home.person("ann")
    first, second = await work.propose(), await work.propose()
    await work.take(order_id=first)
    await work.ok("release", **held(await work.take(order_id=second)))
    events = await home.app.desk.store.read(lambda tx: tx.events(EventQuery(limit=500)))

    told = list(notices.notices(events))

    assert len(events) > len(told)
    assert [one.uri for one in told if isinstance(one, notices.ResourceUpdated)] == [
        order(first), QUEUE, order(second), item(first + ".1"), item(second + ".1"),
    ]  # fmt: skip
    assert told.count(notices.ResourcesListChanged()) == 1


@ERAS
@pytest.mark.scenario("told-across-processes")
async def test_a_change_by_another_process_is_told(tmp_path: Path, mode: str) -> None:
    # given two servers on one file, and a client of one that listens
    async with agent(tmp_path) as ann:
        order_id = (await ann.ok("propose", type="test.echo", payload={"message": "hi"}))["order"]["id"]
        async with listening(server(tmp_path), mode, order(order_id), QUEUE) as bob:
            # when the other one takes the item and hands it in
            [taken] = (await ann.ok("checkout"))["items"]
            assert {await bob.next(), await bob.next()} == {order(order_id), QUEUE}
            await ann.ok("submit", **held(taken), result={"message": "hi", "verified": True})
            # then the listener is told, and reads what it was told of
            await bob.until(order(order_id))
            shown = await bob.client.read_resource(order(order_id), cache_mode="refresh")
            assert '"state":"submitted"' in shown.contents[0].text  # type: ignore[union-attr]


@pytest.mark.scenario("told-across-processes")
async def test_two_doors_on_one_file_tell_of_each_other(tmp_path: Path) -> None:
    async with house(tmp_path) as here, house(tmp_path) as there:
        order_id = await there.person("ann").propose()
        async with (
            listening(door(here), "auto", order(order_id)) as bob,
            listening(door(there), "legacy", order(order_id)) as cat,
        ):
            await there.person("ann").take()
            assert (await bob.next(), await cat.next()) == (order(order_id), order(order_id))


# the list of resources


@pytest.mark.scenario("lists-honest")
async def test_the_list_of_open_orders_is_told_to_have_changed(home: House) -> None:
    work = home.person("ann")
    async with Client(door(home)) as bob, bob.listen(resources_list_changed=True) as told, asyncio.timeout(LIMIT):
        order_id = await work.propose()
        assert await anext(told) == notices.ResourcesListChanged()
        listed = (await bob.list_resources(cache_mode="refresh")).resources
        assert order(order_id) in [one.uri for one in listed]
        await work.ok("cancel", order_id=order_id)
        assert await anext(told) == notices.ResourcesListChanged()


@pytest.mark.scenario("lists-honest")
@pytest.mark.parametrize(("mode", "changing"), [("auto", {"resources"}), ("legacy", set())])
async def test_only_lists_that_are_told_of_are_said_to_change(home: House, mode: Any, changing: set[str]) -> None:
    async with Client(door(home), mode=mode) as bob:
        can = bob.server_capabilities

    lists = {"tools": can.tools, "prompts": can.prompts, "resources": can.resources}
    assert {name for name, one in lists.items() if one is not None and one.list_changed} == changing
    assert can.resources is not None
    assert can.resources.subscribe is True
    assert can.completions is not None


# what is refused


@pytest.mark.scenario("listening-bounded")
async def test_an_address_that_is_nothing_cannot_be_subscribed_to(home: House) -> None:
    async with listening(door(home), "legacy") as bob:
        for uri in (order("WO-7"), "workdocket://orders/wo-1", "workdocket://nothing", "file:///etc/passwd"):
            with pytest.raises(MCPError) as refusal:
                await bob.subscribe(uri)
            assert refusal.value.code == -32602
            assert refusal.value.error.data["uri"] == uri
            assert refusal.value.error.data["error"]["code"] == "not_found"


@pytest.mark.scenario("listening-bounded")
async def test_a_stream_acknowledges_only_what_it_can_tell_of(home: House) -> None:
    wanted = [order("WO-7"), "workdocket://nothing", "file:///etc/passwd", QUEUE]
    async with Client(door(home)) as bob, bob.listen(resource_subscriptions=wanted) as told:
        assert told.honored.resource_subscriptions == [order("WO-7"), QUEUE]


@pytest.mark.scenario("listening-bounded")
async def test_more_addresses_than_allowed_are_refused(home: House) -> None:
    many = [order(f"WO-{n}") for n in range(1, notices.MOST_ADDRESSES + 2)]
    work = home.person("ann")
    for _ in many:
        await work.propose("test.free", {})

    async with Client(door(home)) as bob:
        with pytest.raises(MCPError) as refusal:
            async with bob.listen(resource_subscriptions=many):
                pass
        assert refusal.value.error.data["error"]["code"] == "limit_exceeded"
    async with listening(door(home), "legacy", *many[:-1], many[0]) as cat:
        with pytest.raises(MCPError) as refusal:
            await cat.subscribe(many[-1])
        assert refusal.value.error.data["error"]["code"] == "limit_exceeded"
        await cat.unsubscribe(many[0])
        await cat.subscribe(many[-1])


@pytest.mark.scenario("listening-bounded")
async def test_one_principal_opens_so_many_streams_and_another_one_still_can(home: House) -> None:
    callers = [local_caller("ann"), local_caller("bob")]
    shared = Door(home.app, lambda: callers[0])
    async with Client(shared) as ann, AsyncExitStack() as open_streams:
        for _ in range(notices.MOST_STREAMS):
            await open_streams.enter_async_context(ann.listen(resource_subscriptions=[QUEUE]))
        with pytest.raises(MCPError) as refusal:
            await open_streams.enter_async_context(ann.listen(resource_subscriptions=[QUEUE]))
        assert refusal.value.error.data["error"]["code"] == "limit_exceeded"
        callers.pop(0)
        await open_streams.enter_async_context(ann.listen(resource_subscriptions=[QUEUE]))


@ERAS
@pytest.mark.scenario("roles-listed")
async def test_a_caller_without_a_role_is_told_nothing(home: House, mode: str) -> None:
    nobody = door_of(home, local_caller("nobody", []))
    with pytest.raises(ExceptionGroup) as group:
        async with listening(nobody, mode, QUEUE):
            pass

    [refusal] = leaves(group.value)
    assert isinstance(refusal, MCPError)
    assert refusal.error.data["error"]["code"] == "forbidden"


def leaves(group: BaseException) -> list[BaseException]:
    return (
        [leaf for one in group.exceptions for leaf in leaves(one)] if isinstance(group, BaseExceptionGroup) else [group]
    )


# what it costs, and how it ends


@ERAS
@pytest.mark.scenario("listening-bounded")
async def test_the_log_is_followed_only_while_somebody_listens(home: House, mode: str) -> None:
    shared = door(home)

    async with Client(shared, mode=mode) as bob:
        await bob.list_resources()
        await bob.read_resource(QUEUE)
        await bob.call_tool("checkout", {})
        assert jobs() == set()
    async with listening(shared, mode, QUEUE) as cat:
        await home.person("ann").propose()
        await cat.next()
        assert f"{notices.__name__}.Follower.run" in jobs()
    async with asyncio.timeout(LIMIT):
        while jobs():  # noqa: ASYNC110 - the end of a task sets no event
            await asyncio.sleep(0)


def jobs() -> set[str]:
    """What runs for subscribers."""
    return {name for task in asyncio.all_tasks() if (name := task.get_name()).startswith(notices.__name__)}


@pytest.mark.scenario("told-of-changes")
async def test_who_unsubscribes_is_told_nothing_more(home: House) -> None:
    work = home.person("ann")
    one, other = await work.propose(), await work.propose()
    async with listening(door(home), "legacy", order(one), order(other)) as bob:
        await bob.unsubscribe(order(one))
        await bob.unsubscribe("workdocket://orders/WO-99")
        await work.take(order_id=one)
        await work.take(order_id=other)
        assert await bob.next() == order(other)
        await bob.unsubscribe(order(other))
        await bob.subscribe(order(one))
        await work.ok("cancel", order_id=one)
        assert await bob.next() == order(one)


@pytest.mark.scenario("listening-ends")
async def test_the_door_ends_open_streams_and_opens_no_more(home: House) -> None:
    shared = door(home)
    async with Client(shared) as bob, bob.listen(resource_subscriptions=[QUEUE]) as told:
        shared.close_streams()
        async with asyncio.timeout(LIMIT):
            assert [event async for event in told] == []
        with pytest.raises(MCPError) as refusal:
            async with bob.listen(resource_subscriptions=[QUEUE]):
                pass
        assert refusal.value.error.data["error"]["code"] == "busy"
    async with listening(shared, "legacy") as cat:
        with pytest.raises(MCPError):
            await cat.subscribe(QUEUE)


MODERN = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
    "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "1"},
}


@ERAS
@pytest.mark.scenario("ends-in-time")
async def test_a_server_that_somebody_listens_to_ends_with_its_pipe(tmp_path: Path, mode: str) -> None:
    # given a server process with a listener
    process = await Server.start(tmp_path)
    try:
        if mode == "legacy":
            await process.greet()
            await process.request("resources/subscribe", uri=QUEUE)
        else:
            process.begin(
                "subscriptions/listen", {"_meta": MODERN, "notifications": {"resourceSubscriptions": [QUEUE]}}
            )
            asking = {"_meta": MODERN, "name": "checkout", "arguments": {}}
            async with asyncio.timeout(START_LIMIT):
                while b"notifications/subscriptions/acknowledged" not in process.written:
                    await process.begin("tools/call", asking)
        # when its client closes the pipe
        process.close_stdin()
        # then it ends as always
        assert await process.ended() == 0
    finally:
        await process.kill()
