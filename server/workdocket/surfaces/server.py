"""The MCP server: the tools of the caller's roles, and every refusal as a tool result."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.types import CallToolResult, TextContent, Tool

import workdocket
from workdocket.domain.errors import WorkError
from workdocket.surfaces.identity import Caller
from workdocket.surfaces.problems import one_line

if TYPE_CHECKING:
    from workdocket.app import App

log = logging.getLogger("workdocket.door")

LISTED = Path(__file__).with_name("tools.json")

INSTRUCTIONS = """\
workdocket hands out work orders one item at a time, checks what comes back, and applies it only after approval.
1. order_types(name) shows a kind of work; propose files an order of it.
2. checkout takes an item under a lease; do the work; heartbeat before the lease expires (any call renews it).
3. submit the result, or submit_part for each part and then finalize. Mend all findings and send again.
4. A reviewer calls review, then approve with its digest (the change is applied once) or reject with reasons.
5. Lost? my_work gives your leases back; explain says why something does not move. Retries with the same \
idempotency_key are safe."""


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
    """The MCP server. Lists what the caller's roles allow, and answers every refusal as a tool result.

    Without an ``app`` it can only say what it is and list the tools; whoever makes one sees to it that nothing else is
    asked before it is let into the house.
    """

    _app: App

    def __init__(self, app: App | None, caller: Callable[[], Caller]) -> None:
        super().__init__(
            "workdocket", title="Work orders", version=workdocket.__version__, instructions=INSTRUCTIONS,
            log_level="WARNING",
        )  # fmt: skip
        self._caller = caller
        if app is not None:
            self.let_in(app)

    def let_in(self, app: App) -> None:
        self._app = app

    async def list_tools(self) -> list[Tool]:
        caller, known = self._caller(), json.loads(LISTED.read_text("utf-8"))
        return [Tool.model_validate(row["tool"]) for row in known if caller.may(frozenset(row["roles"]))]

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[None, Any] | None = None
    ) -> CallToolResult:
        from workdocket.surfaces.dispatch import run_tool

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
