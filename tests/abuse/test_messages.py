"""Messages as no client should send them, at every door of MCP and in both eras: refused, with nothing changed."""

from __future__ import annotations

import asyncio
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from mcp.server.request_state import AESGCMRequestStateCodec

from tests.abuse.doors import DOORS, META, Http, message, session
from tests.abuse.sockets import BOTH, ECHO, JSON, abused, answered, hung_up, request, statuses, unchanged
from tests.support.harness import LIMIT, held
from tests.support.process import HANDSHAKE
from tests.support.web import Served, bearing, site

pytestmark = pytest.mark.asyncio(loop_scope="module")

Ways = dict[str, Any]
LISTED = {"name": "list_orders", "arguments": {}}

# messages that are none

UNFIT: dict[str, Any] = {
    "version 1.0": {**message("ping"), "jsonrpc": "1.0"},
    "version 2": {**message("ping"), "jsonrpc": 2},
    "no version": {"id": 1, "method": "ping"},
    "no method": {"jsonrpc": "2.0", "id": 1},
    "a number for a method": message(5),  # type: ignore[arg-type]
    "a list of params": message("ping", [1]),
    "a text for params": message("tools/call", "list_orders"),
    "a batch": [message("ping")],
    "no JSON": b'{"jsonrpc":"2.0","id":1,"method":"ping"',
    "a BOM": b"\xef\xbb\xbf" + json.dumps(message("ping")).encode(),
    "half a character": b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"\xf0\x9f"}}',
    "two objects": b'{"jsonrpc":"2.0","id":1,"method":"ping"}{}',
    "a lone surrogate": b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"\\ud800"}}',
    "five thousand digits": b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":%s}}' % (b"9" * 5_000),
    "too deep": b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":%s' % (b"[" * 10_000),
}
"""With an id that can be read: whoever sent it waits for an answer."""


@pytest.mark.scenario("abuse-messages")
@pytest.mark.parametrize("door", DOORS)
async def test_what_is_no_message_is_answered_under_its_id(ways: Ways, folder: Path, door: str) -> None:
    way = ways[door]
    with unchanged(folder):
        for name, unfit in UNFIT.items():
            answer = await way.say(unfit if isinstance(unfit, bytes) else json.dumps(unfit).encode(), 1)
            assert answer["id"] == 1, (name, answer)
            assert answer["error"]["code"] in (-32700, -32600), (name, answer)
            assert answer["error"]["data"]["error"]["code"] == "invalid_request", name
            assert "pydantic" not in json.dumps(answer), name


NAMELESS: dict[str, Any] = {
    "null": message("ping", number=None),
    "a fraction": message("ping", number=1.5),
    "true": message("ping", number=True),
    "a list": message("ping", number=[1]),
    "five thousand digits": b'{"jsonrpc":"2.0","id":%s,"method":"ping"}' % (b"9" * 5_000),
    "sixty-five bits": message("ping", number=2**64),
    "a number alone": 5,
    "nothing": None,
    "a text": "ping",
    "an empty batch": [],
    "a batch of answers": [{"jsonrpc": "2.0", "id": 1, "result": {}}],
    "bytes": b"\xff\xfe\x00",
    "an answer with a number for a result": {"jsonrpc": "2.0", "id": 1, "result": 5},
    "an answer with an error that is none": {"jsonrpc": "2.0", "id": 1, "error": "no"},
}
"""With no id that an answer could go to."""


@pytest.mark.scenario("abuse-messages")
@pytest.mark.parametrize("door", DOORS)
async def test_what_has_no_id_that_can_be_answered_does_no_harm(ways: Ways, folder: Path, door: str) -> None:
    way = ways[door]
    with unchanged(folder):
        for name, unfit in NAMELESS.items():
            answer = await way.say(unfit if isinstance(unfit, bytes) else json.dumps(unfit).encode())
            assert answer is None or (answer["id"] in (None, 1) and "error" in answer), (name, answer)
            assert (await way.call("list_orders"))["orders"] is not None, name


