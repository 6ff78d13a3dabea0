"""What the next holder of an item is told about what came before, within a budget."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from workdocket.domain.decide.assembly import counting
from workdocket.domain.model import Part, Submission, WorkItem, canonical
from workdocket.service import view

Reason = dict[str, Any]

CHARACTERS_PER_TOKEN = 3
"""Careful: English has about four."""

BRIEF = 300
"""Characters of a reason's message that stay when the whole of it does not fit."""


@dataclass(slots=True)
class Room:
    """Characters that may still be spent. ``lost`` counts, by kind, what was left out or shortened."""

    left: int
    lost: Counter[str] = field(default_factory=Counter)

    def first(self, kind: str, *forms: Any) -> Any:
        """The first of these forms of one thing that fits; nothing where none does."""
        for form in forms:
            size = len(canonical(form))
            if size <= self.left:
                self.left -= size
                self.lost[kind] += form is not forms[0]
                return form
        self.lost[kind] += 1
        return None

    def left_out(self, item: WorkItem) -> view.View | None:
        """How many of each kind are not there in full, and how to get them."""
        lost = {kind: count for kind, count in self.lost.items() if count}
        return {**lost, "all": f"get_item({item.id!r}, full=true)"} if lost else None


def told(
    item: WorkItem,
    *,
    former: Submission | None,
    parts: Sequence[Part],
    late: Sequence[Submission],
    modes: Mapping[str, str],
    limit: int,
) -> view.View:
    """All of it in at most ``limit`` characters: what was left out leaves its size, or is counted in ``left_out``.

    What matters most is served first: the latest reasons, which parts there are, the refused result, the payloads of
    the parts that count, then what is older. That a part is there is said in any case.
    """
    room = Room(limit)
    before, last = _rounds(item)
    latest = _latest(last, room)
    rows = [{"key": part.key, "seq": part.seq, "status": part.status} for part in parts]
    room.left -= len(canonical(rows))
    refused = former and (room.first("former_result", former.result) or view.cut(former.result, 0))
    payloads = {(part.key, part.seq): room.first("parts", part.payload) for part in counting(modes, parts)}
    older = _older(before, room)
    kept = [room.first("late_results", view.submission(one, view.UNCUT), view.submission(one, 0)) for one in late[::-1]]
    return view.present(
        parts=[_with_payload(row, payloads) for row in rows],
        feedback=[*older, *latest],
        former_result=refused,
        late_results=[row for row in reversed(kept) if row is not None] or None,
        left_out=room.left_out(item),
    )


def reasons(item: WorkItem, limit: int) -> view.View:
    """The reasons of every rejection alone, the latest ones first to be served."""
    room = Room(limit)
    before, last = _rounds(item)
    latest = _latest(last, room)
    return view.present(feedback=[*_older(before, room), *latest], left_out=room.left_out(item))


def _rounds(item: WorkItem) -> tuple[list[Reason], list[Reason]]:
    """What was said in earlier rejections, and in the last one."""
    rounds = [list(rows) for _, rows in groupby(item.feedback, lambda row: (row["at"], row["by"]))]
    return [row for rows in rounds[:-1] for row in rows], rounds[-1] if rounds else []


def _latest(rows: Sequence[Reason], room: Room) -> list[Reason]:
    shown = [room.first("feedback", row, _brief(row)) for row in rows]
    return [row for row in shown if row is not None]


def _older(rows: Sequence[Reason], room: Room) -> list[Reason]:
    """Whole or not at all; the newest are the last to go."""
    shown = [room.first("feedback", row) for row in reversed(rows)]
    return [row for row in reversed(shown) if row is not None]


def _brief(row: Reason) -> Reason:
    message = row["message"]
    return {**row, "message": f"{message[:BRIEF]} … ({len(message)} characters)"} if len(message) > BRIEF else row


def _with_payload(row: view.View, payloads: Mapping[tuple[str, int | None], Any]) -> view.View:
    payload = payloads.get((row["key"], row["seq"])) if row["status"] == "validated" else None
    return {**row, **view.present(payload=payload)}
