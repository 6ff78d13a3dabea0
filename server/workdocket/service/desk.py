"""What every part of the service works with: the store, the types, the rules, and the one way to write."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeVar

from workdocket.domain.decide import Facts, notify
from workdocket.domain.decide.notify import Subscription
from workdocket.domain.errors import WorkError
from workdocket.domain.model import Actor, Change, Effect, Policy, WorkItem, WorkOrder, canonical, checksum
from workdocket.ports import Clock, Ids, Job, Moved, ReadTx, Store, WriteTx
from workdocket.registry import GeneratorEntry, Registry, TypeEntry
from workdocket.service import limit
from workdocket.service.gates import Gates
from workdocket.settings import Settings

T = TypeVar("T")
ORDER_ID = re.compile(r"[A-Z]{1,8}-(\d{1,15})")
Answer = dict[str, Any]
Body = Callable[[WriteTx], "Answer | WorkError"]

log = logging.getLogger("workdocket.service")

TRIES = 3
DAY_MS = 86_400_000
HOUR_MS = 3_600_000

KEYLESS = frozenset({"checkout", "heartbeat", "requeue", "dead_letter"})
"""Calls whose repeat does no harm, so that no setting demands a key of them."""


@dataclass(frozen=True, slots=True)
class Call:
    """One mutating call: who, what, and the request that a repeat must equal.

    ``lease`` is the token of a hand-in: its exact repeat answers as the first did, also without a key.
    """

    actor: Actor
    operation: str
    request: dict[str, Any]
    key: str | None = None
    lease: str | None = None

    @property
    def request_hash(self) -> str:
        return checksum(self.request)

    def scopes(self) -> list[str]:
        """Where the answer is kept, hashed; the caller's own key first."""
        found = []
        if self.key is not None:
            found.append(checksum(["key", self.operation, self.actor.id, self.key]))
        if self.lease is not None:
            found.append(checksum(["lease", self.operation, self.lease, self.request_hash]))
        return found