ODD_IDS = [0, -1, 2**63 - 1, "", "0", " ", "x" * 10_000, "1\n2", "\x00", "null", "🌱", "_GET_stream"]


@pytest.mark.scenario("abuse-messages")
@pytest.mark.parametrize("door", DOORS)
async def test_an_odd_id_comes_back_as_it_was_sent(ways: Ways, folder: Path, door: str) -> None:
    way = ways[door]
    with unchanged(folder):
        for number in ODD_IDS:
            assert (await way.call("list_orders", number))["orders"] is not None


# params that do not fit, methods that there are not

WRONG: dict[str, tuple[str, Any]] = {
    "no tool": ("tools/call", {}),
    "a number for a tool": ("tools/call", {"name": 5}),
    "a list of arguments": ("tools/call", {"name": "list_orders", "arguments": []}),
    "a text for arguments": ("tools/call", {"name": "list_orders", "arguments": "{}"}),
    "a list for a progress token": ("tools/call", {**LISTED, "_meta": {**META, "progressToken": [1]}}),
    "a resource that is a number": ("resources/read", {"uri": 5}),
    "a resource that there is not": ("resources/read", {"uri": "workdocket://orders/WO-999999"}),
    "a resource of elsewhere": ("resources/read", {"uri": "file:///etc/passwd"}),
    "a resource up the tree": ("resources/read", {"uri": "workdocket://orders/../../etc/passwd"}),
    "a made-up cursor": ("resources/list", {"cursor": "AAAA"}),
    "a prompt that there is not": ("prompts/get", {"name": "no_such"}),
    "completion of nothing": ("completion/complete", {}),
    "an unknown method": ("no/such", {}),
    "a method of the program": ("__init__", {}),
    "sampling, which is the client's": ("sampling/createMessage", {}),
}


@pytest.mark.scenario("abuse-messages")
@pytest.mark.parametrize("door", DOORS)
async def test_a_request_that_does_not_fit_is_an_error_in_the_protocol(ways: Ways, folder: Path, door: str) -> None:
    way = ways[door]
    with unchanged(folder):
        for name, (method, params) in WRONG.items():
            answer = await way.ask(method, params)
            assert answer["error"]["code"] in (-32600, -32601, -32602, -32020), (name, answer)


@pytest.mark.scenario("abuse-messages")
@pytest.mark.parametrize("door", DOORS)
async def test_notices_and_answers_that_nobody_waits_for_change_nothing(ways: Ways, folder: Path, door: str) -> None:
    uncalled: list[Any] = [
        {"jsonrpc": "2.0", "method": "tools/call", "params": {"name": "propose", "arguments": ECHO}},
        {"jsonrpc": "2.0", "method": "initialize", "params": HANDSHAKE},
        {"jsonrpc": "2.0", "method": "no/such"},
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {}},
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": [1]}},
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 12345}},
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "1"}},
        {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": 1, "progress": 1e308}},
        {"jsonrpc": "2.0", "method": "notifications/roots/list_changed"},
        {"jsonrpc": "2.0", "id": 99, "result": {}},
        {"jsonrpc": "2.0", "id": "99", "error": {"code": 1, "message": "x"}},
    ]
    way = ways[door]
    with unchanged(folder):
        for one in uncalled:
            answer = await way.say(json.dumps(one).encode())
            assert answer is None or answer["error"]["code"] == -32600, answer
            assert (await way.call("list_orders"))["orders"] is not None


# versions and eras


@pytest.mark.scenario("abuse-messages")
async def test_a_handshake_with_an_unknown_version_settles_on_a_known_one(server: Served, folder: Path) -> None:
    with unchanged(folder):
        for asked, settled in (
            ("1999-01-01", "2025-11-25"),
            ("2099-01-01", "2025-11-25"),
            ("2025-03-26", "2025-03-26"),
        ):
            hello = message("initialize", {**HANDSHAKE, "protocolVersion": asked})
            [answer] = await answered(server, request("POST", "/mcp", hello, JSON, BOTH))
            assert answer.message()["result"]["protocolVersion"] == settled
        for wrong in (5, None, ["2025-11-25"], {}):
            hello = message("initialize", {**HANDSHAKE, "protocolVersion": wrong})
            [answer] = await answered(server, request("POST", "/mcp", hello, JSON, BOTH))
            assert answer.message()["error"]["code"] == -32602


