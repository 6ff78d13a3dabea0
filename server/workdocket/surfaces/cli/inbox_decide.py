"""The decisions at the inbox: each asks what it needs, calls the tool, and says what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from workdocket.domain.errors import WorkError
from workdocket.surfaces.cli import inbox_view as view
from workdocket.surfaces.cli import show
from workdocket.surfaces.cli.inbox_desk import UNAPPLIED, Desk
from workdocket.surfaces.cli.inbox_queue import Packet, Row, moved, shape_of
from workdocket.surfaces.problems import one_line

Next = Literal["ask", "show", "next", "back"]
"""After a key: ask again, show the order as it is now, go to the next one, or to where the desk points."""


def approve(desk: Desk, row: Row, packet: Packet) -> Next:
    try:
        words = desk.approved(row, packet["digest"])
    except WorkError as error:
        return refused(desk, row, packet, error)
    view.tell(words, style="green")
    return "next"


def reject(desk: Desk, row: Row, packet: Packet) -> Next:
    reasons = desk.reasons(f"Why is {row.id} refused for good?")
    return _turn_down(desk, row, packet, "rejected", [{"message": one} for one in reasons])


def rework(desk: Desk, row: Row, packet: Packet) -> Next:
    items = desk.which_items(row, packet)
    errors = [
        {"message": reason, **({"item_id": item} if item else {})}
        for item in items
        for reason in desk.reasons(f"What is wrong with {item or row.id}?")
    ]
    return _turn_down(desk, row, packet, "sent back", errors, rework=True)


def only_items(desk: Desk, row: Row, packet: Packet) -> Next:
    items = [item for item in desk.which_items(row, packet) if item]
    if not items:
        view.tell("name the items to refuse; to refuse all of them is r")
        return "ask"
    errors = [
        {"message": reason, "item_id": item}
        for item in items
        for reason in desk.reasons(f"Why is {item} refused for good?")
    ]
    return _turn_down(desk, row, packet, "", errors, only_items=True)


def waive(desk: Desk, row: Row, packet: Packet) -> Next:
    failed = [item["id"] for item in packet["items"] if item["state"] == "failed"]
    for item in failed:
        reasons = desk.reasons(f"Why can {row.id} do without {item}?")
        if not reasons:
            continue
        try:
            answer = desk.house.ask("waive", item_id=item, reason="\n".join(reasons))
        except WorkError as error:
            return refused(desk, row, packet, error)
        view.tell(f"{item} is left out; {row.id} is {answer['order']['state']}")
        if answer["order"]["state"] != "failed":
            desk.close(row, "waived")
            del desk.seen[row.id]  # it comes once more, when it is ready for a decision
            return "next"
    view.tell(f"{row.id} still waits for items that failed")
    return "ask"


def _turn_down(
    desk: Desk, row: Row, packet: Packet, outcome: str, errors: Sequence[Mapping[str, Any]], **how: Any
) -> Next:
    if not errors:
        view.tell("no reason given; nothing was done")
        return "ask"
    try:
        if "digest" in packet and desk.house.ask("review", order_id=row.id)["digest"] != packet["digest"]:
            view.tell(f"{row.id} is not what was shown any more; nothing was done", style="yellow")
            return "show"
        given = {"comment": desk.comment} if desk.comment else {}
        answer = desk.house.ask("reject", order_id=row.id, errors=list(errors), **how, **given)
    except WorkError as error:
        return refused(desk, row, packet, error)
    for item in answer.get("stopped", ()):
        view.tell(f"{item['id']} does not go back: {(item.get('error') or {}).get('message', 'it is stopped')}")
    if not outcome:
        view.tell(f"{len({one['item_id'] for one in errors})} refused; {row.id} goes on without")
        return "show"
    desk.close(row, outcome)
    view.tell(f"{row.id} {outcome}; it is {answer['order']['state']}")
    return "next"


def refused(desk: Desk, row: Row, packet: Packet, error: WorkError) -> Next:
    view.tell(one_line(error), style="red")
    match error.code:
        case "stale":
            return _show_what_moved(desk, row, packet, error)
        case "apply_failed":
            desk.close(row, UNAPPLIED)
            return "next"
        case "illegal_transition":
            return "show"
    return "ask"


def _show_what_moved(desk: Desk, row: Row, packet: Packet, error: WorkError) -> Next:
    fresh = desk.packet(row)
    if fresh is None:
        return "next"
    what = error.details.get("moved") or moved(packet, fresh)
    view.tell(f"what moved: {', '.join(what) or 'nothing that is shown'}; this is how it is now:", style="yellow")
    return "show"


def group(desk: Desk, row: Row, packet: Packet) -> Next:
    if not row.shape.together:
        view.tell(f"these are decided on one by one: {row.shape.words}")
        return "ask"
    shown = _members(desk, row)
    lines = [line for one in shown.values() for line in view.in_short(one)]
    if not view.page(lines, desk.answers):
        view.tell("not all of them were shown; nothing was done")
        return "ask"
    if desk.answers.key(f"approve {show.many(len(shown), 'order')} on these digests? y or n > ") != "y":
        view.tell("nothing was done")
        return "ask"
    reasons = [_left_out(desk, desk.seen[order_id], one["digest"]) for order_id, one in shown.items()]
    left_out = [reason for reason in reasons if reason]
    for reason in left_out:
        view.tell(f"left out: {reason}", style="yellow")
    view.tell(f"{len(shown) - len(left_out)} of {show.many(len(shown), 'order')} approved", style="green")
    return "next" if row.decided else "show"


def _members(desk: Desk, row: Row) -> dict[str, Packet]:
    """The group as it is now, without those that are not like it any more; they are named."""
    found = {}
    for one in desk.rows:
        if one.shape != row.shape or one.decided:
            continue
        packet = desk.packet(one)
        if packet is None:
            continue
        if shape_of(packet) == row.shape:
            found[one.id] = packet
        else:
            view.tell(f"left out: {one.id} is not like the others any more", style="yellow")
    return found


def _left_out(desk: Desk, row: Row, digest: str) -> str:
    """Why a member was left out; nothing where it was approved."""
    desk.obey()
    try:
        desk.approved(row, digest)
    except WorkError as error:
        if error.code == "apply_failed":
            desk.close(row, UNAPPLIED)
        return f"{row.id}: {one_line(error)}"
    return ""
