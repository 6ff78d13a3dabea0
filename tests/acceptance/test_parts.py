"""Handing in part by part: checked on arrival, outliving their sender, and put together once."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.harness import LIMIT, House, Person, Refusal, held, house
from workdocket.domain.model import canonical, checksum, iso
from workdocket.storage.engine import dbapi

TTL = 600
IDENTITY = {"part_key": "identity", "payload": {"name": "Ann"}}
CONTACTS = {"part_key": "contacts", "payload": {"mail": "ann@example.org"}}


async def item_of(someone: Person, item_id: str) -> dict[str, Any]:
    answer = await someone.ok("get_item", item_id=item_id)
    found: dict[str, Any] = answer["item"]
    return found


async def parts_of(someone: Person, item_id: str) -> list[tuple[str, int | None, str, Any]]:
    """Key, seq, status and payload of every part that is listed."""
    parts = (await item_of(someone, item_id))["parts"]
    return [(part["key"], part["seq"], part["status"], part["payload"]) for part in parts]


async def given(worker: Person, type: str = "test.partial", payload: Any = None) -> dict[str, Any]:
    """One item of an order of its own, in hand."""
    order = await worker.propose(type, payload or {})
    return await worker.take(order_id=order)


async def both(worker: Person, item: dict[str, Any]) -> None:
    await worker.ok("submit_part", **held(item), **IDENTITY)
    await worker.ok("submit_part", **held(item), **CONTACTS)


async def code_of(call: Awaitable[Any]) -> str:
    """What became of a call that may be refused."""
    try:
        await call
    except Refusal as refusal:
        code: str = json.loads(str(refusal))["code"]
        return code
    return "ok"


def found(refusal: dict[str, Any]) -> list[tuple[str, str]]:
    return [(finding["code"], finding["path"]) for finding in refusal["details"]["findings"]]


# one part


@pytest.mark.scenario("T1")
async def test_a_good_part_is_answered_with_where_the_item_stands(home: House) -> None:
    a = home.person("A")
    item = await given(a)

    answer = await a.ok("submit_part", **held(item), **IDENTITY)

    assert answer["part"] == {
        "key": "identity",
        "seq": None,
        "status": "validated",
        "checksum": checksum({"name": "Ann"}),
        "at": iso(home.clock.now()),
    }
    assert answer["parts"] == {
        "required": ["contacts", "identity"],
        "received": ["identity"],
        "missing": ["contacts"],
        "gaps": {},
        "ready_to_finalize": False,
    }
    assert answer["lease"]["token"] == item["lease"]["token"]


async def test_with_the_last_required_part_the_item_is_ready_to_finalize(home: House) -> None:
    a = home.person("A")
    item = await given(a)
    await a.ok("submit_part", **held(item), **IDENTITY)

    answer = await a.ok("submit_part", **held(item), **CONTACTS)

    assert (answer["parts"]["missing"], answer["parts"]["ready_to_finalize"]) == ([], True)


async def test_the_first_part_starts_the_item(home: House) -> None:
    a = home.person("A")
    item = await given(a)

    await a.ok("submit_part", **held(item), **IDENTITY)

    assert (await item_of(a, item["id"]))["state"] == "in_progress"
    assert await a.state(item["order_id"]) == "in_progress"


@pytest.mark.scenario("T3")
async def test_the_same_key_again_replaces_the_payload_and_stays_one_part(home: House) -> None:
    a = home.person("A")
    item = await given(a)
    await a.ok("submit_part", **held(item), **IDENTITY)

    await a.ok("submit_part", **held(item), part_key="identity", payload={"name": "Bea"})

    assert await parts_of(a, item["id"]) == [("identity", None, "validated", {"name": "Bea"})]


async def test_an_earlier_payload_may_be_put_back(home: House) -> None:
    a = home.person("A")
    item = await given(a)
    for name in ("Ann", "Bea", "Ann"):
        await a.ok("submit_part", **held(item), part_key="identity", payload={"name": name})

    assert await parts_of(a, item["id"]) == [("identity", None, "validated", {"name": "Ann"})]


@pytest.mark.scenario("T4", "F8")
async def test_two_seqs_of_a_key_are_two_parts_and_the_higher_one_counts(home: House) -> None:
    a = home.person("A")
    item = await given(a)
    await a.ok("submit_part", **held(item), **CONTACTS)
    await a.ok("submit_part", **held(item), part_key="identity", seq=2, payload={"name": "second"})
    await a.ok("submit_part", **held(item), part_key="identity", seq=1, payload={"name": "first"})

    await a.ok("finalize", **held(item))

    kept = [(key, seq) for key, seq, _, _ in await parts_of(a, item["id"])]
    assert kept == [("contacts", None), ("identity", 1), ("identity", 2)]
    assert (await item_of(a, item["id"]))["result"]["identity"] == {"name": "second"}


@pytest.mark.scenario("T6")
@pytest.mark.parametrize("seq", [0, 99_999])
async def test_very_low_and_high_seqs_are_kept(home: House, seq: int) -> None:
    a = home.person("A")
    item = await given(a)

    answer = await a.ok("submit_part", **held(item), **IDENTITY, seq=seq)

    assert answer["part"]["seq"] == seq
    assert await parts_of(a, item["id"]) == [("identity", seq, "validated", {"name": "Ann"})]


@pytest.mark.scenario("T7")
@pytest.mark.parametrize(
    ("seq", "code"), [("first", "type"), (1.5, "type"), (-1, "minimum")], ids=["text", "fraction", "negative"]
)
async def test_a_seq_is_a_whole_number_from_0(home: House, seq: Any, code: str) -> None:
    a = home.person("A")
    item = await given(a)

    refusal = await a.refused("submit_part", "invalid_request", **held(item), **IDENTITY, seq=seq)

    assert found(refusal) == [(code, "/seq")]
    assert await parts_of(a, item["id"]) == []


@pytest.mark.scenario("T8")
@pytest.mark.parametrize(
    ("arguments", "finding"),
    [
        ({"payload": {}}, ("required", "/part_key")),
        ({"part_key": "identity"}, ("required", "/payload")),
        ({"part_key": 5, "payload": {}}, ("type", "/part_key")),
        ({"part_key": "identity", "payload": [1]}, ("type", "/payload")),
        ({**IDENTITY, "evidence": "trust me"}, ("type", "/evidence")),
        ({**IDENTITY, "notes": 5}, ("type", "/notes")),
    ],
    ids=["no key", "no payload", "key", "payload", "evidence", "notes"],
)
async def test_a_misfit_argument_is_refused_by_its_name(
    home: House, arguments: dict[str, Any], finding: tuple[str, str]
) -> None:
    a = home.person("A")
    item = await given(a)

    refusal = await a.refused("submit_part", "invalid_request", **held(item), **arguments)

    assert found(refusal) == [finding]
    assert await parts_of(a, item["id"]) == []


@pytest.mark.scenario("T9")
async def test_seq_evidence_and_notes_are_listed_when_given_and_may_be_left_out(home: House) -> None:
    a = home.person("A")
    item = await given(a)

    await a.ok("submit_part", **held(item), **IDENTITY, seq=3, evidence={"page": 7}, notes="from the register")
    await a.ok("submit_part", **held(item), **CONTACTS)

    bare, full = (await item_of(a, item["id"]))["parts"]
    assert (full["seq"], full["evidence"], full["notes"]) == (3, {"page": 7}, "from the register")
    assert bare["seq"] is None
    assert not {"evidence", "notes"} & set(bare)


@pytest.mark.scenario("T10")
async def test_nobody_sends_a_part_for_what_another_one_holds(home: House) -> None:
    a, b = home.person("A"), home.person("B")
    mine, theirs = await given(a), await given(b)

    refusal = await b.refused(
        "submit_part", "lease_lost", item_id=mine["id"], lease_token=theirs["lease"]["token"], **IDENTITY
    )

    assert refusal["details"]["reason"] == "held_by_other"
    assert await parts_of(a, mine["id"]) == []


@pytest.mark.scenario("T11")
async def test_a_part_after_the_expiry_is_refused_once_another_one_has_the_item(home: House) -> None:
    a, b = home.person("A"), home.person("B")
    item = await given(a)
    home.clock.forward(TTL)
    await b.take()

    refusal = await a.refused("submit_part", "lease_lost", **held(item), **IDENTITY)

    assert refusal["details"]["reason"] == "held_by_other"
    assert "kept" not in refusal["hint"]
    assert await parts_of(b, item["id"]) == []


@pytest.mark.scenario("T13")
async def test_equal_payloads_have_equal_checksums_and_others_do_not(home: House) -> None:
    a = home.person("A")
    item = await given(a, "test.free")

    async def sent(key: str, payload: dict[str, Any]) -> str:
        answer = await a.ok("submit_part", **held(item), part_key=key, payload=payload)
        found: str = answer["part"]["checksum"]
        return found

    first = await sent("x", {"a": 1, "b": [2]})
    same = await sent("y", {"b": [2], "a": 1})
    other = await sent("x", {"a": 1, "b": [3]})

    assert first == same != other
    assert len(first) == 64
    assert set(first) <= set("0123456789abcdef")


@pytest.mark.scenario("T14")
async def test_the_same_key_on_two_items_is_two_parts(home: House) -> None:
    a, b = home.person("A"), home.person("B")
    one, other = await given(a), await given(b)

    await a.ok("submit_part", **held(one), part_key="identity", payload={"name": "Ann"})
    await b.ok("submit_part", **held(other), part_key="identity", payload={"name": "Bea"})

    assert await parts_of(a, one["id"]) == [("identity", None, "validated", {"name": "Ann"})]
    assert await parts_of(a, other["id"]) == [("identity", None, "validated", {"name": "Bea"})]


@pytest.mark.scenario("T16")
async def test_a_payload_just_within_the_size_limit_is_kept_unchanged(tmp_path: Path) -> None:
    async with house(tmp_path, max_payload_bytes=1000) as home:
        a = home.person("A")
        item = await given(a, "test.free")
        deep: Any = {"text": 'Grüße, 世界 🎉 \u202e \\ " </script>'}
        for _ in range(20):
            deep = {"in": [deep]}
        payload = {"deep": deep, "fill": ""}
        payload["fill"] = "ü" * ((1000 - len(canonical(payload).encode())) // 2)

        await a.ok("submit_part", **held(item), part_key="big", payload=payload)

        assert len(canonical(payload).encode()) in (999, 1000)
        assert await parts_of(a, item["id"]) == [("big", None, "validated", payload)]


@pytest.mark.scenario("T17")
async def test_the_database_has_no_room_for_two_parts_of_one_item_key_and_seq(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        a = home.person("A")
        item = await given(a)
        await a.ok("submit_part", **held(item), **IDENTITY)

    database = dbapi.connect(tmp_path / "work.db")
    with pytest.raises(dbapi.IntegrityError, match="UNIQUE"):
        database.execute("INSERT INTO parts SELECT * FROM parts")
    database.close()


@pytest.mark.scenario("T20")
async def test_the_event_of_a_part_says_what_by_whom_and_how(home: House) -> None:
    a = home.person("A")
    await a.propose("test.partial", {})
    item = await a.take(agent="scout")

    await a.ok("submit_part", **held(item), **IDENTITY, seq=3, evidence={"page": 7}, notes="from the register")

    [event] = [event for event in await a.events(item["order_id"]) if event["event"] == "part.received"]
    assert (event["actor_id"], event["agent"], event["item_id"]) == ("A", "scout", item["id"])
    assert event["data"] == {
        "key": "identity",
        "seq": 3,
        "checksum": checksum({"name": "Ann"}),
        "evidence": {"page": 7},
        "notes": "from the register",
    }


@pytest.mark.scenario("T21")
@pytest.mark.parametrize(("tool", "more"), [("submit_part", IDENTITY), ("finalize", {})])
async def test_without_the_role_a_valid_lease_sends_no_parts(home: House, tool: str, more: dict[str, Any]) -> None:
    worker, reader = home.person("A", "worker", "requester"), home.person("A", "reviewer")
    item = await given(worker)
    trail = await worker.events()

    refusal = await reader.refused(tool, "forbidden", **held(item), **more)

    assert refusal["details"]["role"] == "worker"
    assert await worker.events() == trail


@pytest.mark.scenario("T22")
async def test_a_type_that_declares_no_parts_takes_any_key(home: House) -> None:
    a = home.person("A")
    item = await given(a, "test.free")

    await a.ok("submit_part", **held(item), part_key="whatever / it is", payload={"n": 1})
    await a.ok("finalize", **held(item))

    assert (await item_of(a, item["id"]))["result"] == {"whatever / it is": {"n": 1}}


@pytest.mark.scenario("T22")
async def test_a_key_that_the_type_does_not_declare_is_refused_with_those_it_does(home: House) -> None:
    a = home.person("A")
    item = await given(a)

    refusal = await a.refused("submit_part", "invalid_part", **held(item), part_key="identiy", payload={})

    assert found(refusal) == [("unknown_part", "")]
    assert "contacts, identity, log, remarks" in refusal["message"]


# refused parts


@pytest.mark.scenario("parts-survive")
async def test_a_refused_resend_never_replaces_a_good_part_and_both_are_listed(home: House) -> None:
    a = home.person("A")
    item = await given(a)
    await a.ok("submit_part", **held(item), **CONTACTS)

    refusal = await a.refused("submit_part", "invalid_part", **held(item), part_key="contacts", payload={"fake": True})

    assert found(refusal) == [("fake", "/fake")]
    assert await parts_of(a, item["id"]) == [
        ("contacts", None, "validated", CONTACTS["payload"]),
        ("contacts", None, "rejected", {"fake": True}),
    ]
    [event] = [event for event in await a.events(item["order_id"]) if event["event"] == "part.refused"]
    assert event["data"]["findings"] == refusal["details"]["findings"]


async def test_a_refused_part_does_not_count_for_finalize(home: House) -> None:
    a = home.person("A")
    item = await given(a)
    await a.ok("submit_part", **held(item), **IDENTITY)
    await a.refused("submit_part", "invalid_part", **held(item), part_key="contacts", payload={"fake": True})

    refusal = await a.refused("finalize", "parts_missing", **held(item))

    assert refusal["details"]["missing"] == ["contacts"]


async def test_refused_parts_neither_pile_up_nor_use_up_the_room_of_good_ones(tmp_path: Path) -> None:
    async with house(tmp_path, max_parts_per_item=2) as home:
        a = home.person("A")
        item = await given(a)
        for n in range(5):
            await a.refused("submit_part", "invalid_part", **held(item), part_key=f"junk {n}", payload={})

        await both(a, item)

        statuses = [status for _, _, status, _ in await parts_of(a, item["id"])]
        assert (statuses.count("rejected"), statuses.count("validated")) == (2, 2)


# limits


@pytest.mark.scenario("N10")
async def test_more_parts_than_the_limit_are_refused_but_those_there_may_be_sent_anew(tmp_path: Path) -> None:
    async with house(tmp_path, max_parts_per_item=2) as home:
        a = home.person("A")
        item = await given(a, "test.free")
        for key in ("one", "two"):
            await a.ok("submit_part", **held(item), part_key=key, payload={})

        refusal = await a.refused("submit_part", "limit_exceeded", **held(item), part_key="three", payload={})

        assert refusal["details"] == {"limit": "max_parts_per_item", "value": 2}
        await a.ok("submit_part", **held(item), part_key="two", payload={"n": 2})
        assert [key for key, _, _, _ in await parts_of(a, item["id"])] == ["one", "two"]


@pytest.mark.scenario("N10")
async def test_a_part_over_the_byte_limit_is_refused_with_the_limit(tmp_path: Path) -> None:
    async with house(tmp_path, max_payload_bytes=100) as home:
        a = home.person("A")
        item = await given(a, "test.free")
        trail = await a.events()

        refusal = await a.refused("submit_part", "too_large", **held(item), part_key="big", payload={"text": "ü" * 50})

        assert (refusal["details"]["limit_bytes"], refusal["details"]["limit"]) == (100, "max_payload_bytes")
        assert await parts_of(a, item["id"]) == []
        assert await a.events() == trail


@pytest.mark.scenario("N10")
async def test_parts_carry_a_result_that_is_too_large_to_be_sent_at_once(tmp_path: Path) -> None:
    async with house(tmp_path, max_payload_bytes=100) as home:
        a = home.person("A")
        item = await given(a, "test.free")
        for key in ("one", "two"):
            await a.ok("submit_part", **held(item), part_key=key, payload={"text": "x" * 60})

        await a.ok("finalize", **held(item))

        result = (await item_of(a, item["id"]))["result"]
        assert result == {"one": {"text": "x" * 60}, "two": {"text": "x" * 60}}


# putting them together


@pytest.mark.scenario("F1")
async def test_with_every_required_part_the_assembled_result_is_submitted(home: House) -> None:
    a = home.person("A")
    item = await given(a)
    await both(a, item)

    answer = await a.ok("finalize", **held(item), mode="strict")

    assert answer["item"] == {"id": item["id"], "state": "submitted"}
    assert answer["assembled"] == ["contacts", "identity"]
    assert (await item_of(a, item["id"]))["result"] == {
        "identity": IDENTITY["payload"],
        "contacts": CONTACTS["payload"],
    }


@pytest.mark.scenario("F3")
async def test_without_a_mode_every_required_part_is_needed(home: House) -> None:
    a = home.person("A")
    item = await given(a)
    await a.ok("submit_part", **held(item), **IDENTITY)

    unsaid = await a.refused("finalize", "parts_missing", **held(item))
    strict = await a.refused("finalize", "parts_missing", **held(item), mode="strict")

    assert unsaid == strict
    assert unsaid["details"]["missing"] == ["contacts"]


@pytest.mark.scenario("F5")
async def test_best_effort_takes_all_there_is(home: House) -> None:
    a = home.person("A")
    item = await given(a)
    await both(a, item)
    await a.ok("submit_part", **held(item), part_key="remarks", payload={"text": "nice"})

    answer = await a.ok("finalize", **held(item), mode="best_effort")

    assert answer["assembled"] == ["contacts", "identity", "remarks"]


async def test_best_effort_does_with_one_part(home: House) -> None:
    a = home.person("A")
    item = await given(a)
    await a.ok("submit_part", **held(item), **CONTACTS)

    answer = await a.ok("finalize", **held(item), mode="best_effort")

    assert (answer["item"]["state"], answer["assembled"]) == ("submitted", ["contacts"])


@pytest.mark.scenario("F7")
@pytest.mark.parametrize("type", ["test.partial", "test.free"])
async def test_best_effort_without_any_part_is_refused(home: House, type: str) -> None:
    a = home.person("A")
    item = await given(a, type)

    await a.refused("finalize", "parts_missing", **held(item), mode="best_effort")

    assert (await item_of(a, item["id"]))["state"] == "leased"


@pytest.mark.scenario("F9")
async def test_an_updated_part_counts_with_its_new_data(home: House) -> None:
    a = home.person("A")
    item = await given(a)
    await both(a, item)
    await a.ok("submit_part", **held(item), part_key="identity", payload={"name": "Bea"})

    await a.ok("finalize", **held(item))

    assert (await item_of(a, item["id"]))["result"]["identity"] == {"name": "Bea"}


@pytest.mark.scenario("F10")
@pytest.mark.parametrize("mode", ["lenient", 5, ["strict"]])
async def test_an_unknown_mode_is_refused(home: House, mode: Any) -> None:
    a = home.person("A")
    item = await given(a)
    await both(a, item)

    refusal = await a.refused("finalize", "invalid_request", **held(item), mode=mode)

    assert found(refusal) == [("enum", "/mode")]
    assert (await item_of(a, item["id"]))["state"] == "in_progress"


@pytest.mark.scenario("F11")
async def test_the_event_says_what_was_assembled_of_how_many_parts(home: House) -> None:
    a = home.person("A")
    item = await given(a)
    await both(a, item)

    await a.ok("finalize", **held(item))

    [event] = [event for event in await a.events(item["order_id"]) if event["event"] == "item.finalized"]
    assert (event["data"]["assembled"], event["data"]["parts"]) == (["contacts", "identity"], 2)
    assert (event["data"]["mode"], event["actor_id"]) == ("strict", "A")


@pytest.mark.scenario("F13")
async def test_with_its_last_item_finalized_the_order_is_submitted(home: House) -> None:
    a = home.person("A")
    item = await given(a)
    await both(a, item)

    answer = await a.ok("finalize", **held(item))

    assert answer["order"] == {"id": item["order_id"], "state": "submitted"}
    assert await a.state(item["order_id"]) == "submitted"


@pytest.mark.scenario("N9")
async def test_the_rules_of_a_result_hold_for_the_assembled_one(home: House) -> None:
    a = home.person("A")
    order = await a.propose()
    item = await a.take(order_id=order)
    await a.ok("submit_part", **held(item), part_key="message", payload={"not": "text"})

    refusal = await a.refused("finalize", "invalid_result", **held(item))

    assert sorted(found(refusal)) == [("required", "/verified"), ("type", "/message")]
    assert (await item_of(a, item["id"]))["state"] == "in_progress"
    assert (await a.event_names(order))[-1] == "item.submission_refused"


@pytest.mark.scenario("parts-sequence")
async def test_a_sequence_is_put_together_in_order_whatever_order_it_came_in(home: House) -> None:
    a = home.person("A")
    item = await given(a)
    await both(a, item)
    for seq in (3, 1, 2):
        await a.ok("submit_part", **held(item), part_key="log", seq=seq, payload={"line": seq})

    await a.ok("finalize", **held(item))

    assert (await item_of(a, item["id"]))["result"]["log"] == [{"line": 1}, {"line": 2}, {"line": 3}]


@pytest.mark.scenario("parts-sequence")
async def test_gaps_in_a_sequence_are_reported_and_keep_it_from_being_finalized(home: House) -> None:
    a = home.person("A")
    item = await given(a)
    await both(a, item)
    await a.ok("submit_part", **held(item), part_key="log", seq=2, payload={})
    answer = await a.ok("submit_part", **held(item), part_key="log", seq=5, payload={})

    refusal = await a.refused("finalize", "parts_missing", **held(item))

    assert answer["parts"]["gaps"] == refusal["details"]["gaps"] == {"log": [1, 3, 4]}
    assert not answer["parts"]["ready_to_finalize"]


@pytest.mark.scenario("parts-sequence")
async def test_a_sequence_may_count_from_0(home: House) -> None:
    a = home.person("A")
    item = await given(a)
    await both(a, item)
    for seq in (0, 1):
        answer = await a.ok("submit_part", **held(item), part_key="log", seq=seq, payload={"line": seq})

    assert answer["parts"]["ready_to_finalize"]


@pytest.mark.scenario("parts-sequence")
async def test_a_far_seq_reports_the_first_gaps_only(home: House) -> None:
    a = home.person("A")
    item = await given(a)

    answer = await a.ok("submit_part", **held(item), part_key="log", seq=2**31, payload={})

    assert answer["parts"]["gaps"] == {"log": list(range(1, 21))}


# who comes after


@pytest.mark.scenario("parts-survive")
@pytest.mark.parametrize("ending", ["expiry", "release", "failure", "rework"])
async def test_parts_outlive_their_sender_and_the_next_holder_goes_on_from_them(home: House, ending: str) -> None:
    a, b = home.person("A"), home.person("B")
    item = await given(a)
    await a.ok("submit_part", **held(item), **IDENTITY)
    if ending == "expiry":
        home.clock.forward(TTL)
    elif ending == "release":
        await a.ok("release", **held(item))
    elif ending == "failure":
        await a.ok("fail", **held(item), reason="no luck", retry_after_seconds=0)
    else:
        await a.ok("finalize", **held(item), mode="best_effort")
        await a.ok("reject", order_id=item["order_id"], errors=[{"message": "contacts!"}], rework=True)
        home.clock.forward(TTL)

    handed = await b.take()
    await b.ok("submit_part", **held(handed), **CONTACTS)
    await b.ok("finalize", **held(handed))

    assert [(part["key"], part["status"]) for part in handed["parts"]["present"]] == [("identity", "validated")]
    now = await item_of(b, item["id"])
    assert now["result"] == {"identity": IDENTITY["payload"], "contacts": CONTACTS["payload"]}
    assert {part["key"]: part["by"] for part in now["parts"]} == {"identity": "A", "contacts": "B"}


@pytest.mark.scenario("parts-survive")
async def test_the_same_assembly_after_rework_is_refused_as_unchanged(home: House) -> None:
    a = home.person("A")
    item = await given(a)
    await both(a, item)
    await a.ok("finalize", **held(item))
    await a.ok("reject", order_id=item["order_id"], errors=[{"message": "look again"}], rework=True)

    refusal = await a.refused("finalize", "invalid_result", **held(await a.take()))

    assert found(refusal) == [("unchanged_since_rejection", "")]


# after the end


@pytest.mark.scenario("N6")
@pytest.mark.parametrize("end", ["submitted", "completed"])
async def test_parts_after_the_submission_are_refused(home: House, end: str) -> None:
    a = home.person("A")
    item = await given(a)
    await both(a, item)
    await a.ok("finalize", **held(item))
    if end == "completed":
        await a.ok("approve", order_id=item["order_id"])
    before, trail = await parts_of(a, item["id"]), await a.events()

    refusal = await a.refused("submit_part", "lease_lost", **held(item), part_key="remarks", payload={})

    assert (refusal["details"]["reason"], refusal["details"]["state"]) == ("ended", end)
    assert (await parts_of(a, item["id"]), await a.events()) == (before, trail)


@pytest.mark.scenario("N5")
async def test_nobody_finalizes_what_another_one_holds(home: House) -> None:
    a, b = home.person("A"), home.person("B")
    mine, theirs = await given(a), await given(b)
    await both(a, mine)

    refusal = await b.refused("finalize", "lease_lost", item_id=mine["id"], lease_token=theirs["lease"]["token"])

    assert refusal["details"]["reason"] == "held_by_other"
    assert (await item_of(a, mine["id"]))["state"] == "in_progress"


@pytest.mark.scenario("N5")
async def test_nobody_finalizes_after_the_expiry_once_another_one_has_the_item(home: House) -> None:
    a, b = home.person("A"), home.person("B")
    item = await given(a)
    await both(a, item)
    home.clock.forward(TTL)
    await b.take()

    refusal = await a.refused("finalize", "lease_lost", **held(item))

    assert refusal["details"]["reason"] == "held_by_other"
    assert (await item_of(a, item["id"]))["state"] == "leased"


@pytest.mark.scenario("N5")
async def test_an_item_that_was_given_back_cannot_be_finalized(home: House) -> None:
    a = home.person("A")
    item = await given(a)
    await both(a, item)
    await a.ok("release", **held(item))

    refusal = await a.refused("finalize", "lease_lost", **held(item))

    assert (refusal["details"]["reason"], refusal["details"]["checkout_possible"]) == ("ended", True)


@pytest.mark.scenario("N5")
async def test_a_completed_item_cannot_be_finalized_anew(home: House) -> None:
    a = home.person("A")
    item = await given(a)
    await both(a, item)
    await a.ok("finalize", **held(item))
    await a.ok("approve", order_id=item["order_id"])
    trail = await a.events()

    refusal = await a.refused("finalize", "lease_lost", **held(item), mode="best_effort")

    assert (refusal["details"]["reason"], refusal["details"]["state"]) == ("ended", "completed")
    assert await a.events() == trail


# at the same time


@contextmanager
def meeting_place(path: Path) -> Iterator[Path]:
    """A FIFO at which a hook waits; nobody is left waiting at the end."""
    os.mkfifo(path)
    try:
        yield path
    finally:
        both_ends = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        path.unlink()
        os.close(both_ends)


async def met(path: Path) -> None:
    async with asyncio.timeout(LIMIT):
        await asyncio.to_thread(path.read_text)


@pytest.mark.scenario("N9", "F9")
async def test_a_part_that_comes_in_while_the_result_is_checked_is_not_left_out(tmp_path: Path) -> None:
    with meeting_place(tmp_path / "begun") as begun, meeting_place(tmp_path / "go_on") as go_on:
        async with house(tmp_path) as home:
            a = home.person("A")
            item = await given(a, "test.gated", {"begun": str(begun), "go_on": str(go_on)})
            await a.ok("submit_part", **held(item), part_key="one", payload={"n": 1})
            finalizing = asyncio.create_task(a.refused("finalize", "busy", **held(item)))
            await met(begun)

            await a.ok("submit_part", **held(item), part_key="two", payload={"n": 2})
            await met(go_on)

            async with asyncio.timeout(LIMIT):
                refusal = await finalizing
            assert refusal["retryable"]
            assert (await item_of(a, item["id"]))["state"] == "in_progress"


@pytest.mark.scenario("N6")
async def test_of_a_part_and_a_finalize_at_once_the_part_is_in_the_result_or_refused(home: House) -> None:
    a = home.person("A")
    for _ in range(10):
        item = await given(a, "test.free")
        await a.ok("submit_part", **held(item), part_key="one", payload={"n": 1})

        part, finalized = await asyncio.gather(
            code_of(a.ok("submit_part", **held(item), part_key="two", payload={"n": 2})),
            code_of(a.ok("finalize", **held(item))),
        )

        assert part in ("ok", "lease_lost")
        assert finalized in ("ok", "busy")
        if finalized == "busy":
            await a.ok("finalize", **held(item))
        result = (await item_of(a, item["id"]))["result"]
        assert set(result) == ({"one", "two"} if part == "ok" else {"one"})


# repeated


@pytest.mark.scenario("natural-repeat")
async def test_an_exact_repeat_of_a_part_answers_as_the_first_did_and_is_kept_once(home: House) -> None:
    a = home.person("A")
    item = await given(a)
    sent = {**held(item), **IDENTITY, "evidence": {"page": 7}, "notes": "twice"}
    first = await a.ok("submit_part", **sent)
    trail = await a.events()
    home.clock.forward(5)

    again = await a.ok("submit_part", **sent)

    assert (again["part"], again["parts"]) == (first["part"], first["parts"])
    assert await a.events() == trail
    assert len(await parts_of(a, item["id"])) == 1


@pytest.mark.scenario("natural-repeat")
async def test_an_exact_repeat_of_a_finalize_answers_as_the_first_did(home: House) -> None:
    a = home.person("A")
    item = await given(a)
    await both(a, item)
    first = await a.ok("finalize", **held(item))
    trail = await a.events()

    again = await a.ok("finalize", **held(item))

    assert again == {**first, "replayed": True}
    assert await a.events() == trail


@pytest.mark.scenario("natural-repeat")
async def test_a_repeat_of_a_finalize_after_the_order_was_completed_answers_as_the_first_did(home: House) -> None:
    a = home.person("A")
    item = await given(a)
    await both(a, item)
    first = await a.ok("finalize", **held(item))
    await a.ok("approve", order_id=item["order_id"])

    again = await a.ok("finalize", **held(item))

    assert again == {**first, "replayed": True}
    assert await a.state(item["order_id"]) == "completed"
