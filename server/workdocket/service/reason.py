"""Why an item or an order is not further along: every reason, what by whom would change it, and the earliest time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from workdocket.domain.machine import LEFT_OUT, TERMINAL, WORKING
from workdocket.domain.model import Actor, Effect, WorkItem, WorkOrder, iso
from workdocket.ports import ReadTx
from workdocket.service import limit
from workdocket.service.desk import Desk


@dataclass(frozen=True, slots=True)
class Reason:
    """``action`` is what would change it, ``by`` whom; ``at`` the earliest time in milliseconds, where there is one."""

    code: str
    message: str
    action: str
    by: str
    at: int | None = None


WAYS_BACK = {
    "failed": ("retry({what}_id={id!r}), or cancel what waits", "reviewer"),
    "rejected": ("workdocket orders requeue {order_id}, or cancel what waits", "admin"),
}
"""How something that others wait for comes back; there is none from where it is over for good."""


class Look:
    """What stands in the way, as one caller sees it in one transaction."""

    def __init__(self, desk: Desk, tx: ReadTx, actor: Actor) -> None:
        self.now = desk.clock.now()
        self._desk, self._tx, self._actor = desk, tx, actor

    def at_item(self, order: WorkOrder, item: WorkItem) -> list[Reason]:
        """Every reason why an item is not handed out, or not further than that."""
        if item.state == "queued":
            return list(self._queued(item)) or [self._available(item)]
        if item.state in WORKING:
            return [self._held(item)]
        return [self._behind(order, item)]

    def at_order(self, order: WorkOrder) -> Iterator[Reason]:
        """What concerns an order as a whole."""
        if order.deadline_missed_at is not None and order.state not in TERMINAL:
            action = "finish it, or cancel it and propose it anew"
            yield Reason("deadline_missed", f"its deadline was {iso(order.deadline or 0)}", action, "requester")
        if order.state == "submitted":
            yield self._awaiting_review(order)
            yield from self._expiring(order)
        elif order.state == "approved":
            pending = [
                effect for effect in self._tx.effects(order.id) if effect.state == "pending" and effect.channel is None
            ]
            yield from (_effect(order, effect) for effect in pending)
        elif order.state == "failed" and order.error is not None:
            action = f"mend the cause, then retry({order.id!r}); or reject, or cancel"
            yield Reason("apply_failed", order.error["message"], action, "reviewer")
        elif order.state == "rejected":
            yield self._refused(order)
        elif order.state in TERMINAL:
            yield Reason("final", f"the order is {order.state}", "nothing", "nobody")

    def at_caller(self) -> Iterator[Reason]:
        """What keeps the caller from taking anything at all."""
        room = limit.agent_room(self._desk.settings, self._tx, self._actor.session, self.now)
        if room is not None and room <= 0:
            most = self._desk.settings.max_leases_per_agent
            yield Reason("agent_limit", f"you hold {most} leases, as many as you may", "submit or release one", "you")

    def _queued(self, item: WorkItem) -> Iterator[Reason]:
        if self._desk.registry.find(item) is None:
            action = "install or name it in order_types as it was then; or cancel, and propose anew"
            yield Reason("unknown_type", self._desk.registry.gone(item), action, "admin")
        yield from (self._needed(needed) for needed in item.waiting_for)
        if item.due_at is not None and item.due_at > self.now:
            yield self._not_yet(item, item.due_at)
        yield from self._limits(item)

    def _needed(self, needed: str) -> Reason:
        thing = self._tx.item(needed) or self._tx.order(needed)
        state = thing.state if thing else "gone"
        if state in ("failed", "rejected", *TERMINAL, "gone"):
            back, by = WAYS_BACK.get(state, ("cancel what waits", "requester"))
            what = "item" if "." in needed else "order"
            action = back.format(what=what, id=needed, order_id=needed.partition(".")[0])
            return Reason("dead_dependency", f"it waits for {needed}, which is {state}", action, by)
        return Reason("blocked", f"it waits for {needed}, which is {state}", f"see explain({needed!r})", "worker")

    def _not_yet(self, item: WorkItem, due_at: int) -> Reason:
        if item.reserved_for is not None:
            action = f"{item.reserved_for} takes it, anybody names it: checkout(item_id={item.id!r}), or wait"
            return Reason("reserved", "kept for who did it before", action, item.reserved_for, due_at)
        if item.attempts:
            return Reason(
                "backing_off", f"attempt {item.attempts} of {item.max_attempts} failed", "wait", "time", due_at
            )
        return Reason("not_yet", "its time has not come", "wait", "time", due_at)

    def _limits(self, item: WorkItem) -> Iterator[Reason]:
        policy, finish = self._desk.policy(item.type), "submit or release one"
        if limit.type_is_full(policy, self._tx, item.type, self.now):
            message = f"{policy.max_leases} of {item.type} are leased, as many as may be"
            yield Reason("type_limit", message, finish, "worker")
        if limit.key_is_full(policy, self._tx, item, self.now):
            message = f"{policy.max_leases_per_key} of the key {item.concurrency_key} are leased, as many as may be"
            yield Reason("key_limit", message, finish, "worker")
        yield from self.at_caller()

    def _available(self, item: WorkItem) -> Reason:
        if item.skills:
            message = f"ready for who has the skills {', '.join(item.skills)}"
            return Reason("skills", message, f"checkout(item_id={item.id!r}, skills={list(item.skills)})", "worker")
        return Reason("available", "it is ready", f"checkout(item_id={item.id!r})", "worker")

    def _held(self, item: WorkItem) -> Reason:
        lease = item.lease
        assert lease is not None, "what is worked on is leased"
        holder = lease.holder.agent or lease.holder.session
        if lease.expires_at > self.now:
            action = "its submission, or the end of its lease"
            return Reason("leased", f"{holder} works on it", action, holder, lease.expires_at)
        if item.attempts + 1 < item.max_attempts:
            return Reason("available", "its lease ran out", f"checkout(item_id={item.id!r})", "worker")
        return Reason("leased", "the lease of its last attempt ran out", "any checkout fails it; then retry", "worker")

    def _behind(self, order: WorkOrder, item: WorkItem) -> Reason:
        if order.state == "rejected":
            return self._refused(order)
        if item.state == "failed":
            error = item.error or {}
            action = error.get("hint", f"retry(item_id={item.id!r}), or cancel({order.id!r})")
            return Reason("failed", error.get("message", "no attempt is left"), action, "reviewer")
        if item.state in LEFT_OUT and order.state != item.state:
            error = item.error or {}
            why = error.get("message", "it was left out")
            return Reason("left_out", f"its order goes on without it: {why}", "nothing", "nobody")
        if item.state in TERMINAL:
            return Reason("final", f"the item is {item.state}", "nothing", "nobody")
        whole = [reason for reason in self.at_order(order) if reason.code != "deadline_missed"]
        return whole[0] if whole else _OTHERS_OPEN

    def _refused(self, order: WorkOrder) -> Reason:
        action, key = f"workdocket orders requeue {order.id}", order.dedupe_key
        same = None if key is None else self._tx.order_by_dedupe_key(order.type, key)
        if same is not None and same.state == "completed":
            action = f"workdocket orders dead-letter {order.id}: {same.id}, of the same dedupe_key, has done it"
        elif same is not None:
            action = f"cancel({same.id!r}), which has the same dedupe_key, then {action}"
        return Reason("rejected", "a reviewer refused it for good", action, "admin")

    def _awaiting_review(self, order: WorkOrder) -> Reason:
        policy, entry = self._desk.gate(order), self._desk.registry.find(order)
        gate = policy.approval if policy.quorum == 1 else f"{policy.approval}, {policy.quorum} approvals"
        if entry is not None and self._desk.gates.rows(entry):
            gate = f"{gate}, unless a rule says more"
        action = f"review({order.id!r}), then approve or reject"
        return Reason("awaiting_review", f"every item is submitted; the gate is {gate}", action, "reviewer")

    def _expiring(self, order: WorkOrder) -> Iterator[Reason]:
        ttl = self._desk.policy(order.type).review_ttl
        if ttl is not None:
            message = "without a decision it is cancelled as expired"
            yield Reason("review_expires", message, "approve or reject before", "time", order.changed_at + ttl)


_OTHERS_OPEN = Reason("others_open", "other items of its order are not submitted", "finish them", "worker")


def _effect(order: WorkOrder, effect: Effect) -> Reason:
    if effect.claim is not None:
        return Reason("applying", f"attempt {effect.attempts} of {effect.kind} is under way", "wait", "a server")
    message = f"{effect.kind} is due" if effect.error is None else f"{effect.kind} failed: {effect.error}"
    action = f"a running server does it; get_order({order.id!r}) shows when"
    return Reason("apply_due", message, action, "a server", effect.next_at)


def together(found: Iterable[tuple[str, Reason]]) -> list[tuple[Reason, list[str]]]:
    """One reason of each code, the earliest, with the ids of all that it is one of."""
    same: dict[str, tuple[Reason, list[str]]] = {}
    for about, reason in found:
        first, ids = same.setdefault(reason.code, (reason, []))
        if about not in ids:
            ids.append(about)
        if reason.at is not None and first.at is not None and reason.at < first.at:
            same[reason.code] = (reason, ids)
    return list(same.values())
