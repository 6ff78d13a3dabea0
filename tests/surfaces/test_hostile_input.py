"""What nobody should send, and plug-ins that misbehave: refused in plain words, with nothing left behind."""

from __future__ import annotations

import asyncio
import json
import math
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.doors import stored, visit
from tests.support.harness import LIMIT, House, Person, held, server
from tests.support.web import START_LIMIT
from workdocket import WorkError
from workdocket.surfaces.dispatch import run_tool
from workdocket.surfaces.tools import TOOLS
from workdocket.surfaces.wire import MAX_DEPTH

LONGEST_ANSWER = 25_000


def nested(depth: int) -> Any:
    value: Any = 1
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return {"a": value}


HOSTILE: dict[str, Any] = {
    "ten megabytes of text": {"a": "x" * 10_000_000},
    "ten megabytes of name": {"x" * 10_000_000: 1},
    "more entries than bytes allowed": {"a": [0] * 600_000},
    "a long name with many children": {"x" * 100_000: {str(n): n for n in range(100_000)}},
    "one level too deep": nested(MAX_DEPTH),
    "ten thousand levels": nested(10_000),
    "NaN": {"a": math.nan},
    "Infinity": {"a": [math.inf]},
    "minus Infinity": {"a": {"b": -math.inf}},
    "a lone surrogate": {"a": "\ud800"},
    "a lone surrogate as a name": {"\udfff": {"deeper": math.nan}},
    "NUL": {"a": "a\x00b"},
    "NUL in a name": {"\x00": 1},
    "65 bits": {"a": 2**64},
    "minus 65 bits": {"a": -(2**64)},
    "four thousand digits": {"a": 10**4000},
}
TEXTS: dict[str, str] = {
    "ten megabytes of text": '{"a": "%s"}' % ("x" * 10_000_000),
    "one level too deep": json.dumps(nested(MAX_DEPTH)),
    "two hundred levels": json.dumps(nested(200)),
    "ten thousand levels": '{"a": ' + "[" * 10_000 + "]" * 10_000 + "}",
    "ten thousand levels that never end": '{"a": ' + "[" * 10_000,
    "NaN": '{"a": NaN}',
    "Infinity": '{"a": [Infinity]}',
    "minus Infinity": '{"a": -Infinity}',
    "more than there is": '{"a": 1e999}',
    "a lone surrogate": '{"a": "\\ud800"}',
    "a lone surrogate as a name": '{"\\udfff": 1}',
    "NUL": '{"a": "\\u0000"}',
    "65 bits": '{"a": 18446744073709551616}',
    "ten thousand digits": '{"a": %s}' % ("9" * 10_000),
    "a name twice": '{"a": 1, "a": 2}',
    "a name twice deep within": '{"a": [{"b": 1, "b": 1}]}',
    "a text in a text": json.dumps('{"a": 1}'),
}
CASES = {**HOSTILE, **{f"as text: {name}": text for name, text in TEXTS.items()}}
REFUSED_AS = {"invalid_request", "too_large"}


async def refusal_of(someone: Person, tool: str, **arguments: Any) -> dict[str, Any]:
    """The refusal of a call, which has to be one in words that fit on a page and can be sent."""
    try:
        answer = await run_tool(someone.app, someone.caller, tool, arguments)
    except WorkError as error:
        text = json.dumps(error.as_dict(), ensure_ascii=False, allow_nan=False)
        text.encode()
        assert len(text) < LONGEST_ANSWER, text[:300]
        return error.as_dict()
    raise AssertionError(f"{tool} took it: {str(answer)[:300]}")


# objects that are no JSON to keep


@pytest.mark.scenario("hostile-json")
@pytest.mark.parametrize("case", CASES)
async def test_an_order_of_hostile_json_is_refused_and_leaves_nothing(home: House, tmp_path: Path, case: str) -> None:
    ann = home.person("ann")
    sound = {"type": "test.free", "payload": {}, "idempotency_key": "k"}
    before = stored(tmp_path)

    for field in ("payload", "meta"):
        async with asyncio.timeout(LIMIT):
            refusal = await refusal_of(ann, "propose", **{**sound, field: CASES[case]})
        assert refusal["code"] in REFUSED_AS, (field, refusal)

    assert stored(tmp_path) == before