@pytest.mark.scenario("abuse-messages")
@pytest.mark.parametrize("modern", [False, True])
async def test_a_pipe_keeps_to_the_era_in_which_it_began(ways: Ways, folder: Path, modern: bool) -> None:
    way = ways["stdio-2026" if modern else "stdio-2025"]
    with unchanged(folder):
        if modern:
            assert (await way.ask("initialize", HANDSHAKE))["error"]["code"] == -32022
            assert (await way.ask("tools/call", {**LISTED, "_meta": {}}))["error"]["code"] == -32602
            later = {**META, "io.modelcontextprotocol/protocolVersion": "2099-01-01"}
            assert (await way.ask("tools/call", {**LISTED, "_meta": later}))["error"]["code"] == -32022
        else:
            assert (await way.ask("tools/call", {**LISTED, "_meta": META}))["error"]["code"] == -32600
            assert "result" in await way.ask("initialize", HANDSHAKE)
        assert (await way.call("list_orders"))["orders"] is not None


@pytest.mark.scenario("abuse-messages")
async def test_before_the_handshake_there_is_nothing_but_the_handshake(server: Served, folder: Path) -> None:
    with unchanged(folder):
        for method in ("tools/call", "tools/list", "notifications/initialized", "ping"):
            [answer] = await answered(server, request("POST", "/mcp", message(method, LISTED), JSON, BOTH))
            assert answer.status == 400


HEADERS = ["Mcp-Protocol-Version: 2026-07-28", "Mcp-Method: tools/call", "Mcp-Name: list_orders"]


@pytest.mark.scenario("abuse-messages")
async def test_headers_and_body_of_a_modern_request_have_to_say_the_same(server: Served, folder: Path) -> None:
    body = message("tools/call", {**LISTED, "_meta": META})
    wrong: dict[str, list[str]] = {
        "no method": HEADERS[:1],
        "another method": [HEADERS[0], "Mcp-Method: tools/list", HEADERS[2]],
        "another tool": [*HEADERS[:2], "Mcp-Name: approve"],
        "a tool twice": [*HEADERS, HEADERS[2]],
        "a version to come": ["Mcp-Protocol-Version: 2099-01-01", *HEADERS[1:]],
        "a version that is none": ["Mcp-Protocol-Version: \xff\x80", *HEADERS[1:]],
        "an empty version": ["Mcp-Protocol-Version:", *HEADERS[1:]],
    }
    with unchanged(folder):
        for name, headers in wrong.items():
            [answer] = await answered(server, request("POST", "/mcp", body, JSON, BOTH, *headers))
            assert (answer.status, answer.message()["error"]["code"] in (-32020, -32022)) == (400, True), (name, answer)
        [sound] = await answered(server, request("POST", "/mcp", body, JSON, BOTH, *HEADERS))
        assert sound.status == 200


# sessions


@pytest.mark.scenario("abuse-messages", "http-session-bound")
async def test_a_session_is_there_only_under_its_own_id_and_until_it_is_ended(server: Served, folder: Path) -> None:
    with unchanged(folder):
        own, other = await session(server), await session(server)
        near = [own[:-1], f"{own}0", own[:-1] + ("0" if own[-1] != "0" else "1"), own.upper(), "0" * 32, "../" + own]
        near += ["\xff\x80", "x" * 5_000, f"{own},{other}"]
        for number in near:
            for method in ("POST", "GET", "DELETE"):
                body = message("tools/list") if method == "POST" else b""
                [answer] = await answered(
                    server, request(method, "/mcp", body, JSON, BOTH, f"Mcp-Session-Id: {number}")
                )
                assert answer.status == 404, (number, method)
        assert (await Http(server, own).call("list_orders"))["orders"] is not None
        for expected in (200, 404):
            ended = await answered(server, request("DELETE", "/mcp", b"", BOTH, f"Mcp-Session-Id: {own}"))
            assert statuses(ended) == [expected]
        [gone] = await answered(server, Http(server, own).raw(json.dumps(message("tools/list")).encode()))
        assert gone.status == 404
        assert (await Http(server, other).call("list_orders"))["orders"] is not None


