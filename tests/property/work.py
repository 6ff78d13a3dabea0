"""The worker's side of the model: leases, and handing in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.property.kinds import BACKOFF_CAP, KINDS, MAX_ATTEMPTS, MAX_LEASES, STOP_AFTER, TTL
from tests.property.records import STOPPED, Answer, Item, Lease, Refused, Request
from tests.property.world import World


class Work(World):
    # leases

    def checkout(self, actor: str, a: Request, answer: Answer | None) -> None:
        if "type" in a and a["type"] not in KINDS:
            raise Refused("unknown_type")
        wanted = list(self.wanted(a))
        assert answer is not None
        got = [(row["id"], row["lease"]) for row in answer["items"]]
        self.check_choice(actor, a, wanted, [item_id for item_id, _ in got], answer)
        for item_id, lease in got:
            item = self.items[item_id]
            assert not item.overdue(self.now), f"{item_id} was handed out without an end of the lease before"
            assert lease["fence"] == item.fence + 1, (
                f"the fence of {item_id} went from {item.fence} to {lease['fence']}"
            )
            assert lease["token"] not in {one.token for other in self.items.values() for one in other.leases}
            item.leases.append(Lease(lease["token"], lease["fence"], actor, self.now + TTL))
            item.makers.add(actor)
            item.state, item.due, item.reserved = "leased", None, None
            self.settle(item.order)

    def wanted(self, a: Request) -> Iterator[Item]:
        """What the filters let through."""
        if "order_id" in a:
            self.order(a["order_id"])
        if "item_id" in a and self.item(a["item_id"]).order.id != a.get("order_id", self.item(a["item_id"]).order.id):
            raise Refused("not_found")
        for item in self.items.values():
            order = item.order
            fits = (a.get("item_id", item.id), a.get("order_id", order.id), a.get("type", order.type))
            if fits == (item.id, order.id, order.type) and order.priority >= a.get("min_priority", 0):
                yield item

    def check_choice(self, actor: str, a: Request, wanted: list[Item], got: list[str], answer: Answer) -> None:
        """Only what may be had, as much as was asked for and may be, and nothing passed over that comes before it."""
        named = "item_id" in a
        able = [item for item in wanted if item.order.kind.skills <= set(a.get("skills", ()))]
        maybe = {item.id for item in able if self.available(item, item.reserved if named else actor, surely=False)}
        surely = [item for item in able if self.available(item, actor)]
        assert set(got) <= maybe, f"{set(got) - maybe} were not to be had by {actor}"
        assert len(set(got)) == len(got)
        room = MAX_LEASES - self.live(holder=actor)
        types = {type: self.room_of(type) for type in KINDS}
        keys = {item.key: self.room_of_key(item) for item in self.items.values()}
        for item_id in got:
            types[self.items[item_id].order.type] -= 1
            keys[self.items[item_id].key] -= 1
        assert len(got) <= room, f"{actor} got {len(got)} with room for {room}"
        assert min([*types.values(), *keys.values()]) >= 0, f"more of a type or of a key than its limit: {got}"
        full = len(got) == min(a.get("count", 1), room)
        roomy = [item for item in surely if types[item.order.type] > 0 and keys[item.key] > 0]
        left = [item for item in roomy if item.id not in got]
        assert full or not left, f"{[item.id for item in left]} were not handed out to {actor}: {answer.get('reason')}"
        self.check_priority(actor, got, left)
        if not got:
            assert (answer["reason"] == "agent_limit") == (room <= 0), answer
            assert answer["retry_after_seconds"] >= 0

    def check_priority(self, actor: str, got: list[str], left: list[Item]) -> None:
        """What was kept for the actor comes first; of the rest, the highest priority. Which of equals is not said."""
        usual = [self.items[item_id] for item_id in got if self.items[item_id].reserved != actor]
        lowest = min((item.order.priority for item in usual), default=100)
        before = [item.id for item in left if item.order.priority > lowest]
        assert not before, f"{before} come before {got}"

    def may_hold(self, item: Item, token: str) -> bool:
        lease = item.lease
        if lease is None or lease.token != token:
            return False
        if item.overdue(self.now):
            return item.attempts + 1 < MAX_ATTEMPTS and not item.waits
        if lease.end is None:
            return True
        return lease.end == "expired" and item.state == "queued" and not item.waits

    def hold(self, item: Item, token: str, *, goes_on: bool = True, renews: bool = True) -> None:
        """The lease in hand, taken back where it ran out; a lease that goes on is not taken back over a limit."""
        if not self.may_hold(item, token):
            raise Refused("lease_lost")
        lease = item.lease
        assert lease is not None
        over = not lease.live(self.now)
        if goes_on and not self.may_go_on(item):
            raise Refused("limit_exceeded")
        if over:
            assert lease.end == "expired", f"the end of the lease on {item.id} was not written"
            item.state, item.due, lease.end = "leased", None, None
        if over or renews:
            lease.expires = self.now + TTL
        self.settle(item.order)

    def may_go_on(self, item: Item) -> bool:
        """Whether its last lease is live, or there is room for one more."""
        assert item.lease is not None
        room = self.live(holder=item.lease.holder) < MAX_LEASES and self.room_of(item.order.type) > 0
        room = room and self.room_of_key(item) > 0
        return room or item.lease.live(self.now)

    def start(self, item: Item) -> None:
        item.state = "in_progress"
        self.settle(item.order)

    def drop_lease(self, item: Item, how: str) -> None:
        if item.lease is not None and item.lease.end is None:
            item.lease.end = how

    def heartbeat(self, actor: str, a: Request, answer: Answer | None) -> None:
        item = self.item(a["item_id"])
        if item.state in STOPPED and a["lease_token"] in {lease.token for lease in item.leases}:
            assert answer is None or answer["cancelled"] is True
            return
        self.hold(item, a["lease_token"])
        self.start(item)

    def release(self, actor: str, a: Request, answer: Answer | None) -> None:
        self.give_back(a, "released", a.get("_not_before"))

    def give_back(self, a: Request, how: str, due: int | None) -> None:
        item = self.item(a["item_id"])
        self.hold(item, a["lease_token"], goes_on=False)
        self.drop_lease(item, how)
        item.state, item.due = "queued", due
        self.settle(item.order)

    def fail(self, actor: str, a: Request, answer: Answer | None) -> None:
        item = self.item(a["item_id"])
        self.hold(item, a["lease_token"], goes_on=False)
        self.drop_lease(item, "failed")
        item.attempts += 1
        item.alike = item.alike + 1 if a["reason"] == item.reason else 1
        item.reason = a["reason"]
        if a.get("retryable", True) and item.attempts < MAX_ATTEMPTS and item.alike < STOP_AFTER:
            backoff = min(item.order.kind.backoff << (item.attempts - 1), BACKOFF_CAP)
            wait = round(a["retry_after_seconds"] * 1000) if "retry_after_seconds" in a else backoff
            item.state, item.due = "queued", self.now + wait
        else:
            item.state = "failed"
        self.settle(item.order)

    # handing in

    def submit(self, actor: str, a: Request, answer: Answer | None) -> None:
        item, token = self.item(a["item_id"]), a["lease_token"]
        value = a.get("result")
        if "late_result" in a:
            if "_adopts" not in a:
                raise Refused("not_found")
            value = a["_adopts"]
        if not self.may_hold(item, token):
            self.keep_late(actor, item, token, a, value)
            raise Refused("lease_lost")
        bad = not item.order.kind.good(value)
        if a.get("validate_only"):
            if bad:
                raise Refused("invalid_result")
            self.hold(item, token)
            return
        self.hand_in(actor, item, token, value, bad)

    def keep_late(self, actor: str, item: Item, token: str, a: Request, value: Any) -> None:
        fence = next((lease.fence for lease in item.leases if lease.token == token), None)
        if fence is None or "late_result" in a or a.get("validate_only") or (fence, value) in item.late:
            return
        item.late.append((fence, value))
        item.makers.add(actor)

    def hand_in(self, actor: str, item: Item, token: str, value: Any, bad: bool) -> None:
        if bad or (item.refused is not None and value == item.refused):
            if self.may_go_on(item):
                self.hold(item, token, renews=False)
            raise Refused("invalid_result")
        self.hold(item, token, goes_on=False)
        self.drop_lease(item, "submitted")
        item.state, item.result, item.reason = "submitted", value, None
        item.makers.add(actor)
        for other in item.order.items:
            if item.id in other.after:
                other.waits.discard(item.id)
        self.settle(item.order)
        if item.order.state == "submitted" and item.order.kind.gate == "auto":
            item.order.rule, item.order.rules = True, item.order.rules + 1

    def submit_part(self, actor: str, a: Request, answer: Answer | None) -> None:
        item, key = self.item(a["item_id"]), a["part_key"]
        if not self.may_hold(item, a["lease_token"]):
            raise Refused("lease_lost")
        declared = item.order.kind.parts
        bad = bool(declared) and not (key in declared and declared[key](a["payload"]))
        self.hold(item, a["lease_token"], renews=not bad)
        item.makers.add(actor)
        if bad:
            raise Refused("invalid_part")
        item.parts[key, a.get("seq")] = a["payload"]
        self.start(item)

    def finalize(self, actor: str, a: Request, answer: Answer | None) -> None:
        item = self.item(a["item_id"])
        if not self.may_hold(item, a["lease_token"]):
            raise Refused("lease_lost")
        kind, found = item.order.kind, self.parts_of(item)
        whole = kind.required <= set(found) and not any(self.has_gap(item, key) for key in kind.sequences)
        if not found or (a.get("mode", "strict") == "strict" and not whole):
            raise Refused("parts_missing")
        value = {key: rows if key in kind.sequences else rows[-1] for key, rows in found.items()}
        self.hand_in(actor, item, a["lease_token"], value, not kind.good(value))

    def parts_of(self, item: Item) -> dict[str, list[Any]]:
        found: dict[str, list[Any]] = {}
        for (key, _), payload in sorted(
            item.parts.items(), key=lambda row: (row[0][0], -1 if row[0][1] is None else row[0][1])
        ):
            found.setdefault(key, []).append(payload)
        return found

    def has_gap(self, item: Item, key: str) -> bool:
        numbers = {seq or 0 for name, seq in item.parts if name == key}
        first = 0 if 0 in numbers else 1
        return bool(numbers) and numbers != set(range(first, max(numbers) + 1))
