"""Calling an order type's hooks: where they run, what they may return, and what happens when they raise."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import json
import logging
import math
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from threading import Thread
from typing import Any, cast

import anyio.to_thread

from workdocket.domain.decide.propose import MAX_KEY
from workdocket.domain.diff import Diff, found_at
from workdocket.domain.errors import Finding, Refused, WorkError
from workdocket.domain.model import ItemSpec, Part, WorkItem, WorkOrder, canonical, checksum
from workdocket.order_type import ApplyContext
from workdocket.registry import LONGEST_SKILL, TypeEntry, skill_names

log = logging.getLogger("workdocket.hooks")

EFFECTS = frozenset({"before_apply", "apply", "after_apply", "revert"})
"""Hooks that nothing cuts short."""

LONGEST_CAUSE = 2_000


class HookRaised(Exception):
    """A hook raised something that is not a polite refusal."""

    def __init__(self, entry: TypeEntry, hook: str, cause: BaseException) -> None:
        super().__init__(_storable(f"{type(cause).__name__}: {cause}")[:LONGEST_CAUSE])
        self.entry, self.hook, self.cause = entry, hook, cause


async def _call(entry: TypeEntry, hook: str, *arguments: Any) -> Any:
    """The hook's answer; ``Refused`` passes, anything else it raises becomes ``HookRaised``."""
    function: Callable[..., Any] = getattr(entry.type, hook)
    try:
        if inspect.iscoroutinefunction(function) or not entry.has(hook):
            answer = function(*arguments)
        elif hook in EFFECTS:
            answer = await anyio.to_thread.run_sync(partial(function, *arguments), abandon_on_cancel=True)
        else:
            answer = await _on_a_thread(partial(function, *arguments))
        return await answer if inspect.isawaitable(answer) else answer
    except Refused:
        raise
    except (Exception, SystemExit) as error:
        log.exception("%s.%s raised", entry.name, hook)
        raise HookRaised(entry, hook, error) from error


async def _on_a_thread(function: Callable[[], Any]) -> Any:
    """The answer of a plain function, on a thread that keeps no process alive: it may never end."""
    loop, context = asyncio.get_running_loop(), contextvars.copy_context()
    told: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()

    def tell(answer: Any, error: BaseException | None) -> None:
        if not told.done():
            told.set_result((answer, error))

    def run() -> None:
        answer, raised = None, None
        try:
            answer = context.run(function)
        except BaseException as error:
            raised = error
        with suppress(RuntimeError):  # nobody is there any more
            loop.call_soon_threadsafe(tell, answer, raised)

    async with anyio.to_thread.current_default_thread_limiter():
        Thread(target=run, name="workdocket hook", daemon=True).start()
        answer, error = await told
    if error is not None:
        raise error
    return answer


async def _asked(entry: TypeEntry, hook: str, within: float | None, *arguments: Any) -> Any:
    """As ``_call``, for hooks whose caller gets ``internal`` when they raise, or take more than ``within`` seconds."""
    with anyio.move_on_after(within):
        try:
            return await _call(entry, hook, *arguments)
        except HookRaised as raised:
            raise WorkError(
                "internal",
                f"the order type {entry.name} failed in {hook}",
                hint="The type's author finds the cause in the log.",
                hook=hook,
            ) from raised
    log.error("%s.%s took more than %g seconds and was left to itself", entry.name, hook, within or 0)
    raise WorkError(
        "internal",
        f"the order type {entry.name} took more than {within:g} seconds in {hook}",
        hint="Call again; if it stays so, its author has to make the hook quicker, or raise hook_timeout_seconds.",
        hook=hook,
    )


async def plan(entry: TypeEntry, order: WorkOrder, *, within: float | None) -> list[ItemSpec]:
    try:
        specs = await _asked(entry, "plan", within, order)
    except Refused as refused:
        raise WorkError("invalid_plan", f"{entry.name}: {refused}", findings=refused.findings) from refused
    if not isinstance(specs, list) or not all(isinstance(spec, ItemSpec) for spec in specs):
        raise _wrong(entry, "plan", "a list of ItemSpec", specs)
    mistyped = [finding for n, spec in enumerate(specs) for finding in _mistyped(n, spec)]
    if mistyped:
        message = f"the plan of {entry.name}: {mistyped[0].message} at {mistyped[0].path}"
        raise WorkError("invalid_plan", message, findings=mistyped)
    shared = shared_key(entry.type.concurrency_key, order.payload)
    return [
        replace(
            spec,
            input=_json(entry, "plan", spec.input),
            after=tuple(spec.after),
            skills=tuple(entry.type.skills if spec.skills is None else spec.skills),
            concurrency_key=shared if spec.concurrency_key is None else spec.concurrency_key,
        )
        for spec in specs
    ]


def shared_key(pointer: str | None, payload: Any) -> str | None:
    """What a payload has at a JSON Pointer, as the text of a concurrency key; nothing where it has nothing."""
    value = None if pointer is None else found_at(payload, pointer)
    if value is None:
        return None
    text = value if isinstance(value, str) else canonical(value)
    return text if len(text) <= MAX_KEY else checksum(text)


def _mistyped(n: int, spec: ItemSpec) -> Iterator[Finding]:
    """A plug-in's specs are only as well typed as its author was careful."""
    key, after, most = cast("tuple[Any, Any, Any]", (spec.key, spec.after, spec.max_attempts))
    skills, shared = cast("tuple[Any, Any]", (spec.skills, spec.concurrency_key))
    if key is not None and not isinstance(key, str):
        yield Finding("type", f"/{n}/key", "a key is a text")
    if not isinstance(after, Collection) or isinstance(after, str) or not all(isinstance(one, str) for one in after):
        yield Finding("type", f"/{n}/after", "after is a list of keys")
    if most is not None and type(most) is not int:
        yield Finding("type", f"/{n}/max_attempts", "max_attempts is a whole number")
    if skills is not None and not skill_names(skills):
        yield Finding("type", f"/{n}/skills", f"skills is a list of texts of 1 to {LONGEST_SKILL} characters")
    if shared is not None and not isinstance(shared, str):
        yield Finding("type", f"/{n}/concurrency_key", "a concurrency key is a text")


