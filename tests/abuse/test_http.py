"""HTTP as nobody should speak it: refused or hung up on, at once, with nothing half done and nobody else held up."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from tests.abuse.sockets import (
    BOTH,
    ECHO,
    HEALTH,
    JSON,
    abused,
    answered,
    count_of,
    heard,
    hung_up,
    left_open,
    propose,
    request,
    said,
    statuses,
    unchanged,
    until_closed,
)
from tests.support.process import comes_true
from tests.support.web import Served, reached, site
from workdocket.surfaces.listener import Connection

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHUNKED = "Transfer-Encoding: chunked"
MODERN = "Mcp-Protocol-Version: 2026-07-28"
NO_SESSION = "0" * 32
POSTED = [
    ("/v1/propose", [JSON]),
    ("/mcp", [JSON, BOTH]),
    ("/mcp", [JSON, BOTH, MODERN]),
    (f"/messages/?session_id={NO_SESSION}", [JSON]),
]
"""Everything that takes a body."""

NO_HTTP: dict[str, bytes] = {
    "words": b"hello?\r\n\r\n",
    "a greeting of TLS": bytes.fromhex("16030100c8010000c40303") + bytes(190),
    "the first bytes of a greeting of TLS": bytes.fromhex("1603010200"),
    "bytes": bytes(range(256)) * 4,
    "empty lines": b"\r\n" * 10 + b"\0\r\n\r\n",
    "no version": b"GET /healthz\r\n\r\n",
    "a version that there is not": b"GET /healthz HTTP/x.y\r\nHost: 127.0.0.1\r\n\r\n",
    "no path": b"GET HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "two hosts": request("GET", "/healthz", b"", "Host: 127.0.0.1"),
    "NUL in the path": request("GET", "/healthz\0"),
    "NUL in a header": request("GET", "/healthz", b"", "X-A: \0"),
    "a header without a name": request("GET", "/healthz", b"", ": x"),
    "a header without a colon": request("GET", "/healthz", b"", "what"),
    "space before the colon": request("POST", "/v1/propose", ECHO, JSON, "Content-Length : 5"),
    "a name of a header in letters from elsewhere": request("GET", "/healthz", b"", "X-\xfc: 1"),
    "a lone CR": b"GET /healthz HTTP/1.1\rHost: 127.0.0.1\r\r\r\n\r\n",
    "a very long line": request("GET", f"/healthz?{'x' * 200_000}"),
    "a very long header": request("GET", "/healthz", b"", f"X-A: {'x' * 200_000}"),
    "very many headers": request("GET", "/healthz", b"", *(f"X-{n}: 1" for n in range(20_000))),
    "two lengths": request("POST", "/v1/propose", ECHO, JSON, "Content-Length: 5", "Content-Length: 6"),
    "a list of lengths": request("POST", "/v1/propose", ECHO, JSON, "Content-Length: 5, 6"),
    "a negative length": request("POST", "/v1/propose", ECHO, JSON, "Content-Length: -5"),
    "a length with a sign": request("POST", "/v1/propose", ECHO, JSON, "Content-Length: +5"),
    "a length of thirty digits": request("POST", "/v1/propose", ECHO, JSON, f"Content-Length: {'9' * 30}"),
    "a length in words": request("POST", "/v1/propose", ECHO, JSON, "Content-Length: five"),
    "a chunk without a size": request("POST", "/v1/propose", b"zz\r\n{}\r\n0\r\n\r\n", JSON, CHUNKED),
    "a chunk of negative size": request("POST", "/v1/propose", b"-2\r\n{}\r\n0\r\n\r\n", JSON, CHUNKED),
    "a chunk of endless size": request("POST", "/v1/propose", b"f" * 100 + b"\r\n{}", JSON, CHUNKED),
    "a chunk longer than it says": request("POST", "/v1/propose", b"1\r\n{}\r\n0\r\n\r\n", JSON, CHUNKED),
    "an unknown coding": request("POST", "/v1/propose", ECHO, JSON, "Transfer-Encoding: gzip, chunked"),
    "two codings": request("POST", "/v1/propose", ECHO, JSON, CHUNKED, CHUNKED),
}


@pytest.mark.scenario("abuse-http")
async def test_what_is_no_http_is_refused_or_hung_up_on(server: Served, folder: Path) -> None:
    with unchanged(folder):
        for name, raw in NO_HTTP.items():
            refused = statuses(await answered(server, raw))
            assert set(refused) <= {400, 421, 501}, (name, refused)


@pytest.mark.scenario("abuse-http")
async def test_a_request_may_come_in_pieces_cut_anywhere(server: Served, folder: Path) -> None:
    echo = {"type": "test.echo", "payload": {"message": "Grüße 🌱"}}
    raw = request("POST", "/v1/propose", json.dumps(echo, ensure_ascii=False).encode(), JSON)
    before = count_of(folder, "orders")
    for at in range(1, len(raw), 3):
        [answer] = await answered(server, raw[:at], raw[at:])
        assert answer.json()["order"]["payload"] == echo["payload"]
    [answer] = await answered(server, *(raw[n : n + 1] for n in range(len(raw))))
    assert answer.status == 200
    assert count_of(folder, "orders") - before == len(range(1, len(raw), 3)) + 1


@pytest.mark.scenario("abuse-http")
async def test_requests_in_one_write_are_answered_in_order_and_what_follows_the_last_is_not_one(
    server: Served, folder: Path
) -> None:
    plenty = b"".join(propose(f"k{n % 20}", last=False) for n in range(40))
    before = count_of(folder, "orders")
    answers = await answered(server, plenty + HEALTH + propose())
    assert statuses(answers) == [200] * 41
    ids = [answer.json()["order"]["id"] for answer in answers[:40]]
    assert ids[:20] == ids[20:] == sorted(set(ids), key=lambda id_: int(id_[3:]))
    assert statuses(await answered(server, propose(last=False) + b"\0\0\r\n\r\n" + propose())) == [200, 400]
    assert count_of(folder, "orders") - before == 21


SMUGGLED: dict[str, bytes] = {
    "a length and chunks": request(
        "POST", "/v1/list_orders", b"0\r\n\r\n", JSON, "Content-Length: 5", CHUNKED, last=False
    ),
    "chunks and a longer length": request(
        "POST", "/v1/list_orders", b"0\r\n\r\n", JSON, CHUNKED, "Content-Length: 500", last=False
    ),
    "two lengths": request(
        "POST", "/v1/list_orders", b"{}", JSON, "Content-Length: 0", "Content-Length: 2", last=False
    ),
    "an odd spelling": request(
        "POST", "/v1/list_orders", b"0\r\n\r\n", JSON, "Transfer-Encoding: xchunked", last=False
    ),
    "a tab": request("POST", "/v1/list_orders", b"0\r\n\r\n", JSON, "Transfer-Encoding:\tx chunked", last=False),
    "a chunk that is none": request("POST", "/v1/list_orders", b"2\r\n{}0\r\n\r\n", JSON, CHUNKED, last=False),
}


@pytest.mark.scenario("abuse-http")
async def test_a_request_whose_end_is_in_doubt_is_refused_and_nothing_behind_it_is_read(
    server: Served, folder: Path
) -> None:
    with unchanged(folder):
        for name, raw in SMUGGLED.items():
            refused = statuses(await answered(server, raw + propose()))
            assert refused in ([400], [422], [501]), (name, refused)


@pytest.mark.scenario("abuse-http")
async def test_garbage_once_the_answer_is_on_its_way_only_ends_the_connection(server: Served, folder: Path) -> None:
    half = b"2\r\n{}\r\n"
    begun = {
        "refused before it was read": request("POST", "/v1/propose", half, JSON, CHUNKED, host="evil.example"),
        "a stream": request("GET", "/sse", half, BOTH, CHUNKED),
        "a read": request("GET", "/healthz", half, CHUNKED, last=False),
        "a call that waits": request("GET", "/v1/get_order?order_id=WO-1&wait_seconds=50", half, CHUNKED),
    }
    await answered(server, propose())
    with unchanged(folder):
        for name, raw in begun.items():
            stream = await said(server, raw, b"zz\r\n\r\n")
            assert b"HTTP/1.1 5" not in stream, (name, stream)


@pytest.mark.scenario("abuse-http")
async def test_odd_but_sound_requests_are_taken_for_what_they_are(server: Served, folder: Path) -> None:
    sound_ones = {
        "HTTP/1.0": b"GET /healthz HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n",
        "many headers": request("GET", "/healthz", b"", *(f"X-{n}: 1" for n in range(90))),
        "an upgrade": request("GET", "/healthz", b"", "Upgrade: websocket", "Connection: Upgrade"),
        "one byte a chunk": request(
            "POST", "/v1/list_orders", b"1\r\n{\r\n1;x=y\r\n}\r\n0\r\nX: y\r\n\r\n", JSON, CHUNKED
        ),
    }
    with unchanged(folder):
        for name, raw in sound_ones.items():
            assert statuses(await answered(server, raw)) == [200], name
        waits = request("POST", "/v1/list_orders", b"{}", JSON, "Expect: 100-continue", "Content-Length: 2")
        assert statuses(await answered(server, waits[:-2], waits[-2:])) == [100, 200]


# paths and methods

ASTRAY = [
    "//v1/propose", "/v1//propose", "/v1/../v1/propose", "/healthz/../v1/propose", "/healthz/%2e%2e/v1/propose",
    "/healthz%2f..%2fv1%2fpropose", "/.well-known/../v1/propose", "/.well-known/%2e%2e%2fv1/propose", "/v1/propose%00",
    "/v1/propose%0d%0aX:1", "/v1/propose/", "/v1/propose;x=1", "/v1/propose%20", "/v1/propose%ff", "/V1/PROPOSE",
    "/v1\\propose", "http://127.0.0.1/v1/propose", "http://evil.example/v1/propose", "*", "/v1/__class__",
    "/messages/../v1/propose", "/mcp/../v1/propose", "/healthz/v1/propose", "/v1/propose?validate_only=false",
    "/v1/propose%3fx", "/%76%31//propose",
]  # fmt: skip


@pytest.mark.scenario("abuse-http", "http-token-asked-for")
async def test_no_spelling_of_a_path_leads_past_the_guard_or_to_another_tool(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        token = await here.token("ann")
    async with abused(tmp_path) as server:
        for path in ASTRAY:
            raw = request("POST", path, ECHO, JSON)
            [unknown] = await answered(server, raw)
            [known] = await answered(server, request("POST", path, ECHO, JSON, f"Authorization: Bearer {token}"))
            assert unknown.status in (401, 404, 405, 307), (path, unknown)
            assert known.status in (400, 404, 405, 422, 307), (path, known)
            if known.status == 307:
                assert known.header("location").startswith("http://127.0.0.1/"), known
    assert count_of(tmp_path, "orders") == 0


@pytest.mark.scenario("abuse-http")
async def test_a_method_that_there_is_not_is_refused_everywhere(server: Served, folder: Path) -> None:
    with unchanged(folder):
        for path in ("/healthz", "/v1/propose", "/v1/openapi.json", "/mcp", "/sse", "/messages/"):
            for method in ("BREW", "TRACE", "CONNECT", "PUT", "PATCH", "OPTIONS", "get", "post"):
                assert statuses(await answered(server, request(method, path))) == [405], (method, path)
        for path, status in (("/healthz", 200), ("/v1/list_orders", 200), ("/v1/propose", 405), ("/sse", 405)):
            assert b"HTTP/1.1 %d " % status in await said(server, request("HEAD", path))


# bodies

LARGE = b" " * 5_000_000


@pytest.mark.scenario("http-too-large", "abuse-http")
async def test_a_body_that_is_too_large_is_refused_at_every_door_however_it_comes(server: Served, folder: Path) -> None:
    with unchanged(folder):
        for path, headers in POSTED:
            assert statuses(
                await answered(server, request("POST", path, b"", *headers, "Content-Length: 9999999"))
            ) == [413]
            chunks = b"%x\r\n%b\r\n" % (len(LARGE), LARGE) + b"0\r\n\r\n"
            for raw in (request("POST", path, LARGE, *headers), request("POST", path, chunks, *headers, CHUNKED)):
                # what is left unread may cost the sender the answer, or its end
                stream = await said(server, raw)
                assert b"HTTP/1.1 413".startswith(stream[:12])


@pytest.mark.scenario("abuse-http")
async def test_a_body_that_is_no_json_of_its_kind_is_refused_at_every_door(server: Served, folder: Path) -> None:
    kinds: dict[str, tuple[bytes, Callable[[str], str]]] = {
        "nothing": (b" ", str),
        "gzip": (bytes.fromhex("1f8b0800000000000003abae05004300d1ae02000000"), str),
        "a form": (b"type=test.echo", lambda line: line.replace("json", "x-www-form-urlencoded")),
        "text": (json.dumps(ECHO).encode(), lambda line: line.replace("application/json", "text/plain")),
        "UTF-16": (json.dumps(ECHO).encode("utf-16"), str),
        "half a character": ('{"a": "🌱'.encode()[:-2] + b'"}', str),
        "an endless nest": (b'{"a":' * 100_000, str),
        "an object of another kind": (b'{"hello": 1}', str),
    }
    with unchanged(folder):
        for name, (body, kind) in kinds.items():
            for path, headers in POSTED:
                changed = [kind(header) if header == JSON else header for header in headers]
                [answer] = await answered(server, request("POST", path, body, *changed))
                assert answer.status in (400, 404, 415, 422), (name, path, answer)


@pytest.mark.scenario("abuse-http", "http-gone")
async def test_whoever_goes_away_in_the_middle_of_a_body_is_forgotten(server: Served, folder: Path) -> None:
    with unchanged(folder):
        before = connections(server)
        for path, headers in POSTED:
            for _ in range(5):
                await hung_up(await left_open(server, request("POST", path, b'{"a":', *headers, "Content-Length: 500")))
        await comes_true(lambda: connections(server) <= before)


def connections(server: Served) -> int:
    """How many sockets the server has open; one of them listens."""
    count = 0
    for file in Path(f"/proc/{server.process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            count += os.readlink(file).startswith("socket:")
    return count


# who is asking

DISGUISES = [
    "X-Forwarded-Host: 127.0.0.1", "X-Forwarded-For: 127.0.0.1", "X-Forwarded-Proto: https", "X-Real-IP: 127.0.0.1",
    "Forwarded: for=127.0.0.1;host=127.0.0.1;proto=https", "X-Original-URL: /v1/propose", "X-Rewrite-URL: /v1/propose",
    "X-HTTP-Method-Override: POST", "X-Method-Override: POST", "X-Forwarded-User: root", "X-Remote-User: root",
    "X-Forwarded-Prefix: /v1/propose", "Via: 1.1 127.0.0.1", "Referer: http://127.0.0.1/", "User: root",
]  # fmt: skip
EVERYWHERE = ["/healthz", "/v1/list_orders", "/v1/openapi.json", "/mcp", "/sse", "/messages/", "/nothing"]


@pytest.mark.scenario("abuse-http", "http-host-and-origin")
async def test_no_header_stands_in_for_host_origin_method_or_path(server: Served, folder: Path) -> None:
    with unchanged(folder):
        for path in EVERYWHERE:
            for method in ("GET", "POST"):
                foreign = request(method, path, b"", *DISGUISES, host="evil.example")
                assert statuses(await answered(server, foreign)) == [421]
                page = request(method, path, b"", *DISGUISES, "Origin: https://evil.example")
                assert statuses(await answered(server, page)) == [403]
        assert statuses(await answered(server, request("GET", "/v1/propose", ECHO, JSON, *DISGUISES))) == [405]
        [plain] = await answered(server, request("GET", "/healthz"))
        [disguised] = await answered(server, request("GET", "/healthz", b"", *DISGUISES))
        assert (disguised.status, disguised.body) == (200, plain.body)


@pytest.mark.scenario("abuse-http", "http-token-asked-for")
async def test_no_header_stands_in_for_a_token(tmp_path: Path) -> None:
    async with site(tmp_path) as here:
        token = await here.token("ann")
    instead = [f"Cookie: token={token}", f"X-Api-Key: {token}", f"Proxy-Authorization: Bearer {token}"]
    async with abused(tmp_path) as server:
        for path in EVERYWHERE[1:]:
            for headers in ([], instead, [*instead, *DISGUISES], ["Authorization:"], ["Authorization: Bearer \xff"]):
                [answer] = await answered(server, request("POST", f"{path}?token={token}", b"", *headers))
                assert answer.status == 401, (path, headers, answer)


# many, slow and gone


@pytest.mark.scenario("abuse-crowds")
async def test_two_hundred_connections_that_say_nothing_or_half_hold_up_neither_others_nor_the_end(
    tmp_path: Path,
) -> None:
    halves = [b"", b"GET /hea", request("POST", "/v1/propose", b"{", JSON, "Content-Length: 9"), request("GET", "/sse")]
    async with abused(tmp_path) as server:
        before = connections(server)
        dropped = [await left_open(server, halves[n % 4]) for n in range(200)]
        assert statuses(await answered(server, propose())) == [200]
        for one in dropped:
            one.transport.abort()
        await comes_true(lambda: connections(server) <= before)
        left = [await left_open(server, halves[n % 4]) for n in range(200)]
        await reached(server)
    for one in left:
        await hung_up(one)


@pytest.mark.scenario("abuse-http", "key-replays")
@pytest.mark.parametrize("door", ["/v1", "/mcp"])
async def test_whoever_hangs_up_in_the_middle_of_a_call_finds_it_done_or_not_and_never_half(
    tmp_path: Path, door: str
) -> None:
    def file_(n: int) -> bytes:
        return propose(f"k{n}") if door == "/v1" else called("propose", {**ECHO, "idempotency_key": f"k{n}"})

    def take(n: int) -> bytes:
        arguments = {"idempotency_key": f"t{n}"}
        return request("POST", "/v1/checkout", arguments, JSON) if door == "/v1" else called("checkout", arguments)

    async with abused(tmp_path) as server:
        for ask in (file_, take):
            for n in range(40):
                one = await left_open(server, ask(n))
                if n % 2:
                    await reached(server)
                one.transport.abort()
            await reached(server)
            answers = [result(answer) for n in range(40) for answer in await answered(server, ask(n))]
            if ask is file_:
                assert len({answer["order"]["id"] for answer in answers}) == 40
            else:
                told = [item["id"] for answer in answers for item in answer["items"]]
                assert len(told) == len(set(told)) == 40
    assert (count_of(tmp_path, "orders"), count_of(tmp_path, "leases")) == (40, 40)


def called(tool: str, arguments: dict[str, Any]) -> bytes:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = {"name": tool, "arguments": arguments, "_meta": meta}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    return request("POST", "/mcp", message, JSON, BOTH, MODERN, "Mcp-Method: tools/call", f"Mcp-Name: {tool}")


def result(answer: Any) -> dict[str, Any]:
    found: dict[str, Any] = answer.json()
    return found["result"]["structuredContent"] if "jsonrpc" in found else found


class Hasty(Connection):
    head_seconds = 0.2


@pytest.mark.scenario("abuse-http")
async def test_whoever_does_not_say_what_it_wants_is_not_waited_for(tmp_path: Path) -> None:
    alive = request("GET", "/healthz", last=False)
    async with site(tmp_path) as here:
        config = uvicorn.Config(here.web.app, lifespan="off", ws="none", log_config=None, timeout_keep_alive=1)
        listener = await asyncio.get_running_loop().create_server(
            lambda: Hasty(config, ServerState(), {}), "127.0.0.1", 0
        )
        async with listener:
            port = listener.sockets[0].getsockname()[1]
            for half, answers in ((b"", []), (b"GET", []), (HEALTH[:-2], []), (alive + b"GET /he", [200])):
                assert await at(port, half) == answers
            assert await at(port, request("POST", "/v1/checkout", {"wait_seconds": 1}, JSON)) == [200]


async def at(port: int, data: bytes) -> list[int]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    answers = heard(await until_closed(reader))
    await hung_up(writer)
    return statuses(answers)