@pytest.mark.scenario("hostile-json")
@pytest.mark.parametrize("case", CASES)
async def test_work_of_hostile_json_is_refused_and_leaves_the_lease(home: House, tmp_path: Path, case: str) -> None:
    value = CASES[case]
    ann = home.person("ann")
    await ann.propose("test.free", {})
    item = await ann.take()
    before = stored(tmp_path)

    for tool, arguments in (
        ("submit", {"result": value}),
        ("submit", {"result": {}, "evidence": value}),
        ("submit_part", {"part_key": "k", "payload": value}),
        ("submit_part", {"part_key": "k", "payload": {}, "evidence": value}),
    ):
        async with asyncio.timeout(LIMIT):
            refusal = await refusal_of(ann, tool, **held(item), **arguments)
        assert refusal["code"] in REFUSED_AS, (tool, refusal)

    assert stored(tmp_path) == before
    assert (await ann.hand_in(item, {}))["item"]["state"] == "submitted"


@pytest.mark.scenario("hostile-json")
async def test_a_late_result_is_kept_only_within_the_size_limit(home: House, tmp_path: Path) -> None:
    ann, bob = home.person("ann"), home.person("bob")
    await ann.propose("test.free", {})
    item = await ann.take()
    home.clock.forward(601)
    await bob.take()
    before = stored(tmp_path)

    for sent in ({"result": {"a": "x" * 2_000_000}}, {"result": {}, "evidence": ["x" * 2_000_000]}):
        refusal = await refusal_of(ann, "submit", **held(item), **sent)
        assert refusal["code"] in {"too_large", "lease_lost"}

    assert stored(tmp_path) == before


@pytest.mark.scenario("hostile-json", "all-findings-at-once")
async def test_what_is_wrong_is_named_with_its_place(home: House) -> None:
    payload = {"a/b": [1, {"~": math.nan}], "c": "\ud800", "\udc00": {"d": math.inf}}

    for value in (payload, json.dumps(payload)):
        refusal = await refusal_of(home.person("ann"), "propose", type="test.free", payload=value)

        found = {(finding["code"], finding["path"]) for finding in refusal["details"]["findings"]}
        assert found == {
            ("finite", "/payload/a~1b/1/~0"),
            ("encoding", "/payload/c"),
            ("encoding", "/payload"),
            ("finite", "/payload/?/d"),
        }


@pytest.mark.scenario("hostile-json")
async def test_what_is_just_within_the_limits_comes_back_unchanged(home: House) -> None:
    ann = home.person("ann")
    payload = {
        **nested(MAX_DEPTH - 3),
        "n": [2**63 - 1, -(2**63), 1e308, 5e-324, -0.0],
        "t": "\u202e\ufeff🌱\x7f\u2028",
    }

    order_id = await ann.propose("test.free", payload)
    item = await ann.take()

    assert item["input"] == payload
    assert (await ann.ok("get_order", order_id=order_id))["order"]["payload"] == payload


@pytest.mark.scenario("hostile-json")
async def test_a_payload_of_the_greatest_size_is_taken_and_one_byte_more_is_not(home: House) -> None:
    ann = home.person("ann")
    most = 1_048_576 - len('{"a":""}')

    refusal = await refusal_of(ann, "propose", type="test.free", payload={"a": "x" * (most + 1)})
    order_id = await ann.propose("test.free", {"a": "x" * most})

    assert (refusal["code"], refusal["details"]["limit_bytes"]) == ("too_large", 1_048_576)
    assert (await ann.take())["order_id"] == order_id


# arguments of every other kind


