"""The rules of a walk: everything that anybody may do next, with how likely it is and when there is a point in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.property import ways
from tests.property.choice import PEOPLE, WORKERS, Arguments, Choice
from tests.property.kinds import KINDS
from tests.property.records import TERMINAL, WORKING, Item, Lease
from tests.property.walk import Step, Walk, iso

MOST_OPEN = 8
"""Orders at a time: enough to be in each other's way."""


@dataclass(frozen=True)
class Move:
    name: str
    weight: int
    possible: Callable[[Walk], object]
    make: Callable[[Choice], None]


MOVES: list[Move] = []


def move(
    weight: int, possible: Callable[[Walk], object] = lambda walk: True
) -> Callable[..., Callable[[Choice], None]]:
    def register(make: Callable[[Choice], None]) -> Callable[[Choice], None]:
        MOVES.append(Move(make.__name__, weight, possible, make))
        return make

    return register


def orders_in(*states: str) -> Callable[[Walk], object]:
    return lambda walk: any(order.state in states for order in walk.model.orders.values())


def any_order(walk: Walk) -> object:
    return walk.model.orders


def at_work(walk: Walk) -> bool:
    return any(item.state in WORKING for item in walk.model.items.values())


def any_lease(walk: Walk) -> bool:
    return any(item.leases for item in walk.model.items.values())


def something_to_have(walk: Walk) -> bool:
    return any(walk.model.available(item, item.reserved) for item in walk.model.items.values())


def few_open(walk: Walk) -> bool:
    return sum(order.state not in TERMINAL for order in walk.model.orders.values()) < MOST_OPEN


# orders

MESSAGES = (*("hi", "hi", "stumble") * 4, "")
COUNTS = (*(2, 1, 3) * 4, 0)


def payload_for(c: Choice, type: str) -> Arguments:
    if type == "test.tenant":
        return {"tenant": c.pick(("a", "b", None)), "items": c.pick((1, 2, 3))}
    if type in ("test.echo", "test.skilled", "test.four_eyes", "test.human", "test.follow_up"):
        return {"message": c.pick(MESSAGES)}
    if type in ("test.batch", "test.automatic", "test.solo"):
        return {"batches": c.pick(COUNTS)}
    if type == "test.ledger":
        return {"file": str(c.walk.folder / f"ledger {c.walk.number()}"), "fail_times": c.pick((0, 0, 1, 4))}
    return {}


@move(12, few_open)
def propose(c: Choice) -> None:
    type = "test.nothing" if c.one_in(40) else c.pick([*KINDS, "test.solo", "test.solo", "test.partial", "test.tenant"])
    arguments: Arguments = {"type": type, "payload": payload_for(c, type), "priority": c.pick((0, 0, 5, 9))}
    hidden: Arguments = {}
    if c.one_in(6):
        hidden["_not_before"] = c.walk.now + c.pick((5_000, 60_000))
        arguments["not_before"] = iso(hidden["_not_before"])
    if c.model.orders and c.one_in(4):
        arguments["depends_on"] = [c.order("queued", "submitted").id]
    if c.one_in(8):
        arguments["dedupe_key"] = c.pick(("one", "two"))
    c.do("propose", c.pick(PEOPLE), c.keyed(arguments), **hidden)


# work

FILTERS = ("nothing", "nothing", "nothing", "order", "item", "type", "priority")


@move(16, something_to_have)
def checkout(c: Choice) -> None:
    arguments: Arguments = {"count": c.pick((1, 1, 2, 5))}
    if c.one_in(2):
        arguments["skills"] = ["go", "sql"]
    chosen = c.pick(FILTERS)
    if chosen == "order":
        arguments["order_id"] = c.order("queued", "checked_out", "in_progress").id
    elif chosen == "item":
        queued = c.items(lambda item: item.state == "queued")
        everything = list(c.model.items.values())
        arguments["item_id"] = c.pick(queued if queued and not c.one_in(4) else everything).id
    elif chosen == "type":
        types = dict.fromkeys(order.type for order in c.model.orders.values())
        arguments["type"] = c.pick(list(types) if not c.one_in(10) else ["no.such"])
    elif chosen == "priority":
        arguments["min_priority"] = 5
    c.do("checkout", c.pick(WORKERS), c.keyed(arguments))


