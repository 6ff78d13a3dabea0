"""How an HTTP server ends: on a signal, within seconds, with open streams, and with whole answers."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from contextlib import AsyncExitStack
from pathlib import Path

import httpx2
import pytest
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

from tests.support.harness import LIMIT
from tests.support.web import reached, served, wired
from workdocket.surfaces.listener import listening

LISTEN = {
    "notifications": {"resourceSubscriptions": ["workdocket://queue"]},
    "_meta": {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    },
}
WAIT = {"wait_seconds": 50}
PLENTY = httpx2.Timeout(60)


@pytest.mark.scenario("http-ends")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_it_with_streams_open_and_every_waiting_call_answered(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with AsyncExitStack() as open_:
        server = await open_.enter_async_context(served(tmp_path))
        http = await open_.enter_async_context(httpx2.AsyncClient(timeout=PLENTY))
        mcp = f"{server.url}/mcp"
        clients = [
            await open_.enter_async_context(Client(streamable_http_client(mcp, http_client=http))),
            await open_.enter_async_context(Client(streamable_http_client(mcp, http_client=http), mode="legacy")),
            await open_.enter_async_context(Client(sse_client(f"{server.url}/sse"))),
        ]
        for client in clients:
            await client.list_tools()  # which it would ask for to check an answer, when nobody answers any more
        calls = [asyncio.create_task(client.call_tool("checkout", WAIT)) for client in clients]
        plain = await open_.enter_async_context(wired(server))
        await plain.post("/v1/checkout", WAIT)
        listening = {"jsonrpc": "2.0", "id": 9, "method": "subscriptions/listen", "params": LISTEN}
        headers = {"Accept": "application/json, text/event-stream", "Mcp-Protocol-Version": "2026-07-28"}
        headers |= {"Mcp-Method": "subscriptions/listen"}
        async with (
            http.stream("GET", f"{server.url}/sse") as idle,
            http.stream("POST", mcp, json=listening, headers=headers) as told,
        ):
            assert (idle.status_code, told.status_code) == (200, 200)
            for client in (*clients, *clients):  # what comes in after the waiting calls is answered
                await client.call_tool("my_work")
            await reached(server)
            server.end(number)
            assert await server.ended() == 128 + number
            answers = await asyncio.wait_for(asyncio.gather(*calls), LIMIT)
            assert [answer.structured_content["reason"] for answer in answers] == ["empty"] * 3
            assert json.loads((await plain.answer())[1])["reason"] == "empty"
        assert not [line for line in server.said if "Traceback" in line or "ERROR" in line]


@pytest.mark.scenario("http-ends")
async def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    async with served(tmp_path) as server, wired(server) as wire:
        await wire.post("/v1/checkout", WAIT)
        await reached(server)
        server.end()
        server.end()
        assert await server.ended() == 128 + signal.SIGTERM


@pytest.mark.scenario("http-ends")
async def test_a_half_sent_request_does_not_hold_up_the_end(tmp_path: Path) -> None:
    async with served(tmp_path) as server, wired(server) as wire:
        await wire.post("/v1/propose", {}, length=100)
        await reached(server)
        server.end()
        assert await server.ended() == 128 + signal.SIGTERM


@pytest.mark.scenario("http-gone")
async def test_whoever_goes_away_while_waiting_gets_no_work(tmp_path: Path) -> None:
    async with served(tmp_path) as server, httpx2.AsyncClient(base_url=server.url) as http:
        async with wired(server) as wire:
            await wire.post("/v1/checkout", WAIT)
            await reached(server)
        await reached(server)
        await http.post("/v1/propose", json={"type": "test.echo", "payload": {"message": "hi"}})
        taken = (await http.post("/v1/checkout", json={})).json()
        assert [item["id"] for item in taken["items"]] == ["WO-1.1"]


@pytest.mark.scenario("http-port")
async def test_a_port_that_is_taken_is_refused_in_one_line(tmp_path: Path) -> None:
    async with served(tmp_path) as first:
        with pytest.raises(AssertionError, match=f"cannot listen on 127.0.0.1 port {first.port}") as refused:
            async with served(tmp_path, "--port", str(first.port)):
                pass
    assert "Traceback" not in str(refused.value)


@pytest.mark.scenario("http-port")
def test_the_second_half_of_an_answer_does_not_wait_for_word_of_the_first() -> None:
    with listening("127.0.0.1", 0) as place, socket.create_connection(place.getsockname()):
        connection, _ = place.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