@pytest.mark.scenario("hostile-json")
@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("events", {"after": "9" * 20}),
        ("events", {"after": 2**63}),
        ("events", {"after": -1}),
        ("list_orders", {"meta": {f"k{n}": n for n in range(5_000)}}),
        ("list_orders", {"meta": '{"a": NaN}'}),
        ("list_orders", {"created_after": "9999-12-31T23:59:59-23:59"}),
        ("list_orders", {"created_before": "0001-01-01T00:00:00+23:59"}),
        ("list_orders", {"created_before": 1e300}),
        ("list_orders", {"sort": "priority," * 5_000}),
        ("propose", {"type": "test.free", "payload": {}, "not_before": "9999-12-31T23:59:59.999999Z"}),
        ("propose", {"type": "test.free", "payload": {}, "not_before": "9999-12-31T23:59:59-23:59"}),
        ("propose", {"type": "test.free", "payload": {}, "priority": 10**5_000}),
        ("propose", {"type": "test.free", "payload": {}, "depends_on": ["WO-1"] * 100_000}),
        ("propose", {"type": "test.free", "payload": {}, "depends_on": "[" * 100_000}),
        ("propose", {"type": "test.free", "payload": {}, "dedupe_key": "k" * 10_000_000}),
        ("get_order", {"order_id": "WO-1", "wait_seconds": math.nan}),
        ("get_order", {"order_id": "WO-1", "wait_seconds": "NaN"}),
        ("checkout", {"wait_seconds": 1e9}),
        ("checkout", {"count": 10**30}),
        ("checkout", {"agent": "x" * 1_000_000}),
        ("checkout", {"x" * 10_000_000: 1}),
        ("checkout", {f"x{n}": 1 for n in range(10_000)}),
        ("checkout", {"\ud800": 1}),
        ("get_item", {"item_id": "\ud800"}),
        ("reject", {"order_id": "WO-1", "errors": [{"message": "no"}] * 100_000}),
        ("reject", {"order_id": "WO-1", "errors": [{}] * 100}),
        ("reject", {"order_id": "WO-1", "errors": "[{}" * 10_000}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_an_argument_beyond_its_bounds_is_refused(
    home: House, tmp_path: Path, tool: str, arguments: dict[str, Any]
) -> None:
    before = stored(tmp_path)

    async with asyncio.timeout(LIMIT):
        refusal = await refusal_of(home.person("ann"), tool, **arguments)

    assert refusal["code"] == "invalid_request", refusal
    assert stored(tmp_path) == before


@pytest.mark.scenario("hostile-json")
@pytest.mark.parametrize(
    "values",
    [[], [1], [1, 2, 3, 4], ["1", 2, 3], [1, 2, None], [1, 2, {}], [[], 2, 3], [1.5, 2, 3], [True, 2, 3],
     [10**30, 2, 3], [math.nan, 2, 3], "abc", 5, None, {"a": 1, "b": 2, "c": 3}],
)  # fmt: skip
async def test_a_made_up_cursor_is_refused(home: House, values: Any) -> None:
    from base64 import urlsafe_b64encode

    cursor = urlsafe_b64encode(json.dumps(["-priority,created_at", values]).encode()).decode().rstrip("=")

    assert (await refusal_of(home.person("ann"), "list_orders", cursor=cursor))["code"] == "invalid_request"


@pytest.mark.scenario("hostile-json")
@pytest.mark.parametrize("cursor", ["=", "%%%", "ü", "bnVsbA", "W10", "NQ", "x" * 500])
async def test_what_is_no_cursor_is_refused(home: House, cursor: str) -> None:
    assert (await refusal_of(home.person("ann"), "list_orders", cursor=cursor))["code"] == "invalid_request"


@pytest.mark.scenario("hostile-json")
async def test_a_refusal_never_repeats_a_long_name(home: House) -> None:
    ann = home.person("ann")

    for arguments in (
        {"type": "test.echo", "payload": {"message": "hi", "y" * 900_000: 1}},
        {"type": "y" * 120, "payload": {}},
        {"type": "test.form", "payload": {"name": "y" * 900_000, "email": "y" * 100_000, "role": "y" * 40_000}},
    ):
        assert "y" * 1_000 not in json.dumps(await refusal_of(ann, "propose", **arguments))


POOL: list[Any] = [
    None, True, False, 0, 1, -1, 2**31, 2**63, 1.5, -0.0, math.nan, "", " ", "WO-1", "WO-1.1", "wo-1.1", "token-2",
    "test.free", "test.echo", "test.planned", "queued", "{}", "[]", '{"a": NaN}', "[" * 2_000, "\ud800", "\x00", "'",
    "%", "2026-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", {}, [], {"a": 1}, ["WO-1"],
    [{"message": "no"}], [{"message": "no", "item_id": "WO-1.1"}], {"items": [{"key": 3}]}, {"items": [5]},
    {"message": "hi"}, nested(150), "strict", "-priority", "priority,-id", "x" * 300, [None], [[]], {"": {"": ""}},
]  # fmt: skip


@pytest.mark.scenario("hostile-json")
@pytest.mark.parametrize("seed", range(6))
async def test_whatever_is_sent_to_whatever_tool_is_answered_or_refused_in_plain_words(home: House, seed: int) -> None:
    dice = random.Random(seed)
    ann = home.person("ann")
    await ann.propose("test.free", {})
    await ann.take()

    for _ in range(250):
        spec = dice.choice(list(TOOLS.values()))
        names = [name for name, field in spec.args.model_fields.items() if field.is_required() or dice.random() < 0.3]
        arguments = {name: dice.choice(POOL) for name in names if name != "wait_seconds"}
        code, hook = await outcome(ann, spec.name, arguments)
        assert code != "internal" or hook == "plan", (spec.name, arguments)  # test.planned does what it is told


async def outcome(someone: Person, tool: str, arguments: dict[str, Any]) -> tuple[str, str | None]:
    """The code of a refusal, or ``ok``; and the hook that raised. Either way it is JSON that can be sent."""
    try:
        answer = await run_tool(someone.app, someone.caller, tool, arguments)
    except WorkError as error:
        json.dumps(error.as_dict(), ensure_ascii=False, allow_nan=False).encode()
        return error.code, error.details.get("hook")
    json.dumps(answer, ensure_ascii=False, allow_nan=False).encode()
    return "ok", None


# over the wire


@asynccontextmanager
async def wire(folder: Path) -> AsyncIterator[tuple[asyncio.StreamWriter, asyncio.StreamReader]]:
    """A server's pipes after the handshake."""
    how = server(folder)
    process = await asyncio.create_subprocess_exec(
        how.command, *how.args, env=how.env, cwd=folder, stdin=-1, stdout=-1, stderr=-3, limit=1 << 26
    )
    assert process.stdin is not None
    assert process.stdout is not None
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}}
    try:
        await say(process.stdin, {"jsonrpc": "2.0", "id": "hello", "method": "initialize", "params": hello})
        assert (await hear(process.stdout, START_LIMIT))["id"] == "hello"
        await say(process.stdin, {"jsonrpc": "2.0", "method": "notifications/initialized"})
        yield process.stdin, process.stdout
        process.stdin.close()
        async with asyncio.timeout(LIMIT):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def say(pipe: asyncio.StreamWriter, message: Any) -> None:
    pipe.write(message + b"\n" if isinstance(message, bytes) else json.dumps(message).encode() + b"\n")
    await pipe.drain()