@move(7, any_order)
def checkout_of_anything(c: Choice) -> None:
    given = c.do("checkout", c.pick(WORKERS), {})
    if given.get("ok", {}).get("items") == []:
        follow_an_explanation(c)


def follow_an_explanation(c: Choice) -> None:
    """Nothing was handed out: everything open says why, and what it says that helps does help."""
    ways.everything_is_explained(c.walk)
    waiting = c.items(lambda item: not item.over)
    if waiting:
        ways.bring_on(c.walk, c.pick(waiting))


@move(6, at_work)
def heartbeat(c: Choice) -> None:
    _, actor, arguments = c.held()
    if c.one_in(2):
        arguments["progress"] = 0.5
    c.do("heartbeat", actor, c.keyed(arguments))


RESULTS: dict[str, list[Any]] = {
    "echoed": [
        {"message": "a", "verified": True}, {"message": "b", "verified": True},
        {"message": "a", "verified": False}, {"message": 1},
    ],
    "counted": [{"count": 1}, {"count": 2}, {"count": 0}, {"count": "one"}],
    "anything": [{"n": 1}, {"n": 2}, {}],
    "assembled": [{"identity": 1}, {}, {str(n): n for n in range(5)}],
}  # fmt: skip
"""By what a type takes; the first two are always good."""


@move(22, at_work)
def submit(c: Choice) -> None:
    item, actor, arguments = c.held()
    options = RESULTS[item.order.kind.good.__name__]
    arguments["result"] = c.pick([*options[:2] * 3, *options])
    if c.one_in(10):
        c.do("submit", actor, {**arguments, "validate_only": True})
    else:
        c.do("submit", actor, c.keyed(arguments))


PARTS: list[tuple[str, Any, int | None]] = [
    ("identity", {"name": "n"}, None), ("contacts", {"mail": 1}, None),
    ("identity", {"name": "n"}, None), ("contacts", {"mail": 1}, None), ("identity", {"name": "m"}, None),
    ("log", {"l": 1}, 1), ("log", {"l": 2}, 2), ("log", {"l": 0}, 0), ("remarks", {}, None),
    ("contacts", {"fake": True}, None), ("identity", {}, None), ("other", {}, None),
]  # fmt: skip


@move(9, at_work)
def submit_part(c: Choice) -> None:
    _, actor, arguments = c.held(lambda item: item.order.kind.parts)
    key, payload, seq = c.pick(PARTS)
    arguments |= {"part_key": key, "payload": payload, **({} if seq is None else {"seq": seq})}
    c.do("submit_part", actor, c.keyed(arguments))


OLD_TOOLS = ("submit", "submit", "heartbeat", "submit_part", "release", "finalize")


def old_leases(walk: Walk) -> list[list[tuple[Item, Lease]]]:
    """Those that ran out and that nobody has taken since, if there are any; then all that are over."""
    leases = [(item, lease) for item in walk.model.items.values() for lease in item.leases]
    free = [
        (item, lease) for item, lease in leases if walk.model.may_hold(item, lease.token) and not lease.live(walk.now)
    ]
    old = [(item, lease) for item, lease in leases if lease is not item.lease or not lease.live(walk.now)]
    return [rows for rows in (free, old) if rows]


@move(5, old_leases)
def write_under_an_old_lease(c: Choice) -> None:
    """From somebody who handed the item in, or lost it, long ago; or who lost it and nobody has it yet."""
    write_under(c, *c.pick(c.pick(old_leases(c.walk))))


def write_under(c: Choice, item: Item, lease: Lease) -> None:
    arguments: Arguments = {"item_id": item.id, "lease_token": lease.token}
    tool = c.pick(OLD_TOOLS)
    if tool == "submit":
        arguments["result"] = c.pick(RESULTS[item.order.kind.good.__name__])
        if c.one_in(6):
            c.do(tool, lease.holder, {**arguments, "validate_only": True})
            return
    if tool == "submit_part":
        arguments |= {"part_key": "identity", "payload": c.pick(({"name": "late"}, {}))}
    c.do(tool, lease.holder, c.keyed(arguments))


