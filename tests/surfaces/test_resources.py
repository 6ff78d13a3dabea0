"""What can be read by an address: the same as the tools show to the same caller, and refused the same way."""

from __future__ import annotations

import json
from typing import Any

import pytest
from mcp import Client, MCPError
from mcp.types import Resource

from tests.support.doors import door, door_of, visit
from tests.support.harness import House
from workdocket.surfaces import resources
from workdocket.surfaces.identity import local_caller
from workdocket.surfaces.server import INSTRUCTIONS
from workdocket.surfaces.tools import TOOLS

ERAS = pytest.mark.parametrize("mode", ["auto", "legacy"])


async def shown(client: Client, uri: str) -> Any:
    [content] = (await client.read_resource(uri)).contents
    assert (content.uri, content.mime_type) == (uri, "application/json")
    return json.loads(content.text)  # type: ignore[union-attr]


async def refusal(client: Client, uri: str) -> MCPError:
    with pytest.raises(MCPError) as refused:
        await client.read_resource(uri)
    assert refused.value.error.data["uri"] == uri
    return refused.value


async def every_resource(client: Client) -> list[list[Resource]]:
    """The pages."""
    pages, cursor = [], None
    while True:
        page = await client.list_resources(cursor=cursor)
        pages.append(page.resources)
        cursor = page.next_cursor
        if cursor is None:
            return pages


# what there is to know before anything is called


@ERAS
@pytest.mark.scenario("instructions")
async def test_the_instructions_reach_a_client_of_either_era(home: House, mode: Any) -> None:
    async with Client(door(home), mode=mode) as ann:
        assert ann.instructions == INSTRUCTIONS

    assert len(INSTRUCTIONS) < 1_500
    assert [line[:2] for line in INSTRUCTIONS.splitlines()[1:]] == ["1.", "2.", "3.", "4.", "5."]


# reading


@ERAS
@pytest.mark.scenario("resources-as-tools")
async def test_an_address_shows_what_the_tool_of_the_same_thing_answers(home: House, mode: Any) -> None:
    async with visit(home, mode=mode) as ann:
        filed = await ann.ok("propose", type="test.batch", payload={"batches": 2}, meta={"source": "grün"})
        order_id, item_id = filed["order"]["id"], filed["items"][0]["id"]
        await ann.ok("checkout")

        assert await shown(ann.client, f"workdocket://orders/{order_id}") == await ann.ok(
            "get_order", order_id=order_id
        )
        assert await shown(ann.client, f"workdocket://items/{item_id}") == await ann.ok("get_item", item_id=item_id)
        assert await shown(ann.client, "workdocket://types/test.batch") == await ann.ok(
            "order_types", name="test.batch"
        )


@ERAS
@pytest.mark.scenario("resources-as-tools")
async def test_the_queue_shows_what_is_ready_and_what_awaits_review(home: House, mode: Any) -> None:
    work = home.person("ann")
    ready, submitted, taken = [await work.propose() for _ in range(3)]
    await work.hand_in(await work.take(order_id=submitted))
    await work.take(order_id=taken)

    async with Client(door(home), mode=mode) as ann:
        queue = await shown(ann, "workdocket://queue")

    assert queue["items"] == {"ready": 1, "leased": 1}
    assert [order["id"] for order in queue["ready"]["orders"]] == [ready]
    assert [order["id"] for order in queue["awaiting_review"]["orders"]] == [submitted]
    assert (queue["ready"]["total"], queue["awaiting_review"]["total"]) == (1, 1)
    assert {"available", "leased", "awaiting_review"} <= {reason["code"] for reason in queue["reasons"]}


@ERAS
@pytest.mark.scenario("resources-as-tools")
@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("workdocket://orders/WO-7", "not_found"),
        ("workdocket://items/WO-7.1", "not_found"),
        ("workdocket://types/test.ecco", "unknown_type"),
        ("workdocket://orders/wo-1", "not_found"),
        ("workdocket://orders/../items/WO-1.1", "not_found"),
        ("workdocket://orders/", "not_found"),
        ("workdocket://queue/1", "not_found"),
        ("workdocket://", "not_found"),
        ("orders/WO-1", "not_found"),
        ("file:///etc/passwd", "not_found"),
    ],
)
async def test_an_unknown_address_is_refused_by_name(home: House, mode: Any, uri: str, code: str) -> None:
    async with Client(door(home), mode=mode) as ann:
        error = await refusal(ann, uri)

    assert error.code == -32602
    assert error.error.data["error"]["code"] == code
    assert error.message.startswith(f"{code}: ")


@ERAS
@pytest.mark.scenario("resources-as-tools")
async def test_a_long_thing_is_cut_as_the_tools_cut_it(home: House, mode: Any) -> None:
    work = home.person("ann")
    long = {"text": "x" * 40_000}
    for _ in range(12):
        order_id = await work.propose("test.free", long, meta=long)

    async with Client(door(home), mode=mode) as ann:
        for uri in (f"workdocket://orders/{order_id}", f"workdocket://items/{order_id}.1", "workdocket://queue"):
            assert len(json.dumps(await shown(ann, uri))) < 25_000