async def hear(pipe: asyncio.StreamReader, limit: float = LIMIT) -> dict[str, Any]:
    async with asyncio.timeout(limit):
        heard: dict[str, Any] = json.loads(await pipe.readline())
        return heard


def proposing(number: int, payload: bytes) -> bytes:
    return (
        b'{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"propose",'
        b'"arguments":{"type":"test.free","payload":%s}}}' % (number, payload)
    )


RAW: dict[str, bytes] = {
    "ten megabytes": b'{"a": "%s"}' % (b"x" * 10_000_000),
    "one level too deep": json.dumps(nested(MAX_DEPTH)).encode(),
    "deeper than the parser goes": json.dumps(nested(300)).encode(),
    "ten thousand levels": b'{"id": ' + b"[" * 10_000 + b"]" * 10_000 + b"}",
    "NaN": b'{"a": NaN}',
    "Infinity": b'{"a": -Infinity}',
    "more than there is": b'{"a": 1e999}',
    "a lone surrogate": b'{"a": "\\ud83d", "id": 5}',
    "half a pair": b'{"a": "\\udd25\\ud83d"}',
    "NUL": b'{"a": "\\u0000"}',
    "a raw control character": b'{"a": "\x01"}',
    "four hundred digits": b'{"a": %s}' % (b"9" * 400),
    "ten thousand digits": b'{"a": %s}' % (b"9" * 10_000),
    "no UTF-8": b'{"a": "\xff"}',
    "half a character": b'{"a": "\xf0\x9f"}',
}