async def check_result(entry: TypeEntry, item: WorkItem, result: Any, *, within: float | None) -> list[Finding]:
    return await _findings(entry, "check_result", within, item, result)


async def check_part(entry: TypeEntry, item: WorkItem, part: Part, *, within: float | None) -> list[Finding]:
    return await _findings(entry, "check_part", within, item, part)


async def check_order(entry: TypeEntry, order: WorkOrder, *, within: float | None) -> list[Finding]:
    return await _findings(entry, "check_order", within, order)


async def required_parts(entry: TypeEntry, item: WorkItem, *, within: float | None) -> frozenset[str]:
    keys = await _asked(entry, "required_parts", within, item)
    if not isinstance(keys, set | frozenset | list | tuple) or not all(isinstance(key, str) for key in keys):
        raise _wrong(entry, "required_parts", "a set of part keys", keys)
    return frozenset(keys)


async def assemble(
    entry: TypeEntry, item: WorkItem, parts: Mapping[str, Any], *, within: float | None
) -> dict[str, Any]:
    try:
        result = await _asked(entry, "assemble", within, item, parts)
    except Refused as refused:
        raise WorkError("invalid_result", f"{entry.name}: {refused}", findings=refused.findings) from refused
    if not isinstance(result, dict):
        raise _wrong(entry, "assemble", "an object", result)
    assembled: dict[str, Any] = _json(entry, "assemble", result)
    return assembled


async def preview(
    entry: TypeEntry, order: WorkOrder, *, within: float | None
) -> tuple[dict[str, Any] | None, list[Finding]]:
    """The preview as JSON, and what it refuses."""
    return await _preview(entry, "preview", order, within)


async def preview_revert(
    entry: TypeEntry, original: WorkOrder, *, within: float | None
) -> tuple[dict[str, Any] | None, list[Finding]]:
    """The same of taking an order back."""
    if entry.has("preview_revert") or original.diff is None:
        return await _preview(entry, "preview_revert", original, within)
    return lenient(original.diff.reversed().as_dict()), []


async def _preview(
    entry: TypeEntry, hook: str, order: WorkOrder, within: float | None
) -> tuple[dict[str, Any] | None, list[Finding]]:
    try:
        diff = await _asked(entry, hook, within, order)
    except Refused as refused:
        return None, list(refused.findings)
    if diff is not None and not isinstance(diff, Diff):
        raise _wrong(entry, hook, "a Diff or None", diff)
    return (None if diff is None else lenient(diff.as_dict())), []


async def apply(entry: TypeEntry, order: WorkOrder, ctx: ApplyContext) -> Diff:
    """What was changed. Raises ``HookRaised`` or ``Refused``: the runner records either."""
    await _call(entry, "before_apply", order, ctx)
    return await _change(entry, "apply", order, ctx)


async def revert(entry: TypeEntry, original: WorkOrder, ctx: ApplyContext) -> Diff:
    """As ``apply``, of taking an order back."""
    return await _change(entry, "revert", original, ctx)


async def _change(entry: TypeEntry, hook: str, order: WorkOrder, ctx: ApplyContext) -> Diff:
    diff = await _call(entry, hook, order, ctx)
    if not isinstance(diff, Diff):
        raise HookRaised(entry, hook, TypeError(f"{hook} returned {type(diff).__name__}, not a Diff"))
    try:
        return Diff.from_dict(lenient(diff.as_dict()))
    except RecursionError as error:
        raise HookRaised(entry, hook, error) from error


async def after_apply(entry: TypeEntry, order: WorkOrder, diff: Diff, ctx: ApplyContext) -> None:
    await _call(entry, "after_apply", order, diff, ctx)


async def _findings(entry: TypeEntry, hook: str, within: float | None, *arguments: Any) -> list[Finding]:
    if not entry.has(hook):
        return []
    try:
        found = await _asked(entry, hook, within, *arguments)
    except Refused as refused:
        return list(refused.findings)
    if found is None:
        return []
    if not isinstance(found, list | tuple) or not all(isinstance(finding, Finding) for finding in found):
        raise _wrong(entry, hook, "a list of Finding", found)
    return list(found)


def lenient(value: Any) -> Any:
    """``value`` as JSON; what JSON has no form for as text, since an effect that happened must be recorded."""
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case dict():
            return {_storable(str(key)): lenient(one) for key, one in value.items()}
        case list() | tuple():
            return [lenient(one) for one in value]
    return _storable(str(value))


def _storable(text: str) -> str:
    """``text`` without what no database takes: halves of characters, as odd file names have them."""
    return text.encode(errors="replace").decode()


def _json(entry: TypeEntry, hook: str, value: Any) -> Any:
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        log.exception("%s.%s gave something that is not JSON", entry.name, hook)
        raise WorkError("internal", f"the order type {entry.name} gave something that is not JSON in {hook}") from error


def _wrong(entry: TypeEntry, hook: str, wanted: str, got: Any) -> WorkError:
    log.error("%s.%s returned %r instead of %s", entry.name, hook, got, wanted)
    return WorkError("internal", f"the order type {entry.name} did not return {wanted} from {hook}", hook=hook)
