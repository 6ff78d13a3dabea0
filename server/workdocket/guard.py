"""Work-order-only: in a program of your own, refuse changes that no approved work order is being applied for.

``WorkOrderOnly`` guards the routes of an ASGI application, ``work_order_only`` a function or a block. See
docs/how-to/guard-an-application.md for what this is good for, and what not.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, MutableMapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import wraps
from inspect import iscoroutinefunction
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar, cast

from workdocket.domain.errors import WorkError
from workdocket.domain.machine import ORDER_TABLE, TERMINAL
from workdocket.ports import ReadTx
from workdocket.settings import load_settings
from workdocket.standing import Standing, acting_for, applying, current
from workdocket.storage.reader import Reader
from workdocket.storage.tables import ReadTables
from workdocket.surfaces.problems import nearest, problem

__all__ = ["HEADER", "Standing", "WorkOrderOnly", "applying", "current", "headers", "work_order_only"]

HEADER = "X-Work-Order-ID"
MUTATING = ("POST", "PUT", "PATCH", "DELETE")
APPLYING = "applying"
"""Beside the states of orders: approved, and some process has its apply (or the hook before or after it) in hand."""

RULE = "work_order_only"
STATES = sorted({state for row in ORDER_TABLE for state in row.sources} | {*TERMINAL, APPLYING})
LONGEST_ID = 60

F = TypeVar("F", bound=Callable[..., Any])
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def headers() -> dict[str, str]:
    """What to send along when apply calls a guarded application over HTTP; empty where no order is acted for."""
    order = current()
    return {HEADER: order.id} if order else {}


class WorkOrderOnly:
    """ASGI middleware that lets a changing request pass only for a work order in one of ``states``.

    The order is the one that the header ``X-Work-Order-ID`` names, else the one that this very code is applying.
    ``types``: names of order types, ``None`` for all. ``states``: states of orders, or ``applying``; ``None`` for all.
    ``paths`` are guarded with everything below them, apart from ``exempt`` ones; they are those of the routes, without
    the prefix that the application is mounted under. ``database`` as in the settings, which it is taken from without.
    Raises ``ValueError`` for a state that there is not, ``SettingsError``, and ``WorkError`` for PostgreSQL.
    """

    def __init__(
        self,
        app: Application,
        *,
        types: Collection[str] | None = None,
        states: Collection[str] | None = (APPLYING,),
        methods: Collection[str] = MUTATING,
        paths: Collection[str] = ("/",),
        exempt: Collection[str] = (),
        database: str | Path | None = None,
    ) -> None:
        self.app = app
        self._rule = _Rule.of(types, states)
        self._methods = {method.upper() for method in _many(methods)}
        self._paths, self._exempt = _absolute(paths), _absolute(exempt)
        self._orders: Reader[ReadTx] = Reader(_file(database), ReadTables)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._request(scope, receive, send)
        elif scope["type"] == "lifespan":
            try:
                await self.app(scope, receive, send)
            finally:
                await self._orders.close()
        else:
            await self.app(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        order = None
        if self._guards(scope):
            try:
                order = self._rule.passed(await self._named(scope) or current())
            except WorkError as refusal:
                await _answer(refusal, send)
                return
        with acting_for(order) if order else nullcontext():
            await self._passed_on(scope, receive, send)

    async def _passed_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What a guarded function says no to further in is answered as it is here, while nothing is sent yet."""
        sent = False

        async def sending(message: MutableMapping[str, Any]) -> None:
            nonlocal sent
            sent = True
            await send(message)

        try:
            await self.app(scope, receive, sending)
        except WorkError as error:
            if sent or error.details.get("rule") != RULE:
                raise
            await _answer(error, send)

    def _guards(self, scope: Scope) -> bool:
        path = _routed(scope)
        return scope["method"].upper() in self._methods and _below(path, self._paths) and not _below(path, self._exempt)

    async def _named(self, scope: Scope) -> Standing | None:
        given = {value.strip() for name, value in scope["headers"] if name.lower() == HEADER.lower().encode()}
        if not given:
            return None
        order_id = b", ".join(sorted(given)).decode("latin-1")
        order = await self._orders.read(lambda tx: _standing(tx, order_id))
        if order is None:
            raise self._rule.refusal(f"there is no work order {order_id[:LONGEST_ID]}")
        return order


