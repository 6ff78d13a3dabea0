"""How long an idempotency key is remembered: by the clock alone, and removed in small steps."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import raw
from tests.support.harness import House, held, house
from workdocket.service.prune import prune

KEY = "a key of my own"
DAY = 86_400
TTL = 7 * DAY
FIRST, SECOND = {"message": "first"}, {"message": "second"}


def kept(folder: Path) -> int:
    [row] = raw.rows(folder, "SELECT COUNT(*) AS kept FROM answers")
    count: int = row["kept"]
    return count


# expiry


@pytest.mark.scenario("key-expires", "key-replays")
async def test_an_answer_is_given_again_until_its_time_is_over_and_not_after(home: House) -> None:
    a = home.person("A")
    order = await a.propose(idempotency_key=KEY)

    home.clock.forward(TTL)
    at_the_last_moment = await a.propose(idempotency_key=KEY)
    home.clock.forward(0.001)
    after = await a.ok("propose", type="test.echo", payload={"message": "hi"}, idempotency_key=KEY)

    assert at_the_last_moment == order
    assert (after["order"]["id"] != order, after.get("replayed")) == (True, None)


@pytest.mark.scenario("key-expires")
async def test_a_new_request_takes_the_whole_place_of_one_that_expired(home: House) -> None:
    # given
    a = home.person("A")
    await a.propose(payload=FIRST, idempotency_key=KEY)
    home.clock.forward(TTL + 1)

    # when
    order = await a.propose(payload=SECOND, idempotency_key=KEY)

    # then: it is the new one that is repeated, that the old one is in conflict with, and for as long as a new one is
    home.clock.forward(TTL)
    assert await home.app.sweeper.sweep() == 0
    assert await a.propose(payload=SECOND, idempotency_key=KEY) == order
    await a.refused("propose", "idempotency_conflict", type="test.echo", payload=FIRST, idempotency_key=KEY)


@pytest.mark.scenario("key-expires")
async def test_how_long_is_a_setting(tmp_path: Path) -> None:
    async with house(tmp_path, idempotency_ttl_days=0.5) as home:
        a = home.person("A")
        order = await a.propose(idempotency_key=KEY)

        home.clock.forward(DAY / 2)
        assert await a.propose(idempotency_key=KEY) == order
        home.clock.forward(0.001)
        assert await a.propose(idempotency_key=KEY) != order


@pytest.mark.scenario("key-expires")
async def test_of_a_checkout_that_expired_the_next_one_gives_new_items_with_new_tokens(home: House) -> None:
    a = home.person("A")
    await a.propose()
    await a.propose()
    first = await a.take(idempotency_key=KEY)
    await a.hand_in(first)
    home.clock.forward(TTL + 1)

    second = await a.take(idempotency_key=KEY)

    assert (second["id"] != first["id"], held(second) != held(first)) == (True, True)


@pytest.mark.scenario("key-replays")
async def test_an_answer_from_the_future_is_an_answer_where_the_clock_was_set_back(home: House, tmp_path: Path) -> None:
    a = home.person("A")
    order = await a.propose(payload=FIRST, idempotency_key=KEY)

    home.clock.forward(-30 * DAY)
    await home.app.sweeper.sweep()

    assert await a.propose(payload=FIRST, idempotency_key=KEY) == order
    await a.refused("propose", "idempotency_conflict", type="test.echo", payload=SECOND, idempotency_key=KEY)
    assert kept(tmp_path) == 1


# removal


async def old_and_new(home: House) -> None:
    """Three answers past their time, and two within it."""
    a = home.person("A")
    for n in range(3):
        await a.propose(idempotency_key=f"old {n}")
    home.clock.forward(TTL + 1)
    for n in range(2):
        await a.propose(idempotency_key=f"new {n}")


@pytest.mark.scenario("I12")
async def test_a_dry_run_counts_what_is_past_its_time_and_removes_nothing(home: House, tmp_path: Path) -> None:
    await old_and_new(home)

    assert await prune(home.app.desk, dry_run=True) == {"answers": {"expired": 3, "removed": 0}}
    assert kept(tmp_path) == 5


@pytest.mark.scenario("I12")
async def test_a_purge_removes_what_is_past_its_time_and_keeps_the_rest(home: House, tmp_path: Path) -> None:
    await old_and_new(home)

    assert await prune(home.app.desk) == {"answers": {"expired": 3, "removed": 3}}

    assert kept(tmp_path) == 2
    assert await prune(home.app.desk) == {"answers": {"expired": 0, "removed": 0}}
    again = await home.person("A").ok("propose", type="test.echo", payload={"message": "hi"}, idempotency_key="new 0")
    assert again["replayed"]


@pytest.mark.scenario("I12")
async def test_the_sweeper_removes_them_too(home: House, tmp_path: Path) -> None:
    await old_and_new(home)

    await home.app.sweeper.sweep()

    assert kept(tmp_path) == 2


@pytest.mark.scenario("I12")
async def test_a_long_backlog_is_worked_off_over_rounds_of_small_transactions(home: House, tmp_path: Path) -> None:
    # given
    long_ago = home.clock.now() - (TTL + 1) * 1000
    with raw.opened(tmp_path) as database:
        database.executemany(
            "INSERT INTO answers VALUES (?, 'hash', ?, '{}')", ((f"scope {n}", long_ago - n) for n in range(100_000))
        )
    await home.person("A").propose(idempotency_key=KEY)
    left, commits = [], []

    # when
    for _ in range(11):
        before = home.app.desk.store.tick
        await home.app.sweeper.sweep()
        commits.append(home.app.desk.store.tick - before)
        left.append(kept(tmp_path))

    # then
    assert left == [*range(90_001, 0, -10_000), 1]
    assert commits == [*[20] * 10, 0]
