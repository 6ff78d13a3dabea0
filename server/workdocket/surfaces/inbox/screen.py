"""One order as its page shows it."""

from __future__ import annotations

from typing import Any

from workdocket.app import App
from workdocket.domain.errors import WorkError
from workdocket.domain.machine import ORDER, TERMINAL, allowed
from workdocket.domain.model import WorkOrder
from workdocket.service import view
from workdocket.service.dossier import dossier
from workdocket.surfaces.dispatch import run_tool
from workdocket.surfaces.identity import Caller
from workdocket.surfaces.inbox.decide import offered
from workdocket.surfaces.inbox.words import plainly
from workdocket.surfaces.tools import TOOLS

ITEMS = 50
CHANGES = 400
TRIES = 3


async def screen(
    app: App, caller: Caller, order_id: str, *, items_from: int = 0, changes_from: int = 0
) -> dict[str, Any]:
    """All that its template needs."""
    found = await dossier(app.desk, order_id, first=items_from, most=ITEMS)
    order: WorkOrder = found["record"]
    packet: dict[str, Any] = {}
    trouble = None
    if order.state == "submitted" and may(caller, "review"):
        try:
            found, packet = await _as_one(app, caller, order_id, items_from)
        except WorkError as error:
            trouble = plainly(error)
    diff = packet.get("preview") or found["diff"]
    return {
        **found,
        "packet": packet,
        "gate": packet.get("gate", {}),
        "findings": packet.get("findings", (order.error or {}).get("errors", [])),
        "trouble": trouble,
        "title": title(app, order.type),
        "diff": diff,
        "changes": diff["changes"][changes_from : changes_from + CHANGES] if diff else [],
        "changes_from": changes_from,
        "changes_most": CHANGES,
        "items_from": items_from,
        "items_most": ITEMS,
        "why_not": why_not(packet.get("gate", {}), caller),
        "controls": controls(app, order, packet, caller),
        "reasons": await _reasons(app, caller, order),
    }


async def _as_one(app: App, caller: Caller, order_id: str, items_from: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The order and its packet of one moment: what is shown is what the digest stands for."""
    for _ in range(TRIES):
        found = await dossier(app.desk, order_id, first=items_from, most=ITEMS)
        packet = await app.reviews.review(caller.actor, order_id, room=view.UNCUT)
        if await last_event(app, order_id) == found["version"]:
            return found, packet
    raise WorkError("busy", f"{order_id} keeps changing")


async def _reasons(app: App, caller: Caller, order: WorkOrder) -> list[dict[str, Any]]:
    """What keeps an order that is not yet up for a decision."""
    if order.state in (*TERMINAL, "submitted"):
        return []
    reasons: list[dict[str, Any]] = (await run_tool(app, caller, "explain", {"order_id": order.id}))["reasons"]
    return reasons


async def last_event(app: App, order_id: str) -> int:
    return await app.desk.store.read(lambda tx: tx.last_event(order_id))


def may(caller: Caller, tool: str) -> bool:
    return tool in TOOLS and caller.may(TOOLS[tool].roles)


def why_not(gate: dict[str, Any], caller: Caller) -> str | None:
    """Why this caller cannot approve, whatever the order is like."""
    if not gate:
        return None
    if caller.actor.id in gate.get("excluded", ()):
        return "You filed this order or worked on it, so somebody else has to approve it."
    if caller.actor.id in gate.get("approved_by", ()):
        return "You approved it already. Somebody else has to as well."
    return None


def controls(app: App, order: WorkOrder, packet: dict[str, Any], caller: Caller) -> frozenset[str]:
    """What the page offers this caller to do with the order."""
    state, failed_apply = order.state, (order.error or {}).get("code") == "apply_failed"
    can = allowed(ORDER, state)
    found = set()
    if packet and may(caller, "approve"):
        if not packet["findings"] and why_not(packet["gate"], caller) is None:
            found.add("approve")
        found |= {"reject", "rework"}
        if offered("reject", "only_items") and len(order_items(packet)) > 1:
            found.add("only_items")
    if "retry" in can and may(caller, "retry"):
        found.add("retry")
    if may(caller, "waive") and not failed_apply:
        found.add("waive")
    if state == "completed" and may(caller, "undo") and _can_undo(app, order):
        found.add("undo")
    return frozenset(found)


def order_items(packet: dict[str, Any]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = packet.get("items", [])
    return items


def _can_undo(app: App, order: WorkOrder) -> bool:
    entry = app.registry.find(order)
    return entry is not None and bool(app.orders.order_types(entry.name)["types"][0].get("can_undo"))


def title(app: App, type_name: str) -> str:
    """What people call an order type."""
    return app.registry.get(type_name).type.title or type_name if type_name in app.registry.names() else type_name
