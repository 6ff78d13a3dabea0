"""The tools as a client meets them: how they are described, what they answer, and how they refuse."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.support.doors import Visitor, stored, visit
from tests.support.harness import House, agent, held, house
from workdocket.domain.errors import CATALOGUE
from workdocket.schema import Validator

ERAS = pytest.mark.parametrize(("mode", "version"), [("auto", "2026-07-28"), ("legacy", "2025-11-25")])
FRAMEWORK = re.compile(r"Traceback|sqlite|pydantic|jsonschema|workdocket\.|site-packages|SELECT |\.py\b", re.IGNORECASE)


async def tour(home: House, ann: Visitor) -> None:
    """Every tool, called the way a day's work goes."""
    # what there is
    await ann.ok("order_types")
    await ann.ok("order_types", name="test.partial")
    await ann.ok("checkout")
    # a batch: one item fails once, both are handed in, one is sent back until it stops, and all is applied
    await ann.ok("propose", type="test.batch", payload={"batches": 2}, validate_only=True)
    batch = (await ann.ok("propose", type="test.batch", payload={"batches": 2}, priority=9, meta={"source": "x"}))[
        "order"
    ]
    first, second = (await ann.ok("checkout", count=2, agent="helper"))["items"]
    await ann.ok("my_work")
    await ann.ok("heartbeat", **held(first), progress=0.5, note="half way")
    await ann.ok("submit", **held(first), result={"count": 1}, validate_only=True)
    await ann.ok("submit", **held(first), result={"count": 1}, evidence=["log"], notes="fine")
    await ann.ok("fail", **held(second), reason="no luck")
    await ann.ok("explain", item_id=second["id"])
    await ann.ok("explain", order_id=batch["id"])
    home.clock.forward(3600)
    await ann.ok("release", **held((await ann.ok("checkout"))["items"][0]), reason="lunch")
    await ann.ok("submit", **held((await ann.ok("checkout"))["items"][0]), result={"count": 2})
    await ann.ok("review")
    await ann.ok("review", order_id=batch["id"])
    more = [{"message": "more", "item_id": first["id"]}]
    await ann.ok("reject", order_id=batch["id"], errors=more, rework=True)
    await ann.ok("my_work")
    await ann.ok("submit", **held((await ann.ok("checkout"))["items"][0]), result={"count": 6})
    await ann.ok("reject", order_id=batch["id"], errors=more, rework=True)
    await ann.ok("retry", item_id=first["id"])
    await ann.ok("submit", **held((await ann.ok("checkout"))["items"][0]), result={"count": 7})
    digest = (await ann.ok("review", order_id=batch["id"]))["digest"]
    applied = await ann.ok("approve", order_id=batch["id"], digest=digest, comment="good")
    assert applied["applied"] is True
    assert applied["diff"]["after"] == {"processed": 9, "batches": 2}
    await ann.ok("get_order", order_id=batch["id"])
    page = (
        await ann.ok("propose", type="test.page", payload={"file": str(home.app.settings.database_path) + ".page"})
    )["order"]
    await ann.ok("submit", **held((await ann.ok("checkout"))["items"][0]), result={"text": "hello"})
    await ann.ok("approve", order_id=page["id"])
    await ann.ok("undo", order_id=page["id"], reason="too early")
    await ann.ok("get_item", item_id=first["id"])
    # parts
    await ann.ok("propose", type="test.partial", payload={})
    item = (await ann.ok("checkout"))["items"][0]
    await ann.ok("submit_part", **held(item), part_key="identity", payload={"name": "x"})
    await ann.ok("submit_part", **held(item), part_key="contacts", payload={})
    await ann.ok("finalize", **held(item))
    # one that goes on without an item that failed
    some = (await ann.ok("propose", type="test.batch", payload={"batches": 2}))["order"]
    for item in (await ann.ok("checkout", order_id=some["id"], count=2))["items"]:
        await ann.ok("fail", **held(item), reason="impossible", retryable=False)
    await ann.ok("waive", item_id=f"{some['id']}.1", reason="not needed")
    # one that fails for good and is tried again, and one that nobody wants any more
    broken = (await ann.ok("propose", type="test.free", payload={}))["order"]
    item = (await ann.ok("checkout"))["items"][0]
    await ann.ok("fail", **held(item), reason="impossible", retryable=False)
    await ann.ok("retry", order_id=broken["id"])
    await ann.ok("cancel", order_id=broken["id"], reason="over")
    # what happened
    await ann.ok("list_orders", limit=1)
    await ann.ok("explain")
    await ann.ok("events", limit=5)


