"""Orders filed on a schedule: by whom, once, late, in spite of what raises, and in whatever form they are given."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from textwrap import indent
from typing import Any

import anyio
import pytest

from tests.support import raw
from tests.support.harness import LIMIT, CountedIds, HandClock, House, house, settings_for, usual_types
from tests.support.until import found
from workdocket.app import assemble
from workdocket.domain.model import iso
from workdocket.registry import load_generators
from workdocket.service.desk import Desk
from workdocket.storage.sqlite import SqliteStore
from workdocket.storage.tables import ReadTables
from workdocket.storage.writer import WriteTables

NOON = 1_790_078_400_000
MINUTE = 60
HOUR = 3600


def hours(*numbers: int) -> list[str]:
    """Slots, as the log names them: so many hours after noon."""
    return [iso(NOON + number * HOUR * 1000) for number in numbers]


def generator(discover: str, name: str = "hourly", head: str = "schedule = '0 * * * *'") -> str:
    """The source of a generator; ``discover`` is the method."""
    return f"class {name.title()}(Generator):\n" + indent(f"name = {name!r}\n{head}\n{discover}", "    ") + "\n"


HOURLY = generator("def discover(self, slot): return [Proposal('test.free', {})]")


def written(folder: Path, *sources: str) -> str:
    file = folder / "generators.py"
    head = "import json\nfrom pathlib import Path\nfrom datetime import *\nfrom workdocket import Generator, Proposal\n"
    file.write_text("\n".join([head, *sources]))
    return str(file)


@asynccontextmanager
async def generating(
    folder: Path, *sources: str, clock: HandClock | None = None, ids: CountedIds | None = None
) -> AsyncIterator[House]:
    """A house with generators, at half past eleven."""
    made = clock or HandClock(NOON - 30 * MINUTE * 1000)
    async with house(folder, clock=made, ids=ids, generators=[written(folder, *sources)]) as home:
        yield home


async def sweep(home: House) -> None:
    """One round, and the end of what it began."""
    await home.app.sweeper.sweep()
    scheduler = home.app.scheduler
    async with asyncio.timeout(LIMIT):
        while scheduler.busy:  # noqa: ASYNC110 - its end is no change of the database that one could wait for
            await asyncio.sleep(0)


async def filed(home: House) -> list[dict[str, Any]]:
    return [event for event in await home.person("auditor").events() if event["event"] == "order.proposed"]


async def slots(home: House) -> list[str]:
    return [event["data"]["slot"] for event in await filed(home)]


# on schedule


@pytest.mark.scenario("generators-scheduled")
async def test_a_slot_files_its_orders_as_the_scheduler_once_its_time_has_come(tmp_path: Path) -> None:
    async with generating(tmp_path, HOURLY) as home:
        # given a schedule that begins now, before its first slot
        await sweep(home)
        await sweep(home)
        assert await filed(home) == []

        # when
        home.clock.forward(30 * MINUTE)
        await sweep(home)
        await sweep(home)

        # then
        [event] = await filed(home)
        assert (event["actor_type"], event["actor_id"]) == ("system", "scheduler")
        assert event["data"] == {
            "type": "test.free", "type_version": 1, "priority": 0, "generator": "hourly", "slot": hours(0)[0],
        }  # fmt: skip
        home.clock.forward(HOUR)
        await sweep(home)
        assert await slots(home) == hours(0, 1)


@pytest.mark.scenario("generators-scheduled")
async def test_a_running_server_wakes_for_a_slot(tmp_path: Path) -> None:
    clock = HandClock(NOON - 100)
    every_minute = generator("def discover(self): return [Proposal('test.free', {})]", head="schedule = '* * * * *'")
    settings = {"generators": [written(tmp_path, every_minute)], "sweep_every_seconds": 0.05}
    async with house(tmp_path, sweep=True, clock=clock, **settings) as home:
        store = home.app.desk.store

        async def begun() -> bool:
            return bool(await store.read(lambda tx: tx.slot("hourly", "* * * * * UTC")))

        await found(home, begun)
        clock.forward(0.1)

        async def orders() -> list[str]:
            return await slots(home)

        assert await found(home, orders) == hours(0)


@pytest.mark.scenario("generators-scheduled")
async def test_without_a_schedule_it_runs_only_when_asked(tmp_path: Path) -> None:
    async with generating(
        tmp_path, generator("def discover(self): return [Proposal('test.free', {})]", head="")
    ) as home:
        for _ in range(3):
            await sweep(home)
            home.clock.forward(HOUR)
        assert await filed(home) == []

        answer = await home.app.scheduler.generate([], home.person("boss", kind="user").caller.actor, dry_run=False)

        [event] = await filed(home)
        assert answer["generators"][0]["orders"] == [event["order_id"]]
        assert (event["actor_id"], event["data"]["run_by"]) == ("scheduler", "boss")


async def test_the_slot_is_told_in_the_time_zone_of_the_generator(tmp_path: Path) -> None:
    source = generator(
        "def discover(self, slot): return [Proposal('test.free', {'slot': slot.isoformat()})]",
        head="schedule = '0 14 * * *'\ntime_zone = 'Europe/Berlin'",
    )
    async with generating(tmp_path, source) as home:
        await sweep(home)
        home.clock.forward(HOUR)
        await sweep(home)

        [event] = await filed(home)
        order = (await home.person("a").ok("get_order", order_id=event["order_id"]))["order"]
        assert event["data"]["slot"] == hours(0)[0]
        assert order["payload"] == {"slot": "2026-09-22T14:00:00+02:00"}


@pytest.mark.scenario("slots-caught-up")
@pytest.mark.parametrize("catch_up, expected", [("last", hours(4)), ("all", hours(0, 1, 2, 3, 4)), ("none", [])])
async def test_after_five_slots_without_a_server_its_rule_says_what_is_run(
    tmp_path: Path, catch_up: str, expected: list[str]
) -> None:
    # given
    source = HOURLY.replace("schedule", f"catch_up = {catch_up!r}\n    schedule")
    clock = HandClock(NOON - 30 * MINUTE * 1000)
    async with generating(tmp_path, source, clock=clock) as home:
        await sweep(home)

    # when
    clock.forward(5 * HOUR)
    async with generating(tmp_path, source, clock=clock) as home:
        await sweep(home)
        assert await slots(home) == expected

        # then it goes on with the next
        clock.forward(30 * MINUTE)
        await sweep(home)
        assert await slots(home) == [*expected, *hours(5)]


async def test_a_changed_schedule_begins_when_it_is_first_seen(tmp_path: Path) -> None:
    clock = HandClock(NOON - 30 * MINUTE * 1000)
    async with generating(tmp_path, HOURLY, clock=clock) as home:
        await sweep(home)
    clock.forward(5 * HOUR)

    async with generating(tmp_path, HOURLY.replace("0 * *", "15 * *"), clock=clock) as home:
        await sweep(home)
        assert await filed(home) == []
        clock.forward(HOUR)
        await sweep(home)
        assert await slots(home) == [iso(NOON + (5 * HOUR + 15 * MINUTE) * 1000)]


# what is proposed


FORMS = {
    "a list": "def discover(self, slot): return self._them()",
    "a list without the slot": "def discover(self): return self._them()",
    "yielded": "def discover(self, slot): yield from self._them()",
    "awaited": "async def discover(self, slot): return self._them()",
    "yielded asynchronously": "async def discover(self, slot):\n    for one in self._them(): yield one",
    "awaited elsewhere": "def discover(self, slot): return self._soon()\nasync def _soon(self): return self._them()",
}
THEM = "\ndef _them(self): return [Proposal('test.free', {'n': n}, priority=n, meta={'n': n}) for n in (1, 2)]"


@pytest.mark.scenario("generators-scheduled")
@pytest.mark.parametrize("form", FORMS)
async def test_proposals_may_be_given_in_any_form(tmp_path: Path, form: str) -> None:
    async with generating(tmp_path, generator(FORMS[form] + THEM)) as home:
        await sweep(home)
        home.clock.forward(HOUR)
        await sweep(home)

        rows = (await home.person("a").ok("list_orders", sort="id"))["orders"]
        assert [(row["priority"], row["meta"], row["requested_by"]["id"]) for row in rows] == [
            (1, {"n": 1}, "scheduler"),
            (2, {"n": 2}, "scheduler"),
        ]


async def test_a_proposal_may_say_all_that_a_caller_of_propose_may(tmp_path: Path) -> None:
    source = generator(
        "def discover(self, slot):\n"
        "    later = slot + timedelta(hours=1)\n"
        "    yield Proposal('test.free', {}, dedupe_key='k', not_before=later, deadline=later, depends_on=['WO-1'])"
    )
    async with generating(tmp_path, source) as home:
        first = await home.person("a").propose()
        await sweep(home)
        home.clock.forward(HOUR)
        await sweep(home)

        [_, event] = await filed(home)
        order = (await home.person("a").ok("get_order", order_id=event["order_id"]))["order"]
        shown = {name: order[name] for name in ("dedupe_key", "not_before", "deadline", "depends_on")}
        [later] = hours(1)
        assert shown == {"dedupe_key": "k", "not_before": later, "deadline": later, "depends_on": [first]}


@pytest.mark.scenario("generators-deduplicated")
async def test_a_dedupe_key_is_one_order_over_all_slots_and_all_callers(tmp_path: Path) -> None:
    source = generator(
        "def discover(self, slot): return [Proposal('test.echo', {'message': 'hi'}, dedupe_key='one')] * 2"
    )
    async with generating(tmp_path, source) as home:
        order_id = await home.person("a").propose(dedupe_key="one")
        await sweep(home)
        for _ in range(2):
            home.clock.forward(HOUR)
            await sweep(home)
        assert len(await filed(home)) == 1

        # and filed anew once that order is over
        await home.person("a").ok("cancel", order_id=order_id)
        home.clock.forward(HOUR)
        await sweep(home)
        assert len(await filed(home)) == 2


BAD = {
    "7": "it is of type int, not a Proposal",
    "Proposal('test.echo', {})": "'message' is a required property",
    "Proposal('test.nothing', {})": "There is no order type 'test.nothing'",
    "Proposal('test.raising', {'raise_in': 'plan'})": "the order type test.raising failed in plan",
    "Proposal('test.planned', {})": "the plan has no items",
    "Proposal(3, {})": "type has to be the name of an order type",
    "Proposal('test.free', [])": "payload has to be a dict that is JSON",
    "Proposal('test.free', {'x': float('nan')})": "payload has to be a dict that is JSON",
    "Proposal('test.free', {'x': '\\udcff'})": "payload has to be a dict that is JSON",
    "Proposal('test.free', {'x': object()})": "payload has to be a dict that is JSON",
    "Proposal('test.free', {}, priority=101)": "priority has to be a whole number from 0 to 100",
    "Proposal('test.free', {}, priority=True)": "priority has to be a whole number from 0 to 100",
    "Proposal('test.free', {}, meta='x')": "meta has to be a dict that is JSON, or None",
    "Proposal('test.free', {}, not_before=datetime(2030, 1, 1))": "not_before has to be a datetime with a time zone",
    "Proposal('test.free', {}, deadline=datetime(2020, 1, 1, tzinfo=UTC))": "a deadline has to lie in the future",
    "Proposal('test.free', {}, depends_on='WO-1')": "depends_on has to be a list of order ids",
    "Proposal('test.free', {}, depends_on=['WO-9'])": "there is no order WO-9",
    "Proposal('test.free', {}, dedupe_key='')": "dedupe_key has to be a text of 1 to 255 characters",
    "Proposal('test.free', {'x': 'x' * 2_000_000})": "the payload has 2000008 bytes",
}  # fmt: skip


@pytest.mark.scenario("proposal-refused")
@pytest.mark.parametrize(("bad", "said"), BAD.items(), ids=range(len(BAD)))
async def test_a_proposal_that_is_refused_is_recorded_and_the_later_ones_are_filed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, bad: str, said: str
) -> None:
    source = generator(f"def discover(self, slot): return [{bad}, Proposal('test.free', {{}})]")
    async with generating(tmp_path, source) as home:
        await sweep(home)
        home.clock.forward(HOUR)
        await sweep(home)

        [event] = await filed(home)
        assert event["data"]["type"] == "test.free"
        assert "generator hourly: proposal 1 is refused: " in caplog.text
        assert said in caplog.text
        slot = await home.app.desk.store.read(lambda tx: tx.slot("hourly", "0 * * * * UTC"))
        assert slot is not None
        assert (slot.state, slot.outcome) == ("done", {"filed": 1, "duplicates": 0, "refused": 1})


@pytest.mark.scenario("proposal-refused")
async def test_what_the_database_does_not_take_stops_nothing_either(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Repeating(CountedIds):
        def token(self) -> str:
            return "always the same"

    source = generator("def discover(self, slot): return [Proposal('test.free', {})] * 3")
    async with generating(tmp_path, source, ids=Repeating()) as home:
        await sweep(home)
        home.clock.forward(HOUR)
        await sweep(home)

        assert len(await filed(home)) == 1
        assert "generator hourly: proposal 3 cannot be filed" in caplog.text
        [slot] = raw.rows(tmp_path, "SELECT state, outcome FROM slots")
        assert slot["state"] == "done"
        assert json.loads(slot["outcome"])["refused"] == 2


LOCKING = """
from workdocket.storage.engine import dbapi

