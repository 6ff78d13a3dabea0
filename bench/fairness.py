"""At which place of the hand-out small queues are served beside a large one, and when low priority is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.figures import Report, Table, main, quantile
from bench.house import House, house, kind, new_folder, together
from workdocket.order_type import OrderType
from workdocket.settings import Settings

CROWD = "crowd"
NAMES = ("ann", "bob", "cem", "dee", "eva", "fox", "gus", "ida", "jo")
ITEMS_AN_ORDER = 1_000
PAGE = 500

Places = Mapping[str, list[int]]
"""For each queue, the places in the hand-out at which its items went out, counted from 1."""


async def measure(items: int = 10_000, others: int = 10, workers: int = 10, seconds: int = 600) -> Report:
    queues = {CROWD: items, **dict.fromkeys(NAMES, others)}
    crews = (1, workers)
    by_type = [await between_types(queues, crew) for crew in crews]
    parts: list[str | Table] = [
        f"""Ten order types of equal priority, each a queue: `{CROWD}` with {items} items, filed first, and nine with
        {others} each. Workers take one item, hand it in, and take the next, until the nine are served. The places in
        the hand-out, counted from 1, at which each queue had its first, median and last item.""",
        _places(crews, by_type),
    ]
    raw = _raw("type", crews, by_type)
    if hasattr(OrderType, "concurrency_key"):
        by_key = [await between_keys(queues, crew) for crew in crews]
        parts += ["The same with one order type, whose `concurrency_key` makes each queue.", _places(crews, by_key)]
        raw += _raw("key", crews, by_key)
    if "longest_wait_seconds" in Settings.model_fields:
        waits = {limit: await passed_over(limit, seconds) for limit in (seconds // 10, seconds // 2)}
        parts += [
            f"""One item of priority 0 behind a steady stream of items of priority 50: one a second, and one worker who
            takes one a second, for {seconds} s of a clock that the bench moves.""",
            Table(
                ["longest_wait_seconds", "handed out after"],
                [[str(limit), "not at all" if after is None else f"{after} s"] for limit, after in waits.items()],
            ),
        ]
        raw += [(f"ageing, {limit} s", after) for limit, after in waits.items() if after is not None]
    return Report("Fairness", parts, raw)


def _places(crews: Sequence[int], found: Sequence[Places]) -> Table:
    ends = ("first", "median", "last")
    head = [f"{end}, {crew} worker{'s' if crew > 1 else ''}" for crew in crews for end in ends]
    return Table(
        ["queue", *head],
        [[name, *(_at(places[name], share) for places in found for share in (0, 0.5, 1))] for name in found[0]],
    )


def _at(places: Sequence[int], share: float) -> str:
    return str(quantile(places, share)) if places else "none"


def _raw(what: str, crews: Sequence[int], found: Sequence[Places]) -> list[tuple[str, float]]:
    return [
        (f"{what} {name}, {crew} workers", place)
        for crew, places in zip(crews, found, strict=True)
        for name in NAMES
        for place in places[name]
    ]


# queues side by side


@dataclass(frozen=True)
class Queue:
    """Where the items of one queue come from: their order type, and what makes them one queue within it."""

    type: str
    tenant: str
    items: int


async def between_types(queues: Mapping[str, int], crew: int) -> Places:
    kinds = [kind(f"bench.{name}") for name in queues]
    return await served(kinds, {name: Queue(f"bench.{name}", "all", items) for name, items in queues.items()}, crew)


async def between_keys(queues: Mapping[str, int], crew: int) -> Places:
    keyed = kind("bench.keyed", concurrency_key="/tenant")
    return await served([keyed], {name: Queue(keyed.name, name, items) for name, items in queues.items()}, crew)


async def served(kinds: Sequence[type[OrderType]], queues: Mapping[str, Queue], crew: int) -> Places:
    """Fill the queues, let the crew work until all but the crowd's are empty, and read from the log who came when."""
    with new_folder() as folder:
        async with house(folder, kinds) as here:
            whose = {order_id: name for name, queue in queues.items() for order_id in await filled(here, queue)}
            left = sum(queue.items for name, queue in queues.items() if name != CROWD)

            async def work(who: str) -> None:
                nonlocal left
                while left and (items := (await here.ok(who, "checkout"))["items"]):
                    left -= whose[items[0]["order_id"]] != CROWD
                    await here.hand_in(who, items[0])

            await asyncio.gather(*(work(f"worker {n}") for n in range(crew)))
            handed_out = await in_order(here)
    places: dict[str, list[int]] = {name: [] for name in queues}
    for place, order_id in enumerate(handed_out, start=1):
        places[whose[order_id]].append(place)
    return places


async def filled(here: House, queue: Queue) -> list[str]:
    """The ids of the orders that hold the queue's items."""
    full, rest = divmod(queue.items, ITEMS_AN_ORDER)
    answers = await together(
        here.ok("boss", "propose", type=queue.type, payload={"items": items, "tenant": queue.tenant})
        for items in [ITEMS_AN_ORDER] * full + [rest] * (rest > 0)
    )
    return [answer["order"]["id"] for answer in answers]


async def in_order(here: House) -> list[str]:
    """The orders of all items that were handed out, first to last."""
    found: list[str] = []
    after: dict[str, str] = {}
    while True:
        answer = await here.ok("boss", "events", event="item.leased", limit=PAGE, **after)
        found += [event["order_id"] for event in answer["events"]]
        if "next_cursor" not in answer:
            return found
        after = {"after": answer["next_cursor"]}


# low priority


@dataclass
class BenchClock:
    at: int = 1_790_000_000_000

    def now(self) -> int:
        return self.at


async def passed_over(limit: int, seconds: int) -> int | None:
    """After how many seconds the item of low priority was handed out."""
    clock = BenchClock()
    stream = kind("bench.stream")
    with new_folder() as folder:
        async with house(folder, [stream], clock, longest_wait_seconds=limit) as here:
            low = (await here.ok("boss", "propose", type=stream.name, payload={}))["order"]["id"]
            for second in range(seconds):
                await here.ok("boss", "propose", type=stream.name, payload={}, priority=50)
                [item] = (await here.ok("worker", "checkout"))["items"]
                if item["order_id"] == low:
                    return second
                await here.hand_in("worker", item)
                clock.at += 1_000
    return None


if __name__ == "__main__":
    main(measure)
