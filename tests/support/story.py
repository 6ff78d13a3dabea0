"""One long day in a house: every way that orders and items can go, walked through the doors that callers use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.support import until
from tests.support.harness import House, Person, held
from workdocket.domain import decide
from workdocket.domain.model import Change, WorkOrder, iso

WHY = [{"code": "wrong", "message": "look again", "path": "/message"}]


async def told(home: House, folder: Path) -> None:
    """All of it. Afterwards every row of the two tables was used at least once."""
    await straight_through(home)
    await part_by_part(home)
    await up_and_down(home)
    await stopped(home)
    await round_and_round(home)
    await applied_at_last(home, folder)
    await drifted(home, folder)
    await by_rule(home)
    await followed_up(home)
    await without_some(home)
    await one_after_another(home)
    await put_aside(home)
    await too_late(home)


async def straight_through(home: House) -> None:
    agent = home.person("anna")
    order_id = await agent.propose(priority=7, meta={"source": "ü"})
    item = await agent.take(agent="Anna's laptop")
    await agent.ok("heartbeat", **held(item), note="on it")
    await agent.refused("submit", "invalid_result", **held(item), result={"message": "hi", "verified": False})
    await agent.hand_in(item, evidence=[{"seen": "äöü"}], notes="checked twice")
    await home.person("rita").ok("approve", order_id=order_id, comment="fine")


async def part_by_part(home: House) -> None:
    agent = home.person("anna")
    order_id = await agent.propose("test.partial", {})
    item = await agent.take()
    await agent.ok("submit_part", **held(item), part_key="identity", payload={"name": "Ada"})
    await agent.refused("submit_part", "invalid_part", **held(item), part_key="contacts", payload={"fake": 1})
    await agent.ok("submit_part", **held(item), part_key="contacts", payload={"mail": "a@b.c"}, evidence={"by": "me"})
    await agent.ok("finalize", **held(item))
    await home.person("rita").ok("approve", order_id=order_id)


async def up_and_down(home: House) -> None:
    """Given back, failed, expired, reclaimed, failed for good, tried again, sent back, refused, taken up again."""
    agent, reviewer = home.person("bert"), home.person("rita")
    order_id = await agent.propose()
    await agent.ok("release", **held(await agent.take()), reason="not today")
    await agent.ok("fail", **held(await agent.take()), reason="no network", retry_after_seconds=1)
    home.clock.forward(1)
    item = await agent.take()
    home.clock.forward(601)
    await home.app.sweeper.sweep()
    await agent.ok("heartbeat", **held(item))
    home.clock.forward(601)
    await home.app.sweeper.sweep()
    await reviewer.ok("retry", order_id=order_id)
    slow = await agent.take()
    home.clock.forward(601)
    quick = await home.person("carl").take()
    await agent.refused("submit", "lease_lost", **held(slow), result={"message": "late", "verified": True})
    await home.person("carl").hand_in(quick)
    await reviewer.ok("reject", order_id=order_id, errors=WHY, rework=True, comment="nearly")
    await home.person("carl").hand_in(await home.person("carl").take(), {"message": "better", "verified": True})
    await reviewer.ok("reject", order_id=order_id, errors=WHY)
    await requeue(home, order_id)
    await agent.take(order_id=order_id)
    await reviewer.ok("reject", order_id=order_id, errors=WHY)


async def stopped(home: House) -> None:
    agent = home.person("anna")
    order_id = await agent.propose("test.batch", {"batches": 3})
    await agent.take(order_id=order_id)
    await agent.ok("cancel", order_id=order_id, reason="changed my mind")


async def round_and_round(home: House) -> None:
    """The same failure again, then the same rejection again; each time somebody has it tried afresh."""
    agent, reviewer = home.person("anna"), home.person("rita")
    order_id = await agent.propose()
    for _ in range(2):
        await agent.ok("fail", **held(await agent.take(order_id=order_id)), reason="no access", retry_after_seconds=0)
    await reviewer.ok("retry", order_id=order_id)
    for n in range(2):
        await agent.hand_in(await agent.take(order_id=order_id), {"message": f"try {n}", "verified": True})
        await reviewer.ok("reject", order_id=order_id, errors=WHY, rework=True)
    await reviewer.ok("retry", order_id=order_id)


async def applied_at_last(home: House, folder: Path) -> None:
    """Its apply fails three times, and once more after a rework, before somebody retries it."""
    agent, reviewer = home.person("anna"), home.person("rita")
    order_id = await agent.propose("test.ledger", {"file": str(folder / "story.ledger"), "fail_times": 6})
    await agent.hand_in(await agent.take(order_id=order_id))
    await reviewer.refused("approve", "apply_failed", order_id=order_id)
    await given_up(home, reviewer, order_id)
    await reviewer.ok("reject", order_id=order_id, errors=WHY, rework=True)
    await agent.hand_in(await agent.take(order_id=order_id), {"message": "mended", "verified": True})
    await reviewer.refused("approve", "apply_failed", order_id=order_id)
    await given_up(home, reviewer, order_id)
    await reviewer.ok("retry", order_id=order_id)
    await until.order_in(reviewer, order_id, "completed")


async def without_some(home: House) -> None:
    """Of three items one is refused alone and one fails and is left out; the order is completed with the third."""
    agent, reviewer = home.person("anna"), home.person("rita")
    order_id = await agent.propose("test.batch", {"batches": 3})
    refused, failed, good = [await agent.take(order_id=order_id) for _ in range(3)]
    await agent.hand_in(refused, {"count": 0})
    await agent.hand_in(good, {"count": 3})
    await reviewer.ok("reject", order_id=order_id, errors=[{**WHY[0], "item_id": refused["id"]}], only_items=True)
    await agent.ok("fail", **held(failed), reason="no such page", retryable=False)
    await reviewer.ok("waive", item_id=failed["id"], reason="it is gone")
    await reviewer.ok("approve", order_id=order_id)


async def given_up(home: House, person: Person, order_id: str) -> None:
    """The clock moved on from attempt to attempt of its apply, until there is none left."""
    while await person.state(order_id) == "approved":
        tried = (await person.event_names(order_id)).count("apply.attempt_failed")
        home.clock.forward(60)
        await home.app.sweeper.sweep()
        await until.event(home, person, order_id, "apply.attempt_failed", tried + 1)


async def drifted(home: House, folder: Path) -> None:
    agent, reviewer = home.person("anna"), home.person("rita")
    world = folder / "story.world"
    world.write_text("calm\nstormy")
    order_id = await agent.propose("test.fickle", {"file": str(world)})
    await agent.hand_in(await agent.take(order_id=order_id))
    await reviewer.refused("approve", "stale", order_id=order_id)
    await reviewer.ok("approve", order_id=order_id)


async def by_rule(home: House) -> None:
    """One that the system approves, and one that it leaves to a reviewer, who refuses it."""
    agent = home.person("bert")
    good, bad = [await agent.propose("test.automatic", {"batches": 1}) for _ in range(2)]
    await agent.hand_in(await agent.take(order_id=good), {"count": 3})
    await agent.hand_in(await agent.take(order_id=bad), {"count": 0})
    await until.order_in(agent, good, "completed")
    await until.event(home, agent, bad, "approval.deferred")
    await home.person("rita").ok("reject", order_id=bad, errors=WHY)


async def followed_up(home: House) -> None:
    agent = home.person("bert")
    order_id = await agent.propose("test.follow_up", {"message": "stumble"})
    await agent.hand_in(await agent.take(order_id=order_id))
    await home.person("rita").ok("approve", order_id=order_id)
    await until.event(home, agent, order_id, "after_apply.attempt_failed")
    home.clock.forward(60)
    await home.app.sweeper.sweep()
    await until.event(home, agent, order_id, "after_apply.done")


async def one_after_another(home: House) -> None:
    agent = home.person("bert")
    order_id = await agent.propose("test.chain", {})
    for _ in range(3):
        await agent.hand_in(await agent.take(order_id=order_id), {})
    await home.person("rita").ok("approve", order_id=order_id)


async def put_aside(home: House) -> None:
    """One failed item beside one that was handed in, and nobody who wants to go on."""
    agent = home.person("bert")
    order_id = await agent.propose("test.batch", {"batches": 2})
    await agent.hand_in(await agent.take(order_id=order_id), {"count": 1})
    await agent.ok("fail", **held(await agent.take(order_id=order_id)), reason="impossible", retryable=False)
    await dead_letter(home, order_id)


async def too_late(home: House) -> None:
    """One whose deadline a sweep notices, and one that is completed before anybody does."""
    agent = home.person("anna")
    deadline = iso(home.clock.now() + 60_000)
    noticed, unnoticed = [await agent.propose(deadline=deadline) for _ in range(2)]
    item = await agent.take(order_id=unnoticed)
    home.clock.forward(60)
    await agent.hand_in(item)
    await home.person("rita").ok("approve", order_id=unnoticed)
    await home.app.sweeper.sweep()
    await agent.ok("cancel", order_id=noticed)


# what no tool offers


async def requeue(home: House, order_id: str) -> None:
    await _command(home, order_id, lambda order, person: decide.requeue(order, person.caller.actor, home.clock.now()))


async def dead_letter(home: House, order_id: str) -> None:
    await _command(
        home,
        order_id,
        lambda order, person: decide.dead_letter(order, person.caller.actor, home.clock.now(), "too late"),
    )


async def _command(home: House, order_id: str, command: Any) -> None:
    def body(tx: Any) -> None:
        order: WorkOrder | None = tx.order(order_id, items=True)
        change: Change = command(order, home.person("boss"))
        tx.apply(change)

    await home.app.desk.change(body)
