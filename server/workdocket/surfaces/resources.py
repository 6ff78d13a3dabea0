"""What can be read and watched by an address: orders, items, types and the queue, as the tools of the same caller show
them."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mcp.types import Annotations, ListResourcesResult, Resource, ResourceTemplate

from workdocket.app import App
from workdocket.domain.errors import Finding, WorkError
from workdocket.ports import OrderQuery
from workdocket.surfaces.dispatch import run_tool
from workdocket.surfaces.identity import Caller
from workdocket.surfaces.tools import EVERYBODY

Answer = dict[str, Any]
Read = Callable[[App, Caller, str], Awaitable[Answer]]

SCHEME = "workdocket://"
MIME = "application/json"
PAGE = 50
MOST_LISTED = 200
"""Open orders that are listed in all, newest first: hosts read every page, and the rest is found by list_orders."""

SHOWN = 10
ROW = ("id", "type", "state", "priority", "created_at", "changed_at", "items")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of address. ``pattern`` is what may follow ``name/``; the queue has nothing there."""

    name: str
    title: str
    description: str
    pattern: str
    priority: float
    read: Read

    @property
    def template(self) -> str:
        return f"{SCHEME}{self.name}/{{{self.variable}}}" if self.pattern else f"{SCHEME}{self.name}"

    @property
    def form(self) -> str:
        """A regular expression of its addresses, with a group for the id."""
        return f"{SCHEME}{self.name}{'/' if self.pattern else ''}({self.pattern})"

    @property
    def variable(self) -> str:
        return "name" if self.name == "types" else "id"

    @property
    def annotations(self) -> Annotations:
        return Annotations(audience=["user", "assistant"], priority=self.priority)


async def _order(app: App, caller: Caller, order_id: str) -> Answer:
    return await run_tool(app, caller, "get_order", {"order_id": order_id})


async def _item(app: App, caller: Caller, item_id: str) -> Answer:
    return await run_tool(app, caller, "get_item", {"item_id": item_id})


async def _type(app: App, caller: Caller, name: str) -> Answer:
    return await run_tool(app, caller, "order_types", {"name": name})


async def _queue(app: App, caller: Caller, _: str) -> Answer:
    explained = await run_tool(app, caller, "explain", {})
    ready = await run_tool(app, caller, "list_orders", {"has_available_items": True, "limit": SHOWN})
    submitted = await run_tool(app, caller, "list_orders", {"state": "submitted", "limit": SHOWN})
    return {
        "items": explained["totals"],
        "reasons": explained["reasons"],
        "ready": _short(ready),
        "awaiting_review": _short(submitted),
    }


def _short(answer: Answer) -> Answer:
    rows = [{name: row[name] for name in ROW} for row in answer["orders"]]
    return {"total": answer["total"], "orders": rows}


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("orders", "Work order", "An order, as get_order shows it.", r"[A-Z]{1,8}-\d{1,15}", 0.6, _order),
        Kind("items", "Work item", "An item, as get_item shows it.", r"[A-Z]{1,8}-\d{1,15}\.\d{1,6}", 0.5, _item),
        Kind("types", "Order type", "A kind of work with its schemas and limits, as order_types(name) shows it.",
             r"[a-z][a-z0-9_.]{0,119}", 0.7, _type),
        Kind("queue", "The queue", "How many items are ready, delayed, blocked and leased, what is ready, what awaits "
             "review, and why the rest does not move.", "", 0.9, _queue),
    )
}  # fmt: skip


def address(kind: str, name: str) -> str:
    return f"{SCHEME}{kind}/{name}"


QUEUE = f"{SCHEME}queue"


def resolved(uri: str) -> tuple[Kind, str] | None:
    """The kind and the id that an address names, if it is one of ours in its one right spelling."""
    matches = ((kind, re.fullmatch(kind.form, uri)) for kind in KINDS.values())
    return next(((kind, match[1]) for kind, match in matches if match), None)


def check(caller: Caller) -> None:
    """Refuse a caller without a role."""
    if not caller.may(EVERYBODY):
        raise WorkError("forbidden", "resources need a role", role=" or ".join(sorted(EVERYBODY)))


async def read(app: App, caller: Caller, uri: str) -> str:
    """What is at an address, as compact JSON. Raises ``WorkError`` as the tool would."""
    found = resolved(uri)
    if found is None:
        places = ", ".join(kind.template for kind in KINDS.values())
        raise WorkError("not_found", f"there is no resource {uri[:200]!r}", hint=f"There are {places}.")
    kind, name = found
    return json.dumps(await kind.read(app, caller, name), separators=(",", ":"), ensure_ascii=False)


def templates() -> list[ResourceTemplate]:
    return [
        ResourceTemplate(
            name=kind.name, title=kind.title, description=kind.description, uri_template=kind.template,
            mime_type=MIME, annotations=kind.annotations,
        )
        for kind in KINDS.values() if kind.pattern
    ]  # fmt: skip


async def page(app: App, caller: Caller, cursor: str | None) -> ListResourcesResult:
    """The queue and the types, then open orders from the newest on; a caller without a role sees nothing."""
    if not caller.may(EVERYBODY):
        return ListResourcesResult(resources=[])
    behind, left = (None, MOST_LISTED) if cursor is None else _opened(cursor)
    head = [] if cursor is not None else [_queue_entry(), *_type_entries(app)]
    query = OrderQuery(open=True, sort=("-id",), limit=min(PAGE, left), cursor=behind)
    answer = await app.orders.list_orders(query)
    orders = [_order_entry(row) for row in answer["orders"]]
    left -= len(orders)
    more = _sealed(answer["next_cursor"][0], left) if "next_cursor" in answer and left > 0 else None
    return ListResourcesResult(resources=[*head, *orders], next_cursor=more)


def _queue_entry() -> Resource:
    kind = KINDS["queue"]
    return _entry(kind, QUEUE, "queue", kind.title, kind.description)


def _type_entries(app: App) -> list[Resource]:
    rows = app.orders.order_types(None)["types"]
    kind = KINDS["types"]
    return [
        _entry(kind, address("types", row["name"]), row["name"], row["title"], row["description"] or kind.description)
        for row in rows
    ]


def _order_entry(row: Answer) -> Resource:
    words = f"{row['type']}, {row['state']}, priority {row['priority']}, {row['items_count']} items"
    entry = _entry(KINDS["orders"], address("orders", row["id"]), row["id"], f"{row['id']}: {row['type']}", words)
    annotations = KINDS["orders"].annotations.model_copy(update={"last_modified": row["changed_at"]})
    return entry.model_copy(update={"annotations": annotations})


def _entry(kind: Kind, uri: str, name: str, title: str, description: str) -> Resource:
    return Resource(
        uri=uri, name=name, title=title, description=description, mime_type=MIME, annotations=kind.annotations
    )


# cursors: behind which order, and how many are still to be listed


def _sealed(number: int, left: int) -> str:
    return base64.urlsafe_b64encode(json.dumps([number, left]).encode()).decode().rstrip("=")


def _opened(cursor: str) -> tuple[tuple[int], int]:
    try:
        number, left = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        if type(number) is int and type(left) is int and 0 < number < 2**63 and 0 < left <= MOST_LISTED:
            return (number,), left
    except (ValueError, TypeError, binascii.Error):
        pass
    found = [Finding("cursor", "/cursor", "pass nextCursor of the page before")]
    raise WorkError("invalid_request", "the cursor does not fit", findings=found)