def free_leases(walk: Walk) -> list[tuple[Item, Lease]]:
    return (
        [(item, lease) for item, lease in old_leases(walk)[0] if walk.model.may_hold(item, lease.token)]
        if any_lease(walk) and old_leases(walk)
        else []
    )


@move(25, free_leases)
def take_the_room_of_an_old_lease(c: Choice) -> None:
    """A lease ran out, and its holder, or others, take as much else as they may; then the old one is used."""
    item, lease = c.pick(free_leases(c.walk))
    limited = item.order.kind.limit is not None
    others = c.items(
        lambda one: one is not item and c.model.available(one) and (one.order.type == item.order.type or not limited)
    )
    for other in others[:3]:
        actor = c.pick([name for name in WORKERS if name != lease.holder]) if limited else lease.holder
        c.walk.call("checkout", actor, {"item_id": other.id})
    write_under(c, item, lease)


@move(8, lambda walk: any(item.parts and item.state in WORKING for item in walk.model.items.values()))
def finalize(c: Choice) -> None:
    _, actor, arguments = c.held(lambda item: len(item.parts) > 1)
    c.do("finalize", actor, c.keyed({**arguments, "mode": c.pick(("strict", "best_effort"))}))


@move(3, at_work)
def release(c: Choice) -> None:
    _, actor, arguments = c.held()
    wait = c.pick((None, None, 0, 20_000))
    hidden = {} if wait is None else {"_not_before": c.walk.now + wait}
    if hidden:
        arguments["not_before"] = iso(hidden["_not_before"])
    c.do("release", actor, c.keyed(arguments), **hidden)


@move(8, at_work)
def fail(c: Choice) -> None:
    _, actor, arguments = c.held()
    arguments["reason"] = c.pick((f"reason {c.walk.number()}", "the usual"))
    if c.one_in(4):
        arguments["retryable"] = False
    after = c.pick((None, 0, 40))
    if after is not None:
        arguments["retry_after_seconds"] = after
    c.do("fail", actor, c.keyed(arguments))


@move(3, lambda walk: any(item.late for item in walk.model.items.values()))
def adopt(c: Choice) -> None:
    """A late result handed in by whoever holds the item now, or tries to."""
    item = c.pick(c.items(lambda item: item.late and c.at_work(item)) or c.items(lambda item: item.late))
    one = c.pick(c.ask("get_item", "ann", {"item_id": item.id})["item"]["late_results"])
    lease = item.leases[-1]
    arguments = {"item_id": item.id, "lease_token": lease.token, "late_result": one["key"]}
    c.do("submit", lease.holder, c.keyed(arguments), _adopts=one["result"])


# decisions


@move(3, any_order)
def review(c: Choice) -> None:
    c.do("review", c.pick(("rita", "roy", "ann", "bob")), {"order_id": c.order("submitted").id})


@move(20, orders_in("submitted"))
def approve(c: Choice) -> None:
    order = c.order("submitted")
    arguments: Arguments = {"order_id": order.id}
    shown = c.pick(("nothing", "now", "nothing", "now", "nothing", "now", "once"))
    if shown == "now":
        arguments["digest"] = c.ask("review", "rita", {"order_id": order.id})["digest"]
    elif shown == "once":
        digests = [digest for order_id, digest in c.model.seen if order_id == order.id]
        arguments["digest"] = c.pick([*digests, "abc"])
    c.do("approve", c.pick(("uma", "vic", "uma", "vic", "rita", "ann", "wim")), c.keyed(arguments))


@move(1, orders_in("approved", "completed", "rejected", "queued"))
def approve_too_early_or_too_late(c: Choice) -> None:
    c.do("approve", "rita", {"order_id": c.order("approved", "completed", "rejected", "queued").id})


@move(8, orders_in("submitted", "failed"))
def rework(c: Choice) -> None:
    order = c.order("submitted", "failed")
    error = {"message": c.pick((f"again {c.walk.number()}", "the usual"))}
    if c.one_in(2):
        error["item_id"] = c.pick(order.items).id
    c.do("reject", "rita", c.keyed({"order_id": order.id, "errors": [error], "rework": True}))


