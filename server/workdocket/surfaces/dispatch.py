"""One way into every tool, for every door: role, arguments, call, refusal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from workdocket.app import App
from workdocket.domain.errors import WorkError
from workdocket.surfaces import problems, wire
from workdocket.surfaces.identity import Caller
from workdocket.surfaces.tools import TOOLS, ToolSpec


async def run_tool(app: App, caller: Caller, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of a tool; every way in which it can go wrong is a ``WorkError``."""
    try:
        _in_pace(app, caller)
        spec = _allowed(caller, name)
        return await spec.run(app, caller, _arguments(spec, arguments))
    except WorkError:
        raise
    except Exception as error:
        raise problems.unexpected(error, name) from error


def _in_pace(app: App, caller: Caller) -> None:
    wait = app.pace.take(caller.actor.id)
    if wait is not None:
        most = app.settings.max_calls_per_minute
        raise WorkError(
            "limit_exceeded",
            f"more than {most} calls in a minute",
            hint="Wait, then go on.",
            retry_after_seconds=round(wait, 3),
            limit="max_calls_per_minute",
            value=most,
        )


def _allowed(caller: Caller, name: str) -> ToolSpec:
    spec = TOOLS.get(name)
    if spec is None:
        known = [tool.name for tool in TOOLS.values() if caller.may(tool.roles)]
        message = f"there is no tool {name[:60]!r}{problems.nearest(name, known)}"
        raise WorkError("not_found", message, hint="Call a tool that is listed.")
    if not caller.may(spec.roles):
        needed = " or ".join(sorted(spec.roles))
        raise WorkError("forbidden", f"{name} needs the role {needed}", role=needed)
    return spec


def _arguments(spec: ToolSpec, arguments: Mapping[str, Any]) -> wire.Args:
    wire.vet(arguments)
    try:
        return spec.args.model_validate(arguments)
    except ValidationError as error:
        raise problems.misfit(error, spec.input_schema) from error
