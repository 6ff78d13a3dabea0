"""A program with data of its own and a guard around it, and work orders for it."""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.support import until
from tests.support.harness import LIMIT, House, Person
from tests.support.types import Batch, Echo, Ledger
from workdocket import ApplyContext, Diff, OrderType, WorkOrder
from workdocket.guard import HEADER, WorkOrderOnly
from workdocket.registry import Registry, entry_of


@dataclass
class Host:
    """A program with data of its own, and whoever sends it requests."""

    changes: list[str] = field(default_factory=list)
    app: Any = None

    async def customers(self, request: Request) -> JSONResponse:
        self.changes.append(request.method)
        return JSONResponse({"changes": len(self.changes)})

    async def ask(self, method: str = "POST", path: str = "/customers", **headers: str) -> tuple[int, Any]:
        """Status and body, sent as from another process: with nothing but the headers."""
        sending = contextvars.Context().run(asyncio.create_task, self.sent(method, path, headers))
        return await asyncio.wait_for(sending, LIMIT)

    async def sent(self, method: str, path: str, headers: Mapping[str, str]) -> tuple[int, Any]:
        transport = httpx2.ASGITransport(app=self.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://host") as client:
            answer = await client.request(method, path, headers=dict(headers))
        return answer.status_code, answer.json() if answer.content else None

    async def naming(self, order_id: str, method: str = "POST", path: str = "/customers") -> tuple[int, Any]:
        return await self.ask(method, path, **{HEADER: order_id})


METHODS = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"]


@asynccontextmanager
async def guarded(folder: Path, **guard: Any) -> AsyncIterator[Host]:
    """A Starlette application with the guard around it."""
    host = Host()
    routes = [
        Route(path, host.customers, methods=METHODS) for path in ("/customers", "/customers/{n}", "/login", "/loginx")
    ]
    inner = Starlette(routes=routes)
    host.app = WorkOrderOnly(inner, **{"database": folder / "work.db", **guard})
    try:
        yield host
    finally:
        await host.app._orders.close()


async def life(app: Any) -> list[str]:
    """The application started and ended, and what it says to that."""
    messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    answers: list[str] = []

    async def receive() -> Any:
        return next(messages)

    async def send(message: Any) -> None:
        answers.append(message["type"])

    await app({"type": "lifespan", "state": {}}, receive, send)
    return answers


class Changing(OrderType):
    """Its hooks call whatever the test puts here."""

    name = "test.changing"
    payload = {"type": "object"}
    apply_attempts = 1
    _in_apply: ClassVar[Callable[[], Any]] = staticmethod(lambda: None)
    _around: ClassVar[Callable[[], Any]] = staticmethod(lambda: None)

    def before_apply(self, order: WorkOrder, ctx: ApplyContext) -> None:
        self._around()

    async def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        return Diff.between(None, await self._in_apply())

    def after_apply(self, order: WorkOrder, diff: Diff, ctx: ApplyContext) -> None:
        self._around()


class Blocking(Changing):
    name = "test.blocking"

    def apply(self, order: WorkOrder, ctx: ApplyContext) -> Diff:
        return Diff.between(None, self._in_apply())


TYPES = Registry([entry_of(cls) for cls in (Echo, Batch, Ledger, Changing, Blocking)])


async def handed_in(work: Person, type: str = "test.echo", payload: Any = None) -> str:
    order_id = await work.propose(type, payload)
    await work.hand_in(await work.take(order_id=order_id))
    return order_id


# an order in each of the states


async def queued(work: Person, folder: Path) -> str:
    return await work.propose()


async def checked_out(work: Person, folder: Path) -> str:
    order_id = await work.propose()
    await work.take(order_id=order_id)
    return order_id


async def in_progress(work: Person, folder: Path) -> str:
    order_id = await work.propose()
    item = await work.take(order_id=order_id)
    await work.ok("heartbeat", item_id=item["id"], lease_token=item["lease"]["token"])
    return order_id


async def submitted(work: Person, folder: Path) -> str:
    return await handed_in(work)


async def approved(work: Person, folder: Path) -> str:
    """Its first attempt has failed, and the next one is not due yet."""
    order_id = await handed_in(work, "test.ledger", {"file": str(folder / "ledger"), "fail_times": 1})
    await work.refused("approve", "apply_failed", order_id=order_id)
    return order_id


async def completed(work: Person, folder: Path) -> str:
    order_id = await handed_in(work)
    await work.ok("approve", order_id=order_id)
    return order_id


async def failed(work: Person, folder: Path) -> str:
    order_id = await work.propose()
    item = await work.take(order_id=order_id)
    token = item["lease"]["token"]
    await work.ok("fail", item_id=item["id"], lease_token=token, reason="no", retryable=False)
    return order_id


async def rejected(work: Person, folder: Path) -> str:
    order_id = await handed_in(work)
    await work.ok("reject", order_id=order_id, errors=[{"message": "no"}])
    return order_id


async def cancelled(work: Person, folder: Path) -> str:
    order_id = await work.propose()
    await work.ok("cancel", order_id=order_id)
    return order_id


IN_STATE = (queued, checked_out, in_progress, submitted, approved, completed, failed, rejected, cancelled)


@asynccontextmanager
async def in_apply(home: House, folder: Path) -> AsyncIterator[str]:
    """An order whose apply has begun, and goes on when the block is left."""
    work, fifo = home.person("agent"), folder / "fifo"
    os.mkfifo(fifo)
    order_id = await handed_in(work, "test.ledger", {"file": str(folder / "ledger"), "pause_before": str(fifo)})
    deciding = asyncio.create_task(work.ok("approve", order_id=order_id))

    async def claimed() -> bool:
        effects = await home.app.desk.store.read(lambda tx: tx.effects(order_id))
        return any(effect.claim for effect in effects)

    await until.found(home, claimed)
    yield order_id
    await asyncio.wait_for(asyncio.to_thread(fifo.read_text), LIMIT)
    await asyncio.wait_for(deciding, LIMIT)
