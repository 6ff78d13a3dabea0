"""States, events and errors: what the product is made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, combinations, groupby
from typing import Any

from pages import page
from pages.prose import names, table, text


@page("states.md")
def states() -> Iterator[str]:
    from workdocket.domain.machine import ITEM_TABLE, OPEN, ORDER_TABLE, TERMINAL, joint

    yield from text(f"""
        # States

        Two tables, and nothing else changes a state. Every row writes exactly one [event](events.md). What no row has
        is refused as `illegal_transition`: nothing is changed, and the refusal names what is allowed instead. Nothing
        leaves {names(TERMINAL)}. Commands in *italics* follow by themselves, from time or from another command.

        ## Work orders
    """)
    yield from _diagram(ORDER_TABLE, OPEN)
    yield ""
    yield from _rows(ORDER_TABLE)
    yield ""
    yield from text(f"""
        ### The joint state of the items

        While an order is {names(OPEN, "or")}
        it follows its items: the state is asked anew after every change of an item, in the same transaction. The first
        line that holds gives it. Accepted work counts as submitted. Items that were `rejected` alone, or `cancelled`
        since they had failed (`waive`), do not count: the order goes on without them. A change that leaves the state as
        it was writes no event. An order that failed in its apply stays failed until somebody acts.
    """)
    yield from table(["the items", "the order", "event"], [[when, f"`{to}`", f"`order.{to}`"] for when, to in _JOINT])
    yield from text("That is, for every mixture of item states:")
    ones = ("queued", "leased", "in_progress", "submitted", "failed")
    mixtures: dict[str, list[str]] = {}
    for mixture in chain.from_iterable(combinations(ones, size) for size in range(1, len(ones) + 1)):
        mixtures.setdefault(joint(mixture), []).append(" + ".join(mixture))
    most = max(mixtures, key=lambda state: len(mixtures[state]))
    yield from table(
        ["the items", "the order"],
        [["; ".join(mixtures[state]), f"`{state}`"] for state in OPEN if state != most] + [["all others", f"`{most}`"]],
    )
    yield from text("## Work items")
    yield from _diagram(ITEM_TABLE, ())
    yield ""
    yield from _rows(ITEM_TABLE)


_JOINT = [
    ("every item is submitted", "submitted"),
    ("any item has failed and none is queued, leased or in progress", "failed"),
    ("any item is in progress or submitted", "in_progress"),
    ("any item is leased", "checked_out"),
    ("else", "queued"),
]


def _asked(command: str) -> str:
    from workdocket.domain.machine import ASKED, CAUSED

    words = ASKED.get(command, command).replace("_", " ")
    return f"*{words}*" if command in CAUSED else words


def _target(row: Any) -> str:
    from workdocket.domain.machine import JOINT

    return "the joint state" if row.target == JOINT else f"`{row.target}`"


def _rows(rows: Iterable[Any]) -> Iterator[str]:
    return table(
        ["from", "command", "to", "event"],
        [
            [
                names(row.sources, ""),
                _asked(row.command),
                _target(row),
                f"`{row.event}`",
            ]
            for row in rows
        ],
    )


def _diagram(rows: Iterable[Any], following: Sequence[str]) -> Iterator[str]:
    """One arrow for each pair of states, with every command that takes it."""
    from workdocket.domain.machine import JOINT, TERMINAL

    arrows: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for source in row.sources:
            target = "joint" if row.target == JOINT else row.target
            arrows.setdefault((source, target), []).append(_asked(row.command).strip("*"))
    yield "```mermaid"
    yield "stateDiagram-v2"
    if following:
        yield "    state joint <<choice>>"
    yield "    [*] --> queued"
    yield from (f"    {source} --> {target}: {', '.join(labels)}" for (source, target), labels in arrows.items())
    yield from (f"    {state} --> joint: an item moves" for state in following if (state, "joint") not in arrows)
    yield from (f"    joint --> {state}" for state in following)
    yield from (f"    {state} --> [*]" for state in TERMINAL)
    yield "```"


@page("events.md")
def events() -> Iterator[str]:
    from workdocket.domain.events import EVENTS
    from workdocket.domain.machine import ITEM_TABLE, OPEN, ORDER_TABLE

    moves: dict[str, str] = {}
    for row in (*ITEM_TABLE, *ORDER_TABLE):
        way = f"{names(row.sources, '')} → {_target(row)}"
        moves[row.event] = f"{moves[row.event]}, or {way}" if row.event in moves else way
    moves |= {f"order.{state}": f"by its items → `{state}`" for state in OPEN}
    yield from text("""
        # Events

        The audit trail: one row for every change, written in the transaction of the change and never altered. The hash
        of each row covers the row before it. An event moves what it is about along the tables of [states](states.md);
        one that names no states moves nothing.
    """)
    for subject, each in groupby(EVENTS.items(), lambda event: event[0].partition(".")[0]):
        yield from text(f"## {subject.replace('_', ' ').capitalize()}")
        yield from table(
            ["event", "what it says", "from → to"],
            [[f"`{name}`", meaning, moves.get(name, "")] for name, meaning in each],
        )


@page("errors.md")
def errors() -> Iterator[str]:
    from workdocket.domain.errors import CATALOGUE

    yield from text("""
        # Errors

        Every refusal has a code of this table, at every door. Over MCP it is a tool result with the error flag, one
        line of text (`code: message. next step`) and the object below.

        ```json
        {"error": {"code": "...", "message": "...", "hint": "...", "retryable": false, "details": {}}}
        ```

        `retryable`: the same call may succeed later without being changed; `retry_after_seconds` says when, where that
        is known. What a check found is in `details.findings`, all at once: `code`, `path` (a JSON Pointer) and
        `message`.
    """)
    yield from table(
        ["code", "HTTP", "retryable", "meaning", "what to do"],
        [
            [f"`{kind.code}`", str(kind.http), "yes" if kind.retryable else "no", kind.meaning, kind.hint]
            for kind in CATALOGUE.values()
        ],
    )
