"""Doing what ``explain`` says: a table from the code of a reason to what its action comes to.

Whoever explains better, or with other words, changes this file and nothing else of the walk.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from tests.property.kinds import MAX_LEASES, USERS
from tests.property.records import HANDED_IN, TERMINAL, WORKING, Item, Order
from tests.property.walk import Walk

Reason = dict[str, Any]

FIELDS = {"code", "message", "action", "by"}
MOST_ACTIONS = 40
WORKERS = ("ann", "bob", "cy", "wim")
REVIEWERS = ("uma", "vic", "ann", "bob", "cy")
"""The first two have nothing to do with any order but to review it."""

GOOD: Mapping[str, tuple[Any, Any]] = {
    "echoed": ({"message": "a", "verified": True}, {"message": "b", "verified": True}),
    "counted": ({"count": 1}, {"count": 2}),
    "anything": ({"n": 1}, {"n": 2}),
    "assembled": ({"identity": 1}, {"identity": 2}),
}


def reasons_of(walk: Walk, item: Item) -> list[Reason]:
    """Why the item is where it is: something, of everything that is not over."""
    found: list[Reason] = walk.call("explain", "ann", {"item_id": item.id})["ok"]["reasons"]
    assert found, f"nothing explains {item.id}, which is {item.state}"
    for reason in found:
        assert set(reason) >= FIELDS, reason
        assert all(reason[name] for name in FIELDS), reason
        assert reason["code"] in WAYS, f"nobody knows what to do about {reason}"
    return found


def everything_is_explained(walk: Walk) -> None:
    for item in walk.model.items.values():
        if not item.over:
            reasons_of(walk, item)
    for order in walk.model.orders.values():
        if order.state not in TERMINAL:
            said = walk.call("explain", "ann", {"order_id": order.id})["ok"]
            assert said["reasons"] or said.get("items"), f"nothing explains {order.id}, which is {order.state}"


def bring_on(walk: Walk, item: Item) -> None:
    """Do what the first reason says, and what the next first reason says, until the item can be had or has moved."""
    before = item.state
    for _ in range(MOST_ACTIONS):
        act(walk, item)
        if item.state != before or walk.model.available(item):
            return
    raise AssertionError(f"{item.id} is {item.state} all the same: {reasons_of(walk, item)}")


def act(walk: Walk, item: Item) -> None:
    reason = reasons_of(walk, item)[0]
    WAYS[reason["code"]](walk, item, reason)


def ok(walk: Walk, tool: str, actor: str, **arguments: Any) -> Any:
    given = walk.call(tool, actor, arguments)
    assert "ok" in given, f"what explain says cannot be done: {given}"
    return given["ok"]


# actions


def take(walk: Walk, item: Item, reason: Reason) -> None:
    free = [name for name in WORKERS if walk.model.live(holder=name) < MAX_LEASES]
    if not free:
        return wait(walk, item, {"earliest_at": None})
    actor, skills = item.reserved if item.reserved in free else free[0], sorted(item.order.kind.skills)
    got = ok(walk, "checkout", actor, item_id=item.id, **({"skills": skills} if skills else {}))["items"]
    assert got, f"{item.id} is said to be available, and is not handed out: {reason}"
    return None


def wait(walk: Walk, item: Item, reason: Reason) -> None:
    at = reason.get("earliest_at")
    due = walk.now + 20_000 if at is None else round(datetime.fromisoformat(at).timestamp() * 1000)
    walk.at(max(walk.now, due))


def outlast(walk: Walk, item: Item, reason: Reason) -> None:
    wait(walk, item, reason)
    ok(walk, "sweep", "ann")


def unblock(walk: Walk, item: Item, reason: Reason) -> None:
    """What it waits for is finished, or this order ended when that is over."""
    named = [name for name in re.findall(r"[A-Z]+-\d+(?:\.\d+)?", reason["message"]) if name in item.waits]
    assert named, f"{item.id} waits for {item.waits}, and is said to wait for something else: {reason}"
    thing = walk.model.items.get(named[0]) or walk.model.orders[named[0]]
    if thing.state in ("cancelled", "dead_lettered"):
        ok(walk, "cancel", "ann", order_id=item.order.id)
    elif isinstance(thing, Item):
        finish_item(walk, thing)
    else:
        finish_order(walk, thing)


def make_room(walk: Walk, item: Item, reason: Reason) -> None:
    of_key = reason["code"] == "key_limit"
    alike = [
        one
        for one in walk.model.items.values()
        if (one.key if of_key else one.order.type) in (item.key, item.order.type)
    ]
    held = [one for one in alike if one.state in WORKING]
    live = [one.lease for one in held if one.lease is not None and one.lease.live(walk.now)]
    assert live, f"nobody holds a {item.order.type}, and yet: {reason}"
    [its] = [one for one in held if one.lease is live[0]]
    ok(walk, "release", live[0].holder, item_id=its.id, lease_token=live[0].token)


def let_go(walk: Walk, item: Item, reason: Reason) -> None:
    """Who asks holds as many as it may: it gives one back."""
    mine = [one for one in walk.model.items.values() if one.lease is not None and one.state in WORKING]
    held = next(one for one in mine if one.lease is not None and one.lease.holder == "ann" and one.lease.live(walk.now))
    assert held.lease is not None
    ok(walk, "release", "ann", item_id=held.id, lease_token=held.lease.token)


def retry(walk: Walk, item: Item, reason: Reason) -> None:
    ok(walk, "retry", "rita", item_id=item.id)


def decide(walk: Walk, item: Item, reason: Reason) -> None:
    approve_or_return(walk, item.order)


def finish_others(walk: Walk, item: Item, reason: Reason) -> None:
    for other in item.order.items:
        finish_item(walk, other)


def apply(walk: Walk, item: Item, reason: Reason) -> None:
    if item.order.state == "failed":
        ok(walk, "retry", "rita", order_id=item.order.id)
    else:
        outlast(walk, item, reason)


def requeue(walk: Walk, item: Item, reason: Reason) -> None:
    if "dead-letter" in reason["action"]:
        ok(walk, "dead_letter", "rita", order_id=item.order.id)
        return
    for other in re.findall(r"cancel\('([A-Z]+-\d+)'\)", reason["action"]):
        ok(walk, "cancel", "ann", order_id=other)
    ok(walk, "requeue", "rita", order_id=item.order.id)


WAYS: Mapping[str, Callable[[Walk, Item, Reason], None]] = {
    "available": take,
    "skills": take,
    "not_yet": wait,
    "backing_off": wait,
    "reserved": wait,
    "blocked": unblock,
    "dead_dependency": unblock,
    "type_limit": make_room,
    "key_limit": make_room,
    "agent_limit": let_go,
    "leased": outlast,
    "failed": retry,
    "awaiting_review": decide,
    "others_open": finish_others,
    "applying": apply,
    "apply_due": apply,
    "apply_failed": apply,
    "rejected": requeue,
}


# what takes more than one action


def finish_item(walk: Walk, item: Item) -> None:
    """Handed in, whatever it takes."""
    for _ in range(MOST_ACTIONS):
        if item.state in HANDED_IN or item.over:
            return
        lease = item.lease
        if item.state in WORKING and lease is not None and lease.live(walk.now):
            first, second = GOOD[item.order.kind.good.__name__]
            result = second if item.refused == first else first
            ok(walk, "submit", lease.holder, item_id=item.id, lease_token=lease.token, result=result)
        else:
            act(walk, item)
    raise AssertionError(f"{item.id} cannot be finished: {reasons_of(walk, item)}")


def finish_order(walk: Walk, order: Order) -> None:
    """Completed, whatever it takes."""
    for _ in range(MOST_ACTIONS):
        if order.state in TERMINAL:
            return
        if order.state == "submitted":
            approve_or_return(walk, order)
        elif order.state == "approved":
            outlast(walk, order.items[0], {})
        elif order.state == "failed":
            ok(walk, "retry", "rita", order_id=order.id)
        elif order.state == "rejected":
            ok(walk, "requeue", "rita", order_id=order.id)
        else:
            for item in order.items:
                finish_item(walk, item)
    raise AssertionError(f"{order.id} cannot be finished: it is {order.state}")


def approve_or_return(walk: Walk, order: Order) -> None:
    if not order.fit():
        again = [{"message": f"count again, {walk.number()}"}]
        ok(walk, "reject", "rita", order_id=order.id, errors=again, rework=True)
        return
    excluded = {order.requester, *walk.model.makers(order), *order.votes}
    may = [name for name in REVIEWERS if name not in excluded and (order.kind.gate != "human" or name in USERS)]
    given = walk.call("approve", may[0], {"order_id": order.id})
    assert "ok" in given or given["refused"]["code"] == "apply_failed", given
