"""``workdocket review`` at a terminal: one order after the other, a key for each decision."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import TextIOWrapper

from workdocket.domain.errors import WorkError
from workdocket.surfaces import wire
from workdocket.surfaces.cli import inbox_decide as decide
from workdocket.surfaces.cli import inbox_view as view
from workdocket.surfaces.cli import show
from workdocket.surfaces.cli.inbox_decide import Next
from workdocket.surfaces.cli.inbox_desk import Desk
from workdocket.surfaces.cli.inbox_house import opened
from workdocket.surfaces.cli.inbox_keys import Ended, answers, asked
from workdocket.surfaces.cli.inbox_queue import FAILED, Packet, Row, groups
from workdocket.surfaces.cli.run import Session

MOST_EVENTS = 40
ASK: Next = "ask"
SHOW: Next = "show"


class Leave(Exception):
    """Enough for now."""


def run(session: Session) -> None:
    """Until nothing waits any more, or somebody leaves."""
    for stream, unfit in ((sys.stdin, "replace"), (sys.stdout, "backslashreplace")):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors=unfit)
    with opened(session) as house:
        if sys.stderr.isatty():
            for handler in logging.getLogger().handlers:
                handler.setFormatter(view.Aside())
        _sit_down(Desk(house, answers()))


def _sit_down(desk: Desk) -> None:
    try:
        while rows := desk.unseen():
            desk.rows, desk.at = rows, 0
            desk.seen |= {row.id: row for row in rows}
            _list(desk)
            _go_through(desk)
    except Leave:
        pass
    except (Ended, KeyboardInterrupt):
        asked("\n")
        view.tell("leaving; what is decided is decided, nothing else was done")
    finally:
        desk.wait_for_begun()
        desk.sum_up()


def _go_through(desk: Desk) -> None:
    while desk.at < len(desk.rows):
        row, desk.comment = desk.rows[desk.at], None
        if row.decided or _settle(desk, row) != "back":
            desk.at += 1


def _settle(desk: Desk, row: Row) -> Next:
    """Show one order and do what is asked for, until there is another place to go to."""
    failed, step = row.shape.words == FAILED, SHOW
    while step == "show":
        view.fit()
        packet = desk.failed_order(row) if failed else desk.packet(row)
        if packet is None:
            return "next"
        view.page(["", *(view.failed(packet) if failed else view.packet(packet))], desk.answers)
        step = _ask(desk, row, packet)
    return step


def _ask(desk: Desk, row: Row, packet: Packet) -> Next:
    keys, step = _keys(row), ASK
    words = "  ".join(f"{key} {one.word}" for key, one in keys.items() if one.prompted)
    while step == "ask":
        desk.hear()
        view.tell(desk.progress(), style="dim")
        desk.obey()
        pressed = desk.answers.key(f"{row.id}  {words}\n> ")
        if pressed in keys:
            step = keys[pressed].act(desk, row, packet)
        elif pressed:
            view.tell(f"{pressed[:8]!r} is no key here; ? shows them")
    return step


# what is no decision


def comment(desk: Desk, row: Row, packet: Packet) -> Next:
    desk.comment = desk.answers.line("comment> ").strip() or None
    view.tell(f"with the decision goes: {desk.comment}" if desk.comment else "no comment")
    return "ask"


def skip(desk: Desk, row: Row, packet: Packet) -> Next:
    desk.close(row, "skipped")
    return "next"


def back(desk: Desk, row: Row, packet: Packet) -> Next:
    before = [n for n, one in enumerate(desk.rows[: desk.at]) if not one.decided]
    if not before:
        view.tell("there is nothing to decide before this one")
        return "ask"
    desk.at = before[-1]
    return "back"


def whole(desk: Desk, row: Row, packet: Packet) -> Next:
    try:
        all_of_it = desk.house.whole(row.id)
    except WorkError as error:
        return decide.refused(desk, row, packet, error)
    if all_of_it["digest"] != packet["digest"]:
        view.tell(f"{row.id} changed meanwhile; this is how it is now:", style="yellow")
        return "show"
    view.page(view.packet(all_of_it, whole=True), desk.answers)
    return "ask"


def events(desk: Desk, row: Row, packet: Packet) -> Next:
    answer = desk.house.ask("events", order_id=row.id, limit=MOST_EVENTS)
    view.page(view.captured(lambda: show.events({"events": answer["events"]})), desk.answers)
    if "next_cursor" in answer:
        view.tell(f"more: workdocket events --order {row.id} --after {answer['next_cursor']}")
    return "ask"


def elsewhere(desk: Desk, row: Row, packet: Packet) -> Next:
    _list(desk)
    return "back"


def _list(desk: Desk) -> None:
    """What is left, in groups; a number goes to the group."""
    left = [row for row in desk.rows if not row.decided]
    of_kind = groups(left)
    view.tell(f"{show.many(len(left), 'order')} to decide on", style="bold")
    view.page(view.captured(lambda: view.overview(of_kind)), desk.answers)
    wanted = desk.answers.line("Enter begins, a number goes to that group, q leaves > ").strip()
    if wanted == "q":
        raise Leave
    if wanted.isascii() and wanted.isdecimal() and 0 < int(wanted) <= len(of_kind):
        desk.at = desk.rows.index(of_kind[int(wanted) - 1][1][0])


def explain(desk: Desk, row: Row, packet: Packet) -> Next:
    show.table("", ("key", "", ""), [(key, one.word, one.help) for key, one in _keys(row).items()])
    return "ask"


def leave(desk: Desk, row: Row, packet: Packet) -> Next:
    raise Leave


@dataclass(frozen=True)
class Key:
    """What a key does. ``prompted`` ones are named in every question."""

    word: str
    help: str
    act: Callable[[Desk, Row, Packet], Next]
    prompted: bool = False


def _keys(row: Row) -> Mapping[str, Key]:
    return FAILED_KEYS if row.shape.words == FAILED else KEYS


ANYWHERE = {
    "c": Key("comment", "a comment that goes with the decision", comment),
    "s": Key("skip", "leave it for later", skip, prompted=True),
    "b": Key("back", "the one before that is not decided", back),
    "e": Key("events", "what happened to it so far", events),
    "l": Key("list", "the groups, to go to one of them", elsewhere),
    "?": Key("help", "the keys", explain, prompted=True),
    "q": Key("quit", "leave; what is decided is decided", leave, prompted=True),
}

ONLY_ITEMS = {"o": Key("only items", "refuse items for good; it goes on without them", decide.only_items)}

KEYS = {
    "a": Key("approve", "approve what is shown, under the digest that is shown", decide.approve, prompted=True),
    "r": Key("reject", "refuse it for good, with reasons", decide.reject, prompted=True),
    "w": Key("rework", "send it, or items of it, back to work with reasons", decide.rework, prompted=True),
    **(ONLY_ITEMS if "only_items" in wire.Reject.model_fields else {}),
    "g": Key("group", "approve all of its group, under the digests that are shown", decide.group, prompted=True),
    "d": Key("diff", "all of the diff, and whatever else was cut", whole),
    **ANYWHERE,
}

FAILED_KEYS = {
    "v": Key("waive", "go on without the items that failed, with reasons", decide.waive, prompted=True),
    "r": Key("reject", "refuse the order for good, with reasons", decide.reject, prompted=True),
    **ANYWHERE,
}
