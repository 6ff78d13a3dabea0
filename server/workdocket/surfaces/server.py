"""The MCP server: the tools of the caller's roles, and every refusal as a tool result."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.types import CallToolResult, TextContent, Tool, ToolAnnotations

import workdocket
from workdocket.app import App
from workdocket.domain.errors import WorkError
from workdocket.surfaces.dispatch import run_tool
from workdocket.surfaces.identity import Caller
from workdocket.surfaces.problems import one_line
from workdocket.surfaces.tools import TOOLS, ToolSpec

log = logging.getLogger("workdocket.door")

INSTRUCTIONS = """\
workdocket hands out work orders one item at a time, checks what comes back, and applies it only after approval.
1. order_types(name) shows a kind of work; propose files an order of it.
2. checkout takes an item under a lease; do the work; heartbeat before the lease expires (any call renews it).
3. submit the result, or submit_part for each part and then finalize. Mend all findings and send again.
4. A reviewer calls review, then approve with its digest (the change is applied once) or reject with reasons.
5. Lost? my_work gives your leases back; explain says why something does not move. Retries with the same \
idempotency_key are safe."""


def listed(spec: ToolSpec) -> Tool:
    read_only, destructive, idempotent = spec.hints
    return Tool(
        name=spec.name,
        title=spec.title,
        description=spec.description,
        input_schema=spec.input_schema,
        output_schema=spec.output_schema,
        annotations=ToolAnnotations(
            read_only_hint=read_only,
            destructive_hint=destructive,
            idempotent_hint=idempotent,
            open_world_hint=False,
        ),
    )


def answered(answer: dict[str, Any]) -> CallToolResult:
    """A success: the same facts as structure and as compact text."""
    text = json.dumps(answer, separators=(",", ":"), ensure_ascii=False)
    return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=answer)


def refused(error: WorkError) -> CallToolResult:
    """A failure: one line that says what to do next, and the structure a program reads."""
    return CallToolResult(
        is_error=True,
        content=[TextContent(type="text", text=one_line(error))],
        structured_content={"error": error.as_dict()},
    )


class Door(MCPServer[None]):
    """The MCP server. Lists what the caller's roles allow, and answers every refusal as a tool result."""

    def __init__(self, app: App, caller: Callable[[], Caller]) -> None:
        super().__init__(
            "workdocket", title="Work orders", version=workdocket.__version__, instructions=INSTRUCTIONS,
            log_level="WARNING",
        )  # fmt: skip
        self._app = app
        self._caller = caller

    async def list_tools(self) -> list[Tool]:
        caller = self._caller()
        return [listed(spec) for spec in TOOLS.values() if caller.may(spec.roles)]

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[None, Any] | None = None
    ) -> CallToolResult:
        caller = self._caller().known_as(client=client_of(context))
        try:
            return answered(await run_tool(self._app, caller, name, arguments))
        except WorkError as error:
            log.info("%s refused: %s", name, error.code)
            return refused(error)


def client_of(context: Context[None, Any] | None) -> str | None:
    """Name and version of the MCP client, for the log only."""
    if context is None:
        return None
    params = context.session.client_params
    return f"{params.client_info.name}/{params.client_info.version}"[:200] if params else None