# as they are listed


@pytest.mark.scenario("N36")
async def test_names_suit_every_host_and_every_parameter_is_described(home: House) -> None:
    async with visit(home) as ann:
        tools = (await ann.client.list_tools()).tools

    for tool in tools:
        assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", tool.name)
        for name, schema in tool.input_schema["properties"].items():
            assert schema.get("description"), f"{tool.name}.{name}"


@pytest.mark.scenario("tools-well-described")
async def test_every_tool_says_what_it_is_for_and_what_it_does_to_the_world(home: House) -> None:
    async with visit(home) as ann:
        tools = {tool.name: tool for tool in (await ann.client.list_tools()).tools}

    assert len(tools) == 22
    for tool in tools.values():
        assert tool.title
        assert tool.description
        assert len(tool.description.split()) >= 8
        assert tool.annotations is not None
        assert tool.output_schema is not None
        assert tool.output_schema["properties"]
        Validator(tool.input_schema, f"{tool.name} takes")  # refuses keywords that JSON Schema does not know
        Validator(tool.output_schema, f"{tool.name} gives")
        assert tool.input_schema["additionalProperties"] is False
    destructive = {name for name, tool in tools.items() if tool.annotations and tool.annotations.destructive_hint}
    assert destructive == {"approve", "reject", "waive", "cancel"}


READING = {"order_types", "list_orders", "get_order", "get_item", "explain", "events", "my_work", "review"}


@pytest.mark.scenario("tools-well-described")
async def test_a_tool_that_says_it_only_reads_writes_nothing(home: House, tmp_path: Path) -> None:
    async with visit(home) as ann:
        tools = (await ann.client.list_tools()).tools
        await tour(home, ann)
        before = stored(tmp_path)
        for name, arguments, _ in [call for call in ann.heard if call[0] in READING]:
            await ann.call(name, **arguments)

    assert {tool.name for tool in tools if tool.annotations and tool.annotations.read_only_hint} == READING
    assert stored(tmp_path) == before


@pytest.mark.scenario("tools-well-described")
async def test_every_mutating_tool_takes_an_idempotency_key(home: House) -> None:
    async with visit(home) as ann:
        tools = (await ann.client.list_tools()).tools

    keyed = {tool.name for tool in tools if "idempotency_key" in tool.input_schema["properties"]}
    assert keyed == {tool.name for tool in tools} - READING


@pytest.mark.scenario("tools-list-stable")
async def test_the_list_is_the_same_to_the_byte_from_start_to_start(tmp_path: Path) -> None:
    lists = []
    for seed in ("1", "2"):
        async with agent(tmp_path, PYTHONHASHSEED=seed) as one:
            lists.append((await one.client.list_tools()).model_dump_json(by_alias=True, exclude_unset=True))

    assert lists[0] == lists[1]


# what they answer


@ERAS
@pytest.mark.scenario("both-eras")
async def test_every_tool_works_in_both_eras(home: House, mode: str, version: str) -> None:
    async with visit(home, mode=mode) as ann:
        await tour(home, ann)

        assert ann.client.protocol_version == version
        listed = {tool.name for tool in (await ann.client.list_tools()).tools}
        assert {name for name, _, _ in ann.heard} == listed


@ERAS
@pytest.mark.scenario("tools-well-described", "both-eras")
async def test_what_is_sent_and_answered_fits_the_declared_schemas(home: House, mode: str, version: str) -> None:
    async with visit(home, mode=mode) as ann:
        tools = {tool.name: tool for tool in (await ann.client.list_tools()).tools}
        await tour(home, ann)

    for name, arguments, result in ann.heard:
        Draft202012Validator(tools[name].input_schema).validate(arguments)
        Draft202012Validator(tools[name].output_schema).validate(result.structured_content)
        declared = set(tools[name].output_schema["properties"])
        assert declared & set(result.structured_content), name


