"""Completion of what is typed into prompts and addresses: names of order types, ids of orders and of items."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from mcp.types import Completion, PromptReference, ResourceTemplateReference

from workdocket.app import App
from workdocket.domain.errors import Finding, WorkError
from workdocket.ports import OrderQuery
from workdocket.surfaces import prompts, resources
from workdocket.surfaces.identity import Caller
from workdocket.surfaces.problems import nearest

MOST = 100
"""Values in one answer; the protocol allows no more."""

Given = Mapping[str, str]
Found = tuple[list[str], int]
Source = Callable[[App, str, Given, str], Awaitable[Found]]


async def _types(app: App, typed: str, given: Given, prompt: str) -> Found:
    names = [row["name"] for row in app.orders.order_types(None)["types"]]
    beginning = [name for name in names if name.startswith(typed.lower())]
    within = [name for name in names if typed.lower() in name and name not in beginning]
    return [*beginning, *within], len(beginning) + len(within)


async def _orders(app: App, typed: str, given: Given, prompt: str) -> Found:
    """The newest first; of the type that is given already, and for a review those that await one."""
    query = OrderQuery(
        id_prefix=_id(app, typed),
        type=given.get("type") or None,
        state="submitted" if prompt == "review_orders" else None,
        open=prompt == "work_the_queue",
        sort=("-id",),
        limit=MOST,
    )
    answer = await app.orders.list_orders(query)
    return [row["id"] for row in answer["orders"]], answer["total"]


async def _items(app: App, typed: str, given: Given, prompt: str) -> Found:
    ids, total = await app.orders.item_ids(_id(app, typed), MOST)
    return list(ids), total


def _id(app: App, typed: str) -> str:
    """How the ids begin that are meant; a number alone is one of this project's."""
    return f"{app.settings.project_key}-{typed}" if typed[:1].isdigit() else typed.upper()


async def _nothing(app: App, typed: str, given: Given, prompt: str) -> Found:
    return [], 0


OF_PROMPTS: Mapping[str, Source] = {"type": _types, "order_id": _orders, "count": _nothing, "wish": _nothing}
OF_ADDRESSES: Mapping[str, Source] = {"types": _types, "orders": _orders, "items": _items}


async def completed(
    app: App, caller: Caller, ref: PromptReference | ResourceTemplateReference, name: str, typed: str, given: Given
) -> Completion:
    """At most 100 values for an argument of a prompt or an address, and how many there are in all."""
    known, source, prompt = _source(caller, ref, name)
    if source is None:
        message = f"there is no argument {name[:60]!r}{nearest(name, known)}"
        raise WorkError("invalid_request", message, findings=[Finding("enum", "/argument/name", message)])
    values, total = await source(app, typed.strip(), given, prompt)
    return Completion(values=values[:MOST], total=total, has_more=total > MOST)


def _source(
    caller: Caller, ref: PromptReference | ResourceTemplateReference, name: str
) -> tuple[list[str], Source | None, str]:
    """The arguments that there are, where the values of the named one come from, and for which prompt."""
    if isinstance(ref, PromptReference):
        spec = prompts.allowed(caller, ref.name)
        return [*spec.arguments], OF_PROMPTS[name] if name in spec.arguments else None, spec.name
    resources.check(caller)
    for kind in resources.KINDS.values():
        if kind.pattern and ref.uri == kind.template:
            return [kind.variable], OF_ADDRESSES[kind.name] if name == kind.variable else None, ""
    raise WorkError("not_found", f"there is no resource template {ref.uri[:200]!r}", hint="Name one that is listed.")
