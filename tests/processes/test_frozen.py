"""A worker whose process stands still for longer than its lease, and then goes on as if nothing had happened."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.support.harness import LIMIT, held
from tests.support.process import Server, frozen, serving
from workdocket.domain.machine import WORKING

pytestmark = pytest.mark.asyncio(loop_scope="module")

Told = dict[str, Any]

TTL = {"WORKDOCKET_LEASE_TTL_SECONDS": "0.3", "WORKDOCKET_SWEEP_EVERY_SECONDS": "3600"}
"""Of the server that is frozen. It sweeps nothing, so that it never stands still inside a transaction of its own."""

BY_ANN, BY_BOB = {"by": "ann"}, {"by": "bob"}
CALLS: Mapping[str, Told] = {
    "submit": {"result": BY_ANN, "evidence": {"seen": True}},
    "finalize": {},
    "submit_part": {"part_key": "two", "payload": BY_ANN},
    "heartbeat": {"progress": 0.5},
    "release": {},
    "fail": {"reason": "no luck"},
}
HANDED_IN: Mapping[str, Any] = {"submit": BY_ANN, "finalize": {"one": BY_ANN}}
"""The result that is in a call, and must not get lost."""

LEADS_TO: Mapping[str, tuple[list[str], str]] = {
    "submit": (["item.reclaimed", "item.submitted"], "submitted"),
    "finalize": (["item.reclaimed", "item.finalized"], "submitted"),
    "submit_part": (["item.reclaimed", "item.started", "part.received"], "in_progress"),
    "heartbeat": (["item.reclaimed", "item.started"], "in_progress"),
    "release": (["item.reclaimed", "item.released"], "queued"),
    "fail": (["item.reclaimed", "item.attempt_failed"], "queued"),
}
"""What a call does that takes an expired lease back."""


# what becomes of the item meanwhile


async def take(bob: Server, item_id: str) -> Told:
    """Its item, at once or as soon as the lease of another is over."""
    [item] = (await bob.ok("checkout", item_id=item_id, wait_seconds=LIMIT - 1))["items"]
    return dict(item)


async def nobody_took_it(bob: Server, item: Told) -> None:
    """Its lease is over, and it is still there."""
    async with asyncio.timeout(LIMIT):
        while not (await bob.ok("list_orders", has_available_items=True, meta=item["meta"]))["total"]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def its_expiry_is_recorded(bob: Server, item: Told) -> None:
    await nobody_took_it(bob, item)
    assert (await bob.ok("checkout", type="test.free"))["items"] == []


async def bob_has_begun(bob: Server, item: Told) -> None:
    await bob.ok("heartbeat", **held(item))


async def bob_submitted(bob: Server, item: Told) -> None:
    await bob.ok("submit", **held(item), result=BY_BOB)


async def bob_finalized(bob: Server, item: Told) -> None:
    await bob.ok("submit_part", **held(item), part_key="one", payload=BY_BOB)
    await bob.ok("finalize", **held(item))


async def bob_released_it(bob: Server, item: Told) -> None:
    await bob.ok("release", **held(item))


async def bob_failed(bob: Server, item: Told) -> None:
    await bob.ok("fail", **held(item), reason="not today", retry_after_seconds=0)


async def bob_gave_it_up(bob: Server, item: Told) -> None:
    await bob.ok("fail", **held(item), reason="impossible", retryable=False)


async def it_is_sent_back(bob: Server, item: Told) -> None:
    await bob_submitted(bob, item)
    await bob.ok("reject", order_id=item["order_id"], errors=[{"message": "again"}], rework=True)


async def it_is_applied(bob: Server, item: Told) -> None:
    await bob_submitted(bob, item)
    assert (await bob.ok("approve", order_id=item["order_id"]))["applied"]


async def it_is_cancelled(bob: Server, item: Told) -> None:
    await bob.ok("cancel", order_id=item["order_id"])


async def bob_holds_it(bob: Server, item: Told) -> None:
    """Taking it was all."""


Turn = Callable[[Server, Told], Awaitable[None]]

FREE: tuple[Turn, ...] = (nobody_took_it, its_expiry_is_recorded)
TAKEN: Mapping[Turn, tuple[str, Any]] = {
    bob_holds_it: ("leased", None),
    bob_has_begun: ("in_progress", None),
    bob_submitted: ("submitted", BY_BOB),
    bob_finalized: ("submitted", {"one": BY_BOB}),
    bob_released_it: ("queued", None),
    bob_failed: ("queued", None),
    bob_gave_it_up: ("failed", None),
    it_is_sent_back: ("queued", BY_BOB),
    it_is_applied: ("completed", BY_BOB),
    it_is_cancelled: ("cancelled", None),
}
"""What bob did with it, or a reviewer afterwards, and the state and result of the item that have to stay."""


# one story


@dataclass(frozen=True)
class Plot:
    """Which call ann makes, whether it is on its way when she freezes, and what becomes of her item meanwhile."""

    seed: int
    tool: str
    under_way: bool
    meanwhile: Turn

    def __str__(self) -> str:
        when = "under way" if self.under_way else "in the pipe"
        return f"{self.seed}: {self.tool} {when}, {self.meanwhile.__name__.replace('_', ' ')}"


def plotted(seed: int) -> Plot:
    """Every turn in its turn, and a call by chance, mostly a hand-in. Only those have a check to be under way in."""
    chance = random.Random(seed)
    tool = chance.choice([*HANDED_IN, *HANDED_IN, *CALLS])
    turns = [*TAKEN, *FREE]
    return Plot(seed, tool, tool in HANDED_IN and chance.random() < 0.6, turns[seed % len(turns)])


PLOTS = [plotted(seed) for seed in range(20)]


@dataclass
class Gate:
    """Two FIFOs: at one the check of a result says that it has begun, at the other it waits to go on."""

    folder: Path
    ends: list[int] = field(default_factory=list)

    @property
    def paths(self) -> dict[str, str]:
        return {name: str(self.folder / name) for name in ("begun", "go_on")}

    async def reached(self) -> None:
        async with asyncio.timeout(LIMIT):
            await asyncio.to_thread((self.folder / "begun").read_text)

    def open(self) -> None:
        """Nobody comes to wait here any more, and who waits already may go on."""
        for path in self.paths.values():
            self.ends.append(os.open(path, os.O_RDWR | os.O_NONBLOCK))
            os.unlink(path)


@contextmanager
def gate_in(folder: Path) -> Iterator[Gate]:
    gate = Gate(folder)
    for path in gate.paths.values():
        os.mkfifo(path)
    try:
        yield gate
    finally:
        if not gate.ends:
            gate.open()
        for end in gate.ends:
            os.close(end)


@dataclass
class Outcome:
    """What ann was told in the end, and what is there then. ``since`` is the last event before the others' turn."""

    sent: Told
    refusal: str | None
    answer: Told
    item: Told
    events: list[Told]
    since: int

    @property
    def by_ann(self) -> list[str]:
        """What she wrote after she froze."""
        return [event["event"] for event in self.events if event["seq"] > self.since and event["actor_id"] == "ann"]

    @property
    def late(self) -> list[Any]:
        return [one["result"] for one in self.item["late_results"]]