@dataclass
class Desk:
    """Shared by the service's parts. ``start`` runs a job in the background, ``begin`` an effect.

    ``tell`` says that there is something to tell by a channel.
    """

    store: Store
    registry: Registry
    settings: Settings
    clock: Clock
    ids: Ids
    start: Callable[[Job], None]
    begin: Callable[[str], None] = lambda effect_id: None
    tell: Callable[[str], None] = lambda channel: None
    generators: Sequence[GeneratorEntry] = ()
    policies: dict[str, Policy] = field(default_factory=dict)
    ending: bool = False
    gates: Gates = field(init=False)

    def __post_init__(self) -> None:
        self.gates = Gates(self.settings.gates, self.registry)

    def policy(self, type_name: str) -> Policy:
        """The rules of a type in its newest version; of an unregistered one, the settings alone."""
        if type_name not in self.policies:
            entry = self.registry.get(type_name) if type_name in self.registry.names() else None
            auto_rules = entry is not None and self.gates.may_be_auto(entry)
            self.policies[type_name] = replace(merged(self.settings, entry), auto_rules=auto_rules)
        return self.policies[type_name]

    def gate(self, order: WorkOrder) -> Policy:
        """The rules with the approval that the order's own edition of its type asks for where no rule says more."""
        entry = self.registry.find(order)
        rules = self.policy(order.type)
        if entry is None:
            return rules
        kind, auto_rules = entry.type, self.gates.may_be_auto(entry)
        return replace(rules, approval=kind.approval, quorum=kind.quorum, auto_rules=auto_rules)

    @cached_property
    def subscriptions(self) -> tuple[Subscription, ...]:
        """Which channel is told of what."""
        return tuple(
            Subscription(one.name, frozenset(one.on), one.types, one.min_priority, round(one.before_seconds * 1000))
            for one in self.settings.notify
        )

    @property
    def remembered_since(self) -> int:
        """Answers from before that time are forgotten, swept or not."""
        return self.clock.now() - round(self.settings.idempotency_ttl_days * DAY_MS)

    @property
    def hook_seconds(self) -> float | None:
        """How long a hook without effects may take."""
        return self.settings.hook_timeout_seconds

    def end_waits(self) -> None:
        """Calls that wait for news answer with what there is, now and from now on: the server is about to end."""
        self.ending = True
        self.store.wake()

    def left(self, deadline: float) -> float:
        """Seconds that a call may still wait, if positive. ``deadline`` is a time of ``time.monotonic``."""
        return 0.0 if self.ending else deadline - time.monotonic()

    async def write(self, call: Call, body: Body) -> Answer:
        """The answer of ``body``, run in a transaction once per idempotency key.

        A returned ``WorkError`` is raised after the commit: it left a trace. A raised one leaves none.
        """
        if call.key is None and self.settings.require_idempotency_keys and call.operation not in KEYLESS:
            raise WorkError("idempotency_required", f"{call.operation} needs an idempotency_key here")
        outcome = await self._moving(lambda tx: self._once(tx, call, body))
        if isinstance(outcome, WorkError):
            raise outcome
        return outcome

    async def replay(self, call: Call) -> Answer | None:
        """The stored answer of an earlier equal call, before anything is asked or checked again."""
        scopes = call.scopes()
        return await self.store.read(lambda tx: recalled(tx, call, scopes, self.remembered_since)) if scopes else None

    async def once(self, call: Call, attempt: Callable[[], Awaitable[Answer]]) -> Answer:
        """The answer of an earlier equal call, also of one that overtook this one; else the attempt's own."""
        earlier = await self.replay(call)
        if earlier is not None:
            return earlier
        try:
            return await attempt()
        except WorkError:
            earlier = await self.replay(call)
            if earlier is None:
                raise
            return earlier

    def _once(self, tx: WriteTx, call: Call, body: Body) -> Answer | WorkError:
        scopes = call.scopes()
        earlier = recalled(tx, call, scopes, self.remembered_since)
        if earlier is not None:
            return earlier
        outcome = body(tx)
        if not isinstance(outcome, WorkError) and not outcome.pop("_forget", False):
            for scope in scopes:
                tx.remember(scope, call.request_hash, outcome, self.clock.now())
        return outcome

    async def change(self, body: Callable[[WriteTx], T]) -> T:
        """A write that no caller repeats: the work of background jobs."""
        return await self._moving(body)

    async def _moving(self, body: Callable[[WriteTx], T]) -> T:
        for _ in range(TRIES):
            try:
                outcome, due = await self.store.write(lambda tx: self._whole(tx, body))
            except Moved:
                continue
            for effect in due:
                self.begin(effect.id) if effect.channel is None else self.tell(effect.channel)
            return outcome
        raise WorkError("busy", "others kept changing the same order")

    def _whole(self, tx: WriteTx, body: Callable[[WriteTx], T]) -> tuple[T, list[Effect]]:
        """The body, whom to tell of its changes, and the effects that are due once all of it is committed."""
        outcome = body(tx)
        if self.subscriptions and any(change.events for change in tx.applied):
            for happening in notify.happenings(tx.applied, tx.last_event()):
                order = must_find_order(tx, happening.event.order_id)
                tx.apply(Change(effects=tuple(notify.notifications(happening, order, self.subscriptions))))
        return outcome, due_effects(tx.applied, self.clock.now())

    def facts(self, tx: ReadTx, item_id: str, token: str, actor: Actor) -> Facts:
        """All that a worker's command may look at, as it stands in this transaction."""
        item = must_find_item(tx, item_id)
        order = must_find_order(tx, item.order_id)
        past = tx.lease_by_token(item.id, token)
        if past is not None and past.holder.id == actor.id:
            actor = replace(actor, agent=actor.agent or past.holder.agent)
        return Facts(
            order=order,
            item=item,
            others=tx.other_states(item),
            policy=self.gate(order),
            actor=actor,
            now=self.clock.now(),
            dependents=tx.dependents(item),
            past=past,
            kept=frozenset(one.key for one in tx.submissions(item.id, kind="late"))
            if past is not None and not past.live
            else frozenset(),
            jitter=self.ids.jitter(),
            full=limit.reached(self.settings, self.policy(order.type), tx, item, past.holder.session, self.clock.now())
            if past is not None and item.lease_over(self.clock.now())
            else None,
        )

    def measure(self, value: Any, what: str) -> None:
        """Refuse what is over the size limit."""
        size = len(canonical(value).encode())
        if size > self.settings.max_payload_bytes:
            raise WorkError(
                "too_large",
                f"the {what} has {size} bytes; at most {self.settings.max_payload_bytes} are allowed",
                limit="max_payload_bytes",
                limit_bytes=self.settings.max_payload_bytes,
                size_bytes=size,
            )


