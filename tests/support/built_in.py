"""The order types that come with workdocket, in a house of their own."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from tests.support.harness import CountedIds, HandClock, House, settings_for
from workdocket import Actor
from workdocket.app import open_app
from workdocket.registry import Registry, load

MODULES = [
    "workdocket_types.city_tier_generation",
    "workdocket_types.code_change",
    "workdocket_types.content_fact_check",
    "workdocket_types.customer_research",
    "workdocket_types.database_record_insert",
    "workdocket_types.user_data_sync",
]


@cache
def types() -> Registry:
    return load(MODULES)


@asynccontextmanager
async def built_in(folder: Path) -> AsyncIterator[House]:
    clock, ids = HandClock(), CountedIds()
    async with open_app(settings_for(folder, order_types=[]), registry=types(), clock=clock, ids=ids) as app:
        yield House(app, clock, ids)


@dataclass(frozen=True)
class Attempt:
    """What apply is told when it is run by hand."""

    idempotency_key: str
    attempt: int = 1
    approved_by: Actor = field(default_factory=lambda: Actor("user", "reviewer"))

    async def propose(self, type: str, payload: Mapping[str, Any], **more: Any) -> str:
        raise AssertionError("the built-in types file no orders")


def run(database: Path, *statements: str) -> None:
    with closing(sqlite3.connect(database)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def rows(database: Path, statement: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(statement).fetchall()
