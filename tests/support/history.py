"""What many callers asked and were told at once, and whether the event log tells the same story.

The log says in which order everything happened; the record says who could know what, and when. A check is given both
and says every fault it finds in words. A further limit is one more function: which group a lease counts in, and how
many live leases that group may have.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from itertools import count
from typing import Any

from workdocket.domain.machine import WORKING

Row = dict[str, Any]
Ask = Callable[..., Awaitable[tuple[str | None, Row]]]
"""A tool and its arguments; the code of the refusal, if it is one, and the structured content."""

NEVER = 1 << 60


@dataclass(eq=False)
class Call:
    """``actor`` is who the log takes the caller for. ``begun`` and ``ended`` count up over the calls of all."""

    caller: str
    actor: str
    tool: str
    arguments: Row
    at: int
    begun: int
    ended: int = NEVER
    refusal: str | None = None
    answer: Row = field(default_factory=dict)
    seqs: list[int] = field(default_factory=list)

    def __str__(self) -> str:
        told = self.refusal or self.answer.get("reason") or "done"
        return f"{self.tool} {json.dumps(self.arguments)} of {self.caller}, told {told}"

    @property
    def items(self) -> list[Row]:
        return list(self.answer.get("items", ())) if self.tool == "checkout" else []

    @property
    def wanted(self) -> int:
        return int(self.arguments.get("count", 1))


@dataclass
class Record:
    """Every call, in the order in which they began."""

    calls: list[Call] = field(default_factory=list)
    _clock: count[int] = field(default_factory=lambda: count(1))

    async def call(self, ask: Ask, caller: str, actor: str, at: int, tool: str, **arguments: Any) -> Call:
        """``at`` is the time of the product's clock, in milliseconds."""
        call = Call(caller, actor, tool, arguments, at, next(self._clock))
        self.calls.append(call)
        call.refusal, call.answer = await ask(tool, **arguments)
        call.ended = next(self._clock)
        return call


@dataclass
class Item:
    """An item as the log leaves it after some event."""

    id: str
    order_id: str
    type: str
    priority: int
    payload: Any
    state: str = "queued"
    fence: int = 0
    holder: str = ""
    ttl: int = 0
    until: int = 0
    free_at: int = 0
    kept_for: str | None = None

    def live(self, at: int) -> bool:
        return self.state in WORKING and self.until > at

    def free(self, actor: str, at: int) -> bool:
        """For sure; an item that is kept for another may or may not be had by who asks for it by name."""
        if self.state in WORKING:
            return self.until <= at
        return self.state == "queued" and (self.free_at <= at or self.kept_for == actor)


Limit = Callable[[Item, str], tuple[Hashable, int] | None]
"""The group in which a lease on the item counts with this holder, and how many live ones it may have."""


def per_agent(most: int) -> Limit:
    return lambda item, holder: (f"agent {holder}", most)


def per_type(most: int, **own: int) -> Limit:
    """``own`` are the limits that types have of their own, by the last word of their names."""
    return lambda item, holder: (item.type, own.get(item.type.rpartition(".")[2], most))


def per_key(pointed: str, most: int) -> Limit:
    """Among the items of a type that have the same value at that name of their payload."""

    def group(item: Item, holder: str) -> tuple[Hashable, int] | None:
        key = item.payload.get(pointed)
        return None if key is None else (f"key {item.type} {key}", most)

    return group


def ms(time: str) -> int:
    return round(datetime.fromisoformat(time).timestamp() * 1000)


