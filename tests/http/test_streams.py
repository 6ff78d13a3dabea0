"""MCP streams that break off: a client of the handshake era is sent the rest."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.harness import LIMIT
from tests.support.web import served

HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
ACCEPTS = {"Accept": "application/json, text/event-stream", "Mcp-Protocol-Version": "2025-11-25"}


@dataclass
class Session:
    """A session of the handshake era, by hand."""

    http: httpx2.AsyncClient
    headers: dict[str, str]

    def call(self, tool: str, number: int = 2, **arguments: Any) -> Any:
        """The stream of a tool's call."""
        params = {"name": tool, "arguments": arguments}
        asked = {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}
        return self.http.stream("POST", "/mcp", json=asked, headers=self.headers)

    def rest(self, event_id: str) -> Any:
        """The stream of what came after an event."""
        return self.http.stream("GET", "/mcp", headers={**self.headers, "Last-Event-ID": event_id})


@asynccontextmanager
async def session(url: str) -> AsyncIterator[Session]:
    async with httpx2.AsyncClient(base_url=url, timeout=LIMIT) as http:
        asked = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO}
        opened = await http.post("/mcp", json=asked, headers=ACCEPTS)
        headers = {**ACCEPTS, "Mcp-Session-Id": opened.headers["mcp-session-id"]}
        await http.post("/mcp", json={"jsonrpc": "2.0", "method": "notifications/initialized"}, headers=headers)
        yield Session(http, headers)


async def events(stream: httpx2.Response) -> AsyncIterator[dict[str, str]]:
    """The events of a stream, as their fields."""
    fields: dict[str, str] = {}
    async for line in stream.aiter_lines():
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            yield fields
            fields = {}


async def until_answered(stream: httpx2.Response) -> AsyncIterator[dict[str, str]]:
    async for event in events(stream):
        yield event
        if '"result"' in event.get("data", ""):
            return


async def first(stream: httpx2.Response) -> dict[str, str]:
    return await anext(events(stream))


@pytest.mark.scenario("http-resumes")
async def test_the_answer_to_a_call_whose_stream_broke_off_is_sent_to_whoever_comes_back_for_it(tmp_path: Path) -> None:
    async with served(tmp_path) as server, session(server.url) as here:
        async with here.call("checkout", wait_seconds=50) as stream:
            seen = await first(stream)
        await here.http.post("/v1/propose", json={"type": "test.echo", "payload": {"message": "hi"}})
        async with here.rest(seen["id"]) as stream:
            told = [event["data"] async for event in until_answered(stream)]
        answer = json.loads(told[-1])
    assert answer["id"] == 2
    assert [item["id"] for item in answer["result"]["structuredContent"]["items"]] == ["WO-1.1"]


@pytest.mark.scenario("http-resumes")
async def test_another_session_is_sent_nothing_of_it(tmp_path: Path) -> None:
    async with served(tmp_path) as server, session(server.url) as one, session(server.url) as other:
        async with one.call("list_orders") as stream:
            told = [event async for event in events(stream)]
        async with other.rest(told[0]["id"]) as stream:
            assert [event async for event in events(stream)] == []
