"""Filing an order."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from types import MappingProxyType
from typing import Any

from workdocket.domain.draft import Draft
from workdocket.domain.errors import Finding, WorkError
from workdocket.domain.machine import TERMINAL
from workdocket.domain.model import SYSTEM, Actor, Change, ItemSpec, Policy, WorkItem, WorkOrder, rank_of

MAX_KEY = 120


def plan_findings(plan: Sequence[ItemSpec]) -> list[Finding]:
    """What is wrong with a plan: nothing in it, keys twice, ``after`` naming nothing or going round in a circle."""
    if not plan:
        return [Finding("empty", "", "the plan has no items")]
    first = {spec.key: n for n, spec in reversed(list(enumerate(plan)))}
    findings = [finding for n, spec in enumerate(plan) for finding in _faults(n, spec, first)]
    return findings or _circle(plan)


def _faults(n: int, spec: ItemSpec, first: Mapping[str | None, int]) -> Iterator[Finding]:
    if spec.key is not None and first[spec.key] != n:
        yield Finding("duplicate_key", f"/{n}/key", f"the key {spec.key!r} is used before")
    if spec.key is not None and len(spec.key) > MAX_KEY:
        yield Finding("key_too_long", f"/{n}/key", f"keys have at most {MAX_KEY} characters")
    if spec.max_attempts is not None and spec.max_attempts < 1:
        yield Finding("minimum", f"/{n}/max_attempts", "an item needs at least one attempt")
    if spec.concurrency_key is not None and len(spec.concurrency_key) > MAX_KEY:
        yield Finding("key_too_long", f"/{n}/concurrency_key", f"keys have at most {MAX_KEY} characters")
    for key in spec.after:
        if key not in first:
            yield Finding("unknown_key", f"/{n}/after", f"no item has the key {key!r}")


def _circle(plan: Sequence[ItemSpec]) -> list[Finding]:
    try:
        TopologicalSorter({spec.key: spec.after for spec in plan if spec.key is not None}).prepare()
    except CycleError as error:
        return [Finding("cycle", "", "items wait for each other: " + " -> ".join(reversed(error.args[1])))]
    return []


def propose(
    order: WorkOrder,
    plan: Sequence[ItemSpec],
    needed: Sequence[WorkOrder],
    policy: Policy,
    actor: Actor,
    source: Mapping[str, Any] = MappingProxyType({}),
) -> Change:
    """The order and its items, queued. ``needed`` are the orders that it depends on, as they stand now.

    ``source`` stands in the event: what the proposal came from.
    """
    dead = [other.id for other in needed if other.state in TERMINAL and other.state != "completed"]
    if dead:
        raise WorkError(
            "invalid_request",
            f"{', '.join(dead)} will never be completed, so nothing can depend on it",
            findings=[Finding("dead_dependency", "/depends_on", f"{other} is over") for other in dead],
        )
    open_orders = tuple(other.id for other in needed if other.state != "completed")
    draft = Draft(order.created_at, actor)
    draft.orders[order.id] = order
    item_ids = {spec.key: f"{order.id}.{n}" for n, spec in enumerate(plan, 1) if spec.key is not None}
    for n, spec in enumerate(plan, 1):
        item = _item(order, n, spec, item_ids, open_orders, policy)
        draft.items[item.id] = item
    draft.note("order.proposed", order.id, to_state=order.state, data={**_proposal(order), **source})
    draft.note("order.planned", order.id, actor=SYSTEM, data={"items": len(plan)})
    return draft.change()


def proposed_again(order: WorkOrder, actor: Actor, now: int, involved: Container[str]) -> Change:
    """That somebody else wanted the same, once each: whoever did is its proposer too. Empty where nothing is new."""
    draft = Draft(now, actor)
    if actor.type != "system" and actor.id != order.requested_by.id and actor.id not in involved:
        draft.note("order.proposed_again", order.id)
    return draft.change()


def _item(
    order: WorkOrder, n: int, spec: ItemSpec, ids: dict[str, str], open_orders: tuple[str, ...], policy: Policy
) -> WorkItem:
    after = tuple(ids[key] for key in spec.after)
    return WorkItem(
        id=f"{order.id}.{n}",
        order_id=order.id,
        number=n,
        type=order.type,
        priority=order.priority,
        input=spec.input,
        created_at=order.created_at,
        changed_at=order.created_at,
        max_attempts=spec.max_attempts or policy.max_attempts,
        key=spec.key,
        after=after,
        waiting_for=(*open_orders, *after),
        due_at=order.not_before,
        rank=rank_of(order.priority),
        edition=order.edition,
        skills=tuple(sorted(set(spec.skills or ()))),
        concurrency_key=spec.concurrency_key or "",
    ).lined_up(order.created_at)


def _proposal(order: WorkOrder) -> dict[str, Any]:
    return {"type": order.type, "type_version": order.type_version, "priority": order.priority}
