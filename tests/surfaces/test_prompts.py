"""Prompts lead an agent through the tools, and what is typed into them and into addresses is completed."""

from __future__ import annotations

import re
from typing import Any

import pytest
from mcp import Client, MCPError
from mcp.types import PromptReference, ResourceTemplateReference

from tests.support.doors import door, door_of, visit
from tests.support.harness import House
from workdocket.surfaces.identity import ROLES, local_caller
from workdocket.surfaces.prompts import PROMPTS

ERAS = pytest.mark.parametrize("mode", ["auto", "legacy"])
OFFERED = {
    "worker": {"work_the_queue"},
    "reviewer": {"review_orders"},
    "requester": {"propose_order"},
    "admin": {"work_the_queue", "review_orders", "propose_order"},
}
ITEMS = ResourceTemplateReference(uri="workdocket://items/{id}")
ORDERS = ResourceTemplateReference(uri="workdocket://orders/{id}")
TYPES = ResourceTemplateReference(uri="workdocket://types/{name}")


async def text_of(client: Client, name: str, **arguments: str) -> str:
    [message] = (await client.get_prompt(name, arguments)).messages
    assert (message.role, message.content.type) == ("user", "text")
    return message.content.text  # type: ignore[union-attr]


async def refused(client: Client, name: str, **arguments: str) -> dict[str, Any]:
    with pytest.raises(MCPError) as refusal:
        await client.get_prompt(name, arguments)
    error: dict[str, Any] = refusal.value.error.data["error"]
    return {**error, "rpc": refusal.value.code}


# prompts


@ERAS
@pytest.mark.scenario("prompts")
async def test_every_prompt_and_argument_is_described(home: House, mode: Any) -> None:
    async with Client(door(home), mode=mode) as ann:
        prompts = {prompt.name: prompt for prompt in (await ann.list_prompts()).prompts}

    assert set(prompts) == {"work_the_queue", "review_orders", "propose_order"}
    for prompt in prompts.values():
        assert prompt.title
        assert prompt.description
        assert prompt.arguments
        assert all(argument.description for argument in prompt.arguments)
    needed = {name: [one.name for one in prompt.arguments or [] if one.required] for name, prompt in prompts.items()}
    assert needed == {"work_the_queue": [], "review_orders": [], "propose_order": ["type"]}


@pytest.mark.scenario("prompts", "roles-listed")
@pytest.mark.parametrize("role", ROLES)
async def test_a_role_is_offered_what_it_can_do(home: House, role: str) -> None:
    async with visit(home, "ann", role) as ann:
        offered = {prompt.name for prompt in (await ann.client.list_prompts()).prompts}
        for name in sorted(set(PROMPTS) - offered):
            error = await refused(ann.client, name, type="test.echo")
            assert (error["code"], error["rpc"]) == ("forbidden", -32600)

    assert offered == OFFERED[role]


@pytest.mark.scenario("prompts")
@pytest.mark.parametrize("name", PROMPTS)
async def test_a_prompt_names_only_tools_that_its_role_has(home: House, name: str) -> None:
    spec = PROMPTS[name]
    async with visit(home, "ann", *spec.roles) as ann:
        has = {tool.name for tool in (await ann.client.list_tools()).tools}
        text = await text_of(ann.client, name, **({"type": "test.echo"} if spec.required else {}))

    called = set(re.findall(r"\b([a-z_]+)\(", text))
    assert len(called) >= 3
    assert called <= has


@ERAS
@pytest.mark.scenario("prompts")
async def test_arguments_narrow_what_the_text_asks_for(home: House, mode: Any) -> None:
    order_id = await home.person("ann").propose()
    async with Client(door(home), mode=mode) as ann:
        whole = await text_of(ann, "work_the_queue")
        narrow = await text_of(ann, "work_the_queue", type="test.echo", order_id=order_id.lower(), count="3")
        review = await text_of(ann, "review_orders", order_id=order_id)
        propose = await text_of(ann, "propose_order", type="test.echo", wish="say {hello}")

    assert "call checkout()" in whole.lower()
    assert "nothing is left" in whole
    assert f"checkout(type='test.echo', order_id='{order_id}')" in narrow
    assert "3 are done" in narrow
    assert f"It is {order_id}." in review
    assert "order_types(name='test.echo')" in propose
    assert "say {hello}" in propose


@ERAS
@pytest.mark.scenario("prompts")
@pytest.mark.parametrize(
    ("name", "arguments", "code", "paths"),
    [
        ("work_the_queue", {"typ": "test.echo"}, "invalid_request", ["/typ"]),
        ("work_the_queue", {"count": "many"}, "invalid_request", ["/count"]),
        ("work_the_queue", {"count": "0"}, "invalid_request", ["/count"]),
        ("work_the_queue", {"count": "٣" * 5000}, "invalid_request", ["/count"]),
        ("work_the_queue", {"type": "test.ecco"}, "unknown_type", []),
        ("review_orders", {"order_id": "WO-7"}, "not_found", []),
        ("propose_order", {}, "invalid_request", ["/type"]),
        ("propose_order", {"type": " "}, "invalid_request", ["/type"]),
        ("propose_order", {"type": "test.echo", "wish": "x" * 6_000}, "invalid_request", ["/wish"]),
        ("work_the_que", {}, "not_found", []),
    ],
)
async def test_what_a_prompt_does_not_take_is_refused(
    home: House, mode: Any, name: str, arguments: dict[str, str], code: str, paths: list[str]
) -> None:
    async with Client(door(home), mode=mode) as ann:
        error = await refused(ann, name, **arguments)

    assert (error["code"], error["rpc"]) == (code, -32602)
    assert [finding["path"] for finding in error.get("details", {}).get("findings", [])] == paths


