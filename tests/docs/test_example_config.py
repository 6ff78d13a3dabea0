"""mcp.json.example, as a host would use it."""

from __future__ import annotations

import json
from pathlib import Path

import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from tests.support import pages
from tests.support.harness import passed_on
from tests.support.web import served
from workdocket.settings import Settings

EXAMPLE = pages.REPOSITORY / "mcp.json.example"


@pytest.mark.scenario("example-config")
def test_the_address_in_it_is_the_one_that_serve_listens_on_when_nothing_is_set() -> None:
    entry = json.loads(EXAMPLE.read_text("utf-8"))["mcpServers"]["workdocket-http"]
    settings = Settings()

    assert entry == {"type": "http", "url": f"http://{settings.host}:{settings.port}/mcp"}


@pytest.mark.scenario("example-config")
async def test_a_server_starts_from_the_example_and_lists_its_tools(tmp_path: Path) -> None:
    # given the example with the placeholders replaced, as its reader is told to
    text = EXAMPLE.read_text("utf-8")
    text = text.replace("/absolute/path/to/workdocket/.venv/bin", str(pages.COMMANDS))
    text = text.replace("/absolute/path/to/project", str(tmp_path))
    assert "/absolute/path" not in text
    entry = json.loads(text)["mcpServers"]["workdocket"]

    # when a host starts it somewhere else
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    server = StdioServerParameters(
        command=entry["command"], args=entry["args"], env={**passed_on(), **entry["env"]}, cwd=str(elsewhere)
    )
    async with Client(server) as client:
        tools = [tool.name for tool in (await client.list_tools()).tools]

    # then it has the tools, and its database is where the example says
    assert {"propose", "checkout", "submit", "review", "approve"} <= set(tools)
    assert (tmp_path / ".workdocket" / "workdocket.db").is_file()


@pytest.mark.scenario("example-config")
async def test_a_server_answers_where_the_example_says(tmp_path: Path) -> None:
    # given an http server, on a free port in place of the usual one
    entry = json.loads(EXAMPLE.read_text("utf-8"))["mcpServers"]["workdocket-http"]
    async with served(tmp_path) as server:
        address = entry["url"].replace(str(Settings().port), str(server.port))

        # when a host connects to the address of the example, then it has the tools
        async with httpx2.AsyncClient() as http, Client(streamable_http_client(address, http_client=http)) as client:
            tools = [tool.name for tool in (await client.list_tools()).tools]
    assert {"propose", "checkout", "submit", "review", "approve"} <= set(tools)