@pytest.mark.scenario("tools-well-described")
async def test_everything_a_tool_declares_is_answered_at_one_time_or_another(home: House) -> None:
    async with visit(home) as ann:
        tools = {tool.name: tool for tool in (await ann.client.list_tools()).tools}
        await tour(home, ann)

    answered: dict[str, set[str]] = {}
    for name, _, result in ann.heard:
        answered.setdefault(name, set()).update(result.structured_content or {})
    missing = {name: set(tool.output_schema["properties"]) - answered[name] for name, tool in tools.items()}
    assert {name: fields for name, fields in missing.items() if fields} == {}


@ERAS
@pytest.mark.scenario("same-as-text", "both-eras")
async def test_the_text_of_an_answer_is_the_same_in_compact_form(home: House, mode: str, version: str) -> None:
    async with visit(home, mode=mode) as ann:
        await tour(home, ann)
        await ann.ok("propose", type="test.echo", payload={"message": "grün 🌱 \u202e <b>"})

    for name, _, result in ann.heard:
        [block] = result.content
        assert block.type == "text"
        assert json.loads(block.text) == result.structured_content, name
        assert block.text == json.dumps(result.structured_content, separators=(",", ":"), ensure_ascii=False)


@pytest.mark.scenario("objects-as-strings")
async def test_objects_and_lists_may_come_as_json_texts(home: House) -> None:
    ann = home.person("ann")
    first = await ann.propose("test.partial", '{"a": 1}', meta=' {"b": [2]} ')
    await ann.propose("test.free", {}, depends_on=f'["{first}"]')
    item = await ann.take()
    await ann.ok("submit_part", **held(item), part_key="identity", payload='{"name": "x"}', evidence='["seen"]')
    await ann.ok("submit", **held(item), result='{"done": true}', evidence='{"log": 1}')
    await ann.ok("reject", order_id=first, errors='[{"message": "no"}]')

    order = (await ann.ok("get_order", order_id=first))["order"]
    shown = (await ann.ok("get_item", item_id=item["id"]))["item"]
    assert (order["payload"], order["meta"], order["state"]) == ({"a": 1}, {"b": [2]}, "rejected")
    assert (shown["result"], shown["evidence"]) == ({"done": True}, {"log": 1})
    assert (shown["parts"][0]["payload"], shown["parts"][0]["evidence"]) == ({"name": "x"}, ["seen"])


@pytest.mark.scenario("objects-as-strings")
async def test_a_text_stays_a_text_where_a_text_is_meant(home: House) -> None:
    ann = home.person("ann")
    order_id = await ann.propose(payload={"message": '{"a": 1}'})
    await ann.hand_in(await ann.take(), notes='["not a list"]')

    assert (await ann.ok("get_order", order_id=order_id))["order"]["payload"] == {"message": '{"a": 1}'}
    assert (await ann.ok("get_item", item_id=f"{order_id}.1"))["item"]["notes"] == '["not a list"]'


@pytest.mark.scenario("objects-as-strings")
@pytest.mark.parametrize(
    "text",
    ["hello", "", "[1]", "5", "null", "{", '{"a": 1} {"b": 2}', '{"a": 1, "a": 2}', '{"x": {"a": 1, "a": 1}}',
     json.dumps('{"a": 1}')],
)  # fmt: skip
async def test_a_text_that_is_no_plain_object_is_refused(home: House, text: str) -> None:
    ann = home.person("ann")

    refusal = await ann.refused("propose", "invalid_request", type="test.free", payload=text)

    assert [finding["path"] for finding in refusal["details"]["findings"]] == ["/payload"]
    assert (await ann.ok("list_orders"))["total"] == 0


# how they refuse


TYPOS = {
    "order_types": ({"nam": "x"}, "name"),
    "propose": ({"type": "test.free", "payload": {}, "priorty": 3}, "priority"),
    "list_orders": ({"sate": "queued"}, "state"),
    "get_order": ({"order_id": "WO-1", "wait_second": 3}, "wait_seconds"),
    "checkout": ({"min_prio": 3}, "min_priority"),
    "heartbeat": ({"item_id": "WO-1.1", "lease_token": "x", "progres": 1}, "progress"),
    "submit": ({"item_id": "WO-1.1", "lease_token": "x", "result": {}, "evidences": []}, "evidence"),
    "approve": ({"order_id": "WO-1", "digets": "x"}, "digest"),
    "events": ({"limt": 3}, "limit"),
}


