"""Gates: which one an order has to pass, who passes it, and what is no decision at all."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.support import until
from tests.support.harness import TYPES, House, Person, held, house
from workdocket.registry import BrokenType, load
from workdocket.settings import SettingsError
from workdocket.surfaces.dispatch import run_tool

WHY = [{"message": "not like this"}]


async def pages(home: House, tmp_path: Path, type: str = "test.page", **payload: Any) -> str:
    """An order that waits for review."""
    order_id = await home.person("requester").propose(type, {"file": str(tmp_path / "page"), **payload})
    worker = home.person("worker")
    await worker.hand_in(await worker.take(order_id=order_id), {"text": "hello"})
    return order_id


async def batches(home: House, number: int, type: str = "test.ruled") -> str:
    order_id = await home.person("requester").propose(type, {"batches": number})
    worker = home.person("worker")
    for _ in range(number):
        await worker.hand_in(await worker.take(order_id=order_id), {"count": 1})
    return order_id


async def gate_of(home: House, order_id: str) -> dict[str, Any]:
    packet = await home.person("reader").ok("review", order_id=order_id)
    gate: dict[str, Any] = packet["gate"]
    return gate


# rules of a type


@pytest.mark.scenario("gates-by-rule", "auto-approval")
async def test_what_a_rule_calls_harmless_passes_by_itself_and_the_decision_names_the_rule(home: House) -> None:
    order_id = await batches(home, 2)

    await until.order_in(home.person("reader"), order_id, "completed")

    decided = await until.event(home, home.person("reader"), order_id, "decision.recorded")
    assert (decided["actor_type"], decided["data"]["rule"]) == ("system", "small")


@pytest.mark.scenario("gates-by-rule", "auto-approval")
async def test_what_another_rule_calls_risky_waits_for_people_and_the_log_says_why(home: House) -> None:
    # given
    order_id = await batches(home, 6)
    reviewer = home.person("reviewer")
    deferred = await until.event(home, reviewer, order_id, "approval.deferred")

    # when, then
    assert "large" in deferred["data"]["findings"][-1]["message"]
    gate = await gate_of(home, order_id)
    assert (gate["approval"], gate["rule"], gate["quorum"], gate["still_needed"]) == ("human", "large", 2, 2)
    await reviewer.refused("approve", "forbidden", order_id=order_id)
    for name in ("rita", "roy"):
        answer = await home.person(name, "reviewer", kind="user").ok("approve", order_id=order_id)
    assert answer["order"]["state"] == "completed"
    decided = await until.event(home, reviewer, order_id, "decision.recorded", 2)
    assert decided["data"]["rule"] == "large"


@pytest.mark.scenario("gates-by-rule")
async def test_where_no_rule_is_true_the_gate_of_the_type_stands(home: House) -> None:
    order_id = await batches(home, 4)

    gate = await gate_of(home, order_id)

    assert (gate["approval"], gate["rule"]) == ("manual", None)


@pytest.mark.scenario("gates-by-rule")
async def test_order_types_shows_the_rules_in_the_order_in_which_they_are_asked(tmp_path: Path) -> None:
    async with house(tmp_path, gates=[{"gate": "four_eyes", "type": "test.*", "when": "priority > 50"}]) as home:
        [shown] = (await home.person("reader").ok("order_types", name="test.ruled"))["types"]

    assert [(one["rule"], one["gate"], one["from"]) for one in shown["gates"]] == [
        ("small", "auto", "type"), ("large", "human", "type"), ("rule 1", "four_eyes", "settings"),
    ]  # fmt: skip


# rules of the settings

RISKY = {"name": "dear", "type": "test.*", "when": "payload.amount > 1000", "gate": "human"}
HARMLESS = {"name": "cheap", "when": "payload.amount <= 10 and diff.removed == 0", "gate": "auto"}


@pytest.mark.scenario("gates-by-rule")
@pytest.mark.parametrize(
    "payload, approval, rule",
    [({"amount": 1001}, "human", "dear"), ({"amount": 1000}, "manual", None), ({}, "manual", None)],
)
async def test_a_rule_of_the_settings_makes_a_gate_stricter(
    tmp_path: Path, payload: dict[str, Any], approval: str, rule: str | None
) -> None:
    async with house(tmp_path, gates=[RISKY]) as home:
        gate = await gate_of(home, await pages(home, tmp_path, **payload))

    assert (gate["approval"], gate["rule"]) == (approval, rule)


@pytest.mark.scenario("gates-by-rule")
async def test_a_rule_of_the_settings_does_not_make_a_gate_less_strict(tmp_path: Path) -> None:
    async with house(tmp_path, gates=[HARMLESS]) as home:
        gate = await gate_of(home, await pages(home, tmp_path, "test.sealed", amount=1))

    assert (gate["approval"], gate["rule"]) == ("four_eyes", None)


@pytest.mark.scenario("gates-by-rule", "auto-approval")
async def test_a_type_may_let_the_settings_make_its_gate_less_strict(tmp_path: Path) -> None:
    async with house(tmp_path, gates=[HARMLESS]) as home:
        order_id = await pages(home, tmp_path, amount=1)
        shown = await until.order_in(home.person("reader"), order_id, "completed")

    assert shown["decision"]["by"]["type"] == "system"


@pytest.mark.scenario("gates-by-rule", "four-eyes-hold")
async def test_a_person_asked_for_on_top_of_four_eyes_is_still_nobody_who_worked_on_it(tmp_path: Path) -> None:
    async with house(tmp_path, gates=[RISKY]) as home:
        order_id = await pages(home, tmp_path, "test.sealed", amount=5000)
        gate = await gate_of(home, order_id)
        await home.person("worker", kind="user").refused("approve", "self_approval", order_id=order_id)
        await home.person("other").refused("approve", "forbidden", order_id=order_id)
        answer = await home.person("other", kind="user").ok("approve", order_id=order_id)

    assert gate["approval"] == "human"
    assert gate["excluded"] == ["requester", "worker"]
    assert "neither proposed nor worked" in gate["who"]
    assert answer["applied"] is True


@pytest.mark.scenario("gates-by-rule", "digest-binds")
async def test_another_policy_makes_the_digest_stale(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        order_id = await pages(home, tmp_path, amount=2000)
        digest = (await home.person("reader").ok("review", order_id=order_id))["digest"]

    async with house(tmp_path, gates=[RISKY]) as home:
        error = await home.person("rita", kind="user").refused("approve", "stale", order_id=order_id, digest=digest)

    assert error["details"]["moved"] == ["policy"]


# what cannot be, stops the start


@pytest.mark.scenario("gates-refused-at-start")
@pytest.mark.parametrize(
    "rule, words",
    [
        ({"gate": "manual", "quorum": 0}, "gates[1]: quorum"),
        ({"gate": "human", "quorum": 21}, "less than or equal to 20"),
        ({"gate": "auto", "quorum": 2}, "the system is one"),
        ({"gate": "everybody"}, "'manual', 'auto', 'four_eyes' or 'human'"),
        ({"gate": "human", "when": "payload.amount >"}, "at character 17"),
        ({"gate": "human", "when": "amount > 1"}, "there is no amount"),
        ({"gate": "human", "type": "test.pge"}, "no order type is called 'test.pge'"),
        ({"gate": "human", "type": "test.page", "when": "payload.amonut > 1"}, "did you mean 'amount'"),
        ({"gate": "human", "wen": "true"}, "gates[1]: wen"),
    ],
)
async def test_a_rule_of_the_settings_that_cannot_be_stops_the_start(
    tmp_path: Path, rule: dict[str, Any], words: str
) -> None:
    with pytest.raises(SettingsError) as refusal:
        async with house(tmp_path, gates=[rule]):
            pass

    assert words in str(refusal.value)


@pytest.mark.scenario("gates-refused-at-start")
@pytest.mark.parametrize(
    "rules, words",
    [
        ("[{'gate': 'human', 'quorum': 0}]", "gates[1]: quorum"),
        ("[{'gate': 'human', 'when': 'payload.pages > 1'}]", "gates[1]: when: there is no 'pages'"),
        ("[{'gate': 'human'}, {'gate': 'human', 'when': '1 +'}]", "gates[2]: when"),
        ("[{'gate': 'human', 'type': 'x'}]", "gates[1] has 'type'"),
        ("['human']", "Make it a table"),
        ("'human'", "gates is 'human'"),
    ],
)
def test_a_rule_of_a_type_that_cannot_be_stops_the_start(tmp_path: Path, rules: str, words: str) -> None:
    file = tmp_path / "kind.py"
    file.write_text(f"""