class work_order_only:  # noqa: N801 - a decorator, and with ``with`` a guarded block
    """Guards a function, ``def`` or ``async def``, or a block: ``with work_order_only(): …``.

    It passes where an order of one of ``types`` in one of ``states`` is acted for: inside apply, or in a request that
    ``WorkOrderOnly`` let pass. Else it raises ``WorkError`` ``forbidden``.
    """

    def __init__(self, *, types: Collection[str] | None = None, states: Collection[str] | None = (APPLYING,)) -> None:
        self._rule = _Rule.of(types, states)

    def __enter__(self) -> None:
        self._rule.passed(current())

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Nothing was taken, so nothing is given back."""

    def __call__(self, function: F) -> F:
        @wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        @wraps(function)
        async def guarded_too(*args: Any, **kwargs: Any) -> Any:
            with self:
                return await function(*args, **kwargs)

        return cast("F", guarded_too if iscoroutinefunction(function) else guarded)


@dataclass(frozen=True, slots=True)
class _Rule:
    """Which orders pass."""

    types: tuple[str, ...] | None
    states: tuple[str, ...] | None

    @classmethod
    def of(cls, types: Collection[str] | None, states: Collection[str] | None) -> _Rule:
        rule = cls(None if types is None else _many(types), None if states is None else _many(states))
        for state in rule.states or ():
            if state not in STATES:
                raise ValueError(f"there is no order state {state!r}{nearest(state, STATES)}")
        return rule

    def passed(self, order: Standing | None) -> Standing:
        if order is None:
            raise self.refusal("no work order is named for this change")
        if self.types is not None and order.type not in self.types:
            raise self.refusal(f"{order.id} is of the type {order.type}", order)
        if self.states is None or order.state in self.states or (APPLYING in self.states and order.applying):
            return order
        idle = ", but nothing applies it at this moment" if order.state == "approved" else ""
        raise self.refusal(f"{order.id} is {order.state}{idle}", order)

    def refusal(self, message: str, order: Standing | None = None) -> WorkError:
        kinds = f" of the type {' or '.join(self.types)}" if self.types is not None else ""
        states = "" if self.states is None else f" that is {' or '.join(self.states)}"
        hint = f"Make the change in the apply of a work order, or send one{kinds}{states} as {HEADER}."
        shown = {"order_id": order.id, "type": order.type, "state": order.state} if order else {}
        wanted = {"types": self.types, "states": self.states}
        allowed = {name: list(values) for name, values in wanted.items() if values is not None}
        return WorkError("forbidden", message, hint=hint, details={"rule": RULE, **allowed, **shown})


def _standing(tx: ReadTx, order_id: str) -> Standing | None:
    order = tx.order(order_id)
    if order is None:
        return None
    now = time.time_ns() // 1_000_000
    kinds = ("apply", "after_apply")
    claims = [effect.claimed_until or 0 for effect in tx.effects(order_id) if effect.kind in kinds]
    return Standing(order.id, order.type, order.state, applying=max(claims, default=0) > now)


def _file(database: str | Path | None) -> Path:
    path = load_settings({"database": None if database is None else str(database)}).database_path
    if path is None:
        raise WorkError("invalid_request", "a guard reads work orders from SQLite only", hint="Give it a database.")
    return path


def _routed(scope: Scope) -> str:
    """The path as the routes of the guarded application see it."""
    path, mount = scope["path"], scope.get("root_path", "").rstrip("/")
    return (path.removeprefix(mount) if _below(path, [mount]) else path) or "/"


def _below(path: str, folders: Iterable[str]) -> bool:
    return any(path == folder or path.startswith(f"{folder.rstrip('/')}/") for folder in folders)


def _absolute(paths: Collection[str]) -> tuple[str, ...]:
    for path in _many(paths):
        if not path.startswith("/"):
            raise ValueError(f"the path {path!r} would guard nothing: paths begin with /")
    return _many(paths)


def _many(given: Collection[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


async def _answer(refusal: WorkError, send: Send) -> None:
    status, body = problem(refusal)
    content = json.dumps(body).encode()
    kind = (b"content-type", b"application/problem+json")
    length = (b"content-length", str(len(content)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [kind, length]})
    await send({"type": "http.response.body", "body": content})