async def played(plot: Plot, ann: Server, bob: Server, folder: Path) -> Outcome:
    with gate_in(folder) as gate:
        filed = await bob.ok("propose", type="test.gated", payload=gate.paths, meta={"story": folder.name})
        item = await take(ann, filed["items"][0]["id"])
        await ann.ok("submit_part", **held(item), part_key="one", payload=BY_ANN)
        since = (await log(bob, item))[-1]["seq"]
        sent = {**held(item), **CALLS[plot.tool]}
        call = None
        if plot.under_way:
            call = ann.begin_call(plot.tool, **sent)
            await gate.reached()
        async with frozen(ann):
            gate.open()
            call = call or ann.begin_call(plot.tool, **sent)
            await plot.meanwhile(bob, await take(bob, item["id"]) if plot.meanwhile in TAKEN else item)
        async with asyncio.timeout(LIMIT):
            result = (await call)["result"]
    answer = result["structuredContent"]
    refusal = answer["error"]["code"] if result.get("isError") else None
    return Outcome(sent, refusal, answer, await look(bob, item), await log(bob, item), since)


async def look(bob: Server, item: Told) -> Told:
    return dict((await bob.ok("get_item", item_id=item["id"]))["item"])


async def log(bob: Server, item: Told) -> list[Told]:
    return list((await bob.ok("events", order_id=item["order_id"], limit=500))["events"])


