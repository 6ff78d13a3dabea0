"""`workdocket serve` as it is, with the names that the conformance suite calls served beside the product's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mcp.server import ServerRequestContext
from mcp.types import (
    CompleteRequestParams,
    CompleteResult,
    Completion,
    EmptyResult,
    SetLevelRequestParams,
    SubscribeRequestParams,
    UnsubscribeRequestParams,
)

from interop.everything import everything
from workdocket.app import App
from workdocket.surfaces import asgi
from workdocket.surfaces.cli import main
from workdocket.surfaces.identity import Caller
from workdocket.surfaces.server import Door

Request = ServerRequestContext[Any, Any]
OURS = ("test_", "test://", "json_schema_")

LISTS = {
    "tools/list": "tools",
    "resources/list": "resources",
    "resources/templates/list": "resource_templates",
    "prompts/list": "prompts",
}
NAMED = {"tools/call": "name", "resources/read": "uri", "prompts/get": "name"}


class Both(Door):
    """The product's door; what is asked by a name of the suite goes to the suite's fixtures."""

    def __init__(self, app: App, caller: Callable[[], Caller]) -> None:
        super().__init__(app, caller)
        for method, rows in LISTS.items():
            self._lengthen(method, rows)
        for method, name in NAMED.items():
            self._divert(method, name)
        done = EmptyResult()
        self._answer("resources/subscribe", SubscribeRequestParams, lambda params: params.uri, done)
        self._answer("resources/unsubscribe", UnsubscribeRequestParams, lambda params: params.uri, done)
        self._answer("logging/setLevel", SetLevelRequestParams, lambda params: OURS[0], done)
        nothing = CompleteResult(completion=Completion(values=[]))
        self._answer(
            "completion/complete", CompleteRequestParams, lambda params: getattr(params.ref, "name", ""), nothing
        )

    def _tool_input_schema(self, name: str) -> dict[str, Any] | None:
        return everything._tool_input_schema(name)

    def _lengthen(self, method: str, rows: str) -> None:
        """A list of the product's with the fixtures after it."""
        server = self._lowlevel_server
        own, more = server.get_request_handler(method), everything._lowlevel_server.get_request_handler(method)
        assert own
        assert more

        async def handle(ctx: Request, params: Any) -> Any:
            found, others = await own.handler(ctx, params), await more.handler(ctx, params)
            setattr(found, rows, [*getattr(found, rows), *getattr(others, rows)])
            return found

        server.add_request_handler(method, own.params_type, handle)

    def _divert(self, method: str, name: str) -> None:
        server = self._lowlevel_server
        own, other = server.get_request_handler(method), everything._lowlevel_server.get_request_handler(method)
        assert own
        assert other

        async def handle(ctx: Request, params: Any) -> Any:
            chosen = other if str(getattr(params, name)).startswith(OURS) else own
            return await chosen.handler(ctx, params)

        server.add_request_handler(method, own.params_type, handle)

    def _answer(self, method: str, params_type: Any, name: Callable[[Any], str], answer: Any) -> None:
        """The same answer to whatever is of the suite."""
        own = self._lowlevel_server.get_request_handler(method)

        async def handle(ctx: Request, params: Any) -> Any:
            return answer if own is None or str(name(params)).startswith(OURS) else await own.handler(ctx, params)

        self._lowlevel_server.add_request_handler(method, params_type, handle)


if __name__ == "__main__":
    asgi.Door = Both  # type: ignore[assignment,attr-defined]
    main()