@pytest.mark.scenario("abuse-messages")
async def test_a_stream_that_goes_on_after_something_that_never_was_is_not_a_defect(server: Served) -> None:
    own = f"Mcp-Session-Id: {await session(server)}"
    for place in ("5", "", "x" * 5_000, "_GET_stream", "0/0", "-1", "\xff", own):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request("GET", "/mcp", b"", BOTH, own, f"Last-Event-ID: {place}"))
        async with asyncio.timeout(LIMIT):
            assert int((await reader.readline())[9:12]) < 500, place
        await hung_up(writer)


@pytest.mark.scenario("abuse-messages", "http-session-bound")
async def test_a_stream_takes_messages_only_under_its_own_id_and_from_its_own_principal(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        ann, bob = [bearing(await here.token(name))["Authorization"] for name in ("ann", "bob")]
    async with abused(tmp_path) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request("GET", "/sse", b"", f"Authorization: {ann}"))
        async with asyncio.timeout(LIMIT):
            path = (await reader.readuntil(b"session_id=")) and (await reader.readexactly(32)).decode()
        ping = message("initialize", HANDSHAKE)
        for number, token, status in (
            (path, bob, 404), (path[:-1], ann, 400), ("0" * 32, ann, 404), ("", ann, 400), ("\0", ann, 400),
            (f"{{{path}}}&session_id=x", ann, 400), (path, "Bearer none", 401), (path, ann, 202),
        ):  # fmt: skip
            where = f"/messages/?session_id={number.replace(chr(0), '%00')}"
            answer = await answered(server, request("POST", where, ping, JSON, f"Authorization: {token}"))
            assert statuses(answer) == [status], (number, status)
        writer.close()
        await writer.wait_closed()


@pytest.mark.scenario("abuse-messages")
async def test_the_same_id_twice_at_once_is_refused_where_the_answers_could_not_be_told_apart(
    server: Served, folder: Path
) -> None:
    with unchanged(folder):
        way = Http(server, await session(server))
        waiting = {"name": "checkout", "arguments": {"type": "test.partial", "wait_seconds": 1}}
        told = await asyncio.gather(
            *(way.ask("tools/call", waiting, number) for number in (7, 7, "7", 8, "_GET_stream")),
        )
        assert sum("error" in answer for answer in told) == 2
        assert (await way.call("list_orders", 7))["orders"] is not None


# states, tokens and places that were made up, changed, or used before


@pytest.mark.scenario("abuse-messages")
@pytest.mark.parametrize("door", DOORS)
async def test_a_state_that_this_server_did_not_seal_is_refused(ways: Ways, folder: Path, door: str) -> None:
    now = time.time()
    claims = {
        "v": 1,
        "iat": now,
        "exp": now + 600,
        "m": "tools/call",
        "t": "propose",
        "a": "x",
        "s": "{}",
        "aud": "workdocket",
    }
    foreign = AESGCMRequestStateCodec([os.urandom(32)]).seal(json.dumps(claims).encode())
    states: list[Any] = [
        foreign,
        foreign,
        foreign[:-1],
        foreign[:20],
        f"{foreign}A",
        foreign.replace("v1.", "v2."),
        "",
        "v1.",
    ]
    states += ["v1.ü", "x" * 100_000, 5, True, [foreign], {"state": foreign}]
    way = ways[door]
    with unchanged(folder):
        for state in states:
            params = {"name": "propose", "arguments": ECHO, "requestState": state}
            for more in ({}, {"inputResponses": {"x": {"action": "accept", "content": {"approve": True}}}}):
                answer = await way.ask("tools/call", params | more)
                assert answer["error"]["code"] == -32602, (state, answer)


