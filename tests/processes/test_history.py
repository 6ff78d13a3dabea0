"""32 callers at once on one file, asking for all kinds of things at random; their stories are held against the log."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.support.harness import LIMIT, CountedIds, HandClock, House, Person, house
from tests.support.history import Ask, Call, History, Limit, Record, per_agent, per_key, per_type
from tests.support.process import serving
from workdocket.app import SystemClock
from workdocket.domain.errors import WorkError
from workdocket.surfaces.dispatch import run_tool

CALLERS = 32
TTL, FIRST_CLAIM = 600, 60
TYPES = ("test.echo", "test.planned", "test.narrow", "test.tenant")
TENANTS, PER_TENANT = ("a", "b", "c"), 2
NARROW = 4
"""What the type itself allows."""

GOOD, BAD = {"message": "hi", "verified": True}, {"message": 1}


@dataclass(frozen=True)
class Terms:
    """How much there is to do, and how much of it may be held at a time."""

    orders: int
    per_agent: int
    per_type: int

    @property
    def settings(self) -> dict[str, Any]:
        most = {"max_leases_per_agent": self.per_agent, "max_leases_per_type": self.per_type, "max_attempts": 1000}
        times = {"lease_ttl_seconds": TTL, "first_claim_seconds": FIRST_CLAIM}
        return {**most, **times, "stop_after_identical": "none"}

    @property
    def limits(self) -> tuple[Limit, ...]:
        return per_agent(self.per_agent), per_type(self.per_type, narrow=NARROW), per_key("tenant", PER_TENANT)


@dataclass
class World:
    """What callers tell each other of: orders and items that there are, and orders to be sent back."""

    record: Record
    now: Callable[[], int]
    orders: list[str] = field(default_factory=list)
    items: list[str] = field(default_factory=list)
    submitted: list[str] = field(default_factory=list)


@dataclass
class Caller:
    """One of many: does one thing after the other, by chance."""

    name: str
    actor: str
    ask: Ask
    world: World
    chance: random.Random
    mine: list[dict[str, str]] = field(default_factory=list)
    former: list[dict[str, str]] = field(default_factory=list)

    async def act(self) -> None:
        deed, _ = self.chance.choices(DEEDS, [weight for _, weight in DEEDS])[0]
        async with asyncio.timeout(LIMIT):
            await deed(self)

    async def call(self, tool: str, **arguments: Any) -> Call:
        world = self.world
        return await world.record.call(self.ask, self.name, self.actor, world.now(), tool, **arguments)

    async def propose(self) -> None:
        kind = self.chance.choice(TYPES)
        count = self.chance.randint(1, 5)
        payloads = {
            "test.echo": {"message": "hi"},
            "test.tenant": {"tenant": self.chance.choice(TENANTS), "items": count},
        }
        payload = payloads.get(kind, {"items": [{"input": {}}] * count})
        call = await self.call("propose", type=kind, payload=payload, priority=self.chance.choice([0, 0, 10, 20]))
        self.world.orders.append(call.answer["order"]["id"])
        self.world.items.extend(item["id"] for item in call.answer["items"])

    async def checkout(self) -> None:
        one = self.chance.choice
        filters = [
            {},
            {"count": self.chance.randint(2, 5)},
            {"type": one(TYPES)},
            {"type": one(TYPES), "count": 5},
            {"order_id": one(self.world.orders)},
            {"order_id": one(self.world.orders[-8:]), "count": 3},
            {"item_id": one(self.world.items)},
            {"item_id": one(self.world.items[-20:])},
            {"min_priority": one([5, 15])},
        ]
        await self.take(**one(filters))

    async def take(self, **wanted: Any) -> None:
        call = await self.call("checkout", **wanted, agent=self.name)
        self.mine += [{"item_id": item["id"], "lease_token": item["lease"]["token"]} for item in call.items]

    async def under_a_lease(self, tool: str, *, ends: bool, **arguments: Any) -> Call | None:
        """Mostly one that should be good, sometimes one that is over."""
        known = self.mine if self.chance.random() < 0.9 else self.former[-5:]
        if not known:
            return None
        lease = self.chance.choice(known)
        call = await self.call(tool, **lease, **arguments)
        if lease in self.mine and ((ends and call.refusal is None) or call.refusal == "lease_lost"):
            self.mine.remove(lease)
            self.former.append(lease)
        return call

    async def heartbeat(self) -> None:
        await self.under_a_lease("heartbeat", ends=False)

    async def submit(self) -> None:
        result = {**GOOD, "n": self.chance.random()}
        call = await self.under_a_lease("submit", ends=True, result=result)
        if call and call.refusal is None and call.answer["order"]["state"] == "submitted":
            self.world.submitted.append(call.answer["order"]["id"])

    async def submit_badly(self) -> None:
        await self.under_a_lease("submit", ends=True, result={**BAD, "n": self.chance.random()})

    async def submit_part(self) -> None:
        payload = {"n": self.chance.random()}
        await self.under_a_lease("submit_part", ends=False, part_key="one", payload=payload)

    async def release(self) -> None:
        await self.under_a_lease("release", ends=True)

    async def fail(self) -> None:
        pause = self.chance.choice([{}, {"retry_after_seconds": 0}, {"retry_after_seconds": 0}])
        await self.under_a_lease("fail", ends=True, reason="no luck", **pause)

    async def send_back(self) -> None:
        """Some at once, so that one caller may have first claim on several."""
        orders, self.world.submitted[:] = self.world.submitted[:4], self.world.submitted[4:]
        for order_id in orders:
            await self.call("reject", order_id=order_id, errors=[{"message": "again"}], rework=True)

    async def claim(self) -> None:
        """What was sent back to this caller, by its order or by its type."""
        returned = (await self.call("my_work")).answer["returned"]
        if returned:
            order_id = self.chance.choice(returned)["order_id"]
            wanted = {"order_id": order_id} if self.chance.random() < 0.7 else {"type": self.chance.choice(TYPES)}
            await self.take(**wanted)


DEEDS: Sequence[tuple[Callable[[Caller], Awaitable[None]], int]] = (
    (Caller.propose, 2),
    (Caller.checkout, 10),
    (Caller.heartbeat, 4),
    (Caller.submit, 4),
    (Caller.submit_badly, 3),
    (Caller.submit_part, 3),
    (Caller.release, 3),
    (Caller.fail, 3),
    (Caller.send_back, 2),
    (Caller.claim, 2),
)


async def together(callers: Sequence[Caller], calls_each: int) -> None:
    """All start at once."""
    start = asyncio.Barrier(len(callers))

    async def run(caller: Caller) -> None:
        async with asyncio.timeout(LIMIT):
            await start.wait()
        for _ in range(calls_each):
            await caller.act()

    async with asyncio.TaskGroup() as group:
        for caller in callers:
            group.create_task(run(caller))


Door = tuple[Callable[[str], str], Callable[[str], Ask]]
"""Who a caller is for the product, by the caller's name, and how the caller asks."""


