"""What the MCP server has beside tools: resources, prompts, completion, subscriptions. Refusals are protocol errors."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from mcp import MCPError
from mcp.server import ServerRequestContext
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.types import (
    CompleteRequestParams,
    CompleteResult,
    EmptyResult,
    GetPromptResult,
    ListResourcesResult,
    PaginatedRequestParams,
    Prompt,
    ResourceTemplate,
    SubscribeRequestParams,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
    UnsubscribeRequestParams,
)

from workdocket.app import App
from workdocket.domain.errors import WorkError
from workdocket.surfaces import prompts, resources
from workdocket.surfaces.completion import completed
from workdocket.surfaces.identity import Caller
from workdocket.surfaces.notices import Notices
from workdocket.surfaces.problems import one_line, rpc_code, unexpected
from workdocket.surfaces.tools import EVERYBODY

log = logging.getLogger("workdocket.door")

Request = ServerRequestContext[Any, Any]


class Beside:
    """One for each house; who asks is told anew for each request."""

    def __init__(self, app: App, caller: Callable[[], Caller]) -> None:
        self._app = app
        self._caller = caller
        self._notices = Notices(app.desk)

    def close(self) -> None:
        self._notices.close()

    # resources

    def templates(self) -> list[ResourceTemplate]:
        return resources.templates() if self._caller().may(EVERYBODY) else []

    async def read(self, uri: str) -> Iterable[ReadResourceContents]:
        with _protocol(uri=uri):
            text = await resources.read(self._app, self._caller(), uri)
        return [ReadResourceContents(content=text, mime_type=resources.MIME)]

    async def page(self, ctx: Request, params: PaginatedRequestParams) -> ListResourcesResult:
        with _protocol():
            return await resources.page(self._app, self._caller(), params.cursor)

    # subscriptions

    async def subscribe(self, ctx: Request, params: SubscribeRequestParams) -> EmptyResult:
        """Only to what the caller can read."""
        with _protocol(uri=params.uri):
            await resources.read(self._app, self._caller(), params.uri)
            await self._notices.subscribe(ctx.session, params.uri)
        return EmptyResult()

    async def unsubscribe(self, ctx: Request, params: UnsubscribeRequestParams) -> EmptyResult:
        self._notices.unsubscribe(ctx.session, params.uri)
        return EmptyResult()

    async def listen(self, ctx: Request, params: SubscriptionsListenRequestParams) -> SubscriptionsListenResult:
        with _protocol():
            caller = self._caller()
            resources.check(caller)
            return await self._notices.listen(caller.actor.id, ctx, params)

    # prompts

    def prompts(self) -> list[Prompt]:
        return prompts.listed(self._caller())

    async def prompt(self, name: str, arguments: dict[str, Any]) -> GetPromptResult:
        with _protocol():
            return await prompts.written(self._app, self._caller(), name, arguments)

    async def complete(self, ctx: Request, params: CompleteRequestParams) -> CompleteResult:
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
