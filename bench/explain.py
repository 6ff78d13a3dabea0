"""How long explain takes and how much it says, among many orders in all states."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from typing import Any

from bench.figures import SPREAD, Report, Table, main, spread
from bench.house import Answer, House, house, kind, new_folder, together

TYPE = "bench.work"
LARGE = 100
MOST_AT_ONCE = 20
CHARACTERS_A_TOKEN = 3


async def measure(orders: int = 10_000, rounds: int = 200) -> Report:
    with new_folder() as folder:
        async with house(folder, [kind(TYPE)], lease_ttl_seconds=86_400) as here:
            started = time.monotonic()
            filed = {state: await bring(here, orders // len(STATES)) for state, bring in STATES.items()}
            large = await file(here, items=LARGE, not_before=_tomorrow())
            filling = time.monotonic() - started
            found = {"the queue": await asked(here, [{}], rounds)}
            for state, ids in filed.items():
                found[f"a {state} order"] = await asked(here, [{"order_id": one} for one in ids], rounds)
            for state, ids in filed.items():
                found[f"a {state} item"] = await asked(here, [{"item_id": f"{one}.1"} for one in ids], rounds)
            found[f"an order with {LARGE} delayed items"] = await asked(here, [{"order_id": large}], rounds)
            await lease_all(here)
            found["the queue, nothing ready"] = await asked(here, [{}], rounds)
    return Report(
        "Explain",
        [
            f"""Milliseconds of `explain` within one process, on {sum(map(len, filed.values()))} orders, as many in each
            of {len(STATES)} states; filing and working them took {filling:.0f} s. Characters are those of the longest
            answer as compact JSON, and tokens are characters / {CHARACTERS_A_TOKEN}, a cautious estimate. Design: 20 ms
            and 400 tokens.""",
            Table(
                ["explain, in ms", *SPREAD, "characters", "tokens"],
                [
                    [name, *spread(one.ms), str(one.longest), str(-(-one.longest // CHARACTERS_A_TOKEN))]
                    for name, one in found.items()
                ],
            ),
        ],
        [(name, value) for name, one in found.items() for value in one.ms],
    )


@dataclass
class Asked:
    """How long each answer took, and how many characters the longest one has."""

    ms: list[float] = field(default_factory=list)
    longest: int = 0


async def asked(here: House, arguments: Sequence[Mapping[str, str]], rounds: int) -> Asked:
    """Asked so many times, of one after the other."""
    found = Asked()
    for about in islice(cycle(arguments), rounds):
        started = time.perf_counter()
        answer = await here.ok("boss", "explain", **about)
        found.ms.append((time.perf_counter() - started) * 1000)
        text = json.dumps(answer, separators=(",", ":"), ensure_ascii=False)
        found.longest = max(found.longest, len(text))
    return found


# orders in every state


async def file(here: House, *, items: int = 1, **more: Any) -> str:
    answer = await here.ok("boss", "propose", type=TYPE, payload={"items": items}, **more)
    order_id: str = answer["order"]["id"]
    return order_id


async def take(here: House, order_id: str) -> Answer:
    [item] = (await here.ok("worker", "checkout", order_id=order_id))["items"]
    taken: Answer = item
    return taken


def _tomorrow() -> str:
    return (datetime.now(UTC) + timedelta(days=1)).isoformat()


async def leased(here: House) -> str:
    order_id = await file(here)
    await take(here, order_id)
    return order_id


async def submitted(here: House) -> str:
    order_id = await file(here)
    await here.hand_in("worker", await take(here, order_id))
    return order_id


async def failed(here: House) -> str:
    order_id = await file(here)
    item = await take(here, order_id)
    lease = {"item_id": item["id"], "lease_token": item["lease"]["token"]}
    await here.ok("worker", "fail", **lease, reason="the source is gone", retryable=False)
    return order_id


async def completed(here: House) -> str:
    order_id = await submitted(here)
    await here.ok("boss", "approve", order_id=order_id)
    return order_id


def alike(one: Callable[[House], Coroutine[Any, Any, str]]) -> Callable[[House, int], Coroutine[Any, Any, list[str]]]:
    async def many(here: House, number: int) -> list[str]:
        return await together(one(here) for _ in range(number))

    return many


async def blocked(here: House, number: int) -> list[str]:
    needed = await file(here)
    return await together(file(here, depends_on=[needed]) for _ in range(number))


STATES: Mapping[str, Callable[[House, int], Coroutine[Any, Any, list[str]]]] = {
    "queued": alike(file),
    "leased": alike(leased),
    "blocked": blocked,
    "delayed": alike(lambda here: file(here, not_before=_tomorrow())),
    "submitted": alike(submitted),
    "failed": alike(failed),
    "completed": alike(completed),
}


async def lease_all(here: House) -> None:
    while (await here.ok("worker", "checkout", count=MOST_AT_ONCE))["items"]:
        pass


if __name__ == "__main__":
    main(measure)