def crew(world: World, seed: int, doors: Sequence[Door]) -> list[Caller]:
    """Spread evenly over the doors."""
    named = [(f"caller-{n}", doors[n % len(doors)]) for n in range(CALLERS)]
    return [
        Caller(name, actor(name), ask(name), world, random.Random(f"{seed} {name}")) for name, (actor, ask) in named
    ]


async def opening(callers: Sequence[Caller], terms: Terms) -> None:
    for _ in range(terms.orders):
        await callers[0].propose()


def asking(person: Person) -> Ask:
    async def ask(tool: str, **arguments: Any) -> tuple[str | None, dict[str, Any]]:
        try:
            return None, await run_tool(person.app, person.caller, tool, arguments)
        except WorkError as error:
            return error.code, {"error": error.as_dict()}

    return ask


def door_of(home: House) -> Door:
    return str, lambda name: asking(home.person(name))


async def two_stores(folder: Path, seed: int, terms: Terms) -> History:
    """An agent per caller. Between rounds the clock moves past every lease and backoff: what has run out goes to who
    asks first, the former holder or another."""
    clock, ids = HandClock(), CountedIds()
    world = World(Record(), clock.now)
    given = {"clock": clock, "ids": ids, **terms.settings}
    async with house(folder, **given) as one, house(folder, **given) as other:
        callers = crew(world, seed, [door_of(one), door_of(other)])
        await opening(callers, terms)
        for _ in range(6):
            await together(callers, 8)
            clock.forward(TTL + 1)
        return History(world.record, await one.person("auditor").events(), terms.limits, FIRST_CLAIM * 1000)


async def four_servers(folder: Path, seed: int, terms: Terms) -> History:
    """An agent per server, with eight callers at once."""
    clock = SystemClock()
    world = World(Record(), clock.now)
    given = {f"WORKDOCKET_{name.upper()}": str(value) for name, value in terms.settings.items()}
    async with AsyncExitStack() as stack:
        doors: list[Door] = []
        for pair in (("ann", "bob"), ("cem", "dee")):
            started = [stack.enter_async_context(serving(folder, "--actor", name, **given)) for name in pair]
            for name, server in zip(pair, await asyncio.gather(*started), strict=True):
                doors.append(
                    (partial(lambda agent, caller: agent, name), partial(lambda ask, caller: ask, server.call))
                )
        callers = crew(world, seed, doors)
        await opening(callers, terms)
        await together(callers, 28)
    async with house(folder) as closed:
        return History(world.record, await closed.person("auditor").events(), terms.limits, FIRST_CLAIM * 1000)


DAYS: dict[str, Callable[[Path], Awaitable[History]]] = {
    "two stores, little to do": lambda folder: two_stores(folder, 1, Terms(8, 3, 12)),
    "two stores, much to do": lambda folder: two_stores(folder, 2, Terms(60, 3, 40)),
    "four servers": lambda folder: four_servers(folder, 3, Terms(40, 5, 12)),
}


