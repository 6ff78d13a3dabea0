"""The tools for programs: ``POST /v1/{tool}``, one route in front of the same registry, so that the doors cannot drift.

Tools that only read are there by GET too, with their arguments in the query.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import anyio
from pydantic_core import from_json
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from workdocket.app import App
from workdocket.domain.errors import Finding, WorkError
from workdocket.schema import Validator
from workdocket.service.health import health
from workdocket.surfaces import wire
from workdocket.surfaces.dispatch import run_tool
from workdocket.surfaces.entrance import refusal
from workdocket.surfaces.identity import Caller, calling
from workdocket.surfaces.openapi import body_schema, plain_schema
from workdocket.surfaces.problems import as_text
from workdocket.surfaces.tools import TOOLS

log = logging.getLogger("workdocket.http")

USUALLY: Mapping[str, Mapping[str, Any]] = {"list_orders": {"limit": 50}}
"""Defaults that differ from those of agents, who pay for what they read."""

SAFE = {"X-Content-Type-Options": "nosniff"}
WORDS = {"true": True, "false": False}
NUMBER = re.compile(r"-?\d{1,18}(\.\d{1,18})?")


class Shim:
    """Runs a tool for one request."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._response(Request(scope, receive))
        await response(scope, receive, send)

    async def _response(self, request: Request) -> Response:
        name = request.path_params["tool"]
        methods = ["GET", "HEAD", "POST"] if _only_reads(name) else ["POST"]
        if request.method not in methods:
            return not_allowed(", ".join(methods))
        try:
            if request.method == "POST":
                arguments = keyed(request, name, await self._sent(request))
            else:
                arguments = asked(request, name)
            return await self._answered(request, name, arguments)
        except WorkError as error:
            log.info("%s refused: %s", name, error.code)
            return refusal(error, headers=SAFE)

    async def _answered(self, request: Request, name: str, arguments: dict[str, Any]) -> Response:
        if name in TOOLS and (findings := validator(name).findings(arguments)):
            raise WorkError("invalid_request", f"{findings[0].message} at {findings[0].path}", findings=findings)
        caller = calling.get().known_as(client=request.headers.get("user-agent", "http")[:200])
        answer = await self._while_connected(request, caller, name, {**USUALLY.get(name, {}), **arguments})
        content = as_text(answer).encode()
        if not _only_reads(name):
            return Response(content, 200, {**SAFE, "Cache-Control": "no-store"}, "application/json")
        tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        headers = {**SAFE, "ETag": tag, "Cache-Control": "private, no-cache"}
        if _known(request.headers.get("if-none-match", ""), tag):
            return Response(None, 304, headers)
        return Response(content, 200, headers, "application/json")

    async def _while_connected(
        self, request: Request, caller: Caller, name: str, arguments: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The answer, unless its reader goes away: then nobody waits for work in their name any longer."""
        answer: dict[str, Any] | WorkError = {}
        async with anyio.create_task_group() as group:

            async def until_gone() -> None:
                while (await request.receive())["type"] != "http.disconnect":
                    pass
                group.cancel_scope.cancel()

            group.start_soon(until_gone)
            try:
                answer = await run_tool(self._app, caller, name, arguments)
            except WorkError as error:
                answer = error
            group.cancel_scope.cancel()
        if isinstance(answer, WorkError):
            raise answer
        return answer

    async def _sent(self, request: Request) -> dict[str, Any]:
        """The arguments in the body."""
        if request.query_params:
            raise _misplaced("the arguments of a POST are sent as its body, not in the query")
        body = await request.body()
        if not body:
            return {}
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise _misplaced("send the arguments as application/json")
        try:
            sent = from_json(body, allow_inf_nan=False)
        except ValueError as error:
            found = [Finding("json", "", str(error)[:300])]
            raise WorkError(
                "invalid_request", f"the body is not JSON that can be read: {error}"[:300], findings=found
            ) from error
        if not isinstance(sent, dict):
            raise _misplaced("the arguments are one JSON object")
        wire.vet(sent)
        return sent


@cache
def validator(name: str) -> Validator:
    """Says of plain arguments what the OpenAPI document says: a number is no text here, as agents may send it."""
    return Validator(plain_schema(name), name)


def keyed(request: Request, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """With the header ``Idempotency-Key`` as the argument that it stands for."""
    key = request.headers.get("idempotency-key")
    if key is None or name not in TOOLS or "idempotency_key" not in TOOLS[name].args.model_fields:
        return arguments
    if arguments.get("idempotency_key", key) != key:
        raise _misplaced("the header Idempotency-Key and the argument idempotency_key differ")
    return {**arguments, "idempotency_key": key}


def asked(request: Request, name: str) -> dict[str, Any]:
    """The arguments in a query, each in the type that the tool takes."""
    fields = body_schema(name)["properties"]
    given = request.query_params.multi_items()
    if len(dict(given)) < len(given):
        raise _misplaced("a parameter is given twice")
    arguments = {key: _typed(value, fields.get(key, {})) for key, value in given}
    wire.vet(arguments)
    return arguments


def _typed(value: str, schema: Mapping[str, Any]) -> Any:
    kinds = set(schema.get("type", ()) if isinstance(schema.get("type"), list) else [schema.get("type")])
    if "boolean" in kinds:
        return WORDS.get(value, value)
    if kinds & {"integer", "number"} and NUMBER.fullmatch(value):
        return float(value) if "." in value else int(value)
    return value


def _only_reads(name: str) -> bool:
    return name in TOOLS and TOOLS[name].hints[0]


def _known(header: str, tag: str) -> bool:
    """Whether ``If-None-Match`` names the present answer."""
    tags = {one.strip().removeprefix("W/") for one in header.split(",")}
    return tag in tags or "*" in tags


def _misplaced(message: str) -> WorkError:
    return WorkError("invalid_request", message, findings=[Finding("http", "", message)])


def not_allowed(allow: str) -> Response:
    error = WorkError("invalid_request", "this method is not allowed here", hint=f"Use {allow}.")
    return refusal(error, status=405, headers={**SAFE, "Allow": allow})


class Health:
    """Whether the server and its database answer; to callers that are known also how much there is to do."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, request: Request) -> Response:
        try:
            found = await health(self._app.desk)
        except WorkError as error:
            return refusal(error, status=503)
        told = found if calling.get(None) else {"status": found["status"]}
        return JSONResponse(told, headers={**SAFE, "Cache-Control": "no-store"})