@move(2, orders_in("queued", "checked_out", "in_progress", "submitted"))
def reject(c: Choice) -> None:
    order = c.order("queued", "checked_out", "in_progress", "submitted")
    c.do("reject", "roy", c.keyed({"order_id": order.id, "errors": [{"message": f"no {c.walk.number()}"}]}))


@move(2, orders_in("queued", "checked_out", "in_progress", "submitted", "failed"))
def reject_items(c: Choice) -> None:
    order = c.order("queued", "checked_out", "in_progress", "submitted", "failed")
    errors = [{"message": f"not this one {c.walk.number()}", "item_id": c.pick(order.items).id}]
    c.do("reject", "rita", c.keyed({"order_id": order.id, "errors": errors, "only_items": True}))


@move(4, lambda walk: any(item.state == "failed" for item in walk.model.items.values()))
def waive(c: Choice) -> None:
    item = c.pick(c.items(lambda item: item.state == "failed"))
    c.do("waive", "roy", c.keyed({"item_id": item.id, "reason": "not needed"}))


# orders again


@move(1, orders_in("queued", "checked_out", "in_progress", "submitted", "failed", "rejected"))
def cancel(c: Choice) -> None:
    order = c.order("queued", "checked_out", "in_progress", "submitted", "failed", "rejected")
    c.do("cancel", c.pick(PEOPLE), c.keyed({"order_id": order.id}))


@move(4, lambda walk: any(item.state == "failed" for item in walk.model.items.values()) or orders_in("failed")(walk))
def retry(c: Choice) -> None:
    failed = c.items(lambda item: item.state == "failed")
    if failed and c.one_in(2):
        arguments = {"item_id": c.pick(failed).id}
    else:
        arguments = {"order_id": c.order("failed").id}
    c.do("retry", "roy", c.keyed(arguments))


@move(3, orders_in("rejected"))
def requeue(c: Choice) -> None:
    c.do("requeue", "rita", c.keyed({"order_id": c.order("rejected").id}))


@move(1, orders_in("rejected", "failed"))
def dead_letter(c: Choice) -> None:
    c.do("dead_letter", "rita", c.keyed({"order_id": c.order("rejected", "failed").id}))


# again, later, anew


def answered(walk: Walk) -> list[Step]:
    """What can be repeated. Who repeats an approval waits for its outcome, so somebody has to be at it."""
    orders = walk.model.orders
    return [
        step
        for step in walk.steps
        if ("idempotency_key" in step.arguments or step.tool in ("submit", "finalize"))
        and not (step.tool == "approve" and orders[step.arguments["order_id"]].state == "approved")
    ]


OTHER = {"cancel": "reason", "release": "reason", "fail": "reason", "heartbeat": "note", "approve": "comment"}


@move(8, answered)
def repeat(c: Choice) -> None:
    """A call that was answered, made again as it was; or another one under its key."""
    step = c.pick(answered(c.walk)[-30:])
    arguments, how = dict(step.arguments), c.pick(("as it was", "as it was", "another", "without its key"))
    if how == "another" and "idempotency_key" in arguments and step.tool in OTHER:
        arguments[OTHER[step.tool]] = f"other {c.walk.number()}"
    elif how == "without its key" and step.tool in ("submit", "finalize"):
        arguments.pop("idempotency_key", None)
    c.do(step.tool, step.actor, arguments, **step.hidden)


@move(6)
def time_passes(c: Choice) -> None:
    c.walk.at(c.walk.now + c.pick((1, 9, 15, 31, 60, 99, 101, 150)) * 1000)


@move(1)
def the_clock_is_set_back(c: Choice) -> None:
    c.walk.at(c.walk.now - c.pick((1, 20, 120)) * 1000)


@move(4, any_order)
def sweep(c: Choice) -> None:
    c.do("sweep", "ann", {})


@move(1)
def restart(c: Choice) -> None:
    c.walk.restart(c.pick((0, 1)))


# looking


@move(3, any_order)
def look(c: Choice) -> None:
    item = c.pick(list(c.model.items.values()))
    c.walk.look(item, process=c.pick((0, 1)))


@move(2, any_order)
def my_work(c: Choice) -> None:
    c.walk.call("my_work", c.pick(WORKERS), {}, process=c.pick((0, 1)))
