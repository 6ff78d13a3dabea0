"""Verdicts on single items, while the others of their order stand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workdocket.domain.decide.hold import end_lease
from workdocket.domain.decide.repeat import about
from workdocket.domain.decide.review import ask_the_rule, meant, record
from workdocket.domain.draft import Draft
from workdocket.domain.errors import Finding, WorkError
from workdocket.domain.machine import ITEM, OPEN, step
from workdocket.domain.model import Actor, Change, Decision, Policy, WorkItem, WorkOrder, iso


def reject_items(
    order: WorkOrder,
    actor: Actor,
    now: int,
    *,
    policy: Policy,
    errors: Sequence[dict[str, Any]],
    earlier: Sequence[Decision],
    comment: str | None,
) -> Change:
    """The items that the errors name refused for good; the order goes on with the others."""
    _open(order, "reject with only_items")
    if any(error.get("item_id") is None for error in errors):
        found = [
            Finding("required", f"/errors/{n}/item_id", "with only_items every error names its item")
            for n, error in enumerate(errors)
            if error.get("item_id") is None
        ]
        raise WorkError("invalid_request", found[0].message, findings=found)
    named = meant(order, errors)
    _some_remain(order, named, f"reject({order.id!r}, errors) without only_items refuses it as a whole.")
    draft = Draft(now, actor)
    for item in named:
        reasons = about(item, errors)
        error = {**_said(draft, "rejected", reasons[0]["message"]), "errors": reasons}
        lease = end_lease(draft, item, "rejected")
        draft.move_item(
            item,
            "reject",
            message=reasons[0]["message"],
            data={"errors": reasons},
            error=error,
            lease=lease,
            due_at=None,
        )
    verdict = Decision(order.id, len(earlier) + 1, "reject_items", actor, now, None, comment, tuple(errors))
    record(draft, verdict)
    _go_on_without(draft, order, named, policy)
    return draft.change()


def waive(order: WorkOrder, item: WorkItem, actor: Actor, now: int, *, policy: Policy, reason: str) -> Change:
    """A failed item left out; the order goes on with the others."""
    step(ITEM, item.id, item.state, "waive")
    _open(order, "waive")
    _some_remain(order, [item], f"cancel({order.id!r}) ends it as a whole.")
    draft = Draft(now, actor)
    failure = {"failure": item.error} if item.error else {}
    draft.move_item(item, "waive", message=reason, error={**_said(draft, "waived", reason), **failure}, due_at=None)
    _go_on_without(draft, order, [item], policy)
    return draft.change()


def _open(order: WorkOrder, command: str) -> None:
    if order.state not in OPEN:
        raise WorkError(
            "illegal_transition",
            f"{order.id} is {order.state}; {command} is not possible from there",
            hint=f"explain({order.id!r}) says what is.",
            details={"from": order.state, "command": command, "allowed": []},
        )


def _some_remain(order: WorkOrder, gone: Sequence[WorkItem], instead: str) -> None:
    ids = {item.id for item in gone}
    if all(item.id in ids for item in order.counting):
        found = Finding("none_left", "", f"{order.id} needs at least one item to go on with")
        raise WorkError("invalid_request", found.message, hint=instead, findings=[found])


def _said(draft: Draft, code: str, message: str) -> dict[str, Any]:
    return {"code": code, "message": message, "at": iso(draft.now), "by": draft.actor.id}


def _go_on_without(draft: Draft, order: WorkOrder, gone: Sequence[WorkItem], policy: Policy) -> None:
    """Whoever waited for what is gone waits for it no longer, and the order is where its other items are."""
    ids = {item.id for item in gone}
    for other in order.counting:
        if other.id not in ids and ids & {*other.waiting_for}:
            draft.keep_item(other, waiting_for=tuple(one for one in other.waiting_for if one not in ids))
    kept = draft.keep_order(order, error=None)
    settled = draft.settle(kept, draft.states(order))
    ask_the_rule(draft, settled, policy)