@pytest.mark.scenario("unknown-parameters")
@pytest.mark.parametrize("tool", TYPOS)
async def test_an_unknown_parameter_is_refused_with_the_nearest_known_one(home: House, tool: str) -> None:
    arguments, meant = TYPOS[tool]

    refusal = await home.person("ann").refused(tool, "invalid_request", **arguments)

    [finding] = refusal["details"]["findings"]
    assert finding["code"] == "additionalProperties"
    assert f"did you mean '{meant}'?" in finding["message"]


@pytest.mark.scenario("unknown-parameters")
async def test_a_parameter_like_no_other_is_refused_with_the_list_of_known_ones(home: House) -> None:
    refusal = await home.person("ann").refused("get_item", "invalid_request", item_id="WO-1.1", zzz=1)

    assert [finding["path"] for finding in refusal["details"]["findings"]] == ["/zzz"]
    assert "there are item_id" in refusal["message"]


@pytest.mark.scenario("unknown-parameters", "all-findings-at-once")
async def test_an_unknown_name_deeper_within_is_told_the_names_of_that_place(home: House) -> None:
    refusal = await home.person("ann").refused("reject", "invalid_request", order_id="WO-1", errors=[{"mesage": "no"}])

    findings = {finding["path"]: finding for finding in refusal["details"]["findings"]}
    assert findings.keys() == {"/errors/0/message", "/errors/0/mesage"}
    assert "did you mean 'message'?" in findings["/errors/0/mesage"]["message"]


@pytest.mark.scenario("unknown-parameters")
async def test_an_unknown_tool_is_refused_with_the_nearest_one(home: House) -> None:
    async with visit(home) as ann:
        error = await ann.refused("check_out")

    assert error["code"] == "not_found"
    assert "did you mean 'checkout'?" in error["message"]


@pytest.mark.scenario("all-findings-at-once")
async def test_every_bad_argument_is_named_at_once_with_its_place(home: House) -> None:
    refusal = await home.person("ann").refused(
        "propose",
        "invalid_request",
        payload=3,
        priority=101,
        not_before="soon",
        depends_on=["WO-1", 5],
        dedupe_key="",
        validate_only="perhaps",
        extra=1,
    )

    assert {finding["path"] for finding in refusal["details"]["findings"]} == {
        "/type", "/payload", "/priority", "/not_before", "/depends_on/1", "/dedupe_key", "/validate_only", "/extra",
    }  # fmt: skip


@pytest.mark.scenario("all-findings-at-once")
async def test_a_result_is_refused_with_every_finding_and_the_lease_stays(home: House) -> None:
    ann = home.person("ann")
    await ann.propose()
    item = await ann.take()

    refusal = await ann.refused("submit", "invalid_result", **held(item), result={"message": 3})

    found = {(finding["code"], finding["path"]) for finding in refusal["details"]["findings"]}
    assert found == {("type", "/message"), ("required", "/verified")}
    assert (await ann.hand_in(item))["item"]["state"] == "submitted"


WORKER = {"item_id": "?", "lease_token": "token"}
BY_ID: list[tuple[str, dict[str, Any]]] = [
    ("get_order", {"order_id": "?"}),
    ("get_item", {"item_id": "?"}),
    ("explain", {"order_id": "?"}),
    ("explain", {"item_id": "?"}),
    ("events", {"order_id": "?"}),
    ("events", {"item_id": "?"}),
    ("propose", {"type": "test.free", "payload": {}, "depends_on": ["?"]}),
    ("checkout", {"order_id": "?"}),
    ("checkout", {"item_id": "?"}),
    ("heartbeat", WORKER),
    ("submit", {**WORKER, "result": {}}),
    ("submit", {**WORKER, "result": {}, "validate_only": True}),
    ("submit_part", {**WORKER, "part_key": "k", "payload": {}}),
    ("finalize", WORKER),
    ("release", WORKER),
    ("fail", {**WORKER, "reason": "no"}),
    ("review", {"order_id": "?"}),
    ("approve", {"order_id": "?"}),
    ("reject", {"order_id": "?", "errors": [{"message": "no"}]}),
    ("reject", {"order_id": "WO-1", "errors": [{"message": "no", "item_id": "?"}]}),
    ("cancel", {"order_id": "?"}),
    ("retry", {"order_id": "?"}),
    ("retry", {"item_id": "?"}),
]


