"""The inbox at a terminal: a real process on a real terminal, a key for each decision, and the database afterwards."""

from __future__ import annotations

import asyncio
import os
import re
import select
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.support.harness import LIMIT, CountedIds, HandClock, House, house
from tests.support.terminal import Terminal, close, terminal

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there are no such terminals")

T = TypeVar("T")
IDS = CountedIds()
"""Shared, so that a house that is opened once more gives no id a second time."""

ECHOED = {"message": "hi", "verified": True}
ASKED = r"\n(WO-\d+)  [av] \w+ .*q quit\r\n> "
REASON, YES_OR_NO, MORE = r"\nreason> ", r"\napprove [^\n]*\? y or n > ", r"\n-- \d+ more lines?: [^>]*> "
SUM = r"\n[^\n]*\d+ left · [^\n]*\n"


def inside(folder: Path, work: Callable[[House], Awaitable[T]]) -> T:
    """What another process does meanwhile, or did before."""

    async def opened() -> T:
        async with house(folder, clock=HandClock(time.time_ns() // 1_000_000), ids=IDS) as home:
            return await work(home)

    return asyncio.run(opened())


async def ready(home: House, type: str, payload: Any, *results: Any, **more: Any) -> str:
    """An order that waits for a decision: filed by ben, done by agents."""
    order_id = await home.person("ben").propose(type, payload, **more)
    await done(home, order_id, *results)
    return order_id


async def done(home: House, order_id: str, *results: Any) -> None:
    agent = home.person("agent")
    for result in results:
        await agent.hand_in(await agent.take(order_id=order_id), result)


async def batch(home: House, *counts: int, **more: Any) -> str:
    return await ready(home, "test.batch", {"batches": len(counts)}, *({"count": n} for n in counts), **more)


def batches(folder: Path, *counts: int) -> list[str]:
    """Orders that are alike, in the order of their ids."""

    async def filed(home: House) -> list[str]:
        return [await batch(home, count) for count in counts]

    return inside(folder, filed)


async def echo(home: House, type: str = "test.echo", message: str = "hi", **more: Any) -> str:
    return await ready(home, type, {"message": message}, {"message": message, "verified": True}, **more)


async def redone(home: House, order_id: str) -> None:
    """Sent back and done again with another result, by somebody else."""
    cy = home.person("cy")
    answer = await cy.ok("reject", order_id=order_id, errors=[{"message": "count again"}], rework=True)
    await done(home, order_id, *[{"count": 7_777}] * answer["order"]["items_count"])


def states(folder: Path) -> dict[str, str]:
    async def look(home: House) -> dict[str, str]:
        found: dict[str, str] = {}
        more: dict[str, Any] = {}
        while True:
            answer = await home.person("ann").ok("list_orders", limit=100, **more)
            found |= {one["id"]: one["state"] for one in answer["orders"]}
            if "next_cursor" not in answer:
                return found
            more = {"cursor": answer["next_cursor"]}

    return inside(folder, look)


def decisions(folder: Path, actor: str = "ann") -> list[dict[str, Any]]:
    async def look(home: House) -> list[dict[str, Any]]:
        return [
            one
            for one in await home.person("ann").events()
            if one["event"] == "decision.recorded" and one["actor_id"] == actor
        ]

    return inside(folder, look)


@contextmanager
def inbox(folder: Path, **more: Any) -> Iterator[Terminal]:
    with terminal(folder, "--actor", "ann", "review", until="q leaves > ", **more) as met:
        yield met


def next_order(screen: Terminal) -> str | None:
    """The order that the next question is about, nothing at the end; what is longer than the screen is read on."""
    while (found := screen.until(ASKED, MORE, SUM))[0].startswith("\n--"):
        screen.press("\n")
    return found[1]


def meet(screen: Terminal) -> str:
    order_id = next_order(screen)
    assert order_id is not None, screen.lines
    return order_id


def meet_after(screen: Terminal, key: str) -> str:
    screen.press(key)
    return meet(screen)


def begin(screen: Terminal) -> str:
    screen.press("\n")
    return meet(screen)


def give_reasons(screen: Terminal, *reasons: str) -> None:
    for reason in (*reasons, ""):
        screen.until(REASON)
        screen.press(f"{reason}\n")


# a hundred


async def seeded(home: House) -> dict[str, str]:
    """100 orders by what they are: 60 alike, 20 without a preview, 10 for a person, 5 for two, 5 not fit."""
    kinds: dict[str, str] = {}
    for n in range(20):
        kinds[await batch(home, n + 1)] = "alike"
        kinds[await batch(home, n + 1, n + 2, priority=n % 2)] = "alike"
        kinds[await batch(home, 100 + n)] = "alike"
        kinds[await echo(home, message=f"hello {n}")] = "echo"
        if n % 2:
            kinds[await echo(home, "test.human")] = "human"
        if n % 4 == 0:
            kinds[await echo(home, "test.four_eyes")] = "for two"
        if n % 4 == 1:
            kinds[await batch(home, 0)] = "unfit"
    return kinds


def approve_together(screen: Terminal, folder: Path) -> tuple[set[str], str]:
    """All that are alike, of which one is changed by another process after it was shown: those, and that one."""
    screen.press("g")
    shown = ""
    while (found := screen.until(MORE, YES_OR_NO))[0].startswith("\n--"):
        shown += found.string[: found.start()]
        screen.press("\n")
    members = re.findall(r"^(WO-\d+)  [0-9a-f]{12}", shown + found.string, re.M)
    changed = members[3]
    inside(folder, lambda home: redone(home, changed))
    screen.press("y")
    screen.until(f"left out: {changed}: stale")
    return set(members) - {changed}, changed


@pytest.mark.scenario("terminal-inbox", "terminal-inbox-group")
def test_a_queue_of_100_mixed_orders_is_cleared_and_the_database_is_what_was_decided(tmp_path: Path) -> None:
    kinds = inside(tmp_path, seeded)
    assert Counter(states(tmp_path).values()) == {"submitted": 100}
    expected: dict[str, str] = {}
    alone = 0
    changed = None

    started = time.monotonic()
    with inbox(tmp_path) as screen:
        order_id: str | None = begin(screen)
        while order_id is not None:
            expected[order_id] = "completed"
            match kinds[order_id]:
                case "alike" if alone < 10 or order_id == changed:
                    alone += 1
                    screen.press("a")
                case "alike":
                    together, changed = approve_together(screen, tmp_path)
                    expected |= dict.fromkeys(together, "completed")
                case "echo" if len(expected) % 4 == 0:
                    screen.press("s")
                    expected[order_id] = "submitted"
                case "echo" if len(expected) % 4 == 1:
                    screen.press("r")
                    give_reasons(screen, "We do not say that.")
                    expected[order_id] = "rejected"
                case "for two":
                    screen.press("a")
                    screen.until("another reviewer has to approve too")
                    expected[order_id] = "submitted"
                case "unfit":
                    screen.press("a")
                    screen.until("not_ready")
                    assert meet(screen) == order_id
                    screen.press("w")
                    give_reasons(screen, "Nothing was processed.", "Count again.")
                    expected[order_id] = "queued"
                case _:
                    screen.press("a")
            order_id = next_order(screen)
        assert screen.ended() == 0
    took = time.monotonic() - started

    assert states(tmp_path) == expected
    counted = Counter(expected.values())
    assert set(counted) == {"completed", "rejected", "submitted", "queued"}
    assert {one["order_id"] for one in decisions(tmp_path)} == {
        one for one, state in expected.items() if state != "submitted" or kinds[one] == "for two"
    }
    print(f"\n100 orders at a terminal, of them {counted['completed']} approved: {took:.1f} s")


# what others do meanwhile


@pytest.mark.scenario("terminal-inbox-meanwhile")
def test_an_order_that_moved_is_shown_again_with_what_moved_before_it_can_be_approved(tmp_path: Path) -> None:
    [order_id] = batches(tmp_path, 3)
    with inbox(tmp_path) as screen:
        assert begin(screen) == order_id
        inside(tmp_path, lambda home: redone(home, order_id))

        screen.press("a")
        shown = screen.until("what moved: results, preview[^\n]*\n")
        assert meet(screen) == order_id

        assert "stale: " in shown.string
        assert states(tmp_path) == {order_id: "submitted"}
        assert any("7777" in line for line in screen.lines)
        screen.press("a")
        screen.until("1 approved · 0 left")
        assert screen.ended() == 0
    assert states(tmp_path) == {order_id: "completed"}


@pytest.mark.scenario("terminal-inbox-meanwhile")
@pytest.mark.parametrize("key", ["r", "w"])
def test_an_order_that_moved_is_not_turned_down_unseen(tmp_path: Path, key: str) -> None:
    [order_id] = batches(tmp_path, 3)
    with inbox(tmp_path) as screen:
        begin(screen)
        screen.press(key)
        screen.until(REASON)
        inside(tmp_path, lambda home: redone(home, order_id))

        screen.press("no\n\n")
        screen.until("is not what was shown any more; nothing was done")

        assert meet(screen) == order_id
    assert states(tmp_path) == {order_id: "submitted"}
    assert decisions(tmp_path) == []


@pytest.mark.scenario("terminal-inbox-meanwhile")
def test_what_somebody_else_decided_meanwhile_is_told_and_the_next_one_shown(tmp_path: Path) -> None:
    first, second, third = batches(tmp_path, 3, 3, 3)
    with inbox(tmp_path) as screen:
        assert begin(screen) == first
        inside(tmp_path, lambda home: home.person("cy").ok("approve", order_id=first))
        inside(tmp_path, lambda home: home.person("dee").ok("reject", order_id=second, errors=[{"message": "no"}]))

        screen.press("a")
        screen.until(rf"{first} is completed by now \(approve by cy\)")
        screen.until(rf"{second} is rejected by now \(reject by dee\)")

        assert meet(screen) == third
        screen.press("s")
        screen.until("1 skipped · 2 decided meanwhile · 1 left")
    assert decisions(tmp_path) == []


@pytest.mark.scenario("terminal-inbox-group")
def test_a_group_is_approved_only_when_all_of_it_was_shown_and_agreed_to(tmp_path: Path) -> None:
    batches(tmp_path, *range(1, 13))
    with inbox(tmp_path) as screen:
        order_id = begin(screen)

        screen.press("g")
        screen.until(MORE)
        screen.press("q")
        screen.until("not all of them were shown; nothing was done")
        assert meet(screen) == order_id
        screen.press("g")
        screen.until(MORE)
        screen.press("\n")
        screen.until(YES_OR_NO)
        screen.press("n")
        screen.until("nothing was done")

        assert meet(screen) == order_id
    assert set(states(tmp_path).values()) == {"submitted"}


@pytest.mark.scenario("terminal-inbox-group")
def test_orders_that_something_stands_against_are_not_approved_as_a_group(tmp_path: Path) -> None:
    batches(tmp_path, 0)
    with inbox(tmp_path) as screen:
        order_id = begin(screen)
        screen.press("g")
        screen.until("these are decided on one by one: findings: empty_batch")
        assert meet(screen) == order_id


# refusals


@pytest.mark.scenario("terminal-inbox")
def test_a_refusal_is_told_in_words_and_the_reviewer_goes_on(tmp_path: Path) -> None:
    async def filed_by_ann(home: House) -> str:
        order_id = await home.person("ann").propose("test.four_eyes", {"message": "hi"})
        await done(home, order_id, ECHOED)
        return order_id

    own = inside(tmp_path, filed_by_ann)
    other = inside(tmp_path, echo)
    with inbox(tmp_path) as screen:
        assert meet_after(screen, "\n") == own

        screen.press("a")
        screen.until("self_approval: ann proposed or worked on WO-1")
        assert meet(screen) == own
        assert meet_after(screen, "s") == other
        screen.press("a")

        screen.until("1 approved · 1 skipped · 1 left")
        assert screen.ended() == 0
    assert states(tmp_path) == {own: "submitted", other: "completed"}


@pytest.mark.scenario("terminal-inbox")
def test_a_change_that_can_not_be_made_is_told_and_the_reviewer_goes_on(tmp_path: Path) -> None:
    broken = inside(tmp_path, lambda home: ready(home, "test.raising", {"raise_in": "apply"}, {}))
    hidden = inside(tmp_path, lambda home: ready(home, "test.raising", {"raise_in": "preview"}, {}))
    with inbox(tmp_path) as screen:
        assert begin(screen) == broken
        screen.press("a")
        screen.until("apply_failed: ")
        screen.until(f"{hidden} cannot be shown: internal: ")
        screen.until("1 skipped · 1 approved, not applied · 1 left")
        assert screen.ended() == 0
    assert states(tmp_path)[hidden] == "submitted"


def held_up(folder: Path) -> tuple[str, int]:
    """An order whose change, once begun, waits at ``go-on``; and where it says that it has begun."""
    for name in ("begun", "go-on"):
        os.mkfifo(folder / name)
    pauses = {"pause_before": str(folder / "begun"), "pause_after": str(folder / "go-on")}
    payload = {"file": str(folder / "ledger"), **pauses}
    order_id = inside(folder, lambda home: ready(home, "test.ledger", payload, {}, priority=1))
    return order_id, os.open(folder / "begun", os.O_RDONLY | os.O_NONBLOCK)


def met(fifo: int) -> None:
    """Wait until the change has come to this point."""
    assert select.select([fifo], [], [], LIMIT)[0]
    assert os.read(fifo, 16) == b"here\n"
    close(fifo)


def go_on(folder: Path) -> None:
    met(os.open(folder / "go-on", os.O_RDONLY | os.O_NONBLOCK))


@pytest.mark.scenario("terminal-inbox")
def test_a_change_that_takes_its_time_holds_up_no_other_decision_and_its_outcome_is_told(tmp_path: Path) -> None:
    slow, begun = held_up(tmp_path)
    batches(tmp_path, 3)
    with inbox(tmp_path) as screen:
        assert begin(screen) == slow
        screen.press("a")
        screen.until(f"{slow}: its change is being made")
        meet(screen)
        screen.press("a")
        screen.until(f"waiting for {slow} to be applied")
        met(begun)
        go_on(tmp_path)
        screen.until(f"{slow} approved and applied")
        screen.until("2 approved · 0 left")
        assert screen.ended() == 0
    assert set(states(tmp_path).values()) == {"completed"}


# what can be done


@pytest.mark.scenario("terminal-inbox")
def test_items_are_sent_back_one_by_one_with_reasons_of_their_own(tmp_path: Path) -> None:
    order_id = inside(tmp_path, lambda home: batch(home, 1, 2, 3))
    with inbox(tmp_path) as screen:
        begin(screen)
        screen.press("w")
        screen.until("items> ")
        screen.press("1, 3\n")
        screen.until(f"What is wrong with {order_id}.1")
        give_reasons(screen, "too few", "and late")
        screen.until(f"What is wrong with {order_id}.3")
        give_reasons(screen, "too many")
        screen.until("1 sent back")
        assert screen.ended() == 0

    [decision] = decisions(tmp_path)
    given = [(one["item_id"], one["message"]) for one in decision["data"]["errors"]]
    assert given == [
        (f"{order_id}.1", "too few"), (f"{order_id}.1", "and late"), (f"{order_id}.3", "too many"),
    ]  # fmt: skip
    items = inside(tmp_path, lambda home: home.person("ann").ok("get_order", order_id=order_id))["items"]
    assert [item["state"] for item in items] == ["queued", "submitted", "queued"]


@pytest.mark.scenario("terminal-inbox")
@pytest.mark.parametrize("answers", ["r\n", "w\n", "w4\n"])
def test_without_a_reason_nothing_is_turned_down(tmp_path: Path, answers: str) -> None:
    [order_id] = batches(tmp_path, 1)
    with inbox(tmp_path) as screen:
        begin(screen)
        screen.press(answers[0])
        screen.until(REASON)
        screen.press("\n")
        screen.until("no reason given; nothing was done")
        assert meet(screen) == order_id
    assert states(tmp_path) == {order_id: "submitted"}


@pytest.mark.scenario("terminal-inbox")
def test_a_comment_goes_with_the_decision_and_only_with_that_one(tmp_path: Path) -> None:
    batches(tmp_path, 1, 2)
    with inbox(tmp_path) as screen:
        begin(screen)
        screen.press("c")
        screen.until("comment> ")
        screen.press("checked against the catalogue\n")
        meet(screen)
        assert meet_after(screen, "a") == "WO-2"
        screen.press("a")
        screen.until("2 approved")
        assert screen.ended() == 0
    assert [one.get("message") for one in decisions(tmp_path)] == ["checked against the catalogue", None]


@pytest.mark.scenario("terminal-inbox")
def test_one_can_go_back_to_what_was_skipped_and_to_a_group(tmp_path: Path) -> None:
    batches(tmp_path, 1, 2, 3)
    inside(tmp_path, echo)
    with inbox(tmp_path) as screen:
        screen.press("2\n")
        assert [meet(screen), meet_after(screen, "s"), meet_after(screen, "s")] == ["WO-1", "WO-2", "WO-3"]
        assert [meet_after(screen, "b"), meet_after(screen, "b")] == ["WO-2", "WO-1"]
        screen.press("l")
        screen.until("q leaves > ")
        assert meet_after(screen, "1\n") == "WO-4"


@pytest.mark.scenario("terminal-inbox")
def test_all_of_a_diff_and_the_events_are_a_key_away(tmp_path: Path) -> None:
    text = "\n".join(f"line {n}" for n in range(3_000))
    inside(tmp_path, lambda home: echo(home, message=text))
    with inbox(tmp_path) as screen:
        begin(screen)
        assert not any("line 2999" in line for line in screen.lines)
        screen.press("e")
        screen.until("order.submitted")
        meet(screen)
        screen.press("d")
        while screen.until(MORE, ASKED)[0].startswith("\n--"):
            screen.press("\n")
        assert any("line 2999" in line for line in screen.lines)


@pytest.mark.scenario("terminal-inbox")
def test_single_items_are_refused_for_good_and_the_order_goes_on(tmp_path: Path) -> None:
    order_id = inside(tmp_path, lambda home: batch(home, 1, 2))
    with inbox(tmp_path) as screen:
        begin(screen)
        screen.press("o")
        screen.until("items> ")
        screen.press("2\n")
        give_reasons(screen, "not this one")
        assert meet(screen) == order_id
        screen.press("a")
        screen.until("1 approved · 0 left")
        assert screen.ended() == 0
    answer = inside(tmp_path, lambda home: home.person("ann").ok("get_order", order_id=order_id))
    assert (answer["order"]["state"], answer["items"][1]["state"]) == ("completed", "rejected")


@pytest.mark.scenario("terminal-inbox")
def test_an_item_that_failed_is_waived_and_the_order_then_decided_on(tmp_path: Path) -> None:
    async def half_failed(home: House) -> str:
        order_id = await home.person("ben").propose("test.batch", {"batches": 2})
        agent = home.person("agent")
        await agent.hand_in(await agent.take(order_id=order_id), {"count": 1})
        item = await agent.take(order_id=order_id)
        held = {"item_id": item["id"], "lease_token": item["lease"]["token"]}
        await agent.ok("fail", **held, reason="cannot", retryable=False)
        return order_id

    order_id = inside(tmp_path, half_failed)
    with inbox(tmp_path) as screen:
        assert begin(screen) == order_id
        screen.press("v")
        give_reasons(screen, "one is enough")
        screen.until("is left out")
        assert meet_after(screen, "\n") == order_id
        screen.press("a")
        screen.until("1 approved")
        assert screen.ended() == 0
    assert states(tmp_path) == {order_id: "completed"}


# terminals of every kind


HOSTILE = "\x1b[2J\x1b[1;1H\x1b]0;owned\x07 \x9b31m \u202etxt.exe\u2066 \r\nWO-1 approved and applied\r\n> a\n"
FAKES = ("digest 000000000000", "WO-1  a approve  r reject", "approve 1 order on these digests? y or n >")


def own_lines(screen: Terminal) -> list[str]:
    """The lines that begin at the left margin."""
    return [line for line in screen.lines if line[:1].strip()]


@pytest.mark.scenario("terminal-inbox-harmless")
@pytest.mark.parametrize("columns", [44, 80])
def test_what_agents_wrote_can_neither_steer_the_terminal_nor_pass_for_the_inbox(tmp_path: Path, columns: int) -> None:
    walls = "".join(fake.ljust(columns - 1) * (2 * columns) for fake in FAKES)  # at the margin, wherever that is
    result = {"message": HOSTILE + walls, HOSTILE + walls: walls, "verified": True}

    async def hostile(home: House) -> None:
        order_id = await home.person("ben").propose(payload={"message": HOSTILE})
        agent = home.person("agent")
        item = await agent.take(order_id=order_id)
        await agent.hand_in(item, result, evidence={"log": HOSTILE}, notes=HOSTILE + walls[:300])
        await batch(home, 0)

    inside(tmp_path, hostile)
    with inbox(tmp_path, columns=columns) as screen:
        screen.press("\n")
        for key in ("d", "e", "g", "-", "s", "d", "s"):
            while (found := screen.until(MORE, YES_OR_NO, ASKED))[0].startswith("\n--"):
                screen.press("\n")
            screen.press("n" if "y or n" in found[0] else key)
        assert screen.ended() == 0

    assert [one for one in screen.shown if not one.isprintable() and one not in "\r\n"] == []
    questions = ("WO-1  a approve", "WO-2  a approve", "-- ", "Enter begins", "approve 1 order on")
    assert [one for one in screen.lines if len(one) > columns and not one.startswith(questions)] == []
    said = own_lines(screen)
    assert [line for line in said if "000000" in line or "approved and applied" in line] == []
    assert states(tmp_path) == {"WO-1": "submitted", "WO-2": "submitted"}


@pytest.mark.scenario("terminal-inbox-harmless")
@pytest.mark.parametrize(
    "more, coloured",
    [({"TERM": "dumb"}, False), ({"TERM": "xterm-256color"}, True), ({"TERM": "xterm", "NO_COLOR": "1"}, False),
     ({"TERM": "unknown"}, False), ({"TERM": "not-a-terminal"}, True)],
    ids=["dumb", "colours", "no-color", "unknown", "unheard-of"],
)  # fmt: skip
def test_it_works_on_any_terminal_with_colours_only_where_they_are_wanted(
    tmp_path: Path, more: dict[str, str], coloured: bool
) -> None:
    [order_id] = batches(tmp_path, 1)
    with inbox(tmp_path, **more) as screen:
        begin(screen)
        screen.press("a")
        screen.until("1 approved · 0 left")
        assert screen.ended() == 0

    assert bool(re.search("\x1b\\[[0-9;]*3[0-7]m", screen.shown)) is coloured
    assert set(re.findall("\x1b\\[[0-9;?]*(.)", screen.shown)) <= {"m"}
    assert max(map(len, screen.lines)) <= 80
    assert states(tmp_path) == {order_id: "completed"}


@pytest.mark.scenario("terminal-inbox")
def test_what_was_typed_before_a_question_is_no_answer_to_it(tmp_path: Path) -> None:
    batches(tmp_path, 1, 2, 3)
    with inbox(tmp_path) as screen:
        begin(screen)
        screen.press("aaaa\x1b[Aa")
        assert meet(screen) == "WO-2"
        screen.press("\x1b[B")
        screen.until("is no key here")
        assert meet(screen) == "WO-2"
    assert sorted(states(tmp_path).values()) == ["completed", "submitted", "submitted"]


@pytest.mark.scenario("terminal-inbox")
def test_answers_can_come_through_a_pipe_a_line_each(tmp_path: Path) -> None:
    batches(tmp_path, 1, 2, 3, 4)
    with inbox(tmp_path, piped=True) as screen:
        screen.press("\na\nnonsense\nr\nWe do not want it.\n\ns\na")  # the last line is cut off
        close(screen.keyboard)
        screen.until("leaving; what is decided is decided")
        screen.until("1 approved · 1 rejected · 1 skipped · 2 left")
        assert screen.ended() == 0
    assert list(states(tmp_path).values()) == ["completed", "rejected", "submitted", "submitted"]


# leaving


@pytest.mark.scenario("terminal-inbox-leave")
@pytest.mark.parametrize("leave", ["\x03", "\x04"], ids=["Ctrl-C", "end of input"])
@pytest.mark.parametrize("into", ["", "r", "g", "c"], ids=["a key", "reasons", "a group", "a comment"])
def test_leaving_at_any_question_does_nothing_and_leaves_the_terminal_as_it_was(
    tmp_path: Path, leave: str, into: str
) -> None:
    first, second = batches(tmp_path, 3, 3)
    with inbox(tmp_path) as screen:
        begin(screen)
        screen.press("a")
        assert meet(screen) == second
        if into:
            screen.press(into)
            screen.until(f"{REASON}|{YES_OR_NO}|comment> ")
        screen.press(leave)
        screen.until("leaving; what is decided is decided")
        screen.until("1 approved · 1 left")
        assert screen.ended() == 0
    assert states(tmp_path) == {first: "completed", second: "submitted"}


@pytest.mark.scenario("terminal-inbox-leave")
def test_ctrl_c_while_a_change_is_being_made_lets_it_finish_and_then_leaves(tmp_path: Path) -> None:
    slow, begun = held_up(tmp_path)
    [other] = batches(tmp_path, 3)
    with inbox(tmp_path) as screen:
        begin(screen)
        screen.press("a")
        met(begun)

        screen.press("\x03")
        screen.until("\\^C")
        go_on(tmp_path)

        screen.until(f"{slow} approved and applied")
        screen.until("1 approved · 1 left")
        assert screen.ended() == 0
    assert states(tmp_path) == {slow: "completed", other: "submitted"}


@pytest.mark.scenario("terminal-inbox-leave")
def test_a_terminal_that_is_gone_ends_it(tmp_path: Path) -> None:
    [order_id] = batches(tmp_path, 3)
    with inbox(tmp_path) as screen:
        begin(screen)
        close(screen.screen)
        screen.process.wait(LIMIT)
    assert states(tmp_path) == {order_id: "submitted"}


@pytest.mark.scenario("terminal-inbox")
def test_an_empty_queue_says_so(tmp_path: Path) -> None:
    inside(tmp_path, lambda home: home.person("ben").propose())
    with terminal(tmp_path, "review", until="nothing decided · 0 left") as screen:
        assert screen.ended() == 0