HELD = []

class Locking(Generator):
    name = "locking"
    schedule = "0 * * * *"

    def discover(self, slot):
        if not HELD:
            file = Path(__file__).with_name("work.db")
            HELD.append(dbapi.connect(file, isolation_level=None, check_same_thread=False))
            HELD[0].execute("BEGIN IMMEDIATE")
        return [Proposal("test.free", {})]
"""


@pytest.mark.scenario("slots-resumed")
async def test_a_slot_that_finds_the_database_busy_is_left_for_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # given a database that is locked as soon as the slot is taken
    file = written(tmp_path, LOCKING)
    async with impatient(tmp_path, file) as home:
        await sweep(home)
        home.clock.forward(HOUR)
        await sweep(home)
        assert "generator locking is left for later: The database is busy" in caplog.text
        assert raw.rows(tmp_path, "SELECT state FROM slots") == [{"state": "pending"}]

        by_hand = await home.app.scheduler.generate([], home.person("boss").caller.actor, dry_run=False)
        assert by_hand["generators"][0]["error"].startswith("busy: The database is busy")

        # when
        [held] = module_of(home).HELD
        held.close()
        await sweep(home)

        # then
        assert await slots(home) == hours(0)
        assert raw.rows(tmp_path, "SELECT state, crashes FROM slots") == [{"state": "done", "crashes": 0}]


def module_of(home: House) -> Any:
    """The file that a test has written, as it was loaded."""
    return sys.modules[type(home.app.desk.generators[0].generator).__module__]


@asynccontextmanager
async def impatient(folder: Path, file: str) -> AsyncIterator[House]:
    """As ``generating``, with a store that does not wait long for its turn."""
    settings, clock, ids = settings_for(folder), HandClock(NOON - 30 * MINUTE * 1000), CountedIds()
    assert settings.database_path is not None
    store = await SqliteStore.open(settings.database_path, read_tx=ReadTables, write_tx=WriteTables, busy_seconds=0.05)
    try:
        async with anyio.create_task_group() as background:
            desk = Desk(
                store, usual_types(), settings, clock, ids, background.start_soon, generators=load_generators([file])
            )
            yield House(assemble(desk), clock, ids)
            background.cancel_scope.cancel()
    finally:
        await store.close()


@pytest.mark.scenario("generator-raises")
async def test_one_that_raises_keeps_what_it_gave_and_stops_neither_the_others_nor_its_next_slot(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # given one that raises at noon, between two that do not
    raising = generator(
        "def discover(self, slot):\n"
        "    yield Proposal('test.free', {'n': 1})\n"
        "    if slot.hour == 12: raise RuntimeError('no more')\n"
        "    yield Proposal('test.free', {'n': 2})",
        name="flaky",
    )
    others = [HOURLY.replace("ourly", name) for name in ("early", "later")]
    async with generating(tmp_path, raising, *others) as home:
        await sweep(home)

        # when
        home.clock.forward(HOUR)
        await sweep(home)

        # then
        by = [event["data"]["generator"] for event in await filed(home)]
        assert sorted(by) == ["flaky", "hearly", "hlater"]
        assert "generator flaky raised" in caplog.text
        shown = await home.app.scheduler.generate(["flaky"], home.person("boss").caller.actor, dry_run=True)
        assert shown["generators"][0]["last_slot"] == {
            "at": hours(0)[0], "filed": 1, "duplicates": 0, "refused": 0, "error": "RuntimeError: no more",
        }  # fmt: skip
        home.clock.forward(HOUR)
        await sweep(home)
        by = [event["data"]["generator"] for event in await filed(home)]
        assert sorted(by) == ["flaky"] * 3 + ["hearly"] * 2 + ["hlater"] * 2


@pytest.mark.scenario("generator-raises")
@pytest.mark.parametrize(
    "discover, error",
    [
        ("def discover(self, slot): raise SystemExit(3)", "SystemExit: 3"),
        ("def discover(self, slot): pass", "TypeError: 'NoneType' object is not iterable"),
        ("def discover(self, slot): raise StopIteration('odd')", "StopIteration"),
        ("async def discover(self, slot): raise ValueError('\\udcff' + 'x' * 9999)", "ValueError: ?xx"),
        (
            "def discover(self, slot):\n    while True: yield Proposal('test.echo', {})",
            "OverflowError: it gives more than 10000 proposals",
        ),
    ],
)
async def test_whatever_it_raises_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, discover: str, error: str
) -> None:
    caplog.set_level(logging.CRITICAL, "workdocket.generators")  # a test runner in pieces can't pass such words on
    async with generating(tmp_path, generator(discover)) as home:
        answer = await home.app.scheduler.generate([], home.person("boss").caller.actor, dry_run=True)
        [row] = answer["generators"]
        assert error in row["error"]
        assert row["filed"] == 0


# once


@pytest.mark.scenario("slots-run-once")
async def test_two_servers_that_sweep_at_once_run_each_slot_once(tmp_path: Path) -> None:
    clock, ids = HandClock(NOON - 30 * MINUTE * 1000), CountedIds()
    source = HOURLY.replace("schedule", "catch_up = 'all'\n    schedule")
    async with (
        generating(tmp_path, source, clock=clock, ids=ids) as one,
        generating(tmp_path, source, clock=clock, ids=ids) as other,
    ):
        await sweep(one)
        for _ in range(10):
            clock.forward(2 * HOUR)
            await asyncio.gather(sweep(one), sweep(other))

        assert await slots(one) == hours(*range(20))


@pytest.mark.scenario("slots-resumed")
async def test_a_slot_that_was_left_over_files_only_what_is_not_filed_although_the_world_has_moved(
    tmp_path: Path,
) -> None:
    # given a slot of which all was filed, but its end not recorded
    rows = tmp_path / "rows.json"
    rows.write_text('[{"n": 1}, {"n": 2}, {"n": 2}]')
    source = generator(
        f"def discover(self, slot):\n    for row in json.loads(Path({str(rows)!r}).read_text()):\n"
        "        yield Proposal('test.free', row)\n"
        "    yield Proposal('test.free', {'rows': Path(%r).read_text()}, dedupe_key='rows')" % str(rows)
    )
    async with generating(tmp_path, source) as home:
        await sweep(home)
        home.clock.forward(HOUR)
        await sweep(home)
        assert len(await filed(home)) == 4
        with raw.opened(tmp_path) as database:
            database.execute("UPDATE slots SET state = 'pending', claim = 'gone:1', claimed_until = 0")

        # when
        rows.write_text('[{"n": 3}, {"n": 2}, {"n": 1}, {"n": 2}]')
        await sweep(home)

        # then
        payloads = [row["payload"] for row in raw.rows(tmp_path, "SELECT payload FROM orders ORDER BY number")]
        assert [json.loads(one) for one in payloads[:3]] == [{"n": 1}, {"n": 2}, {"n": 2}]
        assert [json.loads(one) for one in payloads[4:]] == [{"n": 3}]
        [slot] = raw.rows(tmp_path, "SELECT state, crashes FROM slots")
        assert slot == {"state": "done", "crashes": 1}


@pytest.mark.scenario("slots-resumed")
async def test_a_slot_that_kills_every_process_is_given_up_and_the_next_one_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with generating(tmp_path, HOURLY) as home:
        await sweep(home)
        with raw.opened(tmp_path) as database:
            database.execute("UPDATE slots SET at = ?, state = 'pending', claim = 'gone:1', crashes = 2", [NOON])
        home.clock.forward(HOUR)

        await sweep(home)
        assert await filed(home) == []
        assert "3 processes ended in the middle of it; it waits for the next slot" in caplog.text

        home.clock.forward(HOUR)
        await sweep(home)
        assert await slots(home) == hours(1)


WAITING = """
from threading import Event

