"""Idempotency keys: one effect and one answer, whoever repeats it when, at once or after a restart."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.harness import LIMIT, Agent, House, Person, agent, held, house
from workdocket.storage.engine import dbapi

GOOD = {"message": "hi", "verified": True}
TTL = 600
KEY = "a key of my own"
Arguments = dict[str, Any]


# every mutating tool: how to get to where it may be called, what it is called with, and another request


async def leased(p: Person, type: str = "test.free") -> Arguments:
    order = await p.propose(type, {} if type == "test.free" else None)
    return held(await p.take(order_id=order))


async def with_a_part(p: Person) -> Arguments:
    arguments = await leased(p)
    await p.ok("submit_part", **arguments, part_key="one", payload={"n": 1})
    return arguments


async def submitted(p: Person) -> str:
    order = await p.propose()
    await p.hand_in(await p.take(order_id=order))
    return order


async def to_propose(p: Person) -> tuple[Arguments, Arguments]:
    return {"type": "test.echo", "payload": {"message": "hi"}}, {"payload": {"message": "ho"}}


async def to_checkout(p: Person) -> tuple[Arguments, Arguments]:
    await p.propose()
    await p.propose()
    return {"type": "test.echo"}, {"count": 2}


async def to_heartbeat(p: Person) -> tuple[Arguments, Arguments]:
    return {**await leased(p), "progress": 0.5}, {"progress": 0.6}


async def to_submit(p: Person) -> tuple[Arguments, Arguments]:
    return {**await leased(p), "result": {"n": 1}}, {"result": {"n": 2}}


async def to_submit_part(p: Person) -> tuple[Arguments, Arguments]:
    return {**await leased(p), "part_key": "one", "payload": {"n": 1}}, {"payload": {"n": 2}}


async def to_finalize(p: Person) -> tuple[Arguments, Arguments]:
    return await with_a_part(p), {"mode": "best_effort"}


async def to_release(p: Person) -> tuple[Arguments, Arguments]:
    return await leased(p), {"reason": "lunch"}


async def to_fail(p: Person) -> tuple[Arguments, Arguments]:
    return {**await leased(p), "reason": "no luck"}, {"reason": "no idea"}


async def to_approve(p: Person) -> tuple[Arguments, Arguments]:
    return {"order_id": await submitted(p)}, {"comment": "fine"}


async def to_reject(p: Person) -> tuple[Arguments, Arguments]:
    return {"order_id": await submitted(p), "errors": [{"message": "no"}]}, {"rework": True}


async def to_cancel(p: Person) -> tuple[Arguments, Arguments]:
    return {"order_id": await p.propose()}, {"reason": "changed our mind"}


async def to_retry(p: Person) -> tuple[Arguments, Arguments]:
    order = await p.propose()
    await p.ok("fail", **held(await p.take(order_id=order)), reason="impossible", retryable=False)
    return {"order_id": order}, {"item_id": f"{order}.1", "order_id": None}


PREPARE: dict[str, Callable[[Person], Awaitable[tuple[Arguments, Arguments]]]] = {
    "propose": to_propose,
    "checkout": to_checkout,
    "heartbeat": to_heartbeat,
    "submit": to_submit,
    "submit_part": to_submit_part,
    "finalize": to_finalize,
    "release": to_release,
    "fail": to_fail,
    "approve": to_approve,
    "reject": to_reject,
    "cancel": to_cancel,
    "retry": to_retry,
}
EVERY_TOOL = pytest.mark.parametrize("tool", PREPARE)


# repeated


@EVERY_TOOL
@pytest.mark.scenario("key-replays", "I4", "I5")
async def test_a_repeat_under_the_same_key_gives_the_first_answer_and_does_nothing(home: House, tool: str) -> None:
    a = home.person("A")
    arguments, _ = await PREPARE[tool](a)
    first = await a.ok(tool, **arguments, idempotency_key=KEY)
    trail = await a.events()
    home.clock.forward(5)

    again = await a.ok(tool, **arguments, idempotency_key=KEY)

    assert again == {**first, "replayed": True}
    assert await a.events() == trail


@EVERY_TOOL
@pytest.mark.scenario("key-replays")
async def test_a_repeat_after_a_restart_gives_the_first_answer(tmp_path: Path, tool: str) -> None:
    async with house(tmp_path) as before:
        a = before.person("A")
        arguments, _ = await PREPARE[tool](a)
        first = await a.ok(tool, **arguments, idempotency_key=KEY)
        trail = await a.events()

    async with house(tmp_path, clock=before.clock, ids=before.ids) as after:
        a = after.person("A")
        again = await a.ok(tool, **arguments, idempotency_key=KEY)

        assert again == {**first, "replayed": True}
        assert await a.events() == trail


@pytest.mark.scenario("key-replays")
async def test_a_repeated_checkout_gives_the_same_items_with_the_same_tokens_and_they_work(home: House) -> None:
    a = home.person("A")
    await a.propose()
    await a.propose()
    first = await a.ok("checkout", idempotency_key=KEY)

    again = await a.ok("checkout", idempotency_key=KEY)

    [item], [same] = first["items"], again["items"]
    assert (same["id"], same["lease"]) == (item["id"], item["lease"])
    assert (await a.hand_in(same))["item"]["state"] == "submitted"


@pytest.mark.scenario("key-replays", "soft-expiry")
@pytest.mark.parametrize("swept", [False, True], ids=["not noticed yet", "already swept"])
async def test_a_checkout_repeated_after_its_lease_expired_gives_the_same_token_and_that_takes_the_lease_back(
    home: House, swept: bool
) -> None:
    a = home.person("A")
    await a.propose()
    first = await a.ok("checkout", idempotency_key=KEY)
    home.clock.forward(TTL)
    if swept:
        await home.app.sweeper.sweep()

    again = await a.ok("checkout", idempotency_key=KEY)

    assert again == {**first, "replayed": True}
    assert (await a.hand_in(again["items"][0]))["item"]["state"] == "submitted"


@pytest.mark.scenario("key-replays")
async def test_a_checkout_repeated_after_somebody_else_took_the_item_gives_a_token_that_never_writes(
    home: House,
) -> None:
    # given
    a, b = home.person("A"), home.person("B")
    order = await a.propose()
    first = await a.ok("checkout", idempotency_key=KEY)
    home.clock.forward(TTL)
    await b.take()
    trail = await a.events(order)

    # when
    again = await a.ok("checkout", idempotency_key=KEY)

    # then
    assert again == {**first, "replayed": True}
    assert await a.events(order) == trail
    refusal = await a.refused("heartbeat", "lease_lost", **held(again["items"][0]))
    assert (refusal["details"]["reason"], refusal["details"]["checkout_possible"]) == ("held_by_other", False)
    assert "idempotency_key" in refusal["hint"]


@pytest.mark.scenario("key-replays")
async def test_a_checkout_repeated_after_the_work_was_handed_in_is_told_so_and_a_new_key_gets_the_next_item(
    home: House,
) -> None:
    # given
    a = home.person("A")
    orders = [await a.propose(), await a.propose()]
    first = await a.ok("checkout", idempotency_key=KEY)
    await a.hand_in(first["items"][0])

    # when
    again = await a.ok("checkout", idempotency_key=KEY)

    # then
    assert again == {**first, "replayed": True}
    other = {"message": "something else", "verified": True}
    refusal = await a.refused("submit", "lease_lost", **held(again["items"][0]), result=other)
    assert (refusal["details"]["reason"], refusal["details"]["checkout_possible"]) == ("ended", False)
    [item] = (await a.ok("checkout", idempotency_key="a new key"))["items"]
    assert item["order_id"] == orders[1]


@pytest.mark.scenario("I5")
async def test_an_approval_repeated_under_its_key_applies_once(home: House, tmp_path: Path) -> None:
    a = home.person("A")
    order = await a.propose("test.ledger", {"file": str(tmp_path / "ledger")})
    await a.hand_in(await a.take(), {})

    first = await a.ok("approve", order_id=order, idempotency_key=KEY)
    again = await a.ok("approve", order_id=order, idempotency_key=KEY)

    assert (again["order"], again["diff"]) == (first["order"], first["diff"])
    assert len((tmp_path / "ledger").read_text().splitlines()) == 1
    assert len((tmp_path / "ledger.attempts").read_text().splitlines()) == 1


@pytest.mark.scenario("key-replays")
@pytest.mark.parametrize("tool", ["submit", "submit_part", "finalize"])
async def test_a_repeat_after_the_order_was_completed_gives_the_first_answer(home: House, tool: str) -> None:
    a = home.person("A")
    arguments, _ = await PREPARE[tool](a)
    first = await a.ok(tool, **arguments, idempotency_key=KEY)
    if tool == "submit_part":
        await a.ok("finalize", **{name: arguments[name] for name in ("item_id", "lease_token")})
    order = arguments["item_id"].partition(".")[0]
    await a.ok("approve", order_id=order)

    again = await a.ok(tool, **arguments, idempotency_key=KEY)

    assert again == {**first, "replayed": True}
    assert await a.state(order) == "completed"


# at the same time


@EVERY_TOOL
@pytest.mark.scenario("key-concurrent")
async def test_many_calls_at_once_under_one_key_have_one_effect_and_one_answer(home: House, tool: str) -> None:
    a = home.person("A")
    arguments, _ = await PREPARE[tool](a)
    before = len(await a.events())

    answers = await asyncio.gather(*(a.ok(tool, **arguments, idempotency_key=KEY) for _ in range(8)))

    replayed = [answer.pop("replayed", False) for answer in answers]
    assert [answer for answer in answers if answer != answers[0]] == []
    assert replayed.count(False) == 1
    written = [event["event"] for event in (await a.events())[before:]]
    assert [name for name in written if written.count(name) > 1] == []


@EVERY_TOOL
@pytest.mark.scenario("key-concurrent")
async def test_a_call_that_is_overtaken_by_its_equal_gives_the_same_answer(home: House, tool: str) -> None:
    a = home.person("A")

    async def called_after(reads: int, arguments: Arguments) -> dict[str, Any]:
        for _ in range(reads):
            await a.ok("order_types")
            await a.ok("list_orders", limit=1)
        return await a.ok(tool, **arguments)

    for round in range(10):
        arguments, _ = await PREPARE[tool](a)
        keyed = {**arguments, "idempotency_key": f"{KEY} {round}"}

        answers = await asyncio.gather(*(called_after(reads, keyed) for reads in range(12)))

        assert [answer.pop("replayed", False) for answer in answers].count(False) == 1
        assert [answer for answer in answers if answer != answers[0]] == []


@EVERY_TOOL
@pytest.mark.scenario("key-concurrent")
async def test_two_servers_of_one_file_called_at_once_under_one_key_have_one_effect_and_one_answer(
    tmp_path: Path, tool: str
) -> None:
    async with house(tmp_path) as one, house(tmp_path, clock=one.clock, ids=one.ids) as other:
        a = one.person("A")
        for round in range(5):
            # given
            arguments, _ = await PREPARE[tool](a)
            before = len(await a.events())
            together = asyncio.Barrier(2)

            async def called(p: Person, together: asyncio.Barrier, **asked: Any) -> dict[str, Any]:
                async with asyncio.timeout(LIMIT):
                    await together.wait()
                return await p.ok(tool, **asked)

            # when
            asked = {**arguments, "idempotency_key": f"{KEY} {round}"}
            answers = await asyncio.gather(*(called(p, together, **asked) for p in (a, other.person("A"))))

            # then
            assert sorted(answer.pop("replayed", False) for answer in answers) == [False, True]
            assert answers[0] == answers[1]
            written = [event["event"] for event in (await a.events())[before:]]
            assert [name for name in written if written.count(name) > 1] == []


@pytest.mark.scenario("key-concurrent", "natural-repeat")
@pytest.mark.parametrize("tool", ["submit", "finalize"])
async def test_without_a_key_the_same_hand_in_many_times_at_once_is_one(home: House, tool: str) -> None:
    a = home.person("A")
    arguments, _ = await PREPARE[tool](a)

    answers = await asyncio.gather(*(a.ok(tool, **arguments) for _ in range(8)))

    replayed = [answer.pop("replayed", False) for answer in answers]
    assert [answer for answer in answers if answer != answers[0]] == []
    assert replayed.count(False) == 1
    [item] = (await a.ok("get_order", order_id=answers[0]["order"]["id"]))["items"]
    assert (await a.ok("get_item", item_id=item["id"]))["item"]["late_results"] == []


# another request, another operation, another caller


@EVERY_TOOL
@pytest.mark.scenario("N19", "I1", "I2")
async def test_another_request_under_a_used_key_is_a_conflict_neither_executed_nor_replayed(
    home: House, tool: str
) -> None:
    a = home.person("A")
    arguments, other = await PREPARE[tool](a)
    await a.ok(tool, **arguments, idempotency_key=KEY)
    trail = await a.events()
    changed = {name: value for name, value in {**arguments, **other}.items() if value is not None}

    refusal = await a.refused(tool, "idempotency_conflict", **changed, idempotency_key=KEY)

    assert refusal["details"] == {"operation": tool}
    assert await a.events() == trail


@pytest.mark.scenario("I1")
async def test_two_proposals_under_one_key_leave_one_order_as_first_filed(home: House) -> None:
    a = home.person("A")
    order = await a.propose(payload={"message": "first"}, idempotency_key=KEY)

    await a.refused(
        "propose", "idempotency_conflict", type="test.echo", payload={"message": "second"}, idempotency_key=KEY
    )

    listed = await a.ok("list_orders")
    assert [one["id"] for one in listed["orders"]] == [order]
    assert (await a.ok("get_order", order_id=order))["order"]["payload"] == {"message": "first"}


@pytest.mark.scenario("I2")
async def test_a_second_result_under_a_used_key_leaves_the_first_one_in_place(home: House) -> None:
    a = home.person("A")
    await a.propose()
    item = await a.take()
    await a.hand_in(item, idempotency_key=KEY)

    await a.refused("submit", "idempotency_conflict", **held(item), result={"broken": 1}, idempotency_key=KEY)

    now = (await a.ok("get_item", item_id=item["id"]))["item"]
    assert (now["result"], now["late_results"]) == (GOOD, [])


@pytest.mark.scenario("I7")
async def test_one_key_for_two_operations_is_two_keys(home: House) -> None:
    a = home.person("A")
    await a.propose(idempotency_key=KEY)
    item = (await a.ok("checkout", idempotency_key=KEY))["items"][0]
    await a.ok("heartbeat", **held(item), idempotency_key=KEY)

    answer = await a.hand_in(item, idempotency_key=KEY)

    assert answer["item"]["state"] == "submitted"
    assert "replayed" not in answer


@pytest.mark.scenario("I7", "N19")
async def test_one_key_for_the_same_operation_on_two_items_is_a_conflict(home: House) -> None:
    a = home.person("A")
    one, other = await leased(a), await leased(a)
    await a.ok("submit", **one, result={}, idempotency_key=KEY)

    await a.refused("submit", "idempotency_conflict", **other, result={}, idempotency_key=KEY)

    assert (await a.ok("get_item", item_id=other["item_id"]))["item"]["state"] == "leased"


@pytest.mark.scenario("N21")
async def test_one_key_of_two_principals_is_two_keys(home: House) -> None:
    a, b = home.person("A"), home.person("B")

    mine = await a.propose(idempotency_key=KEY)
    theirs = await b.propose(idempotency_key=KEY)

    assert mine != theirs
    [first] = (await a.ok("checkout", idempotency_key=KEY))["items"]
    [second] = (await b.ok("checkout", idempotency_key=KEY))["items"]
    assert {first["order_id"], second["order_id"]} == {mine, theirs}
    for who, item in ((a, first), (b, second)):
        answer = await who.hand_in(item, idempotency_key=KEY)
        assert (answer["item"]["id"], answer.get("replayed")) == (item["id"], None)


# failures


async def refused_then_mended(
    p: Person, tool: str, code: str, bad: Arguments, good: Arguments, mend: Callable[[], Awaitable[Any]] | None = None
) -> dict[str, Any]:
    """The answer to a good call under the key of a refused one."""
    await p.refused(tool, code, **bad, idempotency_key=KEY)
    if mend is not None:
        await mend()
    return await p.ok(tool, **good, idempotency_key=KEY)


@pytest.mark.scenario("key-failure-not-used")
async def test_a_refused_proposal_does_not_use_its_key_up(home: House) -> None:
    bad, good = ({"type": "test.echo", "payload": payload} for payload in ({}, {"message": "hi"}))

    answer = await refused_then_mended(home.person("A"), "propose", "invalid_payload", bad, good)

    assert answer["order"]["state"] == "queued"
    assert "replayed" not in answer


@pytest.mark.scenario("key-failure-not-used")
async def test_a_refused_submission_does_not_use_its_key_up_though_it_is_recorded(home: House) -> None:
    a = home.person("A")
    arguments = await leased(a, "test.echo")

    answer = await refused_then_mended(
        a, "submit", "invalid_result", {**arguments, "result": {}}, {**arguments, "result": GOOD}
    )

    assert answer["item"]["state"] == "submitted"
    assert "replayed" not in answer
    names = [event["event"] for event in await a.events()]
    assert names.index("item.submission_refused") < names.index("item.submitted")


@pytest.mark.scenario("key-failure-not-used", "late-result-kept")
async def test_a_result_that_came_too_late_does_not_use_its_key_up_though_it_is_kept(home: House) -> None:
    a, b = home.person("A"), home.person("B")
    slow = await leased(a)
    home.clock.forward(TTL)
    quick = held(await b.take())
    next_one = await leased(a)

    answer = await refused_then_mended(
        a, "submit", "lease_lost", {**slow, "result": {"n": 1}}, {**next_one, "result": {"n": 2}}
    )

    assert (answer["item"]["id"], answer.get("replayed")) == (next_one["item_id"], None)
    kept = (await a.ok("get_item", item_id=quick["item_id"]))["item"]["late_results"]
    assert [late["result"] for late in kept] == [{"n": 1}]


@pytest.mark.scenario("key-failure-not-used")
async def test_a_key_of_a_call_with_a_wrong_token_may_be_used_for_another_request(home: House) -> None:
    a = home.person("A")
    arguments = await leased(a)
    guessed = {**arguments, "lease_token": "guessed"}

    answer = await refused_then_mended(a, "release", "lease_lost", guessed, {**arguments, "reason": "lunch"})

    assert (answer["item"]["state"], answer.get("replayed")) == ("queued", None)


@pytest.mark.scenario("key-failure-not-used")
async def test_a_refused_part_does_not_use_its_key_up(home: House) -> None:
    a = home.person("A")
    await a.propose("test.partial", {})
    arguments = {**held(await a.take()), "part_key": "identity"}

    answer = await refused_then_mended(
        a, "submit_part", "invalid_part", {**arguments, "payload": {}}, {**arguments, "payload": {"name": "Ann"}}
    )

    assert answer["part"]["status"] == "validated"
    assert "replayed" not in answer
    assert "part.refused" in [event["event"] for event in await a.events()]


@pytest.mark.scenario("key-failure-not-used")
async def test_a_finalize_that_lacked_parts_may_be_repeated_as_it_was(home: House) -> None:
    a = home.person("A")
    arguments = await leased(a)

    async def mend() -> None:
        await a.ok("submit_part", **arguments, part_key="one", payload={})

    answer = await refused_then_mended(a, "finalize", "parts_missing", arguments, arguments, mend)

    assert answer["item"]["state"] == "submitted"
    assert "replayed" not in answer


@pytest.mark.scenario("key-failure-not-used")
async def test_an_approval_that_came_too_early_may_be_repeated_as_it_was(home: House) -> None:
    a = home.person("A")
    order = await a.propose()

    async def mend() -> None:
        await a.hand_in(await a.take())

    answer = await refused_then_mended(
        a, "approve", "illegal_transition", {"order_id": order}, {"order_id": order}, mend
    )

    assert answer["applied"]
    assert "replayed" not in answer


@pytest.mark.scenario("key-failure-not-used")
async def test_a_checkout_that_found_nothing_does_not_use_its_key_up(home: House) -> None:
    a = home.person("A")
    assert (await a.ok("checkout", idempotency_key=KEY))["items"] == []
    order = await a.propose()

    answer = await a.ok("checkout", idempotency_key=KEY)

    assert [item["order_id"] for item in answer["items"]] == [order]
    assert "replayed" not in answer


# demanded or not, and how they are kept


@pytest.mark.parametrize("tool", [tool for tool in PREPARE if tool not in ("checkout", "heartbeat")])
@pytest.mark.scenario("I8")
async def test_where_keys_are_demanded_a_call_without_one_is_refused_and_does_nothing(
    tmp_path: Path, tool: str
) -> None:
    async with house(tmp_path) as lenient:
        arguments, _ = await PREPARE[tool](lenient.person("A"))
        trail = await lenient.person("A").events()

    settings = {"clock": lenient.clock, "ids": lenient.ids, "require_idempotency_keys": True}
    async with house(tmp_path, **settings) as home:
        a = home.person("A")
        refusal = await a.refused(tool, "idempotency_required", **arguments)

        assert "idempotency_key" in refusal["message"]
        assert await a.events() == trail
        await a.ok(tool, **arguments, idempotency_key=KEY)


@pytest.mark.scenario("I8")
async def test_where_keys_are_demanded_reading_and_checking_need_none(tmp_path: Path) -> None:
    async with house(tmp_path, require_idempotency_keys=True) as home:
        a = home.person("A")
        order = await a.propose(idempotency_key="1")
        item = (await a.ok("checkout", idempotency_key="2"))["items"][0]

        await a.ok("get_order", order_id=order)
        await a.ok("propose", type="test.echo", payload={"message": "hi"}, validate_only=True)
        checked = await a.ok("submit", **held(item), result=GOOD, validate_only=True)

        assert checked["valid"]


@EVERY_TOOL
@pytest.mark.scenario("I9")
async def test_where_keys_are_not_demanded_every_call_works_without_one(home: House, tool: str) -> None:
    a = home.person("A")
    arguments, _ = await PREPARE[tool](a)

    assert "replayed" not in await a.ok(tool, **arguments)


@pytest.mark.scenario("I9")
async def test_where_keys_are_not_demanded_equal_calls_without_one_are_two(home: House) -> None:
    a = home.person("A")

    assert await a.propose() != await a.propose()


@pytest.mark.scenario("I11")
async def test_keys_are_kept_as_hashes_only(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        a = home.person("A")
        await a.propose(idempotency_key=KEY)
        item = await a.take(idempotency_key=KEY)
        await a.hand_in(item, idempotency_key=KEY)
        await a.ok("approve", order_id=item["order_id"], idempotency_key=KEY)

    database = dbapi.connect(tmp_path / "work.db")
    scopes = [scope for (scope,) in database.execute("SELECT scope FROM answers")]
    database.close()
    assert [scope for scope in scopes if not re.fullmatch("[0-9a-f]{64}", scope)] == []
    assert len(set(scopes)) == 4 + 1, "one for each call, and one for the lease that the result came under"
    files = [file for file in tmp_path.iterdir() if file.is_file()]
    assert [file.name for file in files if KEY.encode() in file.read_bytes()] == []


@pytest.mark.scenario("I11")
async def test_equal_keys_hash_equally(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        for _ in range(2):
            await home.person("A").propose(idempotency_key=KEY)

    database = dbapi.connect(tmp_path / "work.db")
    kept = database.execute("SELECT COUNT(*) FROM answers").fetchone()
    database.close()
    assert kept == (1,)


@pytest.mark.scenario("N39")
async def test_a_key_may_be_as_long_as_255_characters_and_no_longer(home: House) -> None:
    a = home.person("A")
    order = await a.propose(idempotency_key="k" * 255)

    assert await a.propose(idempotency_key="k" * 255) == order
    await a.refused(
        "propose", "invalid_request", type="test.echo", payload={"message": "hi"}, idempotency_key="k" * 256
    )


# two processes


async def twice(one: Agent, other: Agent, tool: str, **arguments: Any) -> dict[str, Any]:
    """The one answer that two processes of one caller get to the same call under the same key."""
    answers = await asyncio.gather(*(each.ok(tool, **arguments) for each in (one, other)))
    assert sorted(answer.pop("replayed", False) for answer in answers) == [False, True]
    assert answers[0] == answers[1]
    return answers[0]


@pytest.mark.slow
@pytest.mark.scenario("key-concurrent")
async def test_two_processes_at_once_under_one_key_have_one_effect_and_one_answer(tmp_path: Path) -> None:
    async with agent(tmp_path, "--actor", "A") as one, agent(tmp_path, "--actor", "A") as other:
        for n in range(10):
            key = {"idempotency_key": f"round {n}"}
            filed = await twice(one, other, "propose", type="test.free", payload={}, **key)
            order = filed["order"]["id"]
            [item] = (await twice(one, other, "checkout", order_id=order, **key))["items"]
            await twice(one, other, "submit", **held(item), result={"n": 1}, **key)
            await twice(one, other, "reject", order_id=order, errors=[{"message": "again"}], rework=True, **key)
            key = {"idempotency_key": f"round {n}, reworked"}
            [item] = (await twice(one, other, "checkout", order_id=order, **key))["items"]
            await twice(one, other, "submit_part", **held(item), part_key="one", payload={}, **key)
            await twice(one, other, "finalize", **held(item), **key)
            approved = await twice(one, other, "approve", order_id=order, **key)
            assert approved["order"]["state"] == "completed"

        names = Counter(event["event"] for event in (await one.ok("events", limit=500))["events"])
        once = (
            "order.proposed",
            "item.submitted",
            "item.returned",
            "part.received",
            "item.finalized",
            "order.approved",
        )
        assert {name: names[name] for name in once} == dict.fromkeys(once, 10)
        assert (names["item.leased"], names["decision.recorded"]) == (20, 20)


@pytest.mark.slow
@pytest.mark.scenario("key-replays")
async def test_a_checkout_repeated_to_the_next_process_gives_the_same_tokens(tmp_path: Path) -> None:
    async with agent(tmp_path, "--actor", "A") as before:
        await before.ok("propose", type="test.echo", payload={"message": "hi"})
        first = await before.ok("checkout", idempotency_key=KEY)

    async with agent(tmp_path, "--actor", "A") as after:
        again = await after.ok("checkout", idempotency_key=KEY)
        answer = await after.ok("submit", **held(again["items"][0]), result=GOOD)

    assert again == {**first, "replayed": True}
    assert answer["item"]["state"] == "submitted"
