"""What a store promises to the service, shown on the real one. A second store is to pass the same tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.support.harness import LIMIT
from workdocket.domain import decide
from workdocket.domain.errors import Finding
from workdocket.domain.model import (
    BEFORE_ALL,
    Actor,
    Change,
    Decision,
    Effect,
    Event,
    ItemSpec,
    Lease,
    Part,
    Policy,
    Submission,
    WorkItem,
    WorkOrder,
    chained,
)
from workdocket.ports import EventQuery, ItemFilter, Line, Moved, OrderQuery, ReadTx, Slot, Token, WriteTx
from workdocket.storage.engine import dbapi
from workdocket.storage.sqlite import SqliteStore
from workdocket.storage.tables import ReadTables
from workdocket.storage.writer import WriteTables

ANN = Actor("agent", "ann", "ann-1", "label", "client/1")
BOB = Actor("user", "bob", "bob")
NOW = 1_790_000_000_000
POLICY = Policy(
    lease_ttl=600_000, heartbeat_every=60_000, max_attempts=3, backoff_jitter=0, backoff_cap=10_000,
    backoff={"failed": 1000, "expired": 0, "raised": 1000},
    apply_attempts=3, first_claim=60_000, max_parts=100,
)  # fmt: skip

RealStore = SqliteStore[ReadTables, WriteTables]


async def open_store(path: Path) -> RealStore:
    return await SqliteStore.open(path, read_tx=ReadTables, write_tx=WriteTables)


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[RealStore]:
    opened = await open_store(tmp_path / "work.db")
    yield opened
    await opened.close()


def an_order(number: int, **fields: Any) -> WorkOrder:
    given = {"priority": 0, "payload": {"n": number}, "type": "test", "created_at": NOW + number, **fields}
    return WorkOrder(
        id=f"WO-{number}", number=number, uid=f"uid-{number}", type_version=1, requested_by=ANN, changed_at=NOW, **given
    )  # fmt: skip


def filed(tx: WriteTx, *specs: ItemSpec, needed: tuple[str, ...] = (), **fields: Any) -> WorkOrder:
    """An order in the store, with an item for each spec."""
    order = an_order(tx.next_number(), depends_on=needed, **fields)
    others = [found for one in needed if (found := tx.order(one))]
    tx.apply(decide.propose(order, specs or [ItemSpec({})], others, POLICY, ANN))
    return order


def the(found: Any) -> Any:
    assert found is not None
    return found


def leased(item: WorkItem, token: str, *, fence: int = 1, until: int = NOW + 1000, by: Actor = ANN) -> WorkItem:
    lease = Lease(item.id, fence, token, by, attempt=1, leased_at=NOW, expires_at=until)
    return replace(item, version=item.version + 1, state="leased", fence=fence, lease=lease)


def lease_it(tx: WriteTx, item: WorkItem, token: str, **fields: Any) -> WorkItem:
    taken = leased(item, token, **fields)
    tx.apply(Change(items=(taken,), leases=(the(taken.lease),)))
    return taken


# writing


@pytest.mark.scenario("refused-transition")
async def test_a_change_of_which_one_row_has_moved_is_not_written_at_all(store: RealStore) -> None:
    # given
    order = await store.write(lambda tx: filed(tx, ItemSpec({}), ItemSpec({})))
    first, second = await store.read(lambda tx: tx.items(order.id))
    await store.write(lambda tx: lease_it(tx, second, "taken before"))

    # when
    change = Change(
        orders=(replace(order, version=2, state="checked_out"),),
        items=(leased(first, "one"), leased(second, "two")),
        leases=(the(leased(first, "one").lease),),
        events=(Event("item.leased", NOW, ANN, order.id, first.id),),
    )
    with pytest.raises(Moved):
        await store.write(lambda tx: tx.apply(change))

    # then
    def look(tx: ReadTx) -> tuple[str, str, Any, int]:
        found = the(tx.order(order.id))
        return found.state, the(tx.item(first.id)).state, tx.lease_by_token(first.id, "one"), tx.last_event()

    assert await store.read(look) == ("queued", "queued", None, 2)


@pytest.mark.scenario("refused-transition")
@pytest.mark.parametrize("version", [1, 3])
async def test_only_the_next_version_of_a_row_can_be_written(store: RealStore, version: int) -> None:
    order = await store.write(filed)

    with pytest.raises((Moved, dbapi.IntegrityError)):
        await store.write(lambda tx: tx.apply(Change(orders=(replace(order, version=version),))))

    assert the(await store.read(lambda tx: tx.order(order.id))).version == 1


async def test_of_two_changes_made_from_the_same_version_one_is_written(store: RealStore) -> None:
    # given
    order = await store.write(filed)
    [item] = await store.read(lambda tx: tx.items(order.id))

    # when
    tries = [store.write(lambda tx, n=n: lease_it(tx, item, f"token-{n}")) for n in range(2)]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)

    # then
    assert {type(one) for one in outcomes} == {Moved, WorkItem}
    assert len(await store.read(lambda tx: tx.leases(item.id))) == 1


async def test_a_body_that_raises_leaves_nothing(store: RealStore) -> None:
    def body(tx: WriteTx) -> None:
        filed(tx)
        raise LookupError

    with pytest.raises(LookupError):
        await store.write(body)

    assert await store.read(lambda tx: (tx.order_number(1), tx.last_event())) == (None, 0)


@pytest.mark.scenario("ids-never-reused")
async def test_numbers_only_rise_also_after_a_failure_and_a_restart(store: RealStore, tmp_path: Path) -> None:
    def fails(tx: WriteTx) -> None:
        raise LookupError(tx.next_number())

    first = await store.write(lambda tx: tx.next_number())
    with pytest.raises(LookupError):
        await store.write(fails)
    await store.close()
    again = await open_store(tmp_path / "work.db")
    second = await again.write(lambda tx: tx.next_number())
    await again.close()

    assert second > first


# the trail


@pytest.mark.scenario("audit-chain")
async def test_events_are_numbered_without_gap_and_chained_also_past_failures(store: RealStore) -> None:
    # given
    def fails(tx: WriteTx) -> None:
        filed(tx)
        raise LookupError

    async with asyncio.timeout(LIMIT):
        await asyncio.gather(
            *(store.write(fails if n % 3 == 1 else filed) for n in range(12)),
            return_exceptions=True,
        )

    # when
    events = await store.read(lambda tx: tx.events(EventQuery(limit=500)))

    # then
    assert [event.seq for event in events] == list(range(1, 17))
    assert all(later.prev_hash == earlier.hash for earlier, later in pairwise(events))
    assert [event.hash for event in events] == [chained(one, one.seq, one.prev_hash) for one in events]


@pytest.mark.scenario("audit-chain")
async def test_two_stores_on_one_file_share_one_chain(store: RealStore, tmp_path: Path) -> None:
    other = await open_store(tmp_path / "work.db")
    try:
        async with asyncio.timeout(LIMIT):
            await asyncio.gather(*((store, other)[n % 2].write(filed) for n in range(20)))
        events = await other.read(lambda tx: tx.events(EventQuery(limit=500)))
    finally:
        await other.close()

    assert [event.seq for event in events] == list(range(1, 41))
    assert all(later.prev_hash == earlier.hash for earlier, later in pairwise(events))


@pytest.mark.scenario("audit-append-only")
@pytest.mark.parametrize("statement", ["UPDATE events SET message = 'x'", "DELETE FROM events"])
async def test_the_database_refuses_to_change_or_delete_events(
    store: RealStore, tmp_path: Path, statement: str
) -> None:
    await store.write(filed)

    connection = dbapi.connect(tmp_path / "work.db")
    try:
        with pytest.raises(dbapi.IntegrityError, match="append-only"):
            connection.execute(statement)
    finally:
        connection.close()


@pytest.mark.scenario("events-are-oldest-first")
async def test_events_are_found_by_each_filter_and_go_on_after_a_number(store: RealStore) -> None:
    first, second = await store.write(lambda tx: (filed(tx), filed(tx)))
    noted = Event("item.noted", NOW, BOB, second.id, f"{second.id}.1")
    await store.write(lambda tx: tx.apply(Change(events=(noted,))))

    async def seqs(**wanted: Any) -> list[int]:
        found = await store.read(lambda tx: tx.events(EventQuery(**wanted)))
        return [event.seq for event in found]

    assert await seqs(order_id=first.id) == [1, 2]
    assert await seqs(item_id=f"{second.id}.1") == [5]
    assert await seqs(event="order.planned") == [2, 4]
    assert await seqs(actor="bob") == [5]
    assert await seqs(order_id=second.id, actor="ann") == [3]
    assert await seqs(after=2, limit=2) == [3, 4]


# round trips


async def test_all_that_is_written_is_read_again_as_it_was(store: RealStore) -> None:
    # given
    order = await store.write(lambda tx: filed(tx, ItemSpec({"deep": [1, None, "ü"]}, key="k"), meta={"a": 1}))
    item = the(await store.read(lambda tx: tx.item(f"{order.id}.1")))
    taken = leased(item, "token")
    refused = Finding("bad", "/x", "no")
    change = Change(
        items=(
            replace(taken, result_key="1-submitted-" + "c" * 16, feedback=({"message": "again"},), error={"code": "x"}),
        ),
        leases=(replace(the(taken.lease), progress=0.5, note="half"),),
        submissions=(Submission(item.id, 1, "c" * 64, "submitted", {"r": 1.5}, ANN, NOW, ["e"], "notes"),),
        parts=(Part(item.id, "p", None, "rejected", {"x": 1}, "d" * 64, BOB, 1, NOW, {}, "n", (refused,)),),
        decisions=(Decision(order.id, 1, "rework", BOB, NOW, "digest", "why", ({"message": "m"},)),),
        effects=(Effect("e", "apply", order.id, NOW, {"k": [1]}, attempts=2, claim="c", claimed_until=NOW, error="x"),),
    )

    # when
    await store.write(lambda tx: tx.apply(change))

    # then
    def look(tx: ReadTx) -> Change:
        return Change(
            items=(the(tx.item(item.id)),),
            leases=tx.leases(item.id),
            submissions=tx.submissions(item.id),
            parts=tx.parts(item.id),
            decisions=tx.decisions(order.id),
            effects=tx.effects(order.id),
        )

    found = await store.read(look)
    assert found.leases == change.leases
    assert found.items == (replace(change.items[0], lease=change.leases[0]),)
    assert found.effects == change.effects
    assert found.submissions == (replace(change.submissions[0], actor=replace(ANN, session="", client=None)),)
    assert found.parts == (replace(change.parts[0], actor=replace(BOB, session="")),)
    assert found.decisions == (replace(change.decisions[0], actor=replace(BOB, session="")),)
    assert the(await store.read(lambda tx: tx.order(order.id))).meta == {"a": 1}
    assert the(await store.read(lambda tx: tx.item(item.id, result=True))).result == {"r": 1.5}


@pytest.mark.parametrize(
    "look",
    [
        lambda tx: tx.order("WO-9"),
        lambda tx: tx.order_number(9),
        lambda tx: tx.item("WO-9.1"),
        lambda tx: tx.lease_by_token("WO-9.1", "t"),
        lambda tx: tx.submission("WO-9.1", "k"),
        lambda tx: tx.effect("e"),
        lambda tx: tx.diff("WO-9"),
        lambda tx: tx.recall("s", 0),
        lambda tx: tx.order_by_dedupe_key("test", "k"),
        lambda tx: tx.next_due(),
    ],
)
async def test_what_is_not_there_is_none(store: RealStore, look: Callable[[ReadTx], Any]) -> None:
    assert await store.read(look) is None


@pytest.mark.parametrize("name", ["items", "leases", "submissions", "parts", "decisions", "effects"])
async def test_of_an_unknown_thing_there_is_nothing(store: RealStore, name: str) -> None:
    assert await store.read(lambda tx: getattr(tx, name)("WO-9")) == ()


# the queue


async def heads(store: RealStore, **wanted: Any) -> list[str]:
    """The first item of each group of a line, the groups in order."""

    def body(tx: ReadTx) -> list[str]:
        line, found = Line(**{"type": "test", **wanted}), []
        head = tx.rank_after(line, BEFORE_ALL)
        while head is not None:
            found.append(head.id)
            head = tx.requires_after(line, head) or tx.rank_after(line, head.rank)
        return found

    return await store.read(body)


@pytest.mark.scenario("hand-out-order")
async def test_a_line_has_a_group_for_each_rank_and_set_of_skills_with_the_oldest_first(store: RealStore) -> None:
    def body(tx: WriteTx) -> None:
        filed(tx, ItemSpec(1), ItemSpec(2, skills=["sql"]), priority=10)
        filed(tx, priority=90)
        filed(tx, priority=10)
        filed(tx, priority=99, type="other")

    await store.write(body)

    assert await heads(store) == ["WO-2.1", "WO-1.2", "WO-1.1"]
    assert await heads(store, min_priority=50) == ["WO-2.1"]
    assert await heads(store, order_id="WO-1") == ["WO-1.2", "WO-1.1"]
    assert await heads(store, order_id="WO-1", min_priority=50) == []
    assert await heads(store, type="nobody's") == []


@pytest.mark.scenario("fair-shares")
async def test_the_keys_of_a_group_follow_each_other_and_a_turn_is_remembered(store: RealStore) -> None:
    # given
    def body(tx: WriteTx) -> None:
        filed(tx, ItemSpec(1, concurrency_key="b"), ItemSpec(2, concurrency_key="b"), ItemSpec(3, concurrency_key="a"))
        filed(tx, ItemSpec(1), priority=7)

    await store.write(body)

    # when
    def look(tx: WriteTx) -> tuple[Any, ...]:
        line = Line("test", min_priority=0)
        first = the(tx.rank_after(line, the(tx.rank_after(line, BEFORE_ALL)).rank))
        tx.take_turn(first)
        tx.take_turn(the(tx.key_after(line, first, "a")))
        last = tx.key_after(line, first, "b")
        return first.id, the(tx.key_after(line, first, "a")).id, last, tx.turns("test"), tx.turns("other")

    first, second, last, turns, none = await store.write(look)

    # then
    assert (first, second, last) == ("WO-1.3", "WO-1.1", None)
    assert {group: turn.concurrency_key for group, turn in turns.items()} == {(100, ("",)): "b"}
    assert none == {}


@pytest.mark.scenario("ageing")
async def test_what_is_promoted_for_its_age_comes_before_every_rank(store: RealStore) -> None:
    # given
    def body(tx: WriteTx) -> None:
        filed(tx, priority=1)
        filed(tx, priority=90)
        filed(tx, priority=1, not_before=NOW + 1)

    await store.write(body)

    # when
    none = await store.write(lambda tx: tx.promote_overlong(NOW, 10))
    both = await store.write(lambda tx: tx.promote_overlong(NOW + 2, 10))
    again = await store.write(lambda tx: tx.promote_overlong(NOW + 2, 10))

    # then
    assert (none, both, again) == (0, 2, 0)
    assert await heads(store) == ["WO-1.1"]
    assert await heads(store, min_priority=50) == ["WO-2.1"]


@pytest.mark.scenario("dependencies", "not-before")
async def test_what_waits_or_is_delayed_is_not_ready_until_it_is_promoted_or_free(store: RealStore) -> None:
    # given
    def body(tx: WriteTx) -> None:
        filed(tx, ItemSpec({}, key="a"), ItemSpec({}, key="b", after=["a"]))
        filed(tx, not_before=NOW + 500)
        filed(tx, needed=("WO-1",))

    await store.write(body)
    assert await heads(store) == ["WO-1.1"]

    # when
    early = await store.write(lambda tx: tx.promote_due("test", NOW, 10))
    late = await store.write(lambda tx: tx.promote_due("test", NOW + 500, 10))

    # then
    assert (early, late) == (0, 1)
    assert await heads(store, order_id="WO-2") == ["WO-2.1"]
    assert await heads(store, order_id="WO-3") == []
    first = the(await store.read(lambda tx: tx.item("WO-1.1")))
    assert [item.id for item in await store.read(lambda tx: tx.dependents(first))] == ["WO-1.2"]
    assert [item.id for item in await store.read(lambda tx: tx.waiting_for_order("WO-1"))] == ["WO-3.1"]


@pytest.mark.scenario("nothing-is-an-answer")
async def test_the_backlog_has_a_witness_of_each_reason_within_its_filter(store: RealStore) -> None:
    # given
    def body(tx: WriteTx) -> None:
        filed(tx, priority=10, not_before=NOW + 700)
        filed(tx, priority=20, not_before=NOW + 900)
        filed(tx, priority=30, not_before=NOW + 800)
        filed(tx, priority=20, needed=("WO-1",))
        filed(tx, priority=20)
        lease_it(tx, the(tx.item("WO-5.1")), "token", until=NOW + 300)

    await store.write(body)

    async def seen(**wanted: Any) -> tuple[int | None, bool, int | None]:
        found = await store.read(lambda tx: tx.backlog(["other", "test"], ItemFilter(**wanted)))
        due = None if found.next_due is None else found.next_due - NOW
        return due, found.blocked, None if found.next_expiry is None else found.next_expiry - NOW

    # then
    assert await seen() == (700, True, 300)
    assert await seen(min_priority=20) == (800, True, 300)
    assert await seen(min_priority=30) == (800, False, None)
    assert await seen(min_priority=31) == (None, False, None)
    assert await seen(order_id="WO-2") == (900, False, None)
    assert await seen(order_id="WO-2", min_priority=30) == (None, False, None)
    assert await seen(order_id="WO-4") == (None, True, None)
    assert await seen(item_id="WO-5.1") == (None, False, 300)


async def test_overdue_are_the_live_leases_that_ran_out_oldest_first(store: RealStore) -> None:
    def body(tx: WriteTx) -> None:
        for until in (300, 100, 900):
            order = filed(tx)
            lease_it(tx, the(tx.item(f"{order.id}.1")), f"token-{until}", until=NOW + until)

    await store.write(body)

    overdue = await store.read(lambda tx: tx.overdue(NOW + 300, 10))
    live = await store.read(lambda tx: (tx.leases_of_session("ann-1", NOW + 300), len(tx.held_by("ann"))))
    assert [item.id for item in overdue] == ["WO-2.1", "WO-1.1"]
    assert live == (1, 3)


@pytest.mark.scenario("joint-state")
async def test_the_states_of_the_other_items_are_those_of_the_same_order_only(store: RealStore) -> None:
    def body(tx: WriteTx) -> frozenset[str]:
        filed(tx, ItemSpec(1), ItemSpec(2), ItemSpec(3))
        filed(tx)
        lease_it(tx, the(tx.item("WO-2.1")), "elsewhere")
        taken = lease_it(tx, the(tx.item("WO-1.1")), "here")
        return tx.other_states(taken) | {"of the second:", *tx.other_states(the(tx.item("WO-1.2")))}

    assert await store.write(body) == {"queued", "of the second:", "leased"}


# lists


async def test_pages_of_orders_join_without_gap_or_double(store: RealStore) -> None:
    # given
    def body(tx: WriteTx) -> None:
        for n in range(25):
            filed(tx, priority=n % 3, created_at=NOW + n // 2)

    await store.write(body)

    # when
    found: list[str] = []
    query = OrderQuery(limit=7)
    while True:
        page = await store.read(lambda tx, query=query: tx.orders(query))  # type: ignore[misc]
        assert page.total == 25
        found += [order.id for order in page.orders]
        if page.next_cursor is None:
            break
        query = replace(query, cursor=page.next_cursor)

    # then
    whole = await store.read(lambda tx: tx.orders(OrderQuery(limit=100)))
    assert found == [order.id for order in whole.orders]
    assert len(set(found)) == 25


async def test_ids_are_found_by_how_they_begin_and_orders_while_they_are_open(store: RealStore) -> None:
    def body(tx: WriteTx) -> None:
        for n in range(1, 13):
            filed(tx, *[ItemSpec({}, key=f"k{m}") for m in range(11 if n == 1 else 1)])
        tx.apply(decide.cancel(the(tx.order("WO-12", items=True)), ANN, NOW, None))

    await store.write(body)

    async def orders(**wanted: Any) -> list[str]:
        page = await store.read(lambda tx: tx.orders(OrderQuery(sort=("-id",), **wanted)))
        assert page.total == len(page.orders)
        return [order.id for order in page.orders]

    assert await orders(id_prefix="WO-1") == ["WO-12", "WO-11", "WO-10", "WO-1"]
    assert await orders(id_prefix="WO-1", open=True) == ["WO-11", "WO-10", "WO-1"]
    assert await orders(id_prefix="WO-_") == []
    assert await store.read(lambda tx: tx.item_ids("WO-1", 3)) == (("WO-12.1", "WO-11.1", "WO-10.1"), 14)
    assert await store.read(lambda tx: tx.item_ids("WO-1.1", 9)) == (("WO-1.1", "WO-1.10", "WO-1.11"), 3)
    assert await store.read(lambda tx: tx.item_ids("WO-7.", 9)) == (("WO-7.1",), 1)
    assert await store.read(lambda tx: tx.item_ids("X", 9)) == ((), 0)


async def test_orders_are_found_by_meta_and_by_the_states_of_their_items(store: RealStore) -> None:
    def body(tx: WriteTx) -> None:
        filed(tx, meta={"batch": 42, "team": "a"})
        filed(tx, meta={"batch": 99, "team": "a"})
        lease_it(tx, the(tx.item("WO-2.1")), "token")

    await store.write(body)

    async def ids(**wanted: Any) -> list[str]:
        page = await store.read(lambda tx: tx.orders(OrderQuery(now=NOW, **wanted)))
        return [order.id for order in page.orders]

    assert await ids(meta={"batch": "42"}) == ["WO-1"]
    assert await ids(meta={"batch": "99", "team": "a"}) == ["WO-2"]
    assert await ids(item_state="leased") == ["WO-2"]
    assert await ids(has_available_items=True) == ["WO-1"]
    assert await ids(has_available_items=False) == ["WO-2"]


# answers and effects


@pytest.mark.scenario("key-replays", "I11")
async def test_an_answer_is_remembered_until_it_is_forgotten(store: RealStore) -> None:
    await store.write(lambda tx: tx.remember("scope", "hash", {"a": [1]}, NOW))

    assert await store.read(lambda tx: tx.recall("scope", NOW)) == ("hash", {"a": [1]})
    assert await store.read(lambda tx: tx.recall("scope", NOW + 1)) is None
    assert await store.write(lambda tx: tx.forget_answers(NOW, 10)) == 0
    assert await store.write(lambda tx: tx.forget_answers(NOW + 1, 10)) == 1
    assert await store.read(lambda tx: tx.recall("scope", 0)) is None


@pytest.mark.scenario("key-expires")
async def test_an_answer_remembered_anew_is_new_in_all_its_parts(store: RealStore) -> None:
    await store.write(lambda tx: tx.remember("scope", "old", {"a": 1}, NOW))

    await store.write(lambda tx: tx.remember("scope", "new", {"a": 2}, NOW + 5))

    assert await store.read(lambda tx: tx.recall("scope", NOW + 5)) == ("new", {"a": 2})


@pytest.mark.scenario("I12")
async def test_the_oldest_answers_are_forgotten_first_and_no_more_than_asked(store: RealStore) -> None:
    for n in (3, 1, 2):
        await store.write(lambda tx, n=n: tx.remember(f"scope {n}", "hash", n, NOW + n))

    assert await store.write(lambda tx: tx.forget_answers(NOW + 3, 1)) == 1

    assert await store.read(lambda tx: tx.answers_before(NOW + 3)) == 1
    assert await store.read(lambda tx: tx.recall("scope 1", 0)) is None
    assert await store.read(lambda tx: tx.recall("scope 2", 0)) == ("hash", 2)


@pytest.mark.scenario("deadline-told")
async def test_past_their_deadline_are_orders_that_are_not_over_and_not_known_to_be_late(store: RealStore) -> None:
    # given
    def body(tx: WriteTx) -> None:
        later, first, ahead, known, *over = [filed(tx, deadline=NOW + at) for at in (50, 40, 60, 10, 20, 20, 20)]
        filed(tx)
        tx.apply(Change(orders=(replace(known, version=2, deadline_missed_at=NOW + 10),)))
        for order, state in zip(over, ("completed", "cancelled", "dead_lettered"), strict=True):
            tx.apply(Change(orders=(replace(order, version=2, state=state),)))
        assert [later.id, first.id, ahead.id, known.id] == ["WO-1", "WO-2", "WO-3", "WO-4"]

    await store.write(body)

    # when
    async def past(now: int, limit: int = 9) -> list[str]:
        return [order.id for order in await store.read(lambda tx: tx.past_deadline(now, limit))]

    # then: the longest over first
    assert await past(NOW + 39) == []
    assert await past(NOW + 50) == ["WO-2", "WO-1"]
    assert await past(NOW + 50, limit=1) == ["WO-2"]
    assert the(await store.read(lambda tx: tx.order("WO-4"))).deadline_missed_at == NOW + 10
    assert the(await store.read(lambda tx: tx.order("WO-3"))).deadline == NOW + 60


async def test_the_next_thing_due_is_the_first_deadline_or_the_first_effect(store: RealStore) -> None:
    async def after(body: Callable[[WriteTx], Any]) -> int | None:
        await store.write(body)
        return await store.read(lambda tx: tx.next_due())

    def effect(tx: WriteTx, id: str, at: int, **fields: Any) -> None:
        tx.apply(Change(effects=(Effect(id, "apply", "WO-1", at, **fields),)))

    assert await after(lambda tx: filed(tx, deadline=NOW + 50)) == NOW + 50
    assert await after(lambda tx: effect(tx, "later", NOW + 60)) == NOW + 50
    assert await after(lambda tx: effect(tx, "in hand", NOW + 10, claim="somebody's")) == NOW + 50
    assert await after(lambda tx: effect(tx, "sooner", NOW + 40)) == NOW + 40
    assert await after(lambda tx: filed(tx, deadline=NOW + 30)) == NOW + 30


@pytest.mark.scenario("apply-resumes")
async def test_a_claim_is_extended_by_who_has_it_only(store: RealStore) -> None:
    def body(tx: WriteTx) -> None:
        order = filed(tx)
        tx.apply(Change(effects=(Effect("e", "apply", order.id, NOW, claim="mine", claimed_until=NOW),)))

    await store.write(body)

    assert await store.write(lambda tx: tx.extend_claim("e", "theirs", NOW + 9)) is False
    assert await store.write(lambda tx: tx.extend_claim("e", "mine", NOW + 9)) is True
    assert the(await store.read(lambda tx: tx.effect("e"))).claimed_until == NOW + 9
    assert [one.id for one in await store.read(lambda tx: tx.due_effects(NOW, 10))] == ["e"]
    assert await store.read(lambda tx: tx.due_effects(NOW - 1, 10)) == ()


@pytest.mark.scenario("notify-apart")
async def test_notifications_are_kept_apart_from_other_effects_and_by_channel(store: RealStore) -> None:
    # given
    def notification(id: str, at: int, channel: str = "desk", **fields: Any) -> Effect:
        return Effect(id, "notify", "WO-1", at, {"seq": 1}, channel=channel, **fields)

    rows = (
        notification("late", NOW + 9),
        notification("early", NOW),
        notification("in hand", NOW - 1, claim="somebody's"),
        notification("other", NOW, "pager"),
        notification("sent", NOW, state="done"),
        notification("given up", NOW + 20, state="failed"),
        Effect("applied", "apply", "WO-1", NOW + 5),
    )
    await store.write(lambda tx: (filed(tx), tx.apply(Change(effects=rows))))

    # when
    def look(tx: ReadTx) -> list[list[str]]:
        return [
            [one.id for one in found]
            for found in (
                tx.due_notifications("desk", NOW + 9, 10),
                tx.due_notifications("desk", NOW + 9, 2),
                tx.due_notifications("desk", NOW - 2, 10),
                tx.due_effects(NOW + 99, 10),
                tx.undelivered(10)[0],
            )
        ]

    # then
    assert await store.read(look) == [
        ["in hand", "early", "late"],
        ["in hand", "early"],
        [],
        ["applied"],
        ["given up", "late", "early", "other", "in hand"],
    ]
    assert await store.read(lambda tx: (tx.next_notification("desk"), tx.next_notification("none"))) == (NOW, None)
    assert await store.read(lambda tx: tx.next_due()) == NOW + 5
    assert {one.id for one in await store.read(lambda tx: tx.old_notifications(NOW, 10))} == {
        "early",
        "in hand",
        "other",
    }
    assert (await store.read(lambda tx: tx.undelivered(1)))[1] == {
        ("desk", "pending"): 3,
        ("desk", "failed"): 1,
        ("pager", "pending"): 1,
    }


# processes


@pytest.mark.scenario("apply-resumes")
async def test_a_store_knows_whether_the_process_of_another_still_lives(store: RealStore, tmp_path: Path) -> None:
    other = await open_store(tmp_path / "work.db")
    name = other.owner

    before = store.alive(name)
    await other.close()

    assert (before, store.alive(name), store.alive("nobody")) == (True, False, False)
    assert store.alive(store.owner) is True


@pytest.mark.scenario("checkout-waits")
async def test_a_wait_ends_when_another_store_on_the_file_writes(store: RealStore, tmp_path: Path) -> None:
    other = await open_store(tmp_path / "work.db")
    try:
        seen = store.tick
        waiting = asyncio.create_task(store.wait(seen, LIMIT))
        await other.write(filed)
        async with asyncio.timeout(LIMIT):
            assert await waiting != seen
    finally:
        await other.close()


async def test_a_schedule_has_one_slot_the_latest(store: RealStore) -> None:
    nightly, hourly = "0 3 * * * UTC", "0 * * * * UTC"
    taken = Slot("tidy", nightly, NOW, claim="me:1", claimed_until=NOW + 1000, crashes=1)
    done = Slot("tidy", nightly, NOW, "done", outcome={"filed": 2})
    other = Slot("tidy", hourly, NOW, "done")

    await store.write(lambda tx: [tx.keep_slot(taken), tx.keep_slot(other)])
    assert await store.read(lambda tx: tx.slot("tidy", nightly)) == taken
    await store.write(lambda tx: tx.keep_slot(done))

    assert await store.read(lambda tx: tx.slot("tidy", nightly)) == done
    assert await store.read(lambda tx: tx.slot("tidy", hourly)) == other
    assert await store.read(lambda tx: tx.slot("neat", nightly)) is None


# tokens


def a_token(name: str, **fields: Any) -> Token:
    given = {"kind": "agent", "roles": frozenset({"worker"}), "hash": f"hash of {name}", "created_at": NOW, **fields}
    return Token(id=f"id-{name}", name=name, created_by="boss", **given)


@pytest.mark.scenario("tokens-hashed")
async def test_tokens_are_read_as_they_were_written_the_oldest_first(store: RealStore) -> None:
    late = a_token("ann", created_at=NOW + 1, roles=frozenset({"admin", "reviewer"}))
    early = a_token("bob", kind="user", expires_at=NOW + 9)
    assert await store.read(lambda tx: tx.any_token()) is False

    await store.write(lambda tx: [tx.add_token(late), tx.add_token(early)])

    assert await store.read(lambda tx: tx.tokens()) == (early, late)
    assert await store.read(lambda tx: (tx.token("id-ann"), tx.token("id-eve"))) == (late, None)
    assert await store.read(lambda tx: tx.any_token()) is True


@pytest.mark.scenario("tokens-revoked-at-once")
async def test_a_token_is_revoked_once_and_stays_as_it_was_revoked(store: RealStore) -> None:
    token = a_token("ann")
    await store.write(lambda tx: tx.add_token(token))

    await store.write(lambda tx: tx.revoke_token("id-ann", NOW + 1, "boss"))
    await store.write(lambda tx: tx.revoke_token("id-ann", NOW + 2, "chief"))

    assert await store.read(lambda tx: tx.token("id-ann")) == replace(token, revoked_at=NOW + 1, revoked_by="boss")


@pytest.mark.scenario("tokens-hashed")
async def test_a_token_is_never_written_over(store: RealStore) -> None:
    await store.write(lambda tx: tx.add_token(a_token("ann")))

    with pytest.raises(dbapi.IntegrityError):
        await store.write(lambda tx: tx.add_token(a_token("ann", hash="another")))

    assert the(await store.read(lambda tx: tx.token("id-ann"))).hash == "hash of ann"