# completion


async def values(client: Client, ref: Any, name: str, typed: str, **given: str) -> list[str]:
    found = (await client.complete(ref, {"name": name, "value": typed}, given or None)).completion
    assert found.has_more is False
    assert found.total == len(found.values)
    return found.values


@ERAS
@pytest.mark.scenario("completion")
async def test_names_of_types_are_completed_in_prompts_and_addresses(home: House, mode: Any) -> None:
    async with Client(door(home), mode=mode) as ann:
        for ref, name in ((PromptReference(name="propose_order"), "type"), (TYPES, "name")):
            assert await values(ann, ref, name, "test.ec") == ["test.echo"]
            assert await values(ann, ref, name, "ECHO") == ["test.echo"]
            assert await values(ann, ref, name, "no such") == []
            assert await values(ann, ref, name, "") == home.app.registry.names()


@ERAS
@pytest.mark.scenario("completion")
async def test_ids_are_completed_newest_first(home: House, mode: Any) -> None:
    work = home.person("ann")
    for n in range(1, 12):
        await work.propose("test.batch", {"batches": 2} if n in (1, 10) else {"batches": 1})

    async with Client(door(home), mode=mode) as ann:
        assert await values(ann, ORDERS, "id", "WO-1") == ["WO-11", "WO-10", "WO-1"]
        assert await values(ann, ORDERS, "id", "wo-2") == ["WO-2"]
        assert await values(ann, ORDERS, "id", "10") == ["WO-10"]
        assert await values(ann, ORDERS, "id", "%") == []
        assert await values(ann, ITEMS, "id", "WO-1") == ["WO-11.1", "WO-10.1", "WO-10.2", "WO-1.1", "WO-1.2"]
        assert await values(ann, ITEMS, "id", "WO-1.") == ["WO-1.1", "WO-1.2"]
        assert await values(ann, ITEMS, "id", "WO-10.2") == ["WO-10.2"]


@ERAS
@pytest.mark.scenario("completion")
async def test_ids_suit_the_prompt_and_what_was_given_before(home: House, mode: Any) -> None:
    work = home.person("ann")
    echo, free, done = await work.propose(), await work.propose("test.free", {}), await work.propose()
    await work.ok("cancel", order_id=done)
    await work.hand_in(await work.take(order_id=echo))
    queue, review = PromptReference(name="work_the_queue"), PromptReference(name="review_orders")

    async with Client(door(home), mode=mode) as ann:
        assert await values(ann, queue, "order_id", "") == [free, echo]
        assert await values(ann, queue, "order_id", "", type="test.free") == [free]
        assert await values(ann, review, "order_id", "") == [echo]
        assert await values(ann, ORDERS, "id", "") == [done, free, echo]
        assert await values(ann, queue, "count", "1") == []


@pytest.mark.scenario("completion")
async def test_of_many_values_a_hundred_are_shown_and_all_are_counted(home: House) -> None:
    work = home.person("ann")
    await work.propose("test.batch", {"batches": 101})
    for _ in range(100):
        await work.propose("test.free", {})

    async with Client(door(home)) as ann:
        for ref, typed, total in ((ORDERS, "WO-", 101), (ITEMS, "WO-1.", 101), (ITEMS, "", 201)):
            found = (await ann.complete(ref, {"name": "id", "value": typed})).completion
            assert (len(found.values), found.total, found.has_more) == (100, total, True)


@ERAS
@pytest.mark.scenario("completion")
@pytest.mark.parametrize(
    ("ref", "name", "code"),
    [
        (PromptReference(name="no_such"), "type", "not_found"),
        (PromptReference(name="work_the_queue"), "wish", "invalid_request"),
        (ResourceTemplateReference(uri="workdocket://queue"), "id", "not_found"),
        (ResourceTemplateReference(uri="file:///{path}"), "path", "not_found"),
        (ITEMS, "name", "invalid_request"),
    ],
)
async def test_what_cannot_be_completed_is_refused(home: House, mode: Any, ref: Any, name: str, code: str) -> None:
    async with Client(door(home), mode=mode) as ann:
        with pytest.raises(MCPError) as refusal:
            await ann.complete(ref, {"name": name, "value": ""})

    assert refusal.value.code == -32602
    assert refusal.value.error.data["error"]["code"] == code


@pytest.mark.scenario("completion", "roles-listed")
async def test_a_caller_is_completed_nothing_that_it_could_not_read(home: House) -> None:
    await home.person("ann").propose()
    async with Client(door_of(home, local_caller("nobody", []))) as nobody:
        for ref, name in ((ORDERS, "id"), (PromptReference(name="work_the_queue"), "order_id")):
            with pytest.raises(MCPError) as refusal:
                await nobody.complete(ref, {"name": name, "value": ""})
            assert refusal.value.error.data["error"]["code"] == "forbidden"