from workdocket import Diff, OrderType

class Ruled(OrderType):
    name = "my.ruled"
    payload = {{"type": "object", "properties": {{"page": {{}}}}}}
    gates = {rules}

    def apply(self, order, ctx):
        return Diff()
""")

    with pytest.raises(BrokenType) as refusal:
        load([str(file)], entry_points=False)

    assert words in str(refusal.value)
    assert str(file) in str(refusal.value)


@pytest.mark.scenario("gates-by-rule", "types-declared")
def test_a_declared_type_has_rules_too(tmp_path: Path) -> None:
    (tmp_path / "note.toml").write_text(f"""
name = "my.note"
payload = {{ type = "object", properties = {{ text = {{ type = "string" }} }} }}
[[gates]]
name = "short"
when = "len(payload.text) < 100"
gate = "auto"
[effect]
kind = "file.write"
folder = {json.dumps(str(tmp_path))}
path = "note.txt"
text = {{ payload = "/text" }}
""")

    entry = load([str(tmp_path / "note.toml")], entry_points=False).get("my.note")

    assert [(rule.when.text, rule.gate.approval) for rule in entry.gates] == [("len(payload.text) < 100", "auto")]


# four eyes, whatever comes before


@pytest.mark.scenario("four-eyes-hold", "N26")
async def test_who_proposes_the_same_again_is_a_proposer_too(home: House) -> None:
    # given
    first, second, worker = home.person("first"), home.person("second"), home.person("worker")
    order_id = await first.propose("test.four_eyes", dedupe_key="k")
    for _ in range(2):
        assert await second.propose("test.four_eyes", dedupe_key="k") == order_id
    await worker.hand_in(await worker.take())

    # when
    error = await second.refused("approve", "self_approval", order_id=order_id)

    # then
    assert error["details"]["excluded"] == ["first", "second", "worker"]
    assert (await first.event_names(order_id)).count("order.proposed_again") == 1


@pytest.mark.scenario("four-eyes-hold")
async def test_who_joins_the_work_after_a_vote_takes_it_back(home: House) -> None:
    # given: one of two votes, by somebody who then proposes the same again
    order_id = await home.person("requester").propose("test.four_eyes", dedupe_key="k")
    worker, early = home.person("worker"), home.person("early")
    await worker.hand_in(await worker.take())
    await early.ok("approve", order_id=order_id)
    await early.propose("test.four_eyes", dedupe_key="k")

    # when
    answer = await home.person("other").ok("approve", order_id=order_id)

    # then
    assert answer["order"]["state"] == "submitted"
    assert (await gate_of(home, order_id))["approved_by"] == ["other"]


PEOPLE = ("ann", "bob", "cy", "dot")
WALKS, STEPS = 25, 40


@pytest.mark.scenario("four-eyes-hold")
async def test_no_sequence_of_calls_lets_a_proposer_or_worker_count(tmp_path: Path) -> None:
    async with house(tmp_path) as home:
        for _ in range(WALKS):
            await one_walk(home, Random())


async def one_walk(home: House, chance: Random) -> None:
    """Anybody does anything on one order; whoever ever proposed it or held an item of it is never among the votes."""
    key, involved = f"k{chance.random()}", set()
    leases: list[tuple[str, dict[str, Any]]] = []
    first = chance.choice(PEOPLE)
    order_id = await person(home, first, chance).propose("test.four_eyes", dedupe_key=key)
    involved.add(first)
    for _ in range(STEPS):
        name = chance.choice(PEOPLE)
        who = person(home, name, chance)
        match chance.choice(["take", "take", "use", "use", "propose", "rework", "approve", "approve", "time"]):
            case "take":
                for item in (await who.ok("checkout", order_id=order_id))["items"]:
                    leases.append((name, item))
                    involved.add(name)
            case "use" if leases:
                holder, item = chance.choice(leases)
                await use(person(home, holder, chance), item, chance)
            case "propose":
                if await who.propose("test.four_eyes", dedupe_key=key) == order_id:
                    involved.add(name)
            case "rework":
                await maybe(who, "reject", order_id=order_id, errors=[{"message": str(chance.random())}], rework=True)
            case "approve":
                answer = await maybe(who, "approve", order_id=order_id)
                assert answer is None or name not in involved, f"{name} of {involved} approved {order_id}"
            case "time":
                home.clock.forward(chance.choice([1, 61, 601]))
        if await who.state(order_id) in ("completed", "approved"):
            break
    decisions = [one for one in await home.person("reader").events(order_id) if one["event"] == "order.approved"]
    assert len(decisions) <= 1
    await maybe(home.person("rita"), "cancel", order_id=order_id)


def person(home: House, name: str, chance: Random) -> Person:
    """One principal, in whichever of its sessions, as an agent or at the command line."""
    one = home.person(name, kind=chance.choice(["agent", "user"]))
    one.caller = one.caller.known_as(agent=chance.choice([None, "laptop", "server"]))
    return one


async def use(who: Person, item: dict[str, Any], chance: Random) -> None:
    lease = held(item)
    tool, more = chance.choice(
        [
            ("release", {}),
            ("fail", {"reason": str(chance.random()), "retry_after_seconds": 0}),
            ("heartbeat", {}),
            ("submit", {"result": {"message": str(chance.random()), "verified": True}}),
            ("submit", {"result": {"message": str(chance.random()), "verified": True}}),
        ]
    )
    await maybe(who, tool, **lease, **more)


async def maybe(who: Person, tool: str, **arguments: Any) -> dict[str, Any] | None:
    """The answer, if it is not refused."""
    from workdocket.domain.errors import WorkError

    try:
        return await run_tool(who.app, who.caller, tool, arguments)
    except WorkError:
        return None


# no decision at all


@pytest.mark.scenario("review-outcomes")
async def test_an_order_that_nobody_decides_on_in_time_expires(tmp_path: Path) -> None:
    async with house(tmp_path, review_ttl_hours=2) as home:
        # given
        order_id = await pages(home, tmp_path)
        reader = home.person("reader")
        reasons = (await reader.ok("explain", order_id=order_id))["reasons"]
        home.clock.forward(2 * 3600 - 1)
        await home.app.sweeper.sweep()
        assert await reader.state(order_id) == "submitted"

        # when
        home.clock.forward(1)
        await home.app.sweeper.sweep()

        # then
        shown = (await reader.ok("get_order", order_id=order_id))["order"]
        assert (shown["state"], shown["outcome"], shown["error"]["code"]) == ("cancelled", "expired", "expired")
        cancelled = await until.event(home, reader, order_id, "order.cancelled")
        assert (cancelled["actor_type"], cancelled["data"]) == ("system", {"outcome": "expired"})
        [told] = [one for one in reasons if one["code"] == "review_expires"]
        assert told["earliest_at"] == cancelled["at"]


@pytest.mark.scenario("review-outcomes")
async def test_an_order_that_its_requester_takes_back_while_it_waits_is_withdrawn(home: House, tmp_path: Path) -> None:
    order_id = await pages(home, tmp_path)

    await home.person("requester").ok("cancel", order_id=order_id, reason="not needed any more")

    shown = (await home.person("reader").ok("get_order", order_id=order_id))["order"]
    assert (shown["state"], shown["outcome"]) == ("cancelled", "withdrawn")
    assert shown["error"]["message"] == "not needed any more"


@pytest.mark.scenario("review-outcomes")
async def test_what_somebody_else_cancels_is_neither(home: House, tmp_path: Path) -> None:
    order_id = await pages(home, tmp_path)

    await home.person("admin").ok("cancel", order_id=order_id)

    assert "outcome" not in (await home.person("reader").ok("get_order", order_id=order_id))["order"]


@pytest.mark.scenario("review-outcomes")
async def test_a_type_may_say_how_long_its_orders_wait(tmp_path: Path) -> None:
    file = tmp_path / "kind.py"
    file.write_text("""
from workdocket import Diff, OrderType

class Quick(OrderType):
    name = "my.quick"
    payload = {"type": "object"}
    review_ttl_hours = 0.5

    def apply(self, order, ctx):
        return Diff()
""")
    async with house(tmp_path, order_types=[str(TYPES), str(file)], review_ttl_hours=48) as home:
        agent = home.person("agent")
        order_id = await agent.propose("my.quick", {})
        await agent.hand_in(await agent.take(), {})
        home.clock.forward(1800)
        await home.app.sweeper.sweep()

        assert await agent.state(order_id) == "cancelled"