@pytest.mark.scenario("N32")
@pytest.mark.parametrize(("tool", "arguments"), BY_ID, ids=[f"{tool}-{n}" for n, (tool, _) in enumerate(BY_ID)])
async def test_an_id_that_is_not_there_is_not_found(home: House, tool: str, arguments: dict[str, Any]) -> None:
    await home.person("bob").propose()
    async with visit(home) as ann:
        for wrong in ("WO-999", "WO-1.99", "nonsense", "'; DROP TABLE x; --", "WO-1\n", "🦄", "%"):
            sent = json.loads(json.dumps(arguments).replace("?", wrong.replace("\n", ".1.1")))
            error = await ann.refused(tool, **sent)

            assert error["code"] == "not_found", error
            assert not FRAMEWORK.search(json.dumps(error))
        assert (await ann.ok("list_orders"))["total"] == 1


@pytest.mark.scenario("N32")
async def test_an_id_that_is_not_there_is_told_its_neighbours(home: House) -> None:
    for _ in range(3):
        await home.person("bob").propose()
    async with visit(home) as ann:
        order = await ann.refused("get_order", order_id="WO-9")
        item = await ann.refused("get_item", item_id="WO-2.7")

    assert order["details"]["nearest"] == ["WO-3", "WO-2"]
    assert item["details"]["nearest"] == ["WO-2.1"]


Bring = Callable[[House, Visitor], Awaitable[tuple[str, dict[str, Any]]]]


async def _taken(ann: Visitor, type_name: str = "test.echo", payload: Any = None) -> dict[str, Any]:
    await ann.ok("propose", type=type_name, payload={"message": "hi"} if payload is None else payload)
    item: dict[str, Any] = (await ann.ok("checkout"))["items"][0]
    return item


async def _handed_in(ann: Visitor, type_name: str, payload: Any, result: Any) -> str:
    item = await _taken(ann, type_name, payload)
    await ann.ok("submit", **held(item), result=result)
    order_id: str = item["order_id"]
    return order_id


async def _invalid_request(home: House, ann: Visitor) -> tuple[str, dict[str, Any]]:
    return "list_orders", {"limit": 0}


async def _invalid_payload(home: House, ann: Visitor) -> tuple[str, dict[str, Any]]:
    return "propose", {"type": "test.echo", "payload": {}}


async def _invalid_plan(home: House, ann: Visitor) -> tuple[str, dict[str, Any]]:
    return "propose", {"type": "test.planned", "payload": {}}


async def _unknown_type(home: House, ann: Visitor) -> tuple[str, dict[str, Any]]:
    return "propose", {"type": "test.nothing", "payload": {}}


async def _invalid_result(home: House, ann: Visitor) -> tuple[str, dict[str, Any]]:
    return "submit", {**held(await _taken(ann)), "result": {}}


async def _invalid_part(home: House, ann: Visitor) -> tuple[str, dict[str, Any]]:
    return "submit_part", {**held(await _taken(ann, "test.partial", {})), "part_key": "identity", "payload": {}}


async def _parts_missing(home: House, ann: Visitor) -> tuple[str, dict[str, Any]]:
    return "finalize", held(await _taken(ann, "test.partial", {}))


async def _not_found(home: House, ann: Visitor) -> tuple[str, dict[str, Any]]:
    return "get_order", {"order_id": "WO-99"}


async def _lease_lost(home: House, ann: Visitor) -> tuple[str, dict[str, Any]]:
    item = await _taken(ann)
    await ann.ok("release", **held(item))
    return "heartbeat", held(item)


async def _illegal_transition(home: House, ann: Visitor) -> tuple[str, dict[str, Any]]:
    return "approve", {"order_id": (await _taken(ann))["order_id"]}


async def _not_ready(home: House, ann: Visitor) -> tuple[str, dict[str, Any]]:
    return "approve", {"order_id": await _handed_in(ann, "test.batch", {"batches": 1}, {"count": 0})}


