"""The MCP server: the tools of the caller's roles, and every refusal as a tool result."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp.server import MCPServer, ServerRequestContext
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context, RequestStateSecurity
from mcp.types import (
    CallToolResult,
    CompleteRequestParams,
    DiscoverResult,
    GetPromptResult,
    InputRequiredResult,
    PaginatedRequestParams,
    Prompt,
    RequestParams,
    ResourceTemplate,
    SubscribeRequestParams,
    SubscriptionsListenRequestParams,
    TextContent,
    Tool,
    UnsubscribeRequestParams,
)
from pydantic import AnyUrl, BaseModel

import workdocket
from workdocket.domain.errors import WorkError
from workdocket.surfaces import progress, review_app
from workdocket.surfaces.identity import Caller
from workdocket.surfaces.problems import one_line

if TYPE_CHECKING:
    from workdocket.app import App
    from workdocket.surfaces.beside import Beside
    from workdocket.surfaces.person import Dialogs

log = logging.getLogger("workdocket.door")

Request = ServerRequestContext[Any, Any]
ANSWER_SECONDS = 600.0
"""How long a question to a person stands."""

LISTED = Path(__file__).with_name("tools.json")

BESIDE: Mapping[str, tuple[type[BaseModel], str]] = {
    "resources/list": (PaginatedRequestParams, "page"),
    "resources/subscribe": (SubscribeRequestParams, "subscribe"),
    "resources/unsubscribe": (UnsubscribeRequestParams, "unsubscribe"),
    "subscriptions/listen": (SubscriptionsListenRequestParams, "listen"),
    "completion/complete": (CompleteRequestParams, "complete"),
}
"""Requests that the SDK has no public method for, and what answers them."""

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
    from workdocket.surfaces.dispatch import as_text

    return CallToolResult(content=[TextContent(type="text", text=as_text(answer))], structured_content=answer)


def refused(error: WorkError) -> CallToolResult:
    """A failure: one line that says what to do next, and the structure a program reads."""
    return CallToolResult(
        is_error=True,
        content=[TextContent(type="text", text=one_line(error))],
        structured_content={"error": error.as_dict()},
    )


class Door(MCPServer[None]):
    """The MCP server. Lists what the caller's roles allow, and answers every refusal in the form of what was asked:
    of a tool as a result, of anything else as a protocol error.

    Without an ``app`` it can only say what it is and list the tools; whoever makes one sees to it that nothing else is
    asked before it is let into the house.
    """

    _app: App
    _beside: Beside
    _dialogs: Dialogs

    def __init__(
        self,
        app: App | None,
        caller: Callable[[], Caller],
        *,
        progress_every: float = progress.EVERY_SECONDS,
        answer_within: float = ANSWER_SECONDS,
    ) -> None:
        asker = RequestStateSecurity(
            keys=[secrets.token_bytes(32)], ttl=answer_within, bind_principal=lambda _: caller().actor.id
        )
        super().__init__(
            "workdocket", title="Work orders", version=workdocket.__version__, instructions=INSTRUCTIONS,
            log_level="WARNING", subscriptions=False, extensions=[review_app.extension()],
            request_state_security=asker,
        )  # fmt: skip
        self._caller = caller
        self._progress_every = progress_every
        self._answer_within = answer_within
        handle = self._lowlevel_server.add_request_handler
        handle("server/discover", RequestParams, self._discover)
        for method, (params, name) in BESIDE.items():
            handle(method, params, partial(self._ask_beside, name))
        if app is not None:
            self.let_in(app)

    def let_in(self, app: App) -> None:
        from workdocket.surfaces.beside import Beside
        from workdocket.surfaces.person import Dialogs

        self._app = app
        self._beside = Beside(app, self._caller)
        self._dialogs = Dialogs(app, self._answer_within)

    def close_streams(self) -> None:
        """Nobody is told or asked anything any more: what would hold up the end of a server is ended."""
        self._beside.close()
        self._dialogs.close()

    async def _ask_beside(self, name: str, ctx: Request, params: Any) -> Any:
        return await getattr(self._beside, name)(ctx, params)

    async def _discover(self, ctx: Request, params: RequestParams) -> DiscoverResult:
        """As the SDK does it, but of the lists only that of resources ever changes."""
        found = await self._lowlevel_server._handle_discover(ctx, params)
        for unchanging in (found.capabilities.tools, found.capabilities.prompts):
            if unchanging is not None:
                unchanging.list_changed = False
        return found

    async def list_tools(self) -> list[Tool]:
        caller, known = self._caller(), json.loads(LISTED.read_text("utf-8"))
        return [Tool.model_validate(row["tool"]) for row in known if caller.may(frozenset(row["roles"]))]

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[None, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        caller = self._caller().known_as(client=client_of(context))
        async with progress.told(context, name, arguments, self._progress_every) as activity:
            try:
                answer = await self._dialogs.run(caller, name, arguments, context, activity)
            except WorkError as error:
                log.info("%s refused: %s", name, error.code)
                return refused(error)
        return answer if isinstance(answer, InputRequiredResult) else answered(answer)

    async def list_resource_templates(self) -> list[ResourceTemplate]:
        return self._beside.templates()

    async def read_resource(
        self, uri: AnyUrl | str, context: Context[None, Any] | None = None
    ) -> Iterable[ReadResourceContents] | InputRequiredResult:
        if str(uri) == review_app.URI:
            return await super().read_resource(uri, context)
        return await self._beside.read(str(uri))

    async def list_prompts(self) -> list[Prompt]:
        return self._beside.prompts()

    async def get_prompt(
        self, name: str, arguments: dict[str, Any] | None = None, context: Context[None, Any] | None = None
    ) -> GetPromptResult:
        return await self._beside.prompt(name, arguments or {})


def client_of(context: Context[None, Any] | None) -> str | None:
    """Name and version of the MCP client, for the log only."""
    if context is None:
        return None
    params = context.session.client_params
    return f"{params.client_info.name}/{params.client_info.version}"[:200] if params else None