Cast = tuple[Server, Server]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cast(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cast]:
    folder = tmp_path_factory.mktemp("frozen")
    async with serving(folder, "--actor", "ann", **TTL) as ann, serving(folder, "--actor", "bob") as bob:
        yield ann, bob


@pytest.mark.scenario("frozen-worker", "fence-rises", "late-result-kept")
@pytest.mark.parametrize("plot", [plot for plot in PLOTS if plot.meanwhile in TAKEN], ids=str)
async def test_who_wakes_up_after_another_had_the_item_writes_nothing_and_loses_nothing(
    plot: Plot, cast: Cast, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    ann, bob = cast
    state, result = TAKEN[plot.meanwhile]

    # when
    outcome = await played(plot, ann, bob, tmp_path)

    # then
    superseded = [name for name in outcome.by_ann if name != "item.late_result"]
    owed = late_results(plot)
    lost = [one for one in owed if one not in outcome.late]
    counted = {"stories": 1, "superseded writes": len(superseded), "late results kept": len(outcome.late)}
    record_property("figures", ("frozen workers", {**counted, "late results lost": len(lost)}))
    assert superseded == []
    assert outcome.late == owed
    assert outcome.refusal == refusal_of(plot), outcome.answer
    assert (outcome.item["state"], outcome.item.get("result")) == (state, result)
    if owed:
        await kept_once(ann, bob, plot, outcome)
        await shown_to_whoever_goes_on(bob, outcome.item, owed)


def late_results(plot: Plot) -> list[Any]:
    """What there is to be kept. A finalize that comes late has made nothing yet: its parts are there anyway."""
    made = plot.tool == "submit" or (plot.under_way and refusal_of(plot) == "lease_lost")
    return [HANDED_IN[plot.tool]] if made else []


def refusal_of(plot: Plot) -> str | None:
    if plot.tool == "heartbeat" and plot.meanwhile is it_is_cancelled:
        return None  # the answer says that it is cancelled
    if plot.tool == "finalize" and plot.under_way and plot.meanwhile is bob_finalized:
        return "busy"  # the parts are no longer those that it has put together
    return "lease_lost"


async def kept_once(ann: Server, bob: Server, plot: Plot, outcome: Outcome) -> None:
    assert outcome.answer["error"]["details"]["late_result_kept"]
    refusal, _ = await ann.call(plot.tool, **outcome.sent)
    assert refusal == "lease_lost"
    assert (await look(bob, outcome.item))["late_results"] == outcome.item["late_results"]


async def shown_to_whoever_goes_on(bob: Server, item: Told, owed: list[Any]) -> None:
    """To the next holder, who may adopt it, and to the reviewer."""
    if item["state"] in ("completed", "cancelled"):
        return
    if item["state"] == "failed":
        await bob.ok("retry", item_id=item["id"])
    if item["state"] in WORKING:
        [mine] = [lease for lease in (await bob.ok("my_work"))["leases"] if lease["id"] == item["id"]]
        await bob.ok("release", **held(mine))
    if item["state"] != "submitted":
        again = await take(bob, item["id"])
        assert [one["result"] for one in again["late_results"]] == owed
        await bob.ok("submit", **held(again), late_result=again["late_results"][0]["key"])
        assert (await look(bob, item))["result"] == owed[0]
    [packet] = (await bob.ok("review", order_id=item["order_id"]))["items"]
    assert [one["result"] for one in packet["late_results"]] == owed


@pytest.mark.scenario("frozen-worker", "soft-expiry")
@pytest.mark.parametrize("plot", [plot for plot in PLOTS if plot.meanwhile in FREE], ids=str)
async def test_who_wakes_up_when_nobody_has_had_the_item_goes_on(
    plot: Plot, cast: Cast, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    # when
    outcome = await played(plot, *cast, tmp_path)

    # then
    written, state = LEADS_TO[plot.tool]
    record_property("figures", ("frozen workers", {"stories": 1, "leases taken back": int(outcome.refusal is None)}))
    assert outcome.refusal is None, outcome.answer
    assert outcome.by_ann == written
    assert (outcome.item["state"], outcome.late) == (state, [])
    assert [event["event"] for event in outcome.events].count("item.lease_expired") == 1