async def _stale(home: House, ann: Visitor) -> tuple[str, dict[str, Any]]:
    order_id = await _handed_in(ann, "test.batch", {"batches": 1}, {"count": 1})
    return "approve", {"order_id": order_id, "digest": "000000000000"}


async def _self_approval(home: House, ann: Visitor) -> tuple[str, dict[str, Any]]:
    order_id = await _handed_in(ann, "test.four_eyes", {"message": "hi"}, {"message": "hi", "verified": True})
    return "approve", {"order_id": order_id}


async def _forbidden(home: House, ann: Visitor) -> tuple[str, dict[str, Any]]:
    order_id = await _handed_in(ann, "test.human", {"message": "hi"}, {"message": "hi", "verified": True})
    return "approve", {"order_id": order_id}


async def _apply_failed(home: House, ann: Visitor) -> tuple[str, dict[str, Any]]:
    return "approve", {"order_id": await _handed_in(ann, "test.raising", {"raise_in": "apply"}, {})}


async def _internal(home: House, ann: Visitor) -> tuple[str, dict[str, Any]]:
    return "propose", {"type": "test.raising", "payload": {"raise_in": "plan"}}


async def _too_large(home: House, ann: Visitor) -> tuple[str, dict[str, Any]]:
    return "propose", {"type": "test.free", "payload": {"a": "x" * 2_000_000}}


async def _limit_exceeded(home: House, ann: Visitor) -> tuple[str, dict[str, Any]]:
    item = await _taken(ann, "test.free", {})
    await ann.ok("submit_part", **held(item), part_key="a", payload={})
    return "submit_part", {**held(item), "part_key": "b", "payload": {}}


async def _idempotency_conflict(home: House, ann: Visitor) -> tuple[str, dict[str, Any]]:
    await ann.ok("propose", type="test.free", payload={}, idempotency_key="k")
    return "propose", {"type": "test.free", "payload": {"a": 1}, "idempotency_key": "k"}


async def _idempotency_required(home: House, ann: Visitor) -> tuple[str, dict[str, Any]]:
    return "propose", {"type": "test.free", "payload": {}}


REFUSALS: dict[str, Bring] = {
    "invalid_request": _invalid_request,
    "invalid_payload": _invalid_payload,
    "invalid_plan": _invalid_plan,
    "unknown_type": _unknown_type,
    "invalid_result": _invalid_result,
    "invalid_part": _invalid_part,
    "parts_missing": _parts_missing,
    "not_found": _not_found,
    "lease_lost": _lease_lost,
    "illegal_transition": _illegal_transition,
    "not_ready": _not_ready,
    "stale": _stale,
    "self_approval": _self_approval,
    "forbidden": _forbidden,
    "apply_failed": _apply_failed,
    "internal": _internal,
    "too_large": _too_large,
    "limit_exceeded": _limit_exceeded,
    "idempotency_conflict": _idempotency_conflict,
    "idempotency_required": _idempotency_required,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "idempotency_required": {"require_idempotency_keys": True},
    "limit_exceeded": {"max_parts_per_item": 1},
    "apply_failed": {"apply_attempts": 1},
}


@pytest.mark.scenario("N34")
@pytest.mark.parametrize("code", REFUSALS)
async def test_a_refusal_is_an_error_with_code_message_hint_and_one_line_of_text(tmp_path: Path, code: str) -> None:
    async with house(tmp_path, **SETTINGS.get(code, {})) as home, visit(home) as ann:
        tool, arguments = await REFUSALS[code](home, ann)

        result = await ann.call(tool, **arguments)

    assert result.is_error is True
    assert result.structured_content is not None
    error = result.structured_content["error"]
    assert error["code"] == code, error
    assert error["message"]
    assert error["hint"]
    assert error["retryable"] is CATALOGUE[code].retryable
    [block] = result.content
    assert block.type == "text"
    assert block.text.startswith(f"{code}: {error['message'].split('.')[0]}")
    assert "\n" not in block.text
    assert not FRAMEWORK.search(block.text)


@pytest.mark.scenario("N34")
def test_every_code_that_can_come_up_here_is_shown() -> None:
    elsewhere = {"unauthenticated": "needs HTTP", "busy": "needs a database that others keep"}
    assert set(REFUSALS) | set(elsewhere) == set(CATALOGUE)
