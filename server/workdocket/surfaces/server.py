"""The MCP server: the tools of the caller's roles, and every refusal as a tool result."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from mcp import MCPError
from mcp.server import MCPServer, ServerRequestContext
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context, RequestStateSecurity
from mcp.types import (
    CallToolResult,
    CompleteRequestParams,
    CompleteResult,
    DiscoverResult,
    EmptyResult,
    GetPromptResult,
    InputRequiredResult,
    ListResourcesResult,
    PaginatedRequestParams,
    Prompt,
    RequestParams,
    ResourceTemplate,
    SubscribeRequestParams,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
    TextContent,
    Tool,
    ToolAnnotations,
    UnsubscribeRequestParams,
)
from pydantic import AnyUrl

import workdocket
from workdocket.app import App
from workdocket.domain.errors import WorkError
from workdocket.surfaces import person, progress, prompts, resources, review_app
from workdocket.surfaces.completion import completed
from workdocket.surfaces.dispatch import as_text
from workdocket.surfaces.identity import Caller
from workdocket.surfaces.notices import Notices
from workdocket.surfaces.problems import one_line, rpc_code, unexpected
from workdocket.surfaces.tools import EVERYBODY, TOOLS, ToolSpec

log = logging.getLogger("workdocket.door")

Request = ServerRequestContext[Any, Any]

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
        meta=review_app.shown_with(spec.name),
    )


def answered(answer: dict[str, Any]) -> CallToolResult:
    """A success: the same facts as structure and as compact text."""
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
    of a tool as a result, of anything else as a protocol error."""

    def __init__(
        self,
        app: App,
        caller: Callable[[], Caller],
        *,
        progress_every: float = progress.EVERY_SECONDS,
        answer_within: float = person.ANSWER_SECONDS,
    ) -> None:
        asker = RequestStateSecurity(
            keys=[secrets.token_bytes(32)], ttl=answer_within, bind_principal=lambda _: caller().actor.id
        )
        super().__init__(
            "workdocket", title="Work orders", version=workdocket.__version__, instructions=INSTRUCTIONS,
            log_level="WARNING", subscriptions=False, extensions=[review_app.extension()],
            request_state_security=asker,
        )  # fmt: skip
        self._app = app
        self._caller = caller
        self._progress_every = progress_every
        self._dialogs = person.Dialogs(app, answer_within)
        self._notices = Notices(app.desk)
        handle = self._lowlevel_server.add_request_handler
        handle("server/discover", RequestParams, self._discover)
        handle("resources/list", PaginatedRequestParams, self._list_resources)
        handle("resources/subscribe", SubscribeRequestParams, self._subscribe)
        handle("resources/unsubscribe", UnsubscribeRequestParams, self._unsubscribe)
        handle("subscriptions/listen", SubscriptionsListenRequestParams, self._listen)
        handle("completion/complete", CompleteRequestParams, self._complete)

    def close_streams(self) -> None:
        """Nobody is told or asked anything any more: what would hold up the end of a server is ended."""
        self._notices.close()
        self._dialogs.close()

    # tools

    async def list_tools(self) -> list[Tool]:
        caller = self._caller()
        return [listed(spec) for spec in TOOLS.values() if caller.may(spec.roles)]

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

    # resources

    async def list_resource_templates(self) -> list[ResourceTemplate]:
        return resources.templates() if self._caller().may(EVERYBODY) else []

    async def read_resource(
        self, uri: AnyUrl | str, context: Context[None, Any] | None = None
    ) -> Iterable[ReadResourceContents] | InputRequiredResult:
        if str(uri) == review_app.URI:
            return await super().read_resource(uri, context)
        with _protocol(uri=str(uri)):
            text = await resources.read(self._app, self._caller(), str(uri))
        return [ReadResourceContents(content=text, mime_type=resources.MIME)]

    async def _list_resources(self, ctx: Request, params: PaginatedRequestParams) -> ListResourcesResult:
        with _protocol():
            return await resources.page(self._app, self._caller(), params.cursor)

    async def _subscribe(self, ctx: Request, params: SubscribeRequestParams) -> EmptyResult:
        """Only to what the caller can read."""
        with _protocol(uri=params.uri):
            await resources.read(self._app, self._caller(), params.uri)
            await self._notices.subscribe(ctx.session, params.uri)
        return EmptyResult()

    async def _unsubscribe(self, ctx: Request, params: UnsubscribeRequestParams) -> EmptyResult:
        self._notices.unsubscribe(ctx.session, params.uri)
        return EmptyResult()

    async def _listen(self, ctx: Request, params: SubscriptionsListenRequestParams) -> SubscriptionsListenResult:
        with _protocol():
            caller = self._caller()
            resources.check(caller)
            return await self._notices.listen(caller.actor.id, ctx, params)

    async def _discover(self, ctx: Request, params: RequestParams) -> DiscoverResult:
        """As the SDK does it, but of the lists only that of resources ever changes."""
        found = await self._lowlevel_server._handle_discover(ctx, params)
        for unchanging in (found.capabilities.tools, found.capabilities.prompts):
            if unchanging is not None:
                unchanging.list_changed = False
        return found

    # prompts

    async def list_prompts(self) -> list[Prompt]:
        return prompts.listed(self._caller())

    async def get_prompt(
        self, name: str, arguments: dict[str, Any] | None = None, context: Context[None, Any] | None = None
    ) -> GetPromptResult:
        with _protocol():
            return await prompts.written(self._app, self._caller(), name, arguments or {})

    async def _complete(self, ctx: Request, params: CompleteRequestParams) -> CompleteResult:
        given = (params.context.arguments if params.context else None) or {}
        asked = params.argument
        with _protocol():
            found = await completed(self._app, self._caller(), params.ref, asked.name, asked.value, given)
        return CompleteResult(completion=found)


@contextmanager
def _protocol(**about: str) -> Iterator[None]:
    """A refusal as a protocol error, with the same structure as a tool's in its data."""
    try:
        yield
    except MCPError:
        raise
    except Exception as raised:
        error = raised if isinstance(raised, WorkError) else unexpected(raised, "a request")
        log.info("refused: %s", error.code)
        raise MCPError(rpc_code(error), one_line(error), {**about, "error": error.as_dict()}) from None


def client_of(context: Context[None, Any] | None) -> str | None:
    """Name and version of the MCP client, for the log only."""
    if context is None:
        return None
    params = context.session.client_params
    return f"{params.client_info.name}/{params.client_info.version}"[:200] if params else None
