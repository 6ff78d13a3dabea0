"""Boards: all orders, who holds what, how work flows, and the audit trail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workdocket.app import App
from workdocket.domain.machine import ORDER_TABLE, TERMINAL
from workdocket.ports import EventQuery, ReadTx
from workdocket.service import view
from workdocket.service.flow import flow
from workdocket.surfaces.dispatch import run_tool
from workdocket.surfaces.identity import Caller
from workdocket.surfaces.inbox import charts
from workdocket.surfaces.inbox.values import millis

PAGE = 50
HELD = 300
LONGEST = 200

STATES = (*dict.fromkeys(name for row in ORDER_TABLE for name in row.sources), *TERMINAL)


def given(query: Mapping[str, str], *names: str) -> dict[str, str]:
    """The filters that are filled in, at a bounded length."""
    return {name: query[name].strip()[:LONGEST] for name in names if query.get(name, "").strip()}


async def orders(app: App, caller: Caller, query: Mapping[str, str]) -> dict[str, Any]:
    wanted = given(query, "state", "type", "requested_by", "item_state", "cursor", "sort")
    sort = wanted.setdefault("sort", "-created_at")
    answer = await run_tool(app, caller, "list_orders", {**wanted, "limit": PAGE})
    counts = await app.desk.store.read(lambda tx: tx.order_states())
    return {
        **answer,
        "filters": wanted,
        "sort": sort,
        "counts": counts,
        "states": STATES,
        "types": app.registry.names(),
    }


async def leases(app: App) -> dict[str, Any]:
    """Every lease that is live, the first to end first."""
    now = app.desk.clock.now()

    def body(tx: ReadTx) -> list[dict[str, Any]]:
        rows = []
        for item in tx.held(HELD):
            if item.lease is not None:
                rows.append({**view.attempt(item.lease), **view.item_row(item, now), "type": item.type})
        return rows

    rows = await app.desk.store.read(body)
    held = [{**row, "left": _left(row, now)} for row in rows]
    tally = await app.desk.store.read(lambda tx: tx.tally(10_000))
    return {"leases": held, "tally": tally, "most": HELD}


def _left(row: Mapping[str, Any], now: int) -> int:
    return millis(row["expires_at"]) - now


async def throughput(app: App) -> dict[str, Any]:
    hours = await flow(app.desk)
    return {
        "hours": hours,
        "moved": charts.bars(
            hours, ("filed", "completed", "decided"), "Orders filed, decided on and completed, by hour"
        ),
        "waited": charts.line(hours, "Median minutes from hand-in to decision, by hour"),
    }


async def trail(app: App, query: Mapping[str, str]) -> dict[str, Any]:
    """Audit rows, the newest first, a page at a time."""
    wanted = given(query, "order_id", "item_id", "event", "actor")
    before = query.get("before", "")
    asked = EventQuery(
        order_id=wanted.get("order_id"),
        item_id=wanted.get("item_id"),
        event=wanted.get("event"),
        actor=wanted.get("actor"),
        before=int(before) if before.isdecimal() and len(before) < 16 else None,
        newest=True,
        limit=PAGE + 1,
    )
    rows = await app.desk.store.read(lambda tx: tx.events(asked))
    shown = [view.event(row) for row in rows[:PAGE]]
    return {
        "events": shown,
        "filters": wanted,
        "next": shown[-1]["seq"] if len(rows) > PAGE else None,
        "first": not before,
    }
