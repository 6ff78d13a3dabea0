"""A session at the inbox: what it goes through, what it made of it, and what is still being made."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from workdocket.domain.errors import WorkError
from workdocket.surfaces.cli import inbox_view as view
from workdocket.surfaces.cli.inbox_house import PATIENCE_SECONDS, Answer, House
from workdocket.surfaces.cli.inbox_keys import Answers
from workdocket.surfaces.cli.inbox_queue import FAILED, UNKNOWN, Packet, Row, Shape, in_turn, shape_of
from workdocket.surfaces.problems import one_line
from workdocket.surfaces.tools import TOOLS

AT_A_TIME = 200
"""Orders that are read and sorted at once, the most urgent ones; then the next."""

PAGE = 100
FAILED_ORDERS = {"state": "failed", "item_state": "failed"}
"""For those a reviewer can decide to go on without the item."""

MEANWHILE, UNAPPLIED = "decided meanwhile", "approved, not applied"
DONE = ("approved", "rejected", "sent back", "waived", "skipped", UNAPPLIED, MEANWHILE)


@dataclass
class Desk:
    """``rows`` is what is gone through now, ``begun`` are approvals whose change is still being made."""

    house: House
    answers: Answers
    rows: list[Row] = field(default_factory=list)
    at: int = 0
    before: int = 0
    waiting: int = 0
    seen: dict[str, Row] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)
    begun: dict[str, Future[Answer]] = field(default_factory=dict)
    comment: str | None = None
    began: float = field(default_factory=time.monotonic)

    def unseen(self) -> list[Row]:
        """What waits and was not gone through yet: first what is ready for a decision, last what failed at an item."""
        view.fit()
        found, failed = self._waiting(state="submitted"), self._waiting(**FAILED_ORDERS) if "waive" in TOOLS else []
        self.before, self.waiting = len(self.seen), len(found) + len(failed)
        if self.waiting > 1:
            view.tell(f"reading {min(len(found), AT_A_TIME)} orders …")
        rows = in_turn(map(self._row, found[:AT_A_TIME]))
        return rows or [row_of(one, Shape(one["type"], FAILED, UNKNOWN)) for one in failed[:AT_A_TIME]]

    def _waiting(self, **wanted: Any) -> list[Answer]:
        found: list[Answer] = []
        answer = self.house.ask("list_orders", limit=PAGE, **wanted)
        while True:
            found += [row for row in answer["orders"] if row["id"] not in self.seen]
            if "next_cursor" not in answer:
                return found
            answer = self.house.ask("list_orders", limit=PAGE, **wanted, cursor=answer["next_cursor"])

    def _row(self, one: Mapping[str, Any]) -> Row:
        self.obey()
        try:
            return row_of(one, shape_of(self.house.ask("review", order_id=one["id"])))
        except WorkError as error:
            return row_of(one, Shape(one["type"], f"cannot be shown: {error.code}", UNKNOWN))

    def obey(self) -> None:
        """Ctrl-C that came while a tool was at work."""
        if self.house.interrupted:
            raise KeyboardInterrupt

    def packet(self, row: Row) -> Packet | None:
        """What is to be decided on, as it is now; nothing where that is over, which is told."""
        try:
            state = self.house.ask("get_order", order_id=row.id)
            if state["order"]["state"] == "submitted":
                return self.house.ask("review", order_id=row.id)
        except WorkError as error:
            view.tell(f"{row.id} cannot be shown: {one_line(error)}", style="red")
            self.close(row, "skipped")
            return None
        self.meanwhile(row, state)
        return None

    def failed_order(self, row: Row) -> Packet | None:
        state = self.house.ask("get_order", order_id=row.id)
        if state["order"]["state"] == "failed":
            return state
        self.meanwhile(row, state)
        return None

    def meanwhile(self, row: Row, answer: Answer) -> None:
        decision = answer.get("decision")
        by = f" ({decision['verdict']} by {decision['by']['id']})" if decision else ""
        view.tell(f"{row.id} is {answer['order']['state']} by now{by}; nothing to decide here", style="yellow")
        self.close(row, MEANWHILE)

    def progress(self) -> str:
        place = f"{self.before + self.at + 1} of {self.before + self.waiting}"
        return " · ".join([place, *self._counts(), self._time()])

    def close(self, row: Row, outcome: str) -> None:
        if row.outcome is not None:
            self.done[row.outcome] -= 1
        row.outcome = outcome
        self.done[outcome] += 1

    def approved(self, row: Row, digest: str) -> str:
        """Approve what was shown; in words what came of it."""
        given = {"order_id": row.id, "digest": digest, **({"comment": self.comment} if self.comment else {})}
        begun = self.house.begin("approve", given)
        if not self.house.settled(begun, PATIENCE_SECONDS):
            self.begun[row.id] = begun
            self.close(row, "approved")
            return f"{row.id}: its change is being made; you are told what comes of it"
        answer = begun.result()
        self.close(row, "approved")
        return f"{row.id} {outcome_of(answer)}"

    def reasons(self, question: str) -> list[str]:
        view.tell(f"{question} A line for each reason; an empty one ends.")
        reasons = []
        while reason := self.answers.line("reason> ").strip():
            reasons.append(reason)
        return reasons

    def which_items(self, row: Row, packet: Packet) -> list[str | None]:
        """The items that are meant; one ``None`` for all of them."""
        if len(packet["items"]) == 1:
            return [None]
        view.tell("Which items? Their numbers, as in 1 3; an empty line is all of them.")
        numbers = self.answers.line("items> ").replace(",", " ").split()
        wrong = [number for number in numbers if not (number.isascii() and number.isdecimal())]
        if wrong:
            view.tell(f"{wrong[0]!r} is no number of an item")
            return []
        return [f"{row.id}.{int(number)}" for number in dict.fromkeys(numbers)] or [None]

    def hear(self) -> None:
        """Tell what came of the changes that took their time."""
        for order_id in [order_id for order_id, begun in self.begun.items() if begun.done()]:
            begun = self.begun.pop(order_id)
            error = begun.exception()
            if error is None:
                view.tell(f"{order_id} {outcome_of(begun.result())}", style="green")
                continue
            words = one_line(error) if isinstance(error, WorkError) else type(error).__name__
            view.tell(f"{order_id}: {words}", style="red")
            self.close(self.seen[order_id], UNAPPLIED)

    def wait_for_begun(self) -> None:
        if self.begun:
            view.tell(f"waiting for {', '.join(self.begun)} to be applied; Ctrl-C leaves that to a server")
            self.house.interrupted = True
        for begun in self.begun.values():
            self.house.settled(begun, None)
        self.hear()

    def sum_up(self) -> None:
        unread = self.before + self.waiting - len(self.seen)
        left = unread + sum(not row.decided for row in self.seen.values())
        parts = [*(self._counts() or ["nothing decided"]), f"{left} left", self._time()]
        view.tell(" · ".join(parts), style="bold")

    def _counts(self) -> list[str]:
        return [f"{self.done[name]} {name}" for name in DONE if self.done[name]]

    def _time(self) -> str:
        return f"{time.monotonic() - self.began:.0f} s"


def row_of(one: Mapping[str, Any], shape: Shape) -> Row:
    return Row(one["id"], one["type"], one["priority"], one["created_at"], shape)


def outcome_of(answer: Answer) -> str:
    if answer["order"]["state"] == "submitted":
        return "has your approval; another reviewer has to approve too"
    diff = answer.get("diff")
    if not answer["applied"]:
        return "approved; the change is still being made"
    return f"approved and applied: {diff['summary']}" if diff else "approved and applied"