@pytest.fixture(scope="module", params=DAYS)
def day(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> History:
    history = asyncio.run(DAYS[request.param](tmp_path_factory.mktemp("day")))
    history.unequal()  # by it every call gets to know its events
    return history


@pytest.mark.scenario("told-is-logged", "many-processes")
def test_what_callers_were_told_is_in_the_log_once_and_they_were_told_all_of_it(
    day: History, record_property: Callable[[str, object], None]
) -> None:
    reasons = Counter(call.answer.get("reason", "") for call in day.record.calls)
    refusals = Counter(call.refusal for call in day.record.calls if call.refusal)
    told = {"calls": len(day.record.calls), "events": len(day.events), "leases": len(day.leases)}
    figures = {**told, **{f"told {name}": n for name, n in (reasons + refusals).items() if name}}
    record_property("figures", ("callers at once", figures))

    assert day.unequal() == []


@pytest.mark.scenario("N13", "fence-rises", "many-processes")
def test_no_two_callers_hold_one_item_at_once(day: History) -> None:
    assert day.out_of_order() == []
    assert day.two_at_once() == []


@pytest.mark.scenario("N15", "GC10", "limits-hold", "key-limit")
def test_limits_hold_at_every_commit_on_every_path(day: History) -> None:
    assert day.over_limits() == []


@pytest.mark.scenario("N13", "told-is-logged")
def test_nobody_is_told_that_there_is_nothing_while_there_is_something(day: History) -> None:
    assert day.denied() == []


@pytest.mark.scenario("told-is-logged")
def test_no_caller_sees_a_lock_or_a_failure(day: History) -> None:
    expected = {"lease_lost", "invalid_result", "limit_exceeded", "illegal_transition"}
    assert {call.refusal for call in day.record.calls} - {None} <= expected


@pytest.mark.scenario("limits-hold")
def test_the_day_had_what_it_is_to_show(day: History) -> None:
    """Every limit was reached, leases were lost, work came back; and nobody was alone."""
    told = {call.answer.get("reason") for call in day.record.calls} | {call.refusal for call in day.record.calls}
    never = {"agent_limit", "type_limit", "key_limit", "lease_lost", "invalid_result"} - told
    assert len(never) <= 1, f"what callers do is chance, but so little happens on no day: never {never}"
    assert {"item.released", "item.attempt_failed", "item.returned", "item.late_result", "part.received"} <= {
        event["event"] for event in day.events
    }
    alone = sum(one.ended < other.begun for one, other in pairwise(day.record.calls))
    assert alone < len(day.record.calls) / 2


# the check itself


def without_an_event(day: History) -> History:
    lost = next(event for event in day.events if event["event"] == "item.submitted")
    return replace(day, events=[event for event in day.events if event is not lost])


def with_an_event_twice(day: History) -> History:
    twice = next(event for event in day.events if event["event"] == "item.released")
    return replace(day, events=[*day.events, twice])


def with_another_lease(day: History, **told: Any) -> History:
    """The first lease in the log is not as it was."""
    events = [dict(event) for event in day.events]
    next(event for event in events if event["event"] == "item.leased").update(told)
    return replace(day, events=events)


def under_less(day: History, limit: Limit) -> History:
    return replace(day, limits=[limit])


def under_an_old_fence(day: History) -> History:
    """A heartbeat that succeeded with the first token of an item, after another had been told the second."""
    second, call = next((lease, call) for lease, call in day.leases.values() if lease[1] == 2)
    token = next(token for token, (lease, _) in day.leases.items() if lease == (second[0], 1))
    held = {"item_id": second[0], "lease_token": token}
    late = Call(call.caller, call.actor, "heartbeat", held, call.at, call.ended + 1, call.ended + 2)
    return replace(day, record=Record([*day.record.calls, late]))


def with_nothing_for_the_first(day: History) -> History:
    """The answer to the first checkout that got something, as if there had been nothing; its lease never was."""
    [call, *_] = [call for call in day.record.calls if call.items and not call.arguments.keys() - {"agent"}]
    told = replace(call, answer={"items": [], "reason": "empty"}, seqs=[])
    calls = [told if one is call else one for one in day.record.calls]
    first = min(call.seqs)
    return replace(day, record=Record(calls), events=[event for event in day.events if event["seq"] < first])


LIES: dict[str, tuple[Callable[[History], History], Callable[[History], list[str]]]] = {
    "an event is missing": (without_an_event, History.unequal),
    "an event is there twice": (with_an_event_twice, History.unequal),
    "an event is by another": (lambda day: with_another_lease(day, agent="somebody else"), History.unequal),
    "a state is skipped": (lambda day: with_another_lease(day, from_state="failed"), History.out_of_order),
    "an old fence was good": (under_an_old_fence, History.two_at_once),
    "an agent held too many": (lambda day: under_less(day, per_agent(2)), History.over_limits),
    "too many of a type were held": (lambda day: under_less(day, per_type(40, narrow=3)), History.over_limits),
    "something was there": (with_nothing_for_the_first, History.denied),
}


@pytest.mark.scenario("limits-hold", "told-is-logged")
@pytest.mark.parametrize("lie", LIES)
def test_the_check_finds_a_lie(day: History, lie: str) -> None:
    tell, check = LIES[lie]

    assert check(tell(day))
