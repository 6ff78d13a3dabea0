"""The product as the contract has it, in plain Python: what a command leads to, and what happens by itself.

A command is told after the product has answered it, since only the answer says which item was handed out under which
token. It comes to one of the codes it may be refused with, or to none and a change. What happens by itself (leases run
out, approved changes are made) is told by the log; the model says whether it was its time, and what had to happen.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from tests.property.kinds import FIRST_CLAIM, KINDS, STOP_AFTER, USERS, WORK, WORKERS_ONLY
from tests.property.records import (
    HANDED_IN,
    LEFT_OUT,
    OPEN,
    STOPPED,
    TERMINAL,
    Answer,
    Effect,
    Item,
    Kept,
    Order,
    Refused,
    Request,
    joint,
)
from tests.property.work import Work


class Model(Work):
    # every way in

    def told(
        self, tool: str, actor: str, request: Request, answer: Answer | None, *, seen: bool
    ) -> tuple[frozenset[str], Kept | None]:
        """The codes it must be refused with (one of them), none if it is accepted; and what it repeats, if it does.

        ``seen`` is whether anybody has got this answer, which a repeat must get too.
        """
        if actor in WORKERS_ONLY and tool not in WORK:
            return frozenset({"forbidden"}), None
        said = {name: value for name, value in request.items() if name != "idempotency_key"}
        bare = {name: value for name, value in said.items() if (name, value) != ("mode", "strict")}
        key = (tool, actor, request["idempotency_key"]) if "idempotency_key" in request else None
        if key is not None and key in self.keys:
            kept = self.keys[key]
            return (frozenset(), kept) if kept.request == bare else (frozenset({"idempotency_conflict"}), None)
        hand_in = (tool, request.get("lease_token", ""))
        if tool in ("submit", "finalize"):
            for kept in self.hand_ins.get(hand_in, ()):
                if kept.request == bare:
                    return frozenset(), kept
        try:
            getattr(self, tool)(actor, bare, answer)
        except Refused as refusal:
            return refusal.codes, None
        kept = Kept(bare, answer if seen else None)
        if key is not None and not (tool == "checkout" and answer is not None and not answer["items"]):
            self.keys[key] = kept
        if tool in ("submit", "finalize") and not bare.get("validate_only"):
            self.hand_ins.setdefault(hand_in, []).append(kept)
        return frozenset(), None

    # orders

    def propose(self, actor: str, a: Request, answer: Answer | None) -> None:
        if a["type"] not in KINDS:
            raise Refused("unknown_type")
        if not KINDS[a["type"]].payload(a["payload"]):
            raise Refused("invalid_payload")
        if not KINDS[a["type"]].plan(a["payload"]):
            raise Refused("invalid_plan")
        same = self.same_work(a)
        if same is not None:
            assert answer is None or answer["order"]["id"] == same.id, f"{same.id} was to be found, not {answer}"
            if not a.get("validate_only"):
                same.proposers.add(actor)
            return
        needed = [self.order(order_id) for order_id in a.get("depends_on", ())]
        if any(order.state in ("cancelled", "dead_lettered") for order in needed):
            raise Refused("invalid_request")
        if a.get("validate_only"):
            return
        assert answer is not None
        self.file(answer["order"]["id"], actor, a, {order.id for order in needed if order.state != "completed"})

    def same_work(self, a: Request) -> Order | None:
        """The latest order under the same dedupe key that was not stopped for good."""
        under = [one for one in self.orders.values() if (one.type, one.dedupe) == (a["type"], a.get("dedupe_key"))]
        found = [one for one in under if one.dedupe is not None and one.state not in STOPPED]
        return found[-1] if found else None

    def file(self, order_id: str, actor: str, a: Request, waits: set[str]) -> None:
        order = Order(order_id, a["type"], a["payload"], a.get("priority", 0), actor, a.get("dedupe_key"))
        assert order.number > max((one.number for one in self.orders.values()), default=0), (
            f"{order_id} is no new number"
        )
        self.orders[order_id] = order
        plan = order.kind.plan(a["payload"])
        ids = {key: f"{order_id}.{n}" for n, (key, _) in enumerate(plan, 1)}
        due = a.get("_not_before")
        for n, (_, after) in enumerate(plan, 1):
            names = tuple(ids[key] for key in after)
            item = Item(f"{order_id}.{n}", order, names, {*waits, *names}, due if due and due > self.now else None)
            self.items[item.id] = item
            order.items.append(item)

    def cancel(self, actor: str, a: Request, answer: Answer | None) -> None:
        self.end(
            self.order(a["order_id"]),
            "cancelled",
            ("queued", "checked_out", "in_progress", "submitted", "rejected", "failed"),
        )

    def dead_letter(self, actor: str, a: Request, answer: Answer | None) -> None:
        self.end(self.order(a["order_id"]), "dead_lettered", ("rejected", "failed"))

    def end(self, order: Order, state: str, possible: Sequence[str]) -> None:
        if order.state not in possible:
            raise Refused("illegal_transition")
        order.state = state
        for item in order.items:
            if item.state not in TERMINAL:
                self.drop_lease(item, state)
                item.state, item.due = state, None

    def requeue(self, actor: str, a: Request, answer: Answer | None) -> None:
        order = self.order(a["order_id"])
        if order.state != "rejected" or self.same_work({"type": order.type, "dedupe_key": order.dedupe}) is not None:
            raise Refused("illegal_transition")
        self.again([item for item in order.items if item.state == "rejected"])
        order.state = joint(item.state for item in order.items)

    def retry(self, actor: str, a: Request, answer: Answer | None) -> None:
        item = self.item(a["item_id"]) if "item_id" in a else None
        order = item.order if item else self.order(a["order_id"])
        failed = [item] if item else [one for one in order.items if one.state == "failed"]
        if any(one.state != "failed" for one in failed) or order.state not in (OPEN if item else ("failed",)):
            raise Refused("illegal_transition")
        self.again(failed)
        if failed:
            order.state = joint(one.state for one in order.items)
        else:
            order.state, order.change = "approved", Effect(self.now)

    def again(self, items: Sequence[Item]) -> None:
        met = (*HANDED_IN, *LEFT_OUT)
        every = items[0].order.items if items else ()
        unmet = {item.id for item in every if item in items or item.state not in met}
        for item in items:
            item.state, item.attempts, item.due, item.reserved, item.reason = "queued", 0, None, None, None
            item.waits = self.order_waits(item) | (set(item.after) & unmet)

    def order_waits(self, item: Item) -> set[str]:
        return {name for name in item.waits if name not in item.after}

    # decisions

    def approve(self, actor: str, a: Request, answer: Answer | None) -> None:
        order = self.order(a["order_id"])
        if order.state != "submitted":
            raise Refused("illegal_transition")
        against = set()
        if "digest" in a and self.seen.get((order.id, a["digest"])) != order.results():
            against.add("stale")
        if order.kind.gate == "human" and actor not in USERS:
            against.add("forbidden")
        if order.kind.gate == "four_eyes" and actor in self.kept_out(order):
            against.add("self_approval")
        if not order.fit():
            against.add("not_ready")
        if against:
            raise Refused(*against)
        order.votes.add(actor)
        if len(order.votes - (self.kept_out(order) if order.kind.gate == "four_eyes" else set())) >= order.kind.quorum:
            self.approved(order)

    def kept_out(self, order: Order) -> set[str]:
        return {order.requester, *order.proposers, *self.makers(order)}

    def makers(self, order: Order) -> set[str]:
        return {name for item in order.items for name in item.makers}

    def waive(self, actor: str, a: Request, answer: Answer | None) -> None:
        item = self.item(a["item_id"])
        if item.state != "failed" or item.order.state not in OPEN:
            raise Refused("illegal_transition")
        self.go_on_without(item.order, [item], "cancelled")

    def reject_items(self, order: Order, errors: Sequence[Request]) -> None:
        named = {error.get("item_id") for error in errors}
        if order.state not in OPEN:
            raise Refused("illegal_transition")
        if None in named:
            raise Refused("invalid_request")
        items = [item for item in order.items if item.id in named]
        if any(item.state not in ("queued", "leased", "in_progress", *HANDED_IN) for item in items):
            raise Refused("illegal_transition", "invalid_request")
        self.go_on_without(order, items, "rejected")
        order.votes, order.decided = set(), False

    def go_on_without(self, order: Order, gone: Sequence[Item], state: str) -> None:
        if all(item in gone or item.state in LEFT_OUT for item in order.items):
            raise Refused("invalid_request")
        for item in gone:
            self.drop_lease(item, state)
            item.state, item.due = state, None
        for other in order.items:
            if other not in gone and other.state not in LEFT_OUT:
                other.waits -= {item.id for item in gone}
        order.state = joint(item.state for item in order.items)
        order.rule = order.state == "submitted" and order.kind.gate == "auto"
        order.rules += order.rule

    def reject(self, actor: str, a: Request, answer: Answer | None) -> None:
        order = self.order(a["order_id"])
        if a.get("only_items"):
            self.reject_items(order, a["errors"])
            return
        rework = a.get("rework", False)
        possible = ("submitted", "failed") if rework else ("queued", "checked_out", "in_progress", "submitted")
        if order.state not in possible:
            raise Refused("illegal_transition")
        named = {error["item_id"] for error in a["errors"] if "item_id" in error}
        if named - {item.id for item in order.items}:
            raise Refused("not_found")
        if rework and any(item.state == "failed" for item in order.items):
            raise Refused("illegal_transition")
        back = [item for item in order.items if item.id in named or (not named and item.state not in LEFT_OUT)]
        if rework and any(item.state in LEFT_OUT for item in back):
            raise Refused("illegal_transition")
        for item in back:
            item.rejections.append(self.said(item, a["errors"]) if rework else None)
        if rework:
            self.send_back(order, back, a["errors"])
        else:
            for item in order.items:
                if item.state not in ("failed", *LEFT_OUT):
                    self.drop_lease(item, "rejected")
                    item.state, item.due = "rejected", None
            order.state = "rejected"
        order.votes, order.decided, order.rule = set(), False, False

    def send_back(self, order: Order, items: Sequence[Item], errors: Sequence[Request]) -> None:
        back = {item.id for item in items}
        for item in items:
            assert item.lease is not None
            item.refused = item.result
            if self.again_the_same(item):
                item.state = "failed"
            else:
                item.state, item.reserved, item.due = "queued", item.lease.holder, self.now + FIRST_CLAIM
            item.waits = self.order_waits(item) | (set(item.after) & back)
            item.feedback += sum(error.get("item_id", item.id) == item.id for error in errors)
        order.state = joint(item.state for item in order.items)

    def said(self, item: Item, errors: Sequence[Request]) -> frozenset[str]:
        return frozenset(error["message"] for error in errors if error.get("item_id", item.id) == item.id)

    def again_the_same(self, item: Item) -> bool:
        """Whether the last rejections, as many as are enough, gave the same reasons; after a stop it counts anew."""
        said = item.rejections[-1]
        alike = len(list(takewhile(lambda one: one == said, reversed(item.rejections))))
        return alike % STOP_AFTER == 0

    # what changes nothing

    def sweep(self, actor: str, a: Request, answer: Answer | None) -> None:
        late = [item.id for item in self.items.values() if item.overdue(self.now)]
        assert not late, f"the sweeper left {late} to those who are gone"

    def review(self, actor: str, a: Request, answer: Answer | None) -> None:
        order = self.order(a["order_id"])
        if answer is not None:
            self.seen[order.id, answer["digest"]] = order.results()
            assert (
                bool(answer["findings"]) == (order.state == "submitted" and not order.fit())
                or order.state != "submitted"
            )

    def my_work(self, actor: str, a: Request, answer: Answer | None) -> None:
        mine = [item for item in self.items.values() if item.lease is not None and item.lease.holder == actor]
        held = {(item.id, item.lease.token) for item in mine if item.lease is not None and item.lease.end is None}
        handed = {item.id for item in mine if item.state == "submitted"}
        if answer is not None:
            assert {(row["id"], row["lease"]["token"]) for row in answer["leases"]} == held
            assert {row["id"] for row in answer["awaiting_review"]} == handed

    def explain(self, actor: str, a: Request, answer: Answer | None) -> None:
        if "item_id" in a:
            self.item(a["item_id"])
        if "order_id" in a:
            self.order(a["order_id"])

    def get_item(self, actor: str, a: Request, answer: Answer | None) -> None:
        self.item(a["item_id"])

    def get_order(self, actor: str, a: Request, answer: Answer | None) -> None:
        self.order(a["order_id"])