def due_effects(changes: Sequence[Change], now: int) -> list[Effect]:
    """The effects that the changes have set off, for this process to begin after the commit."""
    return [
        effect
        for change in changes
        for effect in change.effects
        if effect.state == "pending" and effect.claim is None and effect.next_at <= now
    ]


def recalled(tx: ReadTx, call: Call, scopes: list[str], since: int) -> Answer | None:
    for n, scope in enumerate(scopes):
        found = tx.recall(scope, since)
        if found is None:
            continue
        request_hash, answer = found
        if request_hash != call.request_hash and n == 0 and call.key is not None:
            raise WorkError(
                "idempotency_conflict",
                f"this idempotency_key was used for another {call.operation}",
                operation=call.operation,
            )
        return {**answer, "replayed": True}
    return None


def must_find_order(tx: ReadTx, order_id: str, *, items: bool = False, results: bool = False) -> WorkOrder:
    order = tx.order(order_id, items=items, results=results)
    if order is None:
        raise WorkError("not_found", f"there is no order {order_id[:80]}", nearest=_orders_near(tx, order_id))
    return order


def must_find_item(tx: ReadTx, item_id: str, *, result: bool = False) -> WorkItem:
    item = tx.item(item_id, result=result)
    if item is None:
        raise WorkError("not_found", f"there is no item {item_id[:80]}", nearest=_items_near(tx, item_id))
    return item


def _orders_near(tx: ReadTx, order_id: str) -> list[str]:
    number = ORDER_ID.fullmatch(order_id)
    return list(tx.orders_near(int(number[1]))) if number else []


def _items_near(tx: ReadTx, item_id: str) -> list[str]:
    """The first items of the order where there is one, else the orders nearby."""
    order_id = item_id.rpartition(".")[0]
    return [item.id for item in tx.items(order_id, limit=3)] or _orders_near(tx, order_id)


def merged(settings: Settings, entry: TypeEntry | None) -> Policy:
    """The type's numbers where it has them, else the settings'; of several names, the first that either has."""

    def number(*names: str) -> float:
        sources = (entry.type if entry else None, settings)
        found = (getattr(source, name, None) for name in names for source in sources)
        return next(float(one) for one in found if one is not None)

    def ms(*names: str) -> int:
        return round(number(*names) * 1000)

    kind = entry.type if entry else None
    of_type, of_key = (kind.max_leases, kind.max_leases_per_key) if kind else (None, None)
    return Policy(
        lease_ttl=ms("lease_ttl_seconds"),
        heartbeat_every=ms("heartbeat_every_seconds"),
        max_attempts=int(number("max_attempts")),
        backoff={
            "failed": ms("backoff_seconds"),
            "expired": ms("expiry_backoff_seconds"),
            "raised": ms("apply_backoff_seconds", "backoff_seconds"),
        },
        backoff_jitter=round(settings.backoff_jitter_seconds * 1000),
        backoff_cap=round(settings.backoff_cap_seconds * 1000),
        apply_attempts=int(number("apply_attempts")),
        first_claim=round(settings.first_claim_seconds * 1000),
        max_parts=settings.max_parts_per_item,
        approval=kind.approval if kind else "manual",
        quorum=kind.quorum if kind else 1,
        max_leases=settings.max_leases_per_type if of_type is None else of_type,
        max_leases_per_key=settings.max_leases_per_key if of_key is None else of_key,
        stop_after_identical=settings.stop_after_identical,
        review_ttl=_hours(kind.review_ttl_hours if kind else None) or _hours(settings.review_ttl_hours),
        has_after_apply=entry.has("after_apply") if entry else False,
    )


def _hours(hours: float | None) -> int | None:
    return None if hours is None else round(hours * HOUR_MS)


def written(tx: WriteTx, change: Change) -> WorkError | None:
    """The change applied; what it refuses."""
    tx.apply(change)
    return change.refusal