class Board:
    """All items, one event after the other."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.items: dict[str, Item] = {}

    def step(self, event: Row) -> str | None:
        """What is wrong with the event where it stands, if anything is."""
        name, data, at = event["event"], event.get("data", {}), ms(event["at"])
        if name == "order.planned":
            self._open(event["order_id"], data["items"])
        if "item_id" not in event or "to_state" not in event:
            return None
        item = self.items[event["item_id"]]
        before, item.state = item.state, event["to_state"]
        if name == "item.leased":
            fence, item.fence = item.fence, data["fence"]
            item.holder, item.until, item.kept_for = event["actor_id"], ms(data["expires_at"]), None
            item.ttl = item.until - at
            if item.fence != fence + 1:
                return f"{item.id} went from fence {fence} to {item.fence}"
        elif name == "item.reclaimed":
            item.until = at + item.ttl
        elif name == "item.returned":
            item.free_at, item.kept_for = at + self.history.first_claim, item.holder
        elif item.state == "queued":
            item.free_at = ms(data["available_at"]) if "available_at" in data else 0
        return None if before == event["from_state"] else f"{name} of {item.id}, which was {before}"

    def _open(self, order_id: str, items: int) -> None:
        proposed = self.history.proposed[order_id]
        for n in range(1, items + 1):
            asked = proposed.arguments
            item = Item(f"{order_id}.{n}", order_id, asked["type"], asked.get("priority", 0), asked["payload"])
            self.items[item.id] = item

    def live(self, at: int) -> Counter[tuple[Hashable, int]]:
        """How many live leases each group has that has any."""
        held = (item for item in self.items.values() if item.live(at))
        return Counter(group for item in held for group in self._groups(item, item.holder))

    def _groups(self, item: Item, holder: str) -> list[tuple[Hashable, int]]:
        return [group for limit in self.history.limits if (group := limit(item, holder)) is not None]

    def something_for(self, call: Call) -> Item | None:
        """What a checkout might have had: free, what it asks for, and with room under every limit."""
        live = self.live(call.at)
        for item in self.items.values():
            free = item.free(call.actor, call.at) and asked_for(item, call.arguments)
            if free and all(live[group] < group[1] for group in self._groups(item, call.actor)):
                return item
        return None


def asked_for(item: Item, wanted: Row) -> bool:
    return (
        wanted.get("item_id", item.id) == item.id
        and wanted.get("order_id", item.order_id) == item.order_id
        and wanted.get("type", item.type) == item.type
        and wanted.get("min_priority", 0) <= item.priority
    )


DONE: Mapping[str, set[str]] = {
    "submit": {"item.submitted"},
    "submit_part": {"part.received"},
    "release": {"item.released"},
    "fail": {"item.attempt_failed", "item.failed"},
    "heartbeat": set(),
}
"""The event of a call under a lease, after those by which the lease is taken back and the item begun."""

LATE = {"item.late_result"}
NOTED = {"invalid_result": {"item.submission_refused"}, "invalid_part": {"part.refused"}}


def leaves(call: Call) -> set[str]:
    """Which events a call under a lease may leave in the log, one of them exactly; none where there is none."""
    if call.refusal is None:
        return DONE[call.tool]
    if call.answer["error"].get("details", {}).get("late_result_kept"):
        return LATE
    return NOTED.get(call.refusal, set())


def named(event: Row) -> str:
    return f"{event['event']} of {event.get('item_id', event['order_id'])}"


@dataclass
class Trail:
    """What was done under one lease and is still to be told; whether the item has been begun since it was taken."""

    rest: deque[Row] = field(default_factory=deque)
    begun: bool = False
    ttl: int = 0
    until: int = 0

    def follow(self) -> Row:
        event = self.rest.popleft()
        if event["event"] == "item.leased":
            self.ttl = ms(event["data"]["expires_at"]) - ms(event["at"])
        if event["event"] in ("item.leased", "item.reclaimed"):
            self.begun, self.until = False, ms(event["at"]) + self.ttl
        self.begun |= event["event"] == "item.started"
        return event

    def expected(self, call: Call) -> Iterator[set[str]]:
        """The events of a call, one after the other as they are found."""
        wanted = leaves(call)
        if call.refusal is None or (wanted and wanted != LATE):
            back = {"item.reclaimed"}
            kept_out = call.refusal and self.rest and self.rest[0]["event"] not in back  # by a limit
            if self.until <= call.at and not kept_out:
                yield back
            if call.refusal is None and call.tool in ("heartbeat", "submit_part") and not self.begun:
                yield {"item.started"}
        if wanted:
            yield wanted


def untold(trails: Iterable[Trail]) -> Iterator[str]:
    yield from (f"nobody was told of {named(event)}" for trail in trails for event in trail.rest)


Lease = tuple[str, int]


@dataclass
class History:
    """A record and its log, complete. ``first_claim`` in milliseconds."""

    record: Record
    events: Sequence[Row]
    limits: Sequence[Limit]
    first_claim: int

    @cached_property
    def proposed(self) -> dict[str, Call]:
        return {
            call.answer["order"]["id"]: call
            for call in self.record.calls
            if call.tool == "propose" and call.refusal is None
        }

    @cached_property
    def leases(self) -> dict[str, tuple[Lease, Call]]:
        """By token: the item, its fence, and the checkout that was told so."""
        return {
            item["lease"]["token"]: ((item["id"], item["lease"]["fence"]), call)
            for call in self.record.calls
            for item in call.items
        }

    # what was told is what happened

    def unequal(self) -> list[str]:
        """Where record and log differ. As it goes, every call gets to know its events."""
        for call in self.record.calls:
            call.seqs.clear()
        orders = [*self._orders("order.proposed", "propose"), *self._orders("order.returned", "reject")]
        return [*orders, *self._leases()]

    def _orders(self, name: str, tool: str) -> Iterator[str]:
        logged: defaultdict[str, Trail] = defaultdict(Trail)
        for event in self.events:
            if event["event"] == name:
                logged[event["order_id"]].rest.append(event)
        for call in self.record.calls:
            if call.refusal is None and call.tool == tool:
                order_id = call.arguments.get("order_id") or call.answer["order"]["id"]
                yield from self._found(call, logged[order_id], {name})
        yield from untold(logged.values())

    def _leases(self) -> Iterator[str]:
        logged = self._by_lease()
        for call in self.record.calls:
            for item in call.items:
                yield from self._found(call, logged[item["id"], item["lease"]["fence"]], {"item.leased"})
            if "lease_token" in call.arguments:
                trail = logged[self.leases[call.arguments["lease_token"]][0]]
                for names in trail.expected(call):
                    yield from self._found(call, trail, names)
        yield from untold(logged.values())

    def _by_lease(self) -> defaultdict[Lease, Trail]:
        """What callers did to items, under the fence that was the latest then; late results under their own."""
        fences: dict[str, int] = {}
        found: defaultdict[Lease, Trail] = defaultdict(Trail)
        for event in self.events:
            if "item_id" not in event or event["actor_type"] == "system" or event["event"] == "item.returned":
                continue
            fence = event.get("data", {}).get("fence", fences.get(event["item_id"], 0))
            if event["event"] == "item.leased":
                fences[event["item_id"]] = fence
            found[event["item_id"], fence].rest.append(event)
        return found

    def _found(self, call: Call, trail: Trail, names: set[str]) -> Iterator[str]:
        if not trail.rest or trail.rest[0]["event"] not in names:
            yield f"not in the log where it should be: {' or '.join(names)} for {call}"
            return
        event = trail.follow()
        call.seqs.append(event["seq"])
        if event["actor_id"] != call.actor or event.get("agent", call.caller) != call.caller:
            yield f"{named(event)} is by {event['actor_id']}, and not by who did {call}"

    # one holder at a time

    def out_of_order(self) -> list[str]:
        """Events that don't fit to what was before, and fences that do not rise one by one."""
        board = Board(self)
        return [fault for event in self.events if (fault := board.step(event))]

    def two_at_once(self) -> list[str]:
        """Calls that succeeded under a lease although another had been told before that the item is his."""
        tokens = Counter(item["lease"]["token"] for call in self.record.calls for item in call.items)
        faults = [f"the token {token} was told {times} times" for token, times in tokens.items() if times > 1]
        told: dict[Lease, int] = {lease: call.ended for lease, call in self.leases.values()}
        for call in self.record.calls:
            if call.refusal is None and "lease_token" in call.arguments:
                item_id, fence = self.leases[call.arguments["lease_token"]][0]
                later = [seen for (other, f), seen in told.items() if other == item_id and f > fence]
                if later and min(later) < call.begun:
                    faults.append(f"under fence {fence}, with a later one already told: {call}")
        return faults

    # limits

    def over_limits(self) -> list[str]:
        """Groups with more live leases than they may have. A lease that is taken back only to be ended by the same
        call is never live at a commit."""
        board, faults = Board(self), []
        for event in self.events:
            board.step(event)
            if "item_id" in event and event["event"] != "item.reclaimed":
                live = board.live(ms(event["at"]))
                faults += [
                    f"{n} live leases of {group} where {most} may be, after {event['event']} of {event['item_id']}"
                    for (group, most), n in live.items()
                    if n > most
                ]
        return faults

    # nothing, or less than was asked for

    def denied(self) -> list[str]:
        """Checkouts that got less than they asked for, although there was something for them all the while.

        A full answer has its place in the log. One without items may have it anywhere after what was answered before
        it was asked, and before what was asked after it was answered: at one of these places there must be nothing.
        Needs :meth:`unequal` to have found the events of all calls.
        """
        spans = {call: self._span(call) for call in self.record.calls if self._short(call)}
        board, seen = Board(self), dict[Call, Item]()
        for seq, event in enumerate([None, *self.events]):
            if event is not None:
                board.step(event)
            for call, (first, last) in list(spans.items()):
                if seq > last:
                    del spans[call]
                elif seq >= first:
                    free = board.something_for(call)
                    if free is None:
                        del spans[call]
                        seen.pop(call, None)
                    else:
                        seen[call] = free
        return [f"{item.id} was there all the while: {call}" for call, item in seen.items()]

    def _short(self, call: Call) -> bool:
        return call.tool == "checkout" and call.refusal is None and len(call.items) < call.wanted

    def _span(self, call: Call) -> tuple[int, int]:
        """The numbers of the first and last event after which the checkout may have looked."""
        if call.seqs:
            return max(call.seqs), max(call.seqs)
        before = (seq for other in self.record.calls if other.ended < call.begun for seq in other.seqs)
        after = (seq - 1 for other in self.record.calls if other.begun > call.ended for seq in other.seqs)
        return max(before, default=0), min(after, default=len(self.events))