GO_ON = Event()

class Waiting(Generator):
    name = "waiting"
    schedule = "0 * * * *"

    def discover(self, slot):
        assert GO_ON.wait(5)
        return [Proposal("test.free", {})]
"""


@pytest.mark.scenario("slots-run-once")
async def test_a_claim_is_renewed_for_as_long_as_a_generator_takes(tmp_path: Path) -> None:
    clock = HandClock(NOON - 30 * MINUTE * 1000)
    settings = {"generators": [written(tmp_path, WAITING)], "effect_claim_seconds": 0.03}
    async with house(tmp_path, clock=clock, **settings) as home:
        # given
        await sweep(home)
        clock.forward(HOUR)
        await home.app.sweeper.sweep()
        clock.forward(MINUTE)

        async def claimed_until_later() -> bool:
            [slot] = raw.rows(tmp_path, "SELECT claimed_until FROM slots")
            return bool((slot["claimed_until"] or 0) > clock.now())

        # then
        assert await found(home, claimed_until_later)
        module_of(home).GO_ON.set()
        await sweep(home)
        assert await slots(home) == hours(0)


async def test_one_round_begins_four_generators_and_runs_twenty_slots_of_each(tmp_path: Path) -> None:
    source = HOURLY.replace("schedule", "catch_up = 'all'\n    schedule")
    names = "abcde"
    async with generating(tmp_path, *[source.replace("ourly", name) for name in names]) as home:
        for _ in range(2):
            await sweep(home)
        home.clock.forward(21 * HOUR)

        left = []
        for _ in range(4):
            await sweep(home)
            by = [event["data"]["generator"].removeprefix("h") for event in await filed(home)]
            left.append([21 - by.count(name) for name in names])

        assert left[0] == [1, 1, 1, 1, 21]
        assert left[-1] == [0, 0, 0, 0, 0]


# when asked


async def test_named_generators_run_and_unknown_ones_are_refused_with_the_nearest(tmp_path: Path) -> None:
    async with generating(tmp_path, HOURLY, HOURLY.replace("ourly", "early")) as home:
        boss = home.person("boss").caller.actor
        answer = await home.app.scheduler.generate(["hearly", "hearly"], boss, dry_run=False)
        assert [row["generator"] for row in answer["generators"]] == ["hearly"]
        with pytest.raises(Exception, match="there is no generator 'hourlie'") as refused:
            await home.app.scheduler.generate(["hourly", "hourlie"], boss, dry_run=False)
        assert refused.value.details["nearest"] == ["hourly"]  # type: ignore[attr-defined]
        assert len(await filed(home)) == 1


async def test_running_it_by_hand_leaves_its_slots_alone(tmp_path: Path) -> None:
    async with generating(tmp_path, HOURLY) as home:
        await sweep(home)
        boss = home.person("boss").caller.actor
        for _ in range(2):
            await home.app.scheduler.generate([], boss, dry_run=False)
        assert len(await filed(home)) == 2

        home.clock.forward(HOUR)
        await sweep(home)
        assert [event["data"].get("slot") for event in await filed(home)] == [None, None, *hours(0)]


@pytest.mark.scenario("generators-deduplicated")
async def test_a_dry_run_counts_what_would_be_a_duplicate(tmp_path: Path) -> None:
    keys = generator("def discover(self): return [Proposal('test.free', {}, dedupe_key=key) for key in 'aabc']")
    async with generating(tmp_path, keys) as home:
        await home.person("a").propose("test.free", {}, dedupe_key="b")
        boss = home.person("boss").caller.actor
        dry = (await home.app.scheduler.generate([], boss, dry_run=True))["generators"][0]
        wet = (await home.app.scheduler.generate([], boss, dry_run=False))["generators"][0]
        assert (dry["filed"], dry["duplicates"], dry["orders"]) == (wet["filed"], wet["duplicates"], []) == (2, 2, [])
        assert len(wet["orders"]) == 2