@pytest.mark.scenario("hostile-json")
async def test_a_hostile_message_is_answered_and_the_server_goes_on(tmp_path: Path) -> None:
    async with wire(tmp_path) as (to, back):
        for number, payload in enumerate(RAW.values(), 1):
            await say(to, proposing(number, payload))

            answer = await hear(back)
            assert answer["id"] == number
            if "error" in answer:
                assert (answer["error"]["code"], answer["error"]["data"]["error"]["code"]) == (
                    -32700,
                    "invalid_request",
                )
            else:
                assert answer["result"]["isError"] is True
                assert answer["result"]["structuredContent"]["error"]["code"] in REFUSED_AS

        await say(to, proposing(99, b'{"a": "\xf0\x9f\x94\xa5", "b": "\\ud83d\\udd25"}'))
        filed = (await hear(back))["result"]["structuredContent"]["order"]

    assert filed["id"] == "WO-1"
    assert filed["payload"] == {"a": "🔥", "b": "🔥"}


# plug-ins


@pytest.mark.scenario("hook-raises")
async def test_a_plan_that_raises_files_nothing(home: House, tmp_path: Path) -> None:
    before = stored(tmp_path)

    refusal = await refusal_of(
        home.person("ann"), "propose", type="test.raising", payload={"raise_in": "plan"}, idempotency_key="k"
    )

    assert refusal["code"] == "internal"
    assert stored(tmp_path) == before


@pytest.mark.scenario("hook-raises")
@pytest.mark.parametrize("hook", ["check_result", "check_part"])
async def test_a_check_that_raises_leaves_lease_and_item_as_they_were(home: House, tmp_path: Path, hook: str) -> None:
    ann = home.person("ann")
    await ann.propose("test.raising", {"raise_in": hook})
    item = await ann.take()
    before = stored(tmp_path)

    if hook == "check_result":
        refusal = await refusal_of(ann, "submit", **held(item), result={})
    else:
        refusal = await refusal_of(ann, "submit_part", **held(item), part_key="only", payload={})

    assert refusal["code"] == "internal"
    assert stored(tmp_path) == before
    assert (await ann.ok("heartbeat", **held(item)))["cancelled"] is False


@pytest.mark.scenario("hook-raises")
@pytest.mark.parametrize("hook", ["check_order", "preview"])
async def test_a_review_that_raises_decides_nothing_and_harms_no_other_order(
    home: House, tmp_path: Path, hook: str
) -> None:
    ann = home.person("ann")
    broken, sound = await ann.propose("test.raising", {"raise_in": hook}), await ann.propose()
    await ann.hand_in(await ann.take(order_id=broken), {})
    await ann.hand_in(await ann.take(order_id=sound))
    before = stored(tmp_path)

    codes = [(await refusal_of(ann, tool, order_id=broken))["code"] for tool in ("review", "approve")]

    assert codes == ["internal", "internal"]
    assert stored(tmp_path) == before
    assert len((await ann.ok("review"))["orders"]) == 2
    assert (await ann.ok("approve", order_id=sound))["applied"] is True


@pytest.mark.scenario("hook-raises")
@pytest.mark.parametrize("hook", ["plan", "check_result", "check_part", "check_order", "preview"])
async def test_what_a_hook_said_goes_to_the_log_and_to_nobody_else(
    home: House, caplog: pytest.LogCaptureFixture, hook: str
) -> None:
    async with visit(home) as ann:
        if hook == "plan":
            result = await ann.call("propose", type="test.raising", payload={"raise_in": hook})
        else:
            await ann.ok("propose", type="test.raising", payload={"raise_in": hook})
            item = (await ann.ok("checkout"))["items"][0]
            result = await _provoke(ann, hook, item)

        trail = json.dumps(await ann.ok("events", limit=500))

    assert result.is_error
    assert "secret" not in result.model_dump_json()
    assert "RuntimeError" not in result.model_dump_json()
    assert "secret" not in trail
    assert "secret detail of the plug-in" in caplog.text


async def _provoke(ann: Any, hook: str, item: dict[str, Any]) -> Any:
    if hook == "check_part":
        return await ann.call("submit_part", **held(item), part_key="only", payload={})
    handed_in = await ann.call("submit", **held(item), result={})
    return handed_in if hook == "check_result" else await ann.call("review", order_id=item["order_id"])
