"""A gate that wants a person: the one at the client is asked in its own dialog, and nothing is written before."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.types import ElicitResult, InputRequiredResult

from tests.support.dialog import Somebody, seated, waiting, willing
from tests.support.doors import stored, visit
from tests.support.harness import LIMIT, House, agent, house, server
from tests.support.web import bearing, served, site
from workdocket.surfaces.server import Door

ERAS = pytest.mark.parametrize("mode", ["auto", "legacy"])
YES = ElicitResult(action="accept", content={"approve": True})


async def decision_on(home: House, order_id: str) -> dict[str, Any]:
    [found] = [one for one in await home.person("reader").events(order_id) if one["event"] == "decision.recorded"]
    return found


# a person says yes


@ERAS
@pytest.mark.scenario("person-asked")
async def test_a_yes_in_the_dialog_is_the_persons_own_approval(home: House, mode: str) -> None:
    order_id = await waiting(home)

    async with seated(home, willing(note="checked the names"), mode=mode) as ann:
        answer = await ann.ok("approve", order_id=order_id, comment="an agent's words")

    assert answer["applied"] is True
    decision = await decision_on(home, order_id)
    assert (decision["actor_type"], decision["actor_id"]) == ("user", "ann")
    assert decision["client"].startswith("mcp/")
    assert decision["message"] == "checked the names"
    assert decision["data"]["channel"] == "dialog"


@ERAS
@pytest.mark.scenario("person-asked")
async def test_nothing_is_written_before_the_answer(home: House, tmp_path: Path, mode: str) -> None:
    order_id = await waiting(home)
    before, while_asked = stored(tmp_path), []

    async def look() -> None:
        while_asked.append(stored(tmp_path))

    async with seated(home, willing(first=look), mode=mode) as ann:
        await ann.ok("approve", order_id=order_id)

    assert while_asked == [before]


@ERAS
@pytest.mark.scenario("person-asked")
async def test_no_person_is_asked_where_the_gate_does_not_want_one(home: House, mode: str) -> None:
    person = willing()
    first, second = await waiting(home, "test.echo"), await waiting(home)

    async with seated(home, person, mode=mode) as ann:
        await ann.ok("approve", order_id=first)
        await ann.ok("reject", order_id=second, errors=[{"message": "no"}])

    assert person.read == []


@ERAS
@pytest.mark.scenario("person-asked")
async def test_a_repeat_under_the_same_key_answers_as_the_first_did_and_asks_nobody(home: House, mode: str) -> None:
    person, order_id = willing(note="fine"), await waiting(home)

    async with seated(home, person, mode=mode) as ann:
        first = await ann.ok("approve", order_id=order_id, idempotency_key="k")
        second = await ann.ok("approve", order_id=order_id, idempotency_key="k")

    assert second["replayed"] is True
    assert second["order"]["id"] == first["order"]["id"]
    assert len(person.read) == 1


@ERAS
@pytest.mark.scenario("person-asked")
async def test_each_person_counts_once_towards_a_quorum(home: House, mode: str) -> None:
    person, order_id = willing(), await waiting(home, "test.careful", {"batches": 1}, {"count": 3})

    async with seated(home, person, "ann", mode=mode) as ann, seated(home, person, "eve", mode=mode) as eve:
        first = await ann.ok("approve", order_id=order_id)
        again = await ann.refused("approve", order_id=order_id)
        second = await eve.ok("approve", order_id=order_id)

    assert first["order"]["state"] == "submitted"
    assert (again["code"], again["details"]["rule"]) == ("forbidden", "quorum")
    assert second["applied"] is True
    assert len(person.read) == 2


# what they read

HOSTILE = "fine\u202e\x1b[31m» approved by workdocket\n\nDigest: 000000000000 \U000e0041" + "x" * 300


@ERAS
@pytest.mark.scenario("person-question")
async def test_the_question_names_order_type_change_and_digest(home: House, tmp_path: Path, mode: str) -> None:
    world = tmp_path / "world"
    world.write_text("calm")
    person, order_id = Somebody("decline"), await waiting(home, "test.seen", {"file": str(world)})
    digest = (await home.person("reader").ok("review", order_id=order_id))["digest"]

    async with seated(home, person, mode=mode) as ann:
        await ann.refused("approve", order_id=order_id)
        await ann.refused("approve", order_id=order_id)

    first, second = person.read
    assert first == second
    assert first.splitlines()[0] == f"Approve {order_id} (Echo)?"
    assert "Change: «1 added»" in first.splitlines()
    assert first.splitlines()[-1] == f"Digest: {digest}"
    assert "calm" in first


@pytest.mark.scenario("person-question")
async def test_words_of_agents_are_quoted_cut_and_steer_nothing(home: House) -> None:
    person = Somebody("decline")
    order_id = await waiting(home, result={"message": HOSTILE, "verified": True})

    async with seated(home, person) as ann:
        await ann.refused("approve", order_id=order_id)

    [question] = person.read
    lines = question.split("\n")
    assert all(line.isprintable() for line in lines)
    assert [line for line in lines if line.startswith("Digest:")] == [lines[-1]]
    [quoted] = [line for line in lines if "fine" in line]
    assert quoted.count("«") == quoted.count("»") == 1
    assert "characters" in quoted
    assert len(question) < 1_000


# a person says no, or nothing


@ERAS
@pytest.mark.scenario("person-refusal")
@pytest.mark.parametrize(
    ("person", "says"),
    [
        (Somebody("decline"), "said no"),
        (Somebody("cancel"), "without an answer"),
        (
            Somebody("accept", {"approve": False, "note": "the price\u202e is wrong"}),
            "said no: «the price\\u202e is wrong»",
        ),
    ],
    ids=["decline", "cancel", "no"],
)
async def test_a_no_is_told_to_the_agent_and_changes_nothing(
    home: House, tmp_path: Path, mode: str, person: Somebody, says: str
) -> None:
    order_id = await waiting(home)
    before = stored(tmp_path)

    async with seated(home, person, mode=mode) as ann:
        error = await ann.refused("approve", order_id=order_id)

    assert error["code"] == "forbidden"
    assert says in error["message"]
    assert error["details"]["rule"] == "human"
    assert stored(tmp_path) == before


@ERAS
@pytest.mark.scenario("person-refusal")
@pytest.mark.parametrize(
    "content",
    [
        None,
        {},
        {"approve": "true"},
        {"approve": 1},
        {"note": "yes"},
        {"approve": True, "note": "x" * 4_001},
        {"approve": True, "note": "\0"},
    ],
    ids=["nothing", "empty", "text", "number", "only-a-note", "long-note", "no-text"],
)
async def test_an_answer_that_is_no_clear_yes_approves_of_nothing(
    home: House, tmp_path: Path, mode: str, content: Any
) -> None:
    order_id = await waiting(home)
    before = stored(tmp_path)

    async with seated(home, Somebody("accept", content), mode=mode) as ann:
        error = await ann.refused("approve", order_id=order_id)

    assert error["code"] == "invalid_request"
    assert stored(tmp_path) == before


@pytest.mark.scenario("person-refusal")
async def test_a_question_that_nobody_answers_ends(home: House, tmp_path: Path) -> None:
    order_id = await waiting(home)
    before = stored(tmp_path)

    async with seated(home, willing(first=anyio.sleep_forever), mode="legacy", answer_within=0.05) as ann:
        async with asyncio.timeout(LIMIT):
            error = await ann.refused("approve", order_id=order_id)

    assert error["code"] == "forbidden"
    assert f"workdocket approve {order_id}" in error["hint"]
    assert stored(tmp_path) == before


@pytest.mark.scenario("person-refusal")
async def test_a_client_that_waits_no_longer_has_approved_of_nothing(home: House, tmp_path: Path) -> None:
    # given: a person who thinks for longer than the client waits
    order_id, thinking = await waiting(home), asyncio.Event()
    before = stored(tmp_path)

    async with seated(home, willing(first=thinking.wait), mode="legacy") as ann:
        # when
        with pytest.raises(MCPError):
            await ann.client.call_tool("approve", {"order_id": order_id}, read_timeout_seconds=0.05)
        thinking.set()

        # then
        assert (await ann.ok("get_order", order_id=order_id))["order"]["state"] == "submitted"
    assert stored(tmp_path) == before


@pytest.mark.scenario("progress")
async def test_while_a_person_thinks_the_client_is_told_so(home: House) -> None:
    order_id, heard, enough = await waiting(home), [], asyncio.Event()

    async def told(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, message))
        if len(heard) == 3:
            enough.set()

    async with seated(home, willing(first=enough.wait), mode="legacy", progress_every=0.02) as ann:
        async with asyncio.timeout(LIMIT):
            await ann.client.call_tool("approve", {"order_id": order_id}, progress_callback=told)

    assert heard == sorted(heard)
    assert heard[0][1] == "a person is asked"


# a client that can't ask


@ERAS
@pytest.mark.scenario("person-elsewhere")
async def test_a_client_that_cannot_ask_is_told_of_the_command_and_the_inbox(
    home: House, tmp_path: Path, mode: str
) -> None:
    order_id = await waiting(home)
    before = stored(tmp_path)

    async with visit(home, mode=mode) as ann:
        error = await ann.refused("approve", order_id=order_id)

    assert error["code"] == "forbidden"
    assert error["details"] == {
        "rule": "human",
        "command": f"workdocket approve {order_id}",
        "link": f"http://127.0.0.1:8787/orders/{order_id}",
    }
    assert error["details"]["command"] in error["hint"]
    assert error["details"]["link"] in error["hint"]
    assert stored(tmp_path) == before


@pytest.mark.scenario("person-elsewhere")
@pytest.mark.parametrize(
    ("dialog", "answer"),
    [
        ({"url": {}}, "complete"),
        ({}, "input_required"),
        ({"form": {}, "url": {}}, "input_required"),
        (None, "complete"),
    ],
    ids=["addresses-only", "of-old", "both", "none"],
)
async def test_only_a_client_that_shows_forms_is_asked(tmp_path: Path, dialog: Any, answer: str) -> None:
    async with site(tmp_path) as office:
        order_id = await waiting(office.house)
        version, about = "2026-07-28", "io.modelcontextprotocol/"
        meta = {
            about + "protocolVersion": version,
            about + "clientInfo": {"name": "raw", "version": "1"},
            about + "clientCapabilities": {} if dialog is None else {"elicitation": dialog},
        }
        params = {"name": "approve", "arguments": {"order_id": order_id}, "_meta": meta}
        headers = {"Mcp-Protocol-Version": version, "Mcp-Method": "tools/call", "Mcp-Name": "approve", "Accept": "*/*"}
        call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
        response = await office.client.post("/mcp", json=call, headers=headers)
        state = await office.house.person("reader").state(order_id)

    assert response.json()["result"]["resultType"] == answer
    assert state == "submitted"


@pytest.mark.scenario("person-elsewhere")
@pytest.mark.parametrize(
    ("settings", "link"),
    [
        ({"public_url": "https://work.example/desk/"}, "https://work.example/desk/orders/WO-1"),
        ({"host": "0.0.0.0", "port": 99}, "http://127.0.0.1:99/orders/WO-1"),
        ({"host": "::1"}, "http://[::1]:8787/orders/WO-1"),
        ({"port": 0}, None),
    ],
)
async def test_the_link_leads_to_the_inbox_of_the_settings(tmp_path: Path, settings: Any, link: str | None) -> None:
    async with house(tmp_path, **settings) as home:
        order_id = await waiting(home)
        async with visit(home) as ann:
            error = await ann.refused("approve", order_id=order_id)

    assert error["details"].get("link") == link


# the answer counts for what was asked, and once


@ERAS
@pytest.mark.scenario("person-answer-bound")
async def test_a_yes_to_what_has_moved_since_is_stale(home: House, tmp_path: Path, mode: str) -> None:
    world = tmp_path / "world"
    world.write_text("calm")
    order_id = await waiting(home, "test.seen", {"file": str(world)})

    async def a_storm() -> None:
        world.write_text("stormy")

    async with seated(home, willing(first=a_storm), mode=mode) as ann:
        error = await ann.refused("approve", order_id=order_id)

    assert error["code"] == "stale"
    assert "decision.recorded" not in await home.person("reader").event_names(order_id)


@ERAS
@pytest.mark.scenario("person-answer-bound")
async def test_an_agent_with_an_old_digest_or_an_unfit_order_asks_nobody(home: House, mode: str) -> None:
    person, order_id = willing(), await waiting(home)
    unfit = await waiting(home, "test.careful", {"batches": 1}, {"count": 0})

    async with seated(home, person, mode=mode) as ann:
        old = await ann.refused("approve", order_id=order_id, digest="0" * 12)
        empty = await ann.refused("approve", order_id=unfit)

    assert (old["code"], empty["code"], person.read) == ("stale", "not_ready", [])


async def asked(client: Client, order_id: str) -> str:
    """The sealed question of a call that waits for an answer."""
    result = await raw(client, {"order_id": order_id})
    assert isinstance(result, InputRequiredResult), result
    assert result.input_requests is not None
    assert result.request_state is not None
    return result.request_state


async def raw(client: Client, arguments: Any, state: str | None = None, answer: Any = None, key: str = "person") -> Any:
    responses = None if answer is None else {key: answer}
    return await client.session.call_tool(
        "approve", arguments, input_responses=responses, request_state=state, allow_input_required=True
    )


@pytest.mark.scenario("person-answer-bound")
async def test_an_answer_counts_only_with_the_question_that_this_server_asked(home: House, tmp_path: Path) -> None:
    one, other = await waiting(home), await waiting(home)
    before = stored(tmp_path)

    async with seated(home, willing()) as ann, seated(home, willing()) as elsewhere:
        state, foreign = await asked(ann.client, one), await asked(elsewhere.client, one)
        tampered = state[:-2] + ("A" if state[-2] != "A" else "B") + state[-1]
        for order_id, sent in [(one, tampered), (one, "[]"), (one, ""), (one, foreign), (other, state)]:
            with pytest.raises(MCPError, match="requestState"):
                await raw(ann.client, {"order_id": order_id}, sent, YES)
        for state_or_none, answer, key in [(None, YES, "person"), (state, None, "person")]:
            again = await raw(ann.client, {"order_id": one}, state_or_none, answer, key)
            assert isinstance(again, InputRequiredResult)
        wrong_name = await raw(ann.client, {"order_id": one}, state, YES, "robot")

    assert wrong_name.structured_content["error"]["code"] == "invalid_request"
    assert stored(tmp_path) == before


@pytest.mark.scenario("person-answer-bound")
async def test_an_answer_to_another_principals_question_is_none(home: House, tmp_path: Path) -> None:
    order_id, names = await waiting(home), ["ann"]
    before = stored(tmp_path)
    shared = Door(home.app, lambda: home.person(names[0]).caller)

    async with Client(shared, elicitation_callback=willing()) as client:
        state = await asked(client, order_id)
        names[0] = "eve"
        with pytest.raises(MCPError, match="requestState"):
            await raw(client, {"order_id": order_id}, state, YES)

    assert stored(tmp_path) == before


@pytest.mark.scenario("person-answer-bound")
async def test_an_answer_that_comes_too_late_is_none(home: House, tmp_path: Path) -> None:
    order_id = await waiting(home)
    before = stored(tmp_path)

    async with seated(home, willing(), answer_within=1e-9) as ann:
        state = await asked(ann.client, order_id)
        with pytest.raises(MCPError, match="expired"):
            await raw(ann.client, {"order_id": order_id}, state, YES)

    assert stored(tmp_path) == before


@pytest.mark.scenario("person-answer-bound")
async def test_an_answer_counts_once(home: House, tmp_path: Path) -> None:
    # given: two orders that the answer has been used for, one of which still waits for a second person
    done, half = await waiting(home), await waiting(home, "test.careful", {"batches": 1}, {"count": 3})

    async with seated(home, willing()) as ann:
        states = {order_id: await asked(ann.client, order_id) for order_id in (done, half)}
        for order_id, state in states.items():
            assert not (await raw(ann.client, {"order_id": order_id}, state, YES)).is_error
        before = stored(tmp_path)

        # when
        again = [(await raw(ann.client, {"order_id": one}, state, YES)) for one, state in states.items()]

    # then
    codes = [one.structured_content["error"]["code"] for one in again]
    assert codes == ["illegal_transition", "forbidden"]
    assert stored(tmp_path) == before


@pytest.mark.scenario("person-answer-bound")
async def test_an_answer_does_not_outlive_a_rejection_although_the_same_came_again(home: House) -> None:
    # given: a question, and then another reviewer's no, after which all is as it was but one item's attempt
    order_id = await waiting(home, "test.careful", {"batches": 1}, {"count": 3})
    bob, eve = home.person("bob"), home.person("eve")

    async with seated(home, willing()) as ann:
        state = await asked(ann.client, order_id)
        for count in (4, 3):
            await eve.ok("reject", order_id=order_id, errors=[{"message": f"not {count}"}], rework=True)
            await bob.hand_in(await bob.take(order_id=order_id), {"count": count})

        # when
        late = await raw(ann.client, {"order_id": order_id}, state, YES)

    # then
    assert late.structured_content["error"]["code"] == "stale"
    assert "decision.recorded" in await bob.event_names(order_id)
    assert await bob.state(order_id) == "submitted"


# the same through other doors


@ERAS
@pytest.mark.scenario("person-asked")
async def test_a_person_is_asked_over_stdio(tmp_path: Path, mode: Any) -> None:
    person = willing(note="over a pipe")
    async with (
        agent(tmp_path) as bob,
        Client(server(tmp_path, "--actor", "ann"), mode=mode, elicitation_callback=person) as client,
    ):
        order = (await bob.ok("propose", type="test.human", payload={"message": "hi"}))["order"]["id"]
        item = (await bob.ok("checkout", order_id=order))["items"][0]
        held = {"item_id": item["id"], "lease_token": item["lease"]["token"]}
        await bob.ok("submit", **held, result={"message": "hi", "verified": True})
        answer = await client.call_tool("approve", {"order_id": order})
        [decision] = (await bob.ok("events", order_id=order, event="decision.recorded"))["events"]

    assert answer.structured_content is not None
    assert answer.structured_content["applied"] is True
    assert (decision["actor_type"], decision["actor_id"], decision["message"]) == ("user", "ann", "over a pipe")
    assert len(person.read) == 1


@ERAS
@pytest.mark.scenario("person-asked", "http-roles")
async def test_a_persons_token_over_mcp_opens_no_gate_before_the_dialog_did(tmp_path: Path, mode: Any) -> None:
    async with site(tmp_path) as office:
        order_id = await waiting(office.house)
        secret = await office.token("ann", kind="user")
    async with served(tmp_path) as there, httpx2.AsyncClient(headers=bearing(secret), timeout=LIMIT) as http:
        at = f"{there.url}/mcp"
        async with Client(streamable_http_client(at, http_client=http), mode=mode) as mute:
            refused = await mute.call_tool("approve", {"order_id": order_id})
        async with Client(
            streamable_http_client(at, http_client=http), mode=mode, elicitation_callback=willing()
        ) as client:
            agreed = await client.call_tool("approve", {"order_id": order_id})

    assert refused.structured_content is not None
    assert refused.structured_content["error"]["details"]["rule"] == "human"
    assert agreed.structured_content is not None
    assert agreed.structured_content["applied"] is True


@pytest.mark.scenario("http-ends", "person-refusal")
async def test_a_person_who_still_thinks_does_not_hold_up_the_end_of_the_server(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        order_id = await waiting(home)
    thinking = asyncio.Event()

    async def for_ever() -> None:
        thinking.set()
        await anyio.sleep_forever()

    async with (
        served(tmp_path) as there,
        httpx2.AsyncClient(timeout=LIMIT) as http,
        Client(
            streamable_http_client(f"{there.url}/mcp", http_client=http),
            mode="legacy",
            elicitation_callback=willing(first=for_ever),
        ) as client,
    ):
        call = asyncio.create_task(client.call_tool("approve", {"order_id": order_id}))
        async with asyncio.timeout(LIMIT):
            await thinking.wait()
            there.end()
            assert await there.ended() == 128 + signal.SIGTERM
            refused = await call

    assert refused.structured_content is not None
    assert refused.structured_content["error"]["message"] == "the server is ending"