@ERAS
@pytest.mark.scenario("roles-listed")
@pytest.mark.parametrize("uri", ["workdocket://queue", "workdocket://orders/WO-1", "workdocket://types/test.echo"])
async def test_a_caller_without_a_role_sees_and_reads_nothing(home: House, mode: Any, uri: str) -> None:
    await home.person("ann").propose()
    async with Client(door_of(home, local_caller("nobody", [])), mode=mode) as nobody:
        error = await refusal(nobody, uri)
        listed = await nobody.list_resources()
        templates = await nobody.list_resource_templates()

    assert error.code == -32600
    assert error.error.data["error"]["code"] == "forbidden"
    assert (listed.resources, templates.resource_templates) == ([], [])


@pytest.mark.scenario("roles-listed")
@pytest.mark.parametrize("role", ["requester", "worker", "reviewer"])
async def test_every_role_reads_what_its_tools_would_show(home: House, role: str) -> None:
    order_id = await home.person("ann").propose()
    async with visit(home, "bob", role) as bob:
        for uri in ("workdocket://queue", f"workdocket://orders/{order_id}", f"workdocket://items/{order_id}.1"):
            assert await shown(bob.client, uri)


# listing


@ERAS
@pytest.mark.scenario("resources-listed")
async def test_everything_listed_is_described_and_can_be_read(home: House, mode: Any) -> None:
    order_id = await home.person("ann").propose()
    async with Client(door(home), mode=mode) as ann:
        [listed] = await every_resource(ann)
        templates = (await ann.list_resource_templates()).resource_templates
        for one in listed:
            assert await shown(ann, one.uri)

    assert [one.uri_template for one in templates] == [
        "workdocket://orders/{id}", "workdocket://items/{id}", "workdocket://types/{name}",
    ]  # fmt: skip
    types = [one.name for one in home.app.registry]
    names = ["workdocket://queue", *(f"workdocket://types/{name}" for name in types), f"workdocket://orders/{order_id}"]
    assert [one.uri for one in listed] == names
    for entry in (*listed, *templates):
        assert entry.name
        assert entry.title
        assert entry.description
        assert entry.mime_type == "application/json"
        assert entry.annotations is not None
        assert entry.annotations.audience == ["user", "assistant"]
        assert entry.annotations.priority is not None


@ERAS
@pytest.mark.scenario("resources-listed")
async def test_open_orders_are_listed_page_by_page_from_the_newest_on(home: House, mode: Any) -> None:
    # given more open orders than fit on a page, and some that are over
    work = home.person("ann")
    orders = [await work.propose("test.free", {}) for _ in range(resources.PAGE + 5)]
    for order_id in orders[:3]:
        await work.ok("cancel", order_id=order_id)
    # when a client reads every page, and an order is filed meanwhile
    async with Client(door(home), mode=mode) as ann:
        first = await ann.list_resources()
        await work.propose("test.free", {})
        second = await ann.list_resources(cursor=first.next_cursor)
    # then each is there once
    listed = [one.name for one in (*first.resources, *second.resources) if one.uri.startswith("workdocket://orders")]
    assert listed == list(reversed(orders[3:]))
    assert second.next_cursor is None


@pytest.mark.scenario("resources-listed")
async def test_no_more_than_the_newest_orders_are_listed(home: House) -> None:
    work = home.person("ann")
    for _ in range(resources.MOST_LISTED + 1):
        newest = await work.propose("test.free", {})

    async with Client(door(home)) as ann:
        pages = await every_resource(ann)

    listed = [one.name for page in pages for one in page if one.uri.startswith("workdocket://orders")]
    assert len(pages) == resources.MOST_LISTED / resources.PAGE
    assert (len(listed), listed[0]) == (resources.MOST_LISTED, newest)
    assert "WO-1" not in listed


@ERAS
@pytest.mark.scenario("resources-listed")
@pytest.mark.parametrize(
    "cursor", ["", "x", "WzFd", "WzEsIDk5OTld", "WyIxIiwgNV0", "W3RydWUsIDVd", "bnVsbA", "é", "W" * 5_000]
)
async def test_a_cursor_that_nobody_gave_out_is_refused(home: House, mode: Any, cursor: str) -> None:
    async with Client(door(home), mode=mode) as ann:
        with pytest.raises(MCPError) as refused:
            await ann.list_resources(cursor=cursor)

    assert refused.value.code == -32602
    assert [finding["path"] for finding in refused.value.error.data["error"]["details"]["findings"]] == ["/cursor"]


@ERAS
@pytest.mark.scenario("resources-listed")
async def test_the_other_lists_take_a_cursor_and_answer_whole(home: House, mode: Any) -> None:
    async with Client(door(home), mode=mode) as ann:
        tools = await ann.list_tools(cursor="anything")
        templates = await ann.list_resource_templates(cursor="anything")
        prompts = await ann.list_prompts(cursor="anything")

    assert (len(tools.tools), len(templates.resource_templates), len(prompts.prompts)) == (len(TOOLS), 3, 3)
    assert (tools.next_cursor, templates.next_cursor, prompts.next_cursor) == (None, None, None)