@pytest.mark.scenario("abuse-messages")
@pytest.mark.parametrize("door", DOORS)
async def test_a_lease_opens_its_own_item_until_it_ends_and_nothing_else(ways: Ways, door: str) -> None:
    way = ways[door]
    orders = [(await way.call("propose", type="test.free", payload={}))["order"]["id"] for _ in range(2)]
    mine, other = [(await way.call("checkout", order_id=order))["items"][0] for order in orders]
    token = mine["lease"]["token"]
    for wrong in (token[:-1], f"{token}x", token.swapcase(), other["lease"]["token"], "", "%", "x" * 200):
        for tool, more in (("heartbeat", {}), ("submit", {"result": {}}), ("release", {})):
            answer = await way.call(tool, item_id=mine["id"], lease_token=wrong, **more)
            assert answer["error"]["code"] in ("lease_lost", "invalid_request"), (wrong, answer)
    assert (await way.call("get_item", item_id=mine["id"]))["item"]["state"] == "leased"
    await way.call("release", **held(mine))
    assert (await way.call("submit", **held(mine), result={}))["error"]["code"] == "lease_lost"
    await way.call("submit", **held(other), result={"n": 1})
    assert (await way.call("submit", **held(other), result={"n": 2}))["error"]["code"] == "lease_lost"
    assert (await way.call("get_item", item_id=mine["id"]))["item"]["state"] == "queued"
    assert (await way.call("get_item", item_id=other["id"]))["item"]["result"] == {"n": 1}


@pytest.mark.scenario("abuse-messages", "digest-binds")
@pytest.mark.parametrize("door", ["stdio-2026", "mcp-2025"])
async def test_a_digest_that_was_changed_approves_nothing(ways: Ways, folder: Path, door: str) -> None:
    way = ways[door]
    order = (await way.call("propose", **ECHO))["order"]["id"]
    [item] = (await way.call("checkout", order_id=order))["items"]
    await way.call("submit", **held(item), result={"message": "hi", "verified": True})
    digest = (await way.call("review", order_id=order))["digest"]
    with unchanged(folder):
        for wrong in changed(digest):
            answer = await way.call("approve", order_id=order, digest=wrong)
            assert answer["error"]["code"] in ("stale", "invalid_request"), (wrong, answer)
    assert (await way.call("approve", order_id=order, digest=digest))["applied"]
    with unchanged(folder):
        again = await way.call("approve", order_id=order, digest=digest)
        assert again["error"]["code"] == "illegal_transition"


@pytest.mark.scenario("abuse-messages")
@pytest.mark.parametrize("door", ["stdio-2025", "mcp-2026"])
async def test_a_cursor_that_was_changed_leads_to_no_defect(ways: Ways, folder: Path, door: str) -> None:
    way = ways[door]
    for _ in range(3):
        await way.call("propose", **ECHO)
    with unchanged(folder):
        for tool, name, more in (("list_orders", "cursor", {}), ("events", "after", {})):
            cursor = (await way.call(tool, limit=1, **more))["next_cursor"]
            for wrong in changed(str(cursor)):
                page = await way.call(tool, limit=1, **{name: wrong})
                assert page.get("error", {"code": "invalid_request"})["code"] == "invalid_request", (wrong, page)
            first, again = [await way.call(tool, limit=1, **{name: cursor}) for _ in range(2)]
            assert first == again


def changed(token: str) -> list[str]:
    """Near misses: each of its characters another one, cut off, and with more."""
    flipped = [token[:n] + ("A" if token[n] != "A" else "B") + token[n + 1 :] for n in range(len(token))]
    return [*flipped, token[:-1], f"{token}A", token[::-1], "A" * 500]
