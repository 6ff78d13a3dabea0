"""The composition root: settings, store, types and service put together, and taken apart again."""

from __future__ import annotations

import random
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import anyio

from workdocket.domain.errors import WorkError
from workdocket.ports import Clock, Ids, Job
from workdocket.raised import as_raised
from workdocket.registry import Registry, load, load_generators
from workdocket.service.desk import Desk
from workdocket.service.effects import Effects
from workdocket.service.orders import Orders
from workdocket.service.review import Reviews
from workdocket.service.scheduler import Scheduler
from workdocket.service.sweeper import Sweeper
from workdocket.service.tokens import Tokens
from workdocket.service.why import Why
from workdocket.service.work import Worker
from workdocket.settings import Settings
from workdocket.storage.engine import dbapi
from workdocket.storage.migrate import DatabaseTooNew
from workdocket.storage.sqlite import SqliteStore, bring_up
from workdocket.storage.tables import ReadTables
from workdocket.storage.writer import WriteTables
from workdocket.surfaces.pace import Pace


class SystemClock:
    def now(self) -> int:
        return time.time_ns() // 1_000_000


class SystemIds:
    def token(self) -> str:
        return secrets.token_urlsafe(18)

    def jitter(self) -> float:
        return random.random()  # noqa: S311 - spreads retries, guards nothing


@dataclass(frozen=True, slots=True)
class App:
    """Everything a door needs."""

    settings: Settings
    registry: Registry
    desk: Desk
    orders: Orders
    worker: Worker
    reviews: Reviews
    why: Why
    tokens: Tokens
    pace: Pace
    scheduler: Scheduler
    sweeper: Sweeper


@asynccontextmanager
async def open_app(
    settings: Settings,
    *,
    registry: Registry | None = None,
    clock: Clock | None = None,
    ids: Ids | None = None,
    sweep: bool = False,
) -> AsyncIterator[App]:
    """The application on its database; with ``sweep`` also what nobody calls for. Background work ends with it."""
    if settings.database_path is None:
        raise _no_postgres()
    types = load(settings.order_types) if registry is None else registry
    generators = load_generators(settings.generators)
    with _opening():
        store = await SqliteStore.open(settings.database_path, read_tx=ReadTables, write_tx=WriteTables)
    try:
        with as_raised():
            async with anyio.create_task_group() as background:

                def start(job: Job) -> None:
                    background.start_soon(job)

                desk = Desk(
                    store, types, settings, clock or SystemClock(), ids or SystemIds(), start, generators=generators
                )
                app = assemble(desk)
                if sweep:
                    background.start_soon(app.sweeper.run)
                try:
                    yield app
                finally:
                    background.cancel_scope.cancel()
    finally:
        with anyio.CancelScope(shield=True):
            await store.close()


@contextmanager
def _opening() -> Iterator[None]:
    """A file that can't be our database is refused like any other argument."""
    try:
        yield
    except DatabaseTooNew as error:
        message, _, hint = str(error).partition(". ")
        raise WorkError("invalid_request", message, hint=hint) from error
    except (OSError, dbapi.Error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        message = f"the database cannot be opened: {reason}"
        raise WorkError("invalid_request", message, hint="Check the setting database.") from error


def _no_postgres() -> WorkError:
    return WorkError(
        "invalid_request", "this version keeps its work in SQLite only", hint="Set database to sqlite:///…"
    )


def assemble(desk: Desk) -> App:
    orders = Orders(desk)
    effects = Effects(desk, orders)
    scheduler = Scheduler(desk, orders)
    reviews = Reviews(desk)
    desk.begin = effects.begin
    effects.approve_by_rule = reviews.approve_by_rule
    return App(
        settings=desk.settings,
        registry=desk.registry,
        desk=desk,
        orders=orders,
        worker=Worker(desk),
        reviews=reviews,
        why=Why(desk),
        tokens=Tokens(desk),
        pace=Pace(desk.settings.max_calls_per_minute),
        scheduler=scheduler,
        sweeper=Sweeper(desk, effects, scheduler),
    )


def migrate_database(settings: Settings, *, dry_run: bool) -> dict[str, Any]:
    """What was, or would be, done to bring the database to the present schema."""
    if settings.database_path is None:
        raise _no_postgres()
    with _opening():
        version, names = bring_up(settings.database_path, dry_run=dry_run)
    return {"version": version, "migrations": names, "dry_run": dry_run}
